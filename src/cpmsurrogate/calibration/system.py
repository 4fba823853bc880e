"""The equations of the calibration: statistics of a candidate cohort, with their derivatives.

Every row of the system is one statistic of one subset with the interval in which it must lie.
The statistics are those of the library, evaluated for many candidates at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cpmsurrogate.calibration import rank_statistics as ranks
from cpmsurrogate.calibration.outlier_margin import EXACT_STEPS, FIRST_STEPS, OutlierMargins
from cpmsurrogate.calibration.random_intercept import Fits, RandomIntercepts
from cpmsurrogate.calibration.rows import OUTCOME, VARIABLES, Frame, Quantity, Row

BLUR = (25.0, 25.0, 80.0)
"""Width of the softened comparison for each variable."""


class System:
    """Rows over one frame, evaluated for stacks of candidates.

    Parameters
    ----------
    frame
        The fixed part of the cohort.
    rows
        What must hold.

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
        mixed = [row.quantity for row in rows if row.quantity.kind.startswith("mixed")]
        self.mixed = list(dict.fromkeys((q.subset, q.variable) for q in mixed))
        self.models = (
            RandomIntercepts(
                frame.patient,
                [
                    (VARIABLES.index(v), frame.mask(Quantity("mixed_z", s, v)))
                    for s, v in self.mixed
                ],
                OUTCOME,
                reml=frame.reml,
                test=frame.mixed_test,
            )
            if self.mixed
            else None
        )
        self.draws = {
            q.subset: ranks.OnePerPatient(frame.patient, frame.subsets[q.subset])
            for q in (row.quantity for row in rows)
            if q.kind == "one_per_patient"
        }
        pairs = [
            row.quantity for row in rows if row.quantity.kind in ("rout_inside", "rout_outside")
        ]
        self.lines = list(dict.fromkeys((q.subset, q.variable) for q in pairs))
        self.margins = (
            OutlierMargins(
                [
                    (VARIABLES.index(v), frame.subsets[s], frame.subsets[s] & ~frame.kept[s, v])
                    for s, v in self.lines
                ],
                OUTCOME,
                frame.rout_q,
            )
            if self.lines
            else None
        )
        self.start: np.ndarray | None = None
        n_patients = int(frame.patient.max()) + 1
        self.indicator = (frame.patient[:, None] == np.arange(n_patients)).astype(float)
        self.sizes = self.indicator.sum(0)

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
        if self.margins is not None:
            steps = EXACT_STEPS if exact else FIRST_STEPS
            _, _, line = self.margins.fit(cohort[None], steps=steps)
            self.start = np.round(line[0], 6)

    # -- values ---------------------------------------------------------------------------------
    def values(self, cohorts: np.ndarray, *, margins: bool = True) -> np.ndarray:
        """Every row's quantity in every candidate.

        Parameters
        ----------
        cohorts : (B, V, N)
            CPM, ADC and H&E of each candidate.
        margins
            Whether to compute the ROUT rows, which cost most; else they are NaN.

        Returns
        -------
        numpy.ndarray
            (B, R).
        """
        result = np.full((len(cohorts), len(self.rows)), np.nan)
        kernels = [ranks.rank_kernel(cohorts[:, v]) for v in range(len(VARIABLES))]
        fits = self.models.fit(cohorts) if self.models is not None else None
        if margins and self.margins is not None:
            inside, outside = self.margins.values(cohorts, self.start)
        for r, (row, mask) in enumerate(zip(self.rows, self.masks, strict=True)):
            q = row.quantity
            if q.kind in ("rout_inside", "rout_outside"):
                if margins:
                    table = inside if q.kind == "rout_inside" else outside
                    result[:, r] = table[:, self.lines.index((q.subset, q.variable))]
                continue
            result[:, r] = self._value(q, mask, cohorts, kernels, fits)
        return result

    def _value(
        self, q: Quantity, mask: np.ndarray, cohorts: np.ndarray, kernels: list, fits: Fits | None
    ) -> np.ndarray:
        v = VARIABLES.index(q.variable) if q.variable in VARIABLES else 0
        y = cohorts[:, OUTCOME]
        x = cohorts[:, v]
        if q.kind == "mean":
            return x[:, mask].mean(-1)
        if q.kind == "sd":
            return x[:, mask].std(-1, ddof=1)
        if q.kind in ("slope", "r2"):
            dx = x[:, mask] - x[:, mask].mean(-1, keepdims=True)
            dy = y[:, mask] - y[:, mask].mean(-1, keepdims=True)
            sxy, sxx = (dx * dy).sum(-1), (dx * dx).sum(-1)
            return sxy / sxx if q.kind == "slope" else sxy**2 / sxx / (dy * dy).sum(-1)
        if q.kind == "rmse":
            return np.sqrt(((y - x)[:, mask] ** 2).mean(-1))
        if q.kind == "rho":
            return self._rho(kernels, mask, v, OUTCOME)
        if q.kind == "mann_whitney":
            a, b = self.frame.subsets[q.subset], self.frame.subsets[q.other]
            pairs = a.sum() * b.sum()
            return kernels[v][:, a][:, :, b].sum((-1, -2)) - pairs / 2
        if q.kind == "one_per_patient":
            return self.draws[q.subset].value(kernels[v], kernels[OUTCOME])
        if q.kind == "mixed_slope":
            assert fits is not None
            return fits.slope[:, self.mixed.index((q.subset, q.variable))]
        if q.kind == "mixed_z":
            assert fits is not None
            return fits.z_of_p[:, self.mixed.index((q.subset, q.variable))]
        if q.kind == "meng_z":
            r1, r2, rx = self._meng_correlations(cohorts, kernels, mask)
            return meng_z(r1, r2, rx, int(mask.sum()))
        if q.kind == "icc":
            return self._icc(x)
        raise ValueError(f"quantity {q.kind!r} is not known")

    @staticmethod
    def _ranks(kernel: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return kernel[:, mask][:, :, mask].sum(-1)

    def _rho(self, kernels: list, mask: np.ndarray, v: int, w: int) -> np.ndarray:
        return ranks.pearson(self._ranks(kernels[v], mask), self._ranks(kernels[w], mask))

    def _meng_correlations(self, cohorts: np.ndarray, kernels: list, mask: np.ndarray) -> list:
        if self.frame.meng == "spearman":
            columns = [self._ranks(kernel, mask) for kernel in kernels]
        else:
            columns = [cohorts[:, v][:, mask] for v in range(3)]
        return [ranks.pearson(columns[i], columns[j]) for i, j in ((0, 2), (1, 2), (0, 1))]

    def _icc(self, x: np.ndarray) -> np.ndarray:
        """One-way ICC(1) of the samples of a patient, with unequal group sizes."""
        n, p = self.indicator.shape
        x = x - x.mean(-1, keepdims=True)
        total = x @ self.indicator
        between = (total**2 / self.sizes).sum(-1)
        within = (x * x).sum(-1) - between
        typical = (n - (self.sizes**2).sum() / n) / (p - 1)
        msb, msw = between / (p - 1), within / (n - p)
        return (msb - msw) / (msb + (typical - 1) * msw)

    # -- derivatives ----------------------------------------------------------------------------
    def jacobian(self, cohort: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Derivatives of the active rows by every number of one cohort.

        Parameters
        ----------
        cohort : (V, N)
        active : (R,) bool
            Rows to differentiate; the others are zero.

        Returns
        -------
        numpy.ndarray
            (R, V, N).
        """
        result = np.zeros((len(self.rows), *cohort.shape))
        kernels = [ranks.rank_kernel(x) for x in cohort]
        slopes = [ranks.soft_kernel_slope(x, w) for x, w in zip(cohort, BLUR, strict=True)]
        models: dict = {}
        margin = None
        for r, (row, mask) in enumerate(zip(self.rows, self.masks, strict=True)):
            if not active[r]:
                continue
            q = row.quantity
            v = VARIABLES.index(q.variable) if q.variable in VARIABLES else 0
            x, y, g = cohort[v], cohort[OUTCOME], result[r]
            n = mask.sum()
            if q.kind == "mean":
                g[v, mask] = 1 / n
            elif q.kind == "sd":
                d = x[mask] - x[mask].mean()
                g[v, mask] = d / ((n - 1) * np.sqrt((d * d).sum() / (n - 1)))
            elif q.kind in ("slope", "r2"):
                dx, dy = x[mask] - x[mask].mean(), y[mask] - y[mask].mean()
                sxx, sxy, syy = dx @ dx, dx @ dy, dy @ dy
                b = sxy / sxx
                if q.kind == "slope":
                    g[v, mask], g[OUTCOME, mask] = (dy - 2 * b * dx) / sxx, dx / sxx
                else:
                    r2 = b * sxy / syy
                    g[v, mask] = 2 * b / syy * (dy - b * dx)
                    g[OUTCOME, mask] = 2 / syy * (b * dx - r2 * dy)
            elif q.kind == "rmse":
                d = (y - x)[mask]
                d = d / (n * np.sqrt(d @ d / n))
                g[OUTCOME, mask], g[v, mask] = d, -d
            elif q.kind == "rho":
                self._add_rank_correlation(g, kernels, slopes, mask, v, OUTCOME, 1.0)
            elif q.kind == "mann_whitney":
                a, b = self.frame.subsets[q.subset], self.frame.subsets[q.other]
                k = slopes[v]
                g[v, a] = k[a][:, b].sum(1)
                g[v, b] = -k[b][:, a].sum(1)
            elif q.kind == "one_per_patient":
                g[v], g[OUTCOME] = self.draws[q.subset].gradient(
                    kernels[v], kernels[OUTCOME], slopes[v], slopes[OUTCOME]
                )
            elif q.kind in ("mixed_slope", "mixed_z"):
                key = self.mixed.index((q.subset, q.variable))
                if key not in models:
                    assert self.models is not None
                    models[key] = self.models.gradients(cohort, key)
                g[:] = models[key][q.kind == "mixed_z"]
            elif q.kind == "meng_z":
                self._add_meng(g, cohort, kernels, slopes, mask)
            elif q.kind == "icc":
                g[v] = self._icc_gradient(x)
            elif q.kind in ("rout_inside", "rout_outside"):
                if margin is None:
                    assert self.margins is not None
                    margin = self.margins.gradients(cohort, self.start)
                g[:] = margin[q.kind == "rout_outside"][self.lines.index((q.subset, q.variable))]
        return result

    def _add_rank_correlation(
        self, g: np.ndarray, kernels: list, slopes: list, mask: np.ndarray, v: int, w: int,
        factor: float,
    ) -> None:  # fmt: skip
        grid = np.ix_(mask, mask)
        by_x, by_y = ranks.pearson_gradient(kernels[v][grid].sum(1), kernels[w][grid].sum(1))
        g[v, mask] += factor * ranks.through_ranks(slopes[v][grid], by_x)
        g[w, mask] += factor * ranks.through_ranks(slopes[w][grid], by_y)

    def _add_meng(
        self, g: np.ndarray, cohort: np.ndarray, kernels: list, slopes: list, mask: np.ndarray
    ) -> None:
        batched = [kernel[None] for kernel in kernels]
        r = np.array([float(c[0]) for c in self._meng_correlations(cohort[None], batched, mask)])
        n = int(mask.sum())
        for i, (v, w) in enumerate(((0, 2), (1, 2), (0, 1))):
            step = np.zeros(3)
            step[i] = 1e-5
            above, below = r + step, r - step
            change = meng_z(above[0], above[1], above[2], n) - meng_z(
                below[0], below[1], below[2], n
            )
            by_r = change / 2e-5
            if self.frame.meng == "spearman":
                self._add_rank_correlation(g, kernels, slopes, mask, v, w, float(by_r))
            else:
                dx, dy = ranks.pearson_gradient(cohort[v, mask], cohort[w, mask])
                g[v, mask] += by_r * dx
                g[w, mask] += by_r * dy

    def _icc_gradient(self, x: np.ndarray) -> np.ndarray:
        n, p = self.indicator.shape
        x = x - x.mean()
        mean = (x @ self.indicator) / self.sizes
        own = self.indicator @ mean
        between, total = self.sizes @ mean**2, x @ x
        typical = (n - (self.sizes**2).sum() / n) / (p - 1)
        msb, msw = between / (p - 1), (total - between) / (n - p)
        dmsb, dmsw = 2 * own / (p - 1), 2 * (x - own) / (n - p)
        bottom = msb + (typical - 1) * msw
        return typical * (dmsb * msw - dmsw * msb) / bottom**2


def meng_z(r1: np.ndarray, r2: np.ndarray, rx: np.ndarray, n: int) -> np.ndarray:
    """Meng's z of two correlations' strength, vectorised (see `cpmlib.statistics.meng`).

    Examples
    --------
    >>> round(float(meng_z(np.array(0.63), np.array(0.03), np.array(0.19), 15)), 3)
    1.827
    """
    s1, s2 = np.where(r1 < 0, -1.0, 1.0), np.where(r2 < 0, -1.0, 1.0)
    r1, r2, rx = s1 * r1, s2 * r2, s1 * s2 * rx
    mean = (r1**2 + r2**2) / 2
    f = np.minimum(1.0, (1 - rx) / (2 * (1 - mean)))
    h = (1 - f * mean) / (1 - mean)
    return (np.arctanh(r1) - np.arctanh(r2)) * np.sqrt((n - 3) / (2 * (1 - rx) * h))
