"""QuPath's exports: every form says the same, and what is wrong with one is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy.spatial import ConvexHull

from cpmlib.histology.pixel_size import pixel_size_of, read_pixel_size
from cpmlib.histology.qupath import (
    AREA_RANGE_MM2,
    DENSITY_RANGE,
    CellCount,
    count_cells,
)
from cpmlib.histology.qupath_outlines import read_outline
from cpmlib.histology.qupath_tables import spell
from cpmlib.study.errors import DatasetError
from cpmsurrogate.images.histology import write_qupath_exports
from cpmsurrogate.images.stained_tile import PIXEL_SIZE_UM
from exports import feature, square, table
from studies import ROOT

QUPATH = ROOT / "tests" / "data" / "qupath"
# tests/data/qupath/README.md says how these follow from the sample's rectangles.
CELLS, AREA_MM2 = 12, 0.1925
ANNOTATIONS = sorted(path.name for path in QUPATH.glob("*-annotations*"))
DETECTIONS = sorted(path.name for path in QUPATH.glob("*-detections*"))
OUTLINES = sorted(path.name for path in QUPATH.glob("*json"))


def the_sample(count: CellCount) -> bool:
    """Whether a count is the invented sample's; the area is exact but for rounding."""
    assert count.density == pytest.approx(CELLS / AREA_MM2, rel=1e-12)
    return count.n_cells == CELLS and count.tissue_area_mm2 == pytest.approx(AREA_MM2, rel=1e-12)


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotation_table_of_each_version(name: str) -> None:
    count = count_cells(annotation=QUPATH / name, pixel_size_um=0.5)
    assert the_sample(count)
    assert any("Tumor" in note and "not added" in note for note in count.notes)
    assert any("Ignore*" in note and "taken off" in note for note in count.notes)


@pytest.mark.parametrize("name", OUTLINES)
def test_outline_of_each_version(name: str) -> None:
    assert the_sample(count_cells(geojson=QUPATH / name, pixel_size_um=0.5))


@pytest.mark.parametrize("detections", DETECTIONS)
@pytest.mark.parametrize("outline", OUTLINES)
def test_exports_together(detections: str, outline: str) -> None:
    given_ = {"detections": QUPATH / detections, "geojson": QUPATH / outline}
    annotation = QUPATH / "v0.4-annotations.tsv"
    assert the_sample(count_cells(annotation=annotation, **given_, pixel_size_um=0.5))
    assert the_sample(count_cells(annotation=annotation, **given_))
    assert the_sample(count_cells(annotation=annotation, detections=given_["detections"]))


def test_detections_with_an_outline_that_holds_no_cells(tmp_path: Path) -> None:
    """Cells are then counted by their centroids; of the 15, three lie outside the tissue."""
    content = json.loads((QUPATH / "v0.4.geojson").read_text())
    content["features"] = content["features"][:3]
    outline = tmp_path / "outline.geojson"
    outline.write_text(json.dumps(content))
    for name in DETECTIONS:
        count = count_cells(detections=QUPATH / name, geojson=outline, pixel_size_um=0.5)
        assert the_sample(count)
        assert any("3 rows left out" in note for note in count.notes)


def test_quick_exports_match_the_whole_cohort(tmp_path: Path) -> None:
    samples = pd.read_csv(ROOT / "data" / "surrogate" / "samples.tsv", sep="\t")
    for i, row in samples.iterrows():
        rng = np.random.default_rng(int(str(i)))
        paths = write_qupath_exports(
            tmp_path, row.sample_id, int(row.he_nuclei), row.he_tissue_area, rng, detailed=False
        )
        count = count_cells(annotation=paths.annotation)
        assert count.n_cells == row.he_nuclei
        # The area is written to 0.1 µm2 of at least 1e6.
        assert count.tissue_area_mm2 == pytest.approx(row.he_tissue_area, rel=1e-7)
    assert len(list(tmp_path.iterdir())) == len(samples)


