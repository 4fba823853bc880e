"""Which voxels of a grid a sphere takes in, and how much of each.

Vocabulary
----------
- *weight*: how much a voxel counts in the mean of a sphere, 0 to 1: 1 or 0 as its centre lies
  (``"voxel-centre"``), or the share of its volume in the sphere (``"partial-volume"``).
- *endless grid*: a grid that goes on beyond the borders of its image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from cpmlib.mri.volume import invertible
from cpmlib.study.errors import fault
from cpmlib.study.options import ROI_DIAMETER, RoiWeighting

EDGE = 1e-6
"""A centre this far outside the sphere, mm, still counts as on its surface: rounding must not
decide where distances are equal. With 1e-4 mm, one sphere of a cohort of 66 takes in a voxel more.
"""

LINES = 32
"""Lines along which a sphere is measured for each radius, in both directions across them."""

MIN_LINES = 8
"""The same for each voxel, however small it is beside the sphere."""

MAX_VOXELS = 2_000_000
"""A sphere that spans more voxels than this is in another unit than the image."""

CHUNK = 200_000
"""Lines measured at a time."""

FAR = 2.0**40
"""Voxels; no image reaches so far."""


def sphere_weights(
    affine: np.ndarray,
    shape: tuple[int, ...],
    centre: ArrayLike,
    diameter: float = ROI_DIAMETER,
    weighting: RoiWeighting = "voxel-centre",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the voxels of a grid that a sphere takes in, and how much of each.

    With ``"voxel-centre"``, a voxel counts if :math:`|A i - c| \le d / 2`, with the affine
    :math:`A`, its indices :math:`i`, the centre :math:`c` and the diameter :math:`d`, or if it
    holds the centre. This is nilearn's NiftiSpheresMasker, except that voxels which share the
    centre all count, and that nilearn adds the first voxel whose coordinates have the same whole
    millimetres.

    With ``"partial-volume"``, the share of the voxel in the sphere: exact along parallel lines, and
    averaged over them by the midpoint rule; the weights add up to the sphere's volume to 0.1 %.

    The centre, (3,), is in the world, mm, RAS+, the diameter in mm; the affine, (4, 4), may be
    oblique or sheared. Returns indices, (N, 3), in the order of the array and inside the shape, and
    weights, (N,), above 0 and at most 1.

    Examples
    --------
    >>> grid = np.diag([2.0, 2, 2, 1]), (9, 9, 9)
    >>> len(sphere_weights(*grid, [8, 8, 8])[1])
    7
    >>> _, weights = sphere_weights(*grid, [8, 8, 8], weighting="partial-volume")
    >>> round(8 * weights.sum().item(), 1), round(4 / 3 * np.pi * 2.5**3, 1)  # mm3
    (65.4, 65.4)
    """
    if len(shape) != 3 or min(shape) < 1 or not invertible(affine):
        raise ValueError("the grid needs three axes and an affine that can be inverted")
    indices, weights = sphere(affine, finite_point(centre, "centre"), diameter, weighting)
    inside = on_grid(indices, shape)
    return indices[inside], weights[inside]


