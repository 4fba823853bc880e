"""The notebooks as they are committed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import jupytext
import pytest

from studies import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.md"))
PRINTED_NUMBER = re.compile(r"(?<![\w`{/.-])\d{2,}(?:\.\d+)?(?![\w`])")


def cells(notebook):
    return [
        (c.cell_type, c.source.strip(), sorted(c.metadata.get("tags", []))) for c in notebook.cells
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_two_halves_of_a_pair_agree(path: Path):
    text = jupytext.read(path)
    notebook = jupytext.read(path.with_suffix(".ipynb"))
    assert cells(text) == cells(notebook)


def test_every_notebook_is_a_pair():
    stems = {p.stem for p in NOTEBOOKS}
    assert stems == {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert stems


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_outputs_are_committed(path: Path):
    notebook = json.loads(path.with_suffix(".ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


# Numbers that belong to the method, not to the results, and may stand in the text.
OF_THE_METHOD = {"95", "30"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_result_is_typed_into_the_text(path: Path):
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "markdown":
            text = re.sub(
                r"```.*?```|\{glue:text\}`[^`]*`|\]\([^)]*\)|\$\$.*?\$\$|\$[^$]*\$",
                "",
                cell.source,
                flags=re.S,
            )
            found = [n for n in PRINTED_NUMBER.findall(text) if n not in OF_THE_METHOD]
            assert not found, f"{path.name}: {found} in {cell.source[:60]!r}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_opens_its_own_page(path: Path):
    assert f'Page("{path.stem}"' in path.read_text("utf-8")


def test_figures_and_tables_are_numbered_once():
    text = "".join(path.read_text("utf-8") for path in NOTEBOOKS)
    titles = re.findall(r'title=f?"([^"]+)"', text)
    assert len(titles) == len(set(titles))
    assert all(re.search(r"[0-9{]", title) for title in titles)
    assert len(titles) == text.count("page.figure(") + text.count("page.table(")


def test_the_book_lists_every_notebook():
    toc = (ROOT / "book" / "_toc.yml").read_text("utf-8")
    for path in NOTEBOOKS:
        assert f"notebooks/{path.stem}" in toc


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_number_that_is_not_estimable_can_be_formatted(path: Path):
    """Such a number is NaN, which has no form as a whole number."""
    assert not re.findall(r"\{glue:text\}`[^`]*:d`", path.read_text("utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_cell_shows_a_raw_table(path: Path):
    """What a reader sees goes through `Page.table`: with caption, units, and headers with text."""
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            last = ast.parse(cell.source).body[-1:]
            shown = [node for node in last if isinstance(node, ast.Expr)]
            assert not any(isinstance(node.value, ast.Name) for node in shown), cell.source
