"""A table in a workbook: what its owner sees on the first sheet, or a fault."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cpmlib.study.delimited import LIMITS, MAX_COLUMNS, MAX_ROWS, TextTable, to_frame
from cpmlib.study.errors import DatasetError, Problem, fault, told_together
from cpmlib.study.text import CHECK_TABLE, MAX_BYTES, read_bytes

_OLE = b"\xd0\xcf\x11\xe0"
"""First bytes of an old .xls workbook, and of a workbook that is locked with a password."""
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^]]*\]')
"""Parts of a cell's format that stand for themselves, for a space or a colour."""
_SCALED = re.compile("%|,(?![0#?])")
"""Formats that show percent or thousands of the number."""
_SHOWN = re.compile("[0#?@]|general", re.IGNORECASE)
"""What stands for the digits in a format."""


def read_xlsx(path: Path) -> TextTable:
    """Read the first sheet of a workbook; formulas count as the values saved with them.

    Raises a DatasetError if the file is not a workbook, is locked or too large, holds merged,
    hidden or struck-out cells, raised marks or formulas without a saved value, or its records do
    not fit the header.
    """
    values, formulas = _open(path)
    if not values.worksheets:
        found = "a workbook without a sheet of cells"
        raise fault(path.name, found, "a table on its first sheet", "add it")
    sheet = values.worksheets[0]
    _check_sheet(sheet, formulas.worksheets[0], path.name)
    rows = [["" if cell is None else _as_text(cell) for cell in row] for row in sheet.values]
    notes = [  # by number: what a sheet is called may be private
        f"sheet {values.sheetnames.index(other.title) + 1} of the workbook"
        for other in values.worksheets[1:]
        if any(cell is not None for row in other.values for cell in row)
    ]
    if comments := sum(cell.comment is not None for row in sheet.iter_rows() for cell in row):
        notes.append(f"comments on cells of the workbook ({comments})")
    return TextTable(to_frame(rows, path.name), path.name, notes=tuple(notes))


def _open(path: Path) -> tuple[Any, Any]:
    """Open a workbook twice: with the values that were saved, and with the formulas."""
    import openpyxl  # only a study that comes as a workbook needs it

    content = read_bytes(path)
    if content.startswith(_OLE):
        found = "a workbook that is locked with a password, or an old .xls file"
        remedy = "save it as .xlsx without a password, or as .csv"
        raise fault(path.name, found, "an open .xlsx workbook", remedy)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_BYTES:
            found = f"{unpacked} bytes when unpacked"
            raise fault(path.name, found, f"at most {MAX_BYTES}", CHECK_TABLE)
        load = partial(openpyxl.load_workbook, io.BytesIO(content))
        return load(data_only=True), load(data_only=False, rich_text=True)
    except DatasetError:
        raise
    except Exception as error:
        found = f"a file that does not open as a workbook ({type(error).__name__})"
        raise fault(path.name, found, "an .xlsx workbook", "save it anew, or as .csv") from None


def _check_sheet(values: Any, formulas: Any, file: str) -> None:
    """Refuse what would read as another table than the one that its owner sees."""
    if values.max_row > MAX_ROWS or values.max_column > MAX_COLUMNS:
        found = f"cells as far as row {values.max_row}, column {values.max_column}"
        raise fault(file, found, LIMITS, "delete stray cells")
    rows, columns = _hidden(values)
    with told_together() as problems:
        for area in values.merged_cells.ranges:
            found = f"merged cells {area}"
            problems.append(
                Problem(file, found, "a value in each cell", "unmerge them", area.min_row)
            )
        if values.sheet_state != "visible":
            remedy = "show it, or move the table's sheet to the first place"
            problems.append(Problem(file, "a hidden first sheet", "the table on it", remedy))
        for cell in (cell for row in formulas.iter_rows() for cell in row):
            if cell.value is None:
                continue
            faults = list(_faults(cell, values[cell.coordinate].value))
            if cell.row in rows:
                faults.append(("a hidden row", "rows that can be seen", "show or delete it"))
            elif cell.column in columns:
                what = f"a hidden column {cell.column_letter}"
                faults.append((what, "columns that can be seen", "show or delete it"))
            problems += [Problem(file, *texts, cell.row) for texts in faults]


def _faults(cell: Any, saved: object) -> Iterator[tuple[str, str, str]]:
    """Yield what was found, expected and the remedy for a cell that shows another content."""
    place = cell.coordinate
    if cell.data_type == "f" and saved is None:
        remedy = "open and save it in a spreadsheet program, or write the value"
        yield f"a formula without a saved value in {place}", "a value", remedy
    # A text of which parts have a font of their own is a list of its parts.
    parts = cell.value if isinstance(cell.value, list) else []
    fonts = [part.font for part in parts if not isinstance(part, str)]
    if any(font.strike for font in [cell.font, *fonts]):
        remedy = "delete it, or leave it and say why under exclude_reason"
        yield f"struck-out text in {place}", "plain text", remedy
    if any(font.vertAlign in ("superscript", "subscript") for font in fonts):
        remedy = "take out the mark, which would read as part of the value"
        yield f"a raised or lowered mark in {place}", "the value alone", remedy
    if cell.data_type in ("n", "f") and _shows_another(cell.number_format):
        remedy = "format the cell as a plain number and write again what it should be"
        found = f"a number in {place} that its format shows as another"
        yield found, "the number that is shown", remedy


def _shows_another(number_format: str) -> bool:
    """Whether a format shows a number above or below 0 as another one, or not at all."""
    sections = _LITERAL.sub("", number_format).split(";")[:2]
    return any(_SCALED.search(part) or not _SHOWN.search(part) for part in sections)


def _hidden(sheet: Any) -> tuple[set[int], set[int]]:
    """Return the rows and columns that a sheet hides: by a filter, by hand, or by a size of 0."""
    listed = set(sheet.row_dimensions)
    rows = {n for n, row in sheet.row_dimensions.items() if row.hidden or row.height == 0}
    if sheet.sheet_format.zeroHeight:  # rows that are not listed are hidden too
        rows |= set(range(1, sheet.max_row + 1)) - listed
    columns: set[int] = set()
    for column in sheet.column_dimensions.values():
        if column.hidden or column.width == 0:
            columns |= set(range(column.min, column.max + 1))
    return rows, columns


def _as_text(cell: object) -> str:
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)
