"""rCBV of a patient whose study has the perfusion series instead of a map.

Vocabulary
----------
- *share*: how much of a voxel of the series is white matter, 0 to 1.
- *unit*: the mean blood volume of normal-appearing white matter, which rCBV is a multiple of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import nibabel as nib

from cpmlib.mri.abnormal import abnormal_tissue
from cpmlib.mri.patient import PerfusionSeries
from cpmlib.mri.perfusion import MIN_WHITE, PerfusionFit, relative_cbv
from cpmlib.mri.volume import Grid, Volume, as_volume
from cpmlib.mri.white_matter import white_matter_mask
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import ImageOptions

SHARES = (0.9, 0.7, 0.5)
"""Least share of a voxel that the unit is measured in; a smaller one only where the larger leaves
hardly a voxel. Grey matter has about twice the blood of white, so a voxel that is half of each
would raise the unit by half."""


def rcbv_from_series(
    series: PerfusionSeries,
    contrasts: Mapping[str, Volume],
    mask: Volume,
    options: ImageOptions,
    name: str = "dsc",
) -> tuple[PerfusionFit, list[str]]:
    """Fit a perfusion series in the brain, in units of normal-appearing white matter.

    The contrasts, ``"T1w"`` or ``"T1wGd"`` and if it is there ``"FLAIR"``, lie on the grid of the
    brain mask, the fit on that of the series, which is called `name` in messages. The options give
    the leakage correction and the rule for the reference curve.

    Raises
    ------
    DatasetError
        As `cpmlib.mri.perfusion.relative_cbv` and `white_matter_mask` do.
    """
    white, notes = normal_white_matter(contrasts, mask)
    normal, more = white_on_grid(white, series.grid)
    fit = relative_cbv(
        series.image,
        series.repetition_time,
        series.echo_time,
        mask.resampled(series.grid, "nearest"),
        normal,
        leakage=options.leakage_correction,
        name=name,
        reference=options.perfusion_reference,
    )
    return fit, [*series.notes, *notes, *more, *fit.notes]


def normal_white_matter(
    contrasts: Mapping[str, nib.Nifti1Image | Volume], mask: nib.Nifti1Image | Volume
) -> tuple[nib.Nifti1Image, list[str]]:
    """Find white matter that is normal on T1, on FLAIR and after contrast agent.

    Infiltrated white matter may be darker on T1 by less than noise and shading; FLAIR shows it.
    Takes what `rcbv_from_series` takes; returns a uint8 mask on the same grid. A note says so if
    too little were left without the abnormal tissue, which then is not left out.
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


def white_on_grid(white: nib.Nifti1Image | Volume, grid: Grid) -> tuple[Volume, list[str]]:
    """Return the voxels of a coarser grid that are nearly all white matter, 1 inside.

    A note says so where hardly a voxel is white matter by the highest of `SHARES`.

    Examples
    --------
    >>> import numpy as np
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
