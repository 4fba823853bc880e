r"""ADC of a patient: the map of the scanner in its unit, or one made from the diffusion series.

Fluid is the brightest part of an ADC map of a brain.

Vocabulary
----------
- *exponential ADC*: exp(-b ADC), a map without unit from 0 to 1, which scanners write beside the
  ADC; its fluid is dark, and its median that of an ADC in 1e-3 mm2/s.
"""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
from scipy import ndimage

from cpmlib.mri.checks import median_of_brain
from cpmlib.mri.diffusion import apparent_diffusion_coefficient
from cpmlib.mri.gradients import choose_volumes, shells_of
from cpmlib.mri.patient import DiffusionSeries
from cpmlib.mri.series import inside_mask
from cpmlib.mri.volume import Image, Volume, as_volume
from cpmlib.study.errors import Problem, fault, told_together

MARGIN = 2
"""Voxels by which the brain mask is widened before the tensor is fitted, so that the interpolation
at the brain's edge has neighbours."""

SIGNALS_NOTED, SIGNALS_REFUSED = 1.1, 1.5
"""Largest over smallest median of the brain among volumes of one b-value: scaling between scans
gives some per cent, another quantity any number."""

BRAIN_MEDIAN = (400.0, 2000.0)
"""Median ADC of a brain with its fluid, 1e-6 mm2/s, with a wide margin."""
USUAL_MEDIAN = (600.0, 1300.0)
"""Beyond, the median is that of no healthy brain, but may be that of a patient or of a high b."""
BRIGHT_FLUID = 2.0
"""Fluid stands out in a map whose 99th percentile is so many times its median; it has four times
the ADC of tissue, and two where most of its voxels hold tissue, too."""
DARK_FLUID = 1.25
"""How much farther the 5th percentile is from the median than the 95th where fluid is dark: 0.2 in
an ADC map, about 1 of noise alone, 1.4 in a diffusion-weighted image, 2 to 5 in exponential ADC."""
UNITS = ((1e6, "mm2/s"), (1e3, "1e-3 mm2/s (um2/ms)"), (1.0, "1e-6 mm2/s (um2/s)"))
"""Factor to 1e-6 mm2/s and name of each unit in use; three decades apart, so none is another."""


def fitted_adc(
    series: DiffusionSeries, mask: Volume, name: str = "dwi"
) -> tuple[Volume, list[str]]:
    """Return the ADC of a series, called `name`, on the grid of the brain mask, 1e-6 mm2/s.

    The notes say what it was computed from and what is odd. Volumes that differ as those of one
    b-value do not, and a median beyond `BRAIN_MEDIAN`, are refused.
    """
    notes = _check_volumes(series, mask, name)
    fitted = as_volume(adc_from_series(series, mask, name), name)
    median, (low, high) = median_of_brain(fitted, mask), BRAIN_MEDIAN
    if not low <= median <= high:
        found = f"a median ADC of {median:.4g} in the brain, from the b-values that are given"
        expected = f"{low:g} to {high:g} (1e-6 mm2/s)"
        raise fault(name, found, expected, "check the b-values (s/mm2) and their order")
    if odd := _odd_median(median).removeprefix("; "):
        notes.append(f"ADC: a median of {odd}")
    return fitted.resampled(mask.grid), notes


def adc_from_series(series: DiffusionSeries, mask: Image, name: str = "dwi") -> nib.Nifti1Image:
    """Compute the ADC, 1e-6 mm2/s, on the grid of the series, in and just around the brain.

    The brain mask may lie on any grid.
    """
    brain = as_volume(mask, "mask").resampled(series.grid, "nearest")
    wide = replace(brain, data=ndimage.binary_dilation(brain.inside, iterations=MARGIN))
    return apparent_diffusion_coefficient(series.image, series.bvals, series.bvecs, wide, name=name)


