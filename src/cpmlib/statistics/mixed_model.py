r"""Linear mixed model with a random intercept for each patient.

.. math:: y_{ij} = x_{ij}^\top \beta + b_i + e_{ij}, \quad
          b_i \sim N(0, \sigma_b^2), \; e_{ij} \sim N(0, \sigma^2)

With one random intercept everything depends on one number, the variance ratio
:math:`\lambda = \sigma_b^2 / \sigma^2`. The deviance is profiled over it (Bates et al. 2015,
J Stat Softw 67(1), section 3), its derivative is exact, and the best root, or the boundary
:math:`\lambda = 0`, is the estimate: there is nothing that could fail to converge.

Vocabulary
----------
- *REML, ML*: restricted and ordinary maximum likelihood.
- *singular fit*: the estimated patient variance is 0; the model is then ordinary least squares.
- *Satterthwaite*: degrees of freedom from the variance of the estimated variance of a coefficient
  (Kuznetsova et al. 2017, J Stat Softw 82(13)). In a singular fit they are n - p (REML) or
  n (ML), the limit that lmerTest reports too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats

from cpmlib.statistics.results import CONFIDENCE, not_estimable, one_row, why_not_estimable

LARGEST_SHARE = 1 - 1e-9
"""Largest share of the variance that may lie between patients."""

SHARES = np.linspace(0, LARGEST_SHARE, 96)
RATIOS = SHARES / (1 - SHARES)
"""Variance ratios at which the derivative's sign is looked at, even in the share of variance."""

COARSE_SHARES = 0.98 * (np.arange(20) / 19) ** 2 * (3 - 2 * np.arange(20) / 19)
NEWTON_STEPS = 10
"""Shares of variance between patients at which the deviances of a stack are compared, and Newton's
steps from the best of them."""

NO_UNIQUE_SOLUTION = "the fixed effects have no unique solution"

ROUNDING = 1e-12
"""Residuals below this part of the largest outcome are rounding errors."""


