"""Multi-resolution registration by mutual information, rigid or affine, with ITK.

Vocabulary
----------
- *pyramid level*: one resolution of a registration that goes from coarse to fine; both images in
  isotropic voxels of one size.

References
----------
Mattes D et al. (2003) IEEE Trans Med Imaging 22:120 (the metric); Lowekamp BC et al. (2013) Front
Neuroinform 7:45 (SimpleITK).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage

from cpmlib.mri.volume import Grid, Volume
from cpmlib.study.errors import fault

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

COARSEST = 8.0
"""Voxel size of the level at which several initial transforms are tried, mm."""

TURN = 20.0
"""They are without a rotation and with this one about each axis, degrees."""

SEED = 20250613
"""Seed of the metric's choice of voxels: the same images give the same transform."""

SAMPLES = 20_000
"""The metric is computed at about this many voxels of the mask, or at all if there are fewer."""

BINS = 32
"""Of the joint histogram, along each axis."""

MARGIN = 6.0
"""The metric is computed in the mask and so far around it, mm. In the brain alone much of the
information is in its border, and a transform that moves the border out of sight costs nothing."""

MIN_OVERLAP = 0.5
"""An end with a smaller share of the largest overlap is not taken: what lies beyond the moving
image is not counted, and few voxels agree by chance."""


@dataclass(frozen=True, eq=False)
class Level:
    """An image at one level. ITK gets RAS+ on both sides and no direction cosines.

    Values are without their extremes, and the lowest where there is none; inside are the voxels at
    which the metric is computed if this image is the fixed one. The grid's affine is diagonal.
    """

    data: np.ndarray
    inside: np.ndarray
    grid: Grid

    @classmethod
    def of(cls, volume: Volume, voxel_size: float, mask: Volume | None = None) -> Level:
        """Resample a volume, and where it counts."""
        lowest = lowest_value(volume, "a head")
        grid = _axis_aligned(volume.grid, voxel_size)
        # Images without the skull may hold no value around the brain, which is background too.
        filled = np.where(np.isnan(volume.data), lowest, volume.data)
        values = Volume(filled, volume.affine, volume.name).resampled(grid).data
        inside = ~np.isnan(values)
        if not inside.any():
            raise fault(volume.name, "hardly any value", "a head", "check the export")
        if mask is not None:
            there = mask.resampled(grid, "nearest").inside
            if not (there & inside).any():
                raise fault(mask.name, "no voxel in the image", "a mask of the image", "check it")
            away = ndimage.distance_transform_edt(~there) * voxel_size
            inside &= away <= max(MARGIN, voxel_size)
        # Single very bright voxels would leave few bins of the histogram for the brain.
        low, high = np.percentile(values[inside], [0.1, 99.5])
        return cls(np.clip(np.nan_to_num(values, nan=low), low, high), inside, grid)

    @cached_property
    def points(self) -> np.ndarray:
        """World coordinates of the voxels inside (N, 3)."""
        return apply_affine(self.grid.affine, np.argwhere(self.inside))

    @property
    def centre(self) -> np.ndarray:
        """Their mean, about which a transform turns (3,)."""
        return self.points.mean(axis=0)

    @property
    def centre_of_mass(self) -> np.ndarray:
        """World coordinates of the mean place, weighted by brightness (3,)."""
        mean = ndimage.center_of_mass(self.data - self.data.min())
        return apply_affine(self.grid.affine, mean)

    def overlap(self, matrix: np.ndarray, fixed: Level) -> float:
        """Return the share of a fixed image's voxels that a transform to this image hits."""
        voxels = apply_affine(np.linalg.inv(self.grid.affine) @ matrix, fixed.points)
        there = (voxels > -0.5) & (voxels < np.array(self.data.shape) - 0.5)
        return float(there.all(axis=1).mean())


