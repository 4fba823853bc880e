"""Zeros around an image's content: no measurement, but what a program filled the grid up with.

Vocabulary
----------
- *padding*: voxels that hold exactly 0 and are joined through such voxels, or through some without
  a value, to the border of the array. A 0 that tissue encloses is a measurement.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage


def padding(values: np.ndarray) -> np.ndarray:
    """Say which voxels (X, Y, Z) are padding, or have no value and lie outside the content.

    Examples
    --------
    >>> ball = np.zeros((5, 5, 5))
    >>> ball[1:4, 1:4, 1:4] = 7
    >>> ball[2, 2, 2] = 0
    >>> int((~padding(ball)).sum())
    27
    """
    empty = np.isnan(values) | (values == 0)
    labels, _ = ndimage.label(np.pad(empty, 1, constant_values=True))
    outer: np.ndarray = labels[1:-1, 1:-1, 1:-1] == labels[0, 0, 0]
    return outer


def without_padding(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return an image with no value where it is padding.

    Examples
    --------
    >>> slab = np.ones((3, 3, 4), np.float32)
    >>> slab[:, :, 2:] = 0
    >>> without_padding(nib.Nifti1Image(slab, np.eye(4))).get_fdata()[1, 1]
    array([ 1.,  1., nan, nan])
    """
    values = np.asarray(image.dataobj, dtype=np.float32)
    return nib.Nifti1Image(np.where(padding(values), np.float32(np.nan), values), image.affine)
