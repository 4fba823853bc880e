"""Tables as people bring them: what is read, what is refused, what is left out and what is said."""

from __future__ import annotations

import contextlib
import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dataset as staging
import dependencies
import needs
import prepare
from cpmlib.paper import cases
from cpmlib.roi.extraction import fill_measured
from cpmlib.study import delimited
from cpmlib.study.dataset import pseudonymised, read_dataset, read_tables, write_dataset
from cpmlib.study.delimited import parse_number
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.schemas import PARTICIPANTS, SAMPLES, is_fit_to_show
from studies import rewrite, set_cell

HEADER = "participant_id,sample_id,treatment,cpm,adc,he_cellularity"
MINIMAL = f"""{HEADER}
01,01a,treatment-naive,1215,1040,2190
01,01b,treatment-naive,1402,985,3310
02,02a,recurrent,1330,1275,2950
"""


def table(tmp_path: Path, text: str, name: str = "study.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path) -> list[Problem]:
    with pytest.raises(DatasetError) as caught:
        read_dataset(path)
    return caught.value.problems


def message(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_dataset(path)
    return str(caught.value)


def add_columns(path: Path, **columns: str) -> None:
    """Add columns of one value to a tab-separated table."""

    def change(rows):
        for name, value in columns.items():
            rows[0].append(name)
            for row in rows[1:]:
                row.append(value)

    rewrite(path, change)


def drop_column(path: Path, name: str) -> None:
    def change(rows):
        at = rows[0].index(name)
        for row in rows:
            del row[at]

    rewrite(path, change)


def number_within_patients(study: Path) -> None:
    def change(rows):
        who, sample = rows[0].index("participant_id"), rows[0].index("sample_id")
        seen: dict[str, int] = {}
        for row in rows[1:]:
            seen[row[who]] = seen.get(row[who], 0) + 1
            row[sample] = f"sample-{seen[row[who]]:02d}"

    rewrite(study / "samples.tsv", change)


# Samples numbered within each patient, as BIDS allows.


def test_samples_may_be_numbered_within_patients(study, cohort):
    number_within_patients(study)
    found = read_dataset(study)
    pd.testing.assert_frame_equal(found.samples, cohort.samples)
    assert found.samples["sample_id"].is_unique


@pytest.fixture
def build(tmp_path, monkeypatch) -> Path:
    """Point the staging at an empty folder."""
    for module in (dependencies, prepare, staging):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    (tmp_path / "build" / "derivatives" / "cpmlib").mkdir(parents=True)
    return tmp_path / "build"


def staged(build: Path, study: Path, extracted: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Stage a study whose patients' images gave these tables."""
    for who, values in extracted.items():
        folder = build / "patients" / who
        folder.mkdir(parents=True)
        values.to_csv(folder / "samples.tsv", sep="\t", index=False, na_rep="n/a")
        (build / "targets").mkdir(exist_ok=True)
        (build / "targets" / f"{who}.tsv").write_text("sample_id\n")
    assert staging.main(str(study), str(build / "dataset")) == 0
    return read_dataset(build / "dataset").samples.set_index("sample_id")


def test_values_of_images_reach_the_patient_whose_sample_it_is(study, build):
    number_within_patients(study)
    drop_column(study / "samples.tsv", "cpm")
    names = ["sample-01", "sample-02"]
    values = {
        "sub-01": pd.DataFrame({"sample_id": names, "cpm": [111.0, 112.0]}),
        "sub-02": pd.DataFrame({"sample_id": names, "cpm": [221.0, 222.0]}),
    }
    samples = staged(build, study, values)
    second = samples[samples["participant_id"] == "P02"].index
    assert samples["cpm"].dropna().tolist() == [111.0, 112.0, 221.0, 222.0]
    assert samples.loc[second[0], "cpm"] == 221.0
    origins = pd.read_csv(build / "dataset" / "origins.tsv", sep="\t")
    row = origins[(origins["quantity"] == "cpm") & (origins["sample_id"] == second[1])]
    assert row["extracted"].tolist() == [222.0]
    index = json.loads((build / "dataset" / "images.json").read_text())
    assert index["P02"]["samples"][second[0]] == "sample-01"
    assert index["P02"]["uncounted"] == []


def test_samples_whose_density_is_left_out_are_known_to_the_pages(study, build):
    add_columns(study / "samples.tsv", exclude_reason="n/a", he_exclude_reason="n/a")
    drop_column(study / "samples.tsv", "he_cellularity")
    set_cell(study / "samples.tsv", 2, "exclude_reason", "core lost")
    set_cell(study / "samples.tsv", 3, "he_exclude_reason", "necrosis")
    _, samples, _ = read_tables(study, extracted=True)
    names = samples["sample_id"].to_list()
    staged(build, study, {"sub-01": pd.DataFrame({"sample_id": names[:3], "cpm": 111.0})})
    index = json.loads((build / "dataset" / "images.json").read_text())
    assert index["P01"]["uncounted"] == names[:2]


# Columns: their names, and those that are not used.


@pytest.mark.parametrize("spell", [str.upper, str.title, lambda name: name.replace("_", " ")])
def test_names_of_columns_are_read_whatever_their_capitals(study, cohort, spell):
    for name in ("participants.tsv", "samples.tsv"):
        rewrite(study / name, lambda rows: rows.__setitem__(0, [spell(c) for c in rows[0]]))
    pd.testing.assert_frame_equal(read_dataset(study).samples, cohort.samples)


def test_one_name_in_two_spellings_is_refused(study):
    add_columns(study / "samples.tsv", CPM="1000")
    assert "cpm and CPM" in message(study)


def test_a_column_that_is_not_used_is_named(study):
    add_columns(study / "participants.tsv", handedness="left")
    assert read_dataset(study).notes == ("column 'handedness' of participants.tsv",)


def test_a_measured_column_misspelt_is_not_taken_for_one_left_out(study):
    (study / "sub-01" / "anat").mkdir(parents=True)
    rewrite(
        study / "samples.tsv",
        lambda rows: rows[0].__setitem__(rows[0].index("he_cellularity"), "he_celularity"),
    )
    (problem,) = refused(study)
    assert (problem.column, problem.expected[:16]) == ("he_celularity", "'he_cellularity'")


def test_an_optional_column_that_is_left_out_is_empty(study):
    drop_column(study / "samples.tsv", "case")
    samples = read_dataset(study).samples
    assert samples["case"].isna().all()
    assert cases.cases(samples).empty
    assert not cases.cases(samples)["case"].str.startswith("fig").any()


# Numbers.


@pytest.mark.parametrize("text", ["1,215", "1 215", "1'215", "1\u2019215", "1\u202f215", "1,215.5"])
def test_the_remedy_for_thousands_leads_to_no_other_number(text):
    """`1,215` with a point instead of the comma would be accepted, and a thousand times too low."""
    remedy = parse_number(text)
    assert isinstance(remedy, str)
    assert "thousands" in remedy


def test_points_for_thousands_among_whole_densities(tmp_path):
    (problem,) = refused(table(tmp_path, MINIMAL.replace("2190", "2.190")))
    assert (problem.row, problem.column) == (2, "he_cellularity")
    assert "thousands" in problem.remedy
    values = read_dataset(table(tmp_path, MINIMAL.replace("2190", "219.125"))).samples
    assert values["he_cellularity"].tolist() == [219.125, 3310, 2950]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (MINIMAL.replace("3310", "3310.5").replace("2190", "2.190"), "2.190"),
        (MINIMAL.replace("3310", "3310.125").replace("2190", "2.190"), "2.190"),
        # The column shows by 3310,5 that its commas mark decimals.
        (MINIMAL.replace(",", ";").replace("3310", "3310,5").replace("2190", "2,190"), "2,190"),
    ],
)
def test_a_mark_that_may_be_one_of_thousands_is_refused_whatever_the_others(tmp_path, text, cell):
    (problem,) = refused(table(tmp_path, text))
    assert (problem.row, problem.column, problem.found) == (2, "he_cellularity", cell)
    assert "thousands" in problem.remedy


@pytest.mark.parametrize("cell", ["45.12", "45.1250", "45.12500"])
def test_a_density_that_is_low_is_read_with_other_decimals_and_again_when_written(tmp_path, cell):
    path = table(tmp_path, MINIMAL.replace("2190", cell))
    people, samples, description = read_tables(path)
    write_dataset(tmp_path / "written", people, samples, description)
    for read in (path, tmp_path / "written"):
        assert read_dataset(read).samples["he_cellularity"][0] == float(cell)


@pytest.mark.parametrize("name", ["study.csv", "STUDY.CSV"])
def test_an_empty_cell_of_one_table_is_a_missing_value(tmp_path, name):
    found = read_dataset(table(tmp_path, MINIMAL.replace(",1402,", ",,"), name)).samples
    assert np.isnan(found["cpm"][1])


@pytest.mark.parametrize("given", ["he_nuclei", "he_tissue_area"])
def test_a_count_without_its_area_or_the_reverse_is_refused(study, given):
    """Before any image is read: the rest would come from exports and contradict it."""
    (other,) = {"he_nuclei", "he_tissue_area"} - {given}
    add_columns(study / "samples.tsv", **{given: "2"})
    (problem,) = refused(study)
    assert problem.column == other
    drop_column(study / "samples.tsv", "he_cellularity")
    with pytest.raises(DatasetError) as caught:
        read_tables(study, extracted=True)
    assert [problem.column for problem in caught.value.problems] == [other, "he_cellularity"]


def test_a_density_in_thousands_is_recognised(tmp_path):
    text = MINIMAL.replace("2190", "2.19").replace("3310", "3.31").replace("2950", "2.95")
    (problem,) = refused(table(tmp_path, text))
    assert problem.column == "he_cellularity"
    assert problem.remedy.startswith("multiply by 1000, unless these are logarithms or multiples")


def test_a_date_that_a_spreadsheet_made_a_number_is_recognised(tmp_path):
    """45717 is what Excel stores for the first of March 2025, typed as 1.3."""
    (problem,) = refused(table(tmp_path, MINIMAL.replace("1402", "45717")))
    assert (problem.row, problem.column) == (3, "cpm")
    assert "date" in problem.remedy
    assert "date" in str(parse_number("2025-03-01 00:00:00"))


def test_the_typographic_minus_is_read_and_other_look_alikes_are_named(tmp_path):
    lines = MINIMAL.splitlines()
    text = "\n".join(
        [lines[0] + ",target_x,target_y,target_z", *(x + ",{0},10,30" for x in lines[1:])]
    )
    found = read_dataset(table(tmp_path, text.replace("{0}", "\u221223.5")))
    assert found.samples["target_x"].tolist() == [-23.5] * 3
    assert "U+2013 EN DASH" in message(table(tmp_path, text.replace("{0}", "\u201323.5")))
    assert "U+FF12 FULLWIDTH DIGIT TWO" in message(table(tmp_path, text.replace("{0}", "\uff12")))


def test_a_look_alike_in_a_category_is_named(study):
    set_cell(study / "samples.tsv", 4, "enhancement", "\u0421ET")
    assert "U+0421 CYRILLIC CAPITAL LETTER ES" in message(study)
    set_cell(study / "samples.tsv", 4, "enhancement", "CET")
    set_cell(study / "participants.tsv", 4, "diagnosis_cns5", "astrocytoma\u00a0grade 2")
    assert "U+00A0 NO-BREAK SPACE" in message(study)


def test_the_column_decides_whether_its_commas_mark_decimals(tmp_path):
    lines = ["participant_id;sample_id;treatment;cpm;adc;he_cellularity"]
    lines += ["01;a;recurrent;1215;1040;{0}", "01;b;recurrent;1402;985;{1}"]
    text = "\n".join(lines)
    found = read_dataset(table(tmp_path, text.format("1234,125", "2310,5")))
    assert found.samples["he_cellularity"].tolist() == [1234.125, 2310.5]
    sure = read_dataset(table(tmp_path, text.format("101,378", "102,5"))).samples
    assert sure["he_cellularity"].tolist() == [101.378, 102.5]
    assert "thousands" in message(table(tmp_path, text.format("1,378", "2,310")))
    assert "thousands" in message(table(tmp_path, text.format("1.378", "2310,5")))


# Files.


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_the_line_in_which_excel_names_its_separator(tmp_path, first):
    text = f"{first}\n" + MINIMAL.replace(",", ";")
    assert read_dataset(table(tmp_path, text)).samples["cpm"].tolist() == [1215, 1402, 1330]
    (problem,) = refused(table(tmp_path, text.replace("1402", "many")))
    assert problem.row == 4, "rows are counted as an editor counts them"
    assert "separated by" in message(table(tmp_path, text.replace("=;", "=|")))


def test_a_title_above_the_table_is_said_once(tmp_path):
    (problem,) = refused(table(tmp_path, "Biopsies of 2025,,,,,\n" + MINIMAL))
    assert (problem.found, problem.row) == ("a title or a note", 1)


def test_a_column_without_a_name_is_refused(tmp_path):
    assert "no name above column 4" in message(table(tmp_path, MINIMAL.replace("cpm", "", 1)))


def test_tables_that_are_far_too_long_or_wide(tmp_path):
    rows = "01,01a,recurrent,1215,1040,2190\n" * (delimited.MAX_ROWS + 1)
    assert "at most 100000 rows" in message(table(tmp_path, f"{HEADER}\n{rows}"))
    wide = "\t".join(f"c{i}" for i in range(delimited.MAX_COLUMNS + 1))
    assert "at most 100000 rows and 200 columns" in message(table(tmp_path, f"{wide}\n{wide}\n"))


def workbook(path: Path, change, rows: str = MINIMAL) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    for line in rows.splitlines():
        book.active.append([int(c) if c.isdigit() else c or None for c in line.split(",")])
    change(book)
    book.save(path)
    return path


def hide_row(book):
    book.active.row_dimensions[3].hidden = True


def hide_column(book):
    book.active.column_dimensions.group("D", "E", hidden=True)


def hide_sheet(book):
    book.create_sheet("shown").append(["note"])
    book.active.sheet_state = "hidden"
    book.active = 1


def strike(book):
    from openpyxl.styles import Font

    book.active["D3"].font = Font(strike=True)


def percent(book):
    book.active["D3"] = 14.02
    book.active["D3"].number_format = "0.00%"


def shown_as(number_format):
    return lambda book: setattr(book.active["D3"], "number_format", number_format)


def rich(**font):
    """Give the last sign of a cell's text a font of its own."""

    def change(book):
        from openpyxl.cell.rich_text import CellRichText, TextBlock
        from openpyxl.cell.text import InlineFont

        book.active["D3"] = CellRichText("1402", TextBlock(InlineFont(**font), "2"))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(
            (shown_as(text), "D3 that its format shows")
            for text in ('0.0,"k"', '"n/a"', "0;", ";0")
        ),
        (rich(strike=True), "row 3: found struck-out text in D3"),
        (rich(vertAlign="superscript"), "row 3: found a raised or lowered mark in D3"),
        (percent, "a number in D3 that its format shows as another"),
        (hide_row, "row 3: found a hidden row"),
        (hide_column, "a hidden column D"),
        (hide_sheet, "a hidden first sheet"),
        (strike, "row 3: found struck-out text in D3"),
    ],
)
def test_what_a_workbook_hides_or_strikes_out_is_not_read(tmp_path, change, words):
    assert words in message(workbook(tmp_path / "study.xlsx", change))


