"""The notebooks as they are committed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import jupytext
import pytest
import yaml

from cpmlib.book.captions import read_items
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
    # Whoever opens the one writes the other.
    assert text.metadata.get("needs") == notebook.metadata.get("needs")
    # Without it `jupytext --sync` puts the older half's `needs` in both.
    assert text.metadata["jupytext"]["notebook_metadata_filter"] == "needs"


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
    kind = "Lesson" if "_learn_" in path.stem else "Page"
    assert f'{kind}("{path.stem}"' in path.read_text("utf-8")


def keys_in_reading_order() -> list[str]:
    """The figures and tables of the book: those that each page of the table of contents shows."""
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8"))
    keys: list[str] = []
    for chapter in (entry["file"] for part in contents["parts"] for entry in part["chapters"]):
        text = (ROOT / f"{chapter}.md").read_text("utf-8")
        for call, key in {"show_bounds(": "table-proof", "show_ledger(": "table-ledger"}.items():
            text = text.replace(call, f'"{key}"')
        text = re.sub(r"^:name: (fig-[a-z]+)$", r'"\1"', text, flags=re.M)
        code = re.sub(r"^(from|import) .*", "", text, flags=re.M)
        keys += re.findall(r'"((?:fig|table)-[a-z0-9-]+)"', code)
    return keys


def test_figures_and_tables_are_listed_in_reading_order():
    assert keys_in_reading_order() == list(read_items())


@pytest.mark.parametrize("kind", ["Fig.", "Table"])
def test_numbers_have_no_gap(kind):
    numbers = [item.number for item in read_items().values()]
    assert len(numbers) == len(set(numbers))
    own = [number for number in numbers if number.startswith(f"{kind} B")]
    assert own == [f"{kind} B{i}" for i in range(1, len(own) + 1)]


@pytest.mark.parametrize("kind", ["Fig.", "Table"])
def test_what_is_the_papers_has_its_number(kind):
    numbers = [item.number for item in read_items().values() if " B" not in item.number]
    paper = {"Fig.": (4, 2), "Table": (2, 1)}[kind]
    main = [f"{kind} {i}" for i in range(1, paper[0] + 1)]
    supplement = [f"Supplementary {kind} {i}" for i in range(1, paper[1] + 1)]
    found = [number for number in numbers if kind in number]
    assert sorted(found) == sorted(main + supplement)


def test_no_number_of_the_books_own_is_typed():
    for path in [*NOTEBOOKS, *(ROOT / "book").glob("*.md")]:
        assert not re.search(r"(Fig\.|Figs\.|Table|Tables) B\d", path.read_text("utf-8")), path.name


@pytest.mark.parametrize(("key", "entry"), read_items().items())
def test_a_figure_has_an_alternative_text(key, entry):
    if key not in ("fig-workflow", "fig-rooms"):  # which stand on pages of prose
        assert entry.caption
        assert bool(entry.alt) == key.startswith("fig-")


def test_the_number_of_a_notebook_is_its_place_in_the_book():
    toc = (ROOT / "book" / "_toc.yml").read_text("utf-8")
    listed = re.findall(r"file: notebooks/(\S+)", toc)
    assert listed == [path.stem for path in NOTEBOOKS]
    assert [int(name[:2]) for name in listed] == list(range(1, len(listed) + 1))


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
