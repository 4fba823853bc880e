"""What notebooks declare: read, refused if it is wrong, and all that the workflow knows of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import dependencies
import needs
from cpmlib.paper.ledger import NOTEBOOK
from cpmlib.study.errors import DatasetError
from studies import ROOT

PAGE = """---
kernelspec:
  name: python3
{}---

# Another page
"""


@pytest.fixture
def notebooks(tmp_path, monkeypatch) -> Path:
    """An empty folder of notebooks in a project that has data."""
    for module in (needs, dependencies):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    shutil.copytree(ROOT / "data" / "surrogate", tmp_path / "data" / "surrogate")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_cohort.md").write_text(PAGE.format(""))
    return tmp_path / "notebooks"


def declare(notebooks: Path, text: str) -> needs.Needs:
    (notebooks / "15_new.md").write_text(PAGE.format(text))
    return needs.read_needs("15_new")


def test_a_page_of_statistics_declares_nothing(notebooks):
    assert declare(notebooks, "") == needs.Needs()


def test_what_a_new_notebook_declares_is_what_it_gets(notebooks):
    text = "needs:\n  data: [data/surrogate/*.tsv]\n  patients: all\n  values_of: [01_cohort]\n"
    found = declare(notebooks, text + "  study: false\n")
    assert (found.patients, found.values_of, found.study) == ("all", ("01_cohort",), False)
    assert needs.data_files("15_new") == [
        "data/surrogate/participants.tsv",
        "data/surrogate/samples.tsv",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  patients: some", "patients: some; expected one of all, cases, first, none"),
        ("  patients: true", "patients: True; expected a word"),
        ("  patient: all", "patient: all; expected one of data, images, model"),
        ("  model: trained", "model: trained; expected true or false"),
        ("  data: data/surrogate", "data: data/surrogate; expected a list"),
        ("  data: [data/nothing.tsv]", "data: data/nothing.tsv; expected files of the project"),
        ("  data: [/etc/passwd]", "data: /etc/passwd; expected files of the project"),
        ("  data: [../*]", "data: ../*; expected files of the project"),
        ("  values_of: [02_groups]", "values_of: 02_groups; expected the names of other notebooks"),
        ("  values_of: [15_new]", "values_of: 15_new; expected the names of other notebooks"),
        ("  - all", "expected a name and a value on each line"),
        ("  data: [", "a header that is no YAML"),
    ],
)
def test_a_wrong_declaration_names_its_notebook(notebooks, line, said):
    with pytest.raises(DatasetError) as error:
        declare(notebooks, f"needs:\n{line}\n")
    assert "notebooks/15_new.md: found" in str(error.value)
    assert said in str(error.value)
    assert "Remedy" in str(error.value)


def test_the_ledger_declares_the_notebooks_that_compute_printed_values():
    assert set(needs.read_needs("12_ledger").values_of) == set(NOTEBOOK.values())


def test_what_pages_read_is_declared():
    """By what their cells call; the imports tell the rest."""
    for name in dependencies.notebook_names():
        text = (ROOT / "notebooks" / f"{name}.md").read_text("utf-8")
        declared = needs.read_needs(name)
        assert (declared.patients != "none") == ("StudyImages(" in text), name
        assert bool(declared.values_of) == ("collect(page" in text), name
        calls = ("page.published()", "read_findings()", "read_published(")
        reads = any(call in text for call in calls)
        assert ("data/published-values.tsv" in declared.data) == reads, name


def test_no_notebook_is_named_in_the_workflow():
    paths = [p for p in (ROOT / "workflow").iterdir() if p.suffix == ".py" or p.name == "Snakefile"]
    names = "|".join(dependencies.notebook_names())
    for path in paths:
        text = path.read_text("utf-8").replace("values_of: [01_cohort]", "")  # an example
        assert not re.search(rf"\b({names})\b", text), path.name
