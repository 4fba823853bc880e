"""Lines between two methods that both err: Deming, and Passing and Bablok.

Vocabulary
----------
- *ratio of error variances*: variance of the errors of y over that of x; 1 is orthogonal
  regression, and a very large one least squares of y on x.
- *jackknife*: a standard error from how a line changes without each patient in turn.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.results import (
    CONFIDENCE,
    not_estimable,
    one_row,
    remove_missing,
    why_not_estimable,
)


def deming(
    x: ArrayLike, y: ArrayLike, patient: ArrayLike | None = None, *, ratio: float = 1.0
) -> pd.DataFrame:
    """Deming's line of y on x (Linnet 1993, Clin Chem 39:424-432).

    Parameters
    ----------
    x, y : (n,) array_like
        Two measurements; pairs with a NaN are left out.
    patient
        Whose pair each is; each its own if None.
    ratio
        Variance of the errors of y over that of x.

    Returns
    -------
    pandas.DataFrame
        One row: the slope with its interval (jackknife over patients, t with patients - 2 degrees
        of freedom), ``se``, ``intercept``, ``se_intercept``.

    Examples
    --------
    >>> deming([1.0, 2, 3, 4], [1.0, 3, 2, 5])[["estimate", "intercept"]].round(3)
       estimate  intercept
    0     1.397     -0.744
    """
    if not ratio > 0:
        raise ValueError(f"ratio is {ratio}; expected more than 0")
    labels = np.arange(np.size(x)) if patient is None else patient
    x, y, labels = remove_missing(x, y, labels=labels)
    name, extra = "Deming slope", dict.fromkeys(("se", "intercept", "se_intercept"), np.nan)
    if reason := why_not_estimable(x, y):
        return not_estimable(name, reason, len(x), **extra)
    slope, intercept = _deming_line(x, y, ratio)
    if np.isnan(slope):
        return not_estimable(name, "x and y are not correlated", len(x), **extra)
    group = pd.factorize(labels)[0]
    count = int(group.max()) + 1
    without = np.array([_deming_line(x[group != i], y[group != i], ratio) for i in range(count)])
    se = np.sqrt((count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    half = stats.t.isf((1 - CONFIDENCE) / 2, count - 2) * se[0] if count > 2 else np.nan
    return one_row(
        name,
        slope,
        ci=(slope - half, slope + half),
        n=len(x),
        se=se[0],
        intercept=intercept,
        se_intercept=se[1],
    )


def _deming_line(x: np.ndarray, y: np.ndarray, ratio: float) -> tuple[float, float]:
    if len(x) < 2:
        return np.nan, np.nan
    dx, dy = x - x.mean(), y - y.mean()
    sxx, syy, sxy = dx @ dx, dy @ dy, dx @ dy
    if sxy == 0:
        return np.nan, np.nan
    difference = syy - ratio * sxx
    slope = (difference + np.sqrt(difference**2 + 4 * ratio * sxy**2)) / (2 * sxy)
    return slope, y.mean() - slope * x.mean()


def passing_bablok(x: ArrayLike, y: ArrayLike) -> pd.DataFrame:
    """Passing and Bablok's line of y on x: the shifted median of the slopes between all pairs.

    Passing & Bablok (1983, J Clin Chem Clin Biochem 21:709-720). It supposes that y rises with x.
    The interval is theirs, of whole ranks of the sorted slopes, and takes the pairs as
    independent; R's mcr interpolates between ranks and is a little narrower.

    Returns
    -------
    pandas.DataFrame
        One row: the slope with its 95 % interval, and ``intercept``.

    Examples
    --------
    >>> row = passing_bablok(np.arange(1.0, 7), [2.0, 1.2, 4.1, 3.5, 6.3, 3.0])
    >>> row[["estimate", "intercept"]].round(3)
       estimate  intercept
    0      1.05      0.125
    """
    x, y = remove_missing(x, y)
    n, name = len(x), "Passing-Bablok slope"
    if reason := why_not_estimable(x, y):
        return not_estimable(name, reason, n, intercept=np.nan)
    if not stats.kendalltau(x, y).statistic > 0:
        return not_estimable(name, "y does not rise with x", n, intercept=np.nan)
    i, j = np.triu_indices(n, 1)
    dx, dy = x[j] - x[i], y[j] - y[i]
    differ = (dx != 0) | (dy != 0)
    with np.errstate(divide="ignore"):
        slopes = dy[differ] / dx[differ]
    # Upright ones are infinitely steep, rising; a slope of -1 would favour one of the axes.
    slopes = np.sort(np.where(np.isinf(slopes), np.inf, slopes)[slopes != -1])
    count, shift = len(slopes), int((slopes < -1).sum())
    middle = [(count - 1) // 2 + shift, count // 2 + shift]
    if middle[1] >= count or np.isinf(slopes[middle]).any():
        return not_estimable(name, "the median slope is upright", n, intercept=np.nan)
    slope = slopes[middle].mean()
    spread = np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = round((count - stats.norm.isf((1 - CONFIDENCE) / 2) * spread) / 2)
    high = count - low + 1
    ends = [
        slopes[rank - 1] if 1 <= rank <= count else side * np.inf
        for rank, side in ((low + shift, -1), (high + shift, 1))
    ]
    return one_row(name, slope, ci=(ends[0], ends[1]), n=n, intercept=np.median(y - slope * x))
