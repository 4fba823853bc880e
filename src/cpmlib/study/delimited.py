"""Tables as text: read strictly, so that nothing is guessed into a number.

Vocabulary
----------
- *row*: line number in the file; the header is line 1, as an editor or a spreadsheet shows it.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cpmlib.study.errors import DatasetError, Problem, fault
from cpmlib.study.text import read_text

TABLE_SUFFIXES = {".csv", ".xlsx"}
"""Endings of a study that comes as one table."""
DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon"}
MAX_ROWS = 100_000
MAX_COLUMNS = 200
"""More than any table of biopsies has; what exceeds them is a mistake or an attack."""
LIMITS = f"at most {MAX_ROWS} rows and {MAX_COLUMNS} columns"
THOUSANDS_BY_POINT = re.compile(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+")
"""Text in which points may separate thousands."""
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_MONTH = "(jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]*[.]?"
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]+(:[0-9]{2})+"
    rf"|[0-9]{{1,2}}[. -]+{_MONTH}|{_MONTH}[ -][0-9]+",
    re.IGNORECASE,
)
_COMMA_FOR_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}([ .,'\u2019\u00a0\u2009\u202f][0-9]{3})+([.,][0-9]*)?")
_REMEDIES = {
    _COMMA_FOR_EITHER: "leave the comma out if it separates thousands, write a point if it marks"
    " decimals",
    _GROUPED: "leave the thousands separator out, write decimals with a point",
    _DECIMAL_COMMA: "write decimals with a point",
    _DATE: "write the number again, in a cell that is not formatted as a date",
}
"""What a text that is no number may be, and how it has to be written; the first that fits."""
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?', re.IGNORECASE)
MINUS = "\u2212"
"""The sign that typeset text has for minus; other dashes are refused and named."""
_NOT_A_NUMBER = {"nan", "+nan", "-nan", "null", "none", "na", "n.a.", "n/a", "#n/a", "-", "?"}
_NO = {"no", "false", "0", "nein", "non"}
_INFINITE = {"inf", "+inf", "-inf", "infinity", "-infinity", "+infinity"}


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are still text, indexed by their row number in the file.

    The notes say what the file holds besides the table and was not read.
    """

    cells: pd.DataFrame
    file: str
    decimal_comma: bool = False
    notes: tuple[str, ...] = ()


def column_name(name: str) -> str:
    """Bring a column's name to one spelling: capitals, spaces and hyphens make no difference.

    Examples
    --------
    >>> column_name("HE cellularity")
    'he_cellularity'
    """
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def read_tsv(path: Path) -> TextTable:
    """Read a tab-separated table, as BIDS prescribes; errors as `read_text` and `to_frame`."""
    text = read_text(path)
    header = text.split("\n", 1)[0]
    other = next((mark for mark in ";," if mark in header and "\t" not in header), None)
    if other:
        found = f"a header separated by {DELIMITERS[other]}s"
        remedy = "save it tab-separated, or give it as one .csv table"
        raise fault(path.name, found, "tab-separated columns", remedy, row=1)
    return TextTable(_records(text, "\t", path.name), path.name)


def read_csv(path: Path) -> TextTable:
    """Read a table separated by commas, semicolons or tabs; the header tells which.

    In a semicolon-separated table, numbers may have decimal commas. A first line ``sep=;``, as
    spreadsheet programs know it, is read. Errors as `read_tsv`.
    """
    text = read_text(path)
    first, _, rest = text.partition("\n")
    named = _SEPARATOR_LINE.fullmatch(first)
    header = rest.split("\n", 1)[0] if named else first
    delimiter = named[1] if named else max(DELIMITERS, key=header.count)
    if delimiter not in DELIMITERS:
        expected = "columns separated by commas, semicolons or tabs"
        raise fault(path.name, first.strip(), expected, "save it anew", row=1)
    cells = _records(rest if named else text, delimiter, path.name, first=2 if named else 1)
    return TextTable(cells, path.name, decimal_comma=delimiter == ";")


def _records(text: str, delimiter: str, file: str, first: int = 1) -> pd.DataFrame:
    """Split a text whose header is line `first` of the file."""
    lines = text.count("\n")
    if lines > MAX_ROWS:
        raise fault(file, f"{lines} lines", LIMITS, "check that this is the table")
    options: dict[str, Any] = {"delimiter": delimiter, "strict": True}
    if delimiter == "\t":  # BIDS tables know no quoting
        options["quoting"] = csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text), **options)
    rows = []
    try:
        for row in reader:
            rows.append(row)
            if reader.line_num != len(rows):
                found, remedy = "a line break inside a cell", "put each record on one line"
                raise fault(file, found, "none", remedy, row=len(rows) + first - 1)
    except csv.Error as error:
        found = f"broken quoting ({error})"
        raise fault(file, found, "a delimited table", "save it anew") from None
    return to_frame(rows, file, first)