def _check_volumes(series: DiffusionSeries, mask: Volume, name: str) -> list[str]:
    """Compare the brain's median signal in the volumes of each b-value that are used.

    Scanners append maps to a series, such as the ADC as one more volume at b = 0, and a volume may
    be lost. Among directions of one b-value the median of a brain hardly differs.
    """
    brain = mask.resampled(series.grid, "nearest").inside
    scheme = choose_volumes(series.bvals, series.bvecs, name=name)
    if not brain.any():
        return []  # whoever computes the ADC says so
    used = np.flatnonzero(scheme.used)
    notes = []
    remedy = "take out what is no such volume, as an appended map, with its b-value and gradient"
    with told_together() as problems:
        for shell in shells_of(series.bvals[used]):
            volumes = used[shell]
            signal = [float(np.nanmedian(series.image.dataobj[..., v][brain])) for v in volumes]
            low, high = min(signal), max(signal)
            odd = int(np.argmax(np.abs(np.array(signal) - np.median(signal))))
            found = f"a median signal of the brain of {low:.4g} to {high:.4g} in the volumes of "
            found += f"b = {series.bvals[volumes[odd]]:g}"
            if len(volumes) > 2:
                found += f", {signal[odd]:.4g} in volume {volumes[odd] + 1}"
            ratio = high / low if low > 0 else np.inf
            if ratio >= SIGNALS_REFUSED:
                expected = "about the same signal in all of them"
                problems.append(Problem(name, found, expected, remedy))
            elif ratio >= SIGNALS_NOTED:
                notes.append(f"ADC: {found}; look whether all belong to the series")
    return [*notes, *scheme.notes]


def recognise_adc_unit(median_of_brain: float, name: str = "ADC") -> tuple[float, str]:
    """Return the factor to 1e-6 mm2/s and the unit of a map, by the median of the brain in it.

    Examples
    --------
    >>> recognise_adc_unit(0.82)
    (1000.0, '1e-3 mm2/s (um2/ms)')
    """
    low, high = BRAIN_MEDIAN
    for factor, unit in UNITS:
        if low <= median_of_brain * factor <= high:
            return factor, unit
    found = f"a median of {median_of_brain:.4g} in the brain, which no unit of ADC explains"
    expected = ", ".join(f"{low / f:g} to {high / f:g} ({unit})" for f, unit in UNITS)
    remedy = "convert the map to 1e-6 mm2/s, or check that it is an ADC map and fits the brain"
    raise fault(name, found, f"a median of {expected}", remedy)


def adc_in_units(image: Image, mask: Image, name: str = "ADC") -> tuple[Volume, list[str]]:
    """Bring an ADC map, an image called `name`, from any of the `UNITS` to 1e-6 mm2/s.

    The brain mask lies on the same grid. In the brain the result is NaN where the map has no value
    above 0; outside, it has the map's own values in the new unit. The note says what was assumed.
    A map of which the unit is not clear, or in which fluid is dark, is refused.

    Examples
    --------
    >>> brain = Volume(np.ones((2, 2, 2)), np.eye(4), "ADC")
    >>> values = np.array([7, 7, 8, 9, 9, 9, 9, 30]).reshape(2, 2, 2) / 10000
    >>> adc, (note,) = adc_in_units(replace(brain, data=values), brain)
    >>> print(note)
    ADC: unit taken as mm2/s, since the median of the brain is 0.0009
    >>> float(adc.data.max().round(1))
    3000.0
    """
    volume = as_volume(image, name)
    name = volume.name
    inside = inside_mask(mask, volume.grid, f"mask of {name}")
    values = volume.data
    known = inside & (values > 0)
    if not known.any():
        found = "no value above 0 in the brain"
        raise fault(name, found, "an ADC map", "check that it fits the brain")
    median = float(np.median(values[known]))
    factor, unit = recognise_adc_unit(median, name)
    note = f"{name}: unit taken as {unit}, since the median of the brain is {median:.4g}"
    note += _fluid(values[known], name) + _odd_median(median * factor)
    if missing := int((inside & ~known).sum()):
        note += f"; {missing} voxels of the brain have no value above 0 and are left out"
    result = values * np.float32(factor)
    result[inside & ~known] = np.nan
    return replace(volume, data=result), [note]


def _odd_median(median: float) -> str:
    low, high = USUAL_MEDIAN
    if low <= median <= high:
        return ""
    size = "low" if median < low else "high"
    return f"; {median:.0f}e-6 mm2/s is {size} for a brain: look at the map"


def _fluid(values: np.ndarray, name: str) -> str:
    """Say if no fluid stands out; refuse dark fluid."""
    low, median, high, highest = np.percentile(values, [5, 50, 95, 99])
    if highest >= BRIGHT_FLUID * median:
        return ""
    if median - low > DARK_FLUID * (high - median):
        found = f"values that reach down from the median ({low:.4g}, {median:.4g}, {high:.4g}: "
        found += "5th, 50th and 95th percentile), as where fluid is dark"
        expected = "fluid that is brighter than tissue, as in an ADC map"
        remedy = "bring the ADC map itself, neither the exponential ADC, exp(-b ADC), nor a "
        remedy += "diffusion-weighted image"
        raise fault(name, found, expected, remedy)
    return "; no fluid stands out, look whether it is an ADC map"
