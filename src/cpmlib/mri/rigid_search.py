"""The search for a rigid or affine transform: simple grids, ITK's metric and its optimiser.

Vocabulary
----------
- *start*: a transform from which the search descends.
- *descend*: follow the metric's gradient until the step is small.
- *inside*: the voxels of an image at which the metric is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage

from cpmlib.mri.grid import make_image, resample_to, volume
from cpmlib.study.errors import DatasetError, Problem

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

FIRST = 8.0
"""Voxel size at which the search starts, mm."""

TURN = 20.0
"""The search starts without a rotation and with this one about each axis, degrees."""

SEED = 20250613
"""Seed of the metric's choice of voxels: the same images give the same transform."""

SAMPLES = 20_000
"""The metric is computed at about this many voxels of the mask, or at all if there are fewer."""

BINS = 32

MARGIN = 6.0
"""The metric is computed in the mask and so far around it, mm. In the brain alone much of the
information is in its border, and a transform that moves the border out of sight costs nothing."""

OVERLAP = 0.5
"""A start that ends with a smaller share of the best start's overlap is not followed: what lies
beyond the moving image is not counted, and few voxels agree by chance."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """An image on an axis-aligned grid, so that ITK can take RAS+ for its own world.

    ITK calls its axes L, P, S, but computes with whatever coordinates it is given: with RAS+ on
    both sides and no direction cosines, no sign has to be turned anywhere.

    Parameters
    ----------
    data : (X, Y, Z) float32
        Values without their extremes; the lowest where there is none.
    inside : (X, Y, Z) bool
        Where the metric is computed if this image is the fixed one: the mask and 6 mm around it.
    affine : (4, 4)
        Voxel to world, mm, RAS+; diagonal.
    """

    data: np.ndarray
    inside: np.ndarray
    affine: np.ndarray

    @classmethod
    def of(
        cls, image: nib.Nifti1Image, voxel_size: float, mask: nib.Nifti1Image | None, name: str
    ) -> Sampled:
        """Read an image, and where it counts, at voxels of a size; refuse one without contrast."""
        data = volume(image, name)
        if not np.isfinite(data).any() or np.nanmin(data) == np.nanmax(data):
            raise DatasetError(Problem(name, "no contrast at all", "a head", "check the export"))
        affine, shape = _box(image, voxel_size)
        # Images without the skull may hold no value around the brain, which is background too.
        image = make_image(np.where(np.isnan(data), np.nanmin(data), data), image.affine)
        values = volume(resample_to(image, affine, shape, name=name))
        inside = ~np.isnan(values)
        if not inside.any():
            raise DatasetError(Problem(name, "hardly any value", "a head", "check the export"))
        if mask is not None:
            there = volume(resample_to(mask, affine, shape, "nearest", name="the mask")) > 0.5
            if not (there & inside).any():
                raise DatasetError(
                    Problem("the mask", "no voxel in the image", "a mask of the image", "check it")
                )
            away = ndimage.distance_transform_edt(~there) * voxel_size
            inside &= away <= max(MARGIN, voxel_size)
        # Single very bright voxels would leave few bins of the histogram for the brain.
        low, high = np.percentile(values[inside], [0.1, 99.5])
        return cls(np.clip(np.nan_to_num(values, nan=low), low, high), inside, affine)

    def points(self) -> np.ndarray:
        """Return the world coordinates of the voxels inside."""
        return nib.affines.apply_affine(self.affine, np.argwhere(self.inside))

    def overlap(self, matrix: np.ndarray, target: Sampled) -> float:
        """Return the share of a fixed image's voxels that a transform to this image hits."""
        points = nib.affines.apply_affine(np.linalg.inv(self.affine) @ matrix, target.points())
        there = (points > -0.5) & (points < np.array(self.data.shape) - 0.5)
        return float(there.all(axis=1).mean())

    def gravity(self) -> np.ndarray:
        """Return the world coordinates of the image's centre of gravity."""
        weight = self.data - self.data.min()
        index = np.argwhere(weight > 0)
        mean = np.average(index, axis=0, weights=weight[weight > 0])
        return nib.affines.apply_affine(self.affine, mean)

    def itk(self) -> sitk.Image:
        """Return the values for ITK, their world in RAS+."""
        return self._itk(self.data.astype(np.float32))

    def itk_mask(self) -> sitk.Image:
        """Return where the metric is computed, for ITK."""
        return self._itk(self.inside.astype(np.uint8))

    def _itk(self, array: np.ndarray) -> sitk.Image:
        import SimpleITK as sitk  # noqa: N813 (its usual name)

        image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
        image.SetSpacing(np.diag(self.affine)[:3].tolist())
        image.SetOrigin(self.affine[:3, 3].tolist())
        return image


