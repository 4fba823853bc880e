"""Two groups of samples compared: the Mann-Whitney test.

Vocabulary
----------
- *rank-biserial correlation*: share of pairs (a, b) with a > b, less the share with a < b.
- *mid-rank*: the mean of the ranks that tied values share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.results import (
    CONFIDENCE,
    MINIMUM_GROUP,
    Row,
    as_table,
    no_row,
    remove_missing,
    row_of,
)

MOST_STEPS = 1e9
"""Additions up to which mid-ranks are permuted; two groups of 80 need as many, a second."""


@as_table
def mann_whitney(a: ArrayLike, b: ArrayLike, *, method: str = "auto") -> Row:
    """Two-sided Mann-Whitney test of two independent groups, with effect sizes.

    Parameters
    ----------
    a, b : (n_a,), (n_b,) array_like
        The measurements, in one unit; NaN are left out.
    method
        ``"auto"``, ``"exact"`` or ``"asymptotic"``, as in `scipy.stats.mannwhitneyu`. But
        ``"exact"`` is exact with ties too, where SciPy's is not: p is the share of all ways to
        deal the mid-ranks whose rank sum lies as far from its mean (as R's package coin has it).

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate`` is the Hodges-Lehmann shift with its 95 % interval, ``p``, ``u``,
        ``rank_biserial``, ``cles`` (common language effect size), ``n_a``, ``n_b``, ``mean_a``,
        ``mean_b``. A group with fewer than three values, or values that are all equal, gives a row
        that says not estimable. Where ties and more than `MOST_STEPS` forbid an exact p, it is
        asymptotic and ``note`` says so.

    Notes
    -----
    The bounds of the interval are two of the ordered differences a - b, at the rank that the normal
    approximation gives, rounded outwards and not corrected for ties (Hollander, Wolfe & Chicken
    2014, section 4.3). R's ``wilcox.test`` counts the ranks exactly where nothing is tied and
    otherwise inverts its test with the corrections for ties and continuity: its interval can be
    narrower by one difference at either end, with many ties or the smallest groups by two. Where
    the rank falls below 1 the interval is unbounded; R gives the extreme differences, which cover
    less than 95 %.

    Examples
    --------
    >>> row = mann_whitney([4.0, 5.0, 6.0, 7.0], [1.0, 2.0, 3.0, 4.5])
    >>> row[["estimate", "p", "rank_biserial"]].round(3)
       estimate      p  rank_biserial
    0       3.0  0.057          0.875
    """
    (a,), (b,) = remove_missing(a), remove_missing(b)
    name = "Mann-Whitney shift"
    n, sizes, smallest = len(a) + len(b), {"n_a": len(a), "n_b": len(b)}, min(len(a), len(b))
    if smallest < MINIMUM_GROUP:
        reason = f"a group has fewer than {MINIMUM_GROUP} samples ({smallest})"
        return no_row(name, reason, n, **sizes)
    described = {**sizes, "mean_a": a.mean(), "mean_b": b.mean()}
    if np.ptp(np.concatenate([a, b])) == 0:
        return no_row(name, "all values are equal", n, **described)
    u, p, note = _test(a, b, method)
    share = u / (len(a) * len(b))
    shift, *interval = _hodges_lehmann(a, b)
    effect = {"u": u, "rank_biserial": 2 * share - 1, "cles": share}
    return row_of(name, shift, ci=tuple(interval), p=p, n=n, note=note, **effect, **described)


def _test(a: np.ndarray, b: np.ndarray, method: str) -> tuple[float, float, str]:
    """Return U, p, and a note if p is not what was asked for."""
    test = stats.mannwhitneyu(a, b, method=method)  # type: ignore[call-overload]
    p, note = float(test.pvalue), ""
    both = np.concatenate([a, b])
    if method == "exact" and len(np.unique(both)) < len(both):
        permuted = _permuted_midranks(a, b)
        if permuted is None:
            p = float(stats.mannwhitneyu(a, b, method="asymptotic").pvalue)
            note = "p is asymptotic: too many samples for an exact one with ties"
        else:
            p = permuted
    return float(test.statistic), p, note


def _permuted_midranks(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return the exact two-sided p with ties, or None where it would take too long.

    Counts the subsets of the smaller group's size by their sum of doubled mid-ranks, which are
    whole numbers, one mid-rank after the other.
    """
    ranks = np.rint(2 * stats.rankdata(np.concatenate([a, b]))).astype(int)
    drawn = min(len(a), len(b))
    own = ranks[: len(a)] if len(a) == drawn else ranks[len(a) :]
    size = int(np.sort(ranks)[-drawn:].sum()) + 1
    if len(ranks) * drawn * size > MOST_STEPS:
        return None
    subsets = np.zeros((drawn + 1, size))
    subsets[0, 0] = 1
    for rank in ranks:
        subsets[1:, rank:] += subsets[:-1, : size - rank]
    # In whole numbers: all deviations times the number of samples
    deviation = np.abs(np.arange(size) * len(ranks) - drawn * ranks.sum())
    extreme = deviation >= abs(own.sum() * len(ranks) - drawn * ranks.sum())
    return float(subsets[drawn, extreme].sum() / subsets[drawn].sum())


def _hodges_lehmann(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    differences = np.sort(np.subtract.outer(a, b), axis=None)
    pairs = len(differences)
    spread = np.sqrt(pairs * (len(a) + len(b) + 1) / 12)
    rank = int(np.floor(pairs / 2 - stats.norm.isf((1 - CONFIDENCE) / 2) * spread))
    if rank < 1:  # too few pairs for a bounded interval
        return float(np.median(differences)), -np.inf, np.inf
    return float(np.median(differences)), differences[rank - 1], differences[pairs - rank]