@pytest.mark.parametrize(
    ("tag", "flat", "words"),
    [
        ('<row r="3"', '<row r="3" ht="0" customHeight="1"', "row 3: found a hidden row"),
        ("<sheetData>", '<cols><col min="4" max="5" width="0"/></cols><sheetData>', "column D"),
    ],
)
def test_what_has_no_height_or_width_is_hidden(tmp_path, tag, flat, words):
    """openpyxl reads such a row but does not write it."""
    given, path = workbook(tmp_path / "given.xlsx", lambda book: None), tmp_path / "study.xlsx"
    with zipfile.ZipFile(given) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name).decode()
            target.writestr(name, content.replace(tag, flat))
    assert words in message(path)


def test_sheets_that_are_not_read_are_said_by_number(tmp_path):
    path = workbook(tmp_path / "study.xlsx", lambda book: book.create_sheet("Miller").append([1]))
    assert read_dataset(path).notes == ("sheet 2 of the workbook",)


def test_comments_are_not_read_and_said(tmp_path):
    def comment(book):
        from openpyxl.comments import Comment

        book.active["D3"].comment = Comment("not this one", "Miller")

    found = read_dataset(workbook(tmp_path / "study.xlsx", comment))
    assert found.notes == ("comments on cells of the workbook (1)",)


