"""What holds for the density of any sample, and that damage gives an error and never a number."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpmlib.histology.qupath import CellCount, count_cells
from cpmlib.histology.qupath_tables import spell
from cpmlib.study.errors import DatasetError
from exports import detections, feature, outline, table

EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass(frozen=True)
class Section:
    """Tissue about a middle, in pixels; ``inside`` says which cells lie in it."""

    ring: np.ndarray
    cells: np.ndarray
    inside: np.ndarray
    middle: np.ndarray
    pixel_um: float

    def count(self, folder: Path, *rings: np.ndarray) -> CellCount:
        regions = [feature([ring.tolist()], objectType="annotation") for ring in rings]
        return self.count_regions(folder, regions or [self.tissue])

    @property
    def tissue(self) -> dict:
        return feature([self.ring.tolist()], objectType="annotation", name="tissue")

    def count_regions(self, folder: Path, regions: list[dict]) -> CellCount:
        cells = [feature(point, "Point", objectType="cell") for point in self.cells.tolist()]
        path = outline(folder, [*regions, *cells])
        return count_cells(geojson=path, pixel_size_um=self.pixel_um)

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Section:
        parts = (move(part) for part in (self.ring, self.cells))
        return Section(*parts, self.inside, move(self.middle), self.pixel_um)


@st.composite
def sections(draw: st.DrawFn) -> Section:
    """Draw an uneven outline, cells at 3 % of the radius or more from it, and a pixel size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners, n = draw(st.integers(5, 60)), draw(st.integers(40, 200))
    pixel_um = draw(st.sampled_from([0.22, 0.25, 0.5, 1.0]))
    radius = rng.uniform(400, 1000, corners)
    turn = 2 * np.pi * np.arange(corners) / corners
    ring = radius[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    # A point of the edge, drawn towards the middle or away from it.
    side, part = rng.integers(0, corners, n), rng.uniform(0.05, 0.95, (n, 1))
    edge = (1 - part) * ring[side] + part * ring[(side + 1) % corners]
    inside = rng.random(n) < 0.8
    inside[0] = True
    reach = np.where(inside, np.sqrt(rng.uniform(0.01, 0.94, n)), rng.uniform(1.03, 1.5, n))
    middle = np.array([3000.0, 2000.0])
    return Section(middle + ring, middle + reach[:, None] * edge, inside, middle, pixel_um)


def same(count: CellCount, other: CellCount) -> bool:
    """Coordinates of up to 1e6 pixels are kept to 1e-10, so that areas of 1e6 agree to 1e-9."""
    assert count.tissue_area_mm2 == pytest.approx(other.tissue_area_mm2, rel=1e-8)
    assert count.density == pytest.approx(other.density, rel=1e-8)
    return count.n_cells == other.n_cells


@EXAMPLES
@given(section=sections(), turn=st.floats(0, 2 * math.pi), shift=st.floats(-1e6, 1e6))
def test_where_and_how_the_section_lies_does_not_matter(
    section: Section, turn: float, shift: float, tmp_path: Path
) -> None:
    count = section.count(tmp_path)
    assert count.n_cells == section.inside.sum()
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    assert same(section.moved(lambda xy: xy + np.array([shift, -shift])).count(tmp_path), count)
    assert same(section.moved(lambda xy: xy @ rotation).count(tmp_path), count)
    assert same(section.moved(lambda xy: xy * [-1, 1]).count(tmp_path), count)


@EXAMPLES
@given(section=sections(), start=st.integers(0, 59), share=st.floats(0.35, 0.6))
def test_halves_are_the_whole(section: Section, start: int, share: float, tmp_path: Path) -> None:
    """Cut at the middle and two corners; no cell lies on the lines to the corners."""
    ring = np.roll(section.ring, start % len(section.ring), axis=0)
    corner = max(2, round(share * len(ring)))
    halves = [ring[: corner + 1], np.vstack([ring[corner:], ring[:1]])]
    halves = [np.vstack([half, section.middle]) for half in halves]
    assert same(section.count(tmp_path, *halves), section.count(tmp_path))
    # Nor does a region in the tissue add anything.
    within = section.middle + 0.5 * (section.ring - section.middle)
    assert same(section.count(tmp_path, within, section.ring), section.count(tmp_path))


@EXAMPLES
@given(section=sections())
def test_what_is_ignored_is_a_hole(section: Section, tmp_path: Path) -> None:
    hole = section.middle + 0.4 * (section.ring - section.middle)
    island = section.middle + 0.2 * (section.ring - section.middle)
    holed = [feature([section.ring.tolist(), hole.tolist()], objectType="annotation")]
    none = {"name": "Ignore*"}
    ignored = [section.tissue, feature([hole.tolist()], classification=none)]
    inner = [feature([island.tolist()], objectType="annotation")]
    expected = section.count_regions(tmp_path, holed)
    assert expected.tissue_area_mm2 == pytest.approx(
        (1 - 0.4**2) * section.count(tmp_path).tissue_area_mm2, rel=1e-9
    )
    assert same(section.count_regions(tmp_path, ignored), expected)
    expected = section.count_regions(tmp_path, holed + inner)
    assert same(section.count_regions(tmp_path, ignored + inner), expected)


@EXAMPLES
@given(section=sections())
def test_units_do_not_matter(section: Section, tmp_path: Path) -> None:
    count, size = section.count(tmp_path), section.pixel_um
    tissue = outline(tmp_path, [section.tissue])
    parents = np.where(section.inside, "Annotation", "Image").tolist()
    for unit, scale in (("px", 1.0), ("µm", size)):
        header = f"Centroid X {unit}\tCentroid Y {unit}"
        path = detections(tmp_path, (section.cells * scale).tolist(), parents, header)
        other = count_cells(detections=path, geojson=tissue, pixel_size_um=size)
        assert same(other, count)
    area = count.tissue_area_mm2
    for unit, value in (("px", area * 1e6 / size**2), ("µm", area * 1e6), ("mm", area)):
        rows = (f"Num Detections\tArea {unit}^2", f"{count.n_cells}\t{value!r}")
        path = table(tmp_path, *rows, name="annotations.tsv")
        assert same(count_cells(annotation=path, pixel_size_um=size), count)
        assert same(count_cells(annotation=path, geojson=tissue, pixel_size_um=size), count)


@EXAMPLES
@given(section=sections(), factor=st.sampled_from([0.5, 2.0]))
def test_density_goes_with_the_square_of_the_pixel(
    section: Section, factor: float, tmp_path: Path
) -> None:
    """And so a wrong pixel size is told where the cells come in µm, whatever the outline."""
    count, size = section.count(tmp_path), section.pixel_um
    tissue = outline(tmp_path, [section.tissue])
    path = detections(tmp_path, (section.cells[section.inside] * size).tolist())
    assert same(count_cells(detections=path, geojson=tissue, pixel_size_um=size), count)
    with pytest.raises(DatasetError, match="pixel size"):
        count_cells(detections=path, geojson=tissue, pixel_size_um=size * factor)


COLUMNS = {
    "Image": "a.svs",
    "Object type": "Annotation",
    "Classification": "Tumor",
    "Parent": "Image",
    "Num Detections": "500",
    "Area µm^2": "250000.0",
    "Perimeter µm": "2000.0",
}


def annotations(columns: dict[str, str], mark: str = "\t") -> str:
    return mark.join(columns) + "\n" + mark.join(columns.values()) + "\n"


def refused(folder: Path, content: str | bytes, kind: str = "annotation") -> bool:
    path = folder / "damaged"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError) as error:
        count_cells(**{kind: path}, pixel_size_um=0.5)
    return str(error.value).count("Remedy") >= 1


