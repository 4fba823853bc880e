"""Slope, R2, rho and RMSE of many data sets at once, for resampling.

Each is what `correlation` and `rout` find in one data set; x and y are stacks (..., n).
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from cpmlib.statistics.correlation import line_of_products
from cpmlib.statistics.rout import outliers_of_lines

STATISTICS = ("slope", "r2", "rho", "rmse")


def associations(
    x: np.ndarray,
    y: np.ndarray,
    *,
    q: float = 0.01,
    rho_excludes: bool = False,
    rmse_excludes: bool = True,
) -> dict[str, np.ndarray]:
    """Describe how y goes with x in each data set.

    Parameters
    ----------
    x, y : (..., n)
        Finite values, at least three of them.
    q
        False discovery rate of ROUT, which is applied to each data set anew; 0 excludes nothing.
        Lines leave outliers out.
    rho_excludes, rmse_excludes
        Whether these do, too.

    Returns
    -------
    dict
        ``slope``, ``r2``, ``rho``, ``rmse`` (of x as a prediction of y) and ``n``, the samples that
        the line keeps, (...) each; NaN where x or y does not vary.

    Examples
    --------
    >>> found = associations(np.array([[1.0, 2, 3, 4]]), np.array([[1.0, 3, 2, 5]]))
    >>> {name: round(found[name].item(), 3) for name in STATISTICS}
    {'slope': 1.1, 'r2': 0.691, 'rho': 0.8, 'rmse': 0.866}
    """
    everyone = np.ones(np.broadcast_shapes(x.shape, y.shape))
    kept = everyone - outliers_of_lines(x, y, q) if q > 0 else everyone
    slope, r2 = line_of_products(*_products(x, y, kept))
    used = kept if rho_excludes else everyone
    # The ranks of those kept are 1, 2, ... if all others come after them.
    first, second = (stats.rankdata(np.where(used > 0, v, np.inf), axis=-1) for v in (x, y))
    sxx, sxy, syy = _products(first, second, used)
    used = kept if rmse_excludes else everyone
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = sxy / np.sqrt(sxx * syy)
    return {
        "slope": slope,
        "r2": r2,
        "rho": rho,
        "rmse": np.sqrt(np.vecdot(used, (y - x) ** 2) / used.sum(axis=-1)),
        "n": kept.sum(axis=-1),
    }


def _products(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centred sums of squares and products of the samples with weight 1; NaN if x or y is flat."""
    total = weight.sum(axis=-1)
    dx, dy = (v - (np.vecdot(weight, v) / total)[..., None] for v in (x, y))
    wx = weight * dx
    sxx, sxy, syy = np.vecdot(wx, dx), np.vecdot(wx, dy), np.vecdot(weight * dy, dy)
    flat = (sxx <= 1e-20 * np.vecdot(x, x)) | (syy <= 1e-20 * np.vecdot(y, y))
    return tuple(np.where(flat, np.nan, part) for part in (sxx, sxy, syy))
