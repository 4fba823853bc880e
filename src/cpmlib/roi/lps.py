"""Whether targets look like LPS coordinates that were given as RAS+.

A brain is nearly symmetric, so that most mirrored targets lie in the brain too. A lesion is not:
tissue that was worth a biopsy is nearly always brighter on FLAIR than ordinary brain, and its
mirror image is not.

Vocabulary
----------
- *mirrored target*: one with the signs of x and y changed, as between LPS and RAS+.
- *brightness*: how far the mean FLAIR in the sphere at a point lies above the brain's median, in
  robust standard deviations of the brain (1.4826 * median absolute deviation); 0 where it lies
  below, as in fluid, or outside the brain.
- *gain*: mean over a patient's targets of the brightness at the mirrored point minus that at the
  target.
"""

from __future__ import annotations

from collections.abc import Sequence

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.mri.volume import check_geometry, resample_to
from cpmlib.roi.means import EmptySphere, in_mask, lps_to_ras, roi_mean, target_points
from cpmlib.study.errors import Problem

MIN_GAIN = 1.5
"""Gain, robust standard deviations, from which targets look mirrored. Of points anywhere in a brain
without a lesion fewer than 1 in 100 reach it. In the synthetic cohort nine in ten patients do whose
targets are mirrored, and none whose targets are true, even 10 mm off."""


def detect_lps_targets(
    targets: pd.DataFrame, mask: nib.Nifti1Image, flair: nib.Nifti1Image | None = None
) -> list[str]:
    """Ask whether a patient's targets are LPS coordinates that were given as RAS+.

    The targets are as `cpmlib.roi.means.roi_table` takes them, mask and FLAIR on any grids; without
    FLAIR only the mask is asked. Warns if more than half of the targets lie outside the brain
    although all would lie inside if mirrored; else if the gain on FLAIR is `MIN_GAIN` or more.

    Examples
    --------
    >>> affine = np.eye(4)
    >>> affine[:3, 3] = [0, 0, -4]
    >>> mask = nib.Nifti1Image(np.ones((30, 30, 9), np.uint8), affine)
    >>> targets = pd.DataFrame({"sample_id": ["a"], "target_x": -9, "target_y": -5, "target_z": 0})
    >>> detect_lps_targets(targets, mask)
    ['1 of 1 targets outside the brain, but all inside with the signs of x and y changed: they may
    be LPS coordinates given as RAS+']
    """
    points = target_points(targets)
    check_geometry(mask.shape, mask.affine, "mask")
    if not len(points):
        return []
    outside = ~in_mask(mask, points)
    guess = "with the signs of x and y changed: they may be LPS coordinates given as RAS+"
    if outside.mean() > 0.5 and in_mask(mask, lps_to_ras(points)).all():
        count = f"{outside.sum()} of {len(points)}"
        return [f"{count} targets outside the brain, but all inside {guess}"]
    gain = 0.0 if flair is None else flair_gain(targets, mask, flair)
    if gain < MIN_GAIN:
        return []
    lesion = f"targets look less like lesion on FLAIR, by {gain:.1f} robust SD of the brain"
    return [f"{lesion}, than {guess}"]


def flair_gain(targets: pd.DataFrame, mask: nib.Nifti1Image, flair: nib.Nifti1Image) -> float:
    """Return the gain on FLAIR, robust SD; 0 without targets or where FLAIR does not vary.

    Examples
    --------
    The target is brain like any other, and its mirror image a bright spot.

    >>> affine = np.eye(4)
    >>> affine[:3, 3] = -10
    >>> values = np.random.default_rng(1).normal(100, 5, (21, 21, 21))
    >>> values[2:6, 2:6, 8:13] = 150
    >>> flair = nib.Nifti1Image(values.astype(np.float32), affine)
    >>> mask = nib.Nifti1Image(np.ones(values.shape, np.uint8), affine)
    >>> targets = pd.DataFrame({"sample_id": ["a"], "target_x": 6, "target_y": 6, "target_z": 0})
    >>> 5 < flair_gain(targets, mask, flair) < 15
    True
    """
    points = target_points(targets)
    brain = resample_to(mask, flair.affine, flair.shape, "nearest", "mask")
    values = np.asarray(flair.dataobj)[np.nan_to_num(np.asarray(brain.dataobj)) > 0.5]
    values = values[np.isfinite(values)]
    if not len(points) or not values.size:
        return 0.0
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))  # SD of a normal distribution
    if not spread > 0:
        return 0.0

    def brightness(point: np.ndarray) -> float:
        try:
            mean = roi_mean(flair, point, mask=mask, name="FLAIR").mean
        except EmptySphere:
            return 0.0
        return max(0.0, (mean - middle) / spread)

    gains = [brightness(lps_to_ras(point)) - brightness(point) for point in points]
    return float(np.mean(gains))


def mirrored_cohort(looks_mirrored: Sequence[bool]) -> str | None:
    """Warn if the targets of more than half of two patients or more look mirrored.

    That is one wrong declaration, not many wrong points. `looks_mirrored` has a value for each
    patient whose targets could be judged.

    Examples
    --------
    >>> mirrored_cohort([True, True, False])
    'samples.tsv: found targets of 2 of 3 patients that look mirrored; ...'
    >>> mirrored_cohort([True, False]) is None
    True
    """
    count, total = sum(looks_mirrored), len(looks_mirrored)
    if total < 2 or count <= total / 2:
        return None
    found = f"targets of {count} of {total} patients that look mirrored"
    remedy = "if the coordinates are LPS, declare it in samples.json"
    return str(Problem("samples.tsv", found, "millimetres in RAS+", remedy))
