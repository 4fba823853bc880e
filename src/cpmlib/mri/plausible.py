"""Whether an image holds what it is taken for: units and physics that no header tells.

Vocabulary
----------
- *median of the brain*: of the voxels in the brain mask that have a value other than 0.
- *fluid*: voxels of the brain with an ADC that only free water has.
- *contrast*: as in `cpmlib.mri.images`; here those of arbitrary unit.

Notes
-----
Cerebrospinal fluid is the darkest part of a brain on T1-weighted images and on FLAIR, which was
made to suppress it, and bright on T2-weighted images; air is dark on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import nibabel as nib
import numpy as np

from cpmlib.mri.volume import Volume, as_volume
from cpmlib.study.errors import Problem, collected, fault, told_together

MEDIANS: Mapping[str, tuple[float, float, str]] = {
    "CPM": (300.0, 6000.0, "cells/mm2"),
    "rCBV": (0.2, 10.0, "multiples of normal-appearing white matter"),
}
"""Median of a brain, with a wide margin, and the unit. A quarter of the mean CPM of the paper's
samples, 1323 cells/mm2, is about the least that sections of normal brain hold; four times that mean
is more than all but the densest tumours have."""
USUAL: Mapping[str, tuple[float, float]] = {"CPM": (650.0, 2650.0), "rCBV": (0.7, 2.5)}
"""Beyond, a median is noted: half to twice the paper's mean; a blood volume in ml/100 g, of which
brains have 2 to 5, cannot be told from a relative one by its size."""
OTHER_UNITS: Mapping[str, tuple[tuple[float, str], ...]] = {
    "CPM": ((1e3, "1000 cells/mm2"), (1e6, "cells/um2"), (1e-2, "cells/cm2")),
    "rCBV": ((1e-2, "per cent"),),
}
"""Factor to the unit and name of units that a map may have by mistake."""
MAX_BELOW_ZERO = 0.01
"""Share of a brain's densities below 0 that interpolation may have made at the edges."""
MANY_BELOW_ZERO = 0.05
"""Share of a brain's blood volumes below 0, as noise and leakage make them, that is noted."""
FLUID_ADC = 2400.0
"""ADC above which a voxel is mostly fluid, 1e-6 mm2/s; free water has 3000."""
MIN_FLUID_ML = 1.0
"""With less fluid a contrast is not judged by it, ml."""

BRIGHT, TOO_BRIGHT = 1.0, 1.3
"""Signal of fluid, as a multiple of the rest of the brain, that is noted and that is refused: on
T1 and FLAIR it is about one third, on T2 or an inverted image two or more."""

DARK_FLUID = ("T1w", "T1wGd", "FLAIR")


def median_of_brain(image: nib.Nifti1Image | Volume, mask: nib.Nifti1Image | Volume) -> float:
    """Return the median of the brain, whose mask may lie on any grid; NaN if there is no value.

    Examples
    --------
    >>> volume = Volume(np.array([0, 5, 7, 9]).reshape(4, 1, 1), np.eye(4))
    >>> median_of_brain(volume, replace(volume, data=np.ones((4, 1, 1))))
    7.0
    """
    volume = as_volume(image)
    return _median(_of_brain(volume, as_volume(mask, "mask").resampled(volume.grid, "nearest")))


def check_provided(
    kind: str, image: nib.Nifti1Image | Volume, mask: nib.Nifti1Image | Volume, name: str = ""
) -> tuple[Volume, list[str]]:
    """Check a finished map that a study provides against its unit.

    The kind is ``"CPM"`` or ``"rCBV"``. The brain mask may lie on any grid. Errors call an image
    `name`; notes, which stand on pages, name the kind. A CPM is returned without values that are
    not above 0, as of voxels that were not predicted; an rCBV as it was.

    Raises
    ------
    DatasetError
        If the brain has no value, if its median is none of this unit, or if more densities than
        `MAX_BELOW_ZERO` are below 0.

    Examples
    --------
    >>> brain = Volume(np.ones((2, 2, 2)), np.eye(4))
    >>> cpm = replace(brain, data=np.full((2, 2, 2), 1200))
    >>> print(check_provided("CPM", cpm, brain)[1][0])
    CPM: taken as cells/mm2; the median of the brain is 1200
    """
    low, high, unit = MEDIANS[kind]
    volume = as_volume(image, name or kind)
    name = volume.name
    brain = as_volume(mask, "mask").resampled(volume.grid, "nearest")
    known = _of_brain(volume, brain)
    if not len(known):
        found = "no value other than 0 in the brain"
        raise fault(name, found, f"a map in {unit}", "check that it fits the brain")
    median, below = float(np.median(known)), float((known < 0).mean())
    if kind == "CPM" and below > MAX_BELOW_ZERO:
        found = f"{100 * below:.0f} % of the brain below 0"
        remedy = "bring the map itself, not one that was centred or scaled to a mean of 0"
        raise fault(name, found, f"densities in {unit}, from 0", remedy)
    if not low <= median <= high:
        looks, remedy = _other_unit(kind, median)
        found = f"a median of {median:.4g} in the brain{looks}"
        raise fault(name, found, f"{low:g} to {high:g} {unit}", remedy)
    notes = [f"{kind}: taken as {unit}; the median of the brain is {median:.4g}"]
    least, most = USUAL[kind]
    if not least <= median <= most:
        size = "low" if median < least else "high"
        notes.append(f"{kind}: that is {size}, {least:g} to {most:g} are usual: check the unit")
    if kind == "rCBV" and below > MANY_BELOW_ZERO:
        notes.append(f"{kind}: {100 * below:.0f} % of the brain is below 0")
    if kind == "CPM":
        if count := int((brain.inside & (volume.data <= 0)).sum()):
            notes.append(f"{kind}: {count} voxels of the brain are not above 0 and have no value")
        volume = without_background(volume)
    return volume, notes


