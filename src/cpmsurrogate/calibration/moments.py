r"""A start for the search: group means, SDs and correlations that nearly give the printed values.

Most printed values are functions of sums of squares and products. Here each treatment group is
replaced by its moments, which are fitted to what is printed by least squares; then samples are
drawn with these moments.

Vocabulary
----------
- *core samples*: the samples of a treatment group without representative cases and intended
  outliers.
- *moments*: of the core: three means, three SDs, correlations CPM-H&E, ADC-H&E, CPM-ADC.
- *given samples*: those whose measurements are given (``points``): cases, and guesses for the other
  outliers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from cpmlib.statistics.correlation import line_of_products
from cpmsurrogate.calibration.rows import OUTCOME, VARIABLES, Frame, Row

GROUPS = ("treatment-naive", "recurrent")

USUAL = np.array([1300.0, 1300.0, 2700.0, 300.0, 300.0, 1050.0, 0.0, 0.0, -0.3])
"""Moments that are not printed: means, SDs, correlations CPM-H&E, ADC-H&E, CPM-ADC."""

LOOSE = np.array([300.0, 150.0, 900.0, 120.0, 120.0, 500.0, 0.5, 0.5, 0.3])
"""How far from `USUAL` the moments may well be."""

SCALE = {"mean": 15.0, "sd": 15.0, "slope": 0.1, "r2": 0.02, "rmse": 25.0}
"""Difference from a printed value that counts as one."""

PATIENT_SHARE = 0.35
"""Share of the variance between patients in the start."""

SKEW = 0.4
"""H&E densities are drawn log-normal with this shape."""

OUTLIER_RANGES = ((700.0, 1150.0), (1250.0, 2000.0), (6000.0, 6900.0))
"""CPM, ADC and H&E of an intended outlier that is no representative case."""


@dataclass(frozen=True)
class Moments:
    """Moments of the core of each treatment group, (9,) in the order of `USUAL`."""

    table: Mapping[str, np.ndarray]

    def mean(self, group: str) -> np.ndarray:
        """Means of CPM, ADC and H&E, (3,)."""
        return self.table[group][:3]

    def covariance(self, group: str) -> np.ndarray:
        """Covariance of CPM, ADC and H&E, (3, 3)."""
        sd = self.table[group][3:6]
        return correlation_matrix(self.table[group][6:]) * np.outer(sd, sd)


def correlation_matrix(r: np.ndarray) -> np.ndarray:
    """Correlations CPM-H&E, ADC-H&E, CPM-ADC as a matrix, shrunk until it is positive definite.

    Examples
    --------
    >>> correlation_matrix(np.array([0.5, -0.4, -0.3]))[0]
    array([ 1. , -0.3,  0.5])
    """
    r = np.clip(r, -0.95, 0.95)
    matrix = np.array([[1, r[2], r[0]], [r[2], 1, r[1]], [r[0], r[1], 1]])
    while np.linalg.eigvalsh(matrix)[0] < 0.05:
        matrix = 0.95 * matrix + 0.05 * np.eye(3)
    return matrix


def fit_moments(
    frame: Frame, rows: Sequence[Row], points: Mapping[int, Sequence[float]]
) -> Moments:
    """Fit the moments to the rows that are functions of them.

    Ranks, mixed models and the like are passed over, and so are subsets that are not whole
    treatment groups. ``points`` holds the measurements of the samples outside the core. The result
    is rounded to four digits, which is far finer than the search needs.

    Examples
    --------
    >>> from cpmsurrogate.calibration.rows import Quantity
    >>> everyone = np.ones(20, dtype=bool)
    >>> frame = Frame(np.arange(20) // 2, {"whole": everyone, "recurrent": everyone}, {})
    >>> rows = [Row(Quantity("mean", "whole", "he"), 2799.0, 2801.0, 1.0)]
    >>> round(fit_moments(frame, rows, {}).mean("recurrent")[2], -1).item()
    2800.0
    """
    groups = [group for group in GROUPS if group in frame.subsets]
    outside = np.zeros(len(frame.patient), dtype=bool)
    outside[list(points)] = True
    size = {group: int((frame.subsets[group] & ~outside).sum()) for group in groups}
    usable = [row for row in rows if _usable(row, groups)]

    def products(theta: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Sum of (1, c, a, h)(1, c, a, h)' over the samples of a mask, (4, 4)."""
        total = np.zeros((4, 4))
        moments = Moments(dict(zip(groups, theta.reshape(-1, 9), strict=True)))
        for group in groups:
            if (mask & frame.subsets[group]).any():
                mean = np.append(1.0, moments.mean(group))
                total += size[group] * np.outer(mean, mean)
                total[1:, 1:] += (size[group] - 1) * moments.covariance(group)
        for i, values in points.items():
            if mask[i]:
                point = np.append(1.0, values)
                total += np.outer(point, point)
        return total

    prior = np.tile(USUAL, len(groups))
    loose = np.tile(LOOSE, len(groups))

    def residual(scaled: np.ndarray) -> np.ndarray:
        theta = prior + loose * scaled
        theta.reshape(-1, 9)[:, 3:6] = np.abs(theta.reshape(-1, 9)[:, 3:6]) + 1.0
        found = [
            (_statistic(row, products(theta, frame.mask(row.quantity))) - (row.low + row.high) / 2)
            / SCALE[row.quantity.kind]
            for row in usable
        ]
        return np.concatenate([found, 0.3 * scaled])

    solution = optimize.least_squares(residual, np.zeros(len(prior)), max_nfev=200).x
    theta = (prior + loose * solution).reshape(-1, 9)
    theta[:, 3:6] = np.abs(theta[:, 3:6]) + 1.0
    digits = 10.0 ** (3 - np.floor(np.log10(np.maximum(np.abs(theta), 1e-3))))
    theta = np.round(theta * digits) / digits
    return Moments(dict(zip(groups, theta, strict=True)))


def _usable(row: Row, groups: Sequence[str]) -> bool:
    known = row.quantity.subset in (*groups, "whole")
    return known and row.quantity.kind in SCALE and np.isfinite(row.low + row.high)


def _statistic(row: Row, products: np.ndarray) -> float:
    """Value of a row's quantity from sums of products."""
    kind = row.quantity.kind
    v = 1 + VARIABLES.index(row.quantity.variable)
    h = 1 + OUTCOME
    n = products[0, 0]
    centred = products - np.outer(products[0], products[0]) / n
    if kind == "mean":
        return float(products[0, v] / n)
    if kind == "sd":
        return float(np.sqrt(centred[v, v] / (n - 1)))
    if kind in ("slope", "r2"):
        slope, r2 = line_of_products(centred[v, v], centred[v, h], centred[h, h])
        return float(slope if kind == "slope" else r2)
    squared = products[h, h] - 2 * products[v, h] + products[v, v]
    return float(np.sqrt(max(squared, 0.0) / n))


def draw_start(
    frame: Frame,
    rows: Sequence[Row],
    points: Mapping[int, Sequence[float]],
    moments: Moments,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw measurements with the fitted moments.

    Returns
    -------
    numpy.ndarray
        (3, N): CPM, ADC, H&E, not yet on the grid. The samples of a patient share a part of
        their deviation, and the CPM of a group with a printed mean is moved towards it.

    Examples
    --------
    >>> everyone = np.ones(20, dtype=bool)
    >>> frame = Frame(np.arange(20) // 2, {"whole": everyone, "recurrent": everyone}, {})
    >>> moments = Moments({"recurrent": USUAL})
    >>> draw_start(frame, [], {}, moments, np.random.default_rng(0)).mean(1).round()
    array([1300., 1300., 2700.])
    """
    n = len(frame.patient)
    cohort = np.zeros((3, n))
    outside = np.zeros(n, dtype=bool)
    outside[list(points)] = True
    for group in moments.table:
        members = np.flatnonzero(frame.subsets[group] & ~outside)
        if len(members) < 2:
            cohort[:, members] = moments.mean(group)[:, None]
            continue
        shared = rng.normal(size=(3, int(frame.patient.max()) + 1))[:, frame.patient[members]]
        own = rng.normal(size=(3, len(members)))
        z = np.sqrt(PATIENT_SHARE) * shared + np.sqrt(1 - PATIENT_SHARE) * own
        sd = moments.table[group][3:6]
        z = np.linalg.cholesky(correlation_matrix(moments.table[group][6:])) @ z
        z[OUTCOME] = np.exp(SKEW * z[OUTCOME])
        z = (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)
        cohort[:, members] = moments.mean(group)[:, None] + sd[:, None] * z
    for row in rows:
        q = row.quantity
        if q.kind == "mean" and q.variable == "cpm" and q.subset not in (*GROUPS, "whole"):
            member = frame.subsets[q.subset]
            gap = (row.low + row.high) / 2 - cohort[0, member & ~outside].mean()
            cohort[0, member & ~outside] += 0.7 * gap
    for i, values in points.items():
        cohort[:, i] = values
    return cohort


def guess_outlier(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw CPM, ADC and H&E for an intended outlier.

    Examples
    --------
    >>> guess_outlier(np.random.default_rng(0))[2] > 6000
    True
    """
    cpm, adc, he = (float(np.round(rng.uniform(*ends), 1)) for ends in OUTLIER_RANGES)
    return cpm, adc, he
