"""Whether a patient's images belong together, and hold what they are taken for.

Images are compared with T1wGd if it is there, else with the first one: the reference. Its voxels
that are brighter than its mean are enough to say where its head is.

Vocabulary
----------
- *slab*: an image of a kind that is often acquired about the lesion only.
- *median of the brain*: that of the voxels in the brain mask that have a value other than 0.
- *fluid*: voxels of the brain with an ADC that only free water has. It is the darkest part of a
  brain on T1-weighted images and on FLAIR, which was made to suppress it, and bright on
  T2-weighted images; air is dark on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from cpmlib.mri.resampling import in_field_of_view
from cpmlib.mri.volume import Image, Volume, as_volume, without_background
from cpmlib.study.errors import Problem, collected, fault, told_together

MIN_VOXEL, MAX_VOXEL = 0.1, 20.0
"""Edges of a voxel between which a clinical image lies, mm."""
MIN_EXTENT, MIN_SLAB = 60.0, 20.0
"""An image shorter than this along any axis cannot hold a brain; a slab has hardly room for a
sphere and its surroundings, mm."""
SLABS = ("ADC", "rCBV", "dwi", "dsc")
SLAB = 100.0
"""A slab that is thinner than this does not reach from the crown to the skull base, mm."""
MIN_COVERED, MIN_COVERED_BY_SLAB = 0.3, 0.1
"""An image that covers a smaller share of the reference's head is of another place or patient."""
MOSTLY_COVERED = 0.9
"""An image that covers a smaller share is mentioned."""
MAX_ANISOTROPY = 4.0
"""Voxels whose edges differ by more than this factor are mentioned."""
MAX_HEADER_GAP = 1.0
"""A header whose two descriptions of the orientation differ by more than this is mentioned, mm."""
RIGHT_ANGLE = 0.02
"""Cosine between two axes from which they are not at right angles (about one degree off)."""
POINTS = 40
"""About so many voxels along each axis are looked at to find the overlap."""

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


def check_inputs(images: Mapping[str, nib.Nifti1Image], names: Mapping[str, str]) -> list[str]:
    """Check a patient's images, by kind and each in its own grid, one by one and together.

    `names` are those of the files, by kind. Returns warnings: the images can be used, but their
    owner should look at this. One DatasetError tells every problem: voxels or a field of view of an
    absurd size, no value or no contrast, or no overlap with the others.

    Examples
    --------
    >>> i = np.indices((50, 50, 50)).sum(axis=0).astype(np.float32)
    >>> image = nib.Nifti1Image(i, np.diag([3.0, 3, 3, 1]))
    >>> check_inputs({"T1wGd": image, "FLAIR": image}, {"T1wGd": "t1.nii", "FLAIR": "flair.nii"})
    []
    """
    warnings: list[str] = []
    usable: dict[str, Volume] = {}
    with told_together() as problems:
        for kind, image in images.items():
            with collected(problems):
                volume = as_volume(image, names.get(kind, kind))
                _check_volume(volume, kind in SLABS)
                usable[kind] = volume
                warnings += [*_geometry_warnings(volume), *_header_warnings(image, volume.name)]
        reference = usable.get("T1wGd", next(iter(usable.values()), None))
        for kind, volume in usable.items():
            if reference is not None and volume is not reference:
                with collected(problems):
                    warnings += _check_overlap(reference, volume, kind in SLABS)
    return warnings


def _check_volume(volume: Volume, may_be_slab: bool) -> None:
    size, extent = volume.grid.voxel_sizes, volume.grid.extent
    least = MIN_SLAB if may_be_slab else MIN_EXTENT
    expected, remedy = "an image of a head", "export the image again"
    if size.min() < MIN_VOXEL or size.max() > MAX_VOXEL:
        found, expected = f"voxels of {_by(size)} mm", f"{MIN_VOXEL:g} to {MAX_VOXEL:g} mm"
        remedy = "check the unit of the header's voxel size"
    elif extent.min() < least:
        found = f"a field of view of {_by(extent)} mm"
        holds = "a slab of the brain" if may_be_slab else "a brain"
        expected = f"room for {holds}, at least {least:g} mm along each axis"
        remedy = "supply the whole series"
    elif np.isnan(volume.data).all():
        found = "no value at all"
    elif np.nanmin(volume.data) == np.nanmax(volume.data):
        found = f"the same value everywhere ({np.nanmin(volume.data):g})"
    else:
        return
    raise fault(volume.name, found, expected, remedy)


