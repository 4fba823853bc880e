r"""Deviance of the mixed model with one random intercept, profiled over the variance ratio.

For one data set (`cpmlib.statistics.mixed_model`) or for a stack of them, all with the same
patients (Bates et al. 2015, J Stat Softw 67(1), section 3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize

SHARES = np.linspace(0, 1 - 1e-9, 96)
RATIOS = SHARES / (1 - SHARES)
"""Variance ratios at which the derivative's sign is looked at, even in the share of variance that
lies between patients."""

COARSE_SHARES = 0.98 * (np.arange(20) / 19) ** 2 * (3 - 2 * np.arange(20) / 19)
NEWTON_STEPS = 10
"""Shares of variance between patients at which the deviances of a stack are compared, and Newton's
steps from the best of them."""


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
