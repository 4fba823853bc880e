r"""The unit of ADC maps that scanners and other software made, which no header tells.

Vocabulary
----------
- *ADC*: apparent diffusion coefficient; normal white matter has about 750e-6 mm2/s, free water at
  body temperature about 3000e-6 mm2/s. Fluid is the brightest part of an ADC map of a brain.
- *exponential ADC*: :math:`e^{-b\,\mathrm{ADC}}`, a map without unit from 0 to 1, which scanners
  write beside the ADC; its fluid is dark, and its median that of an ADC in 1e-3 mm2/s.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np

from cpmlib.mri.series import inside_mask
from cpmlib.mri.volume import make_image
from cpmlib.study.errors import DatasetError, Problem

BRAIN_MEDIAN = (400.0, 2000.0)
"""Median ADC of a brain with its fluid, 1e-6 mm2/s, with a wide margin."""

USUAL_MEDIAN = (600.0, 1300.0)
"""Beyond, the median is that of no healthy brain, but may be that of a patient or of a high b."""

BRIGHT_FLUID = 2.0
"""Fluid stands out in a map whose 99th percentile is so many times its median; it has four times
the ADC of tissue, and two where most of its voxels hold tissue, too."""

DARK_FLUID = 1.25
"""In a map without bright fluid, how much farther the 5th percentile is from the median than the
95th for the fluid to be dark: 0.2 in an ADC map with fluid, about 1 of noise alone, 1.4 in a
diffusion-weighted image and 2 to 5 in an exponential ADC."""

UNITS = ((1e6, "mm2/s"), (1e3, "1e-3 mm2/s (um2/ms)"), (1.0, "1e-6 mm2/s (um2/s)"))
"""Factor to 1e-6 mm2/s and name of each unit in use; three decades apart, so none is another."""


def recognise_adc_unit(median_of_brain: float, name: str = "ADC") -> tuple[float, str]:
    """Recognise the unit of an ADC map, called `name` in messages, by the median of the brain.

    Parameters
    ----------
    median_of_brain
        In the unit of the map.

    Returns
    -------
    factor : float
        What the map is to be multiplied by to be in 1e-6 mm2/s.
    unit : str
        Its name.

    Raises
    ------
    DatasetError
        If the median is that of a brain in none of the units of `UNITS`.

    Examples
    --------
    >>> recognise_adc_unit(0.00082)
    (1000000.0, 'mm2/s')
    >>> recognise_adc_unit(0.82)
    (1000.0, '1e-3 mm2/s (um2/ms)')
    """
    low, high = BRAIN_MEDIAN
    for factor, unit in UNITS:
        if low <= median_of_brain * factor <= high:
            return factor, unit
    expected = ", ".join(f"{low / f:g} to {high / f:g} ({unit})" for f, unit in UNITS)
    raise DatasetError(
        Problem(
            name,
            f"a median of {median_of_brain:.4g} in the brain, which no unit of ADC explains",
            f"a median of {expected}",
            "convert the map to 1e-6 mm2/s, or check that it is an ADC map and fits the brain",
        )
    )


def adc_in_units(
    image: nib.Nifti1Image, mask: nib.Nifti1Image, name: str = "ADC"
) -> tuple[nib.Nifti1Image, str]:
    """Bring an ADC map to 1e-6 mm2/s.

    Parameters
    ----------
    image
        3-D ADC map in any unit of `UNITS`.
    mask
        Brain, 3-D, on the same grid.
    name
        What to call the map in a message.

    Returns
    -------
    image : nibabel.Nifti1Image
        1e-6 mm2/s, float32. In the brain NaN where the map has no value above 0; outside, the
        map's own values in the new unit.
    note : str
        What was assumed.

    Raises
    ------
    DatasetError
        If the image is not 3-D, the mask does not fit, the brain has no value above 0, the unit is
        not clear, or the fluid is dark.

    Examples
    --------
    >>> brain = make_image(np.ones((2, 2, 2), np.float32), np.eye(4))
    >>> values = np.array([7, 7, 8, 9, 9, 9, 9, 30], np.float32).reshape(2, 2, 2) / 10000
    >>> adc, note = adc_in_units(make_image(values, np.eye(4)), brain)
    >>> print(note)
    ADC: unit taken as mm2/s, since the median of the brain is 0.0009
    >>> float(adc.get_fdata().max().round(1))
    3000.0
    """
    if len(image.shape) != 3:
        found = f"an image of shape {tuple(image.shape)}"
        raise DatasetError(Problem(name, found, "one volume", "extract the volume that is meant"))
    inside = inside_mask(mask, image, f"mask of {name}")
    values = np.asarray(image.dataobj, dtype=np.float32)
    known = inside & np.isfinite(values) & (values > 0)
    if not known.any():
        found = "no value above 0 in the brain"
        raise DatasetError(Problem(name, found, "an ADC map", "check that it fits the brain"))
    median = float(np.median(values[known]))
    factor, unit = recognise_adc_unit(median, name)
    note = f"{name}: unit taken as {unit}, since the median of the brain is {median:.4g}"
    note += _fluid(values[known], name) + odd_median(median * factor)
    if missing := int((inside & ~known).sum()):
        note += f"; {missing} voxels of the brain have no value above 0 and are left out"
    result = values * np.float32(factor)
    result[inside & ~known] = np.nan
    return make_image(result, image.affine), note


def odd_median(median: float) -> str:
    """Return what to add to a note on a median, 1e-6 mm2/s, that is not `USUAL_MEDIAN`.

    Examples
    --------
    >>> odd_median(450.0)
    '; 450e-6 mm2/s is low for a brain: look at the map'
    >>> odd_median(850.0)
    ''
    """
    low, high = USUAL_MEDIAN
    if low <= median <= high:
        return ""
    size = "low" if median < low else "high"
    return f"; {median:.0f}e-6 mm2/s is {size} for a brain: look at the map"


def check_fitted(median: float, name: str = "dwi") -> list[str]:
    """Check the brain's median ADC (1e-6 mm2/s) of a series called `name`; return what is odd.

    Raises
    ------
    DatasetError
        If it is beyond `BRAIN_MEDIAN`.
    """
    low, high = BRAIN_MEDIAN
    if not low <= median <= high:
        found = f"a median ADC of {median:.4g} in the brain, from the b-values that are given"
        expected = f"{low:g} to {high:g} (1e-6 mm2/s)"
        remedy = "check the b-values (s/mm2) and their order"
        raise DatasetError(Problem(name, found, expected, remedy))
    odd = odd_median(median).removeprefix("; ")
    return [f"ADC: a median of {odd}"] if odd else []


def _fluid(values: np.ndarray, name: str) -> str:
    """Return what to add to a note if no fluid stands out; raise if it is dark."""
    low, median, high, highest = np.percentile(values, [5, 50, 95, 99])
    if highest >= BRIGHT_FLUID * median:
        return ""
    if median - low > DARK_FLUID * (high - median):
        found = f"values that reach down from the median ({low:.4g}, {median:.4g}, {high:.4g}: "
        found += "5th, 50th and 95th percentile), as where fluid is dark"
        expected = "fluid that is brighter than tissue, as in an ADC map"
        remedy = "bring the ADC map itself, neither the exponential ADC, exp(-b ADC), nor a "
        remedy += "diffusion-weighted image"
        raise DatasetError(Problem(name, found, expected, remedy))
    return "; no fluid stands out, look whether it is an ADC map"
