"""Values of an array at the voxels of another grid."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

Interpolation = Literal["linear", "nearest"]

SAME_PLACE = 1e-3
"""Grids whose voxels fall together to within this many voxels need no interpolation."""

COARSE = 1.5
"""Source voxels from one target voxel to the next, from which on an image is smoothed before."""

FWHM = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian with a standard deviation of 1."""

MIN_WEIGHT = 0.5
"""A voxel interpolated from a smaller share of voxels with a value has no value."""


def resample(
    data: np.ndarray,
    to_source: np.ndarray,
    shape: tuple[int, ...],
    interpolation: Interpolation = "linear",
) -> np.ndarray:
    """Read an array at the voxels of another grid.

    Where both grids fall together the values are copied: turning, flipping, cropping and padding
    lose nothing. Otherwise each target voxel takes the trilinear interpolation of its eight
    neighbours, or the nearest voxel. From a step of 1.5 on, linear interpolation would skip voxels
    and keep their noise; the array is then first smoothed along that axis with a Gaussian of full
    width at half maximum ``sqrt(step ** 2 - 1)`` source voxels, which gives nearly what a scanner
    would have measured in voxels of that size. Nearest never smooths: labels do not mix.

    Parameters
    ----------
    data : (X, Y, Z) float32
        NaN means that a voxel has no value.
    to_source : (4, 4)
        From target voxel to source voxel.

    Returns
    -------
    float32 array of `shape`
        NaN outside the source's field of view, and where voxels without a value have more than
        half of the weight; where they have less, the others are re-weighted.

    Examples
    --------
    >>> ramp = np.arange(4, dtype=np.float32)[:, None, None]
    >>> resample(ramp, np.diag([0.5, 1, 1, 1]), (9, 1, 1)).ravel()
    array([0. , 0.5, 1. , 1.5, 2. , 2.5, 3. , 3. , nan], dtype=float32)
    """
    whole = _whole_voxels(to_source, shape)
    if whole is not None:
        return _copy(data, whole, shape)
    if interpolation == "nearest":
        result = _read(data, to_source, shape, order=0)
    else:
        result = _read_linear(data, to_source, shape)
    result[~in_field_of_view(to_source, shape, data.shape)] = np.nan
    return result


def in_field_of_view(
    to_source: np.ndarray, shape: tuple[int, ...], source_shape: tuple[int, ...]
) -> np.ndarray:
    """Say which voxels of a grid, mapped by `to_source`, have their centre in another's box.

    Examples
    --------
    >>> in_field_of_view(np.diag([2.0, 1, 1, 1]), (3, 1, 1), (3, 1, 1)).ravel()
    array([ True,  True, False])
    """
    result = np.ones(shape, dtype=bool)
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    for row, n in zip(to_source[:3], source_shape, strict=True):
        # Summed over the small axes first, so that only one full array is made.
        place = (row[1] * j + row[2] * k + row[3]) + row[0] * i
        result &= (place > -0.5 - SAME_PLACE) & (place < n - 0.5 + SAME_PLACE)
    return result


def _read(
    data: np.ndarray, to_source: np.ndarray, shape: tuple[int, ...], order: Literal[0, 1]
) -> np.ndarray:
    # "nearest" holds the outermost value to the edge of the outermost voxel.
    return ndimage.affine_transform(
        data,
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=order,
        mode="nearest",
        prefilter=False,
    )


def _read_linear(data: np.ndarray, to_source: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    step = np.linalg.norm(to_source[:3, :3], axis=1)
    sigma = np.where(step >= COARSE, np.sqrt(np.maximum(step**2 - 1, 0)) / FWHM, 0)
    missing = np.isnan(data)
    if not missing.any():
        return _read(_smooth(data, sigma), to_source, shape, order=1)
    weight = _read(_smooth((~missing).astype(np.float32), sigma), to_source, shape, order=1)
    result = _read(_smooth(np.where(missing, 0, data), sigma), to_source, shape, order=1)
    # A small allowance: exactly one half must not depend on rounding.
    enough = weight >= MIN_WEIGHT - 1e-4
    np.divide(result, weight, out=result, where=enough & (weight < 1 - 1e-6))
    result[~enough] = np.nan
    return result


def _smooth(data: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    if not sigma.any():
        return data
    return ndimage.gaussian_filter(data, sigma, mode="nearest", output=np.float32, truncate=3.0)


def _whole_voxels(to_source: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    rounded = np.rint(to_source)
    steps = np.abs(rounded[:3, :3])
    if (steps.sum(axis=0) != 1).any() or (steps.sum(axis=1) != 1).any():
        return None
    # The difference is linear in the index: its largest values are bounded by the far corner.
    error = np.abs(to_source - rounded)[:3]
    worst = error[:, :3] @ (np.array(shape) - 1) + error[:, 3]
    return rounded if worst.max() <= SAME_PLACE else None


def _copy(data: np.ndarray, whole: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Copy values along a map that only turns, flips and shifts whole voxels."""
    result = np.full(shape, np.nan, dtype=np.float32)
    axes = np.abs(whole[:3, :3]).argmax(axis=0)
    take, put = [], []
    for target_axis, source_axis in enumerate(axes):
        index = np.arange(shape[target_axis])
        source = (whole[source_axis, target_axis] * index + whole[source_axis, 3]).astype(int)
        there = (source >= 0) & (source < data.shape[source_axis])
        take.append(source[there])
        put.append(index[there])
    result[np.ix_(*put)] = np.transpose(data, axes)[np.ix_(*take)]
    return result
