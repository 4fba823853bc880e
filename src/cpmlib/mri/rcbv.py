"""rCBV of a patient whose study has the perfusion series instead of a map.

Vocabulary
----------
- *share*: how much of a voxel of the series is white matter, 0 to 1.
- *unit*: the mean blood volume of normal-appearing white matter, which rCBV is a multiple of.
"""

from __future__ import annotations

from collections.abc import Mapping

import nibabel as nib
import numpy as np

from cpmlib.mri.abnormal import abnormal_tissue
from cpmlib.mri.adc import first_volume, inside_of, mask_image
from cpmlib.mri.grid import resample_to
from cpmlib.mri.patient import PerfusionSeries
from cpmlib.mri.perfusion import LEAST_WHITE, PerfusionFit, relative_cbv
from cpmlib.mri.white_matter import white_matter_mask
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import ImageOptions

SHARES = (0.9, 0.7, 0.5)
"""Least share of a voxel that the unit is measured in; a smaller one only where the larger leaves
hardly a voxel. Grey matter has about twice the blood of white, so a voxel that is half of each
would raise the unit by half."""


def rcbv_from_series(
    series: PerfusionSeries,
    contrasts: Mapping[str, nib.Nifti1Image],
    mask: nib.Nifti1Image,
    options: ImageOptions,
    name: str = "dsc",
) -> tuple[PerfusionFit, list[str]]:
    """Fit a perfusion series in the brain, in units of normal-appearing white matter.

    Parameters
    ----------
    series
        With its times.
    contrasts
        On the grid of the mask: ``"T1w"`` or ``"T1wGd"``, and ``"FLAIR"`` if it is there.
    mask
        Brain.
    options
        How.
    name
        What to call the series in a message.

    Returns
    -------
    fit : PerfusionFit
        On the grid of the series.
    notes : list of str
        What was found.

    Raises
    ------
    DatasetError
        As `cpmlib.mri.perfusion.relative_cbv` and `white_matter_mask` do.
    """
    white, notes = normal_white_matter(contrasts, mask)
    first = first_volume(series.image)
    brain = inside_of(resample_to(mask, first.affine, first.shape, "nearest", "mask"))
    normal, more = white_on_grid(white, first)
    fit = relative_cbv(
        series.image,
        series.repetition_time,
        series.echo_time,
        mask_image(brain, first),
        normal,
        leakage=options.leakage_correction,
        name=name,
        reference=options.perfusion_reference,
    )
    return fit, [*series.notes, *notes, *more, *fit.notes]


def normal_white_matter(
    contrasts: Mapping[str, nib.Nifti1Image], mask: nib.Nifti1Image
) -> tuple[nib.Nifti1Image, list[str]]:
    """Find white matter that is normal on T1, on FLAIR and after contrast agent.

    Infiltrated white matter may be darker on T1 by less than noise and shading; FLAIR shows it.

    Parameters
    ----------
    contrasts, mask
        As in `rcbv_from_series`.

    Returns
    -------
    white : image
        uint8, on the grid of the mask.
    notes : list of str
        Says so if too little were left without the abnormal tissue, which then is not left out.
    """
    t1 = contrasts["T1w"] if "T1w" in contrasts else contrasts["T1wGd"]
    white = white_matter_mask(t1, mask)
    abnormal = abnormal_tissue(contrasts, mask, white)
    if not inside_of(abnormal).any():
        return white, []
    try:
        return white_matter_mask(t1, mask, abnormal), []
    except DatasetError:
        found = "hardly any white matter lies away from tissue that is bright on FLAIR or enhances"
        return white, [f"rCBV: {found}; its unit may hold some of it"]


def white_on_grid(
    white: nib.Nifti1Image, grid: nib.Nifti1Image
) -> tuple[nib.Nifti1Image, list[str]]:
    """Return the voxels of a coarser grid that are nearly all white matter.

    Parameters
    ----------
    white
        Mask on its own grid.
    grid
        3-D image whose voxels are looked at.

    Returns
    -------
    inside : image
        uint8, on the grid.
    notes : list of str
        Says so where hardly a voxel is white matter by the highest of `SHARES`.

    Examples
    --------
    >>> white = np.zeros((60, 6, 6), np.float32)
    >>> white[6:50] = 1
    >>> fine = nib.Nifti1Image(white, np.eye(4))
    >>> coarse = nib.Nifti1Image(np.zeros((15, 2, 2), np.float32), np.diag([4.0, 3, 3, 1]))
    >>> white_on_grid(fine, coarse)[0].get_fdata()[:, 0, 0].astype(int).tolist()
    [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    """
    soft = nib.Nifti1Image(inside_of(white).astype(np.float32), white.affine)
    share = np.asarray(resample_to(soft, grid.affine, grid.shape, name="white matter").dataobj)
    for least in SHARES:
        inside = share > least
        if inside.sum() >= LEAST_WHITE:
            break
    if least == SHARES[0]:
        return mask_image(inside, grid), []
    found = f"hardly a voxel of the series is more than {100 * SHARES[0]:.0f} % white matter"
    note = f"rCBV: {found}; its unit is measured where {100 * least:.0f} % are, and may be too high"
    return mask_image(inside, grid), [note]
