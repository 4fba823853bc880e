"""The grid on which all contrasts of a patient meet, and how an image gets there.

Vocabulary
----------
- *reference grid*: that of T1 after gadolinium, its axes ordered and flipped to run as nearly as
  they can to right, anterior, superior; it stays oblique if it was.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np

from cpmlib.mri.resampling import Interpolation
from cpmlib.mri.volume import Grid, Volume, as_volume, check_geometry, invertible

SAME_VOXEL_SIZE = 0.01
"""Voxel sizes that differ by no more than this share are taken as equal."""

WORKING_VOXEL = 2.0
"""Masks of tissue are found at this voxel size, mm: fine enough for their edge, and quick."""


def reference_grid(t1gd: nib.Nifti1Image | Volume, voxel_size: float | None = None) -> Grid:
    """Return the grid on which a patient's contrasts are compared.

    Parameters
    ----------
    t1gd
        T1 after gadolinium, 3-D.
    voxel_size
        Edge of the isotropic voxels that the model was trained with, mm; None keeps the image's.

    Returns
    -------
    Grid
        The image's own with the axes ordered and flipped, if all voxel edges are within 1 % of
        `voxel_size`: it needs no interpolation. Else one of that size with the same centre and
        directions, which covers the image's field of view.

    Raises
    ------
    DatasetError
        If the image is not 3-D or its affine cannot be inverted.
    ValueError
        If `voxel_size` is not above 0.

    Examples
    --------
    >>> image = Volume(np.zeros((30, 40, 10)), np.diag([-1.0, 1, 3, 1]))
    >>> affine, shape = reference_grid(image, 2.0)
    >>> shape
    (15, 20, 15)
    >>> affine[:3, 3]
    array([-28.5,   0.5,  -0.5])
    """
    if voxel_size is not None and not 0 < voxel_size < np.inf:
        raise ValueError(f"voxel_size is {voxel_size}; expected a size above 0 mm, or None")
    check_geometry(t1gd.shape, t1gd.affine, "T1wGd")
    # An array that takes no memory: only the geometry counts.
    empty = np.broadcast_to(np.float32(0), t1gd.shape)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(empty, t1gd.affine))
    own = Grid(canonical.affine, canonical.shape)
    size = own.voxel_sizes
    if voxel_size is None or (np.abs(size / voxel_size - 1) <= SAME_VOXEL_SIZE).all():
        return own
    affine, shape = own.affine, np.array(own.shape)
    # The small allowance keeps 10 voxels of 3.0000001 mm from becoming 16 of 2 mm.
    x, y, z = np.maximum(np.ceil(shape * size / voxel_size - 0.05), 1).astype(int)
    new_affine = np.eye(4)
    new_affine[:3, :3] = affine[:3, :3] / size * voxel_size
    centre = affine[:3, :3] @ ((shape - 1) / 2) + affine[:3, 3]
    new_affine[:3, 3] = centre - new_affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    return Grid(new_affine, (int(x), int(y), int(z)))


def resample_to(
    image: nib.Nifti1Image | Volume,
    affine: np.ndarray,
    shape: tuple[int, ...],
    interpolation: Interpolation = "linear",
    name: str = "the image",
) -> nib.Nifti1Image:
    """Read an image at the voxels of another grid; see `cpmlib.mri.resampling.resample`.

    `affine` (4, 4) and `shape` are those of the target grid; the image is called `name` in
    messages. Returns float32, NaN where there is no value.

    Raises
    ------
    DatasetError
        If the image is not 3-D, its affine cannot be inverted, or it has infinite values.
    ValueError
        If the interpolation is unknown or the target is no grid.

    Examples
    --------
    >>> ramp = np.arange(4)[:, None, None] * np.ones((1, 2, 2))
    >>> half = np.diag([0.5, 1, 1, 1])
    >>> resample_to(Volume(ramp, np.eye(4)), half, (9, 2, 2)).get_fdata()[:, 0, 0]
    array([0. , 0.5, 1. , 1.5, 2. , 2.5, 3. , 3. , nan])
    """
    if interpolation not in ("linear", "nearest"):
        raise ValueError(f"interpolation is {interpolation!r}; expected 'linear' or 'nearest'")
    if len(shape) != 3 or min(shape) < 1 or not invertible(affine):
        raise ValueError("the target grid needs three axes and an affine that can be inverted")
    target = Grid(np.asarray(affine, dtype=float), (shape[0], shape[1], shape[2]))
    return as_volume(image, name).resampled(target, interpolation).to_image()
