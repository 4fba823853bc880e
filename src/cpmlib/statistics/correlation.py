"""How a predictor goes with the outcome: line, Pearson, Spearman, RMSE.

The slope ``b`` is that of the least-squares line. Outcome and prediction must have the same unit
for an RMSE.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pingouin
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.results import (
    CONFIDENCE,
    MINIMUM_GROUP,
    PERFECT,
    Row,
    as_table,
    no_row,
    remove_missing,
    row_of,
    why_not_estimable,
)

BOOTSTRAP_SAMPLES = 2000

EXACT_UP_TO = 12
"""Most samples for which the p of Spearman's rho comes from all orders of one variable. The t
approximation, used for more, is too small where rho is large: with 13 samples by 4 % at rho = 0.5,
by a fifth at 0.7 and to less than a half at 0.9 (p = 0.00003 for 0.00007)."""


def correlation_matrix(values: np.ndarray) -> np.ndarray:
    """Pearson's r of every pair of variables; Spearman's rho if the values are ranks.

    `numpy.corrcoef` for stacks: (..., k, k) from k variables in the same n samples, (..., k, n).

    Examples
    --------
    >>> correlation_matrix(np.array([[1.0, 2, 3], [1.0, 3, 2]]))[0, 1].round(6)
    np.float64(0.5)
    """
    deviation = values - values.mean(axis=-1, keepdims=True)
    covariance = deviation @ deviation.mT * (1 / (values.shape[-1] - 1))
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    return np.clip(covariance / sd[..., :, None] / sd[..., None, :], -1, 1)


def slope_and_r2(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the least-squares line of y on x, (..., n), and its R2, (...) each.

    Examples
    --------
    >>> slope, r2 = slope_and_r2(np.array([[1.0, 2, 3, 4]]), np.array([1.0, 3, 2, 5]))
    >>> slope.round(3), r2.round(3)
    (array([1.1]), array([0.691]))
    """
    dx, dy = (v - v.mean(axis=-1, keepdims=True) for v in (x, y))
    return line_of_products(np.vecdot(dx, dx), np.vecdot(dx, dy), np.vecdot(dy, dy))


