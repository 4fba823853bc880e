"""What a cellularity prediction model sees of a voxel: its 5 x 5 patch in each of four contrasts.

Arrays named ``volumes`` hold the four contrasts on one grid, (4, X, Y, Z) float32.

Vocabulary
----------
- *patch*: a voxel and its neighbours in the plane of the first two axes of the reference grid, two
  to each side; the planes are axial, the axes run to right, anterior and superior.
- *feature*: one of the 100 numbers of the four patches. Feature ``contrast * 25 + (di + 2) * 5 +
  (dj + 2)`` lies di voxels along the first axis and dj along the second; contrasts are numbered
  as in `cpmlib.mri.images.CONTRASTS`.
- *complete voxel*: one whose four patches hold a value everywhere.

Beyond the border of the grid the outermost voxel is repeated.

References
----------
Bobholz SA et al. (2022) AJNR Am J Neuroradiol 43:682 (patches of four contrasts).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import ndimage

from cpmlib.mri.images import CONTRASTS

PATCH = 5
"""Edge of a patch, voxels (Bobholz et al. 2022)."""

REACH = PATCH // 2
N_FEATURES = len(CONTRASTS) * PATCH * PATCH


def patches_at(volumes: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Read the features, (n, 100) float32, of some voxels, (n, 3) int, in volumes; NaN is no value.

    Examples
    --------
    >>> volumes = np.arange(4 * 36, dtype=np.float32).reshape(4, 6, 6, 1)
    >>> patches_at(volumes, np.array([[2, 3, 0]]))[0, [0, 12, 24, 37]]
    array([ 1., 15., 29., 51.], dtype=float32)
    """
    voxels = np.asarray(voxels)
    if volumes.ndim != 4 or len(volumes) != len(CONTRASTS) or volumes.dtype != np.float32:
        found = f"{volumes.dtype} of shape {volumes.shape}"
        raise ValueError(f"volumes are {found}; expected float32 (4, X, Y, Z)")
    if voxels.ndim != 2 or voxels.shape[1] != 3 or voxels.dtype.kind not in "iu":
        found = f"{voxels.dtype} of shape {voxels.shape}"
        raise ValueError(f"voxels are {found}; expected whole numbers (n, 3)")
    voxels = np.ascontiguousarray(voxels, dtype=np.int64)
    if (voxels < 0).any() or (voxels >= volumes.shape[1:]).any():
        raise ValueError(f"a voxel lies outside the grid of shape {volumes.shape[1:]}")
    patches = np.empty((len(voxels), N_FEATURES), dtype=np.float32)
    _read_patches(volumes, voxels, patches)
    return patches


@njit(nogil=True, cache=True)
def _read_patches(volumes: np.ndarray, voxels: np.ndarray, patches: np.ndarray) -> None:
    contrasts, nx, ny, _ = volumes.shape
    for n in range(len(voxels)):
        x, y, z = voxels[n]
        feature = 0
        for c in range(contrasts):
            for di in range(-REACH, REACH + 1):
                i = min(max(x + di, 0), nx - 1)
                for dj in range(-REACH, REACH + 1):
                    j = min(max(y + dj, 0), ny - 1)
                    patches[n, feature] = volumes[c, i, j, z]
                    feature += 1


def padded_volumes(
    volumes: np.ndarray, box: tuple[slice, slice, slice] | None = None
) -> np.ndarray:
    """Lay a box of the volumes out so that the patches of neighbouring voxels share cache lines.

    The box has slices with start and stop along X, Y and Z; everything if None. Returns a box of
    (x, y, z) voxels and two more to each side in the plane, (4, z, y + 4, x + 4), C-contiguous: the
    order in which NIfTI files are stored.

    Examples
    --------
    >>> padded_volumes(np.zeros((4, 3, 2, 7), np.float32)).shape
    (4, 7, 6, 7)
    """
    x, y, z = box or tuple(slice(0, n) for n in volumes.shape[1:])
    rows, above = _within(x, volumes.shape[1])
    columns, aside = _within(y, volumes.shape[2])
    shape = z.stop - z.start, y.stop - y.start + 2 * REACH, x.stop - x.start + 2 * REACH
    padded = np.empty((len(volumes), *shape), dtype=np.float32)
    for source, target in zip(volumes, padded, strict=True):
        target[:, aside, above] = source[rows, columns, z].T
        target[:, : aside.start, above] = target[:, aside.start, None, above]
        target[:, aside.stop :, above] = target[:, aside.stop - 1, None, above]
        target[:, :, : above.start] = target[:, :, above.start, None]
        target[:, :, above.stop :] = target[:, :, above.stop - 1, None]
    return padded


def _within(wanted: slice, size: int) -> tuple[slice, slice]:
    """Return the part of a widened slice that exists, and its place in there."""
    low, high = wanted.start - REACH, wanted.stop + REACH
    there = slice(max(low, 0), min(high, size))
    return there, slice(there.start - low, there.stop - low)


def feature_offsets(padded_shape: tuple[int, ...]) -> np.ndarray:
    """Return the elements from a patch's first voxel to each feature in `padded_volumes`, (100,).

    Examples
    --------
    >>> feature_offsets((4, 7, 6, 7))[[0, 1, 5, 25]]
    array([  0,   7,   1, 294])
    """
    contrasts, nz, ny, nx = padded_shape
    c, i, j = np.indices((contrasts, PATCH, PATCH)).reshape(3, -1)
    return c * (nz * ny * nx) + j * nx + i


def any_in_patch(condition: np.ndarray) -> np.ndarray:
    """Say for each voxel whether a condition, (X, Y, Z) bool, holds anywhere in its patch."""
    found = condition.astype(np.uint8)
    for axis in (0, 1):
        found = ndimage.maximum_filter1d(found, PATCH, axis=axis, mode="nearest")
    return found.astype(bool)


def complete(volumes: np.ndarray) -> np.ndarray:
    """Say which voxels, (X, Y, Z) bool, have a value in all of their four patches.

    Examples
    --------
    >>> volumes = np.zeros((4, 7, 1, 1), np.float32)
    >>> volumes[2, 0] = np.nan
    >>> complete(volumes)[:, 0, 0].astype(int)
    array([0, 0, 0, 1, 1, 1, 1])
    """
    absent = ~np.isfinite(volumes[0])
    for volume in volumes[1:]:
        absent |= ~np.isfinite(volume)
    return ~any_in_patch(absent) if absent.any() else ~absent