def test_detailed_exports_agree_and_repeat(tmp_path: Path) -> None:
    n, area = 800, 0.41
    contents = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(3)
        paths = write_qupath_exports(folder, "sample-01", n, area, rng, detailed=True)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 6
    assert paths.sidecar is not None
    assert paths.geojson is not None
    for sidecar in (paths.sidecar, paths.geojson.with_suffix(".json")):
        assert read_pixel_size(sidecar) == PIXEL_SIZE_UM
    tables = {"detections": paths.detections, "geojson": paths.geojson}
    for annotation in (paths.annotation, None):
        count = count_cells(annotation=annotation, **tables, pixel_size_um=PIXEL_SIZE_UM)
        assert count.n_cells == n
        # Vertices are written to 0.01 pixels of a perimeter of about 5,000.
        assert count.density == pytest.approx(n / area, rel=1e-4)
        assert not count.notes


@pytest.mark.parametrize(
    "name",
    ["Area µm^2", "Area μm^2", "Area (µm²)", "Area [um2]", "area_um^2", "Area.µm.2", "Area ?m^2"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_spellings_of_the_area(name: str, encoding: str, tmp_path: Path) -> None:
    assert spell(name) == "area um2"
    path = tmp_path / "sample.csv"
    text = f"Image,Num Detections,{name}\r\na.svs,500,250000.5\r\n"
    path.write_bytes(text.encode(encoding))
    assert count_cells(annotation=path).tissue_area_mm2 == pytest.approx(0.2500005, rel=1e-12)


def test_broken_characters_of_the_unit(tmp_path: Path) -> None:
    """UTF-8 read as Latin-1 or ASCII and saved again, and a spreadsheet's old encoding."""
    header = "Num Detections\tArea µm^2\n500\t250000\n"
    greek = header.replace("µ", "μ")
    for text in (header, greek):
        for raw in (
            text.encode().decode("cp1252").encode(),
            text.encode().decode("ascii", "replace").encode(),
        ):
            path = tmp_path / "sample.tsv"
            path.write_bytes(raw)
            assert count_cells(annotation=path).density == 2000
    path.write_bytes(header.encode("cp1252"))
    assert count_cells(annotation=path).density == 2000


def test_measurements_of_single_nuclei_are_no_tissue_area(tmp_path: Path) -> None:
    path = table(tmp_path, "Num Detections\tNucleus: Area µm^2", "500\t250000")
    with pytest.raises(DatasetError, match="no area"):
        count_cells(annotation=path)


def test_parts_of_tissue_add_up(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "Name\tClass\tParent\tROI\tNum Detections\tArea µm^2",
        "\tTumor\tImage\tPolygon\t300\t100000",
        "\tTumor\tImage\tPolygon\t200\t150000",
        "\tRegion*\tImage\tRectangle\t100\t50000",
        "\tIgnore*\tImage\tPolygon\t999\t70000",
        "\tTumor\tTumor\tPolygon\t50\t20000",
        "marker\t\tImage\tPoints\t\t",
    )
    count = count_cells(annotation=path)
    assert (count.n_cells, count.tissue_area_mm2) == (600, pytest.approx(0.3, rel=1e-12))
    assert len(count.notes) == 3  # ignored, nested, points


def test_a_nested_annotation_without_its_parent_counts(tmp_path: Path) -> None:
    """As when only the rows of one class were exported."""
    path = table(
        tmp_path,
        "Class\tParent\tNum Detections\tArea µm^2",
        "Tumor\tAnnotation (Tissue)\t300\t100000",
        "Tumor\tAnnotation (Tissue)\t200\t150000",
    )
    assert count_cells(annotation=path).n_cells == 500


HEAD = "Image\tNum Detections\tArea µm^2"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["Image\tNum Detections", "a\t500"], "no area"),
        (["Image\tNum Detections\tArea px^2", "a\t500\t1000000"], "pixels, and no pixel size"),
        (["Image\tArea µm^2", "a\t250000"], "no count of cells"),
        ([HEAD, "a\t500\t0"], "row 2, column 'Area µm\\^2': found 0; expected a number above 0"),
        ([HEAD, "a\t500\t-250000"], "above 0"),
        ([HEAD, "a\t500\tNaN"], "found NaN"),
        ([HEAD, "a\t500\t1e999"], "finite"),
        ([HEAD, "a\t500\t"], "an empty cell"),
        ([HEAD, "a\t-5\t250000"], "whole number"),
        ([HEAD, "a\t5.5\t250000"], "whole number"),
        ([HEAD, "a\tmany\t250000"], "found many"),
        ([HEAD, "a\t0\t250000"], "0 cells/mm2"),
        ([HEAD, "a\t500\t250,000"], "thousands"),
        ([HEAD, "a\t500000\t250000"], "cells/mm2; expected 1 to 50000"),
        ([HEAD, "a\t500\t0.25"], "unit of the area"),
        ([HEAD, "a\t500\t250000", "b\t600\t260000"], "2 images"),
        ([HEAD, "a\t500"], "row 2: found 2 cells; expected 3"),
        ([HEAD], "no rows"),
        ([HEAD + "\tArea (um2)", "a\t500\t250000\t250000"], r"'Area \(um2\)' twice"),
        (
            ["Object ID\t" + HEAD, "x\ta\t500\t250000", "x\ta\t500\t250000"],
            "same object as in row 2",
        ),
        (["Object type\t" + HEAD, "Cell\ta\t\t50"], "objects of type cell"),
        (["Class\t" + HEAD, "Ignore*\ta\t500\t250000"], "none of tissue"),
        (['"Image\tNum', "a\t5"], "quoting"),
    ],
)
def test_what_is_wrong_with_an_annotation_table(
    rows: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=message):
        count_cells(annotation=table(tmp_path, *rows))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["Image\tArea", "a\t5"], "neither centroids nor object IDs"),
        (["Object ID\tObject type", "x\tAnnotation"], "objects of type annotation"),
        (["Object ID", "x", "y", "x"], "row 4: found the same object as in row 2"),
        (["Centroid X µm\tCentroid Y µm", "1.5\t2", "1.5\t2"], "same object"),
        (["Object ID", "x", "y"], "2 cells; expected 12"),
    ],
)
def test_what_is_wrong_with_a_detection_table(
    rows: list[str], message: str, tmp_path: Path
) -> None:
    path = table(tmp_path, *rows)
    with pytest.raises(DatasetError, match=message):
        count_cells(annotation=QUPATH / "v0.6-annotations.csv", detections=path)