@pytest.mark.parametrize("text", ["#,##0.00_);(#,##0.00)", "[Red]0;-0", '0.0" /mm2"', "0.00E+00"])
def test_usual_formats_are_read(tmp_path, text):
    path = workbook(tmp_path / "study.xlsx", shown_as(text))
    assert read_dataset(path).samples["cpm"].tolist() == [1215, 1402, 1330]


def test_a_chart_before_the_table(tmp_path):
    def add(book):
        from openpyxl.chart import BarChart, Reference

        chart = BarChart()
        chart.add_data(Reference(book.active, min_col=4, min_row=1, max_row=4))
        book.create_chartsheet("chart", 0).add_chart(chart)

    path = workbook(tmp_path / "study.xlsx", add)
    assert read_dataset(path).samples["cpm"].tolist() == [1215, 1402, 1330]


def test_a_workbook_with_a_password_is_said(tmp_path):
    """Such a workbook is an OLE file, whatever its name says."""
    path = tmp_path / "study.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000))
    (problem,) = refused(path)
    assert "password" in problem.found
    assert "without a password" in problem.remedy


def test_a_table_that_was_not_fetched_is_said(study):
    path = study / "samples.tsv"
    path.unlink()
    path.symlink_to("../.git/annex/objects/MD5E-s100--0.tsv")
    assert "samples.tsv: found a link to nowhere" in message(study)
    path.unlink()
    path.write_text("/annex/objects/MD5E-s100--0.tsv\n")
    assert "placeholder of git-annex" in message(study)
    book = table(study, "version https://git-lfs.github.com/spec/v1\n", "study.xlsx")
    assert "placeholder of git-annex" in message(book)


