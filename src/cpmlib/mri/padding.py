"""Zeros around an image's content: no measurement, but what a program filled the grid up with.

Vocabulary
----------
- *padding*: voxels that hold exactly 0 and are joined through such voxels, or through some without
  a value, to the border of the array. A 0 that tissue encloses is a measurement.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from cpmlib.mri.volume import Volume


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


def without_padding(volume: Volume) -> Volume:
    """Return a volume with no value where it is padding.

    Examples
    --------
    >>> slab = np.ones((3, 3, 4))
    >>> slab[:, :, 2:] = 0
    >>> without_padding(Volume(slab, np.eye(4))).data[1, 1]
    array([ 1.,  1., nan, nan], dtype=float32)
    """
    return replace(volume, data=np.where(padding(volume.data), np.float32(np.nan), volume.data))
