"""Association within patients and between them, where patients have several samples.

Vocabulary
----------
- *within*: of differences from the patient's own means; the repeated-measures correlation (Bland &
  Altman 1995, BMJ 310:446; Bakdash & Marusich 2017, Front Psychol 8:456).
- *between*: of the patients' means, each patient counted once (Bland & Altman 1995, BMJ 310:633,
  weight them by their samples).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.results import (
    CONFIDENCE,
    MINIMUM_GROUP,
    PERFECT,
    not_estimable,
    one_row,
    remove_missing,
    why_not_estimable,
)


def within_patients(x: ArrayLike, y: ArrayLike, patient: ArrayLike) -> pd.DataFrame:
    """Correlate differences from the patients' own means.

    Returns
    -------
    pandas.DataFrame
        One row: the correlation with its 95 % interval by Fisher's z and p of the t distribution,
        both with ``df`` = samples - patients - 1; ``slope`` of y on x that all patients share;
        ``n_patients`` with two samples or more.

    Examples
    --------
    >>> found = within_patients([1, 2, 3, 7, 8, 9], [3, 2, 1, 9, 8, 7.5], list("aaabbb"))
    >>> found[["estimate", "slope", "df"]].round(3)
       estimate  slope  df
    0    -0.983 -0.875   3
    """
    name = "within-patient correlation"
    x, y, patient = remove_missing(x, y, labels=patient)
    n = len(x)
    table = pd.DataFrame({"x": x, "y": y, "patient": patient})
    groups = table.groupby("patient")
    several = int((groups.size() > 1).sum())
    df = n - groups.ngroups - 1
    if df < 1:
        return not_estimable(name, "too few samples of one patient", n, n_patients=several)
    dx, dy = (groups[key].transform(lambda v: v - v.mean()).to_numpy() for key in ("x", "y"))
    if (reason := why_not_estimable(np.round(dx, 9), np.round(dy, 9))) is not None:
        return not_estimable(name, reason, n, n_patients=several)
    r = float(dx @ dy / np.sqrt((dx @ dx) * (dy @ dy)))
    if abs(r) >= PERFECT:
        return one_row(name, np.sign(r), n=n, df=df, slope=dx @ dy / (dx @ dx), n_patients=several)
    t = r * np.sqrt(df / (1 - r**2))
    half = stats.norm.isf((1 - CONFIDENCE) / 2) / np.sqrt(df - 1) if df > 1 else np.inf
    ends = tuple(np.tanh(np.arctanh(r) + sign * half) for sign in (-1, 1))
    return one_row(
        name,
        r,
        ci=ends if df > 1 else (np.nan, np.nan),
        p=2 * stats.t.sf(abs(t), df),
        n=n,
        df=df,
        slope=dx @ dy / (dx @ dx),
        n_patients=several,
    )


def between_patients(x: ArrayLike, y: ArrayLike, patient: ArrayLike) -> pd.DataFrame:
    """Correlate the patients' means, each patient counted once.

    Examples
    --------
    >>> x, y, patient = [1, 2, 3, 7, 8, 9, 4], [3, 2, 1, 9, 8, 7, 3], list("aaabbbc")
    >>> between_patients(x, y, patient)[["estimate", "n"]].round(3)
       estimate  n
    0     0.984  3
    """
    name = "between-patient correlation"
    x, y, patient = remove_missing(x, y, labels=patient)
    means = pd.DataFrame({"x": x, "y": y}).groupby(patient).mean()
    first, second = (means[key].to_numpy(float) for key in ("x", "y"))
    if (reason := why_not_estimable(first, second)) is not None:
        return not_estimable(name, reason.replace("samples", "patients"), len(means))
    r, p = stats.pearsonr(first, second)
    if len(means) <= MINIMUM_GROUP or abs(r) >= PERFECT:
        return one_row(name, r, p=p, n=len(means))
    low, high = stats.pearsonr(first, second).confidence_interval(CONFIDENCE)
    return one_row(name, r, ci=(low, high), p=p, n=len(means))