@dataclass(frozen=True)
class MixedModelFit:
    """A fitted random-intercept model.

    Parameters
    ----------
    beta, covariance : (p,), (p, p)
        Fixed effects and their covariance.
    var_patient, var_residual : float
        Variance between patients and within, in the squared unit of the outcome.
    df : (p,)
        Satterthwaite degrees of freedom of each fixed effect.
    log_likelihood : float
        At the optimum; restricted under REML.
    n, n_patients : int
        Samples and patients.
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


class Derivatives(NamedTuple):
    """Fit at given variance ratios, (..., R) each, and derivatives of the deviance by the ratio.

    ``first`` is the derivative of [X y]' V^-1 [X y], ``rss_1`` and ``rss_2`` are those of the
    residual sum of squares, ``fixed`` the second derivative at a fixed residual variance;
    ``slope`` and ``curve`` are those of the profiled deviance.
    """

    beta: np.ndarray
    inverse: np.ndarray
    rss: np.ndarray
    first: np.ndarray
    rss_1: np.ndarray
    rss_2: np.ndarray
    fixed: np.ndarray
    slope: np.ndarray
    curve: np.ndarray


class ProfiledDeviance:
    """The deviance as a function of the variance ratio, for one data set or a stack of them.

    The data enter only by cross-products of [X y]: ``within`` patients (each centred on its own
    mean) and ``sums``, those of the patients' totals, added up over patients of equal size. Both
    parts are sums of squares, so nothing cancels however large the variance ratio is.

    Parameters
    ----------
    design, y : (..., n, p), (..., n)
        Fixed effects and outcome.
    group : (n,) int
        Whose sample each row is, 0 to P - 1; the same in the whole stack.
    reml
        Whether by restricted maximum likelihood.

    Notes
    -----
    The methods take ratios (..., R): R of them for each data set of the stack.

    Examples
    --------
    >>> x = np.array([0.0, 1, 2, 0, 1, 2])
    >>> y = np.array([[1.0, 2.1, 2.9, 3.0, 4.2, 4.9], [1.0, 2, 4, 1, 2, 3]])
    >>> design = np.broadcast_to(np.column_stack([np.ones(6), x]), (2, 6, 2))
    >>> deviance = ProfiledDeviance(design, y, np.array([0, 0, 0, 1, 1, 1]), True)
    >>> deviance.derivatives(deviance.best_ratios()[:, None]).beta[:, 0, 1].round(2)
    array([0.95, 1.25])
    """

    def __init__(self, design: np.ndarray, y: np.ndarray, group: np.ndarray, reml: bool) -> None:
        z = np.concatenate([design, y[..., None]], axis=-1)
        n, self.p = design.shape[-2:]
        size = np.bincount(group)
        total = np.zeros((len(size), *z.shape[:-2], self.p + 1))
        np.add.at(total, group, np.moveaxis(z, -2, 0))
        total = np.moveaxis(total, 0, -2)
        centred = z - (total / size[:, None])[..., group, :]
        self.within = centred.mT @ centred
        products = (total[..., :, None] * total[..., None, :]).reshape(*total.shape[:-1], -1)
        counts = np.bincount(size)
        sizes = counts.nonzero()[0]
        self.sums = (size == sizes[:, None]).astype(float) @ products
        self.size, self.count = sizes.astype(float), counts[sizes].astype(float)
        self.total, self.each = total[..., : self.p], size.astype(float)
        self.reml = reml
        self.dof = n - self.p if reml else n

    def _weighted(self, weights: np.ndarray) -> np.ndarray:
        products = weights @ self.sums
        return products.reshape(*products.shape[:-1], self.p + 1, self.p + 1)

    def _moments(self, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """1 + ratio * size, [X y]' V^-1 [X y] for V = I + ratio Z Z', and its derivative."""
        scale = 1 + ratio[..., None] * self.size
        m = self.within[..., None, :, :] + self._weighted(1 / (scale * self.size))
        return scale, m, -self._weighted(1 / scale**2)

    def _solve(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fixed effects, inverse of X'V^-1 X, residual sum of squares."""
        p = self.p
        inverse = np.linalg.inv(m[..., :p, :p])
        beta = (inverse @ m[..., :p, p:])[..., 0]
        return beta, inverse, m[..., p, p] - (beta * m[..., :p, p]).sum(axis=-1)

    def slope(self, ratio: np.ndarray) -> np.ndarray:
        """First derivative of the profiled deviance, (..., R)."""
        p = self.p
        scale, m, first = self._moments(ratio)
        beta, inverse, rss = self._solve(m)
        u = np.concatenate([-beta, np.ones((*beta.shape[:-1], 1))], axis=-1)
        rss_1 = (u * (first @ u[..., None])[..., 0]).sum(axis=-1)
        value = (self.size / scale) @ self.count + self.dof * rss_1 / rss
        if self.reml:
            value = value + (inverse * first[..., :p, :p]).sum(axis=(-2, -1))
        return value

    def deviance(self, ratio: np.ndarray) -> np.ndarray:
        """-2 log likelihood, profiled over the residual variance, (..., R)."""
        scale, m, _ = self._moments(ratio)
        _, inverse, rss = self._solve(m)
        value = np.log(scale) @ self.count + self.dof * (1 + np.log(2 * np.pi * rss / self.dof))
        return value - np.linalg.slogdet(inverse)[1] if self.reml else value

    def derivatives(self, ratio: np.ndarray) -> Derivatives:
        """Solution at each ratio, with what `satterthwaite` and Newton's steps need."""
        p = self.p
        scale, m, first = self._moments(ratio)
        second = self._weighted(2 * self.size / scale**3)
        beta, inverse, rss = self._solve(m)
        u = np.concatenate([-beta, np.ones((*beta.shape[:-1], 1))], axis=-1)[..., None]
        w = (first @ u)[..., :p, :]
        rss_1 = (u.mT @ first @ u)[..., 0, 0]
        rss_2 = (u.mT @ second @ u - 2 * w.mT @ inverse @ w)[..., 0, 0]
        fixed = -((self.size / scale) ** 2) @ self.count
        slope = (self.size / scale) @ self.count + self.dof * rss_1 / rss
        if self.reml:
            step = inverse @ first[..., :p, :p]
            crossed = (inverse * second[..., :p, :p]).sum(axis=(-2, -1))
            fixed = fixed + (crossed - np.trace(step @ step, axis1=-2, axis2=-1))
            slope = slope + np.trace(step, axis1=-2, axis2=-1)
        curve = fixed + self.dof * (rss_2 / rss - (rss_1 / rss) ** 2)
        return Derivatives(beta, inverse, rss, first, rss_1, rss_2, fixed, slope, curve)

    def separable(self) -> bool:
        """Whether the two variances of a single data set can be told apart.

        They cannot if the variance matrix of the n - p error contrasts is a multiple of the
        identity whatever the ratio, as with three samples of two patients and a slope: the
        likelihood is then flat. All eigenvalues are equal if tr(A)^2 = (n - p) tr(A A), with A
        the part of Z'Z that the fixed effects leave.
        """
        x = slice(0, self.p)
        crossed = (self.within + self._weighted(1 / self.size))[x, x]
        left = -self.total @ np.linalg.solve(crossed, self.total.T)
        left[np.diag_indices_from(left)] += self.each
        contrasts = int(self.each.sum()) - self.p
        squares = contrasts * (left**2).sum()
        return bool(squares - np.trace(left) ** 2 > 1e-9 * contrasts * (self.each**2).sum())

    def best_ratio(self) -> float:
        """Minimise the deviance of a single data set: the boundary, or the derivative's best root.

        To the last digit, and whichever of several minima is the lowest.
        """
        slopes = self.slope(RATIOS)
        candidates = [0.0] if slopes[0] >= 0 else []
        for i in ((slopes[:-1] < 0) & (slopes[1:] >= 0)).nonzero()[0]:
            # The logarithm makes the last, very wide step as easy as the others.
            low, high = np.log1p(RATIOS[i]), np.log1p(RATIOS[i + 1])
            root = optimize.brentq(
                lambda t: self.slope(np.expm1([t])).item(), low, high, xtol=1e-15, rtol=1e-14
            )
            candidates.append(float(np.expm1(root)))
        if slopes[-1] < 0:
            candidates.append(float(RATIOS[-1]))
        if len(candidates) == 1:
            return candidates[0]
        return min(candidates, key=lambda ratio: self.deviance(np.array([ratio])).item())

    def best_ratios(self) -> np.ndarray:
        """Ratio with the least deviance for each data set of a stack.

        Newton's steps inside the bracket that a coarse grid gives: for the well-behaved data of a
        search, fifty times as fast as `best_ratio`, and to the eight digits that ten steps leave.
        """
        grid = COARSE_SHARES / (1 - COARSE_SHARES)
        best = self.deviance(grid).argmin(axis=-1)
        low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
        ratio = np.where(best == 0, 0.25 * high, grid[best])
        for _ in range(NEWTON_STEPS):
            found = self.derivatives(ratio[..., None])
            slope, curve = found.slope[..., 0], found.curve[..., 0]
            low, high = np.where(slope < 0, ratio, low), np.where(slope < 0, high, ratio)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = ratio - slope / curve
            inside = (curve > 0) & (step >= low) & (step <= high)
            ratio = np.where(inside, step, 0.5 * (low + high))
        return np.where((low == 0) & (high < 1e-4), 0.0, ratio)

    def satterthwaite(self, ratio: np.ndarray, at: Derivatives) -> np.ndarray:
        """Degrees of freedom 2 f^2 / (grad f' A grad f) of each fixed effect, (..., R, p).

        f is the variance of the effect as a function of (ratio, residual variance) and A twice
        the inverse Hessian of the deviance (Kuznetsova et al. 2017, equation 8). At a stationary
        point the result does not depend on how the two variances are parametrised.
        """
        p = self.p
        variance = at.rss / self.dof
        cross = -at.rss_1 / variance**2
        rows = [at.fixed + at.rss_2 / variance, cross, cross, self.dof / variance**2]
        spread = 2 * np.linalg.inv(np.stack(rows, axis=-1).reshape(*variance.shape, 2, 2))
        f = np.diagonal(at.inverse, axis1=-2, axis2=-1)
        change = at.inverse @ at.first[..., :p, :p] @ at.inverse
        by_ratio = -variance[..., None] * np.diagonal(change, axis1=-2, axis2=-1)
        gradient = np.stack([by_ratio, f], axis=-1)
        bottom = np.einsum("...ij,...jk,...ik->...i", gradient, spread, gradient)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = 2 * (variance[..., None] * f) ** 2 / bottom
        return np.where(ratio[..., None] > 0, df, float(self.dof))


