"""Annotations as regions: which lie in which, which are tissue, and whether the cells fit them.

Vocabulary
----------
- *ignored*: of a class whose name ends in ``*``, such as ``Ignore*``. ``Region*`` is not ignored:
  QuPath offers it for a general region of interest.
- *parent*: the region around a region; the smallest one, if there are more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cpmlib.study.errors import fault

if TYPE_CHECKING:
    from shapely import Geometry

OUTSIDE_SHARE = 0.05
"""Largest share of cells outside every annotation that nothing explains: centroids on the border,
or a stray cell. A wrong pixel size or another image's outline leaves out more."""
MIN_SPREAD = 0.6
"""Least SD of the cells' places, as a share of that of even tissue. Where it is less in x and in y,
the pixel size may be too large: a factor of 2 (20x for 40x) leaves 0.5."""
CELLS_TO_SPREAD = 50
"""Fewer cells may lie together by chance; the SD of so many is known to 10 %."""
CROSSED_SHARE = 0.01
"""Largest part of a region's area by which its rings may disagree with what lies inside them.
Freehand drawing leaves tiny loops; a ring that crosses itself in earnest gives a wrong density."""
SAME_AREA = 1e-3
"""Relative difference of areas that are one: tables round them."""
ROOTS = {"", "image", "root object", "root object (image)", "pathrootobject"}
"""What stands in the column ``Parent`` for an object in no other, in lower case."""


@dataclass(frozen=True)
class Region:
    """An annotation.

    Its area is in the unit of its file, its cells include those of regions in it; its labels are
    how its name may stand in the column ``Parent``, and the parent what stands there for itself;
    the outline, in pixels, is as `without_crossings` returns it, and the place the centroid as the
    table writes it.
    """

    area: float
    cells: int | None
    ignored: bool
    labels: frozenset[str]
    parent: str = ""
    outline: Geometry | None = None
    place: tuple[str, ...] = ()


def labels_of(name: str, kind: str) -> frozenset[str]:
    """How QuPath names a region in the column ``Parent`` (0.2 to 0.4, and later versions)."""
    if name:
        return frozenset({name, f"{name} ({kind})"} if kind else {name})
    return frozenset(
        {kind, f"Annotation ({kind})"} if kind else {"Annotation", "PathAnnotationObject"}
    )


def is_ignored(kind: str) -> bool:
    """Whether a class is an ignored one.

    Examples
    --------
    >>> [is_ignored(kind) for kind in ("Tumor", "Ignore*", "Necrosis*: old", "Region*")]
    [False, True, True, False]
    """
    base = kind.split(":")[0].strip()
    return base.endswith("*") and base.lower() != "region*"


def parents_by_name(regions: list[Region]) -> list[int | None]:
    """Find the region around each that a table means: the smallest of that name, or a copy.

    A region may be as large as its parent. Two of one area, one place and one count are one piece
    of tissue, whatever they are called; the later one counts as lying in the earlier.
    """
    parents: list[int | None] = []
    for i, region in enumerate(regions):
        named = [
            (other.area, j)
            for j, other in enumerate(regions)
            if j != i and region.parent in other.labels and _holds(other, region, before=j < i)
        ]
        parents.append(min(named)[1] if named and region.parent.lower() not in ROOTS else None)
    top = [i for i, parent in enumerate(parents) if parent is None]
    for i in top:
        parents[i] = next((j for j in top if j < i and _copies(regions[j], regions[i])), None)
    return parents


def _holds(other: Region, region: Region, *, before: bool) -> bool:
    if other.area > region.area * (1 + SAME_AREA):
        return True
    # Of two as large as each other that name each other as parent, the first holds the second
    as_large = other.area >= region.area * (1 - SAME_AREA)
    return as_large and (before or other.parent not in region.labels)


def _copies(one: Region, other: Region) -> bool:
    same = (one.area, one.cells, one.place) == (other.area, other.cells, other.place)
    return same and bool(one.cells)


def signs_of(regions: list[Region], parents: list[int | None]) -> list[int]:
    """Say which regions are added (1), taken off (-1) or neither (0).

    What a region is, less what lies around it: tissue in something ignored is added, too.
    """
    tissue = [not region.ignored for region in regions]
    around = [above is not None and tissue[above] for above in parents]
    return [int(here) - int(there) for here, there in zip(tissue, around, strict=True)]


def contains(outline: Geometry | None, points: np.ndarray) -> np.ndarray:
    """Say which points, (N, 2), lie in an outline: (N,) bool."""
    import shapely

    shapely.prepare(outline)
    inside: np.ndarray = shapely.contains_xy(outline, points)
    return inside


