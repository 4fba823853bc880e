"""A table in a workbook: what its owner sees on the first sheet, or a fault."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cpmlib.delimited import (
    LIMITS,
    MAXIMUM_BYTES,
    MAXIMUM_COLUMNS,
    MAXIMUM_ROWS,
    TextTable,
    to_frame,
)
from cpmlib.errors import DatasetError, Problem
from cpmlib.study_names import is_placeholder, not_fetched

_OLE = b"\xd0\xcf\x11\xe0"
"""First bytes of an old .xls workbook, and of a workbook that is locked with a password."""
_SHOWN_OTHERWISE = re.compile("%|,(?=;|$)|;;;")
"""Formats of cells that show percent, thousands of thousands, or nothing."""


def read_xlsx(path: Path) -> TextTable:
    """Read the first sheet of a workbook; formulas count as the values saved with them.

    Raises
    ------
    DatasetError
        If the file is not a workbook, is locked or too large, holds merged, hidden or struck-out
        cells or formulas without a saved value, or its records do not fit the header.
    """
    if is_placeholder(path):
        raise DatasetError(not_fetched(path, path.parent))
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
    return TextTable(to_frame(rows, path.name), path.name, notes=tuple(others))


def _workbook(path: Path, *, data_only: bool) -> Any:
    import openpyxl  # only a study that comes as a workbook needs it

    return openpyxl.load_workbook(path, data_only=data_only)


def _check_sheet(values: Any, formulas: Any, file: str) -> None:
    """Refuse what would read as another table than the one that its owner sees."""
    if values.max_row > MAXIMUM_ROWS or values.max_column > MAXIMUM_COLUMNS:
        found = f"cells as far as row {values.max_row}, column {values.max_column}"
        raise DatasetError(Problem(file, found, LIMITS, "delete stray cells"))
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
            if cell.value is not None:
                unsaved = values.cell(cell.row, cell.column).value is None
                faults = list(_faults(cell, unsaved))
                if cell.row in rows:
                    faults.append(("a hidden row", "rows that can be seen", "show or delete it"))
                elif cell.column in columns:
                    what = f"a hidden column {cell.column_letter}"
                    faults.append((what, "columns that can be seen", "show or delete it"))
                problems += [Problem(file, *texts, cell.row) for texts in faults]
    if problems:
        raise DatasetError(problems)


def _faults(cell: Any, unsaved: bool) -> Iterator[tuple[str, str, str]]:
    """Yield what was found, expected and the remedy for a cell that shows another content."""
    place = cell.coordinate
    if cell.data_type == "f" and unsaved:
        remedy = "open and save it in a spreadsheet program, or write the value"
        yield f"a formula without a saved value in {place}", "a value", remedy
    if cell.font.strike:
        remedy = "delete it, or leave it and say why under exclude_reason"
        yield f"struck-out text in {place}", "plain text", remedy
    if _SHOWN_OTHERWISE.search(cell.number_format) and cell.data_type in ("n", "f"):
        remedy = "format the cell as a plain number and write again what it should be"
        found = f"a number in {place} that its format shows as another"
        yield found, "the number that is shown", remedy


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
