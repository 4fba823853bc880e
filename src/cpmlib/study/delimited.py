"""Tables as text: read strictly, so that nothing is guessed into a number.

Vocabulary
----------
- *row number*: line number in the file; the header is line 1, as an editor or a spreadsheet shows
  it.
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

from cpmlib.study.errors import Problem, fault, told_together
from cpmlib.study.text import CHECK_TABLE, read_text

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
_REMEDIES = {
    r"[+-]?[1-9][0-9]{0,2},[0-9]{3}": "leave the comma out if it separates thousands, write a point"
    " if it marks decimals",
    r"[+-]?[0-9]{1,3}([ .,'\u2019\u00a0\u2009\u202f][0-9]{3})+([.,][0-9]*)?": "leave the thousands"
    " separator out, write decimals with a point",
    _DECIMAL_COMMA.pattern: "write decimals with a point",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]+(:[0-9]{2})+"
    rf"|[0-9]{{1,2}}[. -]+{_MONTH}|{_MONTH}[ -][0-9]+": "write the number again, in a cell that is"
    " not formatted as a date",
}
"""What a text that is no number may be, and how it has to be written; the first that fits."""
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?', re.IGNORECASE)
WITHOUT_THOUSANDS = "without thousands separators, or with other than three decimals"
MINUS = "\u2212"
"""The sign that typeset text has for minus; other dashes are refused and named."""
_NOT_A_NUMBER = {"nan", "+nan", "-nan", "null", "none", "na", "n.a.", "n/a", "#n/a", "-", "?"}
_NO = {"no", "false", "0", "nein", "non"}


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
    """Bring a column's name to one spelling: ``HE cellularity`` is ``he_cellularity``."""
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def read_tsv(path: Path) -> TextTable:
    """Read a tab-separated table, as BIDS prescribes; errors as `read_text` and `to_frame`."""
    text = read_text(path)
    header = text.split("\n", 1)[0]
    other = next((mark for mark in ";," if mark in header and "\t" not in header), None)
    if other:
        found = f"a header separated by {DELIMITERS[other]}s"
        remedy = "save it tab-separated, or give it as one .csv table"
        raise fault(path.name, found, "tab-separated columns", remedy, 1)
    return TextTable(_split(text, "\t", path.name, 1), path.name)


def read_csv(path: Path) -> TextTable:
    """Read a table separated by commas, semicolons or tabs, as its header tells.

    In a semicolon-separated table, numbers may have decimal commas. A first line ``sep=;``, as
    spreadsheet programs know it, is read. Errors as `read_tsv`.
    """
    text = read_text(path)
    first, _, rest = text.partition("\n")
    named = _SEPARATOR_LINE.fullmatch(first)
    delimiter = named[1] if named else max(DELIMITERS, key=first.count)
    if delimiter not in DELIMITERS:
        expected = "columns separated by commas, semicolons or tabs"
        raise fault(path.name, first.strip(), expected, "save it anew", 1)
    cells = _split(rest if named else text, delimiter, path.name, 2 if named else 1)
    return TextTable(cells, path.name, decimal_comma=delimiter == ";")


def _split(text: str, delimiter: str, file: str, first: int) -> pd.DataFrame:
    lines = text.count("\n")
    if lines > MAX_ROWS:
        raise fault(file, f"{lines} lines", LIMITS, CHECK_TABLE)
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
                raise fault(file, found, "none", remedy, len(rows) + first - 1)
    except csv.Error as error:
        found = f"broken quoting ({error})"
        raise fault(file, found, "a delimited table", "save it anew") from None
    return to_frame(rows, file, first)


def to_frame(rows: list[list[str]], file: str, first: int = 1) -> pd.DataFrame:
    """Turn rows of text, the header being line `first` of the file, into a table.

    Raises a DatasetError if names are missing or stand twice, or a row does not fit the header.
    """
    rows = [[cell.strip() for cell in row] for row in rows]
    records = {}
    with told_together() as problems:
        header = _header(rows, file, first)
        for place, name in enumerate(header, start=1):
            if not name:
                found, remedy = f"no name above column {place}", "name or remove the column"
                problems.append(Problem(file, found, "a name", remedy, first))
            elif header.index(name) + 1 < place:
                found, remedy = f"the column name '{name}' twice", "rename or remove one"
                problems.append(Problem(file, found, "each name once", remedy, first))
        for number, cells in enumerate(rows[1:], start=first + 1):
            if any(cells[len(header) :]) or (any(cells) and len(cells) < len(header)):
                found, expected = f"{len(cells)} cells", f"{len(header)}, as in the header"
                problems.append(Problem(file, found, expected, "correct the row", number))
            elif any(cells):
                records[number] = cells[: len(header)]
    if not records:
        raise fault(file, "no rows", "one row or more", "add the data", first + 1)
    index = pd.Index(list(records), name="row")
    return pd.DataFrame(list(records.values()), columns=header, index=index, dtype=str)


def _header(rows: list[list[str]], file: str, first: int) -> list[str]:
    expected = f"column names in row {first}"
    filled = [len(row) - row.count("") for row in rows]
    if not rows or not filled[0]:
        raise fault(file, "no header", expected, "add the header", first)
    if filled[0] == 1 and max(filled) > 1:
        remedy = "delete what stands above the column names"
        raise fault(file, "a title or a note", expected, remedy, first)
    header = list(rows[0])
    while not header[-1]:  # spreadsheets leave empty columns at the end
        header.pop()
    if len(header) > MAX_COLUMNS:
        raise fault(file, f"{len(header)} columns", LIMITS, CHECK_TABLE)
    return header


def parse_number(text: str, *, decimal_comma: bool = False) -> float | str:
    """Turn a cell that is not empty into a finite number, or return the remedy for its text.

    Examples
    --------
    >>> parse_number("1323.5"), parse_number("1323,5", decimal_comma=True)
    (1323.5, 1323.5)
    >>> parse_number("1,323")
    'leave the comma out if it separates thousands, write a point if it marks decimals'
    """
    text = text.replace(MINUS, "-")
    if decimal_comma and (THOUSANDS_BY_POINT.fullmatch(text) or _THOUSANDS.fullmatch(text)):
        return f"write it {WITHOUT_THOUSANDS}"
    if _NUMBER.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else "write a finite number"
    if means_missing(text):
        return "write n/a for a missing value"
    if re.fullmatch("[+-]?inf(inity)?", text, re.IGNORECASE):
        return "write a finite number, or n/a for a missing value"
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    for pattern, remedy in _REMEDIES.items():
        if re.fullmatch(pattern, text, re.IGNORECASE):
            return remedy
    if not text.isascii():
        return "write it with digits, point and hyphen alone"
    return "write a number, without unit or sign of comparison"


def means_missing(text: str, *, or_no: bool = False) -> bool:
    """Whether a text says in other words than ``n/a`` that there is no value, or just no."""
    return text.lower() in _NOT_A_NUMBER | (_NO if or_no else set())


def surely_decimal_comma(text: str) -> bool:
    """Whether a comma in a number can only mark decimals, as that of 1,02 but not of 1,378."""
    return bool(_DECIMAL_COMMA.fullmatch(text)) and not _THOUSANDS.fullmatch(text)
