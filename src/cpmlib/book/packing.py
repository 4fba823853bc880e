"""Volumes as whole numbers that a static page can carry.

Vocabulary
----------
- *quantisation level*: the whole number that stands for a value; 0 means no value, 1 to `top` run
  evenly from `low` to `high`.
- *quantisation step*: the value between neighbouring levels. The viewer shows values to within half
  of it.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np

BRIGHTEST = 99.9
"""Percentile of the values that becomes the highest level; brighter ones read as "at least"."""

LEVELS = 255
LEVELS_OF_ARBITRARY_UNITS = 63
"""Highest level of an image with a unit, whose values are read, and of one without, whose grey is
only looked at; noise takes most of the bytes of a page, and the second scale leaves out much."""


@dataclass(frozen=True)
class Packed:
    """A volume in levels.

    Parameters
    ----------
    levels : (X, Y, Z) uint8
        On the viewer's grid.
    low, high
        Values of level 1 and of the highest, in the image's unit.
    clipped
        Whether some value lies above `high`.
    top
        The highest level.
    """

    levels: np.ndarray
    low: float
    high: float
    clipped: bool
    top: int = LEVELS

    @property
    def step(self) -> float:
        """Value between neighbouring levels."""
        return (self.high - self.low) / (self.top - 1)


def pack_levels(values: np.ndarray, top: int = LEVELS) -> Packed:
    """Express values, (X, Y, Z) with NaN where there is none, in levels up to 255.

    Raises
    ------
    ValueError
        If no value is finite.

    Examples
    --------
    >>> packed = pack_levels(np.array([[[0.0, 127.0, 254.0, np.nan]]]))
    >>> packed.levels.ravel(), round(packed.step, 1)
    (array([  1, 128, 255,   0], dtype=uint8), 1.0)
    """
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no finite value to show")
    known = values[finite]
    low, most = float(known.min()), float(known.max())
    high = float(np.percentile(known, BRIGHTEST, method="higher"))
    if high <= low:
        high = most if most > low else low + max(abs(low), 1.0)
    level = np.zeros(values.shape, dtype=np.uint8)
    scaled = (known.astype(np.float64) - low) / (high - low)
    level[finite] = 1 + np.rint(np.clip(scaled, 0, 1) * (top - 1)).astype(np.uint8)
    return Packed(level, low, high, most > high, top)


def compressed(levels: np.ndarray) -> str:
    """Return levels as base64: first axis fastest, less the median of three neighbours, deflated.

    The neighbours are the voxels before it along each axis, 0 outside; the difference is modulo
    256. The script undoes it voxel by voxel.
    """
    padded = np.pad(levels, ((1, 0),) * 3)
    a, b, c = padded[:-1, 1:, 1:], padded[1:, :-1, 1:], padded[1:, 1:, :-1]
    median = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    difference = levels - median
    return base64.b64encode(zlib.compress(difference.tobytes(order="F"), 9)).decode("ascii")


def short(value: float) -> float:
    """Round to what a float32 holds, so that the page carries no longer numbers."""
    return float(f"{value:.7g}")


def decimals(step: float) -> int:
    """Return the decimals with which a value is shown: no coarser than a step, at most 6."""
    return int(np.clip(np.ceil(-np.log10(step)), 0, 6))
