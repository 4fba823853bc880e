"""QuPath's tables as people export them: decimal commas, copies, rows that are no tissue."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpmlib.histology.qupath import CellCount, count_cells
from cpmlib.histology.qupath_tables import spell
from cpmlib.study.errors import DatasetError
from exports import detections, feature, outline, square, table
from studies import ROOT

QUPATH = ROOT / "tests" / "data" / "qupath"
HEAD = "Name\tClassification\tParent\tCentroid X µm\tCentroid Y µm\tNum Detections\tArea µm^2"
TISSUE = "Tissue\t\tRoot object (Image)\t500\t500\t2000\t1000000"


def counted(folder: Path, *rows: str) -> CellCount:
    return count_cells(annotation=table(folder, *rows))


@pytest.mark.parametrize("with_outline", [True, False])
def test_a_german_export(tmp_path: Path, with_outline: bool) -> None:
    """5,125 stands beside 300,25: the column decides, not the cell."""
    drawn = outline(tmp_path, [feature(square(0, 0, 1800))]) if with_outline else None
    count = count_cells(
        annotation=QUPATH / "de_annotations.tsv",
        detections=QUPATH / "de_detections.tsv",
        geojson=drawn,
        pixel_size_um=0.5,
    )
    assert (count.n_cells, count.tissue_area_mm2) == (400, pytest.approx(0.81))
    assert count.density == pytest.approx(493.83, abs=0.005)


@pytest.mark.parametrize(
    ("cell", "beside", "mm2"),
    [
        ("810000,125", "7,25", 0.810000125),
        ("810,125", "7,25", 0.000810125),  # three decimals: another column decides
        ("810,125", "0,125", 0.000810125),
        ("8,1E5", "7", 0.81),
        ("810000.125", "7.25", 0.810000125),
        ("810.125", "7.25", 0.000810125),
        ("810.125", "7", 0.000810125),
    ],
)
def test_the_decimal_mark_of_a_table(tmp_path: Path, cell: str, beside: str, mm2: float) -> None:
    rows = ["Num Detections\tArea µm^2\tPerimeter µm", f"2\t{cell}\t{beside}"]
    assert counted(tmp_path, *rows).tissue_area_mm2 == pytest.approx(mm2, rel=1e-12)


@pytest.mark.parametrize(
    ("cell", "beside", "remedy"),
    [
        ("810,125", "7", "without thousands separators"),  # nothing shows what the comma is
        ("810,125", "7.25", "without thousands separators"),
        ("810.125", "7,25", "one decimal mark"),
        ("1.810.125", "7,25", "without thousands separators"),
        ("1,810,125", "7", "without thousands separators"),
        ("810,125.5", "7", "without thousands separators"),
        ("810 125", "7", "without thousands separators"),
        ("810'125", "7", "without thousands separators"),
        ("810,1", "7", None),
        ("8101,25", "7", None),
    ],
)
def test_thousands_are_refused(tmp_path: Path, cell: str, beside: str, remedy: str | None) -> None:
    rows = ["Num Detections\tArea µm^2\tPerimeter µm", f"2\t{cell}\t{beside}"]
    if remedy is None:
        assert counted(tmp_path, *rows).n_cells == 2
        return
    with pytest.raises(DatasetError, match="row 2, column 'Area µm\\^2'") as error:
        counted(tmp_path, *rows)
    assert remedy in error.value.problems[0].remedy


@pytest.mark.parametrize(("cell", "area"), [("2.000", "1000000"), ("2.000", "1000000.5")])
def test_counts_in_thousands_are_refused(tmp_path: Path, cell: str, area: str) -> None:
    with pytest.raises(DatasetError, match=r"found 2\.000; expected a whole number") as error:
        counted(tmp_path, "Num Detections\tArea µm^2", f"{cell}\t{area}")
    assert "thousands" in error.value.problems[0].remedy
    assert counted(tmp_path, "Num Detections\tArea µm^2", f"2000.0\t{area}").n_cells == 2000


def test_a_column_of_both_marks_is_refused(tmp_path: Path) -> None:
    rows = ["Num Detections\tArea µm^2", "2\t250000,5", "3\t250000.5"]
    with pytest.raises(DatasetError, match=r"row 3.*found 250000\.5"):
        counted(tmp_path, *rows)


def test_an_annotation_as_large_as_its_parent() -> None:
    path = QUPATH / "nested" / "sub-01_sample-01_annotations.tsv"
    count = count_cells(annotation=path)
    assert (count.n_cells, count.tissue_area_mm2, count.density) == (2000, 1.0, 2000)
    assert "Tumor not added, it lies inside another annotation" in count.notes[0]


@pytest.mark.parametrize(
    "rows",
    [
        ["Tumor\tTumor\tTissue\t500\t500\t2000\t1000000"],
        ["Tumor\tTumor\tTissue\t500\t500\t2000\t1000000.4"],  # rounded
        ["\tTumor\tTissue\t500\t500\t2000\t1000000", "\tNekrose\tTumor\t500\t500\t2000\t1000000"],
        ["Tumor\tTumor\tTissue\t400\t500\t900\t400000", "a\t\tTumor\t400\t500\t200\t100000"],
        ["Tumor\tTumor\tTissue\t400\t500\t900\t400000", "a\t\tTumor (Tumor)\t4\t5\t200\t100000"],
        ["Tumor\tTumor\tRoot object (Image)\t500\t500\t2000\t1000000"],  # hierarchy not resolved
        ["Root object (Image)\t\t\t\t\t2000\t9000000"],
    ],
)
def test_tissue_is_counted_once(tmp_path: Path, rows: list[str]) -> None:
    for order in (rows, rows[::-1]):
        count = counted(tmp_path, HEAD, TISSUE, *order)
        assert (count.n_cells, count.tissue_area_mm2) == (2000, 1.0)
        assert len(count.notes) == len(rows)
    after = counted(tmp_path, HEAD, *rows, TISSUE)
    assert (after.n_cells, after.tissue_area_mm2) == (2000, pytest.approx(1, rel=1e-6))


def test_an_ignored_region_inside_a_copy(tmp_path: Path) -> None:
    rows = [
        "Tumor\tTumor\tTissue\t500\t500\t2000\t1000000",
        "\tNekrose*\tTumor\t300\t300\t100\t200000",
    ]
    count = counted(tmp_path, HEAD, TISSUE, *rows)
    assert (count.n_cells, count.tissue_area_mm2) == (1900, pytest.approx(0.8))
    assert any("“Nekrose*” taken off, it is ignored" in note for note in count.notes)


def test_an_outline_as_large_as_another(tmp_path: Path) -> None:
    """The later lies in the earlier, as in a table, and as for the cells in it."""
    cells = detections(
        tmp_path, [(30.5 * i + 5, 30.2 * j + 5) for i in range(30) for j in range(30)]
    )
    classes = ["Tissue", "Tumor", "Tumor: old"]
    drawn = [feature(square(0, 0, 1000), classification={"name": kind}) for kind in classes]
    path = outline(tmp_path, drawn)
    count = count_cells(geojson=path, detections=cells, pixel_size_um=1.0)
    assert (count.n_cells, count.tissue_area_mm2) == (900, 1.0)
    assert "Tumor not added" in count.notes[0]
    path = outline(tmp_path, [*drawn, feature(square(0, 0, 1000), classification="Ignore*")])
    with pytest.raises(DatasetError, match="0 mm2"):
        count_cells(geojson=path, detections=cells, pixel_size_um=1.0)


def test_pieces_of_one_size_are_two_pieces(tmp_path: Path) -> None:
    other = "Tissue\t\tRoot object (Image)\t2500\t500\t2000\t1000000"
    count = counted(tmp_path, HEAD, TISSUE, other)
    assert (count.n_cells, count.tissue_area_mm2) == (4000, 2.0)


def test_one_annotation_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="row 3: found the same object as in row 2"):
        counted(tmp_path, HEAD, TISSUE, TISSUE)
    # A copy has an identity of its own
    with pytest.raises(DatasetError, match="row 3: found the same object as in row 2"):
        counted(tmp_path, f"Object ID\t{HEAD}", f"a\t{TISSUE}", f"b\t{TISSUE}")


def test_cells_detected_twice_are_refused(tmp_path: Path) -> None:
    path = detections(tmp_path, [(1.5, 2.5), (3.5, 4.5)])
    rows = path.read_text(encoding="utf-8").splitlines()
    twice = [f"Object ID\t{rows[0]}", *(f"{i}\t{row}" for i, row in enumerate(rows[1:] * 2))]
    path.write_text("\n".join(twice), encoding="utf-8")
    drawn = outline(tmp_path, [feature(square(0, 0, 100))])
    with pytest.raises(DatasetError, match="row 4: found the same object as in row 2"):
        count_cells(detections=path, geojson=drawn, pixel_size_um=1.0)


def test_without_a_column_of_counts_the_cells_are_counted(tmp_path: Path) -> None:
    annotation = table(tmp_path, "Class\tArea µm^2", "Gewebe\t10000")
    with pytest.raises(DatasetError, match="no count of cells") as error:
        count_cells(annotation=annotation)
    assert "detection table" in error.value.problems[0].remedy
    cells = detections(tmp_path, [(1.5, 2.5), (3.5, 4.5)], ["Annotation (Gewebe)"] * 2)
    assert count_cells(annotation=annotation, detections=cells).density == 200


@pytest.mark.parametrize(
    "name",
    ["Area um^2", "Area um2", "Area (um^2)", "Area [µm²]", "Area µm2", "AREA UM^2", "Area_µm^2"],
)
def test_the_unit_is_read_however_it_is_written(tmp_path: Path, name: str) -> None:
    assert spell(name) == "area um2"
    assert counted(tmp_path, f"Num Detections\t{name}", "500\t250000").density == 2000
