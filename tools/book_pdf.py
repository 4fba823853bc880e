"""Write the built book as one PDF: a title page, contents, and every chapter in its order.

    python tools/book_pdf.py [FILE]

All chapters are laid into one page, so that links between them work in the PDF, and Chromium prints
it. Needs Chromium; CHROMIUM names the program if it is not /usr/bin/chromium.
"""

from __future__ import annotations

import base64
import html
import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from cpmlib.figures.style import LABEL
from screenshots import chromium

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "build" / "html"
ON_SCREEN_ONLY = {"book/reference"}
"""Pages that nobody reads from paper; the reference is longer than all others together."""

LEFT_OUT = (
    "a.headerlink, p.files, summary, .sd-summary-state-marker, script, style, button, noscript, "
    "nav, .toctree-wrapper"
)
"""What only a screen needs."""

NOTE = (
    "This is the book on paper. What its pages say of buttons, of clicking and dragging, and of "
    "files to download is for the book on a screen. Figures that move there stand here as they "
    "first look, and what is folded there is open here."
)

STILL = """async root => {
  root.scrollIntoView();
  while (root.dataset.ready !== "yes") await new Promise(done => setTimeout(done, 20));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const canvas = root.querySelector("canvas");
  const said = part => root.querySelector(part).textContent;
  const caption = `${said(".cpmv-title")}: ${canvas.getAttribute("aria-label")}. `;
  return [canvas.toDataURL("image/webp", 0.9), caption + said("[data-part=values]")];
}"""
"""What a viewer shows first: picture, and what is said of it."""

LIVE = ".cpm-viewer, .cpm-widget"

TALL = 1.3
"""Height, in widths, beyond which a figure is cut between pages rather than made small."""
_SIZE = re.compile(r'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"')

MOVE = """async root => {
  root.querySelector("[data-part=start]").click();
  while (root.dataset.state === "loading") await new Promise(done => setTimeout(done, 20));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
"""Starts a figure that moves."""

LOADED = """() => Promise.all([...document.images].map(image =>
  image.decode().catch(() => { throw new Error("no picture: " + image.src.slice(0, 200)); })))"""

CUT = """longest => {
  for (const image of document.querySelectorAll("img.tall")) {
    const { naturalWidth: width, naturalHeight: height } = image;
    const pen = new OffscreenCanvas(width, height).getContext("2d");
    pen.drawImage(image, 0, 0);
    const blank = y => pen.getImageData(1, y, width - 2, 1).data.every(  // edges may be blurred
      (value, i, row) => value == row[i % 4]);
    for (let top = 0, end; top < height; top = end) {
      end = Math.min(top + Math.floor(longest * width), height);
      let cut = end;
      for (let y = top + (width >> 1), run = 0, found = 1; y < end && end < height; y++) {
        run = blank(y) ? run + 1 : 0;
        if (run >= found) [found, cut] = [run, y - run / 2];
      }
      end = cut;
      const piece = document.createElement("div"), part = image.cloneNode();
      piece.className = "piece";
      piece.style.aspectRatio = `${width} / ${end - top}`;
      part.style.aspectRatio = `${width} / ${height}`;
      part.style.marginTop = `${-100 * top / width}%`;
      if (top) part.alt = "";
      piece.append(part);
      image.before(piece);
    }
    image.remove();
  }
}"""
"""Cuts tall figures at their widest gaps, into pieces that a page holds."""

HEAD = """<div style="padding: 0 15mm; font: 7pt sans-serif; color: {colour}">{label}</div>"""
FOOT = """<div style="width: 100%; padding: 0 15mm; display: flex; justify-content: space-between;
font: 7pt sans-serif"><span>{version}</span>
<span>page <span class="pageNumber"></span> of <span class="totalPages"></span></span></div>"""

NUMBER = """pages => {
  for (const place of document.querySelectorAll(".contents [data-page]"))
    place.textContent = pages[place.dataset.page] ?? place.textContent;
}"""
"""Writes the numbers of pages into the contents, which CSS cannot."""


def contents() -> list[tuple[str, list[str]]]:
    """Return each part's caption and the names of its pages, in the order of the book."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8"))
    parts = [
        (part["caption"], [c["file"] for c in part["chapters"] if c["file"] not in ON_SCREEN_ONLY])
        for part in toc["parts"]
    ]
    return [("", [toc["root"]]), *parts]


