"""The book on paper: all of it as one PDF, and a page as the browser prints it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from book_pdf import CUT, HTML, LIVE, chapter, contents, page_numbers, read, write_pdf

pytestmark = pytest.mark.browser

NAMES = [name for _, names in contents() for name in names]


def in_pdf(text: str) -> bytes:
    """A text as Chromium writes it into a PDF: plain if it can be, else as UTF-16."""
    if text.isascii():
        for character in "\\()":
            text = text.replace(character, f"\\{character}")
        return f"({text})".encode()
    return b"<FEFF" + text.encode("utf-16-be").hex().upper().encode() + b">"


@pytest.fixture(scope="module")
def book(browser, tmp_path_factory) -> bytes:
    target = tmp_path_factory.mktemp("pdf") / "book.pdf"
    write_pdf(browser, target)
    return target.read_bytes()


def test_the_pdf_has_every_figure_and_a_picture_of_every_viewer(book):
    articles = [read(name).article for name in NAMES]
    pictures = sum(len(article.select(f"img, {LIVE}")) for article in articles)
    assert pictures > 0
    # Each with its alternative text, which nothing else has.
    assert book.count(b"/Alt ") == pictures


@pytest.mark.parametrize("name", NAMES)
def test_the_pdf_has_the_chapter(book, name):
    heading = read(name).article.h1
    heading.select_one("a.headerlink").decompose()
    # The beginning: Chromium joins the lines of a long heading without a space.
    assert b"/Title " + in_pdf(heading.get_text()[:20])[:-1] in book


def test_the_contents_have_the_page_of_each_chapter(book):
    pages = page_numbers(book)
    assert set(NAMES) <= pages.keys()
    in_order = [pages[name] for name in NAMES]
    assert in_order == sorted(set(in_order))
    assert len(re.findall(rb"/Type /Page\b", book)) > in_order[-1]


def on_paper(name: str) -> str:
    stills = [["data:", "a picture"]] * len(read(name).select(f"article :is({LIVE})"))
    return chapter(name, set(NAMES), stills).get_text()


def test_the_ledger_on_paper_names_its_values():
    names = [e.get_text() for e in read("notebooks/12_ledger").select("td [id^=value-]")]
    paper = on_paper("notebooks/12_ledger")
    assert names
    assert all(name in paper for name in names)


def test_what_is_folded_keeps_its_title_on_paper():
    titles = [e.get_text() for e in read("notebooks/15_audit").select("summary.sd-summary-title")]
    paper = on_paper("notebooks/15_audit")
    assert titles
    assert all(title.strip() in paper for title in titles)


def test_a_tall_figure_is_cut_at_its_gaps(browser):
    boxes = "".join(f'<rect x="10" y="{y}" width="80" height="80"/>' for y in range(10, 400, 100))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="400">{boxes}</svg>'
    page = browser.new_page()
    page.set_content(f"<img class='tall' src='data:image/svg+xml,{quote(svg)}' alt='boxes'>")
    page.evaluate("() => document.images[0].decode()")
    page.evaluate(CUT, 1.3)
    read = "all => all.map(part => parseFloat(part.style.marginTop))"
    tops = page.locator(".piece img").evaluate_all(read)
    assert tops == pytest.approx([0, -100, -200, -300], abs=2)  # a gap is 20 wide
    assert page.get_by_alt_text("boxes").count() == 1
    page.close()


def test_links_lead_from_page_to_page_of_the_pdf(book):
    assert book.count(b"/Subtype /Link") > len(NAMES)
    assert b"file:///" not in book


@pytest.mark.parametrize("name", [name for name in NAMES if Path(name).parent.name == "notebooks"])
def test_a_printed_page_has_its_figures(browser, name):
    page = browser.new_page()
    page.goto((HTML / f"{name}.html").as_uri())
    images = page.locator("article img").count()
    assert page.pdf(tagged=True).count(b"/Alt ") == images
    page.close()