def line_of_products(
    sxx: np.ndarray, sxy: np.ndarray, syy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Slope and R2 of the least-squares line from sums of centred squares and products, (...).

    Examples
    --------
    >>> line_of_products(2.0, 1.0, 4.0)
    (0.5, 0.125)
    """
    return sxy / sxx, sxy**2 / sxx / syy


def root_mean_square(error: np.ndarray) -> np.ndarray:
    """Root mean square along the last axis.

    Examples
    --------
    >>> root_mean_square(np.array([[3.0, -3.0], [0.0, 0.0]]))
    array([3., 0.])
    """
    return np.sqrt(np.mean(error**2, axis=-1))


@as_table
def linear_fit(x: ArrayLike, y: ArrayLike) -> Row:
    """Least-squares line of y on x.

    Parameters
    ----------
    x, y : (n,) array_like
        Predictor and outcome; pairs with a NaN are left out.

    Returns
    -------
    pandas.DataFrame
        One row: the slope with its 95 % t interval, ``p``, ``intercept``, ``se``, ``df``, ``r2``.

    Examples
    --------
    >>> linear_fit([1.0, 2, 3, 4], [1.0, 3, 2, 5])[["estimate", "r2"]].round(3)
       estimate     r2
    0       1.1  0.691
    """
    x, y = remove_missing(x, y)
    reason = why_not_estimable(x, y)
    if reason:
        return no_row("slope", reason, len(x))
    fit = stats.linregress(x, y)
    df = len(x) - 2
    half = stats.t.isf((1 - CONFIDENCE) / 2, df) * fit.stderr
    return row_of(
        "slope",
        fit.slope,
        ci=(fit.slope - half, fit.slope + half),
        p=fit.pvalue,
        n=len(x),
        intercept=fit.intercept,
        se=fit.stderr,
        df=df,
        r2=fit.rvalue**2,
    )


@as_table
def correlate(x: ArrayLike, y: ArrayLike, *, method: str = "spearman") -> Row:
    """Correlation coefficient with its two-sided p.

    Parameters
    ----------
    x, y : (n,) array_like
        Pairs with a NaN are left out.
    method
        ``"spearman"`` or ``"pearson"``.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate``, 95 % interval by Fisher's z (given from 4 samples on, unless the
        correlation is perfect), ``p``. That of rho is exact, with ties too, up to `EXACT_UP_TO`
        samples; for more it comes from the t distribution, as in R's ``exact = FALSE``.

    Raises
    ------
    ValueError
        If the lengths differ, or ``method`` is none of those above.

    Examples
    --------
    >>> correlate([1.0, 2, 3, 4, 5], [2.0, 1, 4, 3, 5])["estimate"].round(3).item()
    0.8
    """
    x, y = remove_missing(x, y)
    names = {"spearman": "Spearman rho", "pearson": "Pearson r"}
    if method not in names:
        raise ValueError(f"method is {method!r}; expected 'spearman' or 'pearson'")
    name = names[method]
    reason = why_not_estimable(x, y)
    if reason:
        return no_row(name, reason, len(x))
    r, p = stats.spearmanr(x, y) if method == "spearman" else stats.pearsonr(x, y)
    if abs(r) >= PERFECT:
        r = np.sign(r)
    if method == "spearman" and len(x) <= EXACT_UP_TO:
        p = _permutation_p(stats.rankdata(x), stats.rankdata(y))
    interval = (np.nan, np.nan)
    if len(x) > MINIMUM_GROUP and abs(r) < 1:
        interval = tuple(pingouin.compute_esci(stat=r, nx=len(x), eftype="r", decimals=12))
    return row_of(name, r, ci=interval, p=p, n=len(x))


def _permutation_p(x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of all orders of y whose rho is as far from 0; x and y are mid-ranks.

    The orders are counted by their sum of products of doubled mid-ranks, which are whole numbers:
    one x after the other, for each set of the y used so far.
    """
    a, b = (np.rint(2 * ranks).astype(int) for ranks in (x, y))
    a, b = a - a.min(), b - b.min()
    counts = _counts_of_sums(tuple(np.sort(a).tolist()), tuple(np.sort(b).tolist()))
    # In whole numbers: all deviations from the mean times the number of samples
    deviation = np.abs(np.arange(len(counts)) * len(a) - a.sum() * b.sum())
    extreme = deviation >= abs(a @ b * len(a) - a.sum() * b.sum())
    return float(counts[extreme].sum() / counts.sum())


@lru_cache(maxsize=256)
def _counts_of_sums(a: tuple[int, ...], b: tuple[int, ...]) -> np.ndarray:
    """Return how many orders of b have each sum of products with a: once for all equal ranks."""
    size = int(np.dot(a, b)) + 1
    orders = {0: np.eye(1, size)[0]}
    for step in a:
        longer: dict[int, np.ndarray] = {}
        for used, counts in orders.items():
            for j, rank in enumerate(b):
                if not used >> j & 1:
                    total = longer.setdefault(used | 1 << j, np.zeros(size))
                    total[step * rank :] += counts[: size - step * rank]
        orders = longer
    (counts,) = orders.values()
    return counts


@as_table
def root_mean_square_error(
    predicted: ArrayLike, observed: ArrayLike, *, rng: np.random.Generator
) -> Row:
    """RMSE of a prediction, with a bootstrap interval.

    Parameters
    ----------
    predicted, observed : (n,) array_like
        In one unit; pairs with a NaN are left out.
    rng
        Source of the bootstrap samples (percentile interval, samples drawn independently).

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate`` in the unit of the variables, 95 % interval, ``n``, and ``bias``
        (mean of observed minus predicted).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> root_mean_square_error([1.0, 2, 3], [2.0, 3, 4], rng=rng)["estimate"].item()
    1.0
    """
    predicted, observed = remove_missing(predicted, observed)
    error = observed - predicted
    if len(error) < MINIMUM_GROUP:
        reason = f"fewer than {MINIMUM_GROUP} samples ({len(error)})"
        return no_row("RMSE", reason, len(error))
    draws = rng.integers(len(error), size=(BOOTSTRAP_SAMPLES, len(error)))
    resampled = root_mean_square(error[draws])
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return row_of(
        "RMSE", float(root_mean_square(error)), ci=(low, high), n=len(error), bias=error.mean()
    )