def read(name: str) -> BeautifulSoup:
    """Read a built page."""
    return BeautifulSoup((HTML / f"{name}.html").read_text("utf-8"), "html.parser")


def chapter(name: str, known: set[str], stills: list[list[str]]) -> Tag:
    """Return what a page says, so that it can stand in one document with all others.

    Parameters
    ----------
    name, known
        Its name, and those of all pages of the document.
    stills
        Of each of its viewers, what `STILL` returns.
    """
    article = read(name).article
    assert article is not None, name
    article["class"] = "chapter"
    article["id"] = name
    for live, (picture, said) in zip(article.select(LIVE), stills, strict=True):
        said = html.escape(said)
        still = f'<figure class="still"><img src="{picture}" alt="{said}">'
        still += f"<figcaption>{said}</figcaption></figure>"
        stage = live.select_one("[data-part=stage]") if "cpm-widget" in live["class"] else live
        assert stage is not None
        stage.replace_with(BeautifulSoup(still, "html.parser"))
    for element in article.select("p:has(> a.download)"):
        if element.get_text().startswith("Made by this cell"):
            element["class"] = "files"
    for element in article.select("summary.sd-summary-title"):
        element.name = "p"  # the title of what was folded
    for element in article.select("td a.download"):
        assert element.next_sibling is not None
        element.next_sibling.extract()  # the dot between it and the next link
        element.decompose()
    for element in article.select(LEFT_OUT):
        element.decompose()
    for element in article.select("details"):
        element.name = "div"  # opened, and without the line to click on
    for element in article.select("[id]"):
        element["id"] = f"{name}/{element['id']}"
    folder = (HTML / name).parent
    for image in article.select("img"):
        if image["src"].startswith("data:"):
            continue
        file = (folder / unquote(image["src"])).resolve()
        size = _SIZE.search(file.read_text("utf-8")[:1000])
        if size and float(size[2]) > TALL * float(size[1]):
            image["class"] = "tall"  # `CUT` may read the pixels of what is part of the page
            picture = base64.b64encode(file.read_bytes()).decode()
            image["src"] = f"data:image/svg+xml;base64,{picture}"
        else:
            image["src"] = file.as_uri()
    for link in article.select("a[href]"):
        parts = urlsplit(str(link["href"]))
        if parts.scheme or parts.netloc:
            continue
        file = (folder / unquote(parts.path)).resolve() if parts.path else HTML / f"{name}.html"
        page = str(file.relative_to(HTML).with_suffix(""))
        if page in known:
            link["href"] = f"#{page}/{parts.fragment}" if parts.fragment else f"#{page}"
        else:  # a file beside the book
            link.unwrap()
    return article


def document(stills: dict[str, list[list[str]]]) -> tuple[str, str, str]:
    """Return the whole book as one page, the label of its dataset, and its version."""
    parts = contents()
    first = read(parts[0][1][0])
    known = {name for _, names in parts for name in names}
    chapters = [chapter(name, known, stills.get(name, [])) for _, names in parts for name in names]
    titles = {str(c["id"]): c.h1.get_text() for c in chapters if c.h1}
    listed = "".join(
        f"<p>{html.escape(caption)}</p><ul>"
        + "".join(
            f'<li><a href="#{n}">{html.escape(titles[n])}</a><span data-page="{n}">000</span></li>'
            for n in names
        )
        + "</ul>"
        for caption, names in parts
    )
    label, version = (
        element.get_text(strip=True)
        for element in first.select(".bd-header-announcement, .extra_footer")
    )
    title = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["title"]
    styles = [
        (HTML / "book" / urlsplit(str(link["href"])).path).resolve().as_uri()
        for link in first.select("head link[rel=stylesheet]")
    ]
    head = "".join(f'<link rel="stylesheet" href="{style}">' for style in styles)
    mathjax = (HTML / "_static" / "mathjax" / "tex-chtml.js").as_uri()
    whole = (
        '<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head>'
        f'<meta charset="utf-8"><title>{html.escape(title)}</title>{head}'
        "<script>window.MathJax = {options: {processHtmlClass: 'math'}};</script>"
        f'<script defer src="{mathjax}"></script></head><body class="book-pdf">'
        f'<div class="title-page"><p class="book-title">{html.escape(title)}</p>'
        f'<p class="label">{html.escape(label)}</p><p>{html.escape(version)}</p><p>{NOTE}</p></div>'
        f'<div class="contents"><p class="book-title">Contents</p>{listed}</div>'
        + "".join(map(str, chapters))
        + "</body></html>"
    )
    return whole, label, version