def test_a_row_that_sums_up_is_no_patient(tmp_path):
    (problem,) = refused(table(tmp_path, MINIMAL + "Mean,all,recurrent,1316,1100,2817\n"))
    assert (problem.row, problem.found[:8]) == (5, "sub-Mean")


CELLS = st.one_of(st.text(max_size=8), st.sampled_from(["n/a", "1.0", "sub-1", "1e9", "-", "01"]))
NAMES = st.one_of(st.sampled_from([*PARTICIPANTS.columns, *SAMPLES.columns]), st.text(max_size=5))


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(NAMES, max_size=8), st.lists(st.lists(CELLS, min_size=8, max_size=8), max_size=3))
def test_whatever_a_table_holds_is_read_or_refused(tmp_path, names, rows):
    header = [*HEADER.split(","), *names]
    good = [line.split(",") for line in MINIMAL.splitlines()[1:]]
    lines = [header, *(good[i % 3] + row[: len(names)] for i, row in enumerate(rows))]
    lines += [(row + row)[: len(header)] for row in rows]
    with (tmp_path / "study.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    with contextlib.suppress(DatasetError):
        read_dataset(tmp_path / "study.csv")


# What a study leaves out.


def test_missing_in_the_table_means_left_out_and_an_absent_column_means_measured():
    samples = pd.DataFrame({"sample_id": ["a", "b"], "cpm": [1000.0, np.nan]})
    found = {"sample_id": ["a", "b"], "cpm": [1001.0, 1200.0], "adc": [900.0, np.nan]}
    filled, origins = fill_measured(samples, pd.DataFrame(found))
    np.testing.assert_array_equal(filled["cpm"], [1000.0, np.nan])
    np.testing.assert_array_equal(filled["adc"], [900.0, np.nan])
    used = origins.set_index(["quantity", "sample_id"])["used"]
    assert used["cpm"].tolist() == ["given", "left out"]
    assert used["adc"].tolist() == ["extracted", "none"]


def test_a_count_is_not_taken_from_images_beside_a_density_left_out():
    samples = pd.DataFrame({"sample_id": ["a"], "he_cellularity": [np.nan]})
    counted = {"sample_id": ["a"], "he_cellularity": 2000.0, "he_nuclei": 4000, "he_tissue_area": 2}
    filled, _ = fill_measured(samples, pd.DataFrame(counted))
    assert np.isnan(filled["he_cellularity"][0])
    assert "he_nuclei" not in filled


def test_exclusions_are_listed_with_their_reasons_and_leave_the_tables(study, cohort):
    add_columns(study / "samples.tsv", exclude_reason="n/a", adc_exclude_reason="n/a")
    set_cell(study / "samples.tsv", 2, "exclude_reason", "core lost, see sample-03 of sub-01")
    set_cell(study / "samples.tsv", 3, "adc_exclude_reason", "5 mm slab ends here")
    found = read_dataset(study)
    assert found.samples["sample_id"].tolist() == cohort.samples["sample_id"].tolist()[1:]
    assert np.isnan(found.samples["adc"].iloc[0])
    assert found.samples["cpm"].tolist() == cohort.samples["cpm"].tolist()[1:]
    assert found.excluded.to_numpy().tolist() == [
        ["S01", "P01", "sample", "core lost, see S03 of P01"],
        ["S02", "P01", "adc", "5 mm slab ends here"],
    ]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("as sample-1", "as S01"),
        ("mixed up with sample-1 of sub-B12", "mixed up with S03 of P02"),
        ("tube said Sample-1 (SUB-B12)", "tube said S03 (P02)"),
        ("see sub-B12_sample-1 and sub-B12's sample-2", "see P02_S03 and P02's S04"),
        ("B12 sample-1, not sub-A", "P02 S03, not P01"),
        ("sample-1 of B12 or of sub-A", "S03 of P02 or of P01"),
        # Only one of the patients whom the text is about has it.
        ("like sample-2, B12", "like S04, P02"),
        ("like sample-3", "like S05"),
        # The text does not tell whose.
        ("as in sub-B12: swapped with sample-1", "as in P02: swapped with a sample"),
        ("like sample-3 of sub-A", "like a sample of P01"),
        ("like sample-2", "like a sample"),
    ],
)
def test_a_sample_in_a_reason_is_that_of_the_patient_named_beside_it(reason, shown):
    """Names of samples count within a patient: another's sample of that name is another number."""
    people = pd.DataFrame({"participant_id": ["sub-A", "sub-B12", "sub-C"]})
    rows = [("sub-A", 1), ("sub-A", 4), ("sub-B12", 1), ("sub-B12", 2), ("sub-C", 3), ("sub-C", 2)]
    samples = pd.DataFrame(rows, columns=["participant_id", "sample_id"])
    samples["sample_id"] = "sample-" + samples["sample_id"].astype(str)
    samples["exclude_reason"] = [reason, *[None] * 5]
    found = pseudonymised(people, samples, {"Name": "x"}).samples
    assert found["exclude_reason"][0] == shown


