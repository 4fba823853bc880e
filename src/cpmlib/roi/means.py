"""The region of interest of a sample: a sphere at its target, and what a map holds in it.

Vocabulary
----------
- *coverage*: share of a sphere's weight (`cpmlib.roi.sphere`) on voxels of the brain with a value.
- *brain mask*: an image on any grid, above 0.5 in the brain; 0 and NaN are outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from numpy.typing import ArrayLike

from cpmlib.mri.volume import Grid, check_geometry
from cpmlib.roi.sphere import finite_point, format_point, on_grid, sphere
from cpmlib.study.errors import DatasetError, Problem, collected, fault, told_together
from cpmlib.study.options import AXES, ROI_DIAMETER, RoiWeighting

OUTSIDE_VIEW = "partly outside the field of view"
OUTSIDE_BRAIN = "partly outside the brain"
WITHOUT_VALUES = "partly without values"


class EmptySphere(DatasetError):  # noqa: N818
    """A sphere wholly outside the field of view or the brain, or without any value."""


@dataclass(frozen=True)
class RoiValue:
    """What an image holds in one sphere.

    ``mean`` and ``sd`` are weighted, in the unit of the image; ``n_voxels`` took part, and
    ``coverage`` is their share of the sphere. The flag is empty, or the first that holds of
    `OUTSIDE_VIEW`, `OUTSIDE_BRAIN`, `WITHOUT_VALUES`.
    """

    mean: float
    sd: float
    n_voxels: int
    coverage: float
    flag: str


def roi_mean(
    image: nib.Nifti1Image,
    centre: ArrayLike,
    diameter: float = ROI_DIAMETER,
    weighting: RoiWeighting = "voxel-centre",
    mask: nib.Nifti1Image | None = None,
    name: str = "image",
) -> RoiValue:
    """Average an image, called `name`, over a sphere, reading only its surroundings.

    The centre, (3,), is in the world, mm, RAS+, the diameter in mm. Voxels without a value, or
    whose centre lies outside the brain mask, take no part. Raises `EmptySphere` if none is left.

    Examples
    --------
    >>> ramp = np.arange(20.0)[:, None, None] * np.ones((1, 20, 20))
    >>> image = nib.Nifti1Image(ramp.astype(np.float32), np.eye(4))
    >>> roi_mean(image, [7, 9, 9]).mean
    7.0
    >>> roi_mean(image, [0, 9, 9]).flag
    'partly outside the field of view'
    """
    reader = SphereReader(image, diameter, weighting, mask, name)
    return reader.value(finite_point(centre, name))


def roi_table(
    images: Mapping[str, nib.Nifti1Image],
    targets: pd.DataFrame,
    diameter: float = ROI_DIAMETER,
    weighting: RoiWeighting = "voxel-centre",
    mask: nib.Nifti1Image | None = None,
) -> pd.DataFrame:
    """Average images, by name, over the spheres at a patient's targets; arguments as `roi_mean`.

    The targets have ``sample_id``, ``target_x``, ``target_y``, ``target_z`` (world, mm, RAS+). Each
    gives a row, with ``<name>_mean``, ``_sd``, ``_n_voxels``, ``_coverage``, ``_flag`` as in
    `RoiValue`. One DatasetError tells every fault of every image and target.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.full((9, 9, 9), 700, np.float32), np.eye(4))
    >>> targets = pd.DataFrame({"sample_id": ["a"], "target_x": 4, "target_y": 4, "target_z": 4})
    >>> roi_table({"adc": image}, targets)
      sample_id  adc_mean  adc_sd  adc_n_voxels  adc_coverage adc_flag
    0         a     700.0     0.0            81           1.0
    """
    points = target_points(targets)
    readers: list[SphereReader] = []
    rows: list[dict[str, object]] = []
    with told_together() as problems:
        for name, image in images.items():
            with collected(problems):
                readers.append(SphereReader(image, diameter, weighting, mask, name))
        for sample, point in zip(targets["sample_id"], points, strict=True):
            row: dict[str, object] = {"sample_id": sample}
            for reader in readers:
                try:
                    value = vars(reader.value(point))
                except DatasetError as error:
                    problems += [replace(p, found=f"{sample}: {p.found}") for p in error.problems]
                    continue
                row |= {f"{reader.name}_{key}": found for key, found in value.items()}
            rows.append(row)
    columns = [f"{name}_{field.name}" for name in images for field in fields(RoiValue)]
    return pd.DataFrame(rows, columns=["sample_id", *columns])


def lps_to_ras(points: ArrayLike) -> np.ndarray:
    """Turn LPS coordinates (..., 3) into RAS+ or back: x and y change their signs.

    Examples
    --------
    >>> lps_to_ras([[10, -20, 30]])
    array([[-10.,  20.,  30.]])
    """
    return np.asarray(points, dtype=float) * [-1, -1, 1]


@dataclass(frozen=True)
class SphereReader:
    """An image whose geometry has been checked, and how spheres are read; for many targets."""

    image: nib.Nifti1Image
    diameter: float
    weighting: RoiWeighting
    mask: nib.Nifti1Image | None
    name: str

    def __post_init__(self) -> None:
        check_geometry(self.image.shape, self.image.affine, self.name)
        if self.mask is not None:
            check_geometry(self.mask.shape, self.mask.affine, "mask")

    @cached_property
    def _to_mask(self) -> np.ndarray | None:
        return None if self.mask is None else np.linalg.inv(self.mask.affine)

    def value(self, point: np.ndarray) -> RoiValue:
        """Return what is in the sphere at a point, or say why nothing is."""
        found = self._measure(point)
        if isinstance(found, RoiValue):
            return found
        remedy = "correct the coordinates: scanner space, mm, RAS+"
        mirrored = lps_to_ras(point)
        if isinstance(self._measure(mirrored), RoiValue):
            remedy = (
                f"if the coordinates are LPS, declare that or change the signs of x and y: "
                f"{format_point(mirrored)} mm would be inside"
            )
        x, y, z = self.image.shape
        low, high = Grid(self.image.affine, (x, y, z)).bounds
        spans = zip("xyz", low, high, strict=True)
        box = ", ".join(f"{axis} {start:.1f} to {end:.1f}" for axis, start, end in spans)
        expected = f"a target inside; the image spans {box} mm"
        found = f"a target at {format_point(point)} mm {found}"
        raise EmptySphere(Problem(self.name, found, expected, remedy))

    def _measure(self, point: np.ndarray) -> RoiValue | str:
        """Return what is in the sphere, or where it lies if it holds nothing."""
        affine = self.image.affine
        indices, weights = sphere(affine, point, self.diameter, self.weighting, self.name)
        total = weights.sum()
        inside = on_grid(indices, self.image.shape)
        if not inside.any():
            return "wholly outside the field of view"
        flag = "" if inside.all() else OUTSIDE_VIEW
        indices, weights = indices[inside], weights[inside]
        if self.mask is not None:
            brain = in_mask(self.mask, apply_affine(affine, indices), self._to_mask)
            if not brain.any():
                return "wholly outside the brain"
            flag = flag or ("" if brain.all() else OUTSIDE_BRAIN)
            indices, weights = indices[brain], weights[brain]
        values = _values(self.image, indices)
        if np.isinf(values).any():
            voxel = tuple(int(i) for i in indices[np.isinf(values)][0])
            found = f"an infinite value at voxel {voxel}"
            raise fault(self.name, found, "finite values", "export it again")
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


def _values(image: nib.Nifti1Image, indices: np.ndarray) -> np.ndarray:
    """Read single voxels; of an image on disk only the box around them."""
    low = indices.min(axis=0)
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, indices.max(axis=0), strict=True))
    values: np.ndarray = np.asarray(image.dataobj[box])[tuple((indices - low).T)].astype(float)
    return values


def in_mask(
    mask: nib.Nifti1Image, points: np.ndarray, to_mask: np.ndarray | None = None
) -> np.ndarray:
    """Say for world points (N, 3) whether the mask's voxel there is in the brain."""
    to_mask = np.linalg.inv(mask.affine) if to_mask is None else to_mask
    place = np.floor(apply_affine(to_mask, points) + 0.5)
    inside = on_grid(place, mask.shape)
    brain = np.zeros(len(points), dtype=bool)
    if inside.any():
        # NaN compares as not above.
        brain[inside] = _values(mask, place[inside].astype(np.int64)) > 0.5
    return brain


def target_points(targets: pd.DataFrame) -> np.ndarray:
    """Return the coordinates (N, 3) of a table of targets, each with its own name."""
    missing = [name for name in ("sample_id", *AXES) if name not in targets]
    if missing:
        raise ValueError(f"targets have no column {missing[0]!r}; expected sample_id, {AXES}")
    points = targets[list(AXES)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    with told_together() as problems:
        for sample in targets["sample_id"][targets["sample_id"].duplicated()].unique():
            problems.append(Problem("targets", f"{sample} twice", "each sample once", "remove one"))
        for i, j in np.argwhere(~np.isfinite(points)):
            found = f"{targets['sample_id'].iloc[i]}: {targets[AXES[j]].iloc[i]}"
            expected, remedy = "a coordinate in mm", "correct it"
            problems.append(Problem("targets", found, expected, remedy, column=AXES[j]))
    return points