def _box(image: nib.Nifti1Image, voxel_size: float) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Return an axis-aligned grid over an image's field of view."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in image.shape])).reshape(3, -1).T
    world = nib.affines.apply_affine(image.affine, corners)
    low, high = world.min(axis=0), world.max(axis=0)
    n = np.maximum(np.ceil((high - low) / voxel_size - 0.05), 1).astype(int)
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = (low + high) / 2 - voxel_size * (n - 1) / 2
    return affine, (int(n[0]), int(n[1]), int(n[2]))


def search(
    moving: nib.Nifti1Image, fixed: nib.Nifti1Image, mask: nib.Nifti1Image | None, name: str
) -> sitk.Euler3DTransform:
    """Descend from several starts at the first voxel size and return where the best one ends."""
    target = Sampled.of(fixed, FIRST, mask, "the fixed image")
    source = Sampled.of(moving, FIRST, None, name)
    centre = target.points().mean(axis=0)
    turns = np.radians(TURN) * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    ends, failure = [], None
    for shift in (np.zeros(3), source.gravity() - target.gravity()):
        for turn in turns:
            start = euler(turn, shift, centre)
            try:
                value = descend(start, target, source)
            except RuntimeError as error:  # this start has no overlap
                failure = error
                continue
            ends.append((value, source.overlap(matrix_of(start), target), start))
    if not ends:
        raise failure or RuntimeError("no start")
    least = OVERLAP * max(overlap for _, overlap, _ in ends)
    return min((e for e in ends if e[1] >= least), key=lambda end: end[0])[2]


def descend(transform: sitk.Transform, target: Sampled, source: Sampled) -> float:
    """Improve a transform in place and return the metric (lower is better)."""
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    method = sitk.ImageRegistrationMethod()
    # Sums over several threads depend on their number and order; the metric obeys the second only.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    share = SAMPLES / target.inside.sum()
    if share < 1:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(float(share), SEED)
    method.SetMetricFixedMask(target.itk_mask())
    method.SetInterpolator(sitk.sitkLinear)
    voxel = float(target.affine[0, 0])
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=voxel,
        minStep=voxel / 100,
        numberOfIterations=120,
        relaxationFactor=0.8,  # with the usual 0.5 it stops short of large rotations
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(target.itk(), source.itk())
    return float(method.GetMetricValue())


def euler(angles: np.ndarray, translation: np.ndarray, centre: np.ndarray) -> sitk.Euler3DTransform:
    """Return ITK's transform of angles (radians) about a centre and a translation (mm).

    Examples
    --------
    >>> matrix_of(euler(np.zeros(3), np.array([1.0, 2, 3]), np.zeros(3)))[:3, 3]
    array([1., 2., 3.])
    """
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    transform = sitk.Euler3DTransform()
    transform.SetRotation(*angles.tolist())
    transform.SetCenter(centre.tolist())
    transform.SetTranslation(translation.tolist())
    return transform


def matrix_of(transform: sitk.Euler3DTransform | sitk.AffineTransform) -> np.ndarray:
    """Return the map from the fixed world to the moving world, which is ITK's direction."""
    result = np.eye(4)
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    result[:3, :3] = rotation
    result[:3, 3] = centre - rotation @ centre + np.array(transform.GetTranslation())
    return result
