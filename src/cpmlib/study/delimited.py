"""Tables as text: read strictly, so that nothing is guessed into a number.

Vocabulary
----------
- *row*: line number in the file; the header is line 1, as an editor or a spreadsheet shows it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.names import is_placeholder, not_fetched

TABLE_SUFFIXES = {".csv", ".xlsx"}
"""Endings of a study that comes as one table."""

DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon"}
MAXIMUM_BYTES = 50_000_000
MAXIMUM_ROWS = 100_000
MAXIMUM_COLUMNS = 200
"""Larger than any table of biopsies; what exceeds them is a mistake or an attack."""
LIMITS = f"at most {MAXIMUM_ROWS} rows and {MAXIMUM_COLUMNS} columns"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
THOUSANDS_BY_POINT = re.compile(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+")
"""Text in which points may separate thousands."""
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}([ .,'\u2019\u00a0\u2009\u202f][0-9]{3})+([.,][0-9]*)?")
_MONTH = "(jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]*[.]?"
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]+(:[0-9]{2})+"
    rf"|[0-9]{{1,2}}[. -]+{_MONTH}|{_MONTH}[ -][0-9]+",
    re.IGNORECASE,
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?', re.IGNORECASE)
MINUS = "\u2212"
"""The sign that typeset text has for minus; other dashes are refused and named."""
_THOUSANDS_OR_DECIMALS = (
    "write it without a thousands separator, or with other than three decimals if they are decimals"
)
_NOT_A_NUMBER = {"nan", "+nan", "-nan", "null", "none", "na", "n.a.", "n/a", "#n/a", "-", "?"}
_NO = {"no", "false", "0", "nein", "non"}
_INFINITE = {"inf", "+inf", "-inf", "infinity", "-infinity", "+infinity"}


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are still text.

    Parameters
    ----------
    cells
        One row a record, indexed by its row number in the file.
    file
        The file's name.
    decimal_comma
        Whether numbers are written with a decimal comma.
    notes
        What the file holds besides the table and was not read.
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


def read_text(path: Path) -> str:
    """Read a UTF-8 file; a byte order mark is dropped.

    Raises
    ------
    DatasetError
        If the file is missing, unreadable, too large, or in another encoding.
    """
    try:
        return _read_text(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DatasetError(
            Problem(path.name, reason, "a readable file", "check the file and its permissions")
        ) from None


def _read_text(path: Path) -> str:
    if is_placeholder(path):
        raise DatasetError(not_fetched(path, path.parent))
    if not path.is_file():
        raise DatasetError(
            Problem(path.name, "no such file", "a readable file", f"add {path.name} to the dataset")
        )
    if path.stat().st_size > MAXIMUM_BYTES:
        size = f"{path.stat().st_size} bytes"
        remedy = "check that this is the table"
        raise DatasetError(Problem(path.name, size, f"at most {MAXIMUM_BYTES} bytes", remedy))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"bytes that are not UTF-8 (at byte {error.start})"
        raise DatasetError(
            Problem(path.name, found, "UTF-8 text", "save the file as UTF-8 (Excel: CSV UTF-8)")
        ) from None
    if "\0" in text:
        raise DatasetError(
            Problem(path.name, "NUL characters", "UTF-8 text", "save the file as UTF-8")
        )
    if "\r" in text.replace("\r\n", ""):
        found = "line ends or characters of an old kind (carriage return)"
        raise DatasetError(Problem(path.name, found, "lines ending in LF or CRLF", "save it anew"))
    return text


def read_tsv(path: Path) -> TextTable:
    """Read a tab-separated table, as BIDS prescribes.

    Raises
    ------
    DatasetError
        As `read_text` and for records that do not fit the header.
    """
    text = read_text(path)
    header = text.split("\n", 1)[0]
    if "\t" not in header:
        for mark in (";", ","):
            if mark in header:
                raise DatasetError(
                    Problem(
                        path.name,
                        f"a header separated by {DELIMITERS[mark]}s",
                        "tab-separated columns",
                        "save it tab-separated, or give it as one .csv table",
                        row=1,
                    )
                )
    return TextTable(_records(text, "\t", path.name), path.name)


def read_csv(path: Path) -> TextTable:
    """Read a table separated by commas, semicolons or tabs; the header tells which.

    In a semicolon-separated table, numbers may have decimal commas. A first line ``sep=;``, as
    spreadsheet programs know it, is read.

    Raises
    ------
    DatasetError
        As `read_tsv`.
    """
    text = read_text(path)
    first, _, rest = text.partition("\n")
    named = _SEPARATOR_LINE.fullmatch(first)
    header = rest.split("\n", 1)[0] if named else first
    delimiter = named[1] if named else max(DELIMITERS, key=header.count)
    if delimiter not in DELIMITERS:
        expected = "columns separated by commas, semicolons or tabs"
        raise DatasetError(Problem(path.name, first.strip(), expected, "save it anew", row=1))
    cells = _records(rest if named else text, delimiter, path.name, first=2 if named else 1)
    return TextTable(cells, path.name, decimal_comma=delimiter == ";")


def _records(text: str, delimiter: str, file: str, first: int = 1) -> pd.DataFrame:
    """Split a text whose header is line `first` of the file."""
    lines = text.count("\n")
    if lines > MAXIMUM_ROWS:
        found = f"{lines} lines"
        raise DatasetError(Problem(file, found, LIMITS, "check that this is the table"))
    options: dict[str, Any] = {"delimiter": delimiter, "strict": True}
    if delimiter == "\t":  # BIDS tables know no quoting
        options["quoting"] = csv.QUOTE_NONE
    try:
        reader = csv.reader(io.StringIO(text), **options)
        rows = []
        for row in reader:
            rows.append(row)
            if reader.line_num != len(rows):
                found, remedy = "a line break inside a cell", "put each record on one line"
                number = len(rows) + first - 1
                raise DatasetError(Problem(file, found, "none", remedy, row=number))
    except csv.Error as error:
        raise DatasetError(
            Problem(file, f"broken quoting ({error})", "a delimited table", "save it anew")
        ) from None
    return to_frame(rows, file, first)


def to_frame(rows: list[list[str]], file: str, first: int = 1) -> pd.DataFrame:
    """Turn rows of text, the header being line `first` of the file, into a table.

    Raises
    ------
    DatasetError
        If names are missing or stand twice, or a row does not fit the header.
    """
    expected = f"column names in row {first}"
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    if not rows or not filled[0]:
        raise DatasetError(Problem(file, "no header", expected, "add the header", row=first))
    if filled[0] == 1 and max(filled) > 1:
        found, remedy = "a title or a note", "delete what stands above the column names"
        raise DatasetError(Problem(file, found, expected, remedy, row=first))
    header = [name.strip() for name in rows[0]]
    while header and not header[-1]:  # spreadsheets leave empty columns at the end
        header.pop()
    if len(header) > MAXIMUM_COLUMNS:
        found = f"{len(header)} columns"
        raise DatasetError(Problem(file, found, LIMITS, "check that this is the table"))
    problems = []
    for name in sorted({name for name in header if header.count(name) > 1} - {""}):
        found = f"the column name '{name}' twice"
        problems.append(Problem(file, found, "each name once", "rename or remove one", row=first))
    for place in [i for i, name in enumerate(header, start=1) if not name]:
        found = f"no name above column {place}"
        problems.append(Problem(file, found, "a name", "name or remove the column", row=first))
    records, numbers = [], []
    for number, row in enumerate(rows[1:], start=first + 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        extra = [cell for cell in cells[len(header) :] if cell]
        if len(cells) < len(header) or extra:
            found = f"{len(cells)} cells"
            expected = f"{len(header)}, as in the header"
            problems.append(Problem(file, found, expected, "correct the row", row=number))
            continue
        records.append(cells[: len(header)])
        numbers.append(number)
    if problems:
        raise DatasetError(problems)
    if not records:
        raise DatasetError(
            Problem(file, "no rows", "one row or more", "add the data", row=first + 1)
        )
    return pd.DataFrame(records, columns=header, index=pd.Index(numbers, name="row"), dtype=str)


def parse_number(text: str, *, decimal_comma: bool = False) -> float | str:
    """Turn text into a finite number, or say what it is instead.

    Parameters
    ----------
    text
        A cell; not one that means "missing".
    decimal_comma
        Whether the table writes 1,5 for one and a half.

    Returns
    -------
    float or str
        The number, or the remedy for a text that is none.

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
        return _THOUSANDS_OR_DECIMALS
    if _NUMBER.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else "write a finite number"
    lowered = text.lower()
    if lowered in _NOT_A_NUMBER:
        return "write n/a for a missing value"
    if lowered in _INFINITE:
        return "write a finite number, or n/a for a missing value"
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    return _remedy_for(text)


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


def _remedy_for(text: str) -> str:
    """Say how a text that is no number has to be written."""
    if re.fullmatch(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", text):
        return "leave the comma out if it separates thousands, write a point if it marks decimals"
    if _GROUPED.fullmatch(text):
        return "leave the thousands separator out, write decimals with a point"
    if _DECIMAL_COMMA.fullmatch(text):
        return "write decimals with a point"
    if _DATE.fullmatch(text):
        return "write the number again, in a cell that is not formatted as a date"
    if not text.isascii():
        return "write it with digits, point and hyphen alone"
    return "write a number, without unit or sign of comparison"


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object from a small text file; raise a DatasetError if it holds anything else."""
    text = read_text(path)
    try:
        content = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        found = f"broken JSON ({error.msg})"
        raise DatasetError(
            Problem(path.name, found, "a JSON object", "correct it", error.lineno)
        ) from None
    except (ValueError, RecursionError) as error:
        found = f"JSON that cannot be read ({error})"
        raise DatasetError(Problem(path.name, found, "a JSON object", "correct it")) from None
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise DatasetError(Problem(path.name, f"a {kind}", "a JSON object", "correct it"))
    return content


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return content
