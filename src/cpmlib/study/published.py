"""The printed values of the paper, and what a regenerated value must be to agree with one.

Vocabulary
----------
- *printed text*: a value as the paper writes it, such as ``0.20`` or ``>0.05``.
- *rounding interval*: the values that, rounded as the printed text is, give that text.
- *truncated*: cut off after the printed digits instead of rounded, as some of the paper's
  percentages are; that is granted to percentages alone.
- *kind of a printed value*: a count, a value of a case, a bound such as ``p > 0.05``, or a
  statistic (`KINDS`), told from its row in the table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.study.delimited import read_tsv
from cpmlib.study.errors import Problem, in_rows, told_together

COLUMNS = ("id", "where", "statistic", "subset", "printed", "note")
COUNT = "counts and percentages"
CASE = "values of cases"
BOUND = "limits such as p > 0.05"
STATISTIC = "statistics"
KINDS = (COUNT, CASE, BOUND, STATISTIC)
PERCENTAGE = "percent of "
NUMBER_OR_BOUND = "a number, or > or < and a number"
_UNIT = re.compile(r" \((?:cells|1e-6|years)[^)]*\)")
REPRESENTATION_SLACK = 1e-12
"""Relative slack for decimal bounds and sums held in binary, far below any rounding."""


@dataclass(frozen=True)
class PrintedValue:
    """A printed text as the interval of values that round to it.

    Of a printed ``>`` or ``<`` one end is infinite and the other excluded.
    """

    low: float
    high: float

    @property
    def is_bound(self) -> bool:
        """Whether one end is open."""
        return bool(np.isinf(self.low) or np.isinf(self.high))

    def contains(self, value: float) -> bool:
        """Whether a value agrees with the printed text; NaN never does."""
        if not np.isfinite(value) or self.is_bound:
            return self.low < value < self.high
        slack = REPRESENTATION_SLACK * max(abs(self.low), abs(self.high))
        return self.low - slack <= value <= self.high + slack

    @property
    def centre(self) -> float:
        """Middle of the interval; the finite end of a bound."""
        return float(np.mean([end for end in (self.low, self.high) if np.isfinite(end)]))


def parse_printed(text: str) -> PrintedValue:
    """Read a decimal number, or one behind ``>`` or ``<``; raise a ValueError for other texts.

    Examples
    --------
    >>> parse_printed("-0.78"), parse_printed(">0.05")
    (PrintedValue(low=-0.785, high=-0.775), PrintedValue(low=0.05, high=inf))
    """
    sign, digits = (text[0], text[1:]) if text.startswith(("<", ">")) else ("", text)
    try:
        value = Decimal(digits.strip())
    except InvalidOperation:
        raise ValueError(f"printed value {text!r}; expected {NUMBER_OR_BOUND}") from None
    if not value.is_finite():
        raise ValueError(f"printed value {text!r}; expected a finite number")
    if sign:
        end = float(value)
        return PrintedValue(end, np.inf) if sign == ">" else PrintedValue(-np.inf, end)
    half = Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2
    return PrintedValue(float(value - half), float(value + half))


def kind_of(id: str, statistic: str, printed: str) -> str:
    """Tell which of `KINDS` a row of the table of printed values is.

    Examples
    --------
    >>> kind_of("corr.whole.cpm.rho_p", "Spearman p, CPM", ">0.05")
    'limits such as p > 0.05'
    """
    if id.startswith("case."):
        return CASE
    if statistic.startswith(("count of ", PERCENTAGE)):
        return COUNT
    return BOUND if printed.startswith((">", "<")) else STATISTIC


def agrees_if_truncated(printed: str, statistic: str, value: float) -> bool:
    """Whether a value is a percentage that, cut off and not rounded, would be printed so.

    Examples
    --------
    >>> agrees_if_truncated("18", "percent of patients", 100 * 5 / 27)
    True
    """
    is_bound = printed.startswith((">", "<"))
    if not statistic.startswith(PERCENTAGE) or is_bound or not np.isfinite(value):
        return False
    text = Decimal(printed)
    # A share that is exactly a whole number may lie a last bit below it.
    exact = Decimal(float(value) * (1 + REPRESENTATION_SLACK))
    return exact.quantize(text, rounding=ROUND_DOWN) == text


def name_of(statistic: str, subset: str) -> str:
    """Name a printed value for a reader, without unit.

    Examples
    --------
    >>> name_of("mean H&E cellularity (cells/mm2)", "whole")
    'mean H&E cellularity (whole)'
    """
    return f"{_UNIT.sub('', statistic)} ({subset})"


def names_of(published: pd.DataFrame, ids: Iterable[str]) -> str:
    """Name some of the printed values for a reader, as one text without units."""
    rows = published.loc[list(ids), ["statistic", "subset"]].itertuples(index=False)
    return "; ".join(name_of(statistic, subset) for statistic, subset in rows)


def agreeing(published: pd.DataFrame, values: Mapping[str, float]) -> list[str]:
    """Return the ids whose value agrees with the printed text; a missing value never does.

    Examples
    --------
    >>> agreeing(pd.DataFrame({"printed": ["0.17", "3"]}, index=["a", "b"]), {"a": 0.171})
    ['a']
    """
    printed = published["printed"].map(parse_printed)
    return [str(id) for id in printed.index if printed[id].contains(values.get(str(id), np.nan))]


def read_published(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the table of printed values: tab-separated, columns as in `COLUMNS`.

    Returns those columns as text, and ``low`` and ``high`` of the rounding interval, by id; a
    DatasetError is raised for a missing column, a repeated id or a text that is no number.
    """
    table = read_tsv(Path(path))
    cells, file = table.cells, table.file
    with told_together() as problems:
        absent = [name for name in COLUMNS if name not in cells]
        problems += [Problem(file, "no such column", "it", "add it", 1, name) for name in absent]
    intervals = {}
    with told_together() as problems:
        again = cells.loc[cells["id"].duplicated(), "id"] + " again"
        problems += in_rows(again, file, "each id once", "rename", "id")
        for row, text in cells["printed"].items():
            try:
                intervals[row] = parse_printed(text)
            except ValueError:
                wrong = pd.Series({row: text})
                problems += in_rows(wrong, file, NUMBER_OR_BOUND, "correct it", "printed")
    cells[["low", "high"]] = [(i.low, i.high) for i in intervals.values()]
    return cells[[*COLUMNS, "low", "high"]].set_index("id")