def sphere(
    affine: np.ndarray,
    centre: np.ndarray,
    diameter: float,
    weighting: RoiWeighting,
    name: str = "the grid",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels of the endless grid with a weight above 0, and the weights."""
    if not 0 < diameter < np.inf:
        raise ValueError(f"diameter is {diameter}; expected a size above 0 mm")
    if weighting not in get_args(RoiWeighting):
        raise ValueError(f"weighting is {weighting!r}; expected one of {get_args(RoiWeighting)}")
    affine = np.asarray(affine, dtype=float)
    linear = affine[:3, :3]
    inverse, per_mm, offsets, world = _neighbours(linear.tobytes(), diameter / 2, name)
    # Far away a whole number would overflow; there is no image there anyway.
    place = np.clip(inverse @ (centre - affine[:3, 3]), -FAR, FAR)
    base = np.rint(place)
    rest = place - base
    relative = world - linear @ rest
    distance = np.sqrt(np.einsum("ij,ij->i", relative, relative))
    if weighting == "voxel-centre":
        holds = (np.abs(offsets - rest) <= 0.5 + EDGE * per_mm).all(axis=1)
        weights = ((distance <= diameter / 2 + EDGE) | holds).astype(float)
    else:
        weights = _shares(linear, relative, distance, diameter / 2)
    kept = weights > 0
    return (offsets[kept] + base).astype(np.int64), weights[kept]


@lru_cache(maxsize=4)
def _neighbours(linear_bytes: bytes, radius: float, name: str) -> tuple[np.ndarray, ...]:
    """Return what is the same for all targets of a grid.

    World to voxel (3, 3), the voxels that 1 mm can span along each axis (3,), and the offsets
    (M, 3) of the voxels that a sphere reaches, in voxels and in mm.
    """
    linear = np.frombuffer(linear_bytes).reshape(3, 3)
    inverse = np.linalg.inv(linear)
    # Rows of the inverse are normal to the planes of the other two axes.
    per_mm = np.linalg.norm(inverse, axis=1)
    reach = np.ceil((radius + EDGE) * per_mm + 1)
    if np.prod(2 * reach + 1) > MAX_VOXELS:
        edges = " x ".join(f"{size:.3g}" for size in np.linalg.norm(linear, axis=0))
        remedy = "correct the unit of the affine"
        raise fault(name, f"voxels of {edges} mm", "an affine in mm", remedy)
    axes = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")
    offsets = np.stack(axes, axis=-1).reshape(-1, 3)
    return inverse, per_mm, offsets, offsets @ linear.T


def _shares(
    linear: np.ndarray, relative: np.ndarray, distance: np.ndarray, radius: float
) -> np.ndarray:
    """Return the share of each voxel in the sphere, by the voxels' centres from its own, mm."""
    corners = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3), axis=-1).reshape(-1, 3) @ linear.T
    half = np.linalg.norm(corners, axis=1).max()
    weights = (distance <= radius - half).astype(float)
    near = np.flatnonzero((distance > radius - half) & (distance < radius + half))
    # A sphere is convex: a voxel with all corners inside is inside.
    farthest = np.linalg.norm(relative[near, None] + corners, axis=2).max(axis=1)
    weights[near] = 1
    cut = near[farthest > radius]
    weights[cut] = _cut_shares(linear, relative[cut], radius)
    return weights


def _cut_shares(linear: np.ndarray, relative: np.ndarray, radius: float) -> np.ndarray:
    """Measure voxels along lines parallel to the edge that rises most nearly to superior.

    Chosen in the world, so that copies with other axes are measured along the same lines.
    """
    size = np.linalg.norm(linear, axis=0)
    along = int(np.abs(linear[2] / size).argmax())
    starts = []
    for axis in (i for i in range(3) if i != along):
        count = max(MIN_LINES, int(np.ceil(LINES * size[axis] / radius)))
        starts.append(((np.arange(count) + 0.5) / count - 0.5)[:, None] * linear[:, axis])
    lines = (starts[0][:, None] + starts[1]).reshape(-1, 3)
    # |p + w e|^2 = r^2 for the edge e, solved for w; the voxel is -1/2 <= w <= 1/2. The products
    # are taken apart into those of the voxel's centre and of the line's place in it.
    edge = linear[:, along] / size[along]
    shares = np.empty(len(relative))
    step = max(1, CHUNK // len(lines))
    for first in range(0, len(relative), step):
        centres = relative[first : first + step]
        middle = -(centres @ edge)[:, None] - lines @ edge
        squared = (centres**2).sum(axis=1)[:, None] + (lines**2).sum(axis=1)
        squared += 2 * centres @ lines.T - middle**2
        chord = np.sqrt(np.maximum(radius**2 - squared, 0))
        end = size[along] / 2
        inside = np.minimum(middle + chord, end) - np.maximum(middle - chord, -end)
        shares[first : first + step] = np.maximum(inside, 0).mean(axis=1) / size[along]
    return shares


def on_grid(indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Say which of (N, 3) voxels lie on a grid of a shape."""
    inside: np.ndarray = np.all((indices >= 0) & (indices < np.array(shape)), axis=1)
    return inside


def finite_point(centre: ArrayLike, name: str) -> np.ndarray:
    """Return three finite coordinates; else raise an error that names what they belong to."""
    point = np.asarray(centre, dtype=float)
    if point.shape != (3,):
        raise ValueError(f"a target of shape {point.shape}; expected three coordinates")
    if not np.isfinite(point).all():
        expected = "three finite coordinates in mm, RAS+"
        raise fault(name, f"a target at {format_point(point)}", expected, "correct it")
    return point


def format_point(point: np.ndarray) -> str:
    """Write a point for a message."""
    return "(" + ", ".join(f"{x:.1f}" if abs(x) < FAR else f"{x:g}" for x in point) + ")"
