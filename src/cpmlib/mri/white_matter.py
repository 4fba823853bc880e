"""Normal-appearing white matter: the unit in which blood volume is given.

Vocabulary
----------
- *normal-appearing white matter*: voxels of the brightness that most white matter of this patient
  has on T1, away from the brain's surface, from tissue that is bright on FLAIR and from tissue that
  enhances.
- *relative brightness*: brightness divided by the median of what looks like white matter on T1.
- *excess brightness*: how much brighter than white matter. Grey matter is, on FLAIR by about a
  quarter, so that what does not look like white matter on T1 must exceed that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_multiotsu

from cpmlib.mri.volume import WORKING_VOXEL, Grid, Image, as_volume, make_image, reference_grid
from cpmlib.study.errors import DatasetError, fault

AWAY = 6.0
"""White matter nearer than this to the brain's surface or to a lesion is left out, mm."""

BIAS_WIDTH = 30.0
"""Standard deviation of the Gaussian that estimates the coil's smooth shading, mm."""

MAX_BRIGHTNESS = 1.25
"""Relative to the brighter half of the brain, white matter is not brighter than this on T1."""

MIN_WHITE_ML = 20.0
"""Less white matter than this is no stable unit, ml."""

MIN_EXCESS, MIN_EXCESS_GREY = 0.15, 0.5
"""Relative excess on FLAIR, where the tissue looks like white matter on T1 and elsewhere."""

MIN_RISE = 0.2
"""Relative rise from T1 before to T1 after contrast agent; grey matter rises by some hundredths,
for the blood in it."""

SPREADS = 3.0
"""Standard deviations of white matter, from its median absolute deviation, that an excess must
exceed as well: noise and shading are no lesion."""

MIN_LESION_ML = 0.5
"""Pieces smaller than this are vessels, noise or edges, ml."""

SHARES = (0.9, 0.7, 0.5)
"""Least share of a voxel of the series that must be white matter; a smaller one only where the
larger leaves hardly a voxel. Grey matter has about twice the blood of white."""

MIN_WHITE = 10
"""Voxels of the series without which there is nothing to divide by."""


def normal_white_matter(
    contrasts: Mapping[str, Image], mask: Image
) -> tuple[nib.Nifti1Image, list[str]]:
    """Find white matter that is normal on T1, on FLAIR and after contrast agent.

    Infiltrated white matter may be darker on T1 by less than noise and shading; FLAIR shows it. The
    contrasts, ``"T1w"`` or ``"T1wGd"`` and if it is there ``"FLAIR"``, lie on the grid of the brain
    mask; so does the result, uint8. A note says so if too little were left without the abnormal
    tissue, which then is not left out.
    """
    t1 = contrasts["T1w"] if "T1w" in contrasts else contrasts["T1wGd"]
    white = white_matter_mask(t1, mask)
    abnormal = as_volume(abnormal_tissue(contrasts, mask, white))
    if not abnormal.inside.any():
        return white, []
    try:
        return white_matter_mask(t1, mask, abnormal), []
    except DatasetError:
        found = "hardly any white matter lies away from tissue that is bright on FLAIR or enhances"
        return white, [f"rCBV: {found}; its unit may hold some of it"]


def white_on_grid(white: Image, grid: Grid) -> tuple[Image, list[str]]:
    """Return the voxels of a coarser grid that are nearly all white matter, 1 inside.

    A note says so where hardly a voxel is white matter by the highest of `SHARES`.

    Examples
    --------
    >>> from cpmlib.mri.volume import Volume
    >>> inside = np.zeros((60, 6, 6))
    >>> inside[6:50] = 1
    >>> coarse = Grid(np.diag([4.0, 3, 3, 1]), (15, 2, 2))
    >>> white_on_grid(Volume(inside, np.eye(4)), coarse)[0].data[:, 0, 0].astype(int).tolist()
    [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    """
    share = as_volume(white, "white matter").resampled(grid)
    for least in SHARES:
        inside = share.data > least
        if inside.sum() >= MIN_WHITE:
            break
    normal = replace(share, data=inside)
    if least == SHARES[0]:
        return normal, []
    found = f"hardly a voxel of the series is more than {100 * SHARES[0]:.0f} % white matter"
    note = f"rCBV: {found}; its unit is measured where {100 * least:.0f} % are, and may be too high"
    return normal, [note]