def test_detections_need_an_area() -> None:
    with pytest.raises(DatasetError, match="no tissue area"):
        count_cells(detections=QUPATH / "v0.6-detections.tsv")


EMPTY_COLLECTION = {"type": "GeometryCollection", "geometries": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "broken JSON"),
        ("[" * 100_000, "JSON that cannot be read"),
        ("[]", "no GeoJSON feature"),
        ("3", "no GeoJSON feature"),
        ('{"type": "FeatureCollection"}', "no GeoJSON feature"),
        ("[{}]", "feature 1: something else"),
        ([feature(square(0, 0, 100), "Circle")], "geometry 'Circle'"),
        ([feature([[["a", 1], [2, 3]]])], "no numbers"),
        ([feature([[[0, 0], [1]]])], "no numbers"),
        ([feature([])], "no numbers"),
        ([feature([[[0, 0], [9, 9]]])], "too few"),
        (
            [{**feature([], objectType="cell"), "geometry": EMPTY_COLLECTION}],
            "an empty collection",
        ),
        ([feature([[[0, 0], [1, 1], [2, 2], [0, 0]]])], "without area"),
        ([feature(square(0, 0, 100)), feature(square(50, 50, 100))], "overlap in part"),
        ([feature(square(0, 0, 100)), feature(square(0, 0, 100))], "a second time"),
        ([feature([5, 5], "Point")], "none of tissue"),
        ([feature(square(0, 0, 100))], "no count of cells"),
        ([{"type": "Feature", "geometry": None, "properties": 3}], "properties"),
    ],
)
def test_what_is_wrong_with_an_outline(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DatasetError, match=message):
        count_cells(geojson=path, pixel_size_um=0.5)


def test_an_outline_needs_a_pixel_size() -> None:
    with pytest.raises(DatasetError, match="pixel size"):
        count_cells(geojson=QUPATH / "v0.4.geojson")


def test_exports_that_disagree(tmp_path: Path) -> None:
    annotation = table(tmp_path, HEAD, "a\t12\t192500")
    outline = QUPATH / "v0.4.geojson"
    with pytest.raises(DatasetError, match=r"0\.27\d* mm2 of tissue; expected 0\.1925 mm2"):
        count_cells(annotation=annotation, geojson=outline, pixel_size_um=0.6)
    annotation = table(tmp_path, HEAD, "a\t14\t192500")
    with pytest.raises(DatasetError, match="12 cells; expected 14"):
        count_cells(annotation=annotation, geojson=outline, pixel_size_um=0.5)


