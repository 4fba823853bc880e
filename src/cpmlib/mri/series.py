"""Series of volumes: the voxels of a mask out of a 4-D image, and maps made of them.

Vocabulary
----------
- *series*: a 4-D image; its last axis counts volumes (directions of diffusion, moments in time).
- *inside*: bool array of the voxels that a mask selects, on the grid of the series.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np

from cpmlib.mri.volume import invertible, make_image
from cpmlib.study.errors import DatasetError, Problem

SAME_AFFINE = 1e-2
"""Corners of two grids that lie within this many mm of each other are one place."""


def check_series(series: nib.Nifti1Image, name: str) -> None:
    """Raise a DatasetError unless an image is a series with a place in scanner space.

    Parameters
    ----------
    series
        Of any number of dimensions.
    name
        What to call it in a message.

    Raises
    ------
    DatasetError
        If the image has not four dimensions or its affine cannot be inverted.

    Examples
    --------
    >>> check_series(nib.Nifti1Image(np.zeros((2, 2, 2, 5), np.float32), np.eye(4)), "DSC")
    """
    if len(series.shape) != 4 or 0 in series.shape:
        found = f"an image of shape {tuple(series.shape)}"
        expected = "a series: three dimensions and one that counts volumes"
        raise DatasetError(Problem(name, found, expected, "name the file that holds the series"))
    if not invertible(series.affine):
        found, expected = "an affine that cannot be inverted", "an affine to scanner space"
        raise DatasetError(Problem(name, found, expected, "convert it again from DICOM"))


def inside_mask(mask: nib.Nifti1Image, image: nib.Nifti1Image, name: str = "mask") -> np.ndarray:
    """Return which voxels of an image a mask selects.

    Parameters
    ----------
    mask
        3-D image on the grid of `image`; above one half is inside, NaN is outside.
    image
        3-D image or series.
    name
        What to call the mask in a message.

    Returns
    -------
    (X, Y, Z) bool

    Raises
    ------
    DatasetError
        If the grids differ or the mask selects nothing.

    Examples
    --------
    >>> ones = make_image(np.ones((2, 2, 2), np.float32), np.eye(4))
    >>> int(inside_mask(ones, ones).sum())
    8
    """
    shape = tuple(image.shape[:3])
    if tuple(mask.shape) != shape:
        raise DatasetError(
            Problem(
                name,
                f"a mask of shape {tuple(mask.shape)}",
                f"the grid of the image, {shape}",
                "resample the mask to the image",
            )
        )
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] *= np.array(shape) - 1
    apart = np.abs(corners @ (mask.affine - image.affine).T).max()
    if not apart <= SAME_AFFINE:
        found = f"a mask that lies up to {apart:.3g} mm from the image"
        expected = "the place of the image in scanner space"
        raise DatasetError(Problem(name, found, expected, "resample the mask to the image"))
    inside = np.nan_to_num(np.asarray(mask.dataobj, dtype=np.float32), nan=0.0) > 0.5
    if not inside.any():
        found, expected = "no voxel inside", "a mask of some voxels"
        raise DatasetError(Problem(name, found, expected, "make the mask again"))
    return inside


def map_of(values: np.ndarray, inside: np.ndarray, like: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return a map of the values of the voxels inside; NaN elsewhere.

    Parameters
    ----------
    values : (N,) array
        One value for each voxel inside, in the order of ``array[inside]``.
    inside : (X, Y, Z) bool
        The voxels.
    like
        Image or series with the affine.

    Returns
    -------
    nibabel.Nifti1Image
        float32.

    Examples
    --------
    >>> like = make_image(np.ones((1, 1, 3), np.float32), np.eye(4))
    >>> map_of(np.array([7.0]), np.array([[[False, True, False]]]), like).get_fdata().ravel()
    array([nan,  7., nan])
    """
    result = np.full(inside.shape, np.nan, dtype=np.float32)
    result[inside] = values
    return make_image(result, like.affine)
