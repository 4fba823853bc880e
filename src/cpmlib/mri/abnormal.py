"""Tissue that is not normal: bright on FLAIR, or brighter after contrast agent.

Vocabulary
----------
- *relative*: divided by the median of what looks like white matter on T1.
- *bright*: on FLAIR brighter than white matter. Grey matter is too, by about a quarter; so what
  looks like white matter on T1 counts from a small excess on, and the rest from one that grey
  matter does not reach.
- *enhancing*: relatively brighter on T1 after contrast agent than before.
"""

from __future__ import annotations

from collections.abc import Mapping

import nibabel as nib
import numpy as np
from scipy import ndimage

from cpmlib.mri.grid import WORKING_VOXEL, reference_grid
from cpmlib.mri.volume import Volume, as_volume, make_image

MIN_EXCESS = 0.15
"""Relative excess on FLAIR of tissue that looks like white matter on T1."""

MIN_EXCESS_GREY = 0.5
"""Relative excess on FLAIR that normal grey matter does not reach."""

MIN_RISE = 0.2
"""Relative rise from T1 before to T1 after contrast agent; grey matter rises by some hundredths,
for the blood in it."""

SPREADS = 3.0
"""Standard deviations of white matter, from its median absolute deviation, that an excess must
exceed as well: noise and shading are no lesion."""

MIN_ML = 0.5
"""Pieces smaller than this are vessels, noise or edges, ml."""


def abnormal_tissue(
    contrasts: Mapping[str, nib.Nifti1Image | Volume],
    mask: nib.Nifti1Image | Volume,
    white: nib.Nifti1Image | Volume,
) -> nib.Nifti1Image:
    """Find tissue that is bright on FLAIR or that enhances.

    Parameters
    ----------
    contrasts
        ``"FLAIR"``, or ``"T1w"`` and ``"T1wGd"``; what is not there is not looked at.
    mask
        Brain.
    white
        What looks like white matter on T1, to which brightness is relative.

    Returns
    -------
    nibabel.Nifti1Image
        uint8, in voxels of 2 mm about the brain mask's grid.

    Examples
    --------
    >>> i, j, k = np.ogrid[-20:20, -20:20, -20:20]
    >>> r, away = np.sqrt(i**2 + j**2 + k**2), np.sqrt((i - 8) ** 2 + j**2 + k**2)
    >>> def volume(values):
    ...     return Volume(values, np.diag([2.0, 2, 2, 1]))
    >>> flair = volume((r < 18) * np.where(away < 5, 130.0, 100.0))
    >>> found = abnormal_tissue({"FLAIR": flair}, volume(r < 18), volume(r < 16)).get_fdata() > 0
    >>> bool(found[away < 4].all()), bool(found[away > 6].any())
    (True, False)
    """
    mask = as_volume(mask, "mask")
    grid = reference_grid(mask, WORKING_VOXEL)
    brain = mask.resampled(grid, "nearest").inside
    like_white = as_volume(white, "mask").resampled(grid, "nearest").inside & brain
    found = np.zeros(grid.shape, dtype=bool)
    relative = {
        kind: _relative(as_volume(contrasts[kind]).resampled(grid).data, like_white)
        for kind in ("FLAIR", "T1w", "T1wGd")
        if kind in contrasts and like_white.any()
    }
    if "FLAIR" in relative:
        excess = relative["FLAIR"] - 1
        least = _least(excess, like_white, MIN_EXCESS)
        found |= brain & (excess > np.where(like_white, least, max(least, MIN_EXCESS_GREY)))
    if {"T1w", "T1wGd"} <= set(relative):
        rise = relative["T1wGd"] - relative["T1w"]
        found |= brain & (rise > _least(rise, like_white, MIN_RISE))
    return make_image(_large(found).astype(np.uint8), grid.affine)


def _relative(values: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Return values relative to white matter's median; 0 where there is none."""
    values = np.nan_to_num(values)
    median = float(np.median(values[white]))
    return values / median if median > 0 else np.zeros_like(values)


def _least(excess: np.ndarray, white: np.ndarray, least: float) -> float:
    values = excess[white]
    spread = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return max(least, SPREADS * spread)


def _large(found: np.ndarray) -> np.ndarray:
    """Leave out sheets, threads and small pieces."""
    opened = ndimage.binary_opening(found)
    pieces, count = ndimage.label(opened)
    size = np.bincount(pieces.ravel(), minlength=count + 1) * WORKING_VOXEL**3 / 1000
    size[0] = 0
    result: np.ndarray = (size >= MIN_ML)[pieces]
    return result
