"""Series of volumes, along directions of diffusion or in time: voxels of a mask, maps of them."""

from __future__ import annotations

from itertools import product

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from cpmlib.mri.volume import Grid, Image, as_volume, invertible, make_image
from cpmlib.study.errors import fault

MAX_APART = 1e-2
"""Corners of two grids that lie within this many mm of each other are one place."""


def grid_of(series: nib.Nifti1Image, name: str) -> Grid:
    """Return the grid of a series, called `name` in messages; refuse what is none.

    Examples
    --------
    >>> grid_of(nib.Nifti1Image(np.zeros((2, 3, 4, 5), np.float32), np.eye(4)), "DSC").shape
    (2, 3, 4)
    """
    if len(series.shape) != 4 or 0 in series.shape:
        found = f"an image of shape {tuple(series.shape)}"
        expected = "a series: three dimensions and one that counts volumes"
        raise fault(name, found, expected, "name the file that holds the series")
    if not invertible(series.affine):
        found, expected = "an affine that cannot be inverted", "an affine to scanner space"
        raise fault(name, found, expected, "convert it again from DICOM")
    return Grid(series.affine, series.shape[:3])


def inside_mask(mask: Image, grid: Grid, name: str = "mask") -> np.ndarray:
    """Return the voxels, (X, Y, Z) bool, that a mask selects; refuse another grid, or none.

    Examples
    --------
    >>> ones = make_image(np.ones((2, 2, 2), np.uint8), np.eye(4))
    >>> int(inside_mask(ones, Grid(np.eye(4), (2, 2, 2))).sum())
    8
    """
    remedy = "resample the mask to the image"
    if tuple(mask.shape) != grid.shape:
        found = f"a mask of shape {tuple(mask.shape)}"
        raise fault(name, found, f"the grid of the image, {grid.shape}", remedy)
    corners = np.array(list(product(*[(0, n - 1) for n in grid.shape])))
    apart = np.abs(apply_affine(mask.affine, corners) - apply_affine(grid.affine, corners)).max()
    if not apart <= MAX_APART:
        found = f"a mask that lies up to {apart:.3g} mm from the image"
        raise fault(name, found, "the place of the image in scanner space", remedy)
    inside = as_volume(mask, name).inside
    if not inside.any():
        raise fault(name, "no voxel inside", "a mask of some voxels", "make the mask again")
    return inside


def map_of(values: np.ndarray, inside: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Return a float32 map of the values (N,) of the voxels inside; NaN elsewhere.

    Examples
    --------
    >>> inside = np.array([[[False, True, False]]])
    >>> map_of(np.array([7.0]), inside, np.eye(4)).get_fdata().ravel()
    array([nan,  7., nan])
    """
    result = np.full(inside.shape, np.nan, dtype=np.float32)
    result[inside] = values
    return make_image(result, affine)
