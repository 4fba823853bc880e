"""Scatter between and within patients.

The ICC is (MSB - MSW) / (MSB + (n0 - 1) MSW), with the mean squares of a one-way analysis of
variance between and within patients.

Vocabulary
----------
- *n0*: samples per patient, as unequal numbers count: (n - sum of squared sizes / n) / (P - 1).
- *effective number*: how many independent samples would say as much of a mean as these do.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Components:
    """One-way analysis of variance; NaN where a mean square has no degree of freedom."""

    ms_between: float
    ms_within: float
    n0: float
    sum_squares: float
    n: int
    n_patients: int

    @property
    def var_within(self) -> float:
        """Variance within patients."""
        return self.ms_within

    @property
    def var_between(self) -> float:
        """Variance between patients; it can be negative."""
        return (self.ms_between - self.ms_within) / self.n0


def variance_components(values: np.ndarray, patient: np.ndarray) -> Components:
    """Mean squares between and within patients, (n,) each; `n0` counts unequal sizes.

    Searle, Casella & McCulloch (1992) Variance Components, section 3.6.

    Examples
    --------
    >>> found = variance_components(np.array([1.0, 3, 5, 7]), np.array(["a", "a", "b", "b"]))
    >>> float(found.ms_between), float(found.ms_within), found.n0
    (16.0, 2.0, 2.0)
    """
    group = pd.factorize(patient)[0]
    size = np.bincount(group)
    n, count = len(values), len(size)
    mean = np.bincount(group, values) / size
    between = (size * (mean - values.mean()) ** 2).sum()
    within = ((values - mean[group]) ** 2).sum()
    squares = float((size**2).sum())
    return Components(
        ms_between=between / (count - 1) if count > 1 else np.nan,
        ms_within=within / (n - count) if n > count else np.nan,
        n0=(n - squares / n) / (count - 1) if count > 1 else np.nan,
        sum_squares=squares,
        n=n,
        n_patients=count,
    )


def intraclass_correlation(values: ArrayLike, patient: ArrayLike) -> pd.DataFrame:
    """One-way ICC, ICC(1) of Shrout & Fleiss (1979), for patients with unequally many samples.

    Parameters
    ----------
    values, patient : (n,) array_like
        Measurements, and whose they are; NaN are left out.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate``, 95 % interval and ``p`` from the F distribution (exact if all
        patients have equally many samples), ``n0``, ``n_patients``, ``n_effective``.

    Examples
    --------
    >>> row = intraclass_correlation([1.0, 3, 5, 7], ["a", "a", "b", "b"])
    >>> row[["estimate", "n_effective"]].round(3)
       estimate  n_effective
    0     0.778         2.25
    """
    values, patient = remove_missing(values, labels=patient)
    n, name = len(values), "ICC"
    extra = dict.fromkeys(("n0", "n_patients", "n_effective"), np.nan)
    if reason := why_not_estimable(values):
        return not_estimable(name, reason, n, **extra)
    found = variance_components(values, patient)
    extra["n_patients"] = found.n_patients
    if found.n_patients < 2 or found.n_patients == n:
        reasons = {True: "no patient has two samples", False: "all samples are of one patient"}
        return not_estimable(name, reasons[found.n_patients == n], n, **extra)
    if found.ms_within == 0:
        return not_estimable(name, "no scatter within patients", n, **extra)
    f, df = found.ms_between / found.ms_within, (found.n_patients - 1, n - found.n_patients)
    tail = (1 - CONFIDENCE) / 2
    low, high = f / stats.f.isf(tail, *df), f / stats.f.isf(1 - tail, *df)
    icc = (f - 1) / (f + found.n0 - 1)
    return one_row(
        name,
        icc,
        ci=((low - 1) / (low + found.n0 - 1), (high - 1) / (high + found.n0 - 1)),
        p=stats.f.sf(f, *df),
        n=n,
        n0=found.n0,
        n_patients=found.n_patients,
        # Variance of a mean: (1 + (m - 1) ICC) / n, with m the size of the average sample's patient
        n_effective=n / (1 + (found.sum_squares / n - 1) * max(icc, 0.0)),
    )
