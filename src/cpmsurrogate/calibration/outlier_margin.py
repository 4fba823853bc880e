r"""How far every sample is from changing sides in ROUT, for many candidate cohorts at once.

The library's `cpmlib.statistics.rout` decides who is an outlier. A search needs to know how
*nearly* a sample is one: the ratio of its residual to the critical residual of its rank. A cohort
in which all ratios stay clear of 1 keeps its outliers when a number is rounded differently.

Vocabulary
----------
ratio : |residual| / RSDR over the t value that ROUT would need at the sample's rank.
intended outliers : the samples that the design means to be excluded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from cpmlib.statistics.rout import P68, SHARE_NEVER_TESTED

FIRST_STEPS = 80
"""Reweighting steps from the least-squares line."""

EXACT_STEPS = 1000
"""Reweighting steps where the last word is spoken; convergence can be slow."""

WARM_STEPS = 6
"""Reweighting steps from the robust line of the previous, nearly equal, cohort."""

BLUR = 0.12
"""Width, relative to P68, over which the percentile's derivative is spread."""


def critical_values(n: int, q: float, k: int = 2) -> np.ndarray:
    """Critical |residual| / RSDR of each rank; infinite where ROUT does not test.

    Parameters
    ----------
    n, q, k
        Points, false discovery rate, fitted parameters.

    Returns
    -------
    numpy.ndarray
        (n,), by ascending size of the residual.

    Examples
    --------
    >>> critical_values(10, 0.01)[[0, -1]].round(2)
    array([ inf, 5.04])
    """
    rank = np.arange(1, n + 1)
    with np.errstate(divide="ignore"):
        critical = stats.t.isf(q * (n - rank + 1) / n / 2, n - k)
    return np.where(rank >= int(SHARE_NEVER_TESTED * n), critical, np.inf)


