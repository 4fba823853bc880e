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
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cpmlib.errors import DatasetError, Problem

TABLE_SUFFIXES = {".csv", ".xlsx"}
"""Endings of a study that comes as one table."""

DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon"}
MAXIMUM_BYTES = 50_000_000
MAXIMUM_ROWS = 100_000
MAXIMUM_COLUMNS = 200
"""Larger than any table of biopsies; what exceeds them is a mistake or an attack."""
_LIMITS = f"at most {MAXIMUM_ROWS} rows and {MAXIMUM_COLUMNS} columns"
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
_SHOWN_OTHERWISE = re.compile("%|,(?=;|$)|;;;")
"""Formats of cells that show percent, thousands of thousands, or nothing."""
_PLACEHOLDERS = ("/annex/objects/", "version https://git-lfs.github.com/")
_OLE = b"\xd0\xcf\x11\xe0"
"""First bytes of an old .xls workbook, and of a workbook that is locked with a password."""
MINUS = "\u2212"
"""The sign that typeset text has for minus; other dashes are refused and named."""
_THOUSANDS_OR_DECIMALS = (
    "write it without a thousands separator, or with other than three decimals if they are decimals"
)
_NOT_A_NUMBER = {"nan", "+nan", "-nan", "null", "none", "na", "n.a.", "n/a", "#n/a", "-", "?"}
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


def plain_name(name: str) -> str:
    """Bring a column's name to one spelling: capitals, spaces and hyphens make no difference.

    Examples
    --------
    >>> plain_name("HE cellularity")
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
    if path.is_symlink() and not path.exists():
        remedy = "fetch the file (git annex get, datalad get) or correct the link"
        raise DatasetError(Problem(path.name, "a link to nowhere", "a readable file", remedy))
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
    if text.startswith(_PLACEHOLDERS):
        found = "a placeholder of git-annex or Git LFS, not the file itself"
        remedy = "fetch the file (git annex get, datalad get, git lfs pull)"
        raise DatasetError(Problem(path.name, found, "the file itself", remedy))
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


def read_xlsx(path: Path) -> TextTable:
    """Read the first sheet of a workbook; formulas count as the values saved with them.

    Raises
    ------
    DatasetError
        If the file is not a workbook, is locked or too large, holds merged, hidden or struck-out
        cells or formulas without a saved value, or its records do not fit the header.
    """
    try:
        with path.open("rb") as stream:
            locked = stream.read(4) == _OLE
        if locked:
            found = "a workbook that is locked with a password, or an old .xls file"
            remedy = "save it as .xlsx without a password, or as .csv"
            raise DatasetError(Problem(path.name, found, "an open .xlsx workbook", remedy))
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAXIMUM_BYTES:
            raise DatasetError(
                Problem(
                    path.name,
                    f"{unpacked} bytes when unpacked",
                    f"at most {MAXIMUM_BYTES}",
                    "check that this is the table",
                )
            )
        values, formulas = (_workbook(path, data_only=choice) for choice in (True, False))
    except DatasetError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "check the file and its permissions"
        raise DatasetError(Problem(path.name, reason, "a readable file", remedy)) from None
    except Exception as error:
        found = f"a file that does not open as a workbook ({type(error).__name__})"
        raise DatasetError(
            Problem(path.name, found, "an .xlsx workbook", "save it anew, or as .csv")
        ) from None
    if not values.worksheets:
        found = "a workbook without a sheet of cells"
        raise DatasetError(Problem(path.name, found, "a table on its first sheet", "add it"))
    sheet = values.worksheets[0]
    _check_sheet(sheet, formulas.worksheets[0], path.name)
    rows = [
        ["" if cell is None else _as_text(cell) for cell in row]
        for row in sheet.iter_rows(values_only=True)
    ]
    others = [  # by number: what a sheet is called may be nobody's business
        f"sheet {values.sheetnames.index(other.title) + 1} of the workbook"
        for other in values.worksheets[1:]
        if any(cell is not None for row in other.iter_rows(values_only=True) for cell in row)
    ]
    return TextTable(_frame(rows, path.name), path.name, notes=tuple(others))


def _workbook(path: Path, *, data_only: bool) -> Any:
    import openpyxl  # only a study that comes as a workbook needs it

    return openpyxl.load_workbook(path, data_only=data_only)


def _check_sheet(values: Any, formulas: Any, file: str) -> None:
    """Refuse what would read as another table than the one that its owner sees."""
    if values.max_row > MAXIMUM_ROWS or values.max_column > MAXIMUM_COLUMNS:
        found = f"cells as far as row {values.max_row}, column {values.max_column}"
        raise DatasetError(Problem(file, found, _LIMITS, "delete stray cells"))
    problems = [
        Problem(file, f"merged cells {area}", "a value in each cell", "unmerge them", area.min_row)
        for area in values.merged_cells.ranges
    ]
    if values.sheet_state != "visible":
        remedy = "show it, or move the table's sheet to the first place"
        problems.append(Problem(file, "a hidden first sheet", "the table on it", remedy))
    rows, columns = _hidden(values)
    for row in formulas.iter_rows():
        for cell in row:
            if cell.value is None:
                continue
            if cell.data_type == "f" and values.cell(cell.row, cell.column).value is None:
                remedy = "open and save it in a spreadsheet program, or write the value"
                found = f"a formula without a saved value in {cell.coordinate}"
                problems.append(Problem(file, found, "a value", remedy, cell.row))
            if cell.font.strike:
                found = f"struck-out text in {cell.coordinate}"
                remedy = "delete it, or leave it and say why under exclude_reason"
                problems.append(Problem(file, found, "plain text", remedy, cell.row))
            if _SHOWN_OTHERWISE.search(cell.number_format) and cell.data_type == "n":
                found = f"a number in {cell.coordinate} that its format shows as another"
                remedy = "format the cell as a plain number and write again what it should be"
                problems.append(Problem(file, found, "the number that is shown", remedy, cell.row))
            if cell.row in rows:
                found, remedy = "a hidden row", "show it, or delete it"
                problems.append(Problem(file, found, "rows that can be seen", remedy, cell.row))
            elif cell.column in columns:
                found = f"a hidden column {cell.column_letter}"
                expected, remedy = "columns that can be seen", "show it, or delete it"
                problems.append(Problem(file, found, expected, remedy))
    if problems:
        raise DatasetError(problems)


def _hidden(sheet: Any) -> tuple[set[int], set[int]]:
    """Return the numbers of the rows and columns that a sheet hides, by a filter or by hand."""
    shown = {n for n, row in sheet.row_dimensions.items() if not row.hidden}
    every = set(range(1, sheet.max_row + 1))
    rows = every - shown if sheet.sheet_format.zeroHeight else set(sheet.row_dimensions) - shown
    columns: set[int] = set()
    for column in sheet.column_dimensions.values():
        if column.hidden:
            columns |= set(range(column.min, column.max + 1))
    return rows, columns


def _as_text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _records(text: str, delimiter: str, file: str, first: int = 1) -> pd.DataFrame:
    """Split a text whose header is line `first` of the file."""
    lines = text.count("\n")
    if lines > MAXIMUM_ROWS:
        found = f"{lines} lines"
        raise DatasetError(Problem(file, found, _LIMITS, "check that this is the table"))
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
    return _frame(rows, file, first)


def _frame(rows: list[list[str]], file: str, first: int = 1) -> pd.DataFrame:
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
        raise DatasetError(Problem(file, found, _LIMITS, "check that this is the table"))
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
