"""Grids and resampling against nilearn, and on copies of one image in several orientations."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.image import resample_img
from scipy.spatial.transform import Rotation

from cpmlib.mri.volume import make_image, reference_grid, resample_to
from cpmlib.study.errors import DatasetError
from orientations import same_image_in_orientations, turned

RAMP = np.array([3.0, -2.0, 5.0])


def ramp(affine: np.ndarray, shape: tuple[int, ...]) -> nib.Nifti1Image:
    """An image whose value is linear in the world, which interpolation must reproduce."""
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return make_image((world @ RAMP).astype(np.float32), affine)


def noise(shape: tuple[int, int, int] = (17, 14, 11), seed: int = 0) -> nib.Nifti1Image:
    data = np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)
    affine = np.diag([2.0, 2.5, 3, 1])
    affine[:3, 3] = [-20, 5, -7]
    return make_image(data, affine)


def oblique(size: float, origin: tuple[float, float, float], degrees: float) -> np.ndarray:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [degrees, -degrees / 2, degrees / 3], degrees=True)
    affine[:3, :3] = turn.as_matrix() * size
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize("degrees", [0, 7, 25])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_equals_nilearn_inside_the_source(degrees: float, interpolation: str) -> None:
    image, shape = noise(), (19, 18, 15)
    affine = oblique(1.7, (-17, 8, -4), degrees)
    own = resample_to(image, affine, shape, interpolation).get_fdata()
    peer = resample_img(
        image,
        target_affine=affine,
        target_shape=shape,
        interpolation=interpolation,
        fill_value=np.nan,
        force_resample=True,
        copy_header=True,
    ).get_fdata()
    # nilearn has no value from the centre of the outermost voxel on, this library from its edge.
    assert np.isfinite(peer).sum() > 500
    assert np.isfinite(own[np.isfinite(peer)]).all()
    both = np.isfinite(peer)
    # float32 against float64 of values near 100.
    np.testing.assert_allclose(own[both], peer[both], atol=1e-4)


@pytest.mark.parametrize("copy", ["RAS", "LAS", "LPS", "PIR"])
def test_orientation_does_not_matter(copy: str) -> None:
    image = noise()
    affine, shape = oblique(2.2, (-18, 7, -5), 11), (14, 13, 12)
    before = resample_to(image, affine, shape).get_fdata()
    after = resample_to(same_image_in_orientations(image)[copy], affine, shape).get_fdata()
    np.testing.assert_allclose(after, before, atol=1e-4)  # float32 of values near 100


@pytest.mark.parametrize("copy", ["RAS", "LAS", "LPS", "PIR", "oblique"])
@pytest.mark.parametrize("size", [None, 2.0, 1.3])
def test_reference_grid_runs_to_right_anterior_superior(copy: str, size: float | None) -> None:
    image = same_image_in_orientations(noise())[copy]
    affine, shape = reference_grid(image, size)
    assert nib.aff2axcodes(affine) == ("R", "A", "S")
    if size is None:
        peer = nib.as_closest_canonical(image)
        np.testing.assert_allclose(affine, peer.affine, atol=1e-12)
        assert shape == peer.shape
        back = resample_to(image, affine, shape)
        assert (back.get_fdata() == peer.get_fdata()).all()  # bit for bit
    else:
        np.testing.assert_allclose(nib.affines.voxel_sizes(affine), size)
        centre = nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2)
        same = nib.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2)
        np.testing.assert_allclose(centre, same, atol=1e-9)


def test_reference_grid_is_one_for_all_copies() -> None:
    image = noise()
    for size in (None, 2.0):
        affine, shape = reference_grid(image, size)
        for copy, other in same_image_in_orientations(image).items():
            moved = turned(image) @ affine if copy == "oblique" else affine
            found, found_shape = reference_grid(other, size)
            np.testing.assert_allclose(found, moved, atol=1e-9)
            assert found_shape == shape


def test_voxel_sizes_within_one_percent_keep_the_grid() -> None:
    image = make_image(np.zeros((20, 20, 20), np.float32), np.diag([1.009, 0.995, 1, 1]))
    affine, shape = reference_grid(image, 1.0)
    assert (affine == image.affine).all()
    assert shape == (20, 20, 20)
    affine, _ = reference_grid(make_image(np.zeros((20, 20, 20)), np.diag([1.02, 1, 1, 1])), 1.0)
    np.testing.assert_allclose(nib.affines.voxel_sizes(affine), 1.0)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(3, 30)] * 3),
    edges=st.tuples(*[st.floats(0.4, 6)] * 3),
    degrees=st.floats(-40, 40),
    size=st.floats(0.8, 4),
)
def test_reference_grid_covers_the_field_of_view(
    shape: tuple[int, int, int], edges: tuple[float, float, float], degrees: float, size: float
) -> None:
    affine = oblique(1.0, (5, -3, 2), degrees) @ np.diag([*edges, 1])
    image = make_image(np.zeros(shape, np.float32), affine)
    found, found_shape = reference_grid(image, size)
    extent = np.sort(np.array(found_shape) * nib.affines.voxel_sizes(found))
    box = np.sort(np.array(shape) * edges)
    # Never more than a voxel more; less by at most the allowance of 0.05 voxels.
    assert (extent >= box - 0.051 * nib.affines.voxel_sizes(found).max()).all()
    own = (np.abs(np.array(edges) / size - 1) <= 0.01).all()
    assert own or (extent <= box + size + 1e-9).all()


@settings(max_examples=40, deadline=None)
@given(degrees=st.floats(-30, 30), size=st.floats(0.5, 2.6), shift=st.floats(-6, 6))
def test_a_ramp_stays_a_ramp(degrees: float, size: float, shift: float) -> None:
    image = ramp(np.diag([2.0, -2, 2, 1]), (16, 15, 14))
    affine = oblique(size, (8 + shift, -20 - shift, 6), degrees)
    found = resample_to(image, affine, (8, 7, 6)).get_fdata()
    wanted = ramp(affine, (8, 7, 6)).get_fdata()
    places = np.linalg.inv(image.affine) @ affine
    index = nib.affines.apply_affine(places, np.moveaxis(np.indices((8, 7, 6)), 0, -1))
    within = ((index >= 0) & (index <= np.array(image.shape) - 1)).all(axis=-1)
    np.testing.assert_allclose(found[within], wanted[within], atol=1e-3)  # float32 near 200
    outside = ((index < -0.51) | (index > np.array(image.shape) - 0.49)).any(axis=-1)
    assert np.isnan(found[outside]).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cropping_and_padding_copy_values(axis: int) -> None:
    image = noise()
    affine = image.affine.copy()
    affine[:3, 3] += 3 * affine[:3, axis]
    found = resample_to(image, affine, image.shape).get_fdata()
    data = np.moveaxis(image.get_fdata(), axis, 0)
    found = np.moveaxis(found, axis, 0)
    assert (found[:-3] == data[3:]).all()
    assert np.isnan(found[-3:]).all()


def test_missing_values_do_not_spread() -> None:
    image = noise()
    data = image.get_fdata().astype(np.float32)
    data[8, 7, 5] = np.nan
    holed = make_image(data, image.affine)
    assert np.isnan(resample_to(holed, image.affine, image.shape).get_fdata()).sum() == 1
    fine = image.affine @ np.diag([0.5, 1, 1, 1])
    found = resample_to(holed, fine, (33, 14, 11)).get_fdata()[:, 7, 5]
    # Half-way between a value and the hole lies half of the weight: the value holds.
    assert np.flatnonzero(np.isnan(found)).tolist() == [16]
    assert found[15] == data[7, 7, 5]
    assert found[17] == data[9, 7, 5]


def test_coarse_grids_average() -> None:
    """White noise keeps no more of its scatter than averaging over the voxel would leave."""
    data = np.random.default_rng(1).normal(0, 1, (48, 48, 48)).astype(np.float32)
    coarse = np.diag([4.0, 4, 4, 1])
    coarse[:3, 3] = 5.5
    found = resample_to(make_image(data, np.eye(4)), coarse, (10, 10, 10)).get_fdata()
    block = 1 / np.sqrt(4**3)
    assert found.std() < 1.2 * block
    kept = resample_to(make_image(data, np.eye(4)), coarse, (10, 10, 10), "nearest").get_fdata()
    assert kept.std() > 0.9  # labels are never mixed
    constant = make_image(np.full((20, 20, 20), 7, np.float32), np.eye(4))
    inside = resample_to(constant, coarse, (4, 4, 4)).get_fdata()
    np.testing.assert_allclose(inside[np.isfinite(inside)], 7, rtol=1e-6)


def test_a_single_slice_has_its_thickness() -> None:
    image = make_image(np.ones((8, 8, 1), np.float32), np.diag([1.0, 1, 6, 1]))
    affine = np.eye(4)
    affine[2, 3] = -5
    found = resample_to(image, affine, (8, 8, 11))
    filled = np.isfinite(found.get_fdata()).all(axis=(0, 1))
    assert np.flatnonzero(filled).tolist() == [2, 3, 4, 5, 6, 7, 8]  # -3 to 3 mm


def test_bad_input_is_refused() -> None:
    good, affine = noise(), np.eye(4)
    series = nib.Nifti1Image(np.zeros((3, 3, 3, 2), np.float32), affine)
    collapsed = np.array([[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    flat = nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), collapsed)
    infinite = good.get_fdata().astype(np.float32)
    infinite[1, 2, 3] = np.inf
    with pytest.raises(DatasetError, match=r"ADC.*three dimensions"):
        resample_to(series, affine, (3, 3, 3), name="ADC")
    with pytest.raises(DatasetError, match="cannot be inverted"):
        resample_to(flat, affine, (3, 3, 3))
    with pytest.raises(DatasetError, match=r"infinite value at voxel \(1, 2, 3\)"):
        resample_to(make_image(infinite, affine), affine, (3, 3, 3))
    with pytest.raises(DatasetError, match="three dimensions"):
        reference_grid(series)
    with pytest.raises(ValueError, match="interpolation"):
        resample_to(good, affine, (3, 3, 3), "cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="target grid"):
        resample_to(good, np.zeros((4, 4)), (3, 3, 3))
    with pytest.raises(ValueError, match="voxel_size"):
        reference_grid(good, 0)
