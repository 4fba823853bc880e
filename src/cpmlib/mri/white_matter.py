"""Normal-appearing white matter: the unit in which blood volume is given.

Vocabulary
----------
- *normal-appearing*: of the brightness that most white matter of this patient has on T1, away from
  the brain's surface and from the lesion.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_multiotsu

from cpmlib.mri.grid import make_image, reference_grid, resample_to, volume
from cpmlib.study.errors import DatasetError, Problem

WORKING_VOXEL = 2.0
"""The mask is found at this voxel size, mm."""

SURFACE = 6.0
"""White matter nearer than this to the brain's surface is left out, mm."""

AROUND_LESION = 6.0
"""White matter nearer than this to an excluded lesion is left out, mm."""

BIAS_WIDTH = 30.0
"""Standard deviation of the Gaussian that estimates the coil's smooth shading, mm."""

BRIGHTEST = 1.25
"""Relative to the brighter half of the brain, white matter is not brighter than this on T1."""

SMALLEST = 20.0
"""Less white matter than this is no stable unit, ml."""


def white_matter_mask(
    t1: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    exclude: nib.Nifti1Image | None = None,
    name: str = "T1w",
) -> nib.Nifti1Image:
    """Estimate where normal-appearing white matter is.

    The brain's values, freed of smooth shading, are split into three classes (fluid, grey matter,
    white matter) by Otsu's method; kept are voxels about the mode of the brightest class.

    Parameters
    ----------
    t1
        T1w; T1wGd will do.
    mask
        Brain.
    exclude
        What is not normal: lesion, oedema, cavity. None excludes nothing but what looks unlike
        white matter on `t1`.
    name
        What to call the image in a message.

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
    >>> brain = np.select([r < 10, r < 32, r < 44], [150, 600, 450], 0).astype(np.float32)
    >>> affine = np.diag([2.0, 2, 2, 1])
    >>> white = white_matter_mask(make_image(brain, affine), make_image((r < 44) * 1.0, affine))
    >>> bool((brain[white.get_fdata() > 0] == 600).mean() > 0.95)
    True
    """
    affine, shape = reference_grid(t1, WORKING_VOXEL)
    work = volume(resample_to(t1, affine, shape, name=name))
    brain = _inside(mask, affine, shape, "the mask") & ~np.isnan(work)
    depth = ndimage.distance_transform_edt(np.pad(brain, 1))[1:-1, 1:-1, 1:-1] * WORKING_VOXEL
    usable = brain & (depth > SURFACE)
    if exclude is not None:
        lesion = _inside(exclude, affine, shape, "the lesion")
        if lesion.any():
            usable &= ndimage.distance_transform_edt(~lesion) * WORKING_VOXEL > AROUND_LESION
    white = np.zeros(shape, dtype=bool)
    if usable.any() and np.ptp(work[usable]) > 0:
        white[usable] = _white(_flatten(work, brain)[usable])
    # Single voxels are noise, or edges of partial volume.
    white = ndimage.binary_opening(white)
    if white.sum() * WORKING_VOXEL**3 / 1000 < SMALLEST:
        raise DatasetError(
            Problem(
                name,
                "hardly any normal-appearing white matter",
                f"at least {SMALLEST:.0f} ml",
                "check that the image is T1-weighted and that the brain mask fits it",
            )
        )
    fine = resample_to(make_image(white.astype(np.float32), affine), t1.affine, t1.shape, "nearest")
    return make_image((np.asarray(fine.dataobj) > 0.5).astype(np.uint8), t1.affine)


def _inside(
    mask: nib.Nifti1Image, affine: np.ndarray, shape: tuple[int, int, int], name: str
) -> np.ndarray:
    return np.asarray(resample_to(mask, affine, shape, "nearest", name).dataobj) > 0.5


def _flatten(work: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Divide by the local mean over the brighter half of the brain."""
    values = work[brain]
    low, high = np.percentile(values, [50, 98])
    use = (brain & (work >= low) & (work <= high)).astype(np.float32)
    sigma = BIAS_WIDTH / WORKING_VOXEL
    weight = ndimage.gaussian_filter(use, sigma, truncate=2.5)
    mean = ndimage.gaussian_filter(np.where(use > 0, work, 0), sigma, truncate=2.5)
    return np.divide(work * weight, mean, out=np.zeros_like(work), where=mean > 0)


def _white(values: np.ndarray) -> np.ndarray:
    """Say which values (white matter near 1) lie about the mode of the brightest of 3 classes."""
    # Enhancing tumour and fat would otherwise be a class of their own.
    clipped = np.clip(values, 0, BRIGHTEST)
    if len(np.unique(clipped)) < 3:
        return np.isclose(clipped, clipped.max())
    grey, white = threshold_multiotsu(clipped, classes=3, nbins=128)
    counts, edges = np.histogram(clipped[clipped > white], bins=64)
    mode = int(ndimage.gaussian_filter1d(counts.astype(float), 3).argmax())
    peak = (edges[mode] + edges[mode + 1]) / 2
    # From the peak most of the way down to the border with grey matter, and as far up.
    return np.abs(values - peak) <= max(0.7 * (peak - white), (white - grey) / 4)