def test_a_patient_without_samples_is_no_longer_in_the_cohort(study):
    add_columns(study / "samples.tsv", exclude_reason="n/a")
    _, samples, _ = read_tables(study)
    for row in samples.index[samples["participant_id"] == "sub-01"]:
        set_cell(study / "samples.tsv", int(row), "exclude_reason", "consent withdrawn")
    found = read_dataset(study)
    assert "P01" not in set(found.participants["participant_id"]) | set(
        found.samples["participant_id"]
    )
    assert found.participants["participant_id"].iloc[0] == "P02", "names do not move up"


def test_a_study_that_excludes_everything_is_refused(study):
    add_columns(study / "samples.tsv", exclude_reason="none is good")
    assert "no sample left" in message(study)


@pytest.mark.parametrize("reason", ["=1+1", "@x", "-", "x" * 201, "a\u202eb"])
def test_reasons_that_are_not_fit_to_show(study, reason):
    add_columns(study / "samples.tsv", exclude_reason="n/a")
    set_cell(study / "samples.tsv", 5, "exclude_reason", reason)
    assert refused(study)[0].column == "exclude_reason"


def test_a_reason_that_pseudonyms_make_longer_is_cut(study, tmp_path):
    add_columns(study / "samples.tsv", exclude_reason="n/a")
    set_cell(study / "samples.tsv", 3, "sample_id", "sample-b1")
    set_cell(study / "samples.tsv", 2, "exclude_reason", "b1 " * 66 + "b1")
    reason = read_dataset(study).excluded["reason"][0]
    assert reason.startswith("S02 S02")
    assert len(reason) == 200
    people, samples, description = read_tables(study)
    shown = pseudonymised(people, samples, description).samples["exclude_reason"]
    assert is_fit_to_show(shown[0])


