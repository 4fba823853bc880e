"""The whole way from a dataset to pages, in a copy of the project.

The tests run in their order and share one copy, and one study with a payload of each kind: each
starts from what the one before it built. Where no page is looked at, only the values are built.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cpmlib.paper.analysis import regenerate
from cpmlib.paper.feasibility import bounds
from cpmlib.paper.ledger import make_ledger, summary
from cpmlib.study.dataset import read_dataset
from cpmlib.study.options import AnalysisOptions
from studies import COHORT, VALUES, executed, rewrite, set_cell

pytestmark = pytest.mark.book

MINIMAL = "participant_id,sample_id,treatment,cpm,adc,he_cellularity\n"
HOSTILE = (
    "http <img src=x onerror=alert(1)> {include} `x` | ]( & $\\frac$ SYNTHETIC 合成 Zauberberg"
)
"""Markup in several languages, and a word that is nowhere else."""


@pytest.fixture(scope="module")
def study(project) -> Path:
    """The cohort with identifiers in its tables, names in its paths, and markup in its texts."""
    folder = project.study
    shutil.copytree(COHORT, folder)
    for name in ("participants.tsv", "samples.tsv"):
        path = folder / name
        path.write_text(
            path.read_text().replace("sub-", "sub-MRN47").replace("sample-", "sample-ACC9")
        )
    add_images(folder)
    add_markup(folder)
    return folder


def add_images(study: Path) -> None:
    """Add maps of one patient, with telling entities in their names."""
    who = (study / "participants.tsv").read_text().splitlines()[1].split("\t")[0]
    folder = study / "derivatives" / "KlinikumOst" / who / "ses-19520109" / "anat"
    folder.mkdir(parents=True)
    brain = np.zeros((24, 24, 24), np.float32)
    brain[4:20, 4:20, 4:20] = 1
    for kind, value in (("ADC", 900e-6), ("cpm", 1500.0)):
        name = f"{who}_ses-19520109_acq-MuellerHans_{kind}.nii.gz"
        nib.save(nib.Nifti1Image(brain * value, np.diag([5.0, 5, 5, 1])), folder / name)


def add_markup(study: Path) -> None:
    description = study / "dataset_description.json"
    content = json.loads(description.read_text()) | {"DataLabel": HOSTILE, "Name": HOSTILE}
    content |= {"Authors": [HOSTILE], "HowToAcknowledge": HOSTILE}
    description.write_text(json.dumps(content))

    def exclude(rows: list[list[str]]) -> None:
        for row in rows:
            row.append("n/a")
        rows[0][-1] = "exclude_reason"
        rows[4][-1] = f"x {HOSTILE}, as {rows[3][0]}"

    rewrite(study / "samples.tsv", exclude)
    (study / "samples.json").write_text(json.dumps({"comment": {"Description": HOSTILE}}))
    for table in ("participants.tsv", "samples.tsv"):  # columns of the study's own
        cells = [line + f"\tx\t{HOSTILE}" for line in (study / table).read_text().splitlines()]
        cells[0] = cells[0].removesuffix(f"x\t{HOSTILE}") + "<img src=x>\tcomment"
        (study / table).write_text("\n".join(cells) + "\n")


def shown(page: str) -> str:
    """The article without the parts that differ between builds whatever the numbers."""
    return re.sub(r"<head>.*?</head>", "", page, flags=re.DOTALL)


def totals(study: Path, published: pd.DataFrame, **options: str) -> str:
    """What the last line of a build should say, without the workflow."""
    dataset = read_dataset(study)
    values = regenerate(dataset, AnalysisOptions(**options))
    ledger = make_ledger(published, values, bounds(published), dataset.relation)
    return summary(ledger, dataset.relation)


def test_the_default_tables_without_images_give_the_totals_of_the_default_book(project, published):
    run = project.build("--dataset", "data/surrogate", "build/private/dataset/samples.tsv")
    assert run.returncode == 0, run.stdout + run.stderr
    assert executed(run) == set()
    line = totals(project.folder / "build" / "private" / "dataset", published)
    assert line.startswith("138 of 143 printed values reproduced")
    assert "4 reproduced if truncated; 0 not reproduced; 1 cannot hold" in line


def test_one_patient_says_not_estimable_and_still_builds(project, tmp_path):
    table = tmp_path / "one.csv"
    table.write_text(MINIMAL + "1,a,recurrent,1200,1000,2000\n1,b,recurrent,1300,900,2500\n")
    run = project.build("--dataset", str(table), *project.of_study[2:])
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(executed(run)) == len(list(project.folder.glob("notebooks/*.md")))
    for name in ("02_groups", "03_correlations", "04_cpm_against_adc", "05_non_independence"):
        assert "not estimable" in project.page(f"notebooks/{name}.html"), name
    for name, page in project.pages().items():
        if name.startswith("notebooks/") and "14_surrogate" not in name:
            unread = r'<div class="highlight-ipython.*?</pre>|<script.*?</script>'
            results = re.sub(unread, "", page, flags=re.DOTALL)
            assert not re.search(r">[^<]*\bnan\b[^<]*<", results), name
    assert "SYNTHETIC" not in project.page("notebooks/02_groups.html")
    assert run.stdout.strip().splitlines()[-1].startswith("another study than the paper's: ")
    for name, page in project.pages().items():
        if name.startswith(("book/", "notebooks/")):
            assert "Dataset: A study in one table" in page, name
    # The chapter on the surrogate is about other data; its figures and tables say so even here.
    assert project.page("notebooks/14_surrogate.html").count("SYNTHETIC") >= 2


def test_a_study_builds_and_ends_with_its_totals_for_the_options(project, study, published):
    """Of the paper's own table and of the default book others are tests; these are independent."""
    run = project.build_study()
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(executed(run)) == len(list(project.folder.glob("notebooks/*.md"))) - 1
    assert "14_surrogate" not in executed(run)
    wald_z = totals(study, published, mixed_model_test="wald-z")
    assert run.stdout.strip().splitlines()[-1] == wald_z != totals(study, published)
    assert "wald-z" in project.page("notebooks/05_non_independence.html")
    for name, page in project.pages().items():
        if name.startswith(("book/", "notebooks/")):
            assert html.escape(HOSTILE, quote=False) in page, name


