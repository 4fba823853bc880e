"""p of printed statistics, and statistics of a printed p, with what rounding allows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from cpmlib.statistics.results import ALPHA
from cpmlib.study.published import REPRESENTATION_SLACK, PrintedValue

TESTS = ("t", "F", "r", "rho", "r2", "z", "chi2", "U")
_SMALLEST = 1e-300


def r2_of_p(p: float, n: int) -> float:
    """R2 of a line through n points whose slope has this two-sided p.

    Examples
    --------
    >>> round(r2_of_p(0.016, 34) ** 0.5, 4)
    0.4101
    """
    t = stats.t.isf(p / 2, n - 2)
    return float(t * t / (t * t + n - 2))


def z_of_p(p: float) -> float:
    """Two-sided p as a standard normal quantile.

    Examples
    --------
    >>> round(z_of_p(0.05), 2)
    1.96
    """
    return float(stats.norm.isf(p / 2))


def p_of(test: str, statistic: float, *degrees: float) -> float:
    """Two-sided p of a statistic; of F and chi2 the upper tail.

    Degrees of freedom: of t and chi2 one, of F two, of z none; for r, rho and R2 the number of
    pairs, whose p is that of t with n - 2.

    Examples
    --------
    >>> round(p_of("t", 2.20, 28), 7), round(p_of("F", 2.20, 2, 28), 7), round(p_of("z", 2.20), 7)
    (0.0362255, 0.1295932, 0.0278069)
    >>> round(p_of("r", 0.22, 30), 7), round(p_of("chi2", 22.20, 28), 7)
    (0.242739, 0.7719487)
    """
    size = abs(statistic)
    if test in ("r", "rho", "r2"):
        r2 = min(size if test == "r2" else size**2, 1.0)
        n = degrees[0]
        t = math.sqrt(r2 * (n - 2) / (1 - r2)) if r2 < 1 else math.inf
        return float(2 * stats.t.sf(t, n - 2))
    if test == "t":
        return float(2 * stats.t.sf(size, degrees[0]))
    if test == "z":
        return float(2 * stats.norm.sf(size))
    tail: Callable[..., float] = {"F": stats.f.sf, "chi2": stats.chi2.sf}[test]
    return float(tail(max(statistic, 0.0), *degrees))


def p_interval(test: str, value: PrintedValue, *degrees: float) -> tuple[float, float]:
    """Least and greatest p that a printed statistic can have, rounding allowed for.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> tuple(round(p, 4) for p in p_interval("t", parse_printed("2.2"), 28))
    (0.0325, 0.0403)
    """
    if test == "U":
        return _p_interval_of_u(value, *(int(n) for n in degrees))
    low, high = value.low, value.high
    if test in ("F", "chi2", "r2"):
        nearest, farthest = max(low, 0.0), high
    else:
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        farthest = max(abs(low), abs(high))
    return p_of(test, farthest, *degrees), p_of(test, nearest, *degrees)


def samples_with_u(u: float, n_a: int, n_b: int) -> tuple[np.ndarray, np.ndarray]:
    """Two samples without ties whose Mann-Whitney U is u, a whole number.

    Examples
    --------
    >>> a, b = samples_with_u(7, 4, 5)
    >>> int((a[:, None] > b).sum())
    7
    """
    high, rest = divmod(int(u), n_b)
    b = np.arange(n_b, dtype=float)
    a = np.array([*(n_b + 1 + i for i in range(high)), *([rest - 0.5] if rest else [])])
    return np.concatenate([a, -1.0 - np.arange(n_a - len(a))]), b


def _p_interval_of_u(value: PrintedValue, n_a: int, n_b: int) -> tuple[float, float]:
    """Over U in the interval and the conventions: exact, normal, normal with correction."""
    least, most = max(math.ceil(value.low), 0), min(math.floor(value.high), n_a * n_b)
    found = []
    for u in {least, most, min(max(n_a * n_b // 2, least), most)} if least <= most else set():
        a, b = samples_with_u(u, n_a, n_b)
        for method, correction in (("exact", False), ("asymptotic", True), ("asymptotic", False)):
            if method == "exact" and n_a * n_b > 10_000:
                continue
            test = stats.mannwhitneyu(a, b, use_continuity=correction, method=method)  # type: ignore[call-overload]
            found.append(float(test.pvalue))
    return (min(found), max(found)) if found else (math.nan, math.nan)


def agree(p: PrintedValue, low: float, high: float) -> bool:
    """Whether a printed p can be one between two ends.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> [agree(parse_printed(text), 0.0325, 0.0403) for text in (".02", ".03", "<0.05", ".08")]
    [False, True, True, False]
    """
    if p.is_bound:
        return high > p.low and low < p.high
    slack = REPRESENTATION_SLACK
    return low <= p.high + slack and high >= p.low - slack


def decision_differs(p: PrintedValue, low: float, high: float, alpha: float = ALPHA) -> bool:
    """Whether a printed p and the p of its statistic lie on different sides of the usual level.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> decision_differs(parse_printed("0.06"), 0.0359, 0.0366)
    True
    """
    return (p.low >= alpha and high < alpha) or (p.high <= alpha and low >= alpha)
