"""Annotations as regions: which lie in which, which are tissue, and whether the cells fit them.

Vocabulary
----------
- *ignored annotation*: one of a class whose name ends in ``*``, such as ``Ignore*``. ``Region*`` is
  not ignored: QuPath offers it for a general region of interest.
- *parent annotation*: the one around another; the smallest one, if there are more.
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
SAME_AREA = 1e-3
"""Relative difference of areas that are one: tables round them."""
ROOTS = {"", "image", "root object", "root object (image)", "pathrootobject"}
"""What stands in the column ``Parent`` for an object in no other, in lower case."""


@dataclass(frozen=True)
class Region:
    """An annotation; its area is in the unit of its file.

    Its cells include those of regions in it; its labels are how its name may stand in the column
    ``Parent``, and the parent what stands there for itself; the outline, in pixels, is without
    crossings, and the place the centroid as the table writes it.
    """

    area: float
    cells: int | None
    ignored: bool
    labels: frozenset[str]
    parent: str = ""
    outline: Geometry | None = None
    place: tuple[str, ...] = ()


def labels_of(name: str, class_: str) -> frozenset[str]:
    """How QuPath names a region in the column ``Parent`` (0.2 to 0.4, and later versions)."""
    if name:
        return frozenset({name, f"{name} ({class_})"} if class_ else {name})
    if class_:
        return frozenset({class_, f"Annotation ({class_})"})
    return frozenset({"Annotation", "PathAnnotationObject"})


def is_ignored(class_: str) -> bool:
    """Whether a class is an ignored one.

    Examples
    --------
    >>> [is_ignored(class_) for class_ in ("Tumor", "Ignore*", "Necrosis*: old", "Region*")]
    [False, True, True, False]
    """
    base = class_.split(":")[0].strip()
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
    same = {i: (regions[i].area, regions[i].cells, regions[i].place) for i in top}
    for i in top:
        copies = (j for j in top if j < i and same[i] == same[j] and regions[i].cells)
        parents[i] = next(copies, None)
    return parents


def _holds(other: Region, region: Region, *, before: bool) -> bool:
    if other.area > region.area * (1 + SAME_AREA):
        return True
    # Of two as large as each other that name each other as parent, the first holds the second
    as_large = other.area >= region.area * (1 - SAME_AREA)
    return as_large and (before or other.parent not in region.labels)


def parents_by_outline(path: Path, regions: list[Region]) -> list[int | None]:
    """Find the smallest region around each; refuse regions that overlap in part."""
    import shapely

    outlines = np.array([region.outline for region in regions], dtype=object)
    # From the largest; the first of equals is outside.
    rank = np.argsort(np.argsort([-region.area for region in regions], kind="stable"))
    inner, outer = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    pairs = rank[outer] < rank[inner]
    inner, outer = inner[pairs], outer[pairs]
    shared = shapely.area(shapely.intersection(outlines[inner], outlines[outer]))
    share = shared / shapely.area(outlines[inner])
    for at in np.flatnonzero((share > 0.01) & (share < 0.99)):
        found = f"annotations {outer[at] + 1} and {inner[at] + 1} that overlap in part"
        remedy = "merge or separate them in QuPath and export again"
        raise fault(path.name, found, "apart or nested", remedy)
    parents: list[int | None] = [None] * len(regions)
    for at in np.argsort(rank[outer]):
        if share[at] >= 0.99:
            parents[inner[at]] = int(outer[at])
    return parents


def signs_of(regions: list[Region], parents: list[int | None]) -> list[int]:
    """Say which regions are added (1), taken off (-1) or neither (0).

    What a region is, less what lies around it: tissue in something ignored is added, too.
    """
    tissue = [not region.ignored for region in regions]
    around = [above is not None and tissue[above] for above in parents]
    return [int(here) - int(there) for here, there in zip(tissue, around, strict=True)]


def _contains(outline: Geometry | None, points: np.ndarray) -> np.ndarray:
    import shapely

    shapely.prepare(outline)
    inside: np.ndarray = shapely.contains_xy(outline, points)
    return inside


def cells_inside(points: np.ndarray, regions: Sequence[Region]) -> tuple[np.ndarray, np.ndarray]:
    """Say which points lie in a region, and which in tissue; the innermost region decides."""
    within, tissue = (np.zeros(len(points), dtype=bool) for _ in range(2))
    for region in sorted(regions, key=lambda region: -region.area):
        here = _contains(region.outline, points)
        within |= here
        tissue[here] = not region.ignored
    return within, tissue


def refuse_misfit(file: str, expected: np.ndarray, within: np.ndarray, outline: str) -> None:
    """Refuse cells of a file that should lie in an annotation of the outline's, and do not.

    `expected` and `within`, (N,) bool, say which cells should, and which do.
    """
    outside = int((expected & ~within).sum())
    if outside > OUTSIDE_SHARE * expected.sum():
        found = f"{outside} of {expected.sum()} cells outside every annotation of {outline}"
        remedy = "check the pixel size; if it is right, resolve the hierarchy in QuPath and export "
        remedy += "all annotations and the cells again"
        raise fault(file, found, f"at most {100 * OUTSIDE_SHARE:g} %", remedy)


def refuse_shrunk(file: str, points: np.ndarray, regions: Sequence[Region], outline: str) -> None:
    """Refuse cells that keep to a corner of the tissue, as if it were larger.

    `points`, (N, 2), are the centroids of the cells in the tissue, pixels.
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
    inside = points[_contains(outline, points)]
    return inside if len(inside) else box
