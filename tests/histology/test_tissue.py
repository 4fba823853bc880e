"""Which tissue is counted: nested regions, rings that cross, cells that do not fit the outline."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from cpmlib.histology.qupath import count_cells
from cpmlib.histology.qupath_outlines import read_outline, without_crossings
from cpmlib.study.errors import DatasetError
from exports import CENTROIDS, detections, feature, outline, square, table

PIXEL_UM = 0.5


def lattice(side: int = 40) -> np.ndarray:
    """Return cells at every 20 pixels from (12.5, 12.5), as x and y."""
    steps = 12.5 + 20 * np.arange(side)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


CELLS = [feature([*point], "Point", objectType="cell") for point in lattice().tolist()]
TISSUE = feature(square(0, 0, 1000), objectType="annotation")


def ignored(ring: list) -> dict:
    return feature(ring, objectType="annotation", classification={"name": "Ignore*"})


NESTED = [
    "T\tTumor\tImage\t1000\t1000000",
    "H\tIgnore*\tT\t300\t400000",
    "I\tTumor\tH\t200\t200000",
    "J\tTumor\tI\t100\t50000",
    "K\tIgnore*\tI\t40\t60000",
    "L\tIgnore*\tK\t10\t20000",
]


@pytest.mark.parametrize(
    ("depth", "cells", "area"),
    [(1, 1000, 1), (2, 700, 0.6), (3, 900, 0.8), (4, 900, 0.8), (5, 860, 0.74), (6, 860, 0.74)],
)
def test_tissue_inside_something_ignored_counts(
    depth: int, cells: int, area: float, tmp_path: Path
) -> None:
    """In depth 3 it was lost: 1000 - 300 + 200 cells in 1 - 0.4 + 0.2 mm2."""
    head = "Name\tClass\tParent\tNum Detections\tArea µm^2"
    count = count_cells(annotation=table(tmp_path, head, *NESTED[:depth]))
    assert (count.n_cells, count.tissue_area_mm2) == (cells, pytest.approx(area, rel=1e-12))


def test_an_outline_says_the_same_of_islands(tmp_path: Path) -> None:
    regions = [TISSUE, ignored(square(100, 100, 600))]
    regions.append(feature(square(200, 200, 300), objectType="annotation", name="island"))
    count = count_cells(geojson=outline(tmp_path, regions + CELLS), pixel_size_um=PIXEL_UM)
    assert count.tissue_area_mm2 == pytest.approx((1 - 0.36 + 0.09) / 4, rel=1e-12)
    # On the lattice of 20 pixels the squares hold 40, 30 and 15 cells a side.
    assert count.n_cells == 40**2 - 30**2 + 15**2


def test_tissue_in_an_ignored_region_without_tissue_around_it(tmp_path: Path) -> None:
    regions = [ignored(square(0, 0, 1000)), feature(square(0, 0, 500), objectType="annotation")]
    count = count_cells(geojson=outline(tmp_path, regions + CELLS), pixel_size_um=PIXEL_UM)
    assert (count.n_cells, count.tissue_area_mm2) == (25**2, pytest.approx(0.0625, rel=1e-12))


@pytest.mark.parametrize("parents", [(), ["Image"] * 1600, ["Annotation"] * 1600])
@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0.25, "975 of 1600 cells outside every annotation of sample.geojson; .*pixel size"),
        (1.0, "cells that spread 40 % as far as the tissue in sample.geojson; .*pixel size"),
    ],
)
def test_a_wrong_pixel_size_does_not_go_unnoticed(
    parents: list[str], size: float, message: str, tmp_path: Path
) -> None:
    """The right one is 0.5 µm: 6400 cells/mm2, where 0.25 gave 10,000 and 1 gave 1600."""
    files = {
        "detections": detections(tmp_path, (lattice() * PIXEL_UM).tolist(), parents),
        "geojson": outline(tmp_path, [TISSUE]),
    }
    assert count_cells(**files, pixel_size_um=PIXEL_UM).density == pytest.approx(6400, rel=1e-12)
    with pytest.raises(DatasetError, match=message):
        count_cells(**files, pixel_size_um=size)


def test_cells_outside_that_say_so_are_left_out(tmp_path: Path) -> None:
    points = lattice() * PIXEL_UM
    part = outline(tmp_path, [feature(square(0, 0, 500), objectType="annotation")])
    inside = (points < 250).all(axis=1)
    for elsewhere in ("Image", "Root object (Image)", "Annotation (Ignore*)"):
        parents = np.where(inside, "Annotation", elsewhere).tolist()
        path = detections(tmp_path, points.tolist(), parents)
        count = count_cells(detections=path, geojson=part, pixel_size_um=PIXEL_UM)
        assert count.n_cells == 25**2
    # Those of an annotation that was not exported are not explained.
    parents = np.where(inside, "Annotation", "Annotation (Stroma)").tolist()
    path = detections(tmp_path, points.tolist(), parents)
    with pytest.raises(DatasetError, match="export all annotations"):
        count_cells(detections=path, geojson=part, pixel_size_um=PIXEL_UM)


def test_some_cells_on_the_border_may_lie_outside(tmp_path: Path) -> None:
    """A column of the 40, of which the centroids lie just outside, is 2.5 %; two are 5 %."""
    for columns, right in ((1, True), (2, True), (3, False)):
        x = 20 * columns
        tissue = [feature([[[x, 0], [999, 0], [999, 999], [x, 999], [x, 0]]])]
        files = {
            "detections": detections(tmp_path, (lattice() * PIXEL_UM).tolist()),
            "geojson": outline(tmp_path, tissue),
        }
        if right:
            count = count_cells(**files, pixel_size_um=PIXEL_UM)
            assert count.n_cells == 1600 - 40 * columns
        else:
            with pytest.raises(DatasetError, match="120 of 1600 cells"):
                count_cells(**files, pixel_size_um=PIXEL_UM)


def test_cells_in_a_corner_of_the_tissue(tmp_path: Path) -> None:
    """They may be all there are; the annotation table then shows that the pixel size is right."""
    points = lattice(20) * PIXEL_UM
    files = {
        "detections": detections(tmp_path, points.tolist()),
        "geojson": outline(tmp_path, [TISSUE]),
    }
    with pytest.raises(DatasetError, match="add the annotation table"):
        count_cells(**files, pixel_size_um=PIXEL_UM)
    annotation = table(tmp_path, "Num Detections\tArea µm^2", "400\t250000")
    count = count_cells(annotation=annotation, **files, pixel_size_um=PIXEL_UM)
    assert count.n_cells == 400
    few = detections(tmp_path, points[:10].tolist())
    assert count_cells(detections=few, geojson=files["geojson"], pixel_size_um=0.5).n_cells == 10
    pixels = detections(tmp_path, lattice(20).tolist(), header=CENTROIDS.replace("µm", "px"))
    count = count_cells(detections=pixels, geojson=files["geojson"], pixel_size_um=PIXEL_UM)
    assert count.n_cells == 400


BOW_TIE = [[0, 0], [1000, 800], [1000, 0], [0, 1000], [0, 0]]
FAR = square(600, 600, 300)


@pytest.mark.parametrize(
    "geometry",
    [
        ([BOW_TIE], "Polygon"),  # signed area 0.1 of what is inside: 31,080 cells/mm2 for 6400
        ([[[0, 0], [1000, 1000], [1000, 0], [0, 1000], [0, 0]]], "Polygon"),  # signed area 0
        ([*square(0, 0, 500), *FAR], "Polygon"),  # a hole outside its ring
        ([*square(0, 0, 1000), *square(500, 500, 1000)], "Polygon"),  # one that sticks out
        ([square(0, 0, 700), FAR], "MultiPolygon"),  # parts that overlap
        # A pentagram: its shoelace area counts the middle twice.
        (
            [[[500 + 500 * np.sin(a), 500 + 500 * np.cos(a)] for a in 0.8 * np.pi * np.arange(6)]],
            "Polygon",
        ),
    ],
)
def test_rings_that_cross_are_refused(geometry: tuple[list, str], tmp_path: Path) -> None:
    regions = [TISSUE, feature(*geometry, objectType="annotation", name="slip")]
    regions[0]["geometry"]["coordinates"] = square(5000, 0, 1000)
    with pytest.raises(DatasetError, match=r"feature 2 \(slip\): an outline that crosses itself"):
        count_cells(geojson=outline(tmp_path, regions + CELLS), pixel_size_um=PIXEL_UM)


def test_a_loop_of_a_trembling_hand_is_no_crossing(tmp_path: Path) -> None:
    ring = [[0, 0], [500, 0], [502, -2], [502, 2], [500, 0], [504, -1], [1000, 0], [1000, 1000]]
    region = feature([[*ring, [0, 1000], [0, 0]]], objectType="annotation")
    count = count_cells(geojson=outline(tmp_path, [region, *CELLS]), pixel_size_um=PIXEL_UM)
    assert count.density == pytest.approx(6400, rel=0.01)


def filled_area(rings: list[np.ndarray]) -> float:
    """Area inside an odd number of rings, however much they cross."""
    polygon = {"type": "Polygon", "coordinates": [ring.tolist() for ring in rings]}
    outline = read_outline(Path("a.geojson"), 1, polygon)
    with mock.patch("cpmlib.histology.qupath_outlines.CROSSED_SHARE", np.inf):
        return without_crossings(Path("a.geojson"), 1, "a", outline).area


def shoelace(ring: np.ndarray) -> float:
    x, y = (ring - ring[0]).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 3000),
    shift=st.floats(-1e5, 1e5),
    turn=st.floats(0, 6.3),
)
def test_filled_area_of_simple_rings(seed: int, n: int, shift: float, turn: float) -> None:
    """Star-shaped rings are simple, however uneven: the shoelace formula gives their area."""
    rng = np.random.default_rng(seed)
    angle = turn + np.linspace(0, 2 * np.pi, n, endpoint=False)
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    outer = shift + 1000 * (1 + rng.random((n, 1))) * unit
    rings = [outer, shift + 500 * unit, shift + 1e4 + 5 * unit]
    expected = shoelace(rings[0]) - shoelace(rings[1]) + shoelace(rings[2])
    # Coordinates of 1e5 carry errors of 1e-11.
    assert filled_area(rings) == pytest.approx(expected, rel=1e-9)
    assert filled_area([ring[::-1] for ring in rings]) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(4, 12))
def test_filled_area_of_tangled_rings(seed: int, n: int) -> None:
    """The share of random points that have the ring around them an odd number of times, by
    counting the edges above each; 20,000 points give it to 0.0035 (one SD), five are allowed."""
    rng = np.random.default_rng(seed)
    ring, points = rng.random((n, 2)), rng.random((20_000, 2))
    start, end = ring, np.roll(ring, -1, axis=0)
    between = (start[:, 0] > points[:, :1]) != (end[:, 0] > points[:, :1])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (end - start)[:, 1] / (end - start)[:, 0]
        above = start[:, 1] + (points[:, :1] - start[:, 0]) * slope > points[:, 1:]
    share = ((between & above).sum(axis=1) % 2).mean()
    assert filled_area([ring]) == pytest.approx(share, abs=5 * 0.0035)


def test_filled_area_agrees_with_matplotlib_on_the_bow_tie() -> None:
    steps = (np.arange(400) + 0.5) * 2.5
    points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    inside = Outline(np.array(BOW_TIE)).contains_points(points).mean() * 1e6
    # The grid's squares are 2.5 wide, the edge about 4,000 long.
    assert filled_area([np.array(BOW_TIE, dtype=float)]) == pytest.approx(inside, abs=5000)


def test_a_table_without_parents_says_that_nesting_is_unknown(tmp_path: Path) -> None:
    """Spreadsheets lose the column; then only the reader can know that one lies in the other."""
    rows = ["T\tTumor\t1000\t1000000", "H\tTumor\t300\t400000"]
    head = "Name\tClass\tNum Detections\tArea µm^2"
    assert (
        "nested annotations count twice"
        in count_cells(annotation=table(tmp_path, head, *rows)).notes[0]
    )
    assert count_cells(annotation=table(tmp_path, head, rows[0])).notes == ()