def without_background(volume: Volume) -> Volume:
    """Return a map of a quantity that is above 0 in all tissue, with no value where it is not.

    Scanners and fits write 0 in air and where they failed. To be done before a map is resampled:
    interpolation would mix the 0 into the brain's edge, where it looks like a low value.

    Examples
    --------
    >>> without_background(Volume(np.array([0, 800, -3]).reshape(3, 1, 1), np.eye(4))).data.ravel()
    array([ nan, 800.,  nan], dtype=float32)
    """
    return replace(volume, data=np.where(volume.data > 0, volume.data, np.float32(np.nan)))


def check_contrasts(
    contrasts: Mapping[str, nib.Nifti1Image | Volume],
    mask: nib.Nifti1Image | Volume,
    names: Mapping[str, str],
) -> list[str]:
    """Check that fluid and air are dark where they must be (see the module's notes).

    The contrasts, which `names` name in errors, lie on the grid of the brain mask. Without an ADC,
    in 1e-6 mm2/s, fluid is not judged. Returns notes on what is odd but may be.

    Raises
    ------
    DatasetError
        For every contrast that is inverted or of another weighting.

    Examples
    --------
    >>> brain = np.zeros((9, 9, 9))
    >>> brain[3:6, 3:6, 3:6] = 1
    >>> mask = Volume(brain, np.eye(4))
    >>> check_contrasts({"FLAIR": replace(mask, data=900 - 500 * brain)}, mask, {})
    Traceback (most recent call last):
        ...
    cpmlib.study.errors.DatasetError: 1 problem in the dataset; nothing was computed.
      - FLAIR: found 900 around the brain and 400 in it (medians); expected air that is darker \
than the brain. Remedy: bring the image as it was scanned, not inverted.
    """
    mask = as_volume(mask, "mask")
    volumes = {kind: as_volume(image, kind) for kind, image in contrasts.items()}
    inside, fluid = mask.inside, np.zeros(mask.shape, dtype=bool)
    if "ADC" in volumes:
        fluid = inside & (volumes["ADC"].data > FLUID_ADC)
    judged = bool(fluid.sum() * mask.voxel_ml >= MIN_FLUID_ML)
    notes = []
    if "ADC" in volumes and not judged:
        notes.append("ADC: hardly any fluid, so that no other contrast was judged by it")
    with told_together() as problems:
        for kind in DARK_FLUID:
            if kind in volumes:
                values = volumes[kind].data
                parts = values[~inside], values[inside & ~fluid], values[fluid]
                with collected(problems):
                    notes += _check_contrast(kind, *parts, judged, names.get(kind, kind))
    return notes


def _check_contrast(
    kind: str, air: np.ndarray, tissue: np.ndarray, fluid: np.ndarray, judged: bool, name: str
) -> list[str]:
    """Compare the signal of air and, where there is enough of it, of fluid with the tissue's."""
    brain, around = _median(tissue), _median(air)
    if around > brain:
        found = f"{around:.4g} around the brain and {brain:.4g} in it (medians)"
        remedy = "bring the image as it was scanned, not inverted"
        raise fault(name, found, "air that is darker than the brain", remedy)
    if not judged:
        return []
    ratio = _median(fluid) / brain
    found = f"fluid {ratio:.1f} times as bright as the rest of the brain"
    if ratio > TOO_BRIGHT or brain <= 0:
        expected = "fluid that is darker, as on T1-weighted images and FLAIR"
        remedy = "check that it is neither T2-weighted nor inverted, and that the ADC belongs"
        raise fault(name, found, expected, remedy)
    note = f"{kind}: {found}, where it should be darker: look at the image"
    return [note] if ratio > BRIGHT else []


def check_different(images: Mapping[str, nib.Nifti1Image], names: Mapping[str, str]) -> None:
    """Raise a DatasetError for images of two kinds that are the same image, by their `names`.

    Examples
    --------
    >>> image = Volume(np.arange(8).reshape(2, 2, 2), np.eye(4)).to_image()
    >>> check_different({"T1w": image, "T1wGd": image}, {})
    Traceback (most recent call last):
        ...
    cpmlib.study.errors.DatasetError: 1 problem in the dataset; nothing was computed.
      - T1wGd: found the same values as in T1w; expected another image. Remedy: replace one of them.
    """
    with told_together() as problems:
        for first, second in combinations(images, 2):
            one, other = (np.asarray(images[kind].dataobj) for kind in (first, second))
            if np.array_equal(one, other, equal_nan=True):
                found = f"the same values as in {names.get(first, first)}"
                name, remedy = names.get(second, second), "replace one of them"
                problems.append(Problem(name, found, "another image", remedy))


def _of_brain(volume: Volume, brain: Volume) -> np.ndarray:
    """Return the values other than 0 in a brain on the same grid."""
    known: np.ndarray = volume.data[brain.inside & ~np.isnan(volume.data) & (volume.data != 0)]
    return known


def _other_unit(kind: str, median: float) -> tuple[str, str]:
    """Say which other unit a median looks like, and the remedy."""
    low, high, unit = MEDIANS[kind]
    for factor, other in OTHER_UNITS[kind]:
        if low <= median * factor <= high:
            remedy = f"multiply the map by {factor:g}"
            if factor > 1:
                # 7.1 is the logarithm of 1200, too, and brains hold some SD of themselves.
                remedy += ", unless it holds logarithms or multiples of a standard deviation"
            return f", which looks like {other}", remedy
    return "", f"bring it in {unit}"


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
