"""Figures, tables and values as a notebook hands them over, and the markup that shows them."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from docutils.core import publish_doctree
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from myst_parser.docutils_ import Parser

from cpmlib.book import markup
from cpmlib.book.captions import Item
from cpmlib.book.page import Page, _build_of_default
from cpmlib.figures.style import figure_absent
from studies import COHORT


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    """Give every key a number and a caption, so that a test needs none of the book's own."""
    made = {"fig-9": Item("Fig. 9", "Heads.", "Two heads."), "table-9": Item("Table 9", "Text.")}
    monkeypatch.setattr("cpmlib.book.page.item", made.__getitem__)
    return made


@pytest.fixture
def page(tmp_path, monkeypatch, request):
    monkeypatch.setenv("CPMLIB_DATASET", str(COHORT))
    monkeypatch.setenv("CPMLIB_OUTPUT", str(tmp_path))
    monkeypatch.setenv("CPMLIB_OPTIONS", json.dumps({"rout_q": 0.02}))
    return Page("99_test")


def test_options_come_from_the_workflow(page):
    assert page.options.rout_q == 0.02


def test_figure_writes_files_that_carry_the_label(page, tmp_path, capsys):
    figure = Figure()
    figure.subplots().plot([1, 2])
    data = pd.DataFrame({"x": [1.0]})
    page.figure("fig-9", figure, data)
    folder = tmp_path / "99_test_files"
    assert {p.name for p in folder.iterdir()} == {"fig-9.svg", "fig-9.pdf", "fig-9.csv"}
    assert page.dataset.label in (folder / "fig-9.csv").read_text()
    assert page.dataset.label in [text.get_text() for text in figure.texts]


def test_a_figure_that_is_not_there_has_neither_caption_nor_description_of_one(page, monkeypatch):
    shown = []
    monkeypatch.setattr("cpmlib.book.page.display", lambda thing: shown.append(thing.data))
    data = pd.DataFrame({"x": [1.0]})
    for figure in (figure_absent("no image"), Figure()):
        page.figure("fig-9", figure, data)
    assert not figure_absent("no image").axes[0].axison
    assert "**Fig. 9.** No image." in shown[0]
    assert ":alt: No image." in shown[0]
    assert "heads" not in shown[0].lower()
    assert "**Fig. 9.** Heads." in shown[1]


def test_table_writes_files_that_carry_the_label(page, tmp_path):
    page.table("table-9", pd.DataFrame({"a": ["50 % & more"]}))
    folder = tmp_path / "99_test_files"
    assert page.dataset.label in (folder / "table-9.csv").read_text()
    latex = (folder / "table-9.tex").read_text()
    assert page.dataset.label in latex
    assert r"50 \% \& more" in latex


def test_without_a_label_nothing_is_added(page, tmp_path, monkeypatch):
    copy = tmp_path / "study"
    shutil.copytree(COHORT, copy)
    (copy / "dataset_description.json").write_text('{"Name": "real", "BIDSVersion": "1.10.0"}')
    monkeypatch.setenv("CPMLIB_DATASET", str(copy))
    real = Page("99_test")
    figure = Figure()
    real.figure("fig-9", figure, pd.DataFrame({"x": [1]}))
    assert not figure.texts
    assert (tmp_path / "99_test_files" / "fig-9.csv").read_text() == "x\n1\n"


def test_equal_figures_are_equal_files(page, tmp_path):
    contents = []
    for _ in range(2):
        figure = Figure()
        figure.subplots().plot([1, 2])
        page.figure("fig-9", figure, pd.DataFrame({"x": [1]}))
        folder = tmp_path / "99_test_files"
        contents.append([(folder / f"fig-9.{end}").read_bytes() for end in ("svg", "pdf", "csv")])
    assert contents[0] == contents[1]


def test_mathematics_in_a_label_is_not_typeset(page, tmp_path, monkeypatch):
    page.dataset = replace(page.dataset, label=r"cost $\frac$ 50 % } \input{x} {")
    page.figure("fig-9", Figure(), pd.DataFrame({"x": [1]}))
    page.table("table-9", pd.DataFrame({"x": [1.0, float("nan")]}))
    latex = (tmp_path / "99_test_files" / "table-9.tex").read_text()
    assert r"\input" not in latex
    assert r"\textbackslash{}input\{x\}" in latex


def test_a_latex_table_keeps_its_caption_and_no_cell_is_a_command(page, tmp_path, listed):
    cells = pd.DataFrame({"a_b": ["\\input{x}", "^^5cinput", "one\n\n\\par two", float("nan")]})
    caption = "Means of `cpm`, in [the chapter](02.ipynb), 50 % of R²."
    listed["table-9"] = Item("Table 9", caption)
    page.table("table-9", cells)
    latex = (tmp_path / "99_test_files" / "table-9.tex").read_text()
    assert r"Table 9. Means of cpm, in the chapter, 50 \% of R²." in latex
    assert page.dataset.label.split()[0] in latex
    for command in ("\\input", "^^", "\n\n", "\\par", "nan"):
        assert command not in latex, command


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n@", " =", "＝"])
def test_no_cell_of_a_download_is_a_formula(page, tmp_path, start):
    """Read back as a spreadsheet would: a text that computes is an attack, a number is none."""
    hostile = f"{start}HYPERLINK(1)|' /C calc'!A0"
    page.dataset = replace(page.dataset, label=hostile)
    data = pd.DataFrame({hostile: ["x"], "text": [hostile], "n": [-1.5], "written": ["-2.5e3"]})
    page.table("table-9", data, data)
    rows = list(csv.reader((tmp_path / "99_test_files" / "table-9.csv").read_text().splitlines()))
    assert len(rows) == 2
    assert [cell for row in rows for cell in row if cell[0] in "=+-@＝\t\r"] == ["-1.5", "-2.5e3"]
    assert rows[1][2:4] == ["-1.5", "-2.5e3"]


