"""Scanner: grids that are where they say, noise with the moments of theory."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from cpmsurrogate.images.profiles import FULL, LIGHT, Profile
from cpmsurrogate.images.scanner import (
    HEAD,
    NOISE,
    ORIENTATIONS,
    TILT_SD,
    Grid,
    acquire,
    draw_coils,
    expose,
    native_grid,
    noisy,
    sub_slices,
)


@pytest.mark.parametrize("profile", [LIGHT, FULL])
@pytest.mark.parametrize("contrast", ORIENTATIONS)
def test_native_grids(contrast: str, profile: Profile) -> None:
    """Voxel, orientation and tilt are as asked, and the middle is that of the head."""
    tilts = []
    for seed in range(20):
        grid = native_grid(contrast, profile, np.random.default_rng(seed))
        assert "".join(nib.aff2axcodes(grid.affine)) == ORIENTATIONS[contrast]
        assert sorted(grid.voxel) == pytest.approx(sorted(profile.voxel(contrast)))
        assert grid.voxel[grid.slice_axis] == pytest.approx(profile.voxel(contrast)[2])
        middle = grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1]
        np.testing.assert_allclose(middle[:3], HEAD.mean(1), atol=1e-9)
        volume = np.prod(np.array(grid.shape) * grid.voxel)
        assert volume >= np.prod(HEAD[:, 1] - HEAD[:, 0]) * (1 - 1e-9)
        tilts.append(np.abs(np.sort(np.abs(grid.affine[:3, :3] / grid.voxel), axis=0)[-1]).min())
    assert min(tilts) >= np.cos(np.radians(2 * TILT_SD[contrast])) ** 2 - 1e-9
    assert max(tilts) < 1


def test_points_are_those_of_nibabel() -> None:
    affine = native_grid("FLAIR", LIGHT, np.random.default_rng(0)).affine
    grid = Grid(affine, (12, 13, 14), 2)
    index = np.indices(grid.shape).reshape(3, -1).T
    theirs = nib.affines.apply_affine(affine, index).reshape(*grid.shape, 3)
    whole = grid.points(0, 14).reshape(*grid.shape, 3)
    np.testing.assert_allclose(whole, theirs, atol=1e-4)  # float32 at 100 mm
    np.testing.assert_array_equal(grid.points(5, 9).reshape(12, 13, 4, 3), whole[:, :, 5:9])
    shifted = grid.points(5, 6, 0.25).reshape(12, 13, 3)
    between = 0.75 * whole[:, :, 5] + 0.25 * whole[:, :, 6]
    np.testing.assert_allclose(shifted, between, atol=1e-4)


@pytest.mark.parametrize("contrast", ["T1w", "FLAIR", "ADC"])
def test_a_ramp_keeps_its_place(contrast: str) -> None:
    """Slices averaged over sub-slices have the ramp's value at their middle."""
    grid = native_grid(contrast, LIGHT, np.random.default_rng(1))
    slope = np.array([0.3, -0.2, 0.5], dtype=np.float32)
    image = expose(lambda points: points @ slope + 500, grid)
    expected = grid.points(0, grid.shape[2]) @ slope + 500
    np.testing.assert_allclose(image.ravel(), expected, atol=1e-3)  # float32 near 500


def test_a_thick_slice_is_the_mean_of_its_sub_slices() -> None:
    affine = np.diag([1.0, 1, 4, 1])
    grid = Grid(affine, (2, 2, 3), 2)
    image = expose(lambda points: points[:, 2] ** 2, grid)
    offsets = 4 * sub_slices(4.0)
    expected = [np.mean((4 * k + offsets) ** 2) for k in range(3)]
    np.testing.assert_allclose(image[0, 0], expected, rtol=1e-6)
    assert len(offsets) > 1
    assert offsets.mean() == 0


@pytest.mark.parametrize("signal", [0.0, 20.0, 200.0])
def test_noise_is_rician(signal: float) -> None:
    sd = NOISE["T1w"]
    found = noisy("T1w", np.full(200_000, signal), np.random.default_rng(0))
    theory = stats.rice(signal / sd, scale=sd)
    # Four standard errors, and the variance 1/12 that rounding to whole numbers adds.
    error = 4 * theory.std() / np.sqrt(len(found))
    assert abs(found.mean() - theory.mean()) < error
    assert abs(found.std() - np.hypot(theory.std(), np.sqrt(1 / 12))) < error


def test_noise_of_a_map_is_gaussian_and_spares_the_air() -> None:
    found = noisy("ADC", np.repeat([0.0, 800.0], 100_000), np.random.default_rng(0))
    assert (found[:100_000] == 0).all()
    error = 4 * NOISE["ADC"] / np.sqrt(100_000)  # four standard errors
    assert abs(found[100_000:].mean() - 800) < error
    assert abs(found[100_000:].std() - NOISE["ADC"]) < error


def test_values_fit_into_int16() -> None:
    found = noisy("T1w", np.array([0.0, 1e6, 300.4]), np.random.default_rng(0))
    assert (found == found.astype(np.int16)).all()


def test_bias_and_gain_are_a_few_per_cent() -> None:
    grid = native_grid("FLAIR", LIGHT, np.random.default_rng(0))
    factors = [draw_coils("FLAIR", np.random.default_rng(seed)).factor(grid) for seed in range(6)]
    assert all(isinstance(factor, np.ndarray) for factor in factors)
    spread = [float(np.std(f) / np.mean(f)) for f in factors]
    assert 0.01 < np.mean(spread) < 0.05
    assert 0.78 < min(map(np.min, factors)) < max(map(np.max, factors)) < 1.28
    # Smooth: neighbouring voxels of 2 mm differ by little.
    assert max(float(np.abs(np.diff(f, axis=0)).max()) for f in factors) < 0.01


def test_a_map_has_neither_bias_nor_gain() -> None:
    grid = Grid(np.eye(4), (2, 2, 2), 2)
    assert draw_coils("ADC", np.random.default_rng(0)).factor(grid) == 1


def test_an_image_says_where_it_is() -> None:
    grid = native_grid("ADC", LIGHT, np.random.default_rng(2))
    rng = np.random.default_rng(0)
    image = acquire(
        "ADC", lambda p: np.full(len(p), 800, np.float32), grid, draw_coils("ADC", rng), rng
    )
    assert image.shape == grid.shape
    assert image.get_data_dtype() == np.float32
    for form in (image.get_sform(), image.get_qform()):
        np.testing.assert_allclose(form, grid.affine, atol=1e-4)  # a quaternion in float32
    assert image.header["sform_code"] == image.header["qform_code"] == 1
