"""Areas and insides of polygons: rings of vertices, the first one around the holes.

Vocabulary
----------
- *ring*: (N, 2) vertices, x and y in pixels, closed or not.
- *polygon*: an outer ring and the rings of its holes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Polygon = tuple[np.ndarray, ...]
"""The outer ring, then the holes."""
SCAN_LEVELS = 1000
"""Heights between which a region is measured; with fewer vertices, it is measured exactly."""


def ring_area(ring: np.ndarray) -> float:
    """Area inside a ring of (N, 2) vertices, in its squared unit: the shoelace formula.

    Examples
    --------
    >>> ring_area(np.array([[0, 0], [4, 0], [4, 3], [0, 3], [0, 0]]))
    12.0
    """
    x, y = (ring - ring[0]).T  # near the origin, no digits are lost
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def filled_area(rings: Sequence[np.ndarray]) -> float:
    """Area of the points with an odd number of rings around them, by lines across the rings.

    Equal to the outer ring's area less that of its holes, unless rings cross.

    Parameters
    ----------
    rings
        (N, 2) vertices each, closed or not.

    Examples
    --------
    >>> bow_tie = np.array([[0, 0], [2, 2], [2, 0], [0, 2]])
    >>> round(filled_area([bow_tie]), 3), ring_area(bow_tie)
    (2.0, 0.0)
    """
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    levels = np.unique(start[:, 1])
    if len(levels) > SCAN_LEVELS:
        levels = np.quantile(levels, np.linspace(0, 1, SCAN_LEVELS))
    # Between two vertices widths change evenly, so two lines a quarter from the ends give the
    # area; the one in the middle would miss a ring that crosses itself there.
    height = np.repeat(np.diff(levels) / 2, 2)
    lines = np.repeat(levels[:-1], 2) + height * np.tile([0.5, 1.5], len(levels) - 1)
    low, high = (f(start[:, 1], end[:, 1]) for f in (np.minimum, np.maximum))
    first, last = np.searchsorted(lines, low), np.searchsorted(lines, high)
    edge = np.repeat(np.arange(len(start)), last - first)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    part = (lines[line] - start[edge, 1]) / (end - start)[edge, 1]
    x = start[edge, 0] + part * (end - start)[edge, 0]
    order = np.lexsort((x, line))
    widths = np.diff(x[order])[::2]  # each line is crossed an even number of times
    return float(widths @ height[line[order][::2]])


def area_of(polygons: Sequence[Polygon]) -> float:
    """Area of polygons less that of their holes, in squared pixels."""
    return sum(ring_area(outer) - sum(map(ring_area, holes)) for outer, *holes in polygons)


def ellipse_area(polygons: Sequence[Polygon]) -> float:
    """Area, in squared pixels, of the upright ellipse of which the first ring marks the extent."""
    return float(np.pi / 4 * np.prod(np.ptp(polygons[0][0], axis=0)))


def centroid_of(polygons: Sequence[Polygon]) -> np.ndarray:
    """Centroid of the first outer ring, (2,): x and y in pixels."""
    ring = polygons[0][0]
    x, y = (ring - ring[0]).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    if abs(cross.sum()) < 1e-9:
        return ring.mean(axis=0)
    sums = [((v + np.roll(v, -1)) * cross).sum() for v in (x, y)]
    return ring[0] + np.array(sums) / (3 * cross.sum())


def contains(polygons: Sequence[Polygon], points: np.ndarray) -> np.ndarray:
    """Say which points, (N, 2), lie in a polygon and in none of its holes: (N,) bool."""
    from skimage.measure import points_in_poly

    inside = np.zeros(len(points), dtype=bool)
    for outer, *holes in polygons:
        within = points_in_poly(points, outer)
        for hole in holes:
            within &= ~points_in_poly(points, hole)
        inside |= within
    return inside


def points_inside(polygons: Sequence[Polygon], side: int = 48) -> np.ndarray:
    """Lay a grid over polygons and keep the points in them, (N, 2); the vertices if none is."""
    vertices = np.concatenate([polygon[0] for polygon in polygons])
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    steps = (np.arange(side) + 0.5) / side
    grid = np.stack(np.meshgrid(*(low + steps[:, None] * (high - low)).T), axis=-1).reshape(-1, 2)
    inside = grid[contains(polygons, grid)]
    return inside if len(inside) else vertices