def test_arguments() -> None:
    with pytest.raises(ValueError, match="no export"):
        count_cells()
    for size in (0, -1, 1e9, float("nan")):
        with pytest.raises(ValueError, match="pixel size"):
            count_cells(geojson=QUPATH / "v0.4.geojson", pixel_size_um=size)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "sample.tsv"
    for raw, message in ((b"", "empty"), (b"a\0b", "no text"), (b"\xff\xfea", "no text")):
        path.write_bytes(raw)
        with pytest.raises(DatasetError, match=message):
            count_cells(annotation=path)
    with pytest.raises(DatasetError, match="no such file"):
        count_cells(annotation=tmp_path / "absent.tsv")
    with pytest.raises(DatasetError, match="readable"):
        count_cells(annotation=tmp_path)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ({"PixelSize": [0.25, 0.25], "PixelSizeUnits": "um"}, 0.25),
        ({"PixelSize": 250, "PixelSizeUnits": "nm"}, 0.25),
        ({"PixelSize": [0.0005, 0.0005, 0.004], "PixelSizeUnits": "mm"}, 0.5),
        ({"PixelSize": [0.25, 0.5], "PixelSizeUnits": "um"}, None),
        ({"PixelSize": [0.25, "0.25"], "PixelSizeUnits": "um"}, None),
        ({"PixelSize": 0.25}, None),
        ({"PixelSize": True, "PixelSizeUnits": "um"}, None),
        ({"PixelSize": 0, "PixelSizeUnits": "um"}, None),
        ({"PixelSize": [], "PixelSizeUnits": "um"}, None),
        ([0.5], None),
    ],
)
def test_pixel_size_of_a_sidecar(content: object, size: float | None, tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    path.write_text(json.dumps(content))
    if size is None:
        with pytest.raises(DatasetError, match="pixel size"):
            read_pixel_size(path)
    else:
        assert read_pixel_size(path) == pytest.approx(size, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 40), shift=st.floats(-1e5, 1e5))
