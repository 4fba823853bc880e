"""The built pages, as a browser shows them (after `make book`)."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from studies import ROOT

pytestmark = pytest.mark.browser

HTML = ROOT / "build" / "html"
PAGES = sorted(
    p.relative_to(HTML) for d in ("book", "notebooks") for p in (HTML / d).glob("*.html")
)
OF_THE_WHOLE = [Path(name) for name in ("genindex.html", "py-modindex.html", "search.html")]
VIEWS = {"desktop": (1440, 900), "phone": (375, 740)}
THEMES = ("light", "dark")
THEME_OF_AXE = dict(zip(VIEWS, THEMES, strict=True))
"""axe takes seconds a page, so that it looks at each theme once and at each width once."""


def test_the_book_is_built():
    assert PAGES, "no pages; run make book first"


def watch(page) -> list[str]:
    """Return a list to which all that a page complains of, and asks for elsewhere, is added."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("requestfailed", lambda r: faults.append(f"failed: {r.url}"))
    page.on(
        "request",
        lambda r: (
            None
            if r.url.startswith(("file:", "data:", "blob:"))
            else faults.append(f"foreign: {r.url}")
        ),
    )
    return faults


MEGABYTE = 1e6
HEAVIER = {
    # Pictures of every patient, whose number the dataset says.
    Path("notebooks/09_quality_control.html"): 2 * MEGABYTE,
    # The whole library, so that a browser's search finds a name in it.
    Path("book/reference.html"): 3 * MEGABYTE,
}
"""Pages that may weigh more than one megabyte, or three with viewers, and how much."""

OWN = {p.name for p in (ROOT / "book" / "_static").iterdir()}
"""What of the folder of static files is not the theme's or MathJax's."""

INDEX = HTML / "searchindex.js"
"""Which the theme's search loads on every page."""


def weight(urls: list[str]) -> int:
    """Bytes of a page and of what it loaded, without the theme and MathJax."""
    files = {Path(unquote(urlsplit(url).path)) for url in urls if url.startswith("file:")} - {INDEX}
    counted = [file for file in files if "_static" not in file.parts or file.name in OWN]
    return sum(file.stat().st_size for file in counted)


def check_weight(page, path: Path, asked: list[str]) -> None:
    """See that a page that has been loaded, and not yet scrolled, is light."""
    assert page.locator("img[loading=lazy]").count() == 0, "not all of the page has been loaded"
    viewers = page.locator(".cpm-viewer").count()
    assert 0 < weight(asked) < HEAVIER.get(path, (3 if viewers else 1) * MEGABYTE)
    # The volumes come with a viewer, when a reader comes near.
    assert not any("viewer" in url for url in asked)


FEW_ALIKE = """() => {
  const all = selector => [...document.querySelectorAll(`article ${selector}`)];
  for (const entry of all(":is(dl.py, .indextable li)").slice(20)) entry.remove();
  for (const entry of [...document.querySelectorAll(".toc-entry")].slice(40)) entry.remove();
  for (const row of all("tbody > tr:nth-child(n + 11)")) row.remove();
  for (const code of all(".highlight pre").slice(5)) code.textContent = code.textContent;
}"""
"""Keep some of the entries of the reference and of lists of contents, of the rows of a table and of
the colours of code, which are made alike: axe, above all its look at contrasts, takes its time for
each."""

SET_THEME = """theme => {
  for (const key of ["theme", "mode"]) document.documentElement.dataset[key] = theme;
}"""


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("path", PAGES + OF_THE_WHOLE, ids=str)
def test_page(browser, path, view):
    width, height = VIEWS[view]
    page = browser.new_page(viewport={"width": width, "height": height})
    faults = watch(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((HTML / path).as_uri())
    page.wait_for_timeout(300)  # for what scripts ask for once the page is there
    if view == "desktop" and path in PAGES:
        check_weight(page, path, asked)
    # A colour on its way to that of another theme is not what a reader sees.
    # What lies below must be laid out too, or its width would not count.
    page.add_style_tag(
        content="* { transition: none !important; content-visibility: visible !important; }"
    )

    assert not page.evaluate("'Bokeh' in window"), "a large script that only a reader asks for"
    for theme in THEMES:
        page.evaluate(SET_THEME, theme)
        # Nothing but boxes that scroll by themselves may be wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth") <= width, theme
    images = page.locator("article img")
    for i in range(images.count()):
        image = images.nth(i)
        assert image.get_attribute("alt"), image.get_attribute("src")
        image.scroll_into_view_if_needed()  # those far below load when the reader comes near
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth > 0)")
    assert page.locator("article .problematic, article .system-message").count() == 0
    page.evaluate(SET_THEME, THEME_OF_AXE[view])
    page.evaluate(FEW_ALIKE)
    assert serious(page) == []
    assert faults == []
    page.close()


