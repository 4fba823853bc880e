"""The built pages, as a browser shows them (after `make book`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studies import ROOT

pytestmark = pytest.mark.browser

HTML = ROOT / "build" / "html"
PAGES = sorted(
    p.relative_to(HTML) for d in ("book", "notebooks") for p in (HTML / d).glob("*.html")
)
VIEWS = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    assert Path(program).exists(), f"no {program}; install Chromium or set CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def test_the_book_is_built():
    assert PAGES, "no pages; run make book first"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("path", PAGES, ids=str)
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
        assert figures.nth(i).locator("a.download").count() == 3
    tables = page.locator("article table.cpm-table")
    for i in range(tables.count()):
        assert tables.nth(i).locator("caption").inner_text().strip()
    assert figures.count() + tables.count() > 0
    for link in page.locator("a.download").all():
        target = (HTML / path).parent / str(link.get_attribute("href"))
        assert target.resolve().is_file(), target
        assert target.stat().st_size > 0
    page.close()
