"""The printed values as intervals: what a calibrated cohort has to meet.

Vocabulary
----------
- *calibration target*: a printed value with its rounding interval; ``>0.05`` gives one open at one
  end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cpmlib.study.published import PrintedValue, agrees_if_truncated, parse_printed

SUBSETS = {"whole": "whole", "naive": "treatment-naive", "recurrent": "recurrent"}
"""Words for a subset in identifiers, and the subset they mean."""

PREDICTORS = ("cpm", "adc")


@dataclass(frozen=True)
class Interval:
    """All numbers between two ends; infinite where there is none.

    Examples
    --------
    >>> Interval(0.1, 0.3).intersect(Interval(0.2, math.inf))
    Interval(low=0.2, high=0.3)
    """

    low: float
    high: float

    @property
    def empty(self) -> bool:
        """Whether no number lies inside."""
        return not self.low <= self.high

    @property
    def centre(self) -> float:
        """Middle of the interval, or its finite end."""
        if math.isinf(self.low):
            return self.high
        return self.low if math.isinf(self.high) else (self.low + self.high) / 2

    def intersect(self, other: Interval) -> Interval:
        """Numbers in both."""
        return Interval(max(self.low, other.low), min(self.high, other.high))


@dataclass(frozen=True)
class Target:
    """One printed value as in the table, and in ``value`` what the printed text admits."""

    id: str
    subset: str
    printed: str
    note: str
    value: PrintedValue
    statistic: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The identifier's words."""
        return tuple(self.id.split("."))

    @property
    def interval(self) -> Interval:
        """The numbers that are printed so."""
        return Interval(self.value.low, self.value.high)

    def miss(self, value: float) -> float:
        """How far a value lies outside, 0 inside or truncated; infinite for no value.

        Examples
        --------
        >>> target = Target("x", "", "2.0", "", parse_printed("2.0"))
        >>> round(target.miss(2.25), 3), target.miss(2.01)
        (0.2, 0.0)
        """
        if self.value.contains(value) or agrees_if_truncated(self.printed, self.statistic, value):
            return 0.0
        if not math.isfinite(value):
            return math.inf
        return max(self.value.low - value, value - self.value.high, 0.0)


def make_targets(published: pd.DataFrame) -> dict[str, Target]:
    """Turn the table of printed values into targets.

    By identifier, in the order of the table that `cpmlib.study.published.read_published` returns.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"statistic": ["mean"], "subset": ["whole"], "printed": ["2856"], "note": [""]},
    ...     index=["desc.he_mean"],
    ... )
    >>> make_targets(table)["desc.he_mean"].interval
    Interval(low=2855.5, high=2856.5)
    """
    return {
        str(id): Target(str(id), subset, printed, note, parse_printed(printed), statistic)
        for id, (statistic, subset, printed, note) in zip(
            published.index,
            published[["statistic", "subset", "printed", "note"]].itertuples(index=False),
            strict=True,
        )
    }


def select(targets: Mapping[str, Target], *words: str) -> list[Target]:
    """Return the targets whose identifier has these words; ``*`` stands for any one word.

    Examples
    --------
    >>> one = Target("corr.whole.cpm.b", "", "1", "", parse_printed("1"))
    >>> [t.id for t in select({one.id: one}, "corr", "*", "*", "b")]
    ['corr.whole.cpm.b']
    """
    return [
        target
        for target in targets.values()
        if len(target.parts) == len(words)
        and all(want in ("*", word) for want, word in zip(words, target.parts, strict=True))
    ]


def whole_number(targets: Mapping[str, Target], id: str) -> int | None:
    """Return a printed count, or None if it is not printed.

    Examples
    --------
    >>> whole_number({"n": Target("n", "", "27", "", parse_printed("27"))}, "n")
    27
    """
    return round(targets[id].value.centre) if id in targets else None


def counts(targets: Mapping[str, Target], prefix: str) -> dict[str, int]:
    """Return the printed counts of the categories under a prefix, underscores read as spaces.

    Examples
    --------
    >>> target = Target("t1.cns5.NOS", "", "2", "", parse_printed("2"))
    >>> counts({target.id: target}, "t1.cns5")
    {'NOS': 2}
    """
    words = prefix.split(".")
    return {
        target.parts[-1].replace("_", " "): round(target.value.centre)
        for target in select(targets, *words, "*")
    }
