"""Mean and spread of a measurement.

An SD has n - 1 in the denominator, as the paper prints it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.results import CONFIDENCE, not_estimable, one_row, remove_missing


def describe(values: ArrayLike, name: str = "mean") -> pd.DataFrame:
    """Mean, SD, quartiles and range of a measurement.

    Returns
    -------
    pandas.DataFrame
        One row: the mean with its 95 % t interval, ``n`` and ``n_missing``, ``sd``, ``median``,
        ``q1``, ``q3``, ``minimum``, ``maximum``. With no value the row says not estimable.

    Examples
    --------
    >>> describe([1.0, 2.0, 3.0, 6.0])[["estimate", "sd", "median", "n"]].round(3)
       estimate    sd  median  n
    0       3.0  2.16     2.5  4
    """
    (kept,) = remove_missing(values)
    missing = np.size(values) - len(kept)
    if len(kept) == 0:
        absent = dict.fromkeys(("sd", "median", "q1", "q3", "minimum", "maximum"), np.nan)
        return not_estimable(name, "no value", 0, n_missing=missing, **absent)
    mean = kept.mean()
    sd = kept.std(ddof=1) if len(kept) > 1 else np.nan
    half = stats.t.isf((1 - CONFIDENCE) / 2, len(kept) - 1) * sd / np.sqrt(len(kept))
    q1, median, q3 = np.percentile(kept, [25, 50, 75])
    return one_row(
        name,
        mean,
        ci=(mean - half, mean + half),
        n=len(kept),
        n_missing=missing,
        sd=sd,
        median=median,
        q1=q1,
        q3=q3,
        minimum=kept.min(),
        maximum=kept.max(),
    )


def count_with_share(values: pd.Series) -> pd.DataFrame:
    """Count each category, with its share in percent.

    Returns
    -------
    pandas.DataFrame
        Columns ``category``, ``count``, ``percent``; in the order of first appearance, or of the
        categories if the series is categorical. Missing values are not counted.

    Examples
    --------
    >>> count_with_share(pd.Series(["M", "F", "M", "M"]))
      category  count  percent
    0        M      3     75.0
    1        F      1     25.0
    """
    kept = values.dropna()
    counts = kept.value_counts(sort=False)
    share = 100 * counts / max(len(kept), 1)
    return pd.DataFrame(
        {
            "category": counts.index.astype(str),
            "count": counts.to_numpy(),
            "percent": share.to_numpy(),
        }
    )
