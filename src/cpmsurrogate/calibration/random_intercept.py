r"""The mixed model of many candidate cohorts at once, with derivatives.

The library's `cpmlib.statistics.mixed_model` fits one model and is the judge; here the same model
(one predictor, one random intercept for each patient) is fitted for a stack of cohorts, and the
derivatives of slope and p by each measurement follow from the implicit function theorem.

Vocabulary
----------
cross-products : the six sums [11, 1x, xx, 1y, xy, yy]; all that the model needs of the data.
ratio : variance between patients over variance within.
z of p : standard normal quantile with the slope's two-sided p, carrying the slope's sign.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

SHARES = 0.98 * (np.arange(20) / 19) ** 2 * (3 - 2 * np.arange(20) / 19)
"""Shares of variance between patients at which the deviance is compared before a root is sought."""

NEWTON_STEPS = 10


@dataclass(frozen=True)
class Fits:
    """Fitted models; every array has the shape of the stack.

    Parameters
    ----------
    slope, z_of_p, ratio : numpy.ndarray
        Fixed slope, z of p, variance ratio.
    """

    slope: np.ndarray
    z_of_p: np.ndarray
    ratio: np.ndarray


def _six(a: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([a * a, a * x, x * x, a * y, x * y, y * y], axis=-1)


class RandomIntercepts:
    """Fits y = a + b x + patient + error for several (predictor, subset) pairs.

    Parameters
    ----------
    patient : (N,) int
        Whose sample each is, 0 to P - 1.
    lines
        For each model: index of the predictor's row, samples in the model (N,) bool.
    outcome
        Index of the outcome's row.
    reml : bool
        Restricted maximum likelihood instead of maximum likelihood.
    test
        ``"satterthwaite"``, ``"wald-t"`` or ``"wald-z"``.

    Examples
    --------
    >>> patient = np.array([0, 0, 0, 1, 1, 1])
    >>> model = RandomIntercepts(patient, [(0, np.ones(6, bool))], 1)
    >>> x, y = [0.0, 1, 2, 0, 1, 2], [1.0, 2.1, 2.9, 3.0, 4.2, 4.9]
    >>> model.fit(np.array([[x, y]])).slope.round(2)
    array([[0.95]])
    """

    def __init__(
        self,
        patient: np.ndarray,
        lines: Sequence[tuple[int, np.ndarray]],
        outcome: int,
        *,
        reml: bool = True,
        test: str = "satterthwaite",
    ) -> None:
        self.predictor = np.array([line[0] for line in lines], dtype=int)
        self.mask = np.array([line[1] for line in lines], dtype=float)
        self.outcome = outcome
        self.indicator = (patient[:, None] == np.arange(patient.max() + 1)).astype(float)
        self.size = self.mask @ self.indicator
        self.n = self.mask.sum(1)
        self.dof = self.n - 2 if reml else self.n
        self.reml, self.test = reml, test

    def _centred(self, cohorts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take x and y of every model, (B, L, N), centred in the subset and 0 outside it."""
        x, y = cohorts[:, self.predictor], cohorts[:, self.outcome][:, None]
        x = (x - ((x * self.mask).sum(-1) / self.n)[..., None]) * self.mask
        y = (y - ((y * self.mask).sum(-1) / self.n)[..., None]) * self.mask
        return x, y

    def _products(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cross-products in all, (B, L, 6), and of the sums over patients, (B, L, P, 6)."""
        total = _six(np.broadcast_to(self.mask, x.shape), x, y).sum(axis=-2)
        sx, sy = x @ self.indicator, y @ self.indicator
        return total, _six(np.broadcast_to(self.size, sx.shape), sx, sy)

    @staticmethod
    def _solve(m: np.ndarray) -> tuple[np.ndarray, ...]:
        det = m[..., 0] * m[..., 2] - m[..., 1] ** 2
        a = (m[..., 2] * m[..., 3] - m[..., 1] * m[..., 4]) / det
        b = (m[..., 0] * m[..., 4] - m[..., 1] * m[..., 3]) / det
        return det, a, b, m[..., 5] - a * m[..., 3] - b * m[..., 4]

    def _moments(
        self, total: np.ndarray, sums: np.ndarray, ratio: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cross-products weighted with V^-1, and their derivatives by the ratio."""
        scale = 1 + ratio[..., None] * self.size
        m = total - ((ratio[..., None] / scale)[..., None] * sums).sum(-2)
        first = -((1 / scale**2)[..., None] * sums).sum(-2)
        second = ((2 * self.size / scale**3)[..., None] * sums).sum(-2)
        return m, first, second

    def _deviance(self, total: np.ndarray, sums: np.ndarray, ratios: np.ndarray) -> np.ndarray:
        """Profiled deviance at common ratios, (..., len(ratios)), without constants."""
        scale = 1 + ratios[:, None] * self.size[:, None, :]
        m = total[..., None, :] - (ratios[:, None] / scale) @ sums
        det, _, _, rss = self._solve(m)
        value = np.log(scale).sum(-1) + self.dof[:, None] * np.log(rss)
        return value + np.log(det) if self.reml else value

    def _slope_and_curve(
        self, m: np.ndarray, first: np.ndarray, second: np.ndarray, ratio: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """First and second derivative of the profiled deviance by the ratio."""
        det, a, b, rss = self._solve(m)
        i11, i12, i22 = m[..., 2] / det, -m[..., 1] / det, m[..., 0] / det
        rss_1 = _quadratic(first, a, b)
        w1 = first[..., 3] - a * first[..., 0] - b * first[..., 1]
        w2 = first[..., 4] - a * first[..., 1] - b * first[..., 2]
        rss_2 = _quadratic(second, a, b) - 2 * (w1 * w1 * i11 + 2 * w1 * w2 * i12 + w2 * w2 * i22)
        scale = 1 + ratio[..., None] * self.size
        slope = (self.size / scale).sum(-1) + self.dof * rss_1 / rss
        fixed = -((self.size / scale) ** 2).sum(-1)
        f11, f12, f22 = first[..., 0], first[..., 1], first[..., 2]
        if self.reml:
            slope = slope + i11 * f11 + 2 * i12 * f12 + i22 * f22
            s11, s12 = i11 * f11 + i12 * f12, i11 * f12 + i12 * f22
            s21, s22 = i12 * f11 + i22 * f12, i12 * f12 + i22 * f22
            trace = s11**2 + 2 * s12 * s21 + s22**2
            fixed = fixed + i11 * second[..., 0] + 2 * i12 * second[..., 1] + i22 * second[..., 2]
            fixed = fixed - trace
        curve = fixed + self.dof * (rss_2 / rss - (rss_1 / rss) ** 2)
        gradient = i12**2 * f11 + 2 * i12 * i22 * f12 + i22**2 * f22
        parts = {
            "b": b, "rss": rss, "rss_1": rss_1, "rss_2": rss_2,
            "fixed": fixed, "i22": i22, "g22": gradient,
        }  # fmt: skip
        return slope, curve, parts

    def _z_of_p(self, parts: dict[str, np.ndarray], ratio: np.ndarray) -> np.ndarray:
        variance = parts["rss"] / self.dof
        t = parts["b"] / np.sqrt(variance * parts["i22"])
        if self.test == "wald-z":
            return t
        if self.test == "wald-t":
            df = np.broadcast_to(self.n - 2.0, t.shape)
        else:
            h11 = parts["fixed"] + parts["rss_2"] / variance
            h12 = -parts["rss_1"] / variance**2
            h22 = self.dof / variance**2
            g1, g2 = -variance * parts["g22"], parts["i22"]
            spread = 2 * (g1 * g1 * h22 - 2 * g1 * g2 * h12 + g2 * g2 * h11)
            spread = spread / (h11 * h22 - h12**2)
            with np.errstate(divide="ignore", invalid="ignore"):
                df = 2 * (variance * parts["i22"]) ** 2 / spread
            df = np.where(ratio > 0, df, self.dof)
            df = np.where(np.isfinite(df) & (df > 1), df, 1.0)
        return -np.sign(t) * special.ndtri(special.stdtr(df, -np.abs(t)))

    def _best_ratio(self, total: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Variance ratio with the least deviance; Newton steps inside the bracket from a grid."""
        grid = SHARES / (1 - SHARES)
        best = np.argmin(self._deviance(total, sums, grid), axis=-1)
        low = grid[np.maximum(best - 1, 0)]
        high = grid[np.minimum(best + 1, len(grid) - 1)]
        ratio = grid[best].astype(float)
        ratio = np.where(ratio == 0, 0.25 * high, ratio)
        for _ in range(NEWTON_STEPS):
            slope, curve, _ = self._slope_and_curve(*self._moments(total, sums, ratio), ratio)
            low = np.where(slope < 0, ratio, low)
            high = np.where(slope < 0, high, ratio)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = ratio - slope / curve
            inside = (curve > 0) & (step >= low) & (step <= high)
            ratio = np.where(inside, step, 0.5 * (low + high))
        return np.where((low == 0) & (high < 1e-4), 0.0, ratio)

    def fit(self, cohorts: np.ndarray) -> Fits:
        """Fit every model in every cohort, (B, V, N); the results are (B, L)."""
        total, sums = self._products(*self._centred(cohorts))
        ratio = self._best_ratio(total, sums)
        m, first, second = self._moments(total, sums, ratio)
        _, _, parts = self._slope_and_curve(m, first, second, ratio)
        return Fits(parts["b"], self._z_of_p(parts, ratio), ratio)

    def gradients(self, cohort: np.ndarray, line: int) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of one model's slope and z of p by every number of a cohort, (V, N) each.

        The explicit part is a central difference at a fixed ratio, all measurements at once; the
        part through the ratio follows from the deviance's slope staying zero.
        """
        one = self._only(line)
        x, y = (v[0, 0] for v in one._centred(cohort[None]))
        index = np.flatnonzero(one.mask[0])
        n, width = len(index), cohort.shape[1]
        ratio = one._best_ratio(*one._products(x[None, None], y[None, None]))[0, 0]
        step_x, step_y = 1e-3 * x[index].std(), 1e-3 * y[index].std()
        eye = np.zeros((n, width))
        eye[np.arange(n), index] = 1.0
        none = np.zeros_like(eye)
        up_x, up_y = np.concatenate([eye, none]) * step_x, np.concatenate([none, eye]) * step_y
        xs = np.concatenate([x + up_x, x - up_x, x[None]])[:, None]
        ys = np.concatenate([y + up_y, y - up_y, y[None]])[:, None]
        products = one._products(xs, ys)

        def at(ratios: np.ndarray, total: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, ...]:
            moments = one._moments(total, sums, ratios)
            slope, curve, parts = one._slope_and_curve(*moments, ratios)
            return slope[:, 0], curve[:, 0], parts["b"][:, 0], one._z_of_p(parts, ratios)[:, 0]

        slope, curve, b, z = at(np.full((len(xs), 1), ratio), *products)
        gap = np.repeat([2 * step_x, 2 * step_y], n)

        def central(v: np.ndarray) -> np.ndarray:
            return (v[: 2 * n] - v[2 * n : 4 * n]) / gap

        db, dz = central(b), central(z)
        if ratio > 0 and curve[-1] > 0:
            around = np.array([[ratio + 1e-4 * (1 + ratio)], [ratio - min(1e-4, 0.5 * ratio)]])
            base = (np.repeat(part[-1:], 2, axis=0) for part in products)
            _, _, b2, z2 = at(around, *base)
            by_ratio = -central(slope) / curve[-1] / (around[0, 0] - around[1, 0])
            db = db + by_ratio * (b2[0] - b2[1])
            dz = dz + by_ratio * (z2[0] - z2[1])
        result = np.zeros((2, *cohort.shape))
        for row, d in zip(result, (db, dz), strict=True):
            row[self.predictor[line], index] = d[:n]
            row[self.outcome, index] = d[n:]
        return result[0], result[1]

    def _only(self, line: int) -> RandomIntercepts:
        """Return the same with one model."""
        one = copy.copy(self)
        for name in ("predictor", "mask", "size", "n", "dof"):
            setattr(one, name, getattr(self, name)[line : line + 1])
        present = one.size[0] > 0
        one.size, one.indicator = one.size[:, present], one.indicator[:, present]
        return one


def _quadratic(m: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return u' M u for u = (-a, -b, 1)."""
    value = a * a * m[..., 0] + 2 * a * b * m[..., 1] + b * b * m[..., 2]
    return value - 2 * a * m[..., 3] - 2 * b * m[..., 4] + m[..., 5]
