"""What a reader of the built pages can trust and follow (after `make book`)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from studies import ROOT

pytestmark = pytest.mark.browser

HTML = ROOT / "build" / "html"
CHAPTERS = sorted((HTML / "notebooks").glob("*.html"))
THEMES = ("light", "dark")


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 375, "height": 740})
    yield page
    page.close()


def test_search_from_a_file_shows_where_the_word_stands(page):
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{(HTML / 'search.html').as_uri()}?q=cellularity")
    page.wait_for_selector("#search-results p.context")
    snippets = page.locator("#search-results p.context").all_inner_texts()
    assert any("cellularity" in text.lower() for text in snippets)
    assert errors == []


@pytest.mark.parametrize("theme", THEMES)
def test_the_front_page_shows_its_picture_and_what_it_is_made_of(page, theme):
    page.add_init_script(
        f"for (const key of ['mode', 'theme']) localStorage.setItem(key, '{theme}')"
    )
    page.goto((HTML / "book" / "index.html").as_uri())
    picture = page.locator("article figure.wide-figure img")
    assert picture.get_attribute("alt")
    assert picture.evaluate("i => i.complete && i.naturalWidth > 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    text = page.locator("article").inner_text()
    for said in ("cpmlib", "commit", "Python", "SHA-256", "MIT", "doi.org"):
        assert said in text, said


def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


# The code above a picture of a lesson is all that there is to it.
@pytest.mark.parametrize(
    "path", [path for path in CHAPTERS if "_learn_" not in path.stem], ids=lambda path: path.stem
)
def test_under_each_figure_and_table_stand_its_cell_data_and_version(path):
    article = read(path).article
    lines = article.select("p:has(a[href*='#cell-']):has(a.download)")
    lines = [line for line in lines if line.get_text().startswith("Made by ")]
    assert len(lines) == len(article.select("figure, table.cpm-table")) > 0
    targets = [element["id"] for element in article.select("[id^=cell-]")]
    for line in lines:
        assert re.search(r"data \(CSV\).* · code version \S+", line.get_text())
        assert targets.count(line.select_one("a[href*='#cell-']")["href"].partition("#")[2]) == 1


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_links_to_the_glossary_and_the_reference_lead_somewhere(path):
    page = read(path)
    links = {link["href"] for link in page.select("a.short, a.code")}
    assert links
    for name in {link.partition("#")[0] for link in links}:
        text = (path.parent / name).read_text("utf-8")
        for link in (link for link in links if link.startswith(f"{name}#")):
            assert f'id="{link.partition("#")[2]}"' in text, link
    short = page.select("a.short")
    assert short
    assert all(link.get("title") for link in short)


def test_the_front_page_tells_a_preview_what_book_it_is():
    said = read(HTML / "book" / "index.html").select_one("meta[property='og:site_name']")
    assert said["content"] == yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
