"""What images tell of one target besides the means of the maps: side, enhancement, blood volume.

Vocabulary
----------
- *rise*: T1 after gadolinium over T1 before it, relative to the same in normal white matter; 1
  where nothing enhances.
- *lesion*: abnormal tissue (`cpmlib.mri.white_matter`) about the target.
- *grey matter*: normal-appearing, by its brightness on T1 and FLAIR, in the half of the brain
  without the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from cpmlib.mri.volume import WORKING_VOXEL, Grid, Volume, as_volume, reference_grid
from cpmlib.mri.white_matter import MIN_EXCESS_GREY, abnormal_tissue, normal_white_matter
from cpmlib.roi.means import EmptySphere, roi_mean
from cpmlib.study.errors import DatasetError

AROUND = 30.0
"""A lesion is looked at up to this far from its target, mm."""

BRIGHTEST = 99.0
"""Percentile of the rise in a lesion that must stay low where it does not enhance: single voxels
are vessels and noise."""

GREY = (0.65, 0.85)
"""T1 signal of grey matter relative to that of white matter on the T1 of a gradient echo."""

MIN_VOXELS = 50
"""Of a kind of tissue, fewer voxels of the working grid (0.4 ml) give no median."""

OTHER_SIDE = 10.0
"""Grey matter counts from this far beyond the middle of the brain, mm."""

CONTRASTS = ("T1w", "T1wGd", "FLAIR")
"""Without which no one can say what enhances."""

Images = Mapping[str, nib.Nifti1Image | None]


def right_of_middle(mask: nib.Nifti1Image | None, target: ArrayLike) -> float:
    """Distance of a target to the right of the middle of the brain, mm; NaN without a mask.

    Examples
    --------
    >>> brain = nib.Nifti1Image(np.ones((20, 20, 20), np.float32), np.diag([2.0, 2, 2, 1]))
    >>> right_of_middle(brain, [31.0, 20, 20])
    12.0
    """
    inside = np.empty((0, 3)) if mask is None else np.argwhere(np.asarray(mask.dataobj) > 0)
    if mask is None or not len(inside):
        return np.nan
    middle = nib.affines.apply_affine(mask.affine, inside.mean(axis=0))[0]
    return float(np.asarray(target, dtype=float)[0] - middle)


def findings_at(images: Images, target: ArrayLike, diameter: float) -> dict[str, float]:
    """Measure what the paper says of a case in words.

    Parameters
    ----------
    images
        ``"mask"``, ``"T1w"``, ``"T1wGd"``, ``"FLAIR"`` and ``"rCBV"``, aligned.
    target : (3,)
        World point, mm, RAS+.
    diameter
        Of the sphere, mm.

    Returns
    -------
    dict
        ``right`` (as `right_of_middle`), ``rise``, ``lesion_rise`` (the `BRIGHTEST` percentile),
        ``rcbv`` (relative to white matter) and ``grey_rcbv`` (median); NaN for what is not there.
    """
    names = ("rise", "lesion_rise", "rcbv", "grey_rcbv")
    found = {"right": right_of_middle(images.get("mask"), target)} | dict.fromkeys(names, np.nan)
    if images.get("rCBV") is not None:
        found["rcbv"] = _mean_at(images, "rCBV", target, diameter)
    mask = images.get("mask")
    if mask is None or any(images.get(kind) is None for kind in CONTRASTS):
        return found
    grid = reference_grid(as_volume(mask), WORKING_VOXEL)
    volumes = {
        kind: replace(volume, data=np.nan_to_num(volume.data))
        for kind in ("mask", *CONTRASTS, "rCBV")
        if (image := images.get(kind)) is not None
        for volume in [as_volume(image, kind).resampled(grid)]
    }
    brain = replace(volumes["mask"], data=volumes["mask"].data > 0.5)
    try:
        white = as_volume(normal_white_matter({k: volumes[k] for k in CONTRASTS}, brain)[0])
    except DatasetError:  # too little of it
        return found
    before, after = (volumes[kind].data[white.inside] for kind in ("T1w", "T1wGd"))
    usual = float(np.median(after) / np.median(before))
    at_target = [_mean_at(images, kind, target, diameter) for kind in ("T1wGd", "T1w")]
    found["rise"] = at_target[0] / at_target[1] / usual
    found["lesion_rise"] = _rise_of_lesion(volumes, brain, white, target) / usual
    found["grey_rcbv"] = _grey_blood(volumes, white, target)
    return found


def _rise_of_lesion(
    volumes: Mapping[str, Volume], brain: Volume, white: Volume, target: ArrayLike
) -> float:
    """Return the `BRIGHTEST` ratio of T1 after to T1 before gadolinium in a lesion."""
    contrasts = {kind: volumes[kind] for kind in CONTRASTS}
    lesion = as_volume(abnormal_tissue(contrasts, brain, white)).resampled(brain.grid, "nearest")
    near = np.linalg.norm(_points(brain.grid) - np.asarray(target, float), axis=-1) < AROUND
    after, before = (ndimage.gaussian_filter(volumes[kind].data, 1) for kind in ("T1wGd", "T1w"))
    where = lesion.inside & near & (before > 0)
    if where.sum() < MIN_VOXELS:
        return np.nan
    return float(np.percentile(after[where] / before[where], BRIGHTEST))


def _grey_blood(volumes: Mapping[str, Volume], white: Volume, target: ArrayLike) -> float:
    """Return the median blood volume of normal-appearing grey matter, on the other side."""
    if "rCBV" not in volumes:
        return np.nan
    blood, brain = volumes["rCBV"].data, volumes["mask"].data > 0.99
    x = _points(white.grid)[..., 0]
    middle = x[brain].mean()
    away = (x - middle) * np.sign(np.asarray(target, float)[0] - middle)
    t1, flair = (
        volumes[k].data / np.median(volumes[k].data[white.inside]) for k in ("T1w", "FLAIR")
    )
    grey = (t1 > GREY[0]) & (t1 < GREY[1]) & (flair > 1) & (flair < 1 + MIN_EXCESS_GREY)
    grey &= brain & (away < -OTHER_SIDE) & (blood > 0)
    return float(np.median(blood[grey])) if grey.sum() >= MIN_VOXELS else np.nan


def _mean_at(images: Images, kind: str, target: ArrayLike, diameter: float) -> float:
    # A series often leaves out the top or the bottom of the head.
    try:
        return roi_mean(images[kind], target, diameter, name=kind).mean  # type: ignore[arg-type]
    except EmptySphere:
        return np.nan


def _points(grid: Grid) -> np.ndarray:
    places = np.moveaxis(np.indices(grid.shape), 0, -1)
    return np.asarray(nib.affines.apply_affine(grid.affine, places))
