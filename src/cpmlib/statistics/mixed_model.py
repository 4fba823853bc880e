r"""Linear mixed model with a random intercept for each patient.

.. math:: y_{ij} = x_{ij}^\top \beta + b_i + e_{ij}, \quad
          b_i \sim N(0, \sigma_b^2), \; e_{ij} \sim N(0, \sigma^2)

With one random intercept everything depends on one number, the variance ratio
:math:`\lambda = \sigma_b^2 / \sigma^2`. The derivative of the deviance by it is exact
(`cpmlib.statistics.profiled_deviance`), and the best root, or the boundary :math:`\lambda = 0`, is
the estimate: there is nothing that could fail to converge.

Vocabulary
----------
- *ML*: ordinary maximum likelihood, which makes the variances a little too small; REML does not.
- *singular fit*: the estimated patient variance is 0; the model is then ordinary least squares.
- *Satterthwaite*: degrees of freedom from the variance of the estimated variance of a coefficient
  (Kuznetsova et al. 2017, J Stat Softw 82(13)). In a singular fit they are n - p (REML) or
  n (ML), the limit that lmerTest reports too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.profiled_deviance import RATIOS, ProfiledDeviance
from cpmlib.statistics.results import (
    CONFIDENCE,
    Row,
    as_table,
    no_row,
    remove_missing,
    row_of,
    rows_of,
    why_not_estimable,
)

TESTS = ("satterthwaite", "wald-t", "wald-z")
"""Reference distributions of a slope."""

NO_UNIQUE_SOLUTION = "the fixed effects have no unique solution"

ROUNDING = 1e-12
"""Residuals below this part of the largest outcome are rounding errors."""


@dataclass(frozen=True)
class MixedModelFit:
    """Fixed effects ``beta`` (p,) with covariance and Satterthwaite ``df``, and the variances.

    The variances are in the squared unit of the outcome; the log likelihood is the restricted one
    under REML.
    """

    beta: np.ndarray
    covariance: np.ndarray
    var_patient: float
    var_residual: float
    df: np.ndarray
    log_likelihood: float
    n: int
    n_patients: int

    @property
    def singular(self) -> bool:
        """Whether the patient variance is 0."""
        return self.var_patient == 0

    @property
    def se(self) -> np.ndarray:
        """Standard errors of the fixed effects, (p,)."""
        return np.sqrt(np.diag(self.covariance))


def _standardise(
    design: np.ndarray, y: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Scale columns and residuals of the ordinary fit to length 1; refuse what has no fit.

    This keeps every digit whatever the units, and however close to the line the outcome is.
    """
    n, p = design.shape
    n_patients = int(group.max()) + 1 if n else 0
    if n_patients < 2:
        raise ValueError("all samples are of one patient")
    if n_patients == n:
        raise ValueError("no patient has two samples")
    lengths = np.sqrt((design**2).mean(axis=0))
    if n <= p or (lengths == 0).any():
        raise ValueError(NO_UNIQUE_SOLUTION)
    scaled = design / lengths
    ordinary, _, rank, _ = np.linalg.lstsq(scaled, y, rcond=None)
    if rank < p:
        raise ValueError(NO_UNIQUE_SOLUTION)
    residual = y - scaled @ ordinary
    unit = float(np.sqrt((residual**2).mean()))
    if unit <= ROUNDING * np.abs(y).max():
        raise ValueError("the fixed effects explain the outcome without any scatter")
    return scaled, lengths, ordinary, residual / unit, unit


