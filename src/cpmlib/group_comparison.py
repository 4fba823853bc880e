"""Two groups of samples compared: the Mann-Whitney test.

Vocabulary
----------
- *rank-biserial correlation*: share of pairs (a, b) with a > b, less the share with a < b.
- *shift*: Hodges-Lehmann estimate, the median of all differences a - b.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pingouin
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.results import CONFIDENCE, MINIMUM_GROUP, not_estimable, one_row


def mann_whitney(a: ArrayLike, b: ArrayLike, *, method: str = "auto") -> pd.DataFrame:
    """Two-sided Mann-Whitney test of two independent groups, with effect sizes.

    Parameters
    ----------
    a, b : (n_a,), (n_b,) array_like
        The measurements, in one unit; NaN are left out.
    method
        ``"auto"``, ``"exact"`` or ``"asymptotic"``, as in `scipy.stats.mannwhitneyu`.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate`` is the Hodges-Lehmann shift with its 95 % interval (Hollander,
        Wolfe & Chicken 2014, section 4.3), ``p``, ``u``, ``rank_biserial``, ``cles`` (common
        language effect size), ``n_a``, ``n_b``, ``mean_a``, ``mean_b``. A group with fewer than
        three values, or values that are all equal, gives a row that says not estimable.

    Examples
    --------
    >>> row = mann_whitney([4.0, 5.0, 6.0, 7.0], [1.0, 2.0, 3.0, 4.5])
    >>> row[["estimate", "p", "rank_biserial"]].round(3)
       estimate      p  rank_biserial
    0       3.0  0.057          0.875
    """
    a, b = _measured(a), _measured(b)
    name = "Mann-Whitney shift"
    smallest = min(len(a), len(b))
    if smallest < MINIMUM_GROUP:
        reason = f"a group has fewer than {MINIMUM_GROUP} samples ({smallest})"
        return not_estimable(name, reason, len(a) + len(b), n_a=len(a), n_b=len(b))
    if np.ptp(np.concatenate([a, b])) == 0:
        reason = "all values are equal"
        return not_estimable(
            name,
            reason,
            len(a) + len(b),
            n_a=len(a),
            n_b=len(b),
            mean_a=a.mean(),
            mean_b=b.mean(),
        )
    test = pingouin.mwu(a, b, alternative="two-sided", method=method).iloc[0]
    shift, low, high = _hodges_lehmann(a, b)
    return one_row(
        name,
        shift,
        ci=(low, high),
        p=test["p_val"],
        n=len(a) + len(b),
        u=test["U_val"],
        rank_biserial=2 * test["U_val"] / (len(a) * len(b)) - 1,
        cles=test["CLES"],
        n_a=len(a),
        n_b=len(b),
        mean_a=a.mean(),
        mean_b=b.mean(),
    )


def _measured(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    return array[~np.isnan(array)]


def _hodges_lehmann(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    differences = np.sort(np.subtract.outer(a, b), axis=None)
    pairs = len(differences)
    spread = np.sqrt(pairs * (len(a) + len(b) + 1) / 12)
    rank = int(np.floor(pairs / 2 - stats.norm.isf((1 - CONFIDENCE) / 2) * spread))
    if rank < 1:  # too few pairs for a bounded interval
        return float(np.median(differences)), -np.inf, np.inf
    return float(np.median(differences)), differences[rank - 1], differences[pairs - rank]
