"""Rigid registration against known movements of the MNI152 template, and the alignment's report."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its usual name)
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.metrics import normalized_mutual_information

from cpmlib.figures.registration import figure_registration
from cpmlib.mri import registration
from cpmlib.mri.multiresolution import BINS, euler_transform
from cpmlib.mri.registration import _nmi, align, register_rigid
from cpmlib.mri.volume import as_volume, make_image
from cpmlib.study.errors import DatasetError
from orientations import reoriented, same_image_in_orientations, turned
from phantoms import examination, template


def movement(degrees: tuple[float, ...], shift: tuple[float, ...]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def brain_points() -> np.ndarray:
    mask = template()[1]
    return nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0)[::7])


def error(found: np.ndarray, true: np.ndarray) -> float:
    """Largest distance between two maps over the brain, mm."""
    points = brain_points()
    apart = nib.affines.apply_affine(found, points) - nib.affines.apply_affine(true, points)
    return float(np.linalg.norm(apart, axis=1).max())


def contrast(inverse: bool) -> nib.Nifti1Image:
    """The template, or one with dark white matter and bright fluid, with noise of its own."""
    image, mask, _ = template()
    data = np.asarray(image.dataobj)
    if inverse:
        data = np.where(np.asarray(mask.dataobj) > 0, 1.1 - data, 0)
    noise = np.random.default_rng(4).normal(0, 0.02, data.shape)
    return make_image((data + noise).astype(np.float32), image.affine)


@pytest.mark.parametrize(("inverse", "codes"), [(False, "LAS"), (True, "LPS")])
def test_a_known_movement_is_found(inverse: bool, codes: str) -> None:
    image, mask, _ = template()
    true = movement((8, -6, 12), (10, -7, 5))
    other = reoriented(contrast(inverse), codes)
    moved = make_image(np.asarray(other.dataobj), np.linalg.inv(true) @ other.affine)
    found = register_rigid(moved, image, mask)
    assert error(found.matrix, true) < 0.5  # a quarter of a voxel
    assert found.nmi_after > found.nmi_before
    angle = np.degrees(Rotation.from_matrix(true[:3, :3]).magnitude())
    assert found.rotation_deg == pytest.approx(angle, abs=0.3)
    back = as_volume(moved).moved(found.matrix)
    assert error(back.affine @ np.linalg.inv(other.affine), np.eye(4)) < 0.5


def test_mutual_information_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=5000)
    b = a + rng.normal(size=5000)
    low, high = np.percentile(b, [0.1, 99.5])
    peer = normalized_mutual_information(a, np.clip(b, low, high), bins=BINS)
    assert _nmi(a, b) == pytest.approx(peer, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("degrees", "shift"),
    [((0, 0, 0), (0, 0, 0)), ((2, 1, -1), (1, -1, 2)), ((15, 10, -20), (25, -20, 20))],
)
@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PIR"])
def test_movements_small_and_large(degrees: tuple, shift: tuple, codes: str) -> None:
    image, mask, _ = template()
    true = movement(degrees, shift)
    other = contrast(inverse=True)
    moved = make_image(np.asarray(other.dataobj), np.linalg.inv(true) @ other.affine)
    assert error(register_rigid(reoriented(moved, codes), image, mask).matrix, true) < 0.5


def tight(image: nib.Nifti1Image, mm: int) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Return an image cut by the template's mask without its outer layer, and that mask."""
    mask = template()[1]
    cut = ndimage.binary_erosion(np.asarray(mask.dataobj) > 0, iterations=mm // 2)
    data = np.asarray(image.dataobj) * cut
    return make_image(data, image.affine), make_image(cut.astype(np.uint8), mask.affine)


@pytest.mark.parametrize(("kind", "both"), [("FLAIR", False), ("ADC", False), ("FLAIR", True)])
def test_a_tight_mask_does_not_mislead(kind: str, both: bool) -> None:
    """The metric inside such a mask has its optimum where the head is out of sight: 95 mm off."""
    contrasts, _ = examination()
    true = movement((1.2, -1.0, 1.3), (2, -1.5, 1.6))
    fixed, mask = tight(contrasts["T1wGd"], 6)
    moving = tight(contrasts[kind], 6)[0] if both else contrasts[kind]
    moved = make_image(np.asarray(moving.dataobj), np.linalg.inv(true) @ moving.affine)
    found = register_rigid(moved, fixed if both else contrasts["T1wGd"], mask)
    assert error(found.matrix, true) < 0.5  # a quarter of a voxel
    assert found.nmi_after > found.nmi_before


def test_no_value_around_the_brain_is_background() -> None:
    contrasts, mask = examination()
    fixed, moving = (
        make_image(np.where(np.asarray(mask.dataobj) > 0, i.dataobj, np.nan), i.affine)
        for i in (contrasts["T1wGd"], contrasts["FLAIR"])
    )
    true = movement((3, 2, -4), (5, -4, 6))
    moved = make_image(np.asarray(moving.dataobj), np.linalg.inv(true) @ moving.affine)
    assert error(register_rigid(moved, fixed, mask).matrix, true) < 0.5


def test_it_never_ends_worse_than_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the search finds: here it always goes astray, by 40 mm."""
    contrasts, mask = examination()
    astray = euler_transform([0, 0, 0], shift=[40, 0, 0])
    monkeypatch.setattr(registration, "best_start", lambda *_: euler_copy(astray))
    off = movement((0, 0, 2), (3, 0, 0))
    flair = contrasts["FLAIR"]
    moved = make_image(np.asarray(flair.dataobj), np.linalg.inv(off) @ flair.affine)
    found = register_rigid(moved, contrasts["T1wGd"], mask)  # from the headers instead
    assert error(found.matrix, off) < 0.5
    monkeypatch.setattr(registration, "optimise", lambda transform, *_: go_astray(transform))
    aligned, report = align({"FLAIR": flair}, contrasts["T1wGd"], True, mask)
    assert report.registered == ()
    assert report.moves == [
        "FLAIR: no registration was better than the headers, which were kept;"
        " check that it lies on the reference"
    ]
    np.testing.assert_array_equal(aligned["FLAIR"].data, flair.dataobj)


def euler_copy(transform: sitk.Euler3DTransform) -> sitk.Euler3DTransform:
    return sitk.Euler3DTransform(transform)


def go_astray(transform: sitk.Euler3DTransform) -> None:
    transform.SetTranslation([40.0, 0, 0])


def test_a_registration_that_moved_far_is_noted() -> None:
    contrasts, mask = examination()
    true = movement((0, 0, 5), (20, 0, 8))
    flair = contrasts["FLAIR"]
    moved = make_image(np.asarray(flair.dataobj), np.linalg.inv(true) @ flair.affine)
    _, report = align({"FLAIR": moved}, contrasts["T1wGd"], "auto", mask)
    assert report.registered == ("FLAIR",)
    assert "more than 10 mm: compare it with the outline" in report.moves[0]


def test_an_oblique_copy_is_turned_back() -> None:
    image, mask, _ = template()
    copy = same_image_in_orientations(image)["oblique"]
    found = register_rigid(copy, image, mask)
    assert error(found.matrix @ turned(image), np.eye(4)) < 0.5  # a quarter of a voxel


@pytest.mark.slow
def test_an_oblique_copy_is_turned_back_the_same_way_each_time() -> None:
    """On one, two or four threads, to the last bit."""
    image, mask, _ = template()
    copy = same_image_in_orientations(image)["oblique"]
    usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    found = []
    try:
        for threads in (1, 2, 4):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            found.append(register_rigid(copy, image, mask).matrix)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)
    assert error(found[0] @ turned(image), np.eye(4)) < 0.5
    assert (found[1] == found[0]).all()
    assert (found[2] == found[0]).all()


def test_the_headers_are_trusted_where_they_are_right() -> None:
    image, mask, _ = template()
    images = {"T1wGd": image, "FLAIR": reoriented(contrast(inverse=True), "LPS")}
    aligned, report = align(images, image, "auto", mask)
    assert report.registered == ()
    assert set(report.transforms) == {"FLAIR"}
    assert report.transforms["FLAIR"].displacement_mm < 0.5
    assert report.coverage == {"T1wGd": 1.0, "FLAIR": 1.0}
    assert report.moves == []
    assert (aligned["T1wGd"].data == np.asarray(image.dataobj)).all()
    np.testing.assert_array_equal(aligned["FLAIR"].data, np.asarray(contrast(inverse=True).dataobj))


def test_and_mended_where_they_are_wrong() -> None:
    image, mask, _ = template()
    other = contrast(inverse=True)
    moved = make_image(np.asarray(other.dataobj), movement((0, 3, 4), (4, -5, 6)) @ other.affine)
    aligned, report = align({"FLAIR": moved}, image, "auto", mask)
    assert report.registered == ("FLAIR",)
    assert "FLAIR was registered: " in report.moves[0]
    inside = np.asarray(mask.dataobj) > 0
    before = np.asarray(other.dataobj)[inside]
    after = aligned["FLAIR"].data[inside]
    # Interpolation of a 2-mm image smooths it; a shift of half a voxel would cost more.
    assert np.corrcoef(before, np.nan_to_num(after))[0, 1] > 0.95
    found = report.transforms["FLAIR"]
    assert found.nmi_after > found.nmi_before
    figure = figure_registration(
        image, {kind: volume.to_image() for kind, volume in aligned.items()}, mask, report
    )
    assert len(figure.axes) == 4
    assert "registered" in figure.axes[0].get_title()
    figure.canvas.draw()


def test_no_registration_when_none_is_asked_for() -> None:
    image, mask, _ = template()
    off = make_image(np.asarray(image.dataobj), movement((0, 0, 0), (60, 0, 0)) @ image.affine)
    _, report = align({"FLAIR": off}, image, False, mask)
    assert report.transforms == {}
    inside = np.argwhere(np.asarray(mask.dataobj) > 0)
    seen = (inside[:, 0] >= 30).mean()  # 60 mm are 30 voxels
    assert report.coverage["FLAIR"] == pytest.approx(seen, abs=1e-9)


def test_what_cannot_be_registered_is_refused() -> None:
    image, mask, _ = template()
    with pytest.raises(DatasetError, match="no contrast"):
        register_rigid(make_image(np.ones((9, 9, 9), np.float32), np.eye(4)), image)
    with pytest.raises(DatasetError, match="three dimensions"):
        register_rigid(nib.Nifti1Image(np.ones((9, 9, 9, 2), np.float32), np.eye(4)), image)
    far = mask.affine.copy()
    far[:3, 3] += 1000
    with pytest.raises(DatasetError, match="the mask"):
        register_rigid(image, image, make_image(np.asarray(mask.dataobj), far))
    with pytest.raises(ValueError, match="register is"):
        align({}, image, "maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no contrast to draw"):
        figure_registration(image, {})
