"""Normal-appearing white matter: the unit in which blood volume is given.

Vocabulary
----------
- *normal-appearing*: of the brightness that most white matter of this patient has on T1, away from
  the brain's surface and from the lesion.
"""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_multiotsu

from cpmlib.mri.grid import WORKING_VOXEL, reference_grid
from cpmlib.mri.volume import Volume, as_volume, make_image
from cpmlib.study.errors import DatasetError, Problem

SURFACE = 6.0
"""White matter nearer than this to the brain's surface is left out, mm."""

AROUND_LESION = 6.0
"""White matter nearer than this to an excluded lesion is left out, mm."""

BIAS_WIDTH = 30.0
"""Standard deviation of the Gaussian that estimates the coil's smooth shading, mm."""

MAX_BRIGHTNESS = 1.25
"""Relative to the brighter half of the brain, white matter is not brighter than this on T1."""

MIN_ML = 20.0
"""Less white matter than this is no stable unit, ml."""


def white_matter_mask(
    t1: nib.Nifti1Image | Volume,
    mask: nib.Nifti1Image | Volume,
    exclude: nib.Nifti1Image | Volume | None = None,
    name: str = "T1w",
) -> nib.Nifti1Image:
    """Estimate where normal-appearing white matter is.

    The brain's values, freed of smooth shading, are split into three classes (fluid, grey matter,
    white matter) by Otsu's method; kept are voxels about the mode of the brightest class.

    Parameters
    ----------
    t1
        T1w; T1wGd will do. Called `name` in messages.
    mask
        Brain.
    exclude
        What is not normal: lesion, oedema, cavity.

    Returns
    -------
    nibabel.Nifti1Image
        uint8, on the grid of `t1`.

    Raises
    ------
    DatasetError
        If an image is not 3-D, or less than 20 ml are found.

    Examples
    --------
    >>> i, j, k = np.ogrid[-25:25, -25:25, -25:25]
    >>> r = 2 * np.sqrt(i**2 + j**2 + k**2)
    >>> brain = np.select([r < 10, r < 32, r < 44], [150, 600, 450], 0)
    >>> affine = np.diag([2.0, 2, 2, 1])
    >>> white = white_matter_mask(Volume(brain, affine), Volume(r < 44, affine))
    >>> bool((brain[white.get_fdata() > 0] == 600).mean() > 0.95)
    True
    """
    volume = as_volume(t1, name)
    grid = reference_grid(volume, WORKING_VOXEL)
    coarse = volume.resampled(grid)
    work = coarse.data
    brain = as_volume(mask, "the mask").resampled(grid, "nearest").inside & ~np.isnan(work)
    depth = ndimage.distance_transform_edt(np.pad(brain, 1))[1:-1, 1:-1, 1:-1] * WORKING_VOXEL
    usable = brain & (depth > SURFACE)
    if exclude is not None:
        usable &= _away(as_volume(exclude, "the lesion").resampled(grid, "nearest").inside)
    white = np.zeros(grid.shape, dtype=bool)
    if usable.any() and np.ptp(work[usable]) > 0:
        white[usable] = _white(_without_shading(work, brain)[usable])
    # Single voxels are noise, or edges of partial volume.
    white = ndimage.binary_opening(white)
    if white.sum() * WORKING_VOXEL**3 / 1000 < MIN_ML:
        found, expected = "hardly any normal-appearing white matter", f"at least {MIN_ML:.0f} ml"
        remedy = "check that the image is T1-weighted and that the brain mask fits it"
        raise DatasetError(Problem(volume.name, found, expected, remedy))
    fine = replace(coarse, data=white).resampled(volume.grid, "nearest")
    return make_image(fine.inside.astype(np.uint8), volume.affine)


def _away(lesion: np.ndarray) -> np.ndarray:
    """Say which voxels are not near a lesion."""
    if not lesion.any():
        return ~lesion
    far: np.ndarray = ndimage.distance_transform_edt(~lesion) * WORKING_VOXEL > AROUND_LESION
    return far


def _without_shading(work: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Divide by the local mean over the brighter half of the brain."""
    low, high = np.percentile(work[brain], [50, 98])
    use = brain & (work >= low) & (work <= high)
    sigma = BIAS_WIDTH / WORKING_VOXEL
    weight = ndimage.gaussian_filter(use.astype(np.float32), sigma, truncate=2.5)
    mean = ndimage.gaussian_filter(np.where(use, work, 0), sigma, truncate=2.5)
    return np.divide(work * weight, mean, out=np.zeros_like(work), where=mean > 0)


def _white(values: np.ndarray) -> np.ndarray:
    """Say which values (white matter near 1) lie about the mode of the brightest of 3 classes."""
    # Enhancing tumour and fat would otherwise be a class of their own.
    clipped = np.clip(values, 0, MAX_BRIGHTNESS)
    if len(np.unique(clipped)) < 3:
        return np.isclose(clipped, clipped.max())
    grey, white = threshold_multiotsu(clipped, classes=3, nbins=128)
    counts, edges = np.histogram(clipped[clipped > white], bins=64)
    mode = int(ndimage.gaussian_filter1d(counts.astype(float), 3).argmax())
    peak = (edges[mode] + edges[mode + 1]) / 2
    # From the peak most of the way down to the border with grey matter, and as far up.
    return np.abs(values - peak) <= max(0.7 * (peak - white), (white - grey) / 4)