def _geometry_warnings(volume: Volume) -> list[str]:
    said = []
    name, size = volume.name, volume.grid.voxel_sizes
    if size.max() > MAX_ANISOTROPY * size.min():
        holds = "a 5-mm sphere will hold few slices of this image"
        said.append(f"{name}: voxels of {_by(size)} mm; {holds}")
    axes = volume.affine[:3, :3] / size
    if np.abs(axes.T @ axes - np.eye(3)).max() > RIGHT_ANGLE:
        said.append(f"{name}: the axes are not at right angles; distances along them are skewed")
    return said


def _header_warnings(image: nib.Nifti1Image, name: str) -> list[str]:
    """Say so if the header describes two places."""
    header = image.header
    if int(header["sform_code"]) <= 0 or int(header["qform_code"]) <= 0:
        return []
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape])).reshape(3, -1).T
    apart = apply_affine(header.get_sform(), corners) - apply_affine(header.get_qform(), corners)
    gap = float(np.linalg.norm(apart, axis=1).max())
    if gap <= MAX_HEADER_GAP:
        return []
    between = f"the header's sform and qform put its corners up to {gap:.1f} mm apart"
    return [f"{name}: {between}; the sform was used"]


def _check_overlap(reference: Volume, other: Volume, may_be_slab: bool) -> list[str]:
    share = covered_share(reference, other)
    slab = may_be_slab and other.grid.extent.min() < SLAB
    least = MIN_COVERED_BY_SLAB if slab else MIN_COVERED
    if share < least:
        found = f"a field of view with {100 * share:.0f} % of the head in {reference.name}"
        remedy = "check that both are of the same patient and in scanner space, RAS+ in mm"
        raise fault(other.name, found, f"at least {100 * least:.0f} %", remedy)
    covers = f"{other.name}: covers {100 * share:.0f} % of the head in {reference.name}"
    return [covers] if share < MOSTLY_COVERED else []