def test_nothing_changed_nothing_runs(project, study):
    run = project.build_study()
    assert run.returncode == 0
    assert executed(run) == set()
    assert "building the pages" not in run.stdout


def test_no_identifier_and_no_name_of_a_file_reaches_a_page(project, study):
    """Entities of names, a folder's name, and what a folder's neighbours say of it."""
    assert "no brain mask" in project.page("notebooks/09_quality_control.html")
    shared = [*project.html.rglob("*"), project.folder / VALUES]
    shared.append(project.folder / "build" / "changes.md")
    built = b"".join(p.read_bytes() for p in shared if p.is_file()).lower()
    secrets = ("19520109", "MuellerHan", "KlinikumOst", "MRN47", "ACC9")
    for secret in (*secrets, str(study), str(project.folder), study.parent.name):
        assert secret.lower().encode() not in built, secret
    # All of them are in one folder, which says so.
    build = project.folder / "build"
    names = {"html", "values.json", "changes.md", "private"}
    assert {path.name for path in build.iterdir()} == names
    assert "Do not share" in (build / "private" / "README.md").read_text()


def test_markup_in_a_dataset_stays_text(project):
    cohort = project.page("notebooks/01_cohort.html")
    assert "S04" in cohort
    assert "as S03" in cohort
    for name, page in project.pages().items():
        assert "<img src=x" not in page, name
        assert "announcement-url" not in page, name


