"""From printed values to the rows of the calibration.

Several printed values can speak of one quantity: a correlation and its p, say, or R2 and the p of
the slope. Both become intervals of the same quantity, which has to lie in the intersection.

Vocabulary
----------
- *plausibility row*: a condition of ours, not printed: how alike a patient's samples are, how clear
  of its threshold ROUT decides.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scipy import stats

from cpmlib.paper.audit.probabilities import r2_of_p, samples_with_u, z_of_p
from cpmsurrogate.calibration.rows import Frame, Quantity, Row
from cpmsurrogate.calibration.targets import PREDICTORS, SUBSETS, Interval, Target, select


@dataclass(frozen=True)
class Plausibility:
    """What makes the numbers look like measurements.

    Parameters
    ----------
    icc
        Bounds of the intraclass correlation of a patient's samples.
    rout_margin
        Least relative distance of every ratio from 1 (see `outlier_margin`).
    bounds
        Least and greatest value of CPM, ADC and H&E, where not printed.
    """

    icc: tuple[float, float] = (0.2, 0.6)
    rout_margin: float = 0.05
    bounds: tuple[tuple[float, float], ...] = ((480.0, 2250.0), (560.0, 2240.0), (380.0, 7400.0))


def _decreasing(interval: Interval, function: Callable[[float], float]) -> Interval:
    """Interval of a quantity that falls as p rises."""
    low = 0.0 if interval.high >= 1 else function(interval.high)
    high = math.inf if interval.low <= 0 else function(interval.low)
    return Interval(low, high)


def r2_interval(targets: Mapping[str, Target], stem: str, n: int) -> Interval | None:
    """R2 that agrees with the printed R2 and the printed p of the slope, or None."""
    r2, p = targets.get(f"{stem}.r2"), targets.get(f"{stem}.b_p")
    if r2 is None and p is None:
        return None
    interval = Interval(0.0, 1.0).intersect(r2.interval) if r2 else Interval(0.0, 1.0)
    if p is not None:
        interval = interval.intersect(_decreasing(p.interval, lambda value: r2_of_p(value, n)))
    return interval


def rho_interval(targets: Mapping[str, Target], stem: str, n: int) -> Interval | None:
    """Spearman's rho that agrees with the printed rho and its p, or None.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> def target(name, text):
    ...     return Target(name, "", text, "", parse_printed(text))
    >>> both = {"a.rho": target("a.rho", "0.41"), "a.rho_p": target("a.rho_p", "0.016")}
    >>> found = rho_interval(both, "a", 34)
    >>> round(found.low, 4), round(found.high, 4)
    (0.4084, 0.4119)
    """
    rho, p = targets.get(f"{stem}.rho"), targets.get(f"{stem}.rho_p")
    if rho is None and p is None:
        return None
    interval = rho.interval if rho else Interval(-1.0, 1.0)
    if p is not None:
        size = _decreasing(p.interval, lambda value: math.sqrt(r2_of_p(value, n)))
        interval = _signed(interval, size)
    return interval


def _signed(interval: Interval, size: Interval) -> Interval:
    """Restrict an interval to numbers of a given size, on the side where it lies."""
    if size.low <= 0:
        return interval.intersect(Interval(-size.high, size.high))
    if interval.high <= 0 or interval.centre < 0:
        return interval.intersect(Interval(-size.high, -size.low))
    return interval.intersect(size)


def mann_whitney_interval(p: Interval, n_a: int, n_b: int, sign: int, method: str) -> Interval:
    """U less its mean that has this p, on the side of ``sign``.

    The p comes from SciPy, for samples made to have a certain U, so that it is the exact or the
    approximate one just as in the analysis.

    Examples
    --------
    >>> mann_whitney_interval(Interval(0.05, math.inf), 10, 10, 1, "auto")
    Interval(low=-26.5, high=26.5)
    """
    half = n_a * n_b / 2

    def p_of(u: int) -> float:
        a, b = samples_with_u(u, n_a, n_b)
        test = stats.mannwhitneyu(a, b, alternative="two-sided", method=method)  # type: ignore[call-overload]
        return float(test.pvalue)

    def first(threshold: float) -> int:
        """Smallest U whose p is at least the threshold; p rises up to the middle."""
        return bisect.bisect_left(range(math.floor(half) + 1), threshold, key=p_of)

    nearest = half if p.high >= 1 else first(p.high) - 0.5
    farthest = first(p.low) - 0.5
    if p.high >= 1:
        return Interval(farthest - half, half - farthest)
    inner, outer = half - nearest, half - farthest
    return Interval(inner, outer) if sign > 0 else Interval(-outer, -inner)


class Equations:
    """Rows for a frame, from the targets that speak of measurements.

    Examples
    --------
    >>> import numpy as np
    >>> from cpmlib.study.published import parse_printed
    >>> target = Target("desc.cpm_mean", "whole", "1323", "", parse_printed("1323"))
    >>> frame = Frame(np.array([0, 0, 1]), {"whole": np.ones(3, bool)}, {})
    >>> rows = Equations({target.id: target}, frame, Plausibility()).rows
    >>> rows[0].quantity.kind, rows[0].low, rows[0].high, rows[0].ids
    ('mean', 1322.5, 1323.5, ('desc.cpm_mean',))
    >>> {row.quantity.kind for row in rows[1:]}
    {'icc'}
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        frame: Frame,
        plausibility: Plausibility,
        mann_whitney_method: str = "auto",
    ) -> None:
        self.targets, self.frame = targets, frame
        self.plausibility, self.method = plausibility, mann_whitney_method
        self.rows: list[Row] = []
        self._descriptives()
        self._groups()
        for word, subset in SUBSETS.items():
            for predictor in PREDICTORS:
                self._association(word, subset, predictor)
                self._mixed(word, subset, predictor)
            self._meng(word, subset)
        self._further_rmse()
        self._plausible()

    def _add(
        self, quantity: Quantity, interval: Interval | None, *ids: str, unit: float = math.inf
    ) -> None:
        if interval is None:
            return
        width = (interval.high - interval.low) / 2
        known = tuple(id for id in ids if id in self.targets)
        row = Row(quantity, interval.low, interval.high, min(width, unit), known)
        self.rows.append(row)

    def _descriptives(self) -> None:
        for target in select(self.targets, "desc", "*"):
            variable, _, kind = target.parts[1].rpartition("_")
            self._add(Quantity(kind, "whole", variable), target.interval, target.id)

    def _groups(self) -> None:
        for first in select(self.targets, "group", "*", "cpm_mean_a"):
            stem = first.id.removesuffix("cpm_mean_a")
            second = self.targets[stem + "cpm_mean_b"]
            for target in (first, second):
                self._add(Quantity("mean", target.subset, "cpm"), target.interval, target.id)
            p = self.targets.get(stem + "cpm_p")
            if p is not None:
                n_a, n_b = (int(self.frame.subsets[t.subset].sum()) for t in (first, second))
                sign = 1 if first.interval.centre > second.interval.centre else -1
                interval = mann_whitney_interval(p.interval, n_a, n_b, sign, self.method)
                quantity = Quantity("mann_whitney", first.subset, "cpm", second.subset)
                self._add(quantity, interval, p.id, unit=0.01 * n_a * n_b)

    def _association(self, word: str, subset: str, predictor: str) -> None:
        stem = f"corr.{word}.{predictor}"
        for kind, name in (("slope", "b"), ("rmse", "rmse")):
            target = self.targets.get(f"{stem}.{name}")
            if target is not None:
                self._add(Quantity(kind, subset, predictor), target.interval, target.id)
        r2 = Quantity("r2", subset, predictor)
        if subset in self.frame.subsets:
            n = int(self.frame.mask(r2).sum())
            self._add(
                r2, r2_interval(self.targets, stem, n), f"{stem}.r2", f"{stem}.b_p", unit=0.005
            )
            rho = Quantity("rho", subset, predictor)
            n = int(self.frame.mask(rho).sum())
            self._add(
                rho, rho_interval(self.targets, stem, n), f"{stem}.rho", f"{stem}.rho_p", unit=0.01
            )
        mean = self.targets.get(f"iter.{word}.{predictor}.mean_rho")
        if mean is not None:
            self._add(Quantity("one_per_patient", subset, predictor), mean.interval, mean.id)

    def _mixed(self, word: str, subset: str, predictor: str) -> None:
        stem = f"lmm.{word}.{predictor}"
        slope, p = self.targets.get(f"{stem}.b"), self.targets.get(f"{stem}.p")
        sign_of = slope or self.targets.get(f"corr.{word}.{predictor}.b")
        if slope is not None:
            self._add(Quantity("mixed_slope", subset, predictor), slope.interval, slope.id)
        if p is not None:
            size = _decreasing(p.interval, z_of_p)
            side = Interval(-math.inf, math.inf)
            if sign_of is not None and size.low > 0:
                negative = sign_of.interval.centre < 0
                side = Interval(-math.inf, 0.0) if negative else Interval(0.0, math.inf)
            self._add(Quantity("mixed_z", subset, predictor), _signed(side, size), p.id, unit=0.05)

    def _meng(self, word: str, subset: str) -> None:
        z, p = self.targets.get(f"meng.{word}.z"), self.targets.get(f"meng.{word}.p")
        if z is None and p is None:
            return
        interval = z.interval if z else Interval(-math.inf, math.inf)
        if p is not None:
            interval = _signed(interval, _decreasing(p.interval, z_of_p))
        self._add(
            Quantity("meng_z", subset), interval, f"meng.{word}.z", f"meng.{word}.p", unit=0.01
        )

    def _further_rmse(self) -> None:
        for target in select(self.targets, "hgg", "non_enhancing", "rmse"):
            self._add(Quantity("rmse", target.subset, "cpm"), target.interval, target.id)

    def _plausible(self) -> None:
        low, high = self.plausibility.icc
        for variable in (*PREDICTORS, "he"):
            self._add(Quantity("icc", "whole", variable), Interval(low, high), unit=0.02)
        margin = self.plausibility.rout_margin
        for (subset, predictor), kept in self.frame.kept.items():
            inside = Quantity("rout_inside", subset, predictor)
            self._add(inside, Interval(-math.inf, 1 - margin), unit=0.02)
            if (self.frame.subsets[subset] & ~kept).any():
                outside = Quantity("rout_outside", subset, predictor)
                self._add(outside, Interval(1 + margin, math.inf), unit=0.02)