def to_frame(rows: list[list[str]], file: str, first: int = 1) -> pd.DataFrame:
    """Turn rows of text, the header being line `first` of the file, into a table.

    Raises
    ------
    DatasetError
        If names are missing or stand twice, or a row does not fit the header.
    """
    header, problems = _header(rows, file, first)
    records = {}
    for number, row in enumerate(rows[1:], start=first + 1):
        cells = [cell.strip() for cell in row]
        if len(cells) >= len(header) and not any(cells[len(header) :]):
            records[number] = cells[: len(header)]
        elif any(cells):
            found, expected = f"{len(cells)} cells", f"{len(header)}, as in the header"
            problems.append(Problem(file, found, expected, "correct the row", number))
    if problems:
        raise DatasetError(problems)
    records = {number: cells for number, cells in records.items() if any(cells)}
    if not records:
        raise fault(file, "no rows", "one row or more", "add the data", row=first + 1)
    index = pd.Index(list(records), name="row")
    return pd.DataFrame(list(records.values()), columns=header, index=index, dtype=str)


def _header(rows: list[list[str]], file: str, first: int) -> tuple[list[str], list[Problem]]:
    """Return the names of the columns, and what is wrong with some; raise if there are none."""
    expected = f"column names in row {first}"
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    if not rows or not filled[0]:
        raise fault(file, "no header", expected, "add the header", row=first)
    if filled[0] == 1 and max(filled) > 1:
        remedy = "delete what stands above the column names"
        raise fault(file, "a title or a note", expected, remedy, row=first)
    header = [name.strip() for name in rows[0]]
    while not header[-1]:  # spreadsheets leave empty columns at the end
        header.pop()
    if len(header) > MAX_COLUMNS:
        raise fault(file, f"{len(header)} columns", LIMITS, "check that this is the table")
    problems = []
    for name in sorted({name for name in header if name and header.count(name) > 1}):
        found = f"the column name '{name}' twice"
        problems.append(Problem(file, found, "each name once", "rename or remove one", first))
    for place, name in enumerate(header, start=1):
        if not name:
            found, remedy = f"no name above column {place}", "name or remove the column"
            problems.append(Problem(file, found, "a name", remedy, first))
    return header, problems


def parse_number(text: str, *, decimal_comma: bool = False) -> float | str:
    """Turn a cell that is not empty into a finite number, or return the remedy for its text.

    Examples
    --------
    >>> parse_number("1323.5"), parse_number("1323,5", decimal_comma=True)
    (1323.5, 1323.5)
    >>> parse_number("1323,5")
    'write decimals with a point'
    >>> parse_number("1,323")
    'leave the comma out if it separates thousands, write a point if it marks decimals'
    """
    text = text.replace(MINUS, "-")
    if decimal_comma and (THOUSANDS_BY_POINT.fullmatch(text) or _THOUSANDS.fullmatch(text)):
        return (
            "write it without a thousands separator, or with other than three decimals if they are"
            " decimals"
        )
    if _NUMBER.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else "write a finite number"
    if means_missing(text):
        return "write n/a for a missing value"
    if text.lower() in _INFINITE:
        return "write a finite number, or n/a for a missing value"
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    for pattern, remedy in _REMEDIES.items():
        if pattern.fullmatch(text):
            return remedy
    if not text.isascii():
        return "write it with digits, point and hyphen alone"
    return "write a number, without unit or sign of comparison"


def means_missing(text: str, *, or_no: bool = False) -> bool:
    """Whether a text says in other words than ``n/a`` that there is no value, or just no.

    Examples
    --------
    >>> means_missing("NA"), means_missing("FALSE"), means_missing("FALSE", or_no=True)
    (True, False, True)
    """
    return text.lower() in _NOT_A_NUMBER | (_NO if or_no else set())


def surely_decimal_comma(text: str) -> bool:
    """Whether a comma in a number can only mark decimals.

    Examples
    --------
    >>> surely_decimal_comma("1,02"), surely_decimal_comma("1,378")
    (True, False)
    """
    return bool(_DECIMAL_COMMA.fullmatch(text)) and not _THOUSANDS.fullmatch(text)
