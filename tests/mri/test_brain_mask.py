"""The brain mask against the MNI152 template's own, bare and inside synthetic heads."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its usual name)
from scipy import ndimage

from cpmlib.mri import brain_mask as module
from cpmlib.mri.bias_field import correct_bias_field
from cpmlib.mri.brain_mask import check_mask, find_brain
from cpmlib.mri.template_mask import template_mask
from cpmlib.mri.volume import as_volume, make_image, resample_to
from cpmlib.mri.white_matter import white_matter_mask
from cpmlib.study.errors import DatasetError
from orientations import same_image_in_orientations
from phantoms import dice, head, template, thick

ENOUGH = 0.95
"""Masks of trained raters agree to about this; the border of the template's own is a threshold."""


def test_a_head_has_its_brain_found() -> None:
    image, truth = head()
    assert dice(find_brain(image)[0], truth) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    "look",
    [
        {"dura": True},
        {"lesion": True},
        {"bias": 0.4, "noise": 0.06},
        {"skull": 4.0, "scalp": 4.0},
        {"scalp": 12.0},
        {"voxel_size": 1, "margin": 16},
        {"dura": True, "lesion": True, "bias": 0.4, "noise": 0.05},
    ],
)
def test_heads_of_many_looks(look: dict) -> None:
    image, truth = head(**look)
    assert dice(find_brain(image)[0], truth) > ENOUGH


@pytest.mark.parametrize("scale", [1.0, 0.88, 0.82])
def test_brains_smaller_than_the_template_s_are_confirmed(scale: float) -> None:
    """The template has 1,880 ml; started so large, it ended on the skull of most people's heads."""
    image, _ = head()
    smaller = make_image(np.asarray(image.dataobj), image.affine @ np.diag([scale] * 3 + [1]))
    assert find_brain(smaller)[1] == []


def on_grid(truth: nib.Nifti1Image, image: nib.Nifti1Image) -> nib.Nifti1Image:
    return resample_to(truth, image.affine, image.shape, "nearest")


def test_thick_slices_that_join_the_brain_to_its_surroundings() -> None:
    """Grown on the image alone, the mask took in scalp and neck: 2,562 ml, and was refused."""
    image, truth = head(dura=True)
    clinical = thick(image)
    mask, (note,) = find_brain(clinical)
    assert dice(mask, on_grid(truth, clinical)) > ENOUGH
    assert note.startswith("brain mask: that of the MNI152 template, brought over")
    assert "supply a brain mask" in note


def test_thick_slices_alone_are_no_reason_to_take_the_template() -> None:
    image, truth = head()
    clinical = thick(image)
    mask, notes = find_brain(clinical)
    assert notes == []
    assert dice(mask, on_grid(truth, clinical)) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "degrees"), [((5, 1, 1), (3, 2, -4)), ((1, 5, 1), (-20, 0, 5)), ((2, 2, 2), (0, 0, 0))]
)
def test_the_template_is_brought_to_heads_of_many_looks(size: tuple, degrees: tuple) -> None:
    image, truth = head(scalp=10.0, lesion=True)
    clinical = thick(image, size, degrees)
    shifted = clinical.affine.copy()
    shifted[:3, 3] += [30, -20, 60]  # a header that knows nothing of the template's place
    mask = template_mask(make_image(np.asarray(clinical.dataobj), shifted))
    assert mask is not None
    found = make_image(np.asarray(mask.dataobj), clinical.affine)
    assert dice(found, on_grid(truth, clinical)) > ENOUGH


def test_a_mask_that_nothing_confirms_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "template_mask", lambda *_, **__: None)
    image, truth = head()
    mask, (note,) = find_brain(image)
    assert dice(mask, truth) > 0.97
    assert "no template fits that could confirm it" in note
    assert "supply a brain mask" in note


@pytest.mark.parametrize("copy", ["LAS", "LPS", "PIR", "oblique"])
def test_orientation_does_not_matter(copy: str) -> None:
    image, truth = template()[:2]
    mask = find_brain(same_image_in_orientations(image)[copy])[0]
    assert dice(mask, same_image_in_orientations(truth)[copy]) > ENOUGH


@pytest.mark.slow
@pytest.mark.parametrize("copy", ["LAS", "LPS", "PIR", "oblique"])
def test_orientation_of_a_head_does_not_matter(copy: str) -> None:
    image, truth = head()
    mask = find_brain(same_image_in_orientations(image)[copy])[0]
    assert dice(mask, same_image_in_orientations(truth)[copy]) > 0.97


@pytest.mark.slow
def test_a_bare_brain_of_1_mm() -> None:
    image, truth, _ = template(1)
    assert dice(find_brain(image)[0], truth) > ENOUGH


def test_a_bare_brain_with_nothing_around_it() -> None:
    image, truth, _ = template()
    data = np.where(np.asarray(truth.dataobj) > 0, np.asarray(image.dataobj), np.nan)
    mask = find_brain(make_image(data.astype(np.float32), image.affine))[0]
    assert dice(mask, truth) > ENOUGH
    assert not np.asarray(mask.dataobj)[np.isnan(data)].any()


