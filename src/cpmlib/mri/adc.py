"""ADC of a patient: the scanner's map without its background, or the map made from the series."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

from cpmlib.mri.diffusion import apparent_diffusion_coefficient
from cpmlib.mri.gradients import SAME_B, choose_volumes, shells_of
from cpmlib.mri.grid import resample_to
from cpmlib.mri.patient import DiffusionSeries
from cpmlib.study.errors import DatasetError, Problem

MARGIN = 2
"""Voxels by which the brain mask is widened before the tensor is fitted, so that the interpolation
at the brain's edge has neighbours."""


SIGNALS_NOTED, SIGNALS_REFUSED = 1.1, 1.5
"""Largest over smallest median of the brain among volumes of one b-value: scaling between scans
gives some per cent, another quantity any number."""


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


def check_volumes(series: DiffusionSeries, mask: nib.Nifti1Image, name: str = "dwi") -> list[str]:
    """Compare the brain's median signal in the volumes of each b-value that are used.

    Scanners append maps to a series, such as the ADC as one more volume at b = 0, and a volume may
    be lost. Among directions of one b-value the median of a brain hardly differs.

    Parameters
    ----------
    series
        With its gradients.
    mask
        Brain, on any grid.
    name
        What to call the series in an error.

    Returns
    -------
    list of str
        Where medians differ by more than `SIGNALS_NOTED`.

    Raises
    ------
    DatasetError
        Where they differ by more than `SIGNALS_REFUSED`.
    """
    first = first_volume(series.image)
    brain = inside_of(resample_to(mask, first.affine, first.shape, "nearest", "mask"))
    if not brain.any():
        return []  # whoever computes the ADC says so
    used = np.flatnonzero(choose_volumes(series.bvals, series.bvecs, name=name).used)
    notes, problems = [], []
    for shell in shells_of(series.bvals[used]):
        volumes = used[shell]
        signal = [float(np.nanmedian(series.image.dataobj[..., v][brain])) for v in volumes]
        middle = np.median(signal)
        ratio = max(signal) / min(signal) if min(signal) > 0 else np.inf
        odd = int(np.argmax(np.abs(np.array(signal) - middle)))
        found = f"a median signal of the brain of {min(signal):.4g} to {max(signal):.4g} in the "
        found += f"volumes of b = {series.bvals[volumes[odd]]:g}"
        if len(volumes) > 2:
            found += f", {signal[odd]:.4g} in volume {volumes[odd] + 1}"
        if ratio >= SIGNALS_REFUSED:
            remedy = "take out what is no such volume, as an appended map, with its b-value and "
            remedy += "gradient"
            problems.append(Problem(name, found, "about the same signal in all of them", remedy))
        elif ratio >= SIGNALS_NOTED:
            notes.append(f"ADC: {found}; look whether all belong to the series")
    if problems:
        raise DatasetError(problems)
    return notes


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
