"""Each printed value has the function that computes it and the item that shows it."""

from __future__ import annotations

import importlib
import sys
from types import CodeType, FrameType

from cpmlib.book.captions import read_items
from cpmlib.paper.analysis import regenerate
from cpmlib.paper.ledger import ORIGINS, PAGES, origin_of
from cpmlib.study.options import AnalysisOptions
from studies import ROOT


def test_every_printed_value_has_an_origin_and_no_pattern_is_idle(published):
    assert {origin_of(id) for id in published.index} == set(ORIGINS.values())


def test_an_item_stands_on_its_page():
    for key, page in PAGES.items():
        assert key in read_items()
        assert f'page.table("{key}"' in (ROOT / "notebooks" / f"{page}.md").read_text("utf-8")


def test_the_functions_that_are_named_compute(cohort):
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    sys.setprofile(note)
    try:
        regenerate(cohort, AnalysisOptions(n_draws=20))
    finally:
        sys.setprofile(None)
    for _, function in ORIGINS.values():
        module, _, name = function.rpartition(".")
        assert getattr(importlib.import_module(module), name).__code__ in called, function
