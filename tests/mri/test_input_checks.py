"""Every fault of a patient's images is named, all of them at once."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from cpmlib.mri.checks import check_inputs, covered_share
from cpmlib.mri.volume import as_volume
from cpmlib.study.errors import DatasetError
from orientations import same_image_in_orientations
from phantoms import head, template

NAMES = {"T1wGd": "t1gd.nii.gz", "FLAIR": "flair.nii.gz", "ADC": "adc.nii.gz"}


def image(shape: tuple[int, ...] = (60, 60, 60), edge: float = 3.0) -> nib.Nifti1Image:
    data = np.random.default_rng(0).random(shape, dtype=np.float32)
    return nib.Nifti1Image(data, np.diag([edge, edge, edge, 1]))


def with_value(value: float, everywhere: bool = False) -> nib.Nifti1Image:
    data = np.asarray(image().dataobj).copy()
    data[(slice(None) if everywhere else (4, 5, 6))] = value
    return nib.Nifti1Image(data, image().affine)


def with_affine(affine: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(image().dataobj), affine)


COLLAPSED = np.array([[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
FAR = image().affine + np.array([[0, 0, 0, 150.0], [0] * 4, [0] * 4, [0] * 4])


def test_copies_in_all_orientations_are_fine() -> None:
    first = template()[0]
    for copy in same_image_in_orientations(first).values():
        assert check_inputs({"T1wGd": first, "FLAIR": copy}, NAMES) == []


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (image((60, 60, 60, 2)), "an image of shape (60, 60, 60, 2)"),
        (with_affine(COLLAPSED), "an affine that cannot be inverted"),
        (image(edge=25.0), "voxels of 25 x 25 x 25 mm"),
        (image(edge=0.05), "voxels of 0.05 x 0.05 x 0.05 mm"),
        (image((60, 60, 5)), "a field of view of 180 x 180 x 15 mm"),
        (with_value(np.inf), "an infinite value at voxel (4, 5, 6)"),
        (with_value(np.nan, everywhere=True), "no value at all"),
        (with_value(3, everywhere=True), "the same value everywhere (3)"),
        (with_affine(FAR), "a field of view with 1"),
    ],
)
def test_faults_are_named(fault: nib.Nifti1Image, found: str) -> None:
    with pytest.raises(DatasetError) as raised:
        check_inputs({"T1wGd": image(), "ADC": fault}, NAMES)
    (problem,) = raised.value.problems
    assert problem.file == "adc.nii.gz"
    assert problem.found.startswith(found)


def test_all_problems_are_said_at_once() -> None:
    images = {"T1wGd": with_value(np.inf), "FLAIR": image(edge=25.0), "ADC": image()}
    with pytest.raises(DatasetError) as raised:
        check_inputs(images, NAMES)
    assert [p.file for p in raised.value.problems] == ["t1gd.nii.gz", "flair.nii.gz"]


def test_what_can_be_used_but_is_odd() -> None:
    shifted = image().affine.copy()
    shifted[0, 3] += 40  # of 180 mm
    skewed = image().affine.copy()
    skewed[0, 1] = 0.3
    thick = nib.Nifti1Image(image((60, 60, 12)).get_fdata(), np.diag([3.0, 3, 15, 1]))
    torn = image()
    other = image().affine.copy()
    other[2, 3] = 7
    torn.set_sform(image().affine, code=1)
    torn.set_qform(other, code=1)
    images = {"T1wGd": image(), "A": with_affine(shifted), "B": with_affine(skewed)}
    said = check_inputs(images | {"C": thick, "D": torn}, {})
    assert [text[:2] for text in said] == ["B:", "C:", "D:", "A:"]
    for text, words in zip(said, ("right angles", "15 mm", "7.0 mm apart", "covers"), strict=True):
        assert words in text


@pytest.mark.parametrize("kind", ["dwi", "dsc", "rCBV", "ADC"])
def test_a_slab_about_the_lesion_can_be_used(kind: str) -> None:
    """Ten slices of 5 mm, as many centres acquire their perfusion."""
    whole = head()[0]
    affine = np.diag([2.0, 2, 5, 1])
    affine[:3, 3] = [-110, -130, -10]
    data = np.random.default_rng(0).random((110, 120, 10), dtype=np.float32)
    slab = nib.Nifti1Image(data, affine)
    (said,) = check_inputs({"T1wGd": whole, kind: slab}, {})
    assert said.startswith(f"{kind}: covers ")
    with pytest.raises(DatasetError, match="a field of view of 220 x 240 x 50 mm"):
        check_inputs({"T1wGd": whole, "FLAIR": slab}, {})
    thin = nib.Nifti1Image(data[:, :, :3], affine)
    with pytest.raises(DatasetError, match="room for a slab of the brain, at least 20 mm"):
        check_inputs({"T1wGd": whole, kind: thin}, {})
    affine = affine.copy()
    affine[2, 3] = 80  # only the crown
    with pytest.raises(DatasetError, match="at least 10 %"):
        check_inputs({"T1wGd": whole, kind: nib.Nifti1Image(data, affine)}, {})


def test_share_of_the_head_is_that_of_its_voxels() -> None:
    first = template()[0]
    data = np.asarray(first.dataobj)
    for cut in (20, 40, 60):
        other = nib.Nifti1Image(data[:, :, :cut], first.affine)
        head = data > data.mean()
        exact = head[:, :, :cut].sum() / head.sum()
        # Every second voxel is looked at.
        assert covered_share(as_volume(first), as_volume(other)) == pytest.approx(exact, abs=0.02)


def test_nothing_to_check() -> None:
    assert check_inputs({}, {}) == []
