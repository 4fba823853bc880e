"""Whether a patient's images can be analysed together, asked before anything is computed.

Vocabulary
----------
- *field of view*: the box of all voxels of an image, mm.
- *head*: the voxels of the reference that are brighter than its mean; enough to say where it is.
- *reference*: T1wGd if it is there, else the first image.
"""

from __future__ import annotations

from collections.abc import Mapping

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from cpmlib.mri.resampling import in_field_of_view
from cpmlib.mri.volume import Volume, as_volume
from cpmlib.study.errors import DatasetError, Problem, collected

MIN_VOXEL, MAX_VOXEL = 0.1, 20.0
"""Edges of a voxel between which a clinical image lies, mm."""

MIN_EXTENT = 60.0
"""An image shorter than this along any axis cannot hold a brain, mm; it may be a slab."""

SLABS = ("ADC", "rCBV", "dwi", "dsc")
"""Kinds that are often acquired as a slab about the lesion."""

SLAB = 100.0
"""One that is thinner than this does not reach from the crown to the skull base, mm."""

MIN_SLAB = 20.0
"""A slab thinner than this has hardly room for a sphere and its surroundings, mm."""

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

REFERENCE = "T1wGd"


def check_inputs(images: Mapping[str, nib.Nifti1Image], names: Mapping[str, str]) -> list[str]:
    """Check images of one patient one by one and against each other.

    Parameters
    ----------
    images
        What it is (``"T1w"``, ``"ADC"``, ``"mask"``...) -> image in its own grid.
    names
        What it is -> the file's name as its owner knows it, for messages.

    Returns
    -------
    list of str
        Warnings: the images can be used, but their owner should look at this.

    Raises
    ------
    DatasetError
        With every problem: an image is not 3-D, has an affine that cannot be inverted, voxels or
        a field of view of an absurd size, infinities, no value or no contrast, or does not overlap
        with the others.

    Examples
    --------
    >>> i = np.indices((50, 50, 50)).sum(axis=0).astype(np.float32)
    >>> image = nib.Nifti1Image(i, np.diag([3.0, 3, 3, 1]))
    >>> check_inputs({"T1wGd": image, "FLAIR": image}, {"T1wGd": "t1.nii", "FLAIR": "flair.nii"})
    []
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    usable: dict[str, Volume] = {}
    for kind, image in images.items():
        with collected(problems):
            volume = as_volume(image, names.get(kind, kind))
            _check_volume(volume, kind in SLABS)
            usable[kind] = volume
            warnings += [*_geometry_warnings(volume), *_header_warnings(image, volume.name)]
    reference = usable.get(REFERENCE, next(iter(usable.values()), None))
    for kind, volume in usable.items():
        if reference is not None and volume is not reference:
            with collected(problems):
                warnings += _check_overlap(reference, volume, kind in SLABS)
    if problems:
        raise DatasetError(problems)
    return warnings


def _check_volume(volume: Volume, may_be_slab: bool) -> None:
    """Raise a DatasetError for voxels, a field of view or values that no head has."""
    size, extent = volume.grid.voxel_sizes, volume.grid.extent
    least = MIN_SLAB if may_be_slab else MIN_EXTENT
    head, remedy = "an image of a head", "export the image again"
    if size.min() < MIN_VOXEL or size.max() > MAX_VOXEL:
        found, expected = f"voxels of {_by(size)} mm", f"{MIN_VOXEL:g} to {MAX_VOXEL:g} mm"
        remedy = "check the unit of the header's voxel size"
    elif extent.min() < least:
        found = f"a field of view of {_by(extent)} mm"
        holds = "a slab of the brain" if may_be_slab else "a brain"
        expected = f"room for {holds}, at least {least:g} mm along each axis"
        remedy = "supply the whole series"
    elif np.isnan(volume.data).all():
        found, expected = "no value at all", head
    elif np.nanmin(volume.data) == np.nanmax(volume.data):
        found, expected = f"the same value everywhere ({np.nanmin(volume.data):g})", head
    else:
        return
    raise DatasetError(Problem(volume.name, found, expected, remedy))


def _geometry_warnings(volume: Volume) -> list[str]:
    """Return what is unusual about the voxels, but can be used."""
    said = []
    name, size = volume.name, volume.grid.voxel_sizes
    if size.max() > MAX_ANISOTROPY * size.min():
        said.append(
            f"{name}: voxels of {_by(size)} mm; a 5-mm sphere will hold few slices of this image"
        )
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
    """Raise a DatasetError for an image of another place; return what it leaves uncovered."""
    share = covered_share(reference, other)
    slab = may_be_slab and other.grid.extent.min() < SLAB
    least = MIN_COVERED_BY_SLAB if slab else MIN_COVERED
    if share < least:
        found = f"a field of view with {100 * share:.0f} % of the head in {reference.name}"
        remedy = "check that both are of the same patient and in scanner space, RAS+ in mm"
        raise DatasetError(Problem(other.name, found, f"at least {100 * least:.0f} %", remedy))
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
