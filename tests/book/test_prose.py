"""What the pages say must be true for the study that they are built from."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sys
from pathlib import Path

import jupytext
import numpy as np
import pandas as pd
import pytest

from cpmlib.figures.cases import figure_cases
from cpmlib.study.dataset import read_dataset
from page_text import page_text
from studies import COHORT, ROOT, rewrite

sys.path.insert(0, str(ROOT / "workflow"))
from cpmlib.book import measured

STUDIES = ("one table", "another cohort", "calibrated", "same study")
PAGES = [
    "01_cohort",
    "02_groups",
    "03_correlations",
    "04_cpm_against_adc",
    "05_non_independence",
    "06_hgg_non_enhancing",
    "07_cases",
    "12_ledger",
    "13_sensitivity",
    "16_claims",
    "08_one_patient",
    "09_quality_control",
    "10_regions",
    "15_audit",
    "17_map_quality",
    "18_possible_cohorts",
]
ID = re.compile(r"\b(?:t1|desc|group|corr|meng|lmm|iter|hgg|case)\.[a-z_]+(?:\.[a-z_0-9]+)+")


def one_table(path: Path) -> Path:
    """Recurrent tumours alone, one sample a patient, no case, CPM falling while H&E rises."""
    rng = np.random.default_rng(8)
    he = np.linspace(1000, 5000, 12) + rng.normal(0, 50, 12)
    rows = [
        f"{i:02d},{i:02d}a,recurrent,{2000 - 0.2 * y:.0f},{900 + 0.1 * y:.0f},{y:.0f}\n"
        for i, y in enumerate(he, start=1)
    ]
    path.write_text("participant_id,sample_id,treatment,cpm,adc,he_cellularity\n" + "".join(rows))
    return path


def described(folder: Path, relation: str | None) -> Path:
    """The tests' cohort as a study that is something else to the paper, without case column."""
    shutil.copytree(COHORT, folder)
    path = folder / "dataset_description.json"
    content = {"Name": "A study elsewhere", "BIDSVersion": "1.10.0"}
    path.write_text(json.dumps(content | ({"RelationToPaper": relation} if relation else {})))

    def without_case(rows: list[list[str]]) -> None:
        column = rows[0].index("case")
        for row in rows:
            del row[column]

    rewrite(folder / "samples.tsv", without_case)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("studies")
    studies = {
        "one table": one_table(folder / "study.csv"),
        "another cohort": described(folder / "another", None),
        "calibrated": COHORT,
        "same study": described(folder / "same", "same study"),
    }
    found = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for study, path in studies.items():
            few = ["07_cases", "12_ledger", "16_claims"]
            pages = PAGES if study in ("one table", "calibrated") else few
            found[study] = {name: page_text(name, path, monkeypatch) for name in pages}
    return found


def test_no_sentence_gives_the_datasets_number_as_the_papers():
    """A sentence says what the paper did, or what this dataset gives, never both at once."""
    for path in (ROOT / "notebooks").glob("[0-9]*.md"):
        for cell in jupytext.read(path).cells:
            if cell.cell_type == "markdown":
                for sentence in re.split(r"(?<=[.!?)])\s+", cell.source):
                    both = "{glue:" in sentence and re.search(r"\b[Pp]aper\b", sentence)
                    assert not both, f"{path.name}: {sentence}"


# Where one sample a patient, one treatment group and no image make such a claim false.
FALSE_FOR_ONE_TABLE = [
    r"[Mm]ost patients",
    r"some had come back",
    r"Some tumours had never",
    r"CPM rises with cellularity, ADC falls",
    r"each taken at a target that had been marked",
    r"here they are drawn from the images",
    r"Here every patient is seen",
    r"0 patients gave",
    r"printed values reproduced",
    r"calibrated",
    r"are reproduced",
    r"in which map and histology",
    r"\btoo many\b",
    r"Curves of contrast agent|[Ee]very sphere on its slice of",  # captions of figures that are not
    r"differ in sign",
]


