"""Write the built book as one PDF: a title page, contents, and every chapter in its order.

    python tools/book_pdf.py [FILE]

All chapters are laid into one page, so that links between them work in the PDF, and Chromium prints
it. Needs Chromium; CHROMIUM names the program if it is not /usr/bin/chromium.
"""

from __future__ import annotations

import html
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Page, sync_playwright

from cpmlib.figures.style import LABEL
from screenshots import chromium

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "build" / "html"
ON_SCREEN_ONLY = {"book/reference"}
"""Pages that nobody reads from paper; the reference is longer than all others together."""

LEFT_OUT = (
    "a.headerlink, p:has(> a.download), summary, script, style, button, noscript, nav, "
    ".toctree-wrapper"
)
"""What only a screen needs."""

STILL = """async root => {
  root.scrollIntoView();
  while (root.dataset.ready !== "yes") await new Promise(done => setTimeout(done, 20));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const canvas = root.querySelector("canvas");
  const values = root.querySelector("[data-part=values]").textContent;
  return [canvas.toDataURL("image/webp", 0.9), canvas.getAttribute("aria-label"), values];
}"""
"""What a viewer shows first: picture, its name, the values at the target."""

LOADED = """() => Promise.all([...document.images].map(image =>
  image.decode().catch(() => { throw new Error("no picture: " + image.src.slice(0, 200)); })))"""

FOOT = """<div style="width: 100%; padding: 0 15mm; display: flex; justify-content: space-between;
font: 7pt sans-serif"><span style="color: {colour}">{label}</span>
<span>page <span class="pageNumber"></span> of <span class="totalPages"></span></span></div>"""


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
    for viewer, (picture, said, values) in zip(article.select(".cpm-viewer"), stills, strict=True):
        still = f'<figure class="still"><img src="{picture}" alt="{html.escape(said)}"><figcaption>'
        still += f"{html.escape(said)}. {html.escape(values)}</figcaption></figure>"
        viewer.replace_with(BeautifulSoup(still, "html.parser"))
    for element in article.select(LEFT_OUT):
        element.decompose()
    for element in article.select("details"):
        element.name = "div"  # opened, and without the line to click on
    for element in article.select("[id]"):
        element["id"] = f"{name}/{element['id']}"
    folder = (HTML / name).parent
    for image in article.select("img"):
        if not image["src"].startswith("data:"):
            image["src"] = (folder / unquote(image["src"])).resolve().as_uri()
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


def document(stills: dict[str, list[list[str]]]) -> tuple[str, str]:
    """Return the whole book as one page, and the label of its dataset."""
    parts = contents()
    first = read(parts[0][1][0])
    known = {name for _, names in parts for name in names}
    chapters = [chapter(name, known, stills.get(name, [])) for _, names in parts for name in names]
    titles = {str(c["id"]): c.h1.get_text() for c in chapters if c.h1}
    listed = "".join(
        f"<p>{html.escape(caption)}</p><ul>"
        + "".join(f'<li><a href="#{n}">{html.escape(titles[n])}</a></li>' for n in names)
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
        f'<p class="label">{html.escape(label)}</p><p>{html.escape(version)}</p></div>'
        f'<div class="contents"><p class="book-title">Contents</p>{listed}</div>'
        + "".join(map(str, chapters))
        + "</body></html>"
    )
    return whole, label


def take_stills(page: Page) -> dict[str, list[list[str]]]:
    """Return, for each page of the book with viewers, what each of them shows first."""
    found = {}
    for name in (name for _, names in contents() for name in names):
        file = HTML / f"{name}.html"
        if 'class="cpm-viewer' in file.read_text("utf-8"):
            page.goto(file.as_uri())
            viewers = page.locator(".cpm-viewer")
            found[name] = [viewers.nth(i).evaluate(STILL) for i in range(viewers.count())]
    return found


def write_pdf(browser: Browser, target: Path) -> None:
    """Write the book; raise where a picture does not load."""
    page = browser.new_page(viewport={"width": 800, "height": 1100}, device_scale_factor=2)
    whole, label = document(take_stills(page))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "book.html"
        file.write_text(whole, encoding="utf-8")
        page.goto(file.as_uri())
        page.evaluate("() => window.MathJax.startup.promise")
        page.evaluate(LOADED)
        target.parent.mkdir(parents=True, exist_ok=True)
        page.pdf(
            path=target,
            format="A4",
            margin={"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"},
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOT.format(colour=LABEL, label=html.escape(label)),
            outline=True,
            tagged=True,
        )
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