NO_NUMBERS = ["", "NaN", "nan", "n/a", "-", "inf", "-inf", "1e400", "-250000", "1e-400", "0x1f4"]
NO_NUMBERS += ["250 000", "250,000.0", "250.000,0", "1.2.3", "5e", "500 cells", "250000 µm²", "½"]
NO_NUMBERS += ["٢٥٠٠٠٠", "1_000", "True", "1e308", "=A1", "#REF!", "<500", "+-5"]


@EXAMPLES
@given(
    column=st.sampled_from(["Num Detections", "Area µm^2"]),
    cell=st.sampled_from(NO_NUMBERS) | st.text(max_size=12),
)
def test_a_cell_that_is_no_number(column: str, cell: str, tmp_path: Path) -> None:
    try:
        number = float(cell.strip())
    except ValueError:
        number = math.nan
    # With 500 cells or 0.25 mm2 beside them, others are numbers and plausible.
    if cell.isascii() and "_" not in cell and 0.1 < number < 1e9:
        return
    assert refused(tmp_path, annotations({**COLUMNS, column: cell}))


@pytest.mark.parametrize("cell", NO_NUMBERS)
@pytest.mark.parametrize("column", ["Num Detections", "Area µm^2"])
def test_cells_known_to_be_no_numbers(column: str, cell: str, tmp_path: Path) -> None:
    assert refused(tmp_path, annotations({**COLUMNS, column: cell}))


@EXAMPLES
@given(
    column=st.sampled_from(["Num Detections", "Area µm^2"]),
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
)
def test_a_column_of_another_name(column: str, name: str, tmp_path: Path) -> None:
    if spell(name) in {spell(column), "area px2", "area mm2"}:
        return
    renamed = {name if key == column else key: cell for key, cell in COLUMNS.items()}
    assert refused(tmp_path, annotations(renamed))


@pytest.mark.parametrize("mark", ["|", " ", ":", "\\t", "\v", "·"])
def test_separators_that_are_none(mark: str, tmp_path: Path) -> None:
    assert refused(tmp_path, annotations(COLUMNS, mark))


@pytest.mark.parametrize(("header", "row"), [("\t", ","), ("\t", ";"), (",", "\t"), (";", ",")])
def test_separators_that_change(header: str, row: str, tmp_path: Path) -> None:
    assert refused(tmp_path, header.join(COLUMNS) + "\n" + row.join(COLUMNS.values()) + "\n")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "cp500", "utf-7"])
