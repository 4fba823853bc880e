"""Whether a patient's images can be analysed together, asked before anything is computed.

Vocabulary
----------
- *field of view*: the box of all voxels of an image, mm.
- *head*: the voxels of the reference that are brighter than its mean; enough to say where it is.
- *reference*: T1wGd if it is there, else the first image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import nibabel as nib
import numpy as np

from cpmlib.mri.grid import inside, invertible, voxel_sizes
from cpmlib.study.errors import DatasetError, Problem

SMALLEST_VOXEL, LARGEST_VOXEL = 0.1, 20.0
"""Edges of a voxel between which a clinical image lies, mm."""

SMALLEST_EDGE = 60.0
"""An image shorter than this along any axis cannot hold a brain, mm; it may be a slab."""

SLABS = ("ADC", "rCBV", "dwi", "dsc")
"""Kinds that are often acquired as a slab about the lesion."""

SLAB = 100.0
"""One that is thinner than this does not reach from the crown to the skull base, mm."""

SMALLEST_SLAB = 20.0
"""A slab thinner than this has hardly room for a sphere and its surroundings, mm."""

LITTLE, LITTLE_OF_A_SLAB = 0.3, 0.1
"""An image that covers a smaller share of the reference's head is of another place or patient."""

MOST = 0.9
"""An image that covers a smaller share is mentioned."""

THICK = 4.0
"""Voxels whose edges differ by more than this factor are mentioned."""

HEADER_GAP = 1.0
"""A header whose two descriptions of the orientation differ by more than this is mentioned, mm."""

RIGHT_ANGLE = 0.02
"""Cosine between two axes from which they are not at right angles (about one degree off)."""

POINTS = 40
"""About so many voxels along each axis are looked at to find the overlap."""

REFERENCE = "T1wGd"


def check_inputs(
    images: Mapping[str, nib.Nifti1Image],
    names: Mapping[str, str],
    required: Sequence[str] = (),
) -> list[str]:
    """Check images of one patient one by one and against each other.

    Parameters
    ----------
    images
        What it is (``"T1w"``, ``"ADC"``, ``"mask"``...) -> image in its own grid.
    names
        What it is -> the file's name as its owner knows it, for messages.
    required
        What must be there.

    Returns
    -------
    list of str
        Warnings: the images can be used, but their owner should look at this.

    Raises
    ------
    DatasetError
        With every problem: an image is missing, is not 3-D, has an affine that cannot be
        inverted, voxels or a field of view of an absurd size, infinities, no value or no
        contrast, or does not overlap with the others.

    Examples
    --------
    >>> i = np.indices((50, 50, 50)).sum(axis=0).astype(np.float32)
    >>> image = nib.Nifti1Image(i, np.diag([3.0, 3, 3, 1]))
    >>> check_inputs({"T1wGd": image, "FLAIR": image}, {"T1wGd": "t1.nii", "FLAIR": "flair.nii"})
    []
    """
    problems = [
        Problem(names.get(kind, kind), "no such image", "one of each contrast", "add it")
        for kind in required
        if kind not in images
    ]
    warnings: list[str] = []
    usable: dict[str, nib.Nifti1Image] = {}
    for kind, image in images.items():
        name = names.get(kind, kind)
        faults = _geometry(image, name, kind in SLABS) or _values(image, name)
        problems += faults
        if not faults:
            usable[kind] = image
            warnings += _oddities(image, name)
    reference = REFERENCE if REFERENCE in usable else next(iter(usable), None)
    if reference is not None:
        _overlaps(usable, reference, names, problems, warnings)
    if problems:
        raise DatasetError(problems)
    return warnings


def _geometry(image: nib.Nifti1Image, name: str, may_be_slab: bool) -> list[Problem]:
    """Return what makes it impossible to say where the voxels are."""
    if len(image.shape) != 3 or 0 in image.shape:
        found = f"an image of shape {image.shape}"
        return [Problem(name, found, "one volume, with three dimensions", "extract the volume")]
    if not invertible(image.affine):
        found = "an affine that cannot be inverted"
        remedy = "convert the image again from DICOM"
        return [Problem(name, found, "an affine to scanner space, in mm", remedy)]
    size = voxel_sizes(image.affine)
    edge = size * np.array(image.shape)
    if size.min() < SMALLEST_VOXEL or size.max() > LARGEST_VOXEL:
        found = f"voxels of {_by(size)} mm"
        expected = f"{SMALLEST_VOXEL:g} to {LARGEST_VOXEL:g} mm"
        return [Problem(name, found, expected, "check the unit of the header's voxel size")]
    least = SMALLEST_SLAB if may_be_slab else SMALLEST_EDGE
    if edge.min() < least:
        found = f"a field of view of {_by(edge)} mm"
        holds = "a slab of the brain" if may_be_slab else "a brain"
        expected = f"room for {holds}, at least {least:g} mm along each axis"
        return [Problem(name, found, expected, "supply the whole series")]
    return []