def test_a_study_cannot_say_what_of_it_was_not_used(study):
    path = study / "dataset_description.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"TableNotes": ["all is well"]}))
    assert read_dataset(study).notes == ()


def test_exclusions_survive_the_staging(study, build):
    add_columns(study / "samples.tsv", exclude_reason="n/a", cpm_exclude_reason="n/a")
    add_columns(study / "participants.tsv", handedness="left")
    drop_column(study / "samples.tsv", "cpm")
    set_cell(study / "samples.tsv", 2, "exclude_reason", "core lost")
    set_cell(study / "samples.tsv", 3, "cpm_exclude_reason", "artefact")
    table = pd.DataFrame({"sample_id": ["sample-02", "sample-03"], "cpm": [111.0, 112.0]})
    samples = staged(build, study, {"sub-01": table})
    assert "S01" not in samples.index
    assert np.isnan(samples.loc["S02", "cpm"])
    assert samples.loc["S03", "cpm"] == 112.0
    found = read_dataset(build / "dataset")
    assert found.excluded["reason"].tolist() == ["core lost", "artefact"]
    assert found.notes == ("column 'handedness' of participants.tsv",)
    origins = pd.read_csv(build / "dataset" / "origins.tsv", sep="\t")
    used = origins[origins["quantity"] == "cpm"]["used"]
    assert used.tolist()[:3] == ["excluded", "excluded", "extracted"]


