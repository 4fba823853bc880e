"""The region of interest of a sample: a sphere at its target, and what a map holds in it.

Vocabulary
----------
- *world*: scanner space, mm, RAS+ (x to the patient's right, y to anterior, z to superior).
- *target*: biopsy coordinate in the world. *ROI*: sphere of 5 mm diameter at a target.
- *LPS*: as RAS+, but x and y rise to the patient's left and back, as in DICOM.
- *weight*: how much a voxel counts in the mean of a sphere, 0 to 1.
- *voxel-centre*: weight 1 for voxels whose centre lies in the sphere, and for the voxel that holds
  the target; 0 for others.
- *partial-volume*: weight is the share of the voxel's volume that lies in the sphere.
- *coverage*: share of a sphere's weight on voxels that have a value and lie in the brain.
- *mask*: brain mask on any grid, above 0.5 in the brain; 0 and NaN are outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from numpy.typing import ArrayLike

from cpmlib.errors import DatasetError, Problem
from cpmlib.options import RoiWeighting
from cpmlib.preprocessing.grid import invertible, volume, voxel_sizes

DIAMETER = 5.0
"""Diameter of the sphere, mm (the paper's methods)."""

EDGE = 1e-6
"""A centre this far outside the sphere, mm, still counts as on its surface, so that rounding does
not decide where distances are exactly equal and copies of an image in other orientations give one
answer. Much more would take in voxels that a strict comparison leaves out: with 1e-4 mm, one in
the 66 spheres of a cohort."""

LINES = 32
"""Lines along which a sphere is measured for each radius, in both directions across them."""

FEWEST_LINES = 8
"""The same for each voxel, however small it is beside the sphere."""

MOST_VOXELS = 2_000_000
"""A sphere that spans more voxels than this is in another unit than the image."""

CHUNK = 200_000
"""Lines measured at a time."""

FAR = 2.0**40
"""Voxels; no image reaches so far."""

COLUMNS = ("target_x", "target_y", "target_z")
OUTSIDE_VIEW = "partly outside the field of view"
OUTSIDE_BRAIN = "partly outside the brain"
WITHOUT_VALUES = "partly without values"


class EmptySphere(DatasetError):  # noqa: N818
    """A sphere wholly outside the field of view or the brain, or without any value."""


@dataclass(frozen=True)
class RoiValue:
    """What an image holds in one sphere.

    Parameters
    ----------
    mean, sd
        Weighted mean, and weighted root mean square distance from it; unit of the image.
    n_voxels
        Voxels that took part.
    coverage
        Share of the sphere that took part, above 0 to 1.
    flag
        Empty, or the first that holds of ``"partly outside the field of view"``, ``"partly
        outside the brain"``, ``"partly without values"``.
    """

    mean: float
    sd: float
    n_voxels: int
    coverage: float
    flag: str


def sphere_weights(
    affine: np.ndarray,
    shape: tuple[int, ...],
    centre: ArrayLike,
    diameter: float = DIAMETER,
    weighting: RoiWeighting = "voxel-centre",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the voxels of a grid that a sphere takes in, and how much of each.

    With ``"voxel-centre"``, a voxel counts if :math:`|A i - c| \le d / 2`, with the affine
    :math:`A`, its indices :math:`i`, the centre :math:`c` and the diameter :math:`d`; the voxel
    that holds the centre always counts. This is nilearn's NiftiSpheresMasker, except that voxels
    which share the centre equally all count, and that nilearn adds the first voxel of the image
    whose coordinates have the same whole millimetres as the centre, in the sphere or not.

    With ``"partial-volume"``, the share of the voxel in the sphere: along parallel lines through
    the voxel the length inside the sphere is exact, and the mean over lines is taken by the
    midpoint rule, closely enough that the weights add up to the sphere's volume to 0.1 %.

    Parameters
    ----------
    affine : (4, 4)
        Voxel to world, mm; oblique and sheared ones too.
    shape
        Number of voxels along the three axes; voxels outside are left out.
    centre : (3,)
        World, mm, RAS+.
    diameter
        mm.
    weighting
        ``"voxel-centre"`` or ``"partial-volume"``.

    Returns
    -------
    indices : (N, 3) int
        In the order of the array; empty if the sphere lies outside the grid.
    weights : (N,) float
        Above 0, at most 1.

    Raises
    ------
    ValueError
        If the shape has not three axes, the affine is singular, the centre is not finite, the
        diameter not above 0, the weighting unknown, or the sphere spans over two million voxels.

    Examples
    --------
    >>> indices, weights = sphere_weights(np.diag([2.0, 2, 2, 1]), (9, 9, 9), [8, 8, 8])
    >>> len(indices), weights.sum().item()
    (7, 7.0)
    >>> _, weights = sphere_weights(
    ...     np.diag([2.0, 2, 2, 1]), (9, 9, 9), [8, 8, 8], weighting="partial-volume"
    ... )
    >>> round(8 * weights.sum().item(), 1)  # mm3
    65.4
    >>> round(4 / 3 * np.pi * 2.5**3, 1)
    65.4
    """
    if len(shape) != 3 or min(shape) < 1 or not invertible(affine):
        raise ValueError("the grid needs three axes and an affine that can be inverted")
    indices, weights = _sphere(affine, _point(centre, "centre"), diameter, weighting)
    inside = _on_grid(indices, shape)
    return indices[inside], weights[inside]


def roi_mean(
    image: nib.Nifti1Image,
    centre: ArrayLike,
    diameter: float = DIAMETER,
    weighting: RoiWeighting = "voxel-centre",
    mask: nib.Nifti1Image | None = None,
    name: str = "image",
) -> RoiValue:
    """Average an image over a sphere, reading only the sphere's surroundings.

    Parameters
    ----------
    image
        3-D, on any grid; NaN is no value and takes no part.
    centre : (3,)
        World, mm, RAS+.
    diameter
        mm.
    weighting
        As in `sphere_weights`.
    mask
        Voxels whose centre lies outside the brain take no part. All take part if None.
    name
        What to call the image in a message.

    Returns
    -------
    RoiValue

    Raises
    ------
    EmptySphere
        If the sphere lies wholly outside the field of view or the brain, or on no value.
    DatasetError
        If it holds an infinite value, the centre is not finite, or an image is not 3-D or has a
        singular affine or one that is not in mm.
    ValueError
        If the diameter is not above 0 or the weighting is unknown.

    Examples
    --------
    >>> ramp = np.arange(20.0)[:, None, None] * np.ones((1, 20, 20))
    >>> image = nib.Nifti1Image(ramp.astype(np.float32), np.eye(4))
    >>> roi_mean(image, [7, 9, 9]).mean
    7.0
    >>> roi_mean(image, [0, 9, 9]).flag
    'partly outside the field of view'
    """
    check_volume(image, name)
    if mask is not None:
        check_volume(mask, "mask")
    return _value(image, _point(centre, name), diameter, weighting, mask, name)


def roi_table(
    images: Mapping[str, nib.Nifti1Image],
    targets: pd.DataFrame,
    diameter: float = DIAMETER,
    weighting: RoiWeighting = "voxel-centre",
    mask: nib.Nifti1Image | None = None,
) -> pd.DataFrame:
    """Average images over the spheres at a patient's targets.

    Parameters
    ----------
    images
        By name; 3-D, each on its own grid.
    targets
        ``sample_id``, ``target_x``, ``target_y``, ``target_z`` (world, mm, RAS+).
    diameter, weighting, mask
        As in `roi_mean`.

    Returns
    -------
    pandas.DataFrame
        One row a sample in the order of `targets`: ``sample_id`` and for each image
        ``<name>_mean``, ``_sd``, ``_n_voxels``, ``_coverage``, ``_flag`` as in `RoiValue`.

    Raises
    ------
    DatasetError
        With every fault of every image and target, as in `roi_mean`; for samples named twice.
    ValueError
        If a column is missing, the diameter is not above 0, or the weighting is unknown.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.full((9, 9, 9), 700, np.float32), np.eye(4))
    >>> targets = pd.DataFrame({"sample_id": ["a"], "target_x": 4, "target_y": 4, "target_z": 4})
    >>> roi_table({"adc": image}, targets)
      sample_id  adc_mean  adc_sd  adc_n_voxels  adc_coverage adc_flag
    0         a     700.0     0.0            81           1.0
    """
    _check_sphere(diameter, weighting)
    points = target_points(targets)
    problems: list[Problem] = []
    if mask is not None:
        check_volume(mask, "mask")
    usable = []
    for name, image in images.items():
        try:
            check_volume(image, name)
            usable.append(name)
        except DatasetError as error:
            problems += error.problems
    keys = [field.name for field in fields(RoiValue)]
    rows: list[dict[str, object]] = []
    for sample, point in zip(targets["sample_id"], points, strict=True):
        row: dict[str, object] = {"sample_id": sample}
        for name in (name for name in images if name in usable):
            try:
                value = _value(images[name], point, diameter, weighting, mask, name)
            except DatasetError as error:
                problems += [replace(p, found=f"{sample}: {p.found}") for p in error.problems]
                continue
            row |= {f"{name}_{key}": getattr(value, key) for key in keys}
        rows.append(row)
    if problems:
        raise DatasetError(problems)
    columns = [f"{name}_{key}" for name in images for key in keys]
    return pd.DataFrame(rows, columns=["sample_id", *columns])


def lps_to_ras(points: ArrayLike) -> np.ndarray:
    """Turn LPS coordinates into RAS+ or back: x and y change their signs.

    Parameters
    ----------
    points : (..., 3)
        mm.

    Returns
    -------
    (..., 3)

    Examples
    --------
    >>> lps_to_ras([[10, -20, 30]])
    array([[-10.,  20.,  30.]])
    """
    return np.asarray(points, dtype=float) * [-1, -1, 1]


def _value(
    image: nib.Nifti1Image,
    point: np.ndarray,
    diameter: float,
    weighting: RoiWeighting,
    mask: nib.Nifti1Image | None,
    name: str,
) -> RoiValue:
    """Return what is in the sphere or say why nothing is; the images have been checked."""
    found = _measure(image, point, diameter, weighting, mask, name)
    if isinstance(found, RoiValue):
        return found
    remedy = "correct the coordinates: scanner space, mm, RAS+"
    mirrored = lps_to_ras(point)
    if isinstance(_measure(image, mirrored, diameter, weighting, mask, name), RoiValue):
        remedy = (
            f"if the coordinates are LPS, declare that or change the signs of x and y: "
            f"{_said(mirrored)} mm would be inside"
        )
    expected = f"a target inside; the image spans {_extent(image)}"
    raise EmptySphere(Problem(name, f"a target at {_said(point)} mm {found}", expected, remedy))


def _measure(
    image: nib.Nifti1Image,
    point: np.ndarray,
    diameter: float,
    weighting: RoiWeighting,
    mask: nib.Nifti1Image | None,
    name: str,
) -> RoiValue | str:
    """Return what is in the sphere, or where it lies if it holds nothing."""
    indices, weights = _sphere(image.affine, point, diameter, weighting, name)
    total = weights.sum()
    inside = _on_grid(indices, image.shape)
    if not inside.any():
        return "wholly outside the field of view"
    flag = "" if inside.all() else OUTSIDE_VIEW
    indices, weights = indices[inside], weights[inside]
    if mask is not None:
        brain = in_mask(mask, apply_affine(image.affine, indices))
        if not brain.any():
            return "wholly outside the brain"
        flag = flag or ("" if brain.all() else OUTSIDE_BRAIN)
        indices, weights = indices[brain], weights[brain]
    values = _values(image, indices)
    if np.isinf(values).any():
        voxel = tuple(int(i) for i in indices[np.isinf(values)][0])
        found = f"an infinite value at voxel {voxel}"
        raise DatasetError(Problem(name, found, "finite values", "export it again"))
    finite = ~np.isnan(values)
    if not finite.any():
        return "where there is no value"
    flag = flag or ("" if finite.all() else WITHOUT_VALUES)
    values, weights = values[finite], weights[finite]
    used = weights.sum()
    mean = float(weights @ values / used)
    sd = float(np.sqrt(weights @ (values - mean) ** 2 / used))
    # Nothing was taken away: the ratio of the two sums would be 1 but for rounding.
    coverage = float(used / total) if flag else 1.0
    return RoiValue(mean, sd, len(values), coverage, flag)


def _sphere(
    affine: np.ndarray,
    centre: np.ndarray,
    diameter: float,
    weighting: RoiWeighting,
    name: str = "the grid",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels of the endless grid with a weight above 0, and the weights."""
    _check_sphere(diameter, weighting)
    affine = np.asarray(affine, dtype=float)
    grid = _neighbours(affine[:3, :3].tobytes(), diameter / 2, name)
    # Far away a whole number would overflow; there is no image there anyway.
    place = np.clip(grid.inverse @ (centre - affine[:3, 3]), -FAR, FAR)
    base = np.rint(place)
    rest = place - base
    relative = grid.world - grid.linear @ rest
    distance = np.sqrt(np.einsum("ij,ij->i", relative, relative))
    if weighting == "voxel-centre":
        holds = (np.abs(grid.offsets - rest) <= 0.5 + EDGE * grid.per_mm).all(axis=1)
        weights = ((distance <= diameter / 2 + EDGE) | holds).astype(float)
    else:
        weights = _shares(grid.linear, relative, distance, diameter / 2)
    kept = weights > 0
    return (grid.offsets[kept] + base).astype(np.int64), weights[kept]


class _Neighbours(NamedTuple):
    linear: np.ndarray
    inverse: np.ndarray
    per_mm: np.ndarray
    offsets: np.ndarray
    world: np.ndarray


@lru_cache(maxsize=4)
def _neighbours(linear_bytes: bytes, radius: float, name: str) -> _Neighbours:
    """Return the voxels that a sphere can reach from the one that holds its centre.

    They are the same for all targets of a grid: (3, 3) voxel to world, its inverse, the voxels
    that 1 mm can span along each axis, and the offsets (M, 3) in voxels and in mm.
    """
    linear = np.frombuffer(linear_bytes).reshape(3, 3)
    inverse = np.linalg.inv(linear)
    # Rows of the inverse are normal to the planes of the other two axes.
    per_mm = np.linalg.norm(inverse, axis=1)
    reach = np.ceil((radius + EDGE) * per_mm + 1)
    if np.prod(2 * reach + 1) > MOST_VOXELS:
        edges = " x ".join(f"{size:.3g}" for size in voxel_sizes(linear))
        remedy = "correct the unit of the affine"
        raise DatasetError(Problem(name, f"voxels of {edges} mm", "an affine in mm", remedy))
    axes = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")
    offsets = np.stack(axes, axis=-1).reshape(-1, 3)
    return _Neighbours(linear, inverse, per_mm, offsets, offsets @ linear.T)


def _shares(
    linear: np.ndarray, relative: np.ndarray, distance: np.ndarray, radius: float
) -> np.ndarray:
    """Return the share of each voxel that lies in the sphere.

    Parameters
    ----------
    linear : (3, 3)
        Edges of a voxel as columns, mm.
    relative : (M, 3)
        Centres of the voxels, from the sphere's, mm.
    distance : (M,)
        Their lengths.
    radius
        mm.
    """
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
        count = max(FEWEST_LINES, int(np.ceil(LINES * size[axis] / radius)))
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


def _on_grid(indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    inside: np.ndarray = np.all((indices >= 0) & (indices < np.array(shape)), axis=1)
    return inside


def _values(image: nib.Nifti1Image, indices: np.ndarray) -> np.ndarray:
    """Read single voxels; of an image on disk only the box around them."""
    low = indices.min(axis=0)
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, indices.max(axis=0), strict=True))
    values: np.ndarray = np.asarray(image.dataobj[box])[tuple((indices - low).T)].astype(float)
    return values