def fit_random_intercept(
    design: ArrayLike, y: ArrayLike, patient: ArrayLike, *, estimation: str = "REML"
) -> MixedModelFit:
    """Fit fixed effects with a random intercept for each patient.

    Parameters
    ----------
    design : (n, p) array_like
        Fixed effects, a column of ones included; of full rank, p < n.
    y : (n,) array_like
        Outcome.
    patient : (n,) array_like
        Whose sample each row is.
    estimation
        ``"REML"`` or ``"ML"``.

    Returns
    -------
    MixedModelFit

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
    n, p = design.shape
    if not n == len(y) == len(group):
        raise ValueError(f"lengths differ: design {n}, outcome {len(y)}, patient {len(group)}")
    if estimation not in ("REML", "ML"):
        raise ValueError(f"estimation is {estimation!r}; expected 'REML' or 'ML'")
    if not (np.isfinite(design).all() and np.isfinite(y).all()):
        raise ValueError("found NaN or infinity; the model needs finite values")
    n_patients = int(group.max()) + 1 if n else 0
    if n_patients < 2:
        raise ValueError("all samples are of one patient")
    if n_patients == n:
        raise ValueError("no patient has two samples")
    # Column lengths of 1 and the residuals of the ordinary fit, also of length 1, keep every
    # digit whatever the units, and however close to the line the outcome is.
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
    profile = ProfiledDeviance(scaled, residual / unit, group, estimation == "REML")
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
        n_patients=n_patients,
    )


def _complete(
    x: ArrayLike, y: ArrayLike, patient: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    patient = np.asarray(patient)
    if not len(x) == len(y) == len(patient):
        raise ValueError(f"lengths differ: x {len(x)}, y {len(y)}, patient {len(patient)}")
    kept = ~(np.isnan(x) | np.isnan(y))
    return x[kept], y[kept], patient[kept]


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
    x, y : (n,) array_like
        Predictor and outcome; rows with a NaN are left out.
    patient : (n,) array_like
        Whose sample each row is.
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
    if test not in ("satterthwaite", "wald-t", "wald-z"):
        raise ValueError(f"test is {test!r}; expected 'satterthwaite', 'wald-t' or 'wald-z'")
    x, y, patient = _complete(x, y, patient)
    name = "mixed-model slope"
    reason = why_not_estimable(x, y)
    if reason:
        return not_estimable(name, reason, len(x))
    centre = x.mean()
    design = np.column_stack([np.ones_like(x), x - centre])
    if estimation not in ("REML", "ML"):
        raise ValueError(f"estimation is {estimation!r}; expected 'REML' or 'ML'")
    try:
        fit = fit_random_intercept(design, y, patient, estimation=estimation)
    except ValueError as error:
        return not_estimable(name, str(error), len(x))
    df = {"satterthwaite": fit.df[1], "wald-t": len(x) - 2.0, "wald-z": np.inf}[test]
    slope, se = fit.beta[1], fit.se[1]
    half = stats.t.isf((1 - CONFIDENCE) / 2, df) * se
    return one_row(
        name,
        slope,
        ci=(slope - half, slope + half),
        p=2 * stats.t.sf(abs(slope / se), df),
        n=len(x),
        note="singular fit: the patient variance is 0" if fit.singular else "",
        se=se,
        df=df,
        intercept=fit.beta[0] - slope * centre,
        var_patient=fit.var_patient,
        var_residual=fit.var_residual,
        icc=fit.var_patient / (fit.var_patient + fit.var_residual),
        n_patients=fit.n_patients,
    )