def covered_share(reference: Volume, other: Volume) -> float:
    """Return the share of the reference's head that lies in another image's field of view.

    Examples
    --------
    >>> whole = np.zeros((40, 40, 40))
    >>> whole[10:30] = 1
    >>> covered_share(Volume(whole, np.eye(4)), Volume(whole[:20], np.eye(4)))
    0.5
    """
    stride = [max(n // POINTS, 1) for n in reference.shape]
    data = reference.data[:: stride[0], :: stride[1], :: stride[2]]
    affine = reference.affine @ np.diag([*stride, 1])
    head = data > np.nanmean(data)
    there = in_field_of_view(np.linalg.inv(other.affine) @ affine, data.shape, other.shape)
    return float(there[head].mean()) if head.any() else 0.0


def _by(lengths: np.ndarray) -> str:
    return " x ".join(f"{n:.3g}" for n in lengths)


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


def median_of_brain(image: Image, mask: Image) -> float:
    """Return the median of the brain, whose mask may lie on any grid; NaN if there is no value.

    Examples
    --------
    >>> volume = Volume(np.array([0, 5, 7, 9]).reshape(4, 1, 1), np.eye(4))
    >>> median_of_brain(volume, Volume(np.ones((4, 1, 1)), np.eye(4)))
    7.0
    """
    volume = as_volume(image)
    return _median(_of_brain(volume, as_volume(mask, "mask").resampled(volume.grid, "nearest")))


def check_provided(
    kind: str, image: Image, mask: Image, name: str = ""
) -> tuple[Volume, list[str]]:
    """Check a finished map that a study provides, ``"CPM"`` or ``"rCBV"``, against its unit.

    The brain mask may lie on any grid. Errors call an image `name`; notes, which stand on pages,
    name the kind. A CPM is returned without values that are not above 0, as of voxels that were not
    predicted; an rCBV as it was.

    Examples
    --------
    >>> brain = Volume(np.ones((2, 2, 2)), np.eye(4))
    >>> cpm = Volume(np.full((2, 2, 2), 1200), np.eye(4))
    >>> print(check_provided("CPM", cpm, brain)[1][0])
    CPM: taken as cells/mm2; the median of the brain is 1200
    """
    low, high, unit = MEDIANS[kind]
    volume = as_volume(image, name or kind)
    brain = as_volume(mask, "mask").resampled(volume.grid, "nearest")
    known = _of_brain(volume, brain)
    if not len(known):
        found = "no value other than 0 in the brain"
        raise fault(volume.name, found, f"a map in {unit}", "check that it fits the brain")
    median, below = float(np.median(known)), float((known < 0).mean())
    if kind == "CPM" and below > MAX_BELOW_ZERO:
        found = f"{100 * below:.0f} % of the brain below 0"
        remedy = "bring the map itself, not one that was centred or scaled to a mean of 0"
        raise fault(volume.name, found, f"densities in {unit}, from 0", remedy)
    if not low <= median <= high:
        looks, remedy = _other_unit(kind, median)
        found = f"a median of {median:.4g} in the brain{looks}"
        raise fault(volume.name, found, f"{low:g} to {high:g} {unit}", remedy)
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


def check_contrasts(
    contrasts: Mapping[str, Image], mask: Image, names: Mapping[str, str]
) -> list[str]:
    """Refuse contrasts, on the grid of the brain mask, on which fluid or air is not dark.

    Errors call them by `names`. Without an ADC, in 1e-6 mm2/s, fluid is not judged. Returns notes
    on what is odd but may be.

    Examples
    --------
    >>> brain = np.zeros((9, 9, 9))
    >>> brain[3:6, 3:6, 3:6] = 1
    >>> flair, mask = Volume(900 - 500 * brain, np.eye(4)), Volume(brain, np.eye(4))
    >>> check_contrasts({"FLAIR": flair}, mask, {})
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
        for kind in ("T1w", "T1wGd", "FLAIR"):
            if kind in volumes:
                values = volumes[kind].data
                air, brain, bright = (
                    _median(values[where]) for where in (~inside, inside & ~fluid, fluid)
                )
                with collected(problems):
                    ratio = (bright / brain if brain else np.inf) if judged else np.nan
                    notes += _check_contrast(kind, air, brain, ratio, names.get(kind, kind))
    return notes


def _check_contrast(kind: str, air: float, brain: float, ratio: float, name: str) -> list[str]:
    """Judge the medians of air and brain, and the ratio of fluid to the latter, NaN if unknown."""
    if air > brain:
        found = f"{air:.4g} around the brain and {brain:.4g} in it (medians)"
        remedy = "bring the image as it was scanned, not inverted"
        raise fault(name, found, "air that is darker than the brain", remedy)
    found = f"fluid {ratio:.1f} times as bright as the rest of the brain"
    if ratio > TOO_BRIGHT or (brain <= 0 and not np.isnan(ratio)):
        expected = "fluid that is darker, as on T1-weighted images and FLAIR"
        remedy = "check that it is neither T2-weighted nor inverted, and that the ADC belongs"
        raise fault(name, found, expected, remedy)
    note = f"{kind}: {found}, where it should be darker: look at the image"
    return [note] if ratio > BRIGHT else []


def _of_brain(volume: Volume, brain: Volume) -> np.ndarray:
    known: np.ndarray = volume.data[brain.inside & ~np.isnan(volume.data) & (volume.data != 0)]
    return known


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
