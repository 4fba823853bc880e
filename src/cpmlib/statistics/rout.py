"""ROUT: outliers of a line or of a column of values (Motulsky & Brown 2006).

A robust fit that assumes Lorentzian scatter gives the residuals; a false discovery rate of Q
decides which of them are too large to come from the normal distribution that fits the rest.

The RSDR is P68 * N / (N - K).

Vocabulary
----------
- *P68*: the 68.27th percentile of the absolute residuals.
- *number of parameters*, K: of those fitted; 2 for a line, 1 for a column.

References
----------
Motulsky HJ, Brown RE (2006) BMC Bioinformatics 7:123.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

SHARE_NEVER_TESTED = 0.70
"""Only the largest 30 % of the residuals can be outliers (Motulsky & Brown, p. 6)."""

P68 = 68.27
MAXIMUM_ITERATIONS = 1000
RELATIVE_TOLERANCE = 1e-12

SETTLED = 1e-6
"""Change of the last step, relative to the RSDR, up to which the fit counts as settled; it moves t
in the sixth digit."""

STEPS_AT_ONCE = 8
SETTLED_OF_MANY = 1e-5
"""Weightings before it is asked which of many lines still move, and by how much of the RSDR a line
may move in the last of them."""


@dataclass(frozen=True)
class RoutResult:
    """What ROUT found.

    Parameters
    ----------
    outlier : (N,) bool
        Which points are outliers, in the order given.
    coefficients : (K,)
        Robust fit: intercept and slope, or the robust mean.
    residual, t, p, threshold : (N,)
        Distance from the robust fit (unit of y), its size over the RSDR, the two-tailed p of that,
        and the p below which the point would start the outliers (NaN if it is not tested).
    rsdr, n_parameters
        Robust standard deviation of the residuals, and K.
    """

    outlier: np.ndarray
    coefficients: np.ndarray
    residual: np.ndarray
    rsdr: float
    t: np.ndarray
    p: np.ndarray
    threshold: np.ndarray
    n_parameters: int


def rout_line(x: ArrayLike, y: ArrayLike, q: float = 0.01) -> RoutResult:
    """Find the outliers of y about a straight line in x.

    Parameters
    ----------
    x, y : (N,) array_like
        Predictor and outcome, finite, N >= 3.
    q
        False discovery rate, 0 <= q < 1; 0 flags nothing.

    Raises
    ------
    ValueError
        If the lengths differ, N < 3, a value is not finite, x is constant, q is out of range, or
        the robust fit does not settle.

    Examples
    --------
    >>> x = np.arange(12.0)
    >>> y = 2 * x + np.tile([0.1, -0.1, 0.05, -0.05], 3)
    >>> y[4] += 9
    >>> rout_line(x, y).outlier.nonzero()[0]
    array([4])
    """
    x = np.asarray(x, dtype=float)
    y = np.asarray(y, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"x and y differ in shape: {x.shape} and {y.shape}; expected the same")
    if len(x) and np.ptp(x) == 0:
        raise ValueError("x is constant; a line needs at least two different values of x")
    # A centred predictor keeps the normal equations well conditioned.
    centre = x.mean() if len(x) else 0.0
    result = _rout(np.column_stack([np.ones_like(x), x - centre]), y, q)
    intercept = result.coefficients[0] - result.coefficients[1] * centre
    return replace(result, coefficients=np.array([intercept, result.coefficients[1]]))


def rout_column(values: ArrayLike, q: float = 0.01) -> RoutResult:
    """Find the outliers of one column of values (N,), as `rout_line` does about a line.

    Examples
    --------
    >>> rout_column([4.9, 5.0, 5.1, 5.2, 4.8, 5.05, 40.0]).outlier.nonzero()[0]
    array([6])
    """
    values = np.asarray(values, dtype=float)
    return _rout(np.ones((len(values), 1)), values, q)


def _rout(design: np.ndarray, y: np.ndarray, q: float) -> RoutResult:
    n, k = design.shape
    if n < 3:
        raise ValueError(f"ROUT needs at least 3 points; found {n}")
    if not (np.isfinite(design).all() and np.isfinite(y).all()):
        raise ValueError("ROUT needs finite values; found NaN or infinity")
    if not 0 <= q < 1:
        raise ValueError(f"Q is {q}; expected 0 <= Q < 1")
    coefficients = _robust_fit(design, y)
    residual = y - design @ coefficients
    size = np.abs(residual)
    scale = float(rsdr(size, n, k))
    # With more than 68 % of the residuals at zero the scatter is zero too: no scale, no outlier.
    t = size / scale if scale > _rounding(y) else np.zeros(n)
    p = 2 * stats.t.sf(t, n - k)
    outlier, threshold = _judge(t, p, q)
    return RoutResult(outlier, coefficients, residual, scale, t, p, threshold, k)


def _judge(t: np.ndarray, p: np.ndarray, q: float) -> tuple[np.ndarray, np.ndarray]:
    n = len(t)
    rank = np.empty(n, dtype=int)
    rank[np.argsort(t, kind="stable")] = np.arange(n)
    threshold = thresholds(n, q)[rank]
    too_large = p < np.nan_to_num(threshold)
    # The first that is too large goes, and all above it.
    return rank >= (rank[too_large].min() if too_large.any() else n), threshold


def outliers_at(result: RoutResult, q: float) -> np.ndarray:
    """Find the outliers at another Q, (N,) bool: the robust fit does not depend on it.

    Examples
    --------
    >>> column = rout_column([4.9, 5.0, 5.1, 5.2, 4.8, 5.05, 40.0], q=0)
    >>> outliers_at(column, 0.01).nonzero()[0]
    array([6])
    """
    return _judge(result.t, result.p, q)[0]


def _rounding(y: np.ndarray) -> float:
    return 1e-12 * float(np.abs(y).max())


def rsdr(size: np.ndarray, n: int, k: int) -> np.ndarray:
    """Robust standard deviation P68 n / (n - k), (...), from the sizes of residuals, (..., n).

    The percentile interpolates as Hyndman & Fan's type 7, as `numpy.percentile` does.

    Examples
    --------
    >>> rsdr(np.arange(5.0), 5, 2).round(4)
    np.float64(4.5513)
    """
    position = P68 / 100 * (n - 1)
    below = int(position)
    # As sorted, where it is read
    ordered = np.partition(size, (below, below + 1), axis=-1)
    low, high = ordered[..., below], ordered[..., below + 1]
    part = position - below
    middle = low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)
    return middle * n / (n - k)


def thresholds(n: int, q: float) -> np.ndarray:
    """Find the p below which the point of each rank would start the outliers, (n,).

    By ascending size of the residual; NaN where ROUT does not test.

    Examples
    --------
    >>> thresholds(10, 0.01)[-4:].round(4)
    array([0.004, 0.003, 0.002, 0.001])
    """
    rank = np.arange(1, n + 1)
    # Rounded first: 0.7 * 90 is 62.99... in floating point, but 63 on paper.
    tested = rank >= int(round(SHARE_NEVER_TESTED * n, 6))
    return np.where(tested, q * (n - rank + 1) / n, np.nan)


def critical_values(n: int, q: float, k: int = 2) -> np.ndarray:
    """Find the t above which the point of each rank would start the outliers, (n,).

    t is the absolute residual over the RSDR; by its ascending size; infinite where ROUT does not
    test.

    Examples
    --------
    >>> critical_values(10, 0.01)[[0, -1]].round(2)
    array([ inf, 5.04])
    """
    return np.nan_to_num(stats.t.isf(thresholds(n, q) / 2, n - k), nan=np.inf, posinf=np.inf)


def weighted_line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Intercept and slope of the weighted least-squares line, (..., 2), for (..., n) data.

    Examples
    --------
    >>> weighted_line(np.array([0.0, 1, 2]), np.array([1.0, 3, 9]), np.array([1.0, 1, 0])).round(6)
    array([1., 2.])
    """
    total = weight.sum(-1)
    mx, my = np.vecdot(weight, x) / total, np.vecdot(weight, y) / total
    dx = x - mx[..., None]
    b = np.vecdot(weight * dx, y - my[..., None]) / np.vecdot(weight * dx, dx)
    return np.stack([my - b * mx, b], axis=-1)