def serious(page, part: str | None = None) -> list[str]:
    """Return what axe calls serious or critical: the rule, the element, what is wrong.

    *part* is a selector of all that axe looks at.
    """
    # It would fetch the style sheets, which a page on a disk may not.
    options = {"preload": False, "resultTypes": ["violations"]}
    return [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for rule in Axe().run(page, part, options).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("<p style='color: #999; background: #fff'>pale</p>", "color-contrast"),
        ("<img src='data:,'>", "image-alt"),
        ("<input type='text'>", "label"),
    ],
)
def test_axe_would_find_a_fault(browser, fault, rule):
    page = browser.new_page()
    page.set_content(f"<html lang='en'><title>T</title><main><h1>T</h1>{fault}</main></html>")
    assert {line.split(":")[0] for line in serious(page)} == {rule}
    page.close()


MOVING = [path for path in PAGES if "cpm-widget" in (HTML / path).read_text("utf-8")]
"""Pages with figures that move once a reader asks for it."""


@pytest.mark.parametrize("path", MOVING, ids=str)
def test_axe_finds_no_fault_in_figures_that_move(browser, path):
    page = browser.new_page(viewport={"width": 375, "height": 740})
    faults = watch(page)
    page.goto((HTML / path).as_uri())
    page.add_style_tag(content="* { transition: none !important; }")
    widgets = page.locator(".cpm-widget[data-kind]")
    assert widgets.count() > 0
    for widget in widgets.all():
        widget.locator("[data-part=start]").press("Enter")
        page.wait_for_function("one => one.dataset.state === 'ready'", arg=widget.element_handle())
        # The second asks for no script and starts before its button is drawn as disabled.
        assert widget.evaluate("one => one.contains(document.activeElement)"), "the focus is lost"
        for menu in widget.locator("select[data-part=patient]").all():
            menu.select_option(index=1)  # what it marks is told in a wide table
    for theme, (width, height) in zip(THEMES, reversed(VIEWS.values()), strict=True):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(SET_THEME, theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(page, ".cpm-widget") == []
    assert faults == []
    page.close()


@pytest.mark.parametrize("side", ["primary", "secondary"])
def test_a_finger_opens_the_menu_and_the_contents_of_a_page(browser, side):
    phone = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}
    page = browser.new_context(**phone).new_page()
    page.goto((HTML / "book" / "run_it.html").as_uri())
    page.locator(f".{side}-toggle:visible").tap()
    link = page.locator("dialog[open] nav a:visible").nth(1)
    name = link.get_attribute("href")
    link.tap()
    page.wait_for_url(lambda url: url.endswith(name.removeprefix("../")))
    assert page.locator("dialog[open]").count() == 0
    page.context.close()


class Links(HTMLParser):
    """The places of a page that links lead to, and what it leads to or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = {"", "top"}
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.places.add(value or "")
            elif name in ("href", "src", "data-src"):
                self.targets.add(value or "")


def test_every_link_and_anchor_leads_somewhere():
    paths = set(HTML.rglob("*.html")) - set((HTML / "_static").rglob("*.html"))  # of the theme
    pages = {path: Links(path.read_text("utf-8")) for path in paths}
    dead = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            # The ledger's filter is no place: `#q=0.54`.
            known = file not in pages or place.startswith("q=") or place in pages[file].places
            if not (file.is_file() and known):
                dead.append(f"{path.relative_to(HTML)}: {target}")
    assert dead == []


@pytest.mark.parametrize("path", [p for p in PAGES if p.parts[0] == "notebooks"], ids=str)
def test_every_figure_and_table_has_a_caption_and_downloads_that_exist(path):
    article = BeautifulSoup((HTML / path).read_text("utf-8"), "html.parser").article
    figures = article.select("figure")
    for figure in figures:
        assert figure.figcaption.get_text(strip=True)
        # The code above a picture of a lesson is all that there is to it.
        downloads = 0 if "_learn_" in path.stem else 3
        assert len(figure.select("a.download")) == downloads
    tables = article.select("table.cpm-table")
    for table in tables:
        assert table.caption.get_text(strip=True)
    assert len(figures) + len(tables) > 0
    assert all(cell.get_text(strip=True) for cell in article.select("th"))
    for link in article.select("a.download"):
        target = (HTML / path).parent / link["href"]
        assert target.resolve().is_file(), target
        assert target.stat().st_size > 0


@pytest.mark.parametrize("width", [360, 1000, 1280, 1920])
def test_one_search_and_an_icon(browser, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((HTML / "book" / "index.html").as_uri())
    boxes = page.locator(".search-button-field, .search-button")
    in_sight = [
        box
        for box in (boxes.nth(i).bounding_box() for i in range(boxes.count()))
        if box and box["x"] >= 0 and box["width"] > 0
    ]
    assert len(in_sight) == 1
    icon = page.locator("link[rel*=icon]").get_attribute("href")
    assert (HTML / "book" / icon).resolve().is_file()
    page.close()


def test_the_literature_is_a_list_of_items(browser):
    page = browser.new_page()
    page.goto((HTML / "book" / "references.html").as_uri())
    roles = page.evaluate(
        "[...document.querySelectorAll('[role=list] > *')].map(e => e.getAttribute('role'))"
    )
    assert roles
    assert set(roles) == {"listitem"}
    page.close()


CONTRAST = """span => {
  const light = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number)
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const style = getComputedStyle(span);
  const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""
