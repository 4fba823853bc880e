"""Mixed models of many candidate cohorts at once, and how their slope and p answer to each number.

The model is `cpmlib.statistics.mixed_model`; the derivatives follow from the implicit function
theorem.

Vocabulary
----------
- *z of p*: standard normal quantile with the slope's two-sided p, carrying the slope's sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from cpmlib.statistics.profiled_deviance import ProfiledDeviance
from cpmsurrogate.calibration.rows import OUTCOME


class MixedModels:
    """Fits H&E = a + b x + patient + error for several (predictor, subset) pairs.

    Parameters
    ----------
    patient : (N,) int
        Whose sample each is.
    lines
        For each model: index of the predictor's row, samples in the model (N,) bool.
    reml, test
        As in `cpmlib.statistics.mixed_model.mixed_model_slope`.

    Examples
    --------
    >>> patient = np.array([0, 0, 0, 1, 1, 1])
    >>> models = MixedModels(patient, [(0, np.ones(6, bool))])
    >>> x, y = [0.0, 1, 2, 0, 1, 2], [1.0, 2.1, 2.9, 3.0, 4.2, 4.9]
    >>> models.fit(np.array([[x, x, y]]))[0].round(2)
    array([[0.95]])
    """

    def __init__(
        self,
        patient: np.ndarray,
        lines: Sequence[tuple[int, np.ndarray]],
        *,
        reml: bool = True,
        test: str = "satterthwaite",
    ) -> None:
        self.predictor = np.array([line[0] for line in lines], dtype=int)
        self.index = [np.flatnonzero(line[1]) for line in lines]
        self.group = [np.unique(patient[i], return_inverse=True)[1] for i in self.index]
        self.reml, self.test = reml, test

    def _profile(self, line: int, x: np.ndarray, y: np.ndarray) -> ProfiledDeviance:
        design = np.stack([np.ones_like(x), x - x.mean(axis=-1, keepdims=True)], axis=-1)
        centred = y - y.mean(axis=-1, keepdims=True)
        return ProfiledDeviance(design, centred, self.group[line], self.reml)

    def _solve(
        self, profile: ProfiledDeviance, ratio: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Slope, z of p, and the deviance's first two derivatives at the ratios, (B,) each."""
        at = profile.derivatives(ratio[:, None])
        b = at.beta[:, 0, 1]
        t = b / np.sqrt(at.rss[:, 0] / profile.dof * at.inverse[:, 0, 1, 1])
        if self.test == "wald-z":
            return b, t, at.slope[:, 0], at.curve[:, 0]
        if self.test == "wald-t":
            df = np.full(len(b), profile.each.sum() - 2)
        else:
            df = profile.satterthwaite(ratio[:, None], at)[:, 0, 1]
            df = np.where(np.isfinite(df) & (df > 1), df, 1.0)
        z = -np.sign(t) * special.ndtri(special.stdtr(df, -np.abs(t)))
        return b, z, at.slope[:, 0], at.curve[:, 0]

    def fit(self, cohorts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope and z of p of every model in every cohort (B, V, N), (B, L) each."""
        found = np.empty((2, len(cohorts), len(self.index)))
        for line, (v, index) in enumerate(zip(self.predictor, self.index, strict=True)):
            profile = self._profile(line, cohorts[:, v, index], cohorts[:, OUTCOME, index])
            found[:, :, line] = self._solve(profile, profile.best_ratios())[:2]
        return found[0], found[1]

    def gradients(self, cohort: np.ndarray, line: int) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of one model's slope and z of p by every number of a cohort, (V, N) each.

        The explicit part is a central difference at a fixed ratio, all measurements at once; the
        part through the ratio follows from the deviance's slope staying zero.
        """
        index = self.index[line]
        x, y = cohort[self.predictor[line], index], cohort[OUTCOME, index]
        ratio = self._profile(line, x[None], y[None]).best_ratios()[0]
        n, step_x, step_y = len(index), 1e-3 * x.std(), 1e-3 * y.std()
        move, none = np.eye(n), np.zeros((n, n))
        up_x, up_y = np.concatenate([move, none]) * step_x, np.concatenate([none, move]) * step_y
        xs, ys = (np.concatenate([v + up, v - up, v[None]]) for v, up in ((x, up_x), (y, up_y)))
        profile = self._profile(line, xs, ys)
        b, z, slope, curve = self._solve(profile, np.full(len(xs), ratio))
        gap = np.repeat([2 * step_x, 2 * step_y], n)

        def central(v: np.ndarray) -> np.ndarray:
            return (v[: 2 * n] - v[2 * n : 4 * n]) / gap

        change = np.stack([central(b), central(z)])
        if ratio > 0 and curve[-1] > 0:
            around = np.array([ratio + 1e-4 * (1 + ratio), ratio - min(1e-4, 0.5 * ratio)])
            pair = self._profile(line, np.stack([x, x]), np.stack([y, y]))
            b2, z2, _, _ = self._solve(pair, around)
            by_ratio = -central(slope) / curve[-1] / (around[0] - around[1])
            change += np.outer([b2[0] - b2[1], z2[0] - z2[1]], by_ratio)
        result = np.zeros((2, *cohort.shape))
        result[:, self.predictor[line], index] = change[:, :n]
        result[:, OUTCOME, index] = change[:, n:]
        return result[0], result[1]
