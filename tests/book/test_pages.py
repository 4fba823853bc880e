"""The built pages, as a browser shows them (after `make book`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies import ROOT

pytestmark = pytest.mark.browser

HTML = ROOT / "build" / "html"
PAGES = sorted(
    p.relative_to(HTML) for d in ("book", "notebooks") for p in (HTML / d).glob("*.html")
)
OF_THE_WHOLE = [Path(name) for name in ("genindex.html", "py-modindex.html", "search.html")]
VIEWS = {"desktop": (1280, 900), "phone": (360, 740)}


def test_the_book_is_built():
    assert PAGES, "no pages; run make book first"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("path", PAGES + OF_THE_WHOLE, ids=str)
def test_page(browser, path, view):
    width, height = VIEWS[view]
    page = browser.new_page(viewport={"width": width, "height": height})
    errors: list[str] = []
    outside: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else outside.append(r.url),
    )
    page.goto((HTML / path).as_uri())
    page.wait_for_timeout(300)  # for what scripts ask for once the page is there

    assert errors == []
    assert not page.evaluate("'Bokeh' in window"), "a large script that only a reader asks for"
    assert outside == [], "a page must not fetch anything from elsewhere"
    # Nothing but boxes that scroll by themselves may be wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    images = page.locator("article img")
    for i in range(images.count()):
        image = images.nth(i)
        assert image.get_attribute("alt"), image.get_attribute("src")
        assert image.evaluate("i => i.complete && i.naturalWidth > 0"), image.get_attribute("src")
    assert page.locator("article .problematic, article .system-message").count() == 0
    page.close()


@pytest.mark.parametrize("path", [p for p in PAGES if p.parts[0] == "notebooks"], ids=str)
def test_every_figure_and_table_has_a_caption_and_downloads_that_exist(browser, path):
    page = browser.new_page()
    page.goto((HTML / path).as_uri())
    figures = page.locator("article figure")
    for i in range(figures.count()):
        assert figures.nth(i).locator("figcaption").inner_text().strip()
        # The code above a picture of a lesson is all that there is to it.
        downloads = 0 if "_learn_" in path.stem else 3
        assert figures.nth(i).locator("a.download").count() == downloads
    tables = page.locator("article table.cpm-table")
    for i in range(tables.count()):
        assert tables.nth(i).locator("caption").text_content().strip()  # folded ones too
    assert figures.count() + tables.count() > 0
    assert all(cell.strip() for cell in page.locator("article th").all_text_contents())
    for link in page.locator("a.download").all():
        target = (HTML / path).parent / str(link.get_attribute("href"))
        assert target.resolve().is_file(), target
        assert target.stat().st_size > 0
    page.close()


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
    assert asked == [], "a viewer must not fetch anything"
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