class OutlierMargins:
    """ROUT about the lines of one outcome on several (subset, predictor) pairs.

    Parameters
    ----------
    lines
        For each: index of the predictor's row, subset (N,) bool, intended outliers (N,) bool.
    outcome
        Index of the outcome's row.
    q
        False discovery rate of ROUT.

    Examples
    --------
    >>> x = np.arange(12.0)
    >>> y = 2 * x + np.tile([0.1, -0.1, 0.05, -0.05], 3)
    >>> y[4] += 9
    >>> margins = OutlierMargins([(0, np.ones(12, bool), np.arange(12) == 4)], 1, 0.01)
    >>> inside, outside = margins.values(np.stack([x, y])[None])
    >>> bool(inside[0, 0] < 1), bool(outside[0, 0] > 1)
    (True, True)
    """

    def __init__(
        self, lines: Sequence[tuple[int, np.ndarray, np.ndarray]], outcome: int, q: float
    ) -> None:
        self.predictor = np.array([line[0] for line in lines])
        self.outcome = outcome
        self.n = np.array([int(line[1].sum()) for line in lines])
        longest = int(self.n.max())
        self.index = np.zeros((len(lines), longest), dtype=int)
        self.valid = np.zeros((len(lines), longest))
        self.intended = np.zeros((len(lines), longest), dtype=bool)
        self.critical = np.full((len(lines), longest), np.inf)
        for i, (_, subset, outliers) in enumerate(lines):
            where = np.flatnonzero(subset)
            self.index[i, : len(where)] = where
            self.valid[i, : len(where)] = 1
            self.intended[i, : len(where)] = outliers[where]
            self.critical[i, : len(where)] = critical_values(len(where), q)
        self.n_outliers = self.intended.sum(axis=1)
        position = P68 / 100 * (self.n - 1)
        self.below = position.astype(int)
        self.part = position - self.below
        rows = np.arange(len(lines))
        self.last_inside = self.critical[rows, self.n - self.n_outliers - 1]
        self.first_outside = self.critical[rows, np.minimum(self.n - self.n_outliers, self.n - 1)]

    def _take(self, cohorts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = cohorts[:, self.predictor[:, None], self.index]
        y = cohorts[:, self.outcome][:, self.index]
        return x, y

    def _rsdr(self, size: np.ndarray) -> np.ndarray:
        ordered = np.sort(np.where(self.valid > 0, size, np.inf), axis=-1)
        rows = np.arange(len(self.n))
        low = ordered[:, rows, self.below]
        high = ordered[:, rows, np.minimum(self.below + 1, self.n - 1)]
        return (low + self.part * (high - low)) * self.n / (self.n - 2)

    def _reweight(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        total = weight.sum(-1, keepdims=True)
        mx = (weight * x).sum(-1, keepdims=True) / total
        my = (weight * y).sum(-1, keepdims=True) / total
        dx = weight * (x - mx)
        b = (dx * (y - my)).sum(-1, keepdims=True) / (dx * (x - mx)).sum(-1, keepdims=True)
        return my - b * mx, b

    def fit(
        self, cohorts: np.ndarray, start: np.ndarray | None = None, steps: int = FIRST_STEPS
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Robust lines: residuals (B, L, longest), RSDR (B, L), coefficients (B, L, 2).

        ``start`` (L, 2) is the robust line of a nearly equal cohort, which saves steps; ``steps``
        are taken without it.
        """
        x, y = self._take(cohorts)
        if start is None:
            a, b = self._reweight(x, y, np.broadcast_to(self.valid, x.shape))
        else:
            a, b = start[None, :, :1], start[None, :, 1:]
            steps = WARM_STEPS
        for _ in range(steps):
            residual = y - a - b * x
            rsdr = self._rsdr(np.abs(residual))
            weight = self.valid / (1 + (residual / rsdr[..., None]) ** 2)
            a, b = self._reweight(x, y, weight)
        residual = y - a - b * x
        rsdr = self._rsdr(np.abs(residual))
        return residual, rsdr, np.concatenate([a, b], axis=-1)

    def ratios(self, residual: np.ndarray, rsdr: np.ndarray) -> np.ndarray:
        """Ratio of every sample, (B, L, longest); outliers by the first outlying rank."""
        t = np.where(self.valid > 0, np.abs(residual) / rsdr[..., None], -1.0)
        shift = t.shape[-1] - self.n
        rank = np.argsort(np.argsort(t, axis=-1, kind="stable"), axis=-1) - shift[:, None]
        rows = np.arange(len(self.n))[:, None]
        critical = self.critical[rows, np.clip(rank, 0, None)]
        # An insider that outranks an intended outlier must still obey the insiders' last limit.
        critical = np.minimum(critical, np.where(rank >= (self.n - self.n_outliers)[:, None],
                                                 self.last_inside[:, None], np.inf))  # fmt: skip
        critical = np.where(self.intended, self.first_outside[:, None], critical)
        return np.where(self.valid > 0, t / critical, 0.0)

    def values(
        self, cohorts: np.ndarray, start: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Largest ratio of the insiders and smallest of the outliers, (B, L) each."""
        residual, rsdr, _ = self.fit(cohorts, start)
        ratio = self.ratios(residual, rsdr)
        inside = np.where(self.intended, 0.0, ratio).max(-1)
        outside = np.where(self.intended, ratio, np.inf).min(-1)
        return inside, outside

    def gradients(
        self, cohort: np.ndarray, start: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of both values by every number of the cohort, (L, V, N) each."""
        residual, rsdr, line = self.fit(cohort[None], start)
        ratio = self.ratios(residual, rsdr)[0]
        inside = np.where(self.intended, -1.0, ratio).argmax(-1)
        outside = np.where(self.intended, ratio, np.inf).argmin(-1)
        x, _ = self._take(cohort[None])
        result = np.zeros((2, len(self.n), *cohort.shape))
        for i in range(len(self.n)):
            n = self.n[i]
            parts = _influence(x[0, i, :n], residual[0, i, :n], rsdr[0, i], line[0, i, 1])
            for j, k in enumerate((inside[i], outside[i])):
                if j == 1 and self.n_outliers[i] == 0:
                    continue
                dx, dy = _ratio_gradient(int(k), ratio[i, k], residual[0, i, :n], *parts)
                where = self.index[i, :n]
                result[j, i, self.predictor[i], where] += dx
                result[j, i, self.outcome, where] += dy
        return result[0], result[1]


def _influence(
    x: np.ndarray, r: np.ndarray, rsdr: float, b: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Response of every residual to every x and y, (n, n) each, and of log RSDR to residuals."""
    u2 = (r / rsdr) ** 2
    weight = 1 / (1 + u2)
    d = (1 - u2) * weight**2
    design = np.column_stack([np.ones_like(x), x - x.mean()])
    # Near-singular only if most residuals exceed the RSDR, which its definition prevents.
    inverse = np.linalg.inv(design.T @ (design * d[:, None]))
    by_y = inverse @ (design * d[:, None]).T
    by_x = -b * by_y + inverse @ np.stack([np.zeros_like(r), weight * r])
    n = len(x)
    drdy = np.eye(n) - design @ by_y
    drdx = -b * np.eye(n) - design @ by_x
    size = np.abs(r)
    p68 = rsdr * (n - 2) / n
    near = np.exp(-0.5 * ((size - p68) / (BLUR * p68)) ** 2) + 1e-12
    return drdx, drdy, near / near.sum() * np.sign(r) / p68


def _ratio_gradient(
    k: int, ratio: float, r: np.ndarray, drdx: np.ndarray, drdy: np.ndarray, dlog: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    own = 1 / r[k]
    return ratio * (own * drdx[k] - dlog @ drdx), ratio * (own * drdy[k] - dlog @ drdy)