def _values(image: nib.Nifti1Image, name: str) -> list[Problem]:
    data = np.asarray(image.dataobj)
    if np.isinf(data).any():
        voxel = tuple(int(i) for i in np.argwhere(np.isinf(data))[0])
        found = f"an infinite value at voxel {voxel}"
        return [Problem(name, found, "finite values", "export the image again")]
    if np.isnan(data).all():
        return [Problem(name, "no value at all", "an image of a head", "export the image again")]
    if np.nanmin(data) == np.nanmax(data):
        found = f"the same value everywhere ({np.nanmin(data):g})"
        return [Problem(name, found, "an image of a head", "export the image again")]
    return []


def _oddities(image: nib.Nifti1Image, name: str) -> list[str]:
    """Return what is unusual, but can be used."""
    said = []
    size = voxel_sizes(image.affine)
    if size.max() > THICK * size.min():
        said.append(
            f"{name}: voxels of {_by(size)} mm; a 5-mm sphere will hold few slices of this image"
        )
    axes = image.affine[:3, :3] / size
    if np.abs(axes.T @ axes - np.eye(3)).max() > RIGHT_ANGLE:
        said.append(f"{name}: the axes are not at right angles; distances along them are skewed")
    header = image.header
    if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        gap = _gap(header.get_sform(), header.get_qform(), image.shape)
        if gap > HEADER_GAP:
            said.append(
                f"{name}: the header's sform and qform put its corners up to {gap:.1f} mm apart;"
                " the sform was used"
            )
    return said


def _gap(first: np.ndarray, second: np.ndarray, shape: tuple[int, ...]) -> float:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1).T
    apart = nib.affines.apply_affine(first, corners) - nib.affines.apply_affine(second, corners)
    return float(np.linalg.norm(apart, axis=1).max())


def _overlaps(
    images: Mapping[str, nib.Nifti1Image],
    reference: str,
    names: Mapping[str, str],
    problems: list[Problem],
    warnings: list[str],
) -> None:
    known = names.get(reference, reference)
    for kind, image in images.items():
        if kind == reference:
            continue
        name, share = names.get(kind, kind), covered_share(images[reference], image)
        slab = kind in SLABS and _thickness(image) < SLAB
        least = LITTLE_OF_A_SLAB if slab else LITTLE
        if share < least:
            problems.append(
                Problem(
                    name,
                    f"a field of view with {100 * share:.0f} % of the head in {known}",
                    f"at least {100 * least:.0f} %",
                    "check that both are of the same patient and in scanner space, RAS+ in mm",
                )
            )
        elif share < MOST:
            warnings.append(f"{name}: covers {100 * share:.0f} % of the head in {known}")


def covered_share(reference: nib.Nifti1Image, other: nib.Nifti1Image) -> float:
    """Return the share of the reference's head that lies in another image's field of view.

    Parameters
    ----------
    reference, other
        3-D images.

    Examples
    --------
    >>> whole = np.zeros((40, 40, 40), np.float32)
    >>> whole[10:30] = 1
    >>> image = nib.Nifti1Image(whole, np.eye(4))
    >>> covered_share(image, nib.Nifti1Image(whole[:20], np.eye(4)))
    0.5
    """
    stride = [max(n // POINTS, 1) for n in reference.shape]
    data = np.asarray(reference.dataobj)[:: stride[0], :: stride[1], :: stride[2]]
    affine = reference.affine @ np.diag([*stride, 1])
    head = data > np.nanmean(data)
    there = inside(np.linalg.inv(other.affine) @ affine, data.shape, other.shape)
    return float(there[head].mean()) if head.any() else 0.0


def _thickness(image: nib.Nifti1Image) -> float:
    return float((voxel_sizes(image.affine) * np.array(image.shape)).min())


def _by(lengths: np.ndarray) -> str:
    return " x ".join(f"{n:.3g}" for n in lengths)