def fit_random_intercept(
    design: ArrayLike, y: ArrayLike, patient: ArrayLike, *, estimation: str = "REML"
) -> MixedModelFit:
    """Fit fixed effects with a random intercept for each patient.

    Parameters
    ----------
    design : (n, p) array_like
        Fixed effects, a column of ones included; of full rank, p < n.
    y, patient : (n,) array_like
        Outcome, and whose sample each row is.
    estimation
        ``"REML"`` or ``"ML"``.

    Raises
    ------
    ValueError
        If the model has no unique fit: lengths that differ, values that are not finite, a design
        without full rank, fewer than two patients, no patient with two samples, too few samples
        to tell the two variances apart, a perfect fit.

    Examples
    --------
    >>> x = np.array([0.0, 1, 2, 0, 1, 2])
    >>> y = np.array([1.0, 2.1, 2.9, 3.0, 4.2, 4.9])
    >>> fit = fit_random_intercept(np.column_stack([np.ones(6), x]), y, [0, 0, 0, 1, 1, 1])
    >>> fit.beta.round(3), fit.df.round(1)
    (array([2.067, 0.95 ]), array([1., 3.]))
    """
    design, y = np.asarray(design, dtype=float), np.asarray(y, dtype=float)
    _, group = np.unique(np.asarray(patient), return_inverse=True)
    n, _p = design.shape
    if not n == len(y) == len(group):
        raise ValueError(f"lengths differ: design {n}, outcome {len(y)}, patient {len(group)}")
    if estimation not in ("REML", "ML"):
        raise ValueError(f"estimation is {estimation!r}; expected 'REML' or 'ML'")
    if not (np.isfinite(design).all() and np.isfinite(y).all()):
        raise ValueError("found NaN or infinity; the model needs finite values")
    scaled, lengths, ordinary, residual, unit = _standardise(design, y, group)
    profile = ProfiledDeviance(scaled, residual, group, estimation == "REML")
    if not profile.separable():
        raise ValueError("scatter between patients cannot be told from scatter within them")
    ratio = profile.best_ratio()
    if ratio >= RATIOS[-1]:
        raise ValueError("samples of one patient have no scatter of their own")
    at = profile.derivatives(np.array([ratio]))
    variance = at.rss.item() / profile.dof
    jacobian = profile.dof * np.log(unit)
    if estimation == "REML":
        jacobian += np.log(lengths).sum()
    return MixedModelFit(
        beta=(at.beta[0] * unit + ordinary) / lengths,
        covariance=variance * unit**2 * at.inverse[0] / np.outer(lengths, lengths),
        var_patient=ratio * variance * unit**2,
        var_residual=variance * unit**2,
        df=profile.satterthwaite(np.array([ratio]), at)[0],
        log_likelihood=-profile.deviance(np.array([ratio])).item() / 2 - jacobian,
        n=n,
        n_patients=int(group.max()) + 1,
    )


def mixed_model_slope(
    x: ArrayLike,
    y: ArrayLike,
    patient: ArrayLike,
    *,
    estimation: str = "REML",
    test: str = "satterthwaite",
) -> pd.DataFrame:
    """Slope of y on x, samples of one patient sharing a random intercept.

    Parameters
    ----------
    x, y, patient : (n,) array_like
        Predictor, outcome, and whose sample each is; rows with a NaN are left out.
    estimation
        ``"REML"`` or ``"ML"``.
    test
        ``"satterthwaite"``, ``"wald-t"`` (n - 2 degrees of freedom) or ``"wald-z"``.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate``, 95 % interval, ``p``, ``se``, ``df`` (infinite for z),
        ``intercept``, ``var_patient``, ``var_residual``, ``icc``, ``n_patients``. Where the
        model has no unique fit, the row says not estimable and why.

    Raises
    ------
    ValueError
        If lengths differ, or ``estimation`` or ``test`` is none of those above.

    Examples
    --------
    >>> x = [0.0, 1, 2, 0, 1, 2]
    >>> y = [1.0, 2.1, 2.9, 3.0, 4.2, 4.9]
    >>> mixed_model_slope(x, y, ["a", "a", "a", "b", "b", "b"])[["estimate", "df"]].round(2)
       estimate   df
    0      0.95  3.0
    """
    return mixed_model_slopes(x, y, patient, estimation=estimation, tests=(test,))


