"""Patients drawn with replacement, each with all their samples.

Vocabulary
----------
- *resample*: as many patients as there are, drawn with replacement; a patient who is drawn twice
  brings all their samples twice, so that resamples differ in size.
- *percentile interval*: the middle 95 % of the resampled statistic.
- *BCa interval*: percentiles moved for the median's bias and for how the statistic's SD changes
  with its value (acceleration, from leaving out each patient).

References
----------
Efron B (1987) J Am Stat Assoc 82:171-185; Davison AC, Hinkley DV (1997) Bootstrap Methods and their
Application, section 3.8, for the resampling of whole clusters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.results import CONFIDENCE

ENOUGH = 0.9
"""Share of the resamples that must have the statistic for an interval to be given."""

TAIL = (1 - CONFIDENCE) / 2
"""Share of the resamples beyond each end of an interval."""


def resampled_patients(
    patient: ArrayLike, n_resamples: int, rng: np.random.Generator, *, n_patients: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw patients with replacement; resamples with equally many samples come together.

    Parameters
    ----------
    patient : (n,) array_like
        Whose sample each is.
    n_patients
        Patients in each resample; as many as there are if None.

    Yields
    ------
    where, index : (b,), (b, m)
        Which of the resamples these are, and the samples in each.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> for where, index in resampled_patients(["a", "b", "b"], 3, rng):
    ...     print(where, index.tolist())
    [1] [[0, 0]]
    [0 2] [[1, 2, 0], [0, 1, 2]]
    """
    # In the order of the table: no draw depends on what a patient is called.
    group = pd.factorize(np.asarray(patient))[0]
    size = np.bincount(group)
    order, start = np.argsort(group, kind="stable"), np.cumsum(size) - size
    drawn = rng.integers(len(size), size=(n_resamples, n_patients or len(size)))
    total = size[drawn].sum(axis=1)
    for m in np.unique(total):
        where = np.flatnonzero(total == m)
        chosen = drawn[where].ravel()
        first = np.cumsum(size[chosen]) - size[chosen]
        position = np.arange(len(where) * m) - np.repeat(first - start[chosen], size[chosen])
        yield where, order[position].reshape(len(where), m)


def percentile_interval(drawn: np.ndarray) -> tuple[float, float]:
    """Middle 95 % of a resampled statistic; NaN if too few resamples have it.

    Examples
    --------
    >>> low, high = percentile_interval(np.arange(101.0))
    >>> round(low, 2), round(high, 2)
    (2.5, 97.5)
    """
    known = drawn[~np.isnan(drawn)]
    if len(known) < ENOUGH * len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(known, [TAIL, 1 - TAIL])
    return float(low), float(high)


def bca_interval(drawn: np.ndarray, estimate: float, left_out: np.ndarray) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron 1987); NaN where it does not exist.

    Parameters
    ----------
    drawn : (B,)
        The resampled statistic.
    estimate
        The statistic of the data.
    left_out : (P,)
        The statistic without each patient.

    Examples
    --------
    >>> low, high = bca_interval(np.arange(101.0), 50.0, np.array([1.0, 2.0, 3.0]))
    >>> round(low, 2), round(high, 2)
    (2.5, 97.5)
    """
    known = drawn[~np.isnan(drawn)]
    if len(known) < ENOUGH * len(drawn) or np.isnan(left_out).any() or np.isnan(estimate):
        return np.nan, np.nan
    below = ((known < estimate).mean() + (known <= estimate).mean()) / 2
    spread = left_out.mean() - left_out
    squares = (spread**2).sum()
    if not 0 < below < 1 or squares == 0:
        return np.nan, np.nan
    acceleration = (spread**3).sum() / (6 * squares**1.5)
    bias = stats.norm.ppf(below)
    moved = bias + stats.norm.ppf([TAIL, 1 - TAIL])
    share = stats.norm.cdf(bias + moved / (1 - acceleration * moved))
    low, high = np.quantile(known, share)
    return float(low), float(high)
