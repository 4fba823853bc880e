"""Reading, checking and writing datasets: above all what is wrong with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpmlib.study.dataset import read_dataset, read_tables, write_dataset
from cpmlib.study.delimited import parse_number
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.schemas import PARTICIPANTS, SAMPLES
from studies import COHORT, rewrite, set_cell


def problems_of(path: Path) -> list[Problem]:
    with pytest.raises(DatasetError) as caught:
        read_dataset(path)
    return caught.value.problems


def only_problem(path: Path) -> Problem:
    problems = problems_of(path)
    assert len(problems) == 1, problems
    return problems[0]


def test_a_good_dataset_is_read_and_joined(cohort):
    assert len(cohort.participants) == 27
    assert len(cohort.samples) == 66
    assert cohort.label.startswith("SYNTHETIC")
    assert cohort.samples.loc[0, "age"] == cohort.participants.loc[0, "age"]


def test_identifiers_are_replaced_by_pseudonyms(study):
    for name in ("participants.tsv", "samples.tsv"):
        path = study / name
        path.write_text(path.read_text().replace("sub-01", "sub-MRN4711"))
    dataset = read_dataset(study)
    assert "4711" not in dataset.samples.to_csv() + dataset.participants.to_csv()
    assert dataset.samples["participant_id"].iloc[0] == "P01"
    assert dataset.samples["sample_id"].iloc[-1] == "S66"


def test_written_dataset_reads_back_equal(tmp_path):
    participants, samples, description = read_tables(COHORT)
    write_dataset(tmp_path / "copy", participants, samples, description)
    for name in ("participants.tsv", "samples.tsv", "participants.json", "samples.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (COHORT / name).read_bytes()


def test_nothing_is_written_from_tables_that_break_their_schema(tmp_path):
    participants, samples, description = read_tables(COHORT)
    samples.loc[samples.index[0], "cpm"] = -1.0
    with pytest.raises(DatasetError):
        write_dataset(tmp_path / "copy", participants, samples, description)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("name", ["participants.tsv", "samples.tsv", "dataset_description.json"])
def test_missing_file_is_named(study, name):
    (study / name).unlink()
    problem = only_problem(study)
    assert problem.file == name
    assert "no such file" in problem.found


def test_missing_folder_is_named(tmp_path):
    assert "no such folder" in only_problem(tmp_path / "nowhere").found


@pytest.mark.parametrize(
    ("name", "column"), [("samples.tsv", "adc"), ("participants.tsv", "treatment")]
)
def test_missing_column_is_named(study, name, column):
    def drop(rows):
        at = rows[0].index(column)
        for row in rows:
            del row[at]

    rewrite(study / name, drop)
    problem = only_problem(study)
    assert (problem.file, problem.row, problem.column) == (name, 1, column)


# What is written, in which column, and a word that the report must hold.
BAD_CELLS = [
    ("samples.tsv", "enhancement", "enhancing", "CET"),
    ("samples.tsv", "location", "left leg", "frontal"),
    ("samples.tsv", "cpm", "high", "number"),
    ("samples.tsv", "cpm", "NaN", "n/a"),
    ("samples.tsv", "cpm", "inf", "finite"),
    ("samples.tsv", "cpm", "-Infinity", "finite"),
    ("samples.tsv", "cpm", "1e999", "finite"),
    ("samples.tsv", "he_cellularity", "-2112", "from 1"),
    ("samples.tsv", "he_cellularity", "0", "from 1"),
    ("samples.tsv", "adc", "1323,4", "point"),
    ("samples.tsv", "adc", "1 323", "number"),
    ("samples.tsv", "adc", ">1500", "number"),
    ("samples.tsv", "adc", "", "n/a"),
    ("samples.tsv", "sample_id", "sample 7", "sample-"),
    ("samples.tsv", "case", "../../x", "small letters"),
    ("participants.tsv", "age", "350", "10 to 110"),
    ("participants.tsv", "age", "-4", "10 to 110"),
    ("participants.tsv", "treatment", "n/a", "needs it"),
    ("participants.tsv", "treatment", "TN", "treatment-naive"),
    ("participants.tsv", "idh", "unknown", "mutant"),
    ("participants.tsv", "diagnosis_cns5", "glioma", "astrocytoma grade 2"),
    ("participants.tsv", "sex", "<script>alert(1)</script>", "M, F"),
]


@pytest.mark.parametrize(("name", "column", "value", "word"), BAD_CELLS)
def test_bad_cell_is_named_with_place_and_remedy(study, name, column, value, word):
    set_cell(study / name, 9, column, value)
    problem = only_problem(study)
    assert (problem.file, problem.row, problem.column) == (name, 9, column)
    assert word in str(problem)
    assert problem.remedy


def test_all_problems_are_listed_at_once(study):
    set_cell(study / "samples.tsv", 3, "cpm", "many")
    set_cell(study / "samples.tsv", 5, "adc", "few")
    set_cell(study / "participants.tsv", 4, "age", "old")
    found = {(p.file, p.row, p.column) for p in problems_of(study)}
    assert found == {
        ("samples.tsv", 3, "cpm"),
        ("samples.tsv", 5, "adc"),
        ("participants.tsv", 4, "age"),
    }


def test_duplicate_sample(study):
    for row in (8, 9):
        set_cell(study / "samples.tsv", row, "participant_id", "sub-01")
        set_cell(study / "samples.tsv", row, "sample_id", f"sample-{row}")
    set_cell(study / "samples.tsv", 9, "sample_id", "sample-8")
    found = problems_of(study)
    assert any(p.row == 9 and "sample-8 again in sub-01" in p.found for p in found)


def test_sample_without_participant_and_the_reverse(study):
    set_cell(study / "samples.tsv", 2, "participant_id", "sub-99")
    rewrite(study / "participants.tsv", lambda rows: rows.append(["sub-98", *rows[-1][1:]]))
    found = {(p.file, p.found) for p in problems_of(study)}
    assert found == {("samples.tsv", "sub-99"), ("participants.tsv", "sub-98")}


@pytest.mark.parametrize(("factor", "unit"), [(1e-6, "mm2/s"), (1e-3, "1e-3 mm2/s")])
def test_adc_in_another_unit_is_recognised(study, factor, unit):
    def convert(rows):
        at = rows[0].index("adc")
        for row in rows[1:]:
            row[at] = repr(float(row[at]) * factor)

    rewrite(study / "samples.tsv", convert)
    problem = only_problem(study)
    assert problem.column == "adc"
    assert unit in problem.found
    assert f"multiply by {1 / factor:g}" in problem.remedy


@pytest.mark.parametrize(("b", "scale"), [(1000, 1), (600, 1), (1000, 1000)])
def test_an_exponential_adc_in_the_table_is_no_adc(study, b, scale):
    """exp(-b ADC), as scanners write it: times 1000 it would be no ADC either."""

    def convert(rows):
        at = rows[0].index("adc")
        for row in rows[1:]:
            row[at] = repr(math.exp(-b * 1e-6 * float(row[at])) * scale)

    rewrite(study / "samples.tsv", convert)
    problem = only_problem(study)
    assert "exponential ADC" in problem.found or "no ADC of tissue" in problem.found
    assert "multiply" not in problem.remedy


def test_incomplete_target(study):
    set_cell(study / "samples.tsv", 4, "target_x", "12.5")
    assert "1 of 3 coordinates" in only_problem(study).found


@pytest.mark.parametrize("text", ["12,5 mm", "left", "?"])
def test_a_coordinate_that_is_no_number_is_called_so_and_nothing_else(study, text):
    """The cell is there: that two of three coordinates are given would send its owner astray."""
    for column in ("target_x", "target_y", "target_z"):
        set_cell(study / "samples.tsv", 4, column, text if column == "target_z" else "12.5")
    problem = only_problem(study)
    assert (problem.row, problem.column, problem.found) == (4, "target_z", text)


def test_a_density_that_is_no_number_is_called_so_and_nothing_else(study):
    def add(rows):
        rows[0] += ["he_nuclei", "he_tissue_area"]
        for row in rows[1:]:
            row += [str(round(2 * float(row[rows[0].index("he_cellularity")]))), "2.0"]

    rewrite(study / "samples.tsv", add)
    set_cell(study / "samples.tsv", 5, "he_cellularity", "many")
    problem = only_problem(study)
    assert (problem.row, problem.column, problem.found) == (5, "he_cellularity", "many")


def test_density_that_contradicts_its_count(study):
    def add(rows):
        rows[0] += ["he_nuclei", "he_tissue_area"]
        for row in rows[1:]:
            density = float(row[rows[0].index("he_cellularity")])
            row += [str(round(density * 2)), "2.0"]
        rows[7][rows[0].index("he_nuclei")] = "12"

    rewrite(study / "samples.tsv", add)
    problem = only_problem(study)
    assert (problem.row, problem.column) == (8, "he_cellularity")


def test_a_case_named_twice(study):
    for row in (2, 3):
        set_cell(study / "samples.tsv", row, "case", "fig9z")
    assert "fig9z again" in only_problem(study).found


def test_ragged_row(study):
    rewrite(study / "samples.tsv", lambda rows: rows[5].pop())
    problem = only_problem(study)
    assert problem.row == 6
    assert "cells" in problem.found


def test_column_named_twice(study):
    rewrite(study / "samples.tsv", lambda rows: rows[0].__setitem__(8, "adc"))
    assert any("twice" in p.found for p in problems_of(study))


def test_byte_order_mark_and_windows_line_ends_are_read(study):
    path = study / "samples.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(read_dataset(study).samples, read_dataset(COHORT).samples)


@pytest.mark.parametrize("mark", [",", ";"])
def test_wrong_separator_in_tsv_is_said(study, mark):
    path = study / "samples.tsv"
    path.write_text(path.read_text().replace("\t", mark))
    assert "separated by" in only_problem(study).found


@pytest.mark.parametrize(
    "content", [b"\xff\xfes\x00a\x00", b"", b"\n\n", b"a\tb\0c\n1\t2\n", b"sample_id\tcpm\n"]
)
def test_unreadable_tables(study, content):
    (study / "samples.tsv").write_bytes(content)
    assert problems_of(study)[0].file == "samples.tsv"


@pytest.mark.parametrize("content", ["{", "[]", '{"Name": 3, "BIDSVersion": "1"}', "null"])
def test_unfit_description(study, content):
    (study / "dataset_description.json").write_text(content)
    assert only_problem(study).file == "dataset_description.json"


def test_description_runs_no_code(study, tmp_path):
    hostile = {"Name": "eval(__import__('os').system('true'))", "BIDSVersion": "1.10.0"}
    (study / "dataset_description.json").write_text(json.dumps(hostile))
    assert read_dataset(study).name == hostile["Name"]


MINIMAL = """participant_id,sample_id,treatment,cpm,adc,he_cellularity
01,a,treatment-naive,1215,1040,2190
01,b,treatment-naive,1402.5,985,3310
02,c,recurrent,1330,,2950
"""


def test_minimal_table(tmp_path):
    path = tmp_path / "study.csv"
    path.write_text(MINIMAL)
    dataset = read_dataset(path)
    assert dataset.samples["cpm"].tolist() == [1215, 1402.5, 1330]
    assert np.isnan(dataset.samples["adc"].iloc[2])
    assert dataset.participants["treatment"].tolist() == ["treatment-naive", "recurrent"]
    assert dataset.label == ""


def test_minimal_table_with_semicolons_and_decimal_commas(tmp_path):
    path = tmp_path / "study.csv"
    path.write_text("\ufeff" + MINIMAL.replace(",", ";").replace("1402.5", "1402,5"))
    assert read_dataset(path).samples["cpm"].tolist() == [1215, 1402.5, 1330]


def test_workbook(tmp_path):
    table = pd.read_csv(pd.io.common.StringIO(MINIMAL), dtype={"participant_id": str})
    path = tmp_path / "study.xlsx"
    table.to_excel(path, index=False)
    from_csv = tmp_path / "study.csv"
    from_csv.write_text(MINIMAL)
    pd.testing.assert_frame_equal(read_dataset(path).samples, read_dataset(from_csv).samples)


def test_a_file_that_is_no_workbook(tmp_path):
    path = tmp_path / "study.xlsx"
    path.write_bytes(b"PK\x03\x04 not a workbook")
    assert "workbook" in only_problem(path).found


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("adc", "diffusion", "no such column"),
        ("he_cellularity\n", "he_cellularity,colour\n", "cells"),
        ("01,b,treatment-naive", "01,b,recurrent", "another row"),
        ("01,b", "01,a", "again"),
        ("1402.5", '"1,402"', "1,402"),
    ],
)
def test_faults_of_the_minimal_table(tmp_path, old, new, word):
    path = tmp_path / "study.csv"
    path.write_text(MINIMAL.replace(old, new, 1))
    assert word in " ".join(str(p) for p in problems_of(path))


def test_unknown_column_of_the_minimal_table(tmp_path):
    path = tmp_path / "study.csv"
    lines = MINIMAL.splitlines()
    path.write_text("\n".join([lines[0] + ",colour", *(line + ",red" for line in lines[1:])]))
    problem = only_problem(path)
    assert problem.column == "colour"


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_every_printed_float_is_read_back(value):
    assert parse_number(repr(value)) == value


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_a_remedy(text):
    result = parse_number(text)
    assert isinstance(result, str) or np.isfinite(result)


@pytest.mark.parametrize("text", ["1_000", "١٢", "0x10", "1e", "", " ", "+", "12.3.4", "1/2"])
def test_what_python_might_take_for_a_number_is_refused(text):
    assert isinstance(parse_number(text), str)


def test_thousands_are_not_taken_for_decimals():
    assert isinstance(parse_number("1,234", decimal_comma=True), str)
    assert parse_number("0,234", decimal_comma=True) == 0.234


def test_sidecars_and_tables_of_the_default_dataset_follow_the_schemas(root):
    from cpmlib.study.schemas import sidecar

    folder = root / "data" / "surrogate"
    for schema in (PARTICIPANTS, SAMPLES):
        committed = json.loads((folder / schema.name.replace(".tsv", ".json")).read_text())
        columns = (folder / schema.name).read_text().splitlines()[0].split("\t")
        assert committed == {k: v for k, v in sidecar(schema).items() if k in columns}
        assert set(columns) <= set(schema.columns)


@pytest.mark.parametrize("number", ["2.190", "1.234.567"])
def test_points_that_may_mark_thousands_are_refused(tmp_path, number):
    """With decimal commas about, 2.190 may be two thousand; it must not become 2.19."""
    path = tmp_path / "study.csv"
    path.write_text(MINIMAL.replace(",", ";").replace("2190", number))
    assert "thousands" in only_problem(path).remedy


def workbook(path: Path, change) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    for line in MINIMAL.splitlines():
        book.active.append([int(c) if c.isdigit() else c or None for c in line.split(",")])
    change(book.active)
    book.save(path)
    return path


def test_a_workbook_whose_stated_size_is_wrong_loses_no_row(tmp_path):
    import zipfile

    good = workbook(tmp_path / "good.xlsx", lambda sheet: None)
    bad = tmp_path / "bad.xlsx"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("sheet1.xml"):
                assert b'ref="A1:F4"' in content
                content = content.replace(b'ref="A1:F4"', b'ref="A1:F3"')
            target.writestr(name, content)
    assert len(read_dataset(bad).samples) == 3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda sheet: sheet.__setitem__("D2", "=1000+215"), "formula"),
        (lambda sheet: sheet.merge_cells("D2:D3"), "merged"),
        (lambda sheet: sheet.__setitem__("XA1048576", 1), "as far as row"),
    ],
)
def test_workbooks_that_read_otherwise_than_they_look(tmp_path, change, word):
    assert word in only_problem(workbook(tmp_path / "study.xlsx", change)).found


@pytest.mark.parametrize(
    "label",
    [
        "",
        " ",
        "=HYPERLINK(1)",
        "@x",
        "two\nlines",
        "bell\u0007",
        "\u202etxt",
        "\ud800",
        "\u2028",
        "x" * 201,
        7,
        None,
        ["a"],
    ],
)
def test_labels_that_are_not_fit_to_show(study, label):
    path = study / "dataset_description.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"DataLabel": label}))
    assert "DataLabel" in only_problem(study).found


def test_a_label_cannot_vanish_by_misspelling_or_repetition(study):
    path = study / "dataset_description.json"
    good = path.read_text()
    path.write_text(good.replace('"DataLabel"', '"datalabel"'))
    assert "datalabel" in only_problem(study).found
    path.write_text(good.replace("{", '{"DataLabel": "A",', 1))
    assert "twice" in only_problem(study).found


@pytest.mark.parametrize("content", ['{"a":' + "[" * 5000, '{"a":' + "9" * 5000 + "}"])
def test_json_that_cannot_be_read(study, content):
    (study / "dataset_description.json").write_text(content)
    assert only_problem(study).file == "dataset_description.json"


@pytest.mark.parametrize(("first", "second"), [("01", "1"), ("Ab", "aB")])
def test_names_of_patients_that_hardly_differ(tmp_path, first, second):
    path = tmp_path / "study.csv"
    path.write_text(MINIMAL.replace("\n01,a", f"\n{first},a").replace("\n01,b", f"\n{second},b"))
    assert "differs" in only_problem(path).found


def test_count_without_density(study):
    def add(rows):
        rows[0] += ["he_nuclei", "he_tissue_area"]
        for row in rows[1:]:
            row += ["n/a", "n/a"]
        rows[3][-2:] = ["4000", "2.0"]
        rows[3][rows[0].index("he_cellularity")] = "n/a"

    rewrite(study / "samples.tsv", add)
    assert only_problem(study).row == 4


def test_unreadable_path_is_a_problem_and_no_crash(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("x" * 300), tmp_path / "a\0b"):
        assert problems_of(path)


def test_a_line_break_in_a_cell_is_refused(tmp_path):
    path = tmp_path / "study.csv"
    path.write_text(MINIMAL.replace("1215", '"\n1215"'))
    assert "line break" in only_problem(path).found


def test_carriage_returns_alone_are_said(study):
    path = study / "samples.tsv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    assert "carriage return" in only_problem(study).found


def test_what_stands_in_a_message_is_short_and_printable():
    text = str(Problem("f", "\x1b[31m" + "x" * 5000, "a number", "correct it"))
    assert text.isprintable()
    assert len(text) < 300


AXES = ("target_x", "target_y", "target_z")


@pytest.fixture
def targeted(study):
    """The study with targets at two of its samples, and its table as it is read in RAS+."""
    for row, target in {4: ("31.5", "-20.25", "0.0"), 7: ("-8.0", "0.0", "40.125")}.items():
        for axis, value in zip(AXES, target, strict=True):
            set_cell(study / "samples.tsv", row, axis, value)
    return study, read_dataset(study).samples


def declare(study, **systems):
    """Write which coordinate system the targets are in."""
    content = {axis: {"CoordinateSystem": system} for axis, system in systems.items()}
    (study / "samples.json").write_text(json.dumps(content))


def test_targets_declared_as_lps_become_ras_and_missing_ones_stay_missing(targeted):
    study, _ = targeted
    declare(study, **dict.fromkeys(AXES, "LPS"))
    found = read_dataset(study).samples[list(AXES)].dropna(how="all")
    # DICOM and ITK differ from NIfTI in the sign of x and y alone.
    np.testing.assert_array_equal(found, [[-31.5, 20.25, 0.0], [8.0, 0.0, 40.125]])
    assert not np.signbit(found.to_numpy()[found.to_numpy() == 0]).any(), "-0.0 is written as -0"


@pytest.mark.parametrize("system", ["RAS", "RAS+"])
def test_targets_declared_as_ras_stay(targeted, system):
    study, before = targeted
    declare(study, **dict.fromkeys(AXES, system))
    pd.testing.assert_frame_equal(read_dataset(study).samples, before)


@pytest.mark.parametrize(
    "systems",
    [
        {"target_x": "LPS", "target_y": "LPS"},  # the third is RAS unless it says so
        {"target_x": "LPS", "target_y": "LPS", "target_z": "RAS"},
        dict.fromkeys(AXES, "LAS"),
        dict.fromkeys(AXES, "scanner"),
        dict.fromkeys(AXES, 7),
    ],
)
def test_coordinate_systems_that_are_mixed_or_unknown_are_refused(study, systems):
    declare(study, **systems)
    with pytest.raises(DatasetError, match="RAS or LPS, the same for the three coordinates"):
        read_dataset(study)


@pytest.mark.parametrize(
    "content",
    [
        {axis.upper(): {"CoordinateSystem": "LPS"} for axis in AXES},
        {axis: {"coordinate_system": "lps"} for axis in AXES},
    ],
)
def test_a_coordinate_system_is_read_whatever_the_capitals(targeted, content):
    study, before = targeted
    (study / "samples.json").write_text(json.dumps(content))
    found = read_dataset(study).samples
    np.testing.assert_array_equal(found["target_x"], -before["target_x"])


@pytest.mark.parametrize(
    "content", [{"CoordinateSystem": "LPS"}, dict.fromkeys(AXES, "LPS"), {AXES[0]: ["LPS"]}]
)
def test_a_coordinate_system_in_another_place_is_refused(targeted, content):
    study, _ = targeted
    (study / "samples.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="in the entry of each coordinate"):
        read_dataset(study)


def test_a_sidecar_that_was_not_fetched_may_say_lps(targeted):
    study, _ = targeted
    (study / "samples.json").unlink(missing_ok=True)
    (study / "samples.json").symlink_to("nowhere")
    with pytest.raises(DatasetError, match=r"samples\.json: found a link to nowhere"):
        read_dataset(study)


def test_targets_in_another_unit_are_refused(study):
    content = {"target_y": {"Units": "cm"}}
    (study / "samples.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"samples\.json, column 'target_y': found units 'cm'"):
        read_dataset(study)
