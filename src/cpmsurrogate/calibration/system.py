"""The equations of the calibration: statistics of a candidate cohort, with their derivatives.

Every row of the system is one statistic of one subset with the interval in which it must lie. The
statistics are the library's, evaluated for many candidates at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy import stats

from cpmlib.statistics.correlation import correlation_matrix, root_mean_square, slope_and_r2
from cpmlib.statistics.one_per_patient import mean_rank_covariance, rank_kernel
from cpmsurrogate.calibration import gradients
from cpmsurrogate.calibration.mixed_models import MixedModels
from cpmsurrogate.calibration.outlier_margin import EXACT_STEPS, FIRST_STEPS, OutlierMargins
from cpmsurrogate.calibration.rows import OUTCOME, VARIABLES, Frame, Quantity, Row

BLUR = (25.0, 25.0, 80.0)
"""Width of the softened comparison for each variable."""

PAIRS = ((0, 2), (1, 2), (0, 1))
"""Variables of the correlations that Meng's z compares: r1, r2, rx."""

ROUT = ("rout_inside", "rout_outside")
MIXED = ("mixed_slope", "mixed_z")


class Candidates:
    """A stack of cohorts (B, V, N), with what several rows need of it."""

    def __init__(self, cohorts: np.ndarray) -> None:
        self.cohorts = cohorts
        self._correlations: dict[tuple[bytes, str], np.ndarray] = {}

    @cached_property
    def kernels(self) -> np.ndarray:
        """Rank kernels, (B, V, N, N)."""
        return rank_kernel(self.cohorts)

    def correlations(self, mask: np.ndarray, kind: str) -> np.ndarray:
        """Correlation matrix of the variables in a subset, (B, V, V)."""
        key = mask.tobytes(), kind
        if key not in self._correlations:
            values = self.cohorts[:, :, mask]
            ranked = stats.rankdata(values, axis=-1) if kind == "spearman" else values
            self._correlations[key] = correlation_matrix(ranked)
        return self._correlations[key]


