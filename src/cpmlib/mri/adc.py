"""ADC of a patient: the scanner's map without its background, or the map made from the series."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

from cpmlib.mri.diffusion import apparent_diffusion_coefficient
from cpmlib.mri.gradients import SAME_B
from cpmlib.mri.grid import resample_to
from cpmlib.mri.patient import DiffusionSeries

MARGIN = 2
"""Voxels by which the brain mask is widened before the tensor is fitted, so that the interpolation
at the brain's edge has neighbours."""


def without_background(adc: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return an ADC map with no value where it is not above 0.

    No tissue has such an ADC; scanners and fits write 0 in air and where they failed. To be done
    before the map is resampled: interpolation would mix the 0 into the brain's edge, where it
    looks like a low ADC.

    Parameters
    ----------
    adc
        3-D, in any unit.

    Returns
    -------
    nibabel.Nifti1Image
        float32, NaN where there is no value.

    Examples
    --------
    >>> scanned = np.array([0, 800, -3], np.float32).reshape(3, 1, 1)
    >>> without_background(nib.Nifti1Image(scanned, np.eye(4))).get_fdata().ravel()
    array([ nan, 800.,  nan])
    """
    values = np.asarray(adc.dataobj, dtype=np.float32)
    return nib.Nifti1Image(np.where(values > 0, values, np.float32(np.nan)), adc.affine)


def first_volume(series: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return the first volume of a series.

    Examples
    --------
    >>> first_volume(nib.Nifti1Image(np.zeros((2, 2, 2, 5), np.float32), np.eye(4))).shape
    (2, 2, 2)
    """
    values = np.asarray(series.dataobj[..., 0], dtype=np.float32)
    return nib.Nifti1Image(values, series.affine, series.header)


def without_weighting(series: DiffusionSeries) -> nib.Nifti1Image:
    """Return the mean of the volumes without diffusion weighting, or of the least weighted.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.arange(3, dtype=np.float32).reshape(1, 1, 1, 3), np.eye(4))
    >>> series = DiffusionSeries(image, np.array([1000.0, 0, 5]), np.eye(3))
    >>> float(without_weighting(series).get_fdata().item())
    1.5
    """
    chosen = np.flatnonzero(series.bvals <= series.bvals.min() + SAME_B)
    values = np.zeros(series.image.shape[:3], np.float32)
    for volume in chosen:
        values += np.asarray(series.image.dataobj[..., volume], dtype=np.float32)
    mean = values / np.float32(len(chosen))
    return nib.Nifti1Image(mean, series.image.affine, series.image.header)


def adc_from_series(series: DiffusionSeries, mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """Compute the ADC in and just around the brain.

    Parameters
    ----------
    series
        With its gradients.
    mask
        Brain, on any grid.

    Returns
    -------
    nibabel.Nifti1Image
        On the grid of the series, 1e-6 mm2/s; NaN away from the brain. What it is computed from,
        `cpmlib.mri.gradients.choose_volumes` notes.
    """
    first = first_volume(series.image)
    brain = inside_of(resample_to(mask, first.affine, first.shape, "nearest", "mask"))
    wide = ndimage.binary_dilation(brain, iterations=MARGIN)
    return apparent_diffusion_coefficient(
        series.image, series.bvals, series.bvecs, mask_image(wide, first)
    )


def inside_of(mask: nib.Nifti1Image) -> np.ndarray:
    """Return where a mask is true; where it has no value, it is not."""
    with np.errstate(invalid="ignore"):
        inside: np.ndarray = np.asarray(mask.dataobj) > 0.5
    return inside


def mask_image(inside: np.ndarray, like: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return a mask as an image on the grid of another."""
    return nib.Nifti1Image(inside.astype(np.uint8), like.affine)
