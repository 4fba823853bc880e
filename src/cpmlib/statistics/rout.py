"""ROUT: outliers of a line or of a column of values (Motulsky & Brown 2006).

A robust fit that assumes Lorentzian scatter gives the residuals; a false discovery rate of Q
decides which of them are too large to come from the normal distribution that fits the rest.

Vocabulary
----------
- *P68*: the 68.27th percentile of the absolute residuals.
- *RSDR*: robust standard deviation of the residuals, P68 * N / (N - K).
- *K*: number of fitted parameters; 2 for a line, 1 for a column.
- *Q*: the accepted false discovery rate.

References
----------
Motulsky HJ, Brown RE (2006) BMC Bioinformatics 7:123.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

SHARE_NEVER_TESTED = 0.70
"""Only the largest 30 % of the residuals can be outliers (Motulsky & Brown, p. 6)."""

P68 = 68.27
MAXIMUM_ITERATIONS = 1000
RELATIVE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class RoutResult:
    """What ROUT found.

    Parameters
    ----------
    outlier : (N,) bool
        Which points are outliers, in the order given.
    coefficients : (K,)
        Robust fit: intercept and slope, or the robust mean.
    residual : (N,)
        Distance from the robust fit, in the unit of y.
    rsdr : float
        Robust standard deviation of the residuals.
    t, p, threshold : (N,)
        Absolute residual over RSDR, its two-tailed p, and the p below which the point would start
        the outliers; ``threshold`` is NaN for the points that were not tested.
    n_parameters : int
        K.
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

    Returns
    -------
    RoutResult

    Raises
    ------
    ValueError
        If the lengths differ, N < 3, a value is not finite, x is constant, or q is out of range.

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
    object.__setattr__(result, "coefficients", np.array([intercept, result.coefficients[1]]))
    return result


def rout_column(values: ArrayLike, q: float = 0.01) -> RoutResult:
    """Find the outliers of one column of values.

    Parameters
    ----------
    values : (N,) array_like
        Finite, N >= 3.
    q
        False discovery rate, 0 <= q < 1; 0 flags nothing.

    Returns
    -------
    RoutResult

    Raises
    ------
    ValueError
        If N < 3, a value is not finite, or q is out of range.

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
    rsdr = _rsdr(residual, k)
    size = np.abs(residual)
    # With more than 68 % of the residuals at zero the scatter is zero too: no scale, no outlier.
    t = size / rsdr if rsdr > _rounding(y) else np.zeros(n)
    p = 2 * stats.t.sf(t, n - k)
    outlier, threshold = _false_discovery_rate(t, p, q)
    return RoutResult(outlier, coefficients, residual, rsdr, t, p, threshold, k)


def _rounding(y: np.ndarray) -> float:
    return 1e-12 * float(np.abs(y).max())


def _rsdr(residual: np.ndarray, k: int) -> float:
    # The percentile interpolates as Hyndman & Fan's type 7, which is NumPy's default.
    n = len(residual)
    return float(np.percentile(np.abs(residual), P68)) * n / (n - k)


def _robust_fit(design: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Minimise sum log(1 + (r / RSDR)^2), the RSDR following the fit (equations 3 and 8).

    Each step is the weighted least-squares solution that makes the gradient zero at the present
    weights 1 / (1 + (r / RSDR)^2); since the RSDR is taken anew before each step, no two merits
    with different scales are ever compared.
    """
    k = design.shape[1]
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    for _ in range(MAXIMUM_ITERATIONS):
        residual = y - design @ coefficients
        rsdr = _rsdr(residual, k)
        if rsdr <= _rounding(y):
            break
        root = 1 / np.sqrt(1 + (residual / rsdr) ** 2)
        step = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        change = np.abs(design @ (step - coefficients)).max()
        coefficients = step
        if change <= RELATIVE_TOLERANCE * rsdr:
            break
    return coefficients


def _false_discovery_rate(t: np.ndarray, p: np.ndarray, q: float) -> tuple[np.ndarray, np.ndarray]:
    """Step through the residuals upwards; the first that is too large, and all above it, go."""
    n = len(t)
    order = np.argsort(t, kind="stable")
    rank = np.empty(n)
    rank[order] = np.arange(1, n + 1)
    # Rounded first: 0.7 * 90 is 62.99... in floating point, but 63 on paper.
    tested = rank >= int(round(SHARE_NEVER_TESTED * n, 6))
    threshold = np.where(tested, q * (n - rank + 1) / n, np.nan)
    too_large = tested & (p < np.nan_to_num(threshold))
    first = rank[too_large].min() if too_large.any() else np.inf
    return rank >= first, threshold
