"""Arithmetic of printed means and SDs: what whole numbers, zeros and ones, or parts can give.

Exact fractions throughout, and both ends of a rounding interval belong to it, so that a value is
never called impossible for how its author rounds a half.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from scipy import optimize

from cpmlib.study.published import PrintedValue

Moments = tuple[int, PrintedValue, PrintedValue]
"""Number, mean and SD (n - 1) of a group."""


def _exact(text: str) -> tuple[Fraction, Fraction]:
    """Ends of a rounding interval as fractions."""
    half = Fraction(1, 2 * 10 ** len(text.partition(".")[2]))
    return Fraction(text) - half, Fraction(text) + half


def _totals(mean: str, n: int, factor: Fraction) -> range:
    """Whole totals of n values, each times a factor, whose mean is printed so."""
    low, high = (end * n * factor for end in _exact(mean))
    return range(math.ceil(low), math.floor(high) + 1)


def grim(mean: str, n: int, *, items: int = 1, percent: bool = False) -> bool:
    """Whether n whole numbers can have a printed mean (Brown & Heathers 2017).

    ``items``: each value is itself a mean of so many whole numbers. ``percent``: the mean is a
    share in percent.

    Examples
    --------
    >>> grim("7.22", 32), grim("5.23", 29), grim("67.4", 150, percent=True)
    (True, False, False)
    """
    return bool(_totals(mean, n, Fraction(items, 100 if percent else 1)))


def grimmer(mean: str, sd: str, n: int, *, items: int = 1) -> bool:
    """Whether n whole numbers can have a printed mean and SD (Anaya 2016; Allard 2018).

    The sum of squares must be a whole number that is even or odd as the sum is, and not below what
    the most even values give.

    Examples
    --------
    >>> grimmer("5.21", "1.6", 28), grimmer("3.44", "2.47", 18)
    (True, False)
    """
    low, high = (max(end, Fraction(0)) * items for end in _exact(sd))
    for total in _totals(mean, n, Fraction(items)):
        least = _least_squares(total, n)
        first = max(math.ceil(low**2 * (n - 1) + Fraction(total**2, n)), least)
        first += (first - total) % 2
        if first <= high**2 * (n - 1) + Fraction(total**2, n):
            return True
    return False


def _least_squares(total: int, n: int) -> int:
    """Sum of squares of the most even n whole numbers with a total."""
    each, more = divmod(total, n)
    return (n - more) * each**2 + more * (each + 1) ** 2


def debit(mean: str, sd: str, n: int) -> bool:
    """Whether n zeros and ones can have a printed mean and SD (Heathers & Brown 2019).

    Examples
    --------
    >>> debit("0.44", "0.50", 1683), debit("0.19", "0.35", 1683)
    (True, False)
    """
    low, high = (max(end, Fraction(0)) ** 2 for end in _exact(sd))
    ones = (k for k in _totals(mean, n, Fraction(1)) if 0 <= k <= n)
    return any(low <= Fraction(k * (n - k), n * (n - 1)) <= high for k in ones)


def remove(
    whole: tuple[int, float, float], part: tuple[int, float, float]
) -> tuple[int, float, float]:
    """Number, mean and SD of what is left of a whole without a part; NaN for no such SD.

    Examples
    --------
    >>> n, mean, sd = remove((80, 4.96, 2.18), (40, 4.71, 2.04))
    >>> n, round(mean, 2), round(sd, 3)
    (40, 5.21, 2.31)
    """
    n = whole[0] - part[0]
    mean = (whole[0] * whole[1] - part[0] * part[1]) / n
    squares = (whole[0] - 1) * whole[2] ** 2 - (part[0] - 1) * part[2] ** 2
    squares -= sum(k * (m - whole[1]) ** 2 for k, m in ((part[0], part[1]), (n, mean)))
    return n, mean, math.sqrt(squares / (n - 1)) if n > 1 and squares >= 0 else math.nan


def combined_intervals(
    parts: Sequence[Moments],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Intervals of the mean and SD of groups put together, rounding allowed for.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> texts = [(40, "4.71", "2.04"), (40, "5.20", "2.32")]
    >>> parts = [(n, parse_printed(m), parse_printed(s)) for n, m, s in texts]
    >>> [tuple(round(end, 3) for end in ends) for ends in combined_intervals(parts)]
    [(4.95, 4.96), (2.179, 2.19)]
    """
    n = sum(k for k, _, _ in parts)
    means = [sum(k * getattr(m, end) for k, m, _ in parts) / n for end in ("low", "high")]
    within = [
        sum((k - 1) * max(getattr(s, end), 0.0) ** 2 for k, _, s in parts)
        for end in ("low", "high")
    ]
    groups = [(k, m) for k, m, _ in parts]
    between = least_between(groups), max(_between(groups))
    sds = [math.sqrt((w + b) / (n - 1)) for w, b in zip(within, between, strict=True)]
    return (means[0], means[1]), (sds[0], sds[1])


def _between(groups: Sequence[tuple[int, PrintedValue]]) -> Iterator[float]:
    """Sums of squares between groups at the corners of the means' intervals."""
    n = sum(k for k, _ in groups)
    for corner in itertools.product(*((m.low, m.high) for _, m in groups)):
        mean = sum(k * m for (k, _), m in zip(groups, corner, strict=True)) / n
        yield sum(k * (m - mean) ** 2 for (k, _), m in zip(groups, corner, strict=True))


def least_between(groups: Sequence[tuple[int, PrintedValue]]) -> float:
    """Least sum of squares between groups that their printed means allow.

    That sum is the least of sum k (m - c)^2 over c, which is convex in c.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> round(least_between([(37, parse_printed("1415")), (29, parse_printed("1206"))]))
    703368
    """

    def at(c: float) -> float:
        return sum(k * max(m.low - c, c - m.high, 0.0) ** 2 for k, m in groups)

    low, high = min(m.low for _, m in groups), max(m.high for _, m in groups)
    found = optimize.minimize_scalar(at, bounds=(low, high), method="bounded")
    return min(float(found.fun), at(low), at(high))


def squares_needed(n: int, mean: PrintedValue, known: Sequence[PrintedValue]) -> float:
    """Least sum of squares about a printed mean of n values, some of which are printed.

    The others are best all alike, at what brings the mean to where it is (after Samuelson 1968).

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> round(squares_needed(3, parse_printed("0"), [parse_printed("10")]))
    122
    """
    centre = sum(v.centre for v in known) / len(known)
    m = min(max(centre, mean.low), mean.high)
    off = [min(max(m, v.low), v.high) - m for v in known]
    rest = n - len(known)
    if rest < 1:
        return sum(d**2 for d in off)
    return sum(d**2 for d in off) + sum(off) ** 2 / rest
