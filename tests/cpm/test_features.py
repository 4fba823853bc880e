"""Patches against NumPy's padding and sliding windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import patches_by_numpy

from cpmlib.cpm.features import (
    complete,
    feature_offsets,
    padded_volumes,
    patches_at,
)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))


def volumes_of(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((4, *shape), dtype=np.float32)


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES)
def test_patches_are_numpys_windows(shape: tuple[int, int, int]) -> None:
    volumes = volumes_of(shape)
    voxels = np.argwhere(np.ones(shape, dtype=bool))
    expected = patches_by_numpy(volumes).reshape(-1, 100)
    np.testing.assert_array_equal(patches_at(volumes, voxels), expected)


def test_patches_of_an_array_in_fortran_order() -> None:
    volumes = volumes_of((6, 7, 3))
    voxels = np.argwhere(np.ones((6, 7, 3), dtype=bool))
    turned = np.asfortranarray(volumes)
    np.testing.assert_array_equal(patches_at(turned, voxels), patches_at(volumes, voxels))


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES)
def test_offsets_find_the_same_patches_in_the_padded_volumes(shape: tuple[int, int, int]) -> None:
    volumes = volumes_of(shape)
    padded = padded_volumes(volumes)
    _, _, ny, nx = padded.shape
    x, y, z = np.indices(shape).reshape(3, -1)
    starts = (z * ny + y) * nx + x
    found = padded.reshape(-1)[starts[:, None] + feature_offsets(padded.shape)]
    np.testing.assert_array_equal(found, patches_by_numpy(volumes).reshape(-1, 100))


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES, share=st.floats(0, 0.1), seed=st.integers(0, 99))
def test_complete_means_no_nan_in_the_patches(
    shape: tuple[int, int, int], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    volumes = volumes_of(shape, seed)
    volumes[rng.random(volumes.shape) < share] = np.nan
    expected = np.isfinite(patches_by_numpy(volumes)).all(axis=-1)
    np.testing.assert_array_equal(complete(volumes), expected)


def test_order_is_contrast_then_first_axis_then_second() -> None:
    volumes = np.zeros((4, 9, 9, 1), dtype=np.float32)
    volumes[1, 4 + 1, 4 - 2, 0] = 7
    patch = patches_at(volumes, np.array([[4, 4, 0]]))[0]
    assert np.flatnonzero(patch).tolist() == [1 * 25 + (1 + 2) * 5 + (-2 + 2)]


@pytest.mark.parametrize(
    ("volumes", "voxels", "message"),
    [
        (np.zeros((4, 5, 5, 1)), np.zeros((1, 3), int), "float32"),
        (np.zeros((3, 5, 5, 1), np.float32), np.zeros((1, 3), int), "float32"),
        (np.zeros((4, 5, 5), np.float32), np.zeros((1, 3), int), "float32"),
        (np.zeros((4, 5, 5, 1), np.float32), np.zeros((1, 2), int), "whole numbers"),
        (np.zeros((4, 5, 5, 1), np.float32), np.zeros((1, 3)), "whole numbers"),
        (np.zeros((4, 5, 5, 1), np.float32), np.array([[0, 5, 0]]), "outside"),
        (np.zeros((4, 5, 5, 1), np.float32), np.array([[0, -1, 0]]), "outside"),
    ],
)
def test_says_what_is_wrong(volumes: np.ndarray, voxels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patches_at(volumes, voxels)


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, data=st.data())
def test_a_box_is_cut_out_with_its_neighbours(
    shape: tuple[int, int, int], data: st.DataObject
) -> None:
    volumes = volumes_of(shape)
    low = [data.draw(st.integers(0, n - 1)) for n in shape]
    high = [data.draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True)]
    x, y, z = box = tuple(map(slice, low, high))
    everywhere = np.pad(volumes, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    expected = everywhere[:, x.start : x.stop + 4, y.start : y.stop + 4, z].transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(padded_volumes(volumes, box), expected)