"""Contrast of a text to its background, as WCAG 2 defines it."""


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_search_found_is_readable(browser, mode):
    page = browser.new_page()
    page.add_init_script(
        f"for (const key of ['mode', 'theme']) localStorage.setItem(key, '{mode}')"
    )
    page.goto(f"{(HTML / 'search.html').as_uri()}?q=cellularity")
    page.wait_for_selector("span.highlighted")
    marks = page.locator("span.highlighted")
    ratios = [marks.nth(i).evaluate(CONTRAST) for i in range(min(20, marks.count()))]
    assert min(ratios) >= 4.5
    page.close()


CASES = HTML / "notebooks" / "07_cases.html"
PICTURE = """root => {
  const canvas = root.querySelector('[data-part=canvas]');
  const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  let sum = 0;
  for (let i = 0; i < all.length; i += 4) {
    const colour = (all[i] << 16) | (all[i + 1] << 8) | all[i + 2];
    colours.add(colour);
    sum = (31 * sum + colour) % 2147483647;
  }
  return [colours.size, sum];
}"""
"""Number of colours on a viewer's canvas, and a sum that tells two pictures apart."""

DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.mark.parametrize("view", VIEWS)
def test_viewers_of_the_cases(browser, view):
    """Each viewer of the built page draws once it is in sight, and answers to its controls."""
    if not CASES.is_file() or "cpm-viewer" not in CASES.read_text("utf-8"):
        pytest.skip("the last book has no viewers")
    width, height = VIEWS[view]
    page = browser.new_page(viewport={"width": width, "height": height})
    said: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(CASES.as_uri(), wait_until="load")
    page.wait_for_timeout(300)  # what the theme says and asks for is not the viewers'
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    viewers = page.locator(".cpm-viewer")
    assert viewers.count() > 0
    last = viewers.nth(viewers.count() - 1)
    # Far below the screen: nothing is unpacked before the reader comes near.
    assert last.get_attribute("data-ready") is None
    for i in range(viewers.count()):
        viewer = viewers.nth(i)
        viewer.scroll_into_view_if_needed()
        page.wait_for_function("root => root.dataset.ready === 'yes'", arg=viewer.element_handle())

        def picture(viewer=viewer) -> tuple[int, int]:
            page.evaluate(DRAWN)
            colours, check = viewer.evaluate(PICTURE)
            return colours, check

        def part(name: str, viewer=viewer):
            return viewer.locator(f"[data-part={name}]")

        # Brain in tens of greys under a map in colours; a blank canvas has one.
        first = picture()
        assert first[0] > 100
        assert picture() == first, "the picture changes by itself"
        at_target = part("position").inner_text()
        seen = [first]

        slider = part("slice")
        slider.fill(str(int(slider.input_value()) + 5))
        seen.append(picture())
        assert part("position").inner_text() != at_target
        part("opacity").fill("100")
        seen.append(picture())
        overlays = part("overlay").locator("option").evaluate_all("all => all.map(o => o.value)")
        assert len(overlays) > 2
        shown = part("overlay").input_value()
        for name in (name for name in overlays if name != shown):
            part("overlay").select_option(name)
            seen.append(picture())
        assert len({check for _, check in seen}) == len(seen), "a control changed nothing"
        assert min(colours for colours, _ in seen) > 20, "a blank picture"

        part("overlay").select_option(shown)
        part("opacity").fill("50")
        part("home").click()
        assert picture() == first, "home is not where the viewer began"
    assert said == []
    asked = [url for url in asked if not url.endswith("favicon.svg")]
    # Each asks for its own images, once.
    folder = (CASES.parent / "07_cases_files").as_uri()
    assert {url.rpartition("/")[0] for url in asked} == {folder}
    assert len(set(asked)) == len(asked) == viewers.count()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", [p for p in PAGES if "_learn_" in p.stem], ids=str)
def test_a_solution_is_folded_until_a_key_opens_it(browser, path, scheme):
    page = browser.new_page(viewport={"width": 375, "height": 740}, color_scheme=scheme)
    page.goto((HTML / path).as_uri())
    page.wait_for_selector(".solution button")
    contents = page.locator(".solution > :not(.admonition-title, button)")
    assert contents.count() >= 3
    assert not any(contents.nth(i).is_visible() for i in range(contents.count()))
    page.locator(".solution button").first.press("Enter")
    contents.first.wait_for(state="visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.close()