def test_ventricles_and_lesions_are_inside() -> None:
    mask = np.asarray(find_brain(head(lesion=True)[0])[0].dataobj) > 0
    assert (ndimage.binary_fill_holes(mask) == mask).all()
    _, n = ndimage.label(mask)
    assert n == 1
    image = head(lesion=True)[0]
    centre = np.rint(nib.affines.apply_affine(np.linalg.inv(image.affine), (35, -10, 35)))
    assert mask[tuple(centre.astype(int))]


def test_what_is_no_head_is_refused() -> None:
    affine = np.diag([4.0, 4, 4, 1])
    with pytest.raises(DatasetError, match="no contrast"):
        find_brain(make_image(np.ones((20, 20, 20), np.float32), affine))
    with pytest.raises(DatasetError, match="no contrast"):
        find_brain(make_image(np.full((20, 20, 20), np.nan, np.float32), affine))
    ball = np.linalg.norm(np.indices((40, 40, 40)) - 20, axis=0) < 8
    with pytest.raises(DatasetError, match=r"a brain of \d+ ml; expected 500 to 2300 ml"):
        find_brain(make_image(ball.astype(np.float32), affine))
    lone = np.zeros((20, 20, 20), np.float32)
    lone[3, 3, 3] = 1
    with pytest.raises(DatasetError, match="a brain of 0 ml"):
        find_brain(make_image(lone, affine))


def test_a_study_s_own_mask_is_checked() -> None:
    image, truth, _ = template()
    inside = np.asarray(truth.dataobj) > 0
    check_mask(truth, image)
    check_mask(make_image(inside * np.float32(255), truth.affine), image)
    for copy in same_image_in_orientations(truth).values():
        check_mask(copy, image)
    ramp = np.indices(inside.shape).sum(axis=0) * inside
    far = truth.affine.copy()
    far[:3, 3] += 150
    for data, affine, message in [
        (inside * 0.0, truth.affine, "no voxel"),
        (ramp, truth.affine, "values from 0 to"),
        (inside * -1.0 + 2 * ~inside, truth.affine, "values from -1 to 2"),
        (ndimage.binary_erosion(inside, iterations=14), truth.affine, "expected 500 to 2300 ml"),
        (inside, far, "field of view"),
    ]:
        with pytest.raises(DatasetError, match=message):
            check_mask(make_image(data.astype(np.float32), affine), image)
    with pytest.raises(DatasetError, match="three dimensions"):
        check_mask(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.float32), np.eye(4)), image)


def test_white_matter_is_white_matter() -> None:
    image, truth, white = template()
    found = np.asarray(white_matter_mask(image, truth).dataobj) > 0
    share = np.asarray(white.dataobj)
    assert (share[found] > 0.5).mean() > 0.95
    assert found.sum() * 8 / 1000 > 200  # ml; a human brain has more than twice as much
    lesion = np.zeros(found.shape, np.uint8)
    lesion[: found.shape[0] // 2] = 1
    half = white_matter_mask(image, truth, make_image(lesion, image.affine))
    half = np.asarray(half.dataobj) > 0
    assert not half[: found.shape[0] // 2 + 2].any()  # and not next to it
    assert half.any()


def test_white_matter_despite_shading_and_a_bright_tumour() -> None:
    image, truth = head(lesion=True, bias=0.3)
    found = np.asarray(white_matter_mask(image, truth).dataobj) > 0
    pad = (np.array(image.shape) - template()[2].shape) // 2
    share = np.pad(np.asarray(template()[2].dataobj), [(n, n) for n in pad])
    assert (share[found] > 0.5).mean() > 0.9


def test_no_white_matter_is_refused() -> None:
    image, truth, _ = template()
    everything = make_image(np.ones(image.shape, np.uint8), image.affine)
    with pytest.raises(DatasetError, match="hardly any normal-appearing white matter"):
        white_matter_mask(image, truth, exclude=everything)
    with pytest.raises(DatasetError, match="hardly any"):
        white_matter_mask(image, make_image(np.zeros(image.shape, np.uint8), image.affine))


@pytest.mark.slow
def test_n4_flattens_a_known_field() -> None:
    image, mask, white = template()
    data, inside = np.asarray(image.dataobj), np.asarray(white.dataobj) > 0.9
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in data.shape], indexing="ij")
    field = np.exp(0.3 * (x + 0.5 * y**2 - 0.6 * z))
    shaded = make_image((data * field).astype(np.float32), image.affine)
    corrected = correct_bias_field(shaded, mask)

    def variation(values: np.ndarray) -> float:
        return float(values[inside].std() / values[inside].mean())

    assert variation(data * field) > 3 * variation(data)
    # White matter comes out as even as it was before the field, within a tenth.
    assert variation(corrected.get_fdata()) < 1.1 * variation(data)
    usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(4)
        again = correct_bias_field(shaded, mask)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)
    assert (np.asarray(again.dataobj) == np.asarray(corrected.dataobj)).all()


def test_n4_needs_signal() -> None:
    image, mask, _ = template()
    empty = make_image(np.zeros(image.shape, np.float32), image.affine)
    with pytest.raises(DatasetError, match="no signal in the brain"):
        correct_bias_field(empty, mask)


def test_volume_of_a_mask() -> None:
    _, truth, _ = template()
    peer = (np.asarray(truth.dataobj) > 0).sum() * np.prod(truth.header.get_zooms()) / 1000
    assert as_volume(truth).ml == pytest.approx(peer, rel=1e-6)