def test_search_finds_printed_values_and_its_titles_are_no_markup(tmp_path):
    from search_index import improve

    index = tmp_path / "searchindex.js"
    hostile = "<img src=x onerror=alert(1)> & more"
    found = {"alltitles": {hostile: [[0, "id1"]]}, "indexentries": {hostile: [[0, "x", False]]}}
    more = {"titles": ["A"], "docnames": ["notebooks/12_ledger"]}
    index.write_text(f"Search.setIndex({json.dumps(found | more)})")
    printed = pd.Series({"a.b": "0.41", "c.d_P": ">0.05", "e": "0.05"})
    improve(index, printed)
    text = index.read_text().removeprefix("Search.setIndex(").removesuffix(")")
    safe = "&lt;img src=x onerror=alert(1)&gt; &amp; more"
    assert json.loads(text) == {
        "alltitles": {
            safe: [[0, "id1"]],
            "0.05": [[0, "q=0.05"]],
            "0.41": [[0, "value-a-b"]],
        },
        "indexentries": {safe: [[0, "x", False]]},
        **more,
    }


def test_a_number_that_does_not_exist_is_not_estimable():
    from docutils import nodes
    from docutils.utils import new_document

    from sphinx_extensions.not_estimable import name_missing_numbers

    document = new_document("page")
    document += nodes.inline("", "nan", classes=["pasted-text"])
    document += nodes.inline("", "2.0", classes=["pasted-text"])
    document += nodes.inline("", "nan")
    name_missing_numbers(None, document)
    assert [node.astext() for node in document.children] == ["not estimable", "2.0", "nan"]


def test_recorded_values_keep_full_precision(page, tmp_path):
    table = pd.DataFrame({"estimate": [0.1 + 0.2], "df": [float("inf")], "p": [float("nan")]})
    page.record({"b": 2 / 3, "a": float("nan")}, models=table)
    content = json.loads((tmp_path / "99_test_files" / "values.json").read_text())
    assert content["values"] == {"a": None, "b": 2 / 3}
    assert content["tables"]["models"] == [{"estimate": 0.1 + 0.2, "df": "inf", "p": None}]


def parsed(text: str):
    settings = {"myst_enable_extensions": ["colon_fence", "dollarmath"], "report_level": 5}
    return publish_doctree(text, parser=Parser(), settings_overrides=settings)


@settings(deadline=None)  # the first parser takes longer
@given(st.text(max_size=40))
def test_escaped_text_is_shown_as_it_is_and_never_as_markup(text):
    table = markup.pipe_table(pd.DataFrame({"a": ["x", text]}))
    document = parsed(table)
    kinds = {type(node).__name__ for node in document.findall()}
    allowed = {
        "document", "table", "tgroup", "colspec", "thead", "tbody", "row", "entry", "paragraph",
        "Text",
    }  # fmt: skip
    assert kinds <= allowed
    shown = document.astext().split("\n\n")
    expected = " ".join(text.split())
    # Markdown shows some characters, such as NUL, as the replacement character.
    if expected.isprintable() and expected:
        assert shown[-1] == expected


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "{include} /etc/passwd",
        "```{code-cell}\nimport os\n```",
        "[click](javascript:alert(1))",
        "![x](http://127.0.0.1/x.png)",
        "a | b | c",
        "{{ config }}",
        "$\\input{x}$",
    ],
)
def test_hostile_text_makes_no_markup(hostile):
    document = parsed(markup.pipe_table(pd.DataFrame({"a": [hostile]})))
    kinds = {type(node).__name__ for node in document.findall()}
    assert not kinds & {"raw", "reference", "image", "math", "literal_block", "problematic"}


def test_run_by_hand_a_notebook_reads_the_default_dataset(monkeypatch, root):
    for name in ("CPMLIB_DATASET", "CPMLIB_OUTPUT", "CPMLIB_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(root / "notebooks")
    page = Page("01_cohort")
    assert page.output is None
    assert len(page.published()) == 143


def test_outside_the_project_the_error_says_so(monkeypatch, tmp_path):
    monkeypatch.delenv("CPMLIB_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="inside the project"):
        Page("01_cohort")


@pytest.mark.parametrize("default", [True, False])
def test_a_study_in_a_folder_of_the_same_name_is_not_the_default(tmp_path, monkeypatch, default):
    """By hand, a notebook shows the default dataset; only its own images belong to that."""
    for name in ("data", "build/private", "surrogate"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "_config.yml").touch()
    build = tmp_path / "build" / "private"
    (build / "study").symlink_to(tmp_path / "surrogate")
    monkeypatch.chdir(tmp_path)
    assert _build_of_default() != build
    (build / "settings.json").write_text(json.dumps({"surrogate": default}))
    assert (_build_of_default() == build) == default


@pytest.mark.parametrize("shown", [pd.DataFrame(columns=["a", "b"]), pd.DataFrame()])
def test_a_table_without_rows_says_none(page, tmp_path, monkeypatch, shown):
    texts = []
    monkeypatch.setattr("cpmlib.book.page.display", lambda thing: texts.append(thing.data))
    page.table("table-9", shown)
    assert "| none |" in texts[0]
    assert "none" not in (tmp_path / "99_test_files" / "table-9.csv").read_text()