@pytest.mark.parametrize("claim", FALSE_FOR_ONE_TABLE)
def test_a_table_of_one_group_reads_no_false_claim(texts, claim):
    for name, text in texts["one table"].items():
        assert not re.search(claim, text), name


def test_no_table_shows_nan(texts):
    for study, pages in texts.items():
        for name, text in pages.items():
            captions = [part for part in text.split("\n\n") if part.startswith("**Table")]
            after = [text.split(caption, 1)[1].split("\n\n")[1] for caption in captions]
            assert not any(re.search(r"\bnan\b", rows) for rows in after), (study, name)


def test_what_is_not_there_is_said(texts):
    pages = texts["one table"]
    assert "names no case" in pages["07_cases"]
    assert "holds no images" in pages["08_one_patient"]
    assert "holds no images" in pages["09_quality_control"]
    assert "more than one sample:\n0, the most samples of one patient being 1" in pages["01_cohort"]
    assert "not estimable" in pages["06_hgg_non_enhancing"]


@pytest.mark.parametrize("study", ["one table", "another cohort"])
def test_another_study_is_compared_not_judged(texts, study):
    text = texts[study]["12_ledger"]
    assert "compares two studies" in text
    assert "none is counted as reproduced" in text
    assert "2496.84 to 3215.16" in text  # of the paper's mean H&E, from its SD and number
    assert "not reproduced" not in text
    assert "printed values reproduced" not in text


def test_the_same_study_is_judged_and_not_called_calibrated(texts):
    text = texts["same study"]["12_ledger"]
    assert re.search(r"\d+ of 143 printed values reproduced \(", text)
    assert "calibrated" not in text


def test_calibration_is_said_in_the_breath_of_the_totals(texts):
    text = texts["calibrated"]["12_ledger"]
    sentence = next(s for s in text.split("\n\n") if "136 of 143 printed values" in s)
    for part in ("calibrated", "counts and percentages", "values of cases", "limits", "statistics"):
        assert part in sentence


def test_claims_of_another_study_are_tested_and_said_to_be_another_studys(texts):
    text = texts["one table"]["16_claims"]
    assert "which is another study than the paper's" in text
    assert "**another study**" in text
    assert "by construction" not in text
    # CPM that falls while cells rise, in recurrent tumours alone
    assert re.search(r"No association of CPM in the whole cohort: \*\*does not hold\*\*", text)
    assert re.search(r"in treatment\\-naïve patients: \*\*not estimable\*\*, since", text)


def test_claims_that_hold_by_construction_are_said_to(texts):
    for name in ("02_groups", "03_correlations", "05_non_independence", "16_claims"):
        assert "by construction" in texts["calibrated"][name], name
    assert "by construction" not in texts["same study"]["16_claims"]


def test_a_chapter_and_the_page_of_claims_give_the_same_verdict(texts):
    """Both take their words from the same functions."""
    said = texts["calibrated"]["16_claims"]
    for name in ("02_groups", "03_correlations", "04_cpm_against_adc", "06_hgg_non_enhancing"):
        items = re.findall(r"^- .*\*\*.*$", texts["calibrated"][name], re.MULTILINE)
        assert items
        for item in items:
            verdict = item.split("**")
            assert f"{verdict[0]}**{verdict[1]}**" in said, item


def test_no_identifier_of_a_printed_value_is_shown(texts):
    for study, pages in texts.items():
        for name, text in pages.items():
            assert not ID.search(text), (study, name, ID.search(text))


ASCII = re.compile(r"\b\w+_\w+\b|\bmm2\b|\b1e-?\d\b|\btreatment-naive\b|\bfig\d\w?\b|\bnan\b")


def test_tables_are_written_for_readers(texts):
    """No name of a column, no unit or category as files have them; names of files are in quotes."""
    for study, pages in texts.items():
        for name, text in pages.items():
            for part in text.split("\n\n**Table")[1:]:
                rows = part.split("\n\n")[1]
                assert not (found := ASCII.search(rows)), (study, name, found)


