"""What a paper prints, read so that a wrong cell costs one value and not the audit."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cpmlib.study.delimited import read_tsv
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.published import COLUMNS, PrintedValue, name_of, parse_printed

PLACES_COLUMNS = ("id", "where", "printed")
_COLUMNS = tuple(name for name in COLUMNS if name != "note")


class NotThere(Exception):  # noqa: N818 - it says why a relation is left out, no fault
    """A relation needs a value that is not printed, or not as it needs it."""


@dataclass(frozen=True)
class Value:
    """A printed text with its interval, where it stands, and a name for readers."""

    id: str
    text: str
    name: str
    where: str
    interval: PrintedValue

    @property
    def low(self) -> float:
        """Lower end of the rounding interval."""
        return self.interval.low

    @property
    def high(self) -> float:
        """Upper end of the rounding interval."""
        return self.interval.high


@dataclass(frozen=True)
class Values:
    """The printed values by id, and every further place where one of them stands.

    Examples
    --------
    >>> values = Values.from_texts({"t1.n": "27", "lmm.p": ">0.05"})
    >>> values.count("t1.n")
    27
    >>> values.number("lmm.p")
    Traceback (most recent call last):
        ...
    cpmlib.paper.audit.printed.NotThere: lmm.p is printed as >0.05, which is no number
    """

    rows: Mapping[str, Mapping[str, str]]
    places: tuple[Value, ...] = ()
    unread: tuple[str, ...] = ()

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Values:
        """Make values of ids and texts alone; the id is the name."""
        return cls({id: {"printed": text, "statistic": id} for id, text in texts.items()})

    def __contains__(self, id: str) -> bool:
        return id in self.rows

    def name(self, *ids: str) -> str:
        """Name values for a reader; an id that is not printed stands for itself in quotes."""
        return "; ".join(self._name(id) for id in ids)

    def _name(self, id: str) -> str:
        if id not in self:
            return f'"{id}"'
        row = self.rows[id]
        return name_of(row["statistic"], row["subset"]) if row.get("subset") else row["statistic"]

    def any(self, id: str) -> Value:
        """Return a value, which may be a bound such as >0.05; raise `NotThere` without it."""
        if id not in self:
            raise NotThere(f'"{id}" is not among the printed values')
        row, name = self.rows[id], self.name(id)
        try:
            interval = parse_printed(row["printed"])
        except ValueError:
            raise NotThere(f"{name} is printed as {row['printed']!r}, which is no number") from None
        return Value(id, row["printed"], name, row.get("where", ""), interval)

    def number(self, id: str) -> Value:
        """Return a value that is a number and no bound."""
        value = self.any(id)
        if value.interval.is_bound:
            raise NotThere(f"{value.name} is printed as {value.text}, which is no number")
        return value

    def count(self, id: str) -> int:
        """Return a whole number that is not negative."""
        value = self.number(id)
        whole = float(value.text)
        if not whole.is_integer() or whole < 0:
            raise NotThere(f"{value.name} is printed as {value.text}, which is no count")
        return int(whole)


def read_values(
    path: str | os.PathLike[str], places: str | os.PathLike[str] | None = None
) -> Values:
    """Read the table of printed values, and if given the file of further places.

    A text that is no number, or an id that comes again, is kept: the audit reports it.

    Raises
    ------
    DatasetError
        If a file is no table or lacks a column.
    """
    kept: dict[str, dict[str, str]] = {}
    rows = []
    for row in _columns(path, _COLUMNS)[list(_COLUMNS)].to_dict("records"):
        if row["id"] in kept:
            rows.append((row["id"], row["where"], row["printed"]))
        else:
            kept[row["id"]] = {str(key): str(cell) for key, cell in row.items()}
    if places is not None:
        rows += _columns(places, PLACES_COLUMNS)[list(PLACES_COLUMNS)].itertuples(index=False)
    values, found, unread = Values(kept), [], []
    for id, where, printed in rows:
        name = values.name(id)
        try:
            found.append(Value(id, printed, name, where, parse_printed(printed)))
        except ValueError:
            unread.append(f"{name}, {where}: {printed!r} is no number")
    return Values(kept, tuple(found), tuple(unread))


def _columns(path: str | os.PathLike[str], columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_tsv(Path(path))
    absent = [name for name in columns if name not in table.cells.columns]
    if absent:
        file = table.file
        raise DatasetError([Problem(file, "no such column", "it", "add it", 1, n) for n in absent])
    return table.cells


def ends(low: float, high: float, digits: int = 4) -> str:
    """Write an interval for a reader.

    Examples
    --------
    >>> ends(0.08312, 0.41), ends(0.5, math.inf), ends(2, 2)
    ('0.08312 to 0.41', '0.5 or more', '2')
    """
    shown = [f"{end:.{digits}g}" if abs(end) < 1e4 else f"{end:.0f}" for end in (low, high)]
    if math.isinf(high):
        return f"{shown[0]} or more"
    if math.isinf(low):
        return f"{shown[1]} or less"
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"
