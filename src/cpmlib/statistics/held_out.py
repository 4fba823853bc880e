"""Errors of lines that have not seen the patient they predict.

Vocabulary
----------
- *leave-one-patient-out*: a patient's samples are predicted by the least-squares line of all other
  patients'.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpmlib.statistics.cluster_bootstrap import percentile_interval, resampled_patients
from cpmlib.statistics.correlation import root_mean_square
from cpmlib.statistics.results import not_estimable, one_row

RESAMPLES = 2000


def held_out_errors(design: ArrayLike, y: ArrayLike, patient: ArrayLike) -> np.ndarray:
    """Outcome minus its prediction by a line through the samples of all other patients.

    Parameters
    ----------
    design : (n, p) array_like
        Predictors, a column of ones included; finite.
    y, patient : (n,) array_like
        Outcome, and whose sample each row is.

    Returns
    -------
    numpy.ndarray
        (n,); NaN where the samples of the others do not fix a line.

    Examples
    --------
    >>> x = np.array([0.0, 1, 2, 3])
    >>> design = np.column_stack([np.ones(4), x])
    >>> held_out_errors(design, [0.0, 1, 2, 5], ["a", "a", "b", "b"]).round(6)
    array([4., 2., 0., 2.])
    """
    columns, outcome = np.asarray(design, dtype=float), np.asarray(y, dtype=float)
    group = pd.factorize(np.asarray(patient))[0]
    error = np.full(len(outcome), np.nan)
    # Columns of one length, so that the rank does not depend on their units.
    columns = columns / np.maximum(np.sqrt((columns**2).mean(axis=0)), np.finfo(float).tiny)
    for who in np.unique(group):
        own = group == who
        beta, _, rank, _ = np.linalg.lstsq(columns[~own], outcome[~own], rcond=1e-10)
        if rank == columns.shape[1]:
            error[own] = outcome[own] - columns[own] @ beta
    return error


def compare_errors(
    first: ArrayLike, second: ArrayLike, patient: ArrayLike, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Compare two predictions of the same samples by their errors.

    Parameters
    ----------
    first, second : (n,) array_like
        Their errors, observed minus predicted.
    patient : (n,) array_like
        Whose sample each is; the percentile interval resamples patients, the errors staying.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate`` is the RMSE of the first less that of the second, with ``rmse_first``
        and ``rmse_second``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> row = compare_errors([3.0, 3, 3], [1.0, 1, 1], ["a", "b", "c"], rng=rng)
    >>> row["estimate"].item()
    2.0
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    n, name = len(first), "difference of RMSE"
    extra = {"rmse_first": np.nan, "rmse_second": np.nan}
    if len(pd.unique(np.asarray(patient))) < 3:
        return not_estimable(name, "fewer than 3 patients", n, **extra)
    if np.isnan(first).any() or np.isnan(second).any():
        return not_estimable(name, "the samples of the other patients fix no line", n, **extra)
    drawn = np.empty(RESAMPLES)
    for where, index in resampled_patients(patient, RESAMPLES, rng):
        drawn[where] = root_mean_square(first[index]) - root_mean_square(second[index])
    sizes = float(root_mean_square(first)), float(root_mean_square(second))
    return one_row(
        name,
        sizes[0] - sizes[1],
        ci=percentile_interval(drawn),
        n=n,
        rmse_first=sizes[0],
        rmse_second=sizes[1],
    )