class System:
    """Rows over one frame, evaluated for stacks of candidates.

    Examples
    --------
    >>> frame = Frame(np.array([0, 0, 1, 1]), {"whole": np.ones(4, dtype=bool)}, {})
    >>> system = System(frame, [Row(Quantity("mean", "whole", "adc"), 1000.0, 1001.0, 0.5)])
    >>> cohort = np.array([[900.0, 1000, 1100, 1200], [1300, 1200, 1000, 900], [5, 6, 7, 8]])
    >>> system.values(cohort[None])
    array([[1100.]])
    >>> system.jacobian(cohort, np.array([True]))[0, 1]
    array([0.25, 0.25, 0.25, 0.25])
    """

    def __init__(self, frame: Frame, rows: Sequence[Row]) -> None:
        self.frame, self.rows = frame, list(rows)
        self.low = np.array([row.low for row in rows])
        self.high = np.array([row.high for row in rows])
        self.unit = np.array([row.unit for row in rows])
        self.masks = [frame.mask(row.quantity) for row in rows]
        self.mixed = self._lines(MIXED)
        models = [
            (VARIABLES.index(v), frame.mask(Quantity("mixed_z", s, v))) for s, v in self.mixed
        ]
        self.models = MixedModels(frame.patient, models, reml=frame.reml, test=frame.mixed_test)
        self.lines = self._lines(ROUT)
        outliers = [
            (VARIABLES.index(v), frame.subsets[s], frame.subsets[s] & ~frame.kept[s, v])
            for s, v in self.lines
        ]
        self.margins = OutlierMargins(outliers, frame.rout_q)
        self.start: list[np.ndarray] | None = None
        self.size = np.bincount(frame.patient)

    def _lines(self, kinds: Sequence[str]) -> list[tuple[str, str]]:
        """(subset, predictor) of the rows of some kinds, each once."""
        found = [row.quantity for row in self.rows if row.quantity.kind in kinds]
        return list(dict.fromkeys((q.subset, q.variable) for q in found))

    def forget(self) -> None:
        """Fit the robust lines of ROUT from the least-squares lines the next time."""
        self.start = None

    def follow(self, cohort: np.ndarray, *, exact: bool = False) -> None:
        """Start the robust lines of ROUT from those of this cohort from now on.

        They are fitted anew from the least-squares lines, as the library does: a robust fit can
        have several solutions, and following one from cohort to cohort may lead elsewhere. They
        are rounded, so that differences in the last bit do not travel on. ``exact`` goes on until
        they have converged beyond doubt.
        """
        steps = EXACT_STEPS if exact else FIRST_STEPS
        fitted = self.margins.fit(cohort[None], steps=steps)
        self.start = [np.round(line[0], 6) for _, _, line in fitted]

    def _owner(self, mask: np.ndarray) -> np.ndarray:
        return np.unique(self.frame.patient[mask], return_inverse=True)[1]

    # -- values ---------------------------------------------------------------------------------
    def values(self, cohorts: np.ndarray) -> np.ndarray:
        """Every row's quantity in every candidate.

        From CPM, ADC and H&E of each, (B, V, N), to (B, R).
        """
        result = np.empty((len(cohorts), len(self.rows)))
        candidates = Candidates(cohorts)
        mixed = dict(zip(MIXED, self.models.fit(cohorts), strict=True)) if self.mixed else {}
        rout = (
            dict(zip(ROUT, self.margins.values(cohorts, self.start), strict=True))
            if self.lines
            else {}
        )
        for r, (row, mask) in enumerate(zip(self.rows, self.masks, strict=True)):
            kind, subset, variable, _ = row.quantity
            if kind in rout:
                result[:, r] = rout[kind][:, self.lines.index((subset, variable))]
            elif kind in mixed:
                result[:, r] = mixed[kind][:, self.mixed.index((subset, variable))]
            else:
                result[:, r] = self._value(row.quantity, mask, candidates)
        return result

    def _value(self, q: Quantity, mask: np.ndarray, candidates: Candidates) -> np.ndarray:
        v = VARIABLES.index(q.variable) if q.variable else 0
        x, y = candidates.cohorts[:, v, mask], candidates.cohorts[:, OUTCOME, mask]
        match q.kind:
            case "mean":
                return x.mean(-1)
            case "sd":
                return x.std(-1, ddof=1)
            case "slope":
                return slope_and_r2(x, y)[0]
            case "r2":
                return slope_and_r2(x, y)[1]
            case "rmse":
                return root_mean_square(y - x)
            case "rho":
                return candidates.correlations(mask, "spearman")[:, v, OUTCOME]
            case "meng_z":
                r = candidates.correlations(mask, self.frame.meng)
                return gradients.strength_z(r[:, *np.transpose(PAIRS)], int(mask.sum()))
            case "mann_whitney":
                other = self.frame.subsets[q.other]
                above = candidates.kernels[:, v][:, mask][:, :, other].sum((-1, -2))
                return above - mask.sum() * other.sum() / 2
            case "one_per_patient":
                rows, columns = np.ix_(mask, mask)
                kx, ky = (candidates.kernels[:, i, rows, columns] for i in (v, OUTCOME))
                owner = self._owner(mask)
                n = owner.max() + 1
                return mean_rank_covariance(kx, ky, owner) / (n * (n**2 - 1) / 12)
            case "icc":
                _, between, within, typical = self._mean_squares(x)
                return (between - within) / (between + (typical - 1) * within)
        raise ValueError(f"quantity {q.kind!r} is not known")

    def _mean_squares(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Patients' means (..., P), mean squares between and within patients, typical size.

        Of the one-way ICC(1) with unequal group sizes.
        """
        n, p = len(self.frame.patient), len(self.size)
        x = x - x.mean(-1, keepdims=True)
        mean = x @ (self.frame.patient[:, None] == np.arange(p)) / self.size
        between = (self.size * mean**2).sum(-1)
        within = (x * x).sum(-1) - between
        typical = (n - (self.size**2).sum() / n) / (p - 1)
        return mean, between / (p - 1), within / (n - p), typical

    # -- derivatives ----------------------------------------------------------------------------
    def jacobian(self, cohort: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Derivatives of the active rows by every number of one cohort, (R, V, N); else zero."""
        result = np.zeros((len(self.rows), *cohort.shape))
        candidates = Candidates(cohort[None])
        slopes = [gradients.soft_kernel_slope(x, w) for x, w in zip(cohort, BLUR, strict=True)]
        mixed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        rout: tuple[np.ndarray, ...] = ()
        for r in np.flatnonzero(active):
            q, mask = self.rows[r].quantity, self.masks[r]
            if q.kind in MIXED:
                line = self.mixed.index((q.subset, q.variable))
                if line not in mixed:
                    mixed[line] = self.models.gradients(cohort, line)
                result[r] = mixed[line][MIXED.index(q.kind)]
            elif q.kind in ROUT:
                rout = rout or self.margins.gradients(cohort, self.start)
                line = self.lines.index((q.subset, q.variable))
                result[r] = rout[ROUT.index(q.kind)][line]
            else:
                self._add_gradient(result[r], q, mask, candidates, slopes)
        return result

    def _add_gradient(
        self, g: np.ndarray, q: Quantity, mask: np.ndarray, candidates: Candidates,
        slopes: Sequence[np.ndarray],
    ) -> None:  # fmt: skip
        v = VARIABLES.index(q.variable) if q.variable else 0
        x, y = candidates.cohorts[0, v, mask], candidates.cohorts[0, OUTCOME, mask]
        match q.kind:
            case "mean":
                g[v, mask] = 1 / len(x)
            case "sd":
                g[v, mask] = gradients.sd_gradient(x)
            case "slope" | "r2":
                g[v, mask], g[OUTCOME, mask] = gradients.line_gradients(x, y)[q.kind]
            case "rmse":
                change = (y - x) / (len(x) * root_mean_square(y - x))
                g[v, mask], g[OUTCOME, mask] = -change, change
            case "rho":
                self._add_correlation(g, mask, candidates, slopes, (v, OUTCOME))
            case "meng_z":
                r = candidates.correlations(mask, self.frame.meng)[0]
                by_r = gradients.strength_z_gradient(r[*np.transpose(PAIRS)], len(x))
                ranked = slopes if self.frame.meng == "spearman" else None
                for pair, factor in zip(PAIRS, by_r, strict=True):
                    self._add_correlation(g, mask, candidates, ranked, pair, factor)
            case "mann_whitney":
                pairs = slopes[v][mask][:, self.frame.subsets[q.other]]
                g[v, mask] = pairs.sum(1)
                g[v, self.frame.subsets[q.other]] = -pairs.sum(0)
            case "one_per_patient":
                grid, owner = np.ix_(mask, mask), self._owner(mask)
                for own, other in ((v, OUTCOME), (OUTCOME, v)):
                    kernel = candidates.kernels[0, other][grid]
                    slope = slopes[own][grid]
                    g[own, mask] = gradients.one_per_patient_gradient(slope, kernel, owner)
            case "icc":
                mean, between, within, typical = self._mean_squares(x)
                own = mean[self.frame.patient]
                d_between = 2 * own / (len(self.size) - 1)
                d_within = 2 * (x - x.mean() - own) / (len(x) - len(self.size))
                bottom = between + (typical - 1) * within
                g[v] = typical * (d_between * within - d_within * between) / bottom**2

    @staticmethod
    def _add_correlation(
        g: np.ndarray, mask: np.ndarray, candidates: Candidates,
        slopes: Sequence[np.ndarray] | None, pair: tuple[int, int], factor: float = 1.0,
    ) -> None:  # fmt: skip
        """Add the derivative of a correlation of two variables, of their ranks if with slopes."""
        values = candidates.cohorts[0][list(pair)][:, mask]
        if slopes is not None:
            values = stats.rankdata(values, axis=-1)
        for v, change in zip(pair, gradients.pearson_gradient(*values), strict=True):
            if slopes is not None:
                change = gradients.through_ranks(slopes[v][np.ix_(mask, mask)], change)
            g[v, mask] += factor * change
