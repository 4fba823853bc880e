"""What the tests of claims are made of: comparisons of values, one exact or only printed.

A value is one exact number of a dataset, or the rounding interval of a printed one.

Vocabulary
----------
- *condition*: what a claim asks of the values, such as that one is less than another.
- *counterexample*: what refutes a claim about all subsets, whatever else is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cpmlib.paper.claims.names import shown_number
from cpmlib.statistics.results import ALPHA, CI_HIGH, CI_LOW
from cpmlib.study.published import PrintedValue, parse_printed


@dataclass(frozen=True)
class Value:
    """A number between two bounds, equal for an exact one, or a text; and how a page shows it."""

    bounds: PrintedValue | None
    shown: str


Values = Mapping[str, Value]


@dataclass(frozen=True)
class Check:
    """What one condition found: its verdict, None if open, and the ids it read or missed."""

    ids: tuple[str, ...]
    holds: bool | None
    missing: tuple[str, ...] = ()
    counterexample: bool = False


Condition = Callable[[Values], Check]


@dataclass(frozen=True)
class Term:
    """A value by its id, times a factor; without its sign if ``size``."""

    id: str
    factor: float = 1.0
    size: bool = False

    def bounds(self, values: Values) -> PrintedValue | None:
        """Return the bounds of this term; None if the value is unknown."""
        value = values.get(self.id)
        if value is None or value.bounds is None:
            return None
        known = value.bounds
        low, high = known.low * self.factor, known.high * self.factor
        if self.size:
            crosses = low < 0 < high
            low, high = sorted((abs(low), abs(high)))
            low = 0.0 if crosses else low
        return PrintedValue(low, high)


def size(id: str) -> Term:
    """Name a value without its sign."""
    return Term(id, size=True)


def exact_values(values: Mapping[str, object]) -> dict[str, Value]:
    """Take a dataset's values by id; NaN and None are unknown.

    Examples
    --------
    >>> exact_values({"corr.naive.cpm.rho": 0.41, "corr.naive.adc.rho": float("nan")})
    {'corr.naive.cpm.rho': Value(bounds=PrintedValue(low=0.41, high=0.41),
    shown='0.41')}
    """
    found = {}
    for id, value in values.items():
        if isinstance(value, str):
            found[id] = Value(None, value)
        elif value is not None and np.isfinite(number := float(value)):  # type: ignore[arg-type]
            ends = (values.get(id + CI_LOW, np.nan), values.get(id + CI_HIGH, np.nan))
            shown = shown_number(id, number, *(float(e) for e in ends))  # type: ignore[arg-type]
            found[id] = Value(PrintedValue(number, number), shown)
    return found


def printed_values(published: pd.DataFrame) -> dict[str, Value]:
    """Take the printed values (`cpmlib.study.published.read_published`) as intervals.

    Examples
    --------
    >>> printed_values(pd.DataFrame({"printed": ["0.41"]}, ["corr.naive.cpm.rho"]))
    {'corr.naive.cpm.rho': Value(bounds=PrintedValue(low=0.405, high=0.415),
    shown='0.41')}
    """
    texts = published["printed"].items()
    return {str(id): Value(parse_printed(text), text) for id, text in texts}


def less(a: str | float | Term, b: str | float | Term) -> Condition:
    """Require a < b; each a value's id, a `Term` or a number.

    Examples
    --------
    >>> known = exact_values({"desc.cpm_mean": 1323.0, "desc.he_mean": 2856.0})
    >>> less("desc.cpm_mean", "desc.he_mean")(known).holds, less("desc.cpm_mean", 1000)(known).holds
    (True, False)
    """
    terms = [Term(side) if isinstance(side, str) else side for side in (a, b)]
    ids = tuple(term.id for term in terms if isinstance(term, Term))

    def condition(values: Values) -> Check:
        bounds = [
            term.bounds(values) if isinstance(term, Term) else PrintedValue(term, term)
            for term in terms
        ]
        if bounds[0] is None or bounds[1] is None:
            return Check(ids, None, _unknown(ids, values))
        left, right = bounds[0], bounds[1]
        if left.high < right.low or (left.high == right.low and (left.is_bound or right.is_bound)):
            return Check(ids, True)
        return Check(ids, False if left.low >= right.high else None)

    return condition


def at_least(a: str | float | Term, b: str | float | Term) -> Condition:
    """Require a >= b."""
    opposite = less(a, b)

    def condition(values: Values) -> Check:
        found = opposite(values)
        return Check(found.ids, None if found.holds is None else not found.holds, found.missing)

    return condition


def greater(a: str | float | Term, b: str | float | Term) -> Condition:
    """Require a > b; a is shown first."""
    opposite = less(b, a)

    def condition(values: Values) -> Check:
        found = opposite(values)
        return replace(found, ids=found.ids[::-1])

    return condition


def shown_with(id: str, condition: Condition) -> Condition:
    """Show a value, if it is known, with those that a condition needs."""

    def shown(values: Values) -> Check:
        found = condition(values)
        return replace(found, ids=(id, *found.ids))

    return shown


def is_text(id: str, expected: str) -> Condition:
    """Require a value that is a text, such as a location."""

    def condition(values: Values) -> Check:
        if missing := _unknown((id,), values):
            return Check((id,), None, missing)
        return Check((id,), values[id].shown == expected)

    return condition


def one_sign(*ids: str) -> Condition:
    """Require values of one sign; two that differ are a counterexample, whatever the others are.

    Examples
    --------
    >>> known = exact_values({"a.x": 0.2, "a.y": -0.1})
    >>> one_sign("a.x", "a.y", "a.z")(known)
    Check(ids=('a.x', 'a.y', 'a.z'), holds=False, missing=(), counterexample=True)
    """

    def condition(values: Values) -> Check:
        bounds = [known for id in ids if (known := Term(id).bounds(values)) is not None]
        if any(known.low > 0 for known in bounds) and any(known.high < 0 for known in bounds):
            return Check(ids, False, counterexample=True)
        if missing := _unknown(ids, values):
            return Check(ids, None, missing)
        if any(known.low == known.high == 0 for known in bounds):
            return Check(ids, False)
        return Check(ids, None if any(known.low <= 0 <= known.high for known in bounds) else True)

    return condition


def associated(statistic: str, p: str, sign: int) -> tuple[Condition, Condition]:
    """Require a statistic of this sign with p below `ALPHA`."""
    return (greater if sign > 0 else less)(statistic, 0), less(p, ALPHA)


def not_associated(statistic: str, p: str) -> Condition:
    """Require p of `ALPHA` or more; the statistic is shown with it."""
    return shown_with(statistic, at_least(p, ALPHA))


def _unknown(ids: tuple[str, ...], values: Values) -> tuple[str, ...]:
    return tuple(id for id in ids if id not in values)
