"""The built pages beside their accepted pictures (`make accept-screenshots`)."""

from __future__ import annotations

import numpy as np
import pytest

import page_pictures
from page_pictures import ACCEPTED, TOLERANCE, VIEWS, changes, compare, take
from screenshots import HTML, built_pages

pytestmark = pytest.mark.browser

PAGES = built_pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_looks_as_it_was_accepted(browser, path):
    said = [changes(path, view, picture) for view, picture in take(browser, path).items()]
    assert not any(said), f"{said}; make accept-screenshots takes what is meant to be so"


def test_every_picture_is_of_a_page_and_all_are_small():
    files = set(ACCEPTED.glob("*.png"))
    assert {file.name for file in files} == {
        f"{p.stem}-{view}.png" for p in PAGES for view in VIEWS
    }
    assert sum(file.stat().st_size for file in files) < 2e6


COLUMN = "for (const row of document.querySelector('article table').rows) row.cells[1].remove()"
CODE = """for (const text of document.querySelectorAll("article p, footer p"))
  text.innerHTML = text.innerHTML.replace(/(code version |commit )\\w+/, "$1 0000000 and more")"""


@pytest.mark.parametrize(
    ("page", "spoil"),
    [
        ("02_groups", "document.querySelector('article figure').remove()"),
        ("02_groups", "document.querySelector('article figure img').style.opacity = 0"),
        ("03_correlations", COLUMN),
    ],
    ids=["no figure", "an empty figure", "no column"],
)
def test_a_planted_change_is_seen_and_named(browser, page, spoil, tmp_path, monkeypatch):
    monkeypatch.setattr(page_pictures, "CHANGED", tmp_path)
    path = HTML / "notebooks" / f"{page}.html"
    said = changes(path, "desk", take(browser, path, spoil)["desk"])
    assert said.startswith(f"{page}.html (desk)")
    assert "below 'Figure" in said or "below 'Table" in said
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{page}-desk-{what}.png" for what in ("new", "accepted", "difference")
    }


def test_the_line_of_the_code_is_not_looked_at(browser):
    path = HTML / "notebooks" / "02_groups.html"
    assert "code version" in path.read_text("utf-8")
    assert changes(path, "desk", take(browser, path, CODE)["desk"]) == ""


def test_what_follows_a_line_more_is_found_where_it_lies():
    rng = np.random.default_rng(1)
    old = rng.uniform(0, 255, (160, 40))
    new = np.concatenate([old[:72], np.full((2, 40), 255.0), old[72:]])
    away = compare(new, old)
    assert away[:64].max() == 0
    assert away[64:80].max() > TOLERANCE
    assert away[80:].max() == 0