@as_table
def mixed_model_slopes(
    x: ArrayLike,
    y: ArrayLike,
    patient: ArrayLike,
    *,
    estimation: str = "REML",
    tests: Sequence[str] = TESTS,
) -> list[Row]:
    """Fit once what `mixed_model_slope` fits; one row for each of several tests.

    Examples
    --------
    >>> x = [0.0, 1, 2, 0, 1, 2]
    >>> y = [1.0, 2.1, 2.9, 3.0, 4.2, 4.9]
    >>> mixed_model_slopes(x, y, ["a", "a", "a", "b", "b", "b"])["df"].tolist()
    [3.0..., 4.0, inf]
    """
    x, y, patient = remove_missing(x, y, labels=patient)
    name = "mixed-model slope"
    reason = why_not_estimable(x, y)
    if reason:
        _check_choices(estimation, tests)
        return [no_row(name, reason, len(x))] * len(tests)
    centre = x.mean()
    design = np.column_stack([np.ones_like(x), x - centre])
    how = {"estimation": estimation, "tests": tests}
    rows = rows_of(mixed_model_effect)(design, y, patient, 1, name, **how)
    for row in rows:
        if "intercept" in row:
            row["intercept"] -= row["estimate"] * centre
    return rows


@as_table
def mixed_model_effect(
    design: ArrayLike,
    y: ArrayLike,
    patient: ArrayLike,
    column: int,
    name: str,
    *,
    estimation: str = "REML",
    tests: Sequence[str] = TESTS[:1],
) -> list[Row]:
    """Test one of several fixed effects; `mixed_model_slope` says what the choices and columns are.

    Parameters
    ----------
    design : (n, p) array_like
        Fixed effects, the first being a column of ones; finite.
    y, patient : (n,) array_like
        Outcome, and whose sample each row is.
    column, name
        Which effect is tested, and what it is called.

    Examples
    --------
    >>> design = np.column_stack([np.ones(6), [0.0, 1, 2, 0, 1, 2]])
    >>> y = [1.0, 2.1, 2.9, 3.0, 4.2, 4.9]
    >>> row = mixed_model_effect(design, y, ["a", "a", "a", "b", "b", "b"], 1, "slope")
    >>> row[["estimate", "df"]].round(2)
       estimate   df
    0      0.95  3.0
    """
    _check_choices(estimation, tests)
    n = len(np.asarray(y))
    try:
        fit = fit_random_intercept(design, y, patient, estimation=estimation)
    except ValueError as error:
        return [no_row(name, str(error), n)] * len(tests)
    known = dict(zip(TESTS, (fit.df[column], n - float(np.shape(design)[1]), np.inf), strict=True))
    effect, se = fit.beta[column], fit.se[column]
    dfs = np.array([known[test] for test in tests])
    halves = stats.t.isf((1 - CONFIDENCE) / 2, dfs) * se
    ps = 2 * np.asarray(stats.t.sf(abs(effect / se), dfs))
    return [
        row_of(
            name,
            effect,
            ci=(effect - half, effect + half),
            p=p,
            n=n,
            note="singular fit: the patient variance is 0" if fit.singular else "",
            se=se,
            df=df,
            intercept=fit.beta[0],
            var_patient=fit.var_patient,
            var_residual=fit.var_residual,
            icc=fit.var_patient / (fit.var_patient + fit.var_residual),
            n_patients=fit.n_patients,
        )
        for df, half, p in zip(dfs, halves, ps, strict=True)
    ]


def _check_choices(estimation: str, tests: Sequence[str]) -> None:
    if estimation not in ("REML", "ML"):
        raise ValueError(f"estimation is {estimation!r}; expected 'REML' or 'ML'")
    for test in tests:
        if test not in TESTS:
            raise ValueError(f"test is {test!r}; expected 'satterthwaite', 'wald-t' or 'wald-z'")