def white_matter_mask(
    t1: Image, mask: Image, exclude: Image | None = None, name: str = "T1w"
) -> nib.Nifti1Image:
    """Estimate where normal-appearing white matter is, on the grid of `t1`, uint8.

    The brain's values, freed of smooth shading, are split into three classes (fluid, grey matter,
    white matter) by Otsu's method; kept are voxels about the mode of the brightest class. T1wGd
    will do; `exclude` is what is not normal. Raises DatasetError if less than 20 ml are found.

    Examples
    --------
    >>> from cpmlib.mri.volume import Volume
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
    usable = brain & _far_from(np.pad(~brain, 1, constant_values=True))[1:-1, 1:-1, 1:-1]
    if exclude is not None:
        usable &= _far_from(as_volume(exclude, "the lesion").resampled(grid, "nearest").inside)
    white = np.zeros(grid.shape, dtype=bool)
    if usable.any() and np.ptp(work[usable]) > 0:
        white[usable] = _brightest_class(_without_shading(work, brain)[usable])
    # Single voxels are noise, or edges of partial volume.
    white = ndimage.binary_opening(white)
    if white.sum() * WORKING_VOXEL**3 / 1000 < MIN_WHITE_ML:
        found = "hardly any normal-appearing white matter"
        remedy = "check that the image is T1-weighted and that the brain mask fits it"
        raise fault(volume.name, found, f"at least {MIN_WHITE_ML:.0f} ml", remedy)
    fine = replace(coarse, data=white).resampled(volume.grid, "nearest")
    return make_image(fine.inside.astype(np.uint8), volume.affine)


def abnormal_tissue(contrasts: Mapping[str, Image], mask: Image, white: Image) -> nib.Nifti1Image:
    """Find tissue that is bright on FLAIR, or brighter on T1 after contrast agent than before.

    A contrast that is not there is not looked at; `white` is what looks like white matter on T1.
    Returns uint8, in voxels of 2 mm about the grid of the brain mask.

    Examples
    --------
    >>> from cpmlib.mri.volume import Volume
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
        least = _least(excess[like_white], MIN_EXCESS)
        found |= brain & (excess > np.where(like_white, least, max(least, MIN_EXCESS_GREY)))
    if {"T1w", "T1wGd"} <= set(relative):
        rise = relative["T1wGd"] - relative["T1w"]
        found |= brain & (rise > _least(rise[like_white], MIN_RISE))
    # Sheets, threads and small pieces are left out.
    pieces, count = ndimage.label(ndimage.binary_opening(found))
    ml = np.bincount(pieces.ravel(), minlength=count + 1) * WORKING_VOXEL**3 / 1000
    ml[0] = 0
    return make_image((ml >= MIN_LESION_ML)[pieces].astype(np.uint8), grid.affine)


def _relative(values: np.ndarray, white: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(values)
    median = float(np.median(values[white]))
    return values / median if median > 0 else np.zeros_like(values)


def _least(white: np.ndarray, least: float) -> float:
    spread = 1.4826 * float(np.median(np.abs(white - np.median(white))))
    return max(least, SPREADS * spread)


def _far_from(there: np.ndarray) -> np.ndarray:
    if not there.any():
        return ~there
    far: np.ndarray = ndimage.distance_transform_edt(~there) * WORKING_VOXEL > AWAY
    return far


def _without_shading(work: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Divide by the local mean over the brighter half of the brain."""
    low, high = np.percentile(work[brain], [50, 98])
    use = brain & (work >= low) & (work <= high)
    sigma = BIAS_WIDTH / WORKING_VOXEL
    weight = ndimage.gaussian_filter(use.astype(np.float32), sigma, truncate=2.5)
    mean = ndimage.gaussian_filter(np.where(use, work, 0), sigma, truncate=2.5)
    return np.divide(work * weight, mean, out=np.zeros_like(work), where=mean > 0)


def _brightest_class(values: np.ndarray) -> np.ndarray:
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
