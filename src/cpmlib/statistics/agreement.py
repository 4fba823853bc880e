"""How far two methods that measure the same thing lie apart.

Vocabulary
----------
- *bias*: mean of second minus first; of a prediction, of observed minus predicted.
- *limits of agreement*: bias - 1.96 SD and bias + 1.96 SD, between which 95 % of single differences
  lie if they are normal.
- *concordance*: Lin's coefficient; 1 if all pairs lie on the line of equal values.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.results import (
    CONFIDENCE,
    PERFECT,
    not_estimable,
    one_row,
    remove_missing,
    why_not_estimable,
)
from cpmlib.statistics.variance_components import variance_components

_LIMITS = ("sd", "lower", "upper", "var_between", "var_within", "n_patients")


def limits_of_agreement(first: ArrayLike, second: ArrayLike, patient: ArrayLike) -> pd.DataFrame:
    """Bland-Altman limits where patients have several pairs, and the true value varies.

    The variance of one difference is the sum of its parts between and within patients, by one-way
    analysis of variance (Bland & Altman 2007, J Biopharm Stat 17:571-582, section 3); a negative
    part between patients counts as 0. With one pair a patient it is the ordinary variance.

    Parameters
    ----------
    first, second, patient : (n,) array_like
        In one unit, and whose pair each is; pairs with a NaN are left out.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate`` is the bias with its t interval (patients - 1 degrees of freedom, its
        variance from both parts), ``sd``, ``lower`` and ``upper`` limit, ``var_between``,
        ``var_within``, ``n_patients``.

    Examples
    --------
    >>> row = limits_of_agreement([1.0, 2, 3, 4], [2.0, 3, 5, 6], ["a", "a", "b", "b"])
    >>> row[["estimate", "sd", "lower", "upper"]].round(3)
       estimate     sd  lower  upper
    0       1.5  0.707  0.114  2.886
    """
    first, second, patient = remove_missing(first, second, labels=patient)
    difference, name = second - first, "bias"
    if reason := why_not_estimable(difference):
        return not_estimable(name, reason, len(difference), **dict.fromkeys(_LIMITS, np.nan))
    parts = variance_components(difference, patient)
    if parts.n_patients < 2:
        reason = "all samples are of one patient"
        return not_estimable(name, reason, parts.n, **dict.fromkeys(_LIMITS, np.nan))
    if np.isnan(parts.var_within):
        between, within = 0.0, difference.var(ddof=1)
    else:
        between, within = max(parts.var_between, 0.0), parts.var_within
    sd, bias = np.sqrt(between + within), difference.mean()
    error = np.sqrt(between * parts.sum_squares / parts.n**2 + within / parts.n)
    half = stats.t.isf((1 - CONFIDENCE) / 2, parts.n_patients - 1) * error
    reach = stats.norm.isf((1 - CONFIDENCE) / 2) * sd
    return one_row(
        name,
        bias,
        ci=(bias - half, bias + half),
        n=parts.n,
        sd=sd,
        lower=bias - reach,
        upper=bias + reach,
        var_between=between if not np.isnan(parts.var_within) else np.nan,
        var_within=parts.var_within,
        n_patients=parts.n_patients,
    )


def concordance(first: ArrayLike, second: ArrayLike) -> pd.DataFrame:
    r"""Lin's concordance correlation coefficient.

    .. math:: \rho_c = \frac{2 s_{12}}{s_1^2 + s_2^2 + (\bar y_1 - \bar y_2)^2}

    with n in the denominators (Lin 1989, Biometrics 45:255-268; corrected in 2000, 56:324-325). The
    interval, by Fisher's z, takes the pairs as independent.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate``, 95 % interval, ``pearson_r`` (precision) and ``accuracy``, the factor
        between them.

    Examples
    --------
    >>> concordance([1.0, 2, 3, 4], [2.0, 3, 4, 5])[["estimate", "accuracy"]].round(3)
       estimate  accuracy
    0     0.714     0.714
    """
    first, second = remove_missing(first, second)
    n, name = len(first), "concordance"
    if reason := why_not_estimable(first, second):
        return not_estimable(name, reason, n, pearson_r=np.nan, accuracy=np.nan)
    s1, s2 = first.std(), second.std()
    shift = (first.mean() - second.mean()) / np.sqrt(s1 * s2)
    r = np.clip(((first - first.mean()) * (second - second.mean())).mean() / (s1 * s2), -1, 1)
    accuracy = 2 / (s1 / s2 + s2 / s1 + shift**2)
    c = r * accuracy
    interval = (np.nan, np.nan)
    if n > 3 and 0 < abs(r) < PERFECT:
        variance = (
            (1 - r**2) * c**2 / ((1 - c**2) * r**2)
            + 2 * c**3 * (1 - c) * shift**2 / (r * (1 - c**2) ** 2)
            - c**4 * shift**4 / (2 * r**2 * (1 - c**2) ** 2)
        ) / (n - 2)
        half = stats.norm.isf((1 - CONFIDENCE) / 2) * np.sqrt(max(variance, 0.0))
        interval = (float(np.tanh(np.arctanh(c) - half)), float(np.tanh(np.arctanh(c) + half)))
    return one_row(name, c, ci=interval, n=n, pearson_r=r, accuracy=accuracy)