def test_encodings_that_are_not_told(encoding: str, tmp_path: Path) -> None:
    assert refused(tmp_path, annotations(COLUMNS).encode(encoding))


@EXAMPLES
@given(noise=st.binary(min_size=1, max_size=200))
def test_noise_is_no_table(noise: bytes, tmp_path: Path) -> None:
    for kind in ("annotation", "geojson"):
        assert refused(tmp_path, noise, kind)


def test_a_table_that_breaks_off(tmp_path: Path) -> None:
    """Anywhere before its last cell, which nothing is taken from."""
    whole = annotations(COLUMNS).encode()
    for end in range(len(whole) - len("\t2000.0\n") + 1):
        assert refused(tmp_path, whole[:end])


SQUARE = [[0, 0], [1000, 0], [1000, 1000], [0, 1000], [0, 0]]
CELLS = [feature([20 + 40 * i, 500], "Point", objectType="cell") for i in range(24)]
GOOD = {
    "type": "FeatureCollection",
    "features": [feature([SQUARE], objectType="annotation"), *CELLS],
}


def test_an_outline_that_breaks_off(tmp_path: Path) -> None:
    whole = json.dumps(GOOD).encode()
    for end in range(0, len(whole), 7):
        assert refused(tmp_path, whole[:end], "geojson")


NO_COORDINATES = ["NaN", "Infinity", "-Infinity", "1e400", "1e300", "-1e12", "1" + "0" * 400]
NO_COORDINATES += [
    "null",
    "[" * 900 + "]" * 900,
    "true",
    '"500"',
    '""',
    "[]",
    "[1]",
    "{}",
    "[500, 500]",
    "500 500",
]


@pytest.mark.parametrize("text", NO_COORDINATES)
@pytest.mark.parametrize("place", ["annotation", "cell"])
def test_a_coordinate_that_is_none(place: str, text: str, tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    tissue, cell = (content["features"][i]["geometry"]["coordinates"] for i in (0, 1))
    if place == "annotation":
        tissue[0][2][0] = "HERE"
    else:
        cell[0] = "HERE"
    assert refused(tmp_path, json.dumps(content).replace('"HERE"', text), "geojson")


@pytest.mark.parametrize("text", ["NaN", "inf", "1e400", "1e300", "-1e12", "", "12 µm", "true"])
def test_a_centroid_that_is_none(text: str, tmp_path: Path) -> None:
    tissue = outline(tmp_path, GOOD["features"][:1])
    rows = [f"{20 * i}\t250" for i in range(1, 25)] + [f"{text}\t250"]
    path = table(tmp_path, "Centroid X µm\tCentroid Y µm", *rows)
    with pytest.raises(DatasetError):
        count_cells(detections=path, geojson=tissue, pixel_size_um=0.5)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@EXAMPLES
@given(
    junk=JSON,
    path=st.sampled_from(
        [
            ("geometry",),
            ("geometry", "type"),
            ("geometry", "coordinates"),
            ("geometry", "coordinates", 0),
            ("geometry", "coordinates", 0, 1),
            ("type",),
        ]
    ),
)
def test_junk_in_an_outline(junk: object, path: tuple[str | int, ...], tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    at = content["features"][0]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = junk
    if path[-1] == 1 and isinstance(junk, list) and len(junk) > 1:
        return  # another vertex
    assert refused(tmp_path, json.dumps(content), "geojson")


@EXAMPLES
@given(junk=JSON, member=st.sampled_from(["properties", "id", "objectType", "classification"]))
def test_junk_in_the_properties(junk: object, member: str, tmp_path: Path) -> None:
    """It may be passed over: the count is then that of the file without it, or none."""
    content = copy.deepcopy(GOOD)
    first = content["features"][0]
    at = first if member in ("properties", "id") else first["properties"]
    at[member] = junk
    path = tmp_path / "junk.geojson"
    path.write_text(json.dumps(content))
    try:
        count = count_cells(geojson=path, pixel_size_um=0.5)
    except DatasetError:
        return
    assert (count.n_cells, count.tissue_area_mm2) == (24, pytest.approx(0.25, rel=1e-12))


@pytest.mark.parametrize("depth", [1, 2, 100, 200, 300, 400, 450, 480, 490])
def test_nested_collections(depth: int, tmp_path: Path) -> None:
    """One is read; deeper ones are no geometry that a slide needs."""
    content = copy.deepcopy(GOOD)
    content["features"][0]["geometry"] = "HERE"
    # Written by hand, since json's writer gives up earlier than its reader.
    text = '{"type": "GeometryCollection", "geometries": ['
    square = json.dumps(GOOD["features"][0]["geometry"])
    text = text * depth + square + "]}" * depth
    raw = json.dumps(content).replace('"HERE"', text).encode()
    if depth > 1:
        assert refused(tmp_path, raw, "geojson")
        return
    path = tmp_path / "nested.geojson"
    path.write_bytes(raw)
    assert count_cells(geojson=path, pixel_size_um=0.5).n_cells == 24
