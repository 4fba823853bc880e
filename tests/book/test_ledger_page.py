"""The page of the ledger, from a printed value to its code (after `make book`)."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from cpmlib.book.markup import anchor_of
from studies import ROOT

pytestmark = pytest.mark.browser

HTML = ROOT / "build" / "html"
LEDGER = HTML / "notebooks" / "12_ledger.html"
RHO = "corr.naive.cpm.rho"


@pytest.fixture
def ledger(browser):
    """Open the page at a width and with what follows its address."""
    pages = []

    def opened(after: str = "", width: int = 1440, script: bool = True):
        size = {"width": width, "height": 900}
        page = browser.new_page(viewport=size, java_script_enabled=script)
        pages.append(page)
        page.goto(LEDGER.as_uri() + after)
        return page

    yield opened
    for page in pages:
        page.close()


def in_sight(page) -> list[str]:
    """The anchors of the rows that are shown."""
    shown = page.locator("table.ledger tbody tr:visible [id^=value-]")
    return shown.evaluate_all("all => all.map(one => one.id)")


def test_every_value_leads_to_item_data_cell_and_code(ledger, published):
    page = ledger(script=False)
    assert in_sight(page) == [anchor_of(id) for id in published.index]
    rows = page.locator("table.ledger tbody tr")
    links = rows.evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('a:not(.short)')].map(a => a.href))"
    )
    anchors: dict[str, set[str]] = {}
    for targets in links:
        _, data, cell, code = targets
        assert data.endswith(".csv")
        assert "#cell-" in cell
        assert "/_modules/cpmlib/" in code
        for target in targets:
            name, _, anchor = unquote(target.removeprefix(HTML.as_uri() + "/")).partition("#")
            assert (HTML / name).is_file(), target
            if target != data and name not in anchors:
                anchors[name] = set(re.findall(r'\bid="([^"]+)"', (HTML / name).read_text("utf-8")))
            assert target == data or anchor in anchors[name], target


def test_the_cell_of_a_value_opens(ledger):
    page = ledger(f"#{anchor_of(RHO)}")
    page.locator("tr.marked a", has_text="cell").click()
    page.wait_for_url("**/03_correlations.html#cell-table-2")
    assert page.locator("#cell-table-2").get_by_text("table_2").first.is_visible()


def test_filter_and_order(ledger):
    page = ledger("?q=0.41")
    assert in_sight(page) == [anchor_of(RHO)]
    page.get_by_label("Find").fill("")
    everything = in_sight(page)
    page.get_by_label("Part").select_option("Cases")
    assert in_sight(page) == [one for one in everything if one.startswith("value-case-")]
    page.get_by_label("Sort by").select_option("Printed")
    printed = page.locator("table.ledger tbody tr:visible td:nth-child(4)").all_inner_texts()
    assert list(map(float, printed)) == sorted(map(float, printed))
    page.get_by_label("Part").select_option("all")
    verdict = page.locator("label", has_text=re.compile("^Verdict")).locator("select")
    verdict.select_option("reproduced if truncated")
    assert 0 < len(in_sight(page)) < len(everything)
    assert page.locator("output").inner_text().endswith(f"of {len(everything)} values")


def test_a_filter_is_used_with_the_keyboard(ledger):
    page = ledger()
    page.get_by_label("Find").focus()
    page.keyboard.type("1974")
    assert in_sight(page) == [anchor_of("corr.whole.cpm.rmse")]
    page.keyboard.press("Enter")
    assert page.url == LEDGER.as_uri()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SELECT"


@pytest.mark.parametrize("hash", [RHO, anchor_of(RHO)])
def test_an_address_opens_its_row(ledger, hash):
    page = ledger(f"#{hash}", width=375)
    marked = page.locator("tr.marked")
    assert marked.locator("[id^=value-]").get_attribute("id") == anchor_of(RHO)
    assert 0 <= marked.bounding_box()["y"] < 900


@pytest.mark.parametrize("script", [True, False])
def test_the_ledger_fits_a_phone(ledger, script):
    page = ledger(width=375, script=script)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    if script:
        widths = page.locator("table.ledger").evaluate_all(
            "all => all.map(t => t.parentElement.scrollWidth - t.parentElement.clientWidth)"
        )
        assert max(widths) <= 0


@pytest.mark.parametrize(
    ("words", "ids"), [("0.41", [RHO]), ("1974", ["corr.whole.cpm.rmse"]), ("0.05", None)]
)
def test_search_finds_a_printed_value(browser, words, ids, published):
    page = browser.new_page()
    page.goto(f"{(HTML / 'search.html').as_uri()}?q={words}")
    page.locator("#search-results a", has_text=re.compile(rf"> {words}$")).click()
    page.wait_for_selector("output")
    if ids is None:
        ids = published.index[published["printed"].str.contains(words, regex=False)]
        assert set(map(anchor_of, ids)) <= set(in_sight(page))
    else:
        marked = page.locator("tr.marked [id^=value-]").get_attribute("id")
        assert [marked] == list(map(anchor_of, ids))
    page.close()


def test_the_script_is_small():
    assert (ROOT / "book" / "_static" / "ledger.js").stat().st_size < 4096


def test_each_page_names_its_code_once():
    for path in (*HTML.glob("book/*.html"), *HTML.glob("notebooks/*.html")):
        assert path.read_text("utf-8").count("Code: cpmlib ") == 1, path.name
