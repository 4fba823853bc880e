"""How many patients it takes to tell two predictors apart.

Vocabulary
----------
- *power*: share of simulated studies whose test is significant.
- *type I error rate*: share of simulated studies whose test is significant although both predictors
  are equally strong (the column ``size``). It is 0.05 where what the test assumes holds.
  Meng's test counts samples: where those of a patient are alike, in the outcome and in the
  predictors, it is above 0.05. That is a fault of the test, and shown, not mended.
- *simulated study*: patients drawn with replacement from those of the cohort, each with all their
  samples; it takes the cohort for the truth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.meng import PERFECT, align_signs, fisher_z_difference
from cpmlib.statistics.one_per_patient import rank_kernel
from cpmlib.statistics.results import CONFIDENCE, MINIMUM_GROUP, remove_missing

WANTED = 0.8
"""Power that is usually asked for."""


def power_of_comparison(
    outcome: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patient: ArrayLike,
    *,
    n_simulations: int,
    most_patients: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Simulate studies with more and more patients, comparing two predictors by Meng's z of rho.

    Parameters
    ----------
    outcome, first, second, patient : (n,) array_like
        Measured in the same samples; a sample with a NaN in any of them is left out.
    n_simulations, most_patients
        Studies of each number of patients, which is doubled up to this many.

    Returns
    -------
    pandas.DataFrame
        ``n_patients``, ``power`` and ``size``; up to the first number with a power of `WANTED`.
        For the type I error rate, ``size``, both predictors, as ranks, are made equally strong, and
        exchanged in each patient with a chance of 1/2. It is an estimate from one cohort: of few
        patients, rough.
        Without a row where there are fewer than 3 patients.

    Examples
    --------
    >>> y, rng = np.arange(12.0), np.random.default_rng(0)
    >>> x, z = y + 3 * np.tile([1, -1, 0], 4), np.tile([3.0, 1, 2], 4)
    >>> found = power_of_comparison(
    ...     y, x, z, y, n_simulations=200, most_patients=50, rng=rng
    ... )
    >>> found["n_patients"].tolist(), found["power"].iloc[-1].item() > 0.8
    ([12, 24, 48], True)
    """
    outcome, first, second, patient = remove_missing(outcome, first, second, labels=patient)
    group = pd.factorize(patient)[0]
    columns = ["n_patients", "power", "size"]
    if len(np.unique(group)) < MINIMUM_GROUP or min(map(np.ptp, (first, second, outcome))) == 0:
        return pd.DataFrame(columns=columns, dtype=float)
    ranks = [stats.rankdata(v) for v in (outcome, first, second)]
    strength = [np.sign(np.corrcoef(ranks[0], r)[0, 1]) or 1.0 for r in ranks[1:]]
    y, a, b = ranks[0], strength[0] * ranks[1], strength[1] * ranks[2]
    # Centred at 0, a rank can take the place of the other predictor's.
    a, b = stats.rankdata(a), stats.rankdata(b)
    count = int(group.max()) + 1
    even, odd = _equally_strong(y, a, b)
    exchanged = np.stack([np.append(y, y), np.append(even, odd), np.append(odd, even)])
    rows, patients = [], count
    while patients <= most_patients:
        power = _share_significant(np.stack([y, a, b]), group, patients, n_simulations, rng)
        both = np.append(group, group + count)
        size = _share_significant(exchanged, both, patients, n_simulations, rng)
        rows.append((patients, power, size))
        if power >= WANTED:
            break
        patients *= 2
    return pd.DataFrame(rows, columns=columns)


def _equally_strong(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Return two predictors' ranks, changed until they share equally much with the outcome.

    Exchanged as they are, the stronger one would be now one, now the other, and the same in all
    samples of a patient: they would depend on each other, and errors of type I be too many.
    """
    y, a, b = (stats.zscore(v) for v in (y, a, b))
    r = np.array([(y * a).mean(), (y * b).mean()])
    keep = np.sqrt((1 - r.mean() ** 2) / np.maximum(1 - r**2, 1e-9))
    own = [a - r[0] * y, b - r[1] * y]
    return [stats.rankdata(r.mean() * y + k * v) for k, v in zip(keep, own, strict=True)]


def _share_significant(
    variables: np.ndarray, group: np.ndarray, patients: int, studies: int, rng: np.random.Generator
) -> float:
    """Share of simulated studies with a significant Meng's z; a study without one counts as not."""
    count = int(group.max()) + 1
    times = rng.multinomial(patients, np.full(count, 1 / count), size=studies)
    weight = times[:, group].astype(float)
    total = weight.sum(axis=1)
    r = _weighted_correlations(np.stack([weight @ rank_kernel(v).T for v in variables]), weight)
    r1, r2, rx = r[0, 1], r[0, 2], r[1, 2]
    signs = align_signs(r1, r2)
    with np.errstate(divide="ignore", invalid="ignore"):
        # With n = 4 the error is that of n - 3 = 1 sample.
        aligned = signs[0] * r1, signs[1] * r2, signs[0] * signs[1] * rx
        parts = fisher_z_difference(*aligned, 4)
        z = parts[0] / parts[1] * np.sqrt(total - 3)
    tested = np.max(aligned, axis=0) < PERFECT
    return float((tested & (np.abs(z) > stats.norm.isf((1 - CONFIDENCE) / 2))).mean())


def _weighted_correlations(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Pearson's r of every pair of variables, (k, k, b), from values (k, b, n), weights (b, n)."""
    deviation = values - np.vecdot(values, weight)[..., None] / weight.sum(axis=-1)[:, None]
    products = np.einsum("ibn,jbn,bn->ijb", deviation, deviation, weight, optimize=True)
    sd = np.sqrt(np.einsum("iib->ib", products))
    with np.errstate(divide="ignore", invalid="ignore"):
        return products / sd[:, None] / sd
