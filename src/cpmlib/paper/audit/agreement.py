"""Arithmetic of printed errors: RMSE of two measurements against their means, SDs and parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cpmlib.statistics.rout import SHARE_NEVER_TESTED
from cpmlib.study.published import PrintedValue


@dataclass(frozen=True)
class Pair:
    """Printed means and SDs (n - 1) of two measurements of the same n samples."""

    n: int
    mean_x: PrintedValue
    sd_x: PrintedValue
    mean_y: PrintedValue
    sd_y: PrintedValue

    def fixed(self) -> float:
        """Greatest sum of (y - x)^2 at r = 0: n (mean difference)^2 + (n - 1)(s_y^2 + s_x^2)."""
        difference = max(self.mean_y.high - self.mean_x.low, self.mean_x.high - self.mean_y.low)
        return self.n * difference**2 + (self.n - 1) * (self.sd_y.high**2 + self.sd_x.high**2)

    def turn(self) -> float:
        """Greatest part of the sum that goes with -r: 2 (n - 1) s_y s_x."""
        return 2 * (self.n - 1) * self.sd_y.high * self.sd_x.high

    def r_for(self, rmse: PrintedValue) -> tuple[float, float]:
        """Correlations at which the RMSE over all samples is printed so, rounding allowed for.

        Examples
        --------
        >>> from cpmlib.study.published import parse_printed
        >>> pair = Pair(66, *map(parse_printed, ("1323", "324.4", "2856", "1461")))
        >>> tuple(round(r, 2) for r in pair.r_for(parse_printed("1974")))
        (0.7, 0.71)
        """
        moments = (self.mean_x, self.sd_x, self.mean_y, self.sd_y, rmse)
        found = []
        for m_x, s_x, m_y, s_y, error in itertools.product(*((v.low, v.high) for v in moments)):
            spread = self.n * (error**2 - (m_y - m_x) ** 2) / (self.n - 1)
            found.append((s_y**2 + s_x**2 - spread) / (2 * s_y * s_x))
        return min(found), max(found)


def most_excluded(n: int) -> int:
    """Greatest number of n samples that ROUT can exclude.

    Examples
    --------
    >>> most_excluded(32)
    11
    """
    return n - int(SHARE_NEVER_TESTED * n) + 1 if n else 0


def rmse_of_parts(parts: Sequence[tuple[int, PrintedValue]]) -> tuple[float, float]:
    """RMSE of parts put together: the root of sum n RMSE^2 / sum n, rounding allowed for.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> tuple(map(round, rmse_of_parts([(34, parse_printed("1503")), (32, parse_printed("3156"))])))
    (2448, 2449)
    """
    n = sum(k for k, _ in parts)
    low, high = (
        math.sqrt(sum(k * getattr(rmse, end) ** 2 for k, rmse in parts) / n)
        for end in ("low", "high")
    )
    return low, high


@dataclass(frozen=True)
class Exclusions:
    """How many samples of the last part must be left out so that its printed RMSE is possible."""

    total_at_minus_1: float
    total_at_zero: float
    others: float
    per_sample: float
    at_minus_1: int
    at_zero: int
    removable: int
    r_needed: float


def exclusions(pair: Pair, others: float, n: int, rmse: PrintedValue) -> Exclusions:
    """Work out how many of n samples an RMSE must leave out, at r = -1 and r = 0.

    Means and SDs fix the sum of squared errors over all samples up to the correlation r. What the
    other samples need of it (``others``) is not left for these.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> pair = Pair(66, *map(parse_printed, ("1323", "324.4", "2856", "1461")))
    >>> found = exclusions(pair, 33 * 1502.5**2 + 6208**2, 32, parse_printed("3156"))
    >>> found.at_minus_1, found.at_zero, found.removable
    (7, 14, 11)
    """
    per_sample = max(rmse.low, 0.0) ** 2
    fixed, turn = pair.fixed(), pair.turn()

    def to_remove(r: float) -> int:
        left = max(fixed - r * turn - others, 0.0)
        return max(n - math.floor(left / per_sample), 0) if per_sample else 0

    removable = most_excluded(n)
    needed = others + (n - removable) * per_sample
    return Exclusions(
        fixed + turn, fixed, others, per_sample, to_remove(-1.0), to_remove(0.0), removable,
        (fixed - needed) / turn,
    )  # fmt: skip