def lowest_value(volume: Volume, expected: str) -> float:
    """Return the lowest value, or raise a DatasetError if the values do not differ."""
    data = volume.data
    if np.isnan(data).all() or np.nanmin(data) == np.nanmax(data):
        raise fault(volume.name, "no contrast at all", expected, "check the export")
    return float(np.nanmin(data))


def itk_image(
    array: np.ndarray, voxel_sizes: np.ndarray, origin: np.ndarray | None = None
) -> sitk.Image:
    """Return an array (X, Y, Z) for ITK, without direction cosines."""
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(voxel_sizes.tolist())
    if origin is not None:
        image.SetOrigin(origin.tolist())
    return image


def _axis_aligned(grid: Grid, voxel_size: float) -> Grid:
    """Return a grid of isotropic voxels over the field of view of another."""
    low, high = grid.bounds
    n = np.maximum(np.ceil((high - low) / voxel_size - 0.05), 1).astype(int)
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = (low + high) / 2 - voxel_size * (n - 1) / 2
    return Grid(affine, (int(n[0]), int(n[1]), int(n[2])))


def best_start(moving: Volume, fixed: Volume, mask: Volume | None) -> sitk.Euler3DTransform:
    """Optimise several initial transforms at the coarsest level; return the best end.

    Raises RuntimeError if the images overlap from none of them.
    """
    target, source = Level.of(fixed, COARSEST, mask), Level.of(moving, COARSEST)
    turns = np.radians(TURN) * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    ends = []
    for shift in (np.zeros(3), source.centre_of_mass - target.centre_of_mass):
        for turn in turns:
            transform = euler_transform(target.centre.tolist(), turn.tolist(), shift.tolist())
            try:
                value = optimise(transform, target, source)
            except RuntimeError:  # no overlap from here
                continue
            ends.append((value, source.overlap(matrix_of(transform), target), transform))
    if not ends:
        raise RuntimeError("no overlap")
    least = MIN_OVERLAP * max(overlap for _, overlap, _ in ends)
    return min((e for e in ends if e[1] >= least), key=lambda end: end[0])[2]


def optimise(transform: sitk.Transform, fixed: Level, moving: Level) -> float:
    """Improve a transform in place and return the metric (lower is better).

    Raises RuntimeError if the images do not overlap.
    """
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    method = sitk.ImageRegistrationMethod()
    # Sums over several threads depend on their number and order; the metric obeys the second only.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    share = SAMPLES / fixed.inside.sum()
    if share < 1:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(float(share), SEED)
    arrays = (fixed, fixed.inside.astype(np.uint8)), (fixed, fixed.data), (moving, moving.data)
    where, *images = (
        itk_image(array, np.diag(level.grid.affine)[:3], level.grid.affine[:3, 3])
        for level, array in arrays
    )
    method.SetMetricFixedMask(where)
    method.SetInterpolator(sitk.sitkLinear)
    voxel = float(fixed.grid.affine[0, 0])
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=voxel,
        minStep=voxel / 100,
        numberOfIterations=120,
        relaxationFactor=0.8,  # with the usual 0.5 it stops short of large rotations
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(*images)
    return float(method.GetMetricValue())


def euler_transform(
    centre: Sequence[float], angles: Sequence[float] = (0, 0, 0), shift: Sequence[float] = (0, 0, 0)
) -> sitk.Euler3DTransform:
    """Return ITK's transform of angles (radians) about a centre and a shift (mm).

    Examples
    --------
    >>> matrix_of(euler_transform([1, 1, 1], shift=[1, 2, 3]))[:3, 3]
    array([1., 2., 3.])
    """
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    return sitk.Euler3DTransform(list(centre), *angles, list(shift))


def matrix_of(transform: sitk.Euler3DTransform | sitk.AffineTransform) -> np.ndarray:
    """Return the map (4, 4) from the fixed to the moving world, which is ITK's direction."""
    result = np.eye(4)
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    result[:3, :3] = rotation
    result[:3, 3] = centre - rotation @ centre + np.array(transform.GetTranslation())
    return result
