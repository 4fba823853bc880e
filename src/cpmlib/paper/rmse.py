"""RMSE of CPM in two sets of samples, compared by resampling patients.

Vocabulary
----------
- *error*: of a sample, cell density on H&E less CPM, in cells/mm2.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpmlib.paper.correlations import OUTCOME
from cpmlib.statistics.cluster_bootstrap import percentile_interval
from cpmlib.statistics.correlation import BOOTSTRAP_SAMPLES
from cpmlib.statistics.results import MINIMUM_GROUP, not_estimable, one_row
from cpmlib.study.options import AnalysisOptions

ROWS = ("first", "second", "second less first")


def compare_rmse(
    first: pd.DataFrame, second: pd.DataFrame, options: AnalysisOptions, rng: np.random.Generator
) -> pd.DataFrame:
    """RMSE of CPM in two sets of samples, and the difference of the two.

    Samples of one patient are not independent: the 95 % intervals come from resampling patients
    (percentiles). Who is an outlier is not decided anew in each draw.

    Parameters
    ----------
    first, second
        Samples as `cpmlib.paper.correlations.flag_outliers` returns them; they may overlap.

    Returns
    -------
    pandas.DataFrame
        The rows of `ROWS`.

    Examples
    --------
    >>> near = pd.DataFrame({"participant_id": list("abc"), "cpm": [1.0, 2, 3], "outlier": False,
    ...                      "he_cellularity": [2.0, 1, 4]})
    >>> far = near.assign(he_cellularity=near["cpm"] + 3)
    >>> rng = np.random.default_rng(1)
    >>> compare_rmse(near, far, AnalysisOptions(), rng)[["statistic", "estimate", "ci_low"]]
               statistic  estimate  ci_low
    0              first       1.0     1.0
    1             second       3.0     3.0
    2  second less first       2.0     2.0
    """
    kept = [part[~(part["outlier"] & options.rmse_excludes_outliers)] for part in (first, second)]
    smaller = min(map(len, kept))
    both = len(kept[0].index.union(kept[1].index))
    sums = pd.concat([_squares(part) for part in kept], axis=1).fillna(0.0).sort_index()
    if sums.empty:
        rows = [not_estimable(name, f"fewer than {MINIMUM_GROUP} samples (0)", 0) for name in ROWS]
        return pd.concat(rows, ignore_index=True)
    patients, totals = len(sums), sums.to_numpy()
    found = _rmse_and_difference(totals.sum(axis=0, keepdims=True))[:, 0]
    times = rng.multinomial(patients, np.full(patients, 1 / patients), size=BOOTSTRAP_SAMPLES)
    draws = _rmse_and_difference(times @ totals)
    rows = []
    sizes = zip(ROWS, (*map(len, kept), both), (*map(len, kept), smaller), strict=True)
    for (name, n, fewest), estimate, drawn in zip(sizes, found, draws, strict=True):
        if fewest < MINIMUM_GROUP:
            rows.append(not_estimable(name, f"fewer than {MINIMUM_GROUP} samples ({fewest})", n))
        else:
            rows.append(one_row(name, estimate, ci=percentile_interval(drawn), n=n))
    return pd.concat(rows, ignore_index=True)


def _squares(part: pd.DataFrame) -> pd.DataFrame:
    """Sum of squared errors and number of samples of each patient."""
    squares = (part[OUTCOME] - part["cpm"]) ** 2
    groups = squares.groupby(part["participant_id"])
    return pd.DataFrame({"squares": groups.sum(), "n": groups.count()})


def _rmse_and_difference(totals: np.ndarray) -> np.ndarray:
    """RMSE of both sets and the second's less the first's, (3, draws); NaN without a sample."""
    squares, n = totals[:, ::2], totals[:, 1::2]
    first, second = np.sqrt(np.divide(squares, n, out=np.full(n.shape, np.nan), where=n > 0)).T
    return np.stack([first, second, second - first])