def test_no_text_of_a_dataset_runs_when_it_is_read_found_or_downloaded(project, browser):
    """The pages of the study with markup in its label and name, in a browser."""
    page = browser.new_page()
    page.add_init_script("window.alert = () => (window.ran = true)")
    names = sorted(name for name in project.pages() if name.startswith(("book/", "notebooks/")))
    searched = [f"search.html?q={word}" for word in ("onerror", "img", "SYNTHETIC", "include")]
    for name in names + searched:
        page.goto(f"{project.html.as_uri()}/{name}")
        page.wait_for_timeout(300)
        if name in searched:
            page.wait_for_selector("#search-results li")
        assert page.evaluate("!window.ran && !document.querySelector('[onerror], [src=x]')"), name
    page.close()
    for path in project.html.rglob("*.svg"):
        kinds = {element.tag.rpartition("}")[2] for element in ET.parse(path).iter()}
        assert not kinds & {"script", "foreignObject", "img", "a"}, path.name
    tables = [path.read_text("utf-8") for path in project.html.rglob("*.tex")]
    assert any(r"\textbackslash{}frac" in text for text in tables)
    assert not any(r"\frac" in text for text in tables)


def test_a_page_that_shows_a_name_is_not_put_in_place(project, study):
    """A folder is called by a word of the label, which stands on every page."""
    before = project.pages()
    folder = study / "derivatives" / "Zauberberg"
    folder.mkdir()
    (project.folder / "build" / "private" / "pages.done").unlink()
    run = project.build_study()
    folder.rmdir()
    assert run.returncode != 0
    assert "found 'zauberberg'" in run.stderr
    assert project.pages() == before


def test_a_changed_sample_and_a_new_patient_change_every_page_with_numbers(project, study):
    before, n_samples = project.pages(), project.content["values"]["t1.n_samples"]
    set_cell(study / "samples.tsv", 2, "cpm", "1777.7")
    rewrite(study / "participants.tsv", lambda rows: rows.append(["sub-MRN4799", *rows[-1][1:]]))
    rewrite(
        study / "samples.tsv",
        lambda rows: rows.append(["sample-ACC999", "sub-MRN4799", *rows[-1][2:]]),
    )
    run = project.build_study()
    assert run.returncode == 0, run.stdout + run.stderr
    assert "14_surrogate" not in executed(run)
    assert project.content["values"]["t1.n_patients"] == 28
    assert project.content["values"]["t1.n_samples"] == n_samples + 1
    after = project.pages()
    # Two chapters are about the default dataset and about print alone; this study has no images.
    others = {"14_surrogate", "15_audit", "08_one_patient", "10_regions", "11_training"}
    numbered = [n for n in after if n.startswith("notebooks/") and Path(n).stem not in others]
    unchanged = {n for n in [*numbered, "book/index.html"] if shown(after[n]) == shown(before[n])}
    assert unchanged == set()


def test_a_library_change_reruns_only_what_depends_on_it(project, study):
    module = project.folder / "src" / "cpmlib" / "statistics" / "meng.py"
    module.write_text(module.read_text() + "\n# a comment\n")
    run = project.build_study(VALUES)
    assert executed(run) == {
        "04_cpm_against_adc",
        "12_ledger",
        "13_sensitivity",
        "14_surrogate",
        "15_audit",
        "16_claims",
        "17_map_quality",
        "18_possible_cohorts",
    }


def test_a_changed_sentence_reruns_its_notebook_and_the_ledger(project, study):
    notebook = project.folder / "notebooks" / "07_cases.md"
    notebook.write_text(notebook.read_text() + "\nOne more sentence.\n")
    run = project.build_study(VALUES)
    assert executed(run) == {"07_cases", "12_ledger", "16_claims"}
    made = project.folder / "build" / "private" / "site" / "notebooks" / "07_cases.ipynb"
    assert "One more sentence." in made.read_text("utf-8")


NEW = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
needs:
  values_of: [01_cohort]
---

# A page more