def test_an_excluded_sample_needs_no_image(study, build, capsys):
    add_columns(study / "samples.tsv", exclude_reason="n/a", colour="red")
    set_cell(study / "samples.tsv", 2, "exclude_reason", "target outside the scan")
    folder = study / "derivatives" / "qupath" / "sub-01"
    folder.mkdir(parents=True)
    for name in ("sample-01", "sample-02"):
        (folder / f"sub-01_{name}_annotations.tsv").write_text("a\tb\n1\t2\n")
    prepare.prepare_study(study)
    rows = pd.read_csv(build / "targets" / "sub-01.tsv", sep="\t")
    assert "sample-01" not in rows["sample_id"].tolist()
    assert "sample-02" in rows["sample_id"].tolist()
    assert "not used: column 'colour' of samples.tsv" in capsys.readouterr().out


# All problems at once.


def test_problems_of_every_kind_are_told_at_once(study):
    (study / "dataset_description.json").write_text("{}")
    drop_column(study / "participants.tsv", "sex")
    set_cell(study / "participants.tsv", 3, "age", "old")
    set_cell(study / "samples.tsv", 4, "cpm", "many")
    set_cell(study / "samples.tsv", 5, "enhancement", "yes")
    set_cell(study / "samples.tsv", 6, "participant_id", "sub-99")
    set_cell(study / "samples.tsv", 7, "target_x", "12.5")
    found = {(p.file, p.row, p.column) for p in refused(study)}
    assert found == {
        ("dataset_description.json", None, None),
        ("participants.tsv", 1, "sex"),
        ("participants.tsv", 3, "age"),
        ("samples.tsv", 4, "cpm"),
        ("samples.tsv", 5, "enhancement"),
        ("samples.tsv", 6, "participant_id"),
        ("samples.tsv", 7, "target_x"),
    }