def cells_inside(points: np.ndarray, regions: Sequence[Region]) -> tuple[np.ndarray, np.ndarray]:
    """Say which points lie in a region, and which in tissue; the innermost region decides."""
    within, tissue = (np.zeros(len(points), dtype=bool) for _ in range(2))
    for region in sorted(regions, key=lambda region: -region.area):
        here = contains(region.outline, points)
        within |= here
        tissue[here] = not region.ignored
    return within, tissue


def parents_by_outline(path: Path, regions: list[Region]) -> list[int | None]:
    """Find the smallest region around each; refuse regions that overlap in part."""
    import shapely

    parents: list[int | None] = []
    order = [(r.area, -j) for j, r in enumerate(regions)]  # the first of equals is outside
    outlines = [region.outline for region in regions]
    areas = shapely.area(outlines)
    for i in range(len(regions)):
        around = []
        for j in range(len(regions)):
            if order[j] <= order[i]:
                continue
            share = shapely.intersection(outlines[i], outlines[j]).area / areas[i]
            if 0.01 < share < 0.99:
                found = f"annotations {j + 1} and {i + 1} that overlap in part"
                remedy = "merge or separate them in QuPath and export again"
                raise fault(path.name, found, "apart or nested", remedy)
            if share >= 0.99:
                around.append(order[j])
        parents.append(-min(around)[1] if around else None)
    return parents


def without_crossings(path: Path, number: int, name: str, outline: Geometry) -> Geometry:
    """Return the polygons of the places with an odd number of rings around them.

    Rings that cross themselves or each other in earnest are refused: their area is a difference.
    """
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(outline)))
    valid = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    if abs(valid.area - outline.area) > CROSSED_SHARE * max(valid.area, abs(outline.area)):
        found = f"feature {number} ({name}): an outline that crosses itself"
        remedy = "draw it again in QuPath, or make the polygon valid, and export again"
        raise fault(path.name, found, "a simple polygon", remedy)
    return valid


def refuse_misfit(file: str, expected: np.ndarray, within: np.ndarray, outline: str) -> None:
    """Refuse cells that lie outside every annotation, though nothing says so.

    `expected` and `within`, (N,) bool, say which cells should lie in an annotation, and which do;
    `file` and `outline` name the detection table and the outline.
    """
    outside = int((expected & ~within).sum())
    if outside > OUTSIDE_SHARE * expected.sum():
        found = f"{outside} of {expected.sum()} cells outside every annotation of {outline}"
        remedy = "check the pixel size; if it is right, resolve the hierarchy in QuPath and export "
        remedy += "all annotations and the cells again"
        raise fault(file, found, f"at most {100 * OUTSIDE_SHARE:g} %", remedy)


def refuse_shrunk(file: str, points: np.ndarray, regions: Sequence[Region], outline: str) -> None:
    """Refuse cells that keep to a corner of the tissue, as if it were larger.

    `points` (N, 2) are the centroids of the cells in the tissue, pixels, and `regions` those of the
    outline; `file` and `outline` are named as in `refuse_misfit`.
    """
    if len(points) < CELLS_TO_SPREAD:
        return
    tissue = [region for region in regions if not region.ignored]
    grids = [_grid_inside(region.outline) for region in tissue]
    weights = [np.full(len(g), r.area / len(g)) for g, r in zip(grids, tissue, strict=True)]
    even = np.cov(np.concatenate(grids).T, aweights=np.concatenate(weights)).diagonal()
    share = math.sqrt((points.var(axis=0) / even).max())
    if share < MIN_SPREAD:
        found = f"cells that spread {100 * share:.0f} % as far as the tissue in {outline}"
        remedy = "check the pixel size, and that cells were detected in all annotations; if both "
        remedy += "are right, add the annotation table with 'Area µm^2'"
        raise fault(file, found, f"{100 * MIN_SPREAD:g} % or more", remedy)


def _grid_inside(outline: Geometry, side: int = 48) -> np.ndarray:
    """Return the points of a grid in an outline, (N, 2); the corners of its box if none is."""
    box = np.reshape(outline.bounds, (2, 2))
    steps = (np.arange(side) + 0.5) / side
    grid = np.stack(np.meshgrid(*(box[0] + steps[:, None] * np.ptp(box, axis=0)).T), axis=-1)
    points = grid.reshape(-1, 2)
    inside = points[contains(outline, points)]
    return inside if len(inside) else box