def take_stills(page: Page) -> dict[str, list[list[str]]]:
    """Return, for each page of the book with figures that move, what each of them shows first."""
    found = {}
    for name in (name for _, names in contents() for name in names):
        file = HTML / f"{name}.html"
        if re.search(r'class="cpm-(viewer|widget)', file.read_text("utf-8")):
            page.goto(file.as_uri())
            found[name] = [still(live) for live in page.locator(LIVE).all()]
    return found


def still(live: Locator) -> list[str]:
    """Return a picture of a viewer or another figure that moves, and what is said of it."""
    if "cpm-viewer" in str(live.get_attribute("class")):
        viewer: list[str] = live.evaluate(STILL)
        return viewer
    live.evaluate(MOVE)
    picture = base64.b64encode(live.locator(".cpmw-plot").screenshot()).decode()
    said = f"{live.get_attribute('aria-label')}: the figure as it first looks."
    return [f"data:image/png;base64,{picture}", said]


def page_numbers(pdf: bytes) -> dict[str, int]:
    """Return the page on which each place that a link leads to stands, as Chromium writes it."""
    pages = re.findall(rb"^(\d+) 0 obj\n<</Type /Page\n", pdf, re.MULTILINE)
    number = {page: i for i, page in enumerate(sorted(pages, key=int), start=1)}
    places = re.findall(rb"^(?:<<)?/([^ ]+) \[(\d+) 0 R /XYZ", pdf, re.MULTILINE)
    return {name.decode().replace("#2F", "/"): number[page] for name, page in places}


def write_pdf(browser: Browser, target: Path) -> None:
    """Write the book; raise where a picture does not load or a page number is not right."""
    page = browser.new_page(viewport={"width": 800, "height": 1100}, device_scale_factor=2)
    whole, label, version = document(take_stills(page))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "book.html"
        file.write_text(whole, encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        colour, label, version = LABEL, html.escape(label), html.escape(version)

        def pdf(numbers: dict[str, int]) -> bytes:
            page.goto(file.as_uri())  # a page printed before may break in another way
            page.evaluate("() => window.MathJax.startup.promise")
            page.evaluate(LOADED)
            page.evaluate(CUT, TALL)
            page.evaluate(NUMBER, numbers)
            return page.pdf(
                format="A4",
                scale=0.92,
                margin={"top": "18mm", "bottom": "18mm", "left": "15mm", "right": "15mm"},
                print_background=True,
                display_header_footer=True,
                header_template=HEAD.format(colour=colour, label=label),
                footer_template=FOOT.format(version=version),
                outline=True,
                tagged=True,
            )

        numbers = page_numbers(pdf({}))
        printed = pdf(numbers)
        if page_numbers(printed) != numbers:
            raise RuntimeError("the contents have other page numbers than the pages")
        target.write_bytes(printed)
    page.close()


def main(target: str = str(ROOT / "build" / "book.pdf")) -> None:
    """Do it."""
    if not (HTML / "index.html").is_file():
        raise SystemExit("there is no book yet; build it with: make book")
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        write_pdf(browser, Path(target))
        browser.close()
    print(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