def test_faults_of_tables_and_of_images_are_told_together(study, build):
    set_cell(study / "samples.tsv", 4, "cpm", "many")
    folder = study / "sub-02" / "anat"
    folder.mkdir(parents=True)
    for run in ("1", "2"):
        (folder / f"sub-02_run-{run}_FLAIR.nii.gz").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        prepare.prepare_study(study)
    files = {problem.file for problem in caught.value.problems}
    assert {"samples.tsv", "sub-02"} <= files


def test_the_patient_of_a_case_is_known_whatever_the_capitals(study, build):
    number_within_patients(study)
    rewrite(study / "samples.tsv", lambda rows: rows.__setitem__(0, [c.upper() for c in rows[0]]))
    for who in dict.fromkeys(read_tables(study)[1]["participant_id"]):
        folder = study / "derivatives" / "qupath" / who
        folder.mkdir(parents=True)
        (folder / f"{who}_sample-01_annotations.tsv").write_text("a\tb\n")
    prepare.prepare_study(study)
    assert needs.shown_patients("07_cases")


def test_one_table_tells_its_problems_at_once(tmp_path):
    text = MINIMAL.replace("adc", "diffusion").replace("1402", "many").replace("recurrent", "R")
    found = {(p.row, p.column) for p in refused(table(tmp_path, text))}
    assert found == {(1, "adc"), (1, "diffusion"), (3, "cpm"), (4, "treatment")}


def test_problems_that_one_remedy_serves_are_one_message_with_all_values_and_rows(study):
    rows = range(2, 68)
    for row in rows:
        set_cell(study / "samples.tsv", row, "location", f"left place {row}")
        set_cell(study / "samples.tsv", row, "enhancement", "yes")
    text = message(study)
    assert text.startswith("132 problems")
    assert len(text.splitlines()) == 3
    assert all(f"left place {row} (row {row})" in text for row in rows)
    assert "yes (rows 2-67)" in text
    assert text.count("use one of these spellings") == 2


@pytest.mark.parametrize(
    ("column", "word"),
    [
        *(("participant_id", "NA"), ("sample_id", "nan"), ("case", "none")),
        *(("exclude_reason", "NA"), ("exclude_reason", "no")),
        *(("cpm_exclude_reason", "FALSE"), ("he_exclude_reason", "0")),
    ],
)
def test_another_word_for_nothing_is_no_name_and_no_reason(tmp_path, column, word):
    """R writes NA and spreadsheets FALSE: that is no patient, no case and no reason."""
    names, *rows = (line.split(",") for line in MINIMAL.splitlines())
    names += [] if column in names else [column]
    rows = [row + ["n/a"] * (len(names) - len(row)) for row in rows]
    rows[2][names.index(column)] = word
    text = "".join(",".join(row) + "\n" for row in [names, *rows])
    (problem,) = refused(table(tmp_path, text))
    assert (problem.row, problem.column, problem.found) == (4, column, word)
    assert "n/a" in problem.remedy


@pytest.mark.parametrize(
    ("separator", "values"),
    [(",", ("1.215", "1402.55", "1330")), (";", ("1,215", "1402,55", "1330"))],
)
def test_thousands_beside_decimals_in_one_column(tmp_path, separator, values):
    rows = [row.split(",") for row in MINIMAL.splitlines()]
    for row, value in zip(rows[1:], values, strict=True):
        row[3] = value
    text = "".join(separator.join(row) + "\n" for row in rows)
    (problem,) = refused(table(tmp_path, text))
    assert (problem.row, problem.column, problem.found) == (2, "cpm", values[0])


def test_a_study_that_excludes_everything_is_told_before_it_is_built(study):
    add_columns(study / "samples.tsv", exclude_reason="none is good")
    with pytest.raises(DatasetError, match="no sample left"):
        read_tables(study)