def test_area_is_that_of_the_hull(seed: int, n: int, shift: float) -> None:
    """SciPy's convex hull gives the area by another way; where and how the ring starts is one."""
    rng = np.random.default_rng(seed)
    hull = ConvexHull(rng.normal(size=(n, 2)) * 100)
    ring = hull.points[hull.vertices]
    # Coordinates of 1e5 carry errors of 1e-11, the area is about 1e4.
    for same in (ring, ring[::-1], np.roll(ring, n // 2, axis=0), ring + shift):
        polygon = {"type": "Polygon", "coordinates": [same.tolist()]}
        area = read_outline(Path("a.geojson"), 1, polygon).area
        assert area == pytest.approx(hull.volume, rel=1e-7)


def test_ellipse_of_the_annotation_tool(tmp_path: Path) -> None:
    """QuPath keeps an ellipse as a polygon of few vertices, and means the ellipse."""
    turn = np.linspace(0, 2 * np.pi, 21)
    ring = np.column_stack([500 + 400 * np.cos(turn), 300 + 200 * np.sin(turn)])
    item = feature([ring.tolist()], objectType="annotation")
    item["geometry"]["isEllipse"] = True
    path = tmp_path / "sample.geojson"
    path.write_text(json.dumps(item))
    detections = table(tmp_path, "Object ID", *map(str, range(100)))
    count = count_cells(detections=detections, geojson=path, pixel_size_um=0.5)
    assert count.tissue_area_mm2 == pytest.approx(np.pi * 400 * 200 * 0.25e-6, rel=1e-9)


def test_cells_in_an_uneven_outline(tmp_path: Path) -> None:
    """Matplotlib says which points lie in a polygon with a hole."""
    rng = np.random.default_rng(11)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    outer = (1000 + 300 * rng.random((60, 1))) * np.column_stack([np.cos(turn), np.sin(turn)])
    hole = 0.3 * outer[::-1]
    points = rng.uniform(-1300, 1300, (2000, 2))
    rings = [np.vstack([ring, ring[:1]]).tolist() for ring in (outer, hole)]
    outline = tmp_path / "sample.geojson"
    outline.write_text(json.dumps(feature(rings)))
    inside = Outline(outer).contains_points(points) & ~Outline(hole).contains_points(points)
    parents = np.where(inside, "Annotation", "Image")
    rows = [f"{x!r}\t{y!r}\t{p}" for (x, y), p in zip(points.tolist(), parents, strict=True)]
    detections = table(tmp_path, "Centroid X px\tCentroid Y px\tParent", *rows)
    count = count_cells(detections=detections, geojson=outline, pixel_size_um=1)
    assert count.n_cells == inside.sum()


ORIGINALS = {
    "annotation": (QUPATH / "v0.5-annotations-locale.csv").read_bytes(),
    "detections": (QUPATH / "v0.6-detections.tsv").read_bytes(),
    "geojson": (QUPATH / "v0.6-hierarchy.geojson").read_bytes(),
}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(sorted(ORIGINALS)),
    at=st.integers(0, 10_000),
    length=st.integers(0, 60),
    instead=st.one_of(
        st.binary(max_size=6), st.sampled_from([b"\t", b'"', b"[", b"null", b"-9e9"])
    ),
)
def test_a_damaged_file_gives_an_error_or_a_plausible_count(
    kind: str, at: int, length: int, instead: bytes, tmp_path: Path
) -> None:
    raw = ORIGINALS[kind]
    at %= len(raw)
    files = {}
    for name, content in ORIGINALS.items():
        files[name] = tmp_path / name
        damaged = raw[:at] + instead + raw[at + length :]
        files[name].write_bytes(damaged if name == kind else content)
    try:
        count = count_cells(**files, pixel_size_um=0.5)
    except DatasetError:
        return
    assert AREA_RANGE_MM2[0] <= count.tissue_area_mm2 <= AREA_RANGE_MM2[1]
    assert DENSITY_RANGE[0] <= count.density <= DENSITY_RANGE[1]
    assert count.density == pytest.approx(count.n_cells / count.tissue_area_mm2, rel=1e-12)


def outline_of_a_square(folder: Path, side: int = 2000) -> Path:
    """A square of tissue with 500 cells in it, pixels."""
    corners = [[0, 0], [side, 0], [side, side], [0, side], [0, 0]]
    tissue = {"type": "Polygon", "coordinates": [corners]}
    features = [{"type": "Feature", "geometry": tissue, "properties": {"objectType": "annotation"}}]
    for i in range(500):
        x, y = 10 + 50 * (i % 25), 10 + 50 * (i // 25)
        ring = [[x, y], [x + 5, y], [x + 5, y + 5], [x, y]]
        cell = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "geometry": cell, "properties": {"objectType": "cell"}})
    path = folder / "sample-1_outline.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_exports_in_pixels_say_where_the_pixel_size_goes(tmp_path: Path) -> None:
    outline = outline_of_a_square(tmp_path)
    pixels = table(tmp_path, "Num Detections\tArea px^2", "500\t4000000", name="a_annotations.tsv")
    for given_, beside in (
        ({"geojson": outline}, "sample-1_outline.json"),
        ({"annotation": pixels}, "a_annotations.json"),
    ):
        with pytest.raises(DatasetError) as error:
            count_cells(**given_)
        remedy = error.value.problems[0].remedy
        assert beside in remedy
        assert "SET=histology_pixel_size_um=" in remedy
        # What the remedy shows is what can be read.
        example = json.loads(remedy[remedy.index("{") : remedy.index("}") + 1])
        sidecar = tmp_path / beside
        sidecar.write_text(json.dumps(example))
        assert pixel_size_of([sidecar]) == 0.25
        # 2000 pixels of 0.25 um are 0.5 mm.
        assert count_cells(**given_, pixel_size_um=0.25).density == pytest.approx(500 / 0.25)


def test_json_beside_exports(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    texts = (
        {"GeneratedBy": []},
        {"PixelSize": [250, 250], "PixelSizeUnits": "nm"},
        {"PixelSize": 0.25, "PixelSizeUnits": "um"},
    )
    for path, text in zip(paths, texts, strict=True):
        path.write_text(json.dumps(text))
    assert pixel_size_of(paths[:1]) is None
    assert pixel_size_of(paths) == 0.25
    paths[2].write_text(json.dumps({"PixelSize": 0.5, "PixelSizeUnits": "um"}))
    with pytest.raises(DatasetError, match=r"c.json: found a pixel size of 0.5 µm; expected 0.25"):
        pixel_size_of(paths)
    paths[2].write_text(json.dumps({"PixelSize": 0.5}))
    with pytest.raises(DatasetError, match="PixelSizeUnits None"):
        pixel_size_of(paths)