@pytest.mark.parametrize("short", ["CPM", "MRI", "SD", "ADC", "WHO CNS", "CET", "nCET", "NOS"])
def test_the_first_page_spells_out_its_abbreviations(texts, short):
    text = texts["calibrated"]["01_cohort"]
    first = re.search(rf"\b{short}\b", text).start()
    rest = text[first + len(short) :]
    assert text[first - 1] == "(" or re.match(r" (is )?the ", rest), text[first - 40 : first + 40]


def test_signs_that_disagree_are_said(texts):
    """In the calibrated cohort those of recurrent tumours do, as the paper prints them."""
    text = texts["calibrated"]["05_non_independence"]
    said = re.search(r"differ in sign for (.*?)\. A slope", text, re.DOTALL)
    found = {name.split(" (")[0] for name in said[1].split("; ")}
    assert found == {"CPM in recurrent tumours", "ADC in recurrent tumours"}


def test_representative_cases_are_named_as_in_the_paper(texts):
    samples = read_dataset(COHORT).samples
    drawn = {text.get_text() for ax in figure_cases(samples).axes for text in ax.texts}
    assert drawn == {"Fig. 3a", "Fig. 3b", "Fig. 4a", "Fig. 4b"}
    for page in ("07_cases", "12_ledger"):
        assert "Fig. 3a" in texts["calibrated"][page]
        assert not re.search(r"\bfig[34][ab]\b", texts["calibrated"][page])


def test_the_page_of_speed_says_what_is_slower_than_its_limit():
    rows = {"what": ["a", "b", "c"], "seconds": [3.0, 91.0, 9.0], "limit": [4.0, 90.0, ""]}
    said = "Longer than its limit: b, 91 s where 90 s are allowed."
    assert measured.over_limit(pd.DataFrame(rows)) == said
    assert "No timed build" in measured.over_limit(pd.DataFrame(rows).iloc[::2])


def test_the_page_of_speed_names_the_slowest_page_and_counts_those_over_the_limit():
    pages = {"a": (900, 950), "b": (1700, 2100), "c": (1000, 1300)}
    numbers = {
        "visits": 3,
        "limits_ms": {"readable": 1500.0, "answer": 50.0},
        "pages": {name: {"readable_ms": m, "worst_ms": w} for name, (m, w) in pages.items()},
        "answers": {"drag": {"median_ms": 20.4, "worst_ms": 61.0}},
    }
    assert measured.page_speed(numbers).to_numpy().tolist() == [
        ["The median page can be read; visits: 3", "1000", "1300", "1500", "1 of 3 pages"],
        ["The slowest, b", "1700", "2100", "1500", "1 of 3 pages"],
        ["Answer: drag", "20", "61", "50", "no"],
    ]


def test_no_two_p_values_that_were_told_apart_look_alike(texts):
    rows = [line.split() for line in texts["calibrated"]["03_correlations"].splitlines()]
    rows = [row for row in rows if row and row[0] in ("Whole", "Treatment-naïve", "Recurrent")]
    found = [row[-2:] for row in rows if re.fullmatch(r"S\d+", row[-8] if len(row) > 8 else "")]
    assert found
    assert all(p != needed for p, needed in found)


def test_the_relation_is_checked(study):
    from cpmlib.study.errors import DatasetError

    path = study / "dataset_description.json"
    content = json.loads(path.read_text())
    assert read_dataset(study).relation == "calibrated"
    wrong = [{"RelationToPaper": "ours"}, {"RelationToPaper": ["calibrated"]}]
    for change, key in itertools.product(wrong, ("RelationToPaper", "Relation_to_paper")):
        path.write_text(json.dumps({**content, key: change["RelationToPaper"]}))
        with pytest.raises(DatasetError, match=r"dataset_description\.json"):
            read_dataset(study)
    del content["RelationToPaper"]
    path.write_text(json.dumps(content))
    assert read_dataset(study).relation == "another study"


def test_a_study_in_one_table_is_not_called_after_its_file(tmp_path):
    table = one_table(tmp_path / "mueller-1952.csv")
    assert "mueller" not in read_dataset(table).name
