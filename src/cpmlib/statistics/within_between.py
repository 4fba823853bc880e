"""Association within patients and between them, where patients have several samples.

Vocabulary
----------
- *within patients*: of differences from the patient's own means; the repeated-measures correlation
  (Bland & Altman 1995, BMJ 310:446; Bakdash & Marusich 2017, Front Psychol 8:456).
- *between patients*: of the patients' means, each patient counted once (Bland & Altman 1995, BMJ
  310:633, weight them by their samples).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.correlation import correlate
from cpmlib.statistics.results import (
    CONFIDENCE,
    PERFECT,
    not_estimable,
    one_row,
    remove_missing,
    why_not_estimable,
)


def within_patients(x: ArrayLike, y: ArrayLike, patient: ArrayLike) -> pd.DataFrame:
    """Correlate differences from the patients' own means: parallel lines, one a patient.

    Patients with one sample say nothing of it and are left out.

    Returns
    -------
    pandas.DataFrame
        One row: the correlation with its 95 % interval by Fisher's z and p of the t distribution,
        both with ``df`` = ``n`` - ``n_patients`` - 1; ``slope`` of y on x that all patients share.

    Examples
    --------
    >>> found = within_patients([1, 2, 3, 7, 8, 9], [3, 2, 1, 9, 8, 7.5], list("aaabbb"))
    >>> found[["estimate", "slope", "df"]].round(3)
       estimate  slope  df
    0    -0.983 -0.875   3
    """
    name = "within-patient correlation"
    x, y, patient = remove_missing(x, y, labels=patient)
    samples = pd.DataFrame({"x": x, "y": y, "patient": patient})
    samples = samples[samples.duplicated("patient", keep=False)]
    several, n = samples["patient"].nunique(), len(samples)
    df = n - several - 1
    if df < 1:
        return not_estimable(name, "too few samples of one patient", n, n_patients=several)
    values = samples[["x", "y"]]
    centred = values - values.groupby(samples["patient"]).transform("mean")
    # Relative to the values: rounding errors of the mean are no scatter.
    if (centred.abs().max() <= 1e-12 * values.abs().max()).any():
        return not_estimable(name, "no scatter within patients", n, n_patients=several)
    dx, dy = centred.to_numpy().T
    r, slope = float(dx @ dy / np.sqrt((dx @ dx) * (dy @ dy))), dx @ dy / (dx @ dx)
    found = {"n": n, "df": df, "slope": slope, "n_patients": several}
    if abs(r) >= PERFECT:
        return one_row(name, np.sign(r), p=0.0, **found)
    half = stats.norm.isf((1 - CONFIDENCE) / 2) / np.sqrt(df - 1) if df > 1 else np.nan
    return one_row(
        name,
        r,
        ci=(np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)),
        p=2 * stats.t.sf(abs(r) * np.sqrt(df / (1 - r**2)), df),
        **found,
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
    return correlate(first, second, method="pearson").assign(statistic=name)