def robust_lines(
    x: np.ndarray, y: np.ndarray, *, start: np.ndarray | None = None, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit many lines as `rout_line` fits one, with a fixed number of steps.

    Parameters
    ----------
    x, y : (..., n)
        Predictor and outcome; no RSDR may be 0.
    start : (..., 2)
        Intercepts and slopes to start from; the least-squares lines if None.
    steps
        Times that the points are weighted anew.

    Returns
    -------
    residual, rsdr, line : (..., n), (...), (..., 2)

    Examples
    --------
    >>> x = np.arange(12.0)
    >>> y = 2 * x + np.tile([0.1, -0.1, 0.05, -0.05], 3)
    >>> y[4] += 9
    >>> robust_lines(x, y, steps=50)[2].round(1)
    array([0., 2.])
    """
    n = x.shape[-1]
    line = weighted_line(x, y, np.ones(n)) if start is None else start
    for _ in range(steps):
        residual = y - line[..., :1] - line[..., 1:] * x
        scale = rsdr(np.abs(residual), n, 2)
        line = weighted_line(x, y, 1 / (1 + (residual / scale[..., None]) ** 2))
    residual = y - line[..., :1] - line[..., 1:] * x
    return residual, rsdr(np.abs(residual), n, 2), line


def outliers_of_lines(x: np.ndarray, y: np.ndarray, q: float) -> np.ndarray:
    """Find the outliers that `rout_line` finds, about each of many lines, (..., n).

    Each line is followed until it has settled. Where the scatter is zero, or no line exists,
    nothing is an outlier.

    Examples
    --------
    >>> x = np.arange(12.0)
    >>> y = 2 * x + np.tile([0.1, -0.1, 0.05, -0.05], 3)
    >>> y[4] += 9
    >>> outliers_of_lines(x, np.stack([y, 2 * x]), 0.01).nonzero()
    (array([0]), array([4]))
    """
    x, y = np.broadcast_arrays(x, y)
    shape, n = y.shape, y.shape[-1]
    x, y = x.reshape(-1, n), y.reshape(-1, n)
    size, found = np.zeros(y.shape), np.zeros(len(y), dtype=bool)
    left, line = np.arange(len(y)), None
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(MAXIMUM_ITERATIONS // STEPS_AT_ONCE):
            _, _, before = robust_lines(x[left], y[left], start=line, steps=STEPS_AT_ONCE - 1)
            residual, scale, line = robust_lines(x[left], y[left], start=before, steps=1)
            step = line - before
            change = np.abs(step[:, :1] + step[:, 1:] * x[left]).max(axis=-1)
            # A scale of zero leaves NaN behind: such a line has no outlier.
            moving = change > SETTLED_OF_MANY * scale
            size[left], found[left] = np.abs(residual) / scale[:, None], np.isfinite(scale)
            left, line = left[moving], line[moving]
            if not len(left):
                break
    ordered = np.sort(size, axis=-1)
    too_large = (ordered > critical_values(n, q)) & found[:, None]
    first = np.take_along_axis(ordered, too_large.argmax(axis=-1)[:, None], axis=-1)
    some = too_large.any(axis=-1, keepdims=True)
    return (some & (size >= first)).reshape(shape)


def _robust_fit(design: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Minimise sum log(1 + (r / RSDR)^2), the RSDR following the fit (equations 3 and 8).

    Each step is the weighted least-squares solution that makes the gradient zero at the present
    weights 1 / (1 + (r / RSDR)^2); since the RSDR is taken anew before each step, no two merits
    with different scales are ever compared.
    """
    n, k = design.shape
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    for _ in range(MAXIMUM_ITERATIONS):
        residual = y - design @ coefficients
        scale = rsdr(np.abs(residual), n, k)
        if scale <= _rounding(y):
            return coefficients
        root = 1 / np.sqrt(1 + (residual / scale) ** 2)
        step = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        change = np.abs(design @ (step - coefficients)).max()
        coefficients = step
        if change <= RELATIVE_TOLERANCE * scale:
            return coefficients
    if change > SETTLED * scale:
        raise ValueError(
            f"ROUT's robust fit still moves by {change / scale:.2g} RSDR after "
            f"{MAXIMUM_ITERATIONS} iterations; expected at most {SETTLED:g}. Q = 0 leaves ROUT out"
        )
    return coefficients
