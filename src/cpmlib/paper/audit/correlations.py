"""Arithmetic of printed correlations: which can stand in one data set, slopes, Meng's z."""

from __future__ import annotations

import math

import numpy as np

from cpmlib.statistics.meng import fisher_z_difference
from cpmlib.study.published import PrintedValue

STEPS = 400
"""Of the search; the few correlations of a paper need some dozens."""

IMPOSSIBLE, POSSIBLE, UNDECIDED = "impossible", "possible", "undecided"


def smallest_eigenvalue(matrix: np.ndarray) -> float:
    """Smallest eigenvalue of a symmetric matrix; below 0 no data set has these correlations.

    Examples
    --------
    >>> round(smallest_eigenvalue(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]])), 5)
    -0.41421
    """
    return float(np.linalg.eigvalsh(matrix)[0])


def can_hold_together(low: np.ndarray, high: np.ndarray) -> str:
    """Whether one data set can have correlations between two matrices of ends.

    The smallest eigenvalue is concave, so that ascent finds its greatest value; that it stays below
    0 is certain where Weyl's bound says so.

    Examples
    --------
    >>> r = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    >>> can_hold_together(r - 0.05, r + 0.05), can_hold_together(abs(r) - 0.05, abs(r) + 0.05)
    ('impossible', 'possible')
    """
    low, high = np.clip(low, -1, 1), np.clip(high, -1, 1)
    np.fill_diagonal(low, 1.0)
    np.fill_diagonal(high, 1.0)
    matrix = (low + high) / 2
    if smallest_eigenvalue(matrix) + np.linalg.norm((high - low) / 2, 2) < 0:
        return IMPOSSIBLE
    for step in range(1, STEPS + 1):
        values, vectors = np.linalg.eigh(matrix)
        if values[0] >= -1e-9:
            return POSSIBLE
        v = vectors[:, 0]
        matrix = np.clip(matrix + 2 / math.sqrt(step) * np.outer(v, v), low, high)
    return UNDECIDED


def range_of_third(r1: PrintedValue, r2: PrintedValue) -> tuple[float, float]:
    """Correlations of x1 and x2 that two printed ones, of each with y, leave.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> tuple(round(r, 2) for r in range_of_third(parse_printed("0.90"), parse_printed("0.90")))
    (0.6, 1.0)
    """
    angles = [
        sorted(math.acos(min(max(end, -1.0), 1.0)) for end in (r.low, r.high)) for r in (r1, r2)
    ]
    (a, b), (c, d) = angles
    # The angle between x1 and x2 lies between the difference and the sum of their angles with y.
    least = max(a - d, c - b, 0.0)
    most = min(b + d, 2 * math.pi - a - c, math.pi)
    return math.cos(most), math.cos(least)


def slope_interval(r2: PrintedValue, sd_y: PrintedValue, sd_x: PrintedValue) -> tuple[float, float]:
    """Size of the slope of y on x that R2 and both SDs leave: that of r, times s_y / s_x.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> found = slope_interval(*map(parse_printed, ("0.028", "1461", "324.4")))
    >>> tuple(round(b, 3) for b in found)
    (0.746, 0.761)
    """
    low = math.sqrt(max(r2.low, 0.0)) * sd_y.low / sd_x.high
    return low, math.sqrt(min(r2.high, 1.0)) * sd_y.high / max(sd_x.low, 1e-12)


def meng_range(z: PrintedValue, r1: PrintedValue, r2: PrintedValue, n: int) -> tuple[float, float]:
    """Correlations between two predictors with which Meng's z of r1 and r2 is printed so.

    NaN where none is; r1 and r2 are sizes, the sign of the sought one is that after flipping.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> found = meng_range(*map(parse_printed, ("0.27", "0.41", "0.37")), 34)
    >>> tuple(round(rx, 2) for rx in found)
    (0.31, 0.78)
    """
    low, high = range_of_third(r1, r2)
    between = np.linspace(low, min(high, 1 - 1e-9), 2001)
    ends = [(a, b) for a in (r1.low, r1.high) for b in (r2.low, r2.high)]
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = [fisher_z_difference(a, b, between, n) for a, b in ends]
        zs = np.array([difference / error for difference, error in pairs])
    fits = (zs.min(0) <= z.high) & (zs.max(0) >= z.low)
    return (float(between[fits][0]), float(between[fits][-1])) if fits.any() else (np.nan, np.nan)