def in_mask(mask: nib.Nifti1Image, points: np.ndarray) -> np.ndarray:
    """Say for world points (N, 3) whether the mask's voxel there is in the brain."""
    place = np.floor(apply_affine(np.linalg.inv(mask.affine), points) + 0.5)
    inside = _on_grid(place, mask.shape)
    brain = np.zeros(len(points), dtype=bool)
    if inside.any():
        # NaN compares as not above.
        brain[inside] = _values(mask, place[inside].astype(np.int64)) > 0.5
    return brain


def target_points(targets: pd.DataFrame) -> np.ndarray:
    """Return the coordinates (N, 3) of a table of targets, each with its own name."""
    missing = [name for name in ("sample_id", *COLUMNS) if name not in targets]
    if missing:
        raise ValueError(f"targets have no column {missing[0]!r}; expected sample_id, {COLUMNS}")
    problems = []
    for sample in targets["sample_id"][targets["sample_id"].duplicated()].unique():
        problems.append(Problem("targets", f"{sample} twice", "each sample once", "remove one"))
    points = targets[list(COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    for i, j in np.argwhere(~np.isfinite(points)):
        found = f"{targets['sample_id'].iloc[i]}: {targets[COLUMNS[j]].iloc[i]}"
        problems.append(
            Problem("targets", found, "a coordinate in mm", "correct it", column=COLUMNS[j])
        )
    if problems:
        raise DatasetError(problems)
    return points


def _point(centre: ArrayLike, name: str) -> np.ndarray:
    point = np.asarray(centre, dtype=float)
    if point.shape != (3,):
        raise ValueError(f"a target of shape {point.shape}; expected three coordinates")
    if not np.isfinite(point).all():
        expected = "three finite coordinates in mm, RAS+"
        raise DatasetError(Problem(name, f"a target at {_said(point)}", expected, "correct it"))
    return point


def _check_sphere(diameter: float, weighting: str) -> None:
    if not 0 < diameter < np.inf:
        raise ValueError(f"diameter is {diameter}; expected a size above 0 mm")
    if weighting not in ("voxel-centre", "partial-volume"):
        raise ValueError(f"weighting is {weighting!r}; expected 'voxel-centre' or 'partial-volume'")


def check_volume(image: nib.Nifti1Image, name: str) -> None:
    """Raise a DatasetError unless an image is 3-D with voxels and an affine that has an inverse."""
    if len(image.shape) != 3 or 0 in image.shape or not invertible(image.affine):
        volume(image, name)  # says what is wrong


def _said(point: np.ndarray) -> str:
    return "(" + ", ".join(f"{x:.1f}" if abs(x) < FAR else f"{x:g}" for x in point) + ")"


def _extent(image: nib.Nifti1Image) -> str:
    """World box of an image, to the outer edges of its voxels."""
    ends = [(-0.5, n - 0.5) for n in image.shape]
    corners = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3)
    world = apply_affine(image.affine, corners)
    spans = zip("xyz", world.min(axis=0), world.max(axis=0), strict=True)
    return ", ".join(f"{axis} {low:.1f} to {high:.1f}" for axis, low, high in spans) + " mm"
