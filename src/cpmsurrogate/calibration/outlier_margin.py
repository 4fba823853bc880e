r"""How far every sample is from changing sides in ROUT, for many candidate cohorts at once.

`cpmlib.statistics.rout` decides who is an outlier. A search needs to know how *nearly* a sample is
one: the ratio of its residual to the critical residual of its rank. A cohort in which all ratios
stay clear of 1 keeps its outliers when a number is rounded differently.

Vocabulary
----------
- *margin ratio*, ratio: |residual| / RSDR over the t value that ROUT would need at the sample's
  rank.
- *intended outliers*: the samples that the design means to be excluded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cpmlib.statistics.rout import critical_values, robust_lines
from cpmsurrogate.calibration.rows import OUTCOME

FIRST_STEPS = 80
"""Reweighting steps from the least-squares line."""

EXACT_STEPS = 1000
"""Reweighting steps where the last word is spoken; convergence can be slow."""

WARM_STEPS = 6
"""Reweighting steps from the robust line of the previous, nearly equal, cohort."""

BLUR = 0.12
"""Width, relative to P68, over which the percentile's derivative is spread."""


@dataclass(frozen=True)
class _Line:
    """One line: the predictor's row, its samples, which of them are meant to be outliers."""

    predictor: int
    index: np.ndarray
    intended: np.ndarray
    critical: np.ndarray

    def ratios(self, residual: np.ndarray, rsdr: np.ndarray) -> np.ndarray:
        """Ratio of every sample, (B, n); outliers by the first outlying rank."""
        first = len(self.index) - int(self.intended.sum())
        t = np.abs(residual) / rsdr[:, None]
        rank = np.argsort(np.argsort(t, axis=-1, kind="stable"), axis=-1)
        # An insider that outranks an intended outlier must still obey the insiders' last limit.
        limit = np.where(rank >= first, self.critical[first - 1], np.inf)
        critical = np.minimum(self.critical[rank], limit)
        outlying = self.critical[min(first, len(self.index) - 1)]
        return t / np.where(self.intended, outlying, critical)


class OutlierMargins:
    """ROUT about the lines of H&E on several (subset, predictor) pairs.

    Parameters
    ----------
    lines
        For each: index of the predictor's row, subset (N,) bool, intended outliers (N,) bool.
    q
        False discovery rate.

    Examples
    --------
    >>> x = np.arange(12.0)
    >>> y = 2 * x + np.tile([0.1, -0.1, 0.05, -0.05], 3)
    >>> y[4] += 9
    >>> margins = OutlierMargins([(0, np.ones(12, bool), np.arange(12) == 4)], 0.01)
    >>> inside, outside = margins.values(np.stack([x, x, y])[None])
    >>> bool(inside[0, 0] < 1), bool(outside[0, 0] > 1)
    (True, True)
    """

    def __init__(self, lines: Sequence[tuple[int, np.ndarray, np.ndarray]], q: float) -> None:
        self.lines = [
            _Line(v, np.flatnonzero(member), outliers[member], critical_values(member.sum(), q))
            for v, member, outliers in lines
        ]

    def fit(
        self,
        cohorts: np.ndarray,
        start: Sequence[np.ndarray] | None = None,
        steps: int = FIRST_STEPS,
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Fit the robust lines: residuals (B, n), RSDR (B,), coefficients (B, 2) of each.

        ``start`` holds the robust line (1, 2) of each in a nearly equal cohort, which saves steps;
        ``steps`` are taken without it.
        """
        return [
            robust_lines(
                cohorts[:, line.predictor, line.index],
                cohorts[:, OUTCOME, line.index],
                start=None if start is None else start[i],
                steps=steps if start is None else WARM_STEPS,
            )
            for i, line in enumerate(self.lines)
        ]

    def values(
        self, cohorts: np.ndarray, start: Sequence[np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Largest ratio of the insiders and smallest of the outliers, (B, L) each."""
        inside, outside = [], []
        for line, (residual, rsdr, _) in zip(self.lines, self.fit(cohorts, start), strict=True):
            ratio = line.ratios(residual, rsdr)
            inside.append(np.where(line.intended, 0.0, ratio).max(-1))
            outside.append(np.where(line.intended, ratio, np.inf).min(-1))
        return np.stack(inside, axis=-1), np.stack(outside, axis=-1)

    def gradients(
        self, cohort: np.ndarray, start: Sequence[np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of both values by every number of the cohort, (L, V, N) each."""
        result = np.zeros((2, len(self.lines), *cohort.shape))
        for i, (line, fitted) in enumerate(
            zip(self.lines, self.fit(cohort[None], start), strict=True)
        ):
            residual, rsdr, coefficients = fitted
            ratio = line.ratios(residual, rsdr)[0]
            chosen = [int(np.where(line.intended, -1.0, ratio).argmax())]
            if line.intended.any():
                chosen.append(int(np.where(line.intended, ratio, np.inf).argmin()))
            x = cohort[line.predictor, line.index]
            drdx, drdy, dlog = _influence(x, residual[0], rsdr[0], coefficients[0, 1])
            for j, k in enumerate(chosen):
                for v, dr in ((line.predictor, drdx), (OUTCOME, drdy)):
                    change = dr[k] / residual[0, k] - dlog @ dr
                    result[j, i, v, line.index] += ratio[k] * change
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