```{code-cell} ipython3
from cpmlib.book.page import Page
from cpmlib.book.ledger import collect

page = Page("15_new")
print("patients:", collect(page, ["01_cohort"])["t1.n_patients"])
page.record({})
```
"""


def test_a_new_notebook_is_built_with_what_it_declares(project, study):
    """Nothing but its file and its line in the table of contents."""
    notebook = project.folder / "notebooks" / "15_new.md"
    contents = project.folder / "book" / "_toc.yml"
    kept = contents.read_text()
    line = "      - file: notebooks/07_cases\n"
    contents.write_text(kept.replace(line, f"{line}      - file: notebooks/15_new\n"))
    notebook.write_text(NEW.replace("values_of:", "value:"))
    run = project.build_study()
    assert run.returncode == 2
    assert "notebooks/15_new.md: found needs: value" in run.stderr
    notebook.write_text(NEW)
    made = "build/private/site/notebooks/15_new.ipynb"
    run = project.build_study(made)
    assert run.returncode == 0, run.stdout + run.stderr
    assert executed(run) == {"15_new"}
    assert "patients: 28" in (project.folder / made).read_text("utf-8")
    notebook.unlink()
    contents.write_text(kept)


def test_a_failing_cell_stops_the_build_and_keeps_the_pages(project, study):
    before = project.pages()
    notebook = project.folder / "notebooks" / "07_cases.md"
    good = notebook.read_text()
    notebook.write_text(good + "\n```{code-cell} ipython3\n1 / 0\n```\n")
    run = project.build_study()
    notebook.write_text(good)
    assert run.returncode != 0
    assert "ZeroDivisionError" in run.stderr
    assert "07_cases.md" in run.stderr
    assert project.pages() == before


def test_a_number_that_nobody_computed_stops_the_build(project, study):
    before = project.pages()
    notebook = project.folder / "notebooks" / "07_cases.md"
    good = notebook.read_text()
    notebook.write_text(good + "\nThe answer is {glue:text}`no_such_key`.\n")
    run = project.build_study()
    notebook.write_text(good)
    assert run.returncode != 0
    assert "no_such_key" in run.stderr
    assert project.pages() == before


def test_a_bad_dataset_is_refused_before_anything_is_touched(project, study, tmp_path):
    before = project.pages()
    bad = tmp_path / "bad"
    shutil.copytree(study, bad)
    set_cell(bad / "samples.tsv", 6, "cpm", "12,5")
    run = project.build("--dataset", str(bad))
    assert run.returncode != 0
    assert "samples.tsv, row 6, column 'cpm': found 12,5" in run.stderr
    assert "Traceback" not in run.stderr
    assert project.pages() == before
    braces = tmp_path / "{name}"  # a wildcard to the workflow, were it to see the path
    shutil.copytree(bad, braces)
    assert "row 6" in project.build("--dataset", str(braces)).stderr
    missing = project.build("--dataset", str(tmp_path / "nowhere"))
    assert missing.returncode != 0
    assert "nowhere" in missing.stderr
    assert "Remedy" in missing.stderr


def test_unknown_option_is_refused(project):
    for pair in ("colour=red", "colour", "", "rout_q=much"):
        run = project.build("--set", pair)
        assert run.returncode == 2
        assert "Traceback" not in run.stderr


def test_a_killed_build_is_taken_up_again_and_equal_inputs_give_equal_bytes(project, study):
    """All is built anew, in two halves: with what the sentence changed, as it was before."""
    notebook = project.folder / "notebooks" / "05_non_independence.md"
    notebook.write_text(notebook.read_text() + "\nTaken up again.\n")
    first = (project.folder / VALUES).read_bytes()
    shutil.rmtree(project.folder / "build")
    with project.start(*project.of_study, start_new_session=True) as process:
        assert any("05_non_independence" in line for line in process.stdout)
        second = project.build_study()
        os.killpg(process.pid, signal.SIGKILL)
    assert second.returncode == 2
    assert "another build" in second.stderr
    run = project.build_study()
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Taken up again." in project.page("notebooks/05_non_independence.html")
    assert (project.folder / VALUES).read_bytes() == first
