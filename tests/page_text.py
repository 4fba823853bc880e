"""The text of a page as a reader of some dataset gets it, without building the book."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import IPython.display
import jupytext
import myst_nb
import pandas as pd
import pytest

import cpmlib.book.claims
import cpmlib.book.page
from studies import ROOT

_GLUE = re.compile(r"\{glue:text\}`([^`:]*)(?::([^`]*))?`")


def page_text(name: str, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Execute a notebook's cells in this process; return its prose, captions and tables."""
    return run_page(name, dataset, monkeypatch)[0]


def run_page(
    name: str, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    """As `page_text`, with the notebook's variables."""
    monkeypatch.setenv("CPMLIB_DATASET", str(dataset))
    monkeypatch.setenv("CPMLIB_OPTIONS", '{"n_draws": 20}')
    monkeypatch.setenv("CPMLIB_BUILD", str(dataset.parent / "no-images"))
    monkeypatch.delenv("CPMLIB_OUTPUT", raising=False)
    monkeypatch.chdir(ROOT / "notebooks")
    glued: dict[str, Any] = {}
    parts: list[str] = []

    def display(thing: object) -> None:
        if isinstance(thing, IPython.display.Markdown):
            parts.append(str(thing.data))
        elif isinstance(thing, pd.DataFrame):
            rows = [thing.columns, *thing.itertuples(index=False)]
            parts.append("\n".join(" ".join(map(str, row)) for row in rows))

    def shown(match: re.Match[str]) -> str:
        return f"{glued[match[1]]:{match[2] or ''}}"

    monkeypatch.setattr(IPython.display, "display", display)
    for module in (cpmlib.book.page, cpmlib.book.claims):
        monkeypatch.setattr(module, "display", display)
    monkeypatch.setattr(
        myst_nb, "glue", lambda key, value, display=True: glued.update({key: value})
    )
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in jupytext.read(ROOT / "notebooks" / f"{name}.md").cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as in a kernel, where none is an error
                exec(compile(cell.source, name, "exec"), names)
    return _GLUE.sub(shown, "\n\n".join(parts)), names
