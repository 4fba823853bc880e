"""QuPath's tables as text, whatever a version, a locale or a spreadsheet made of them."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from pathlib import Path

from cpmlib.study.delimited import DELIMITERS, parse_number
from cpmlib.study.errors import DatasetError, Problem, fault
from cpmlib.study.text import read_bytes

MAX_BYTES = 200_000_000
"""A biopsy with its cells' outlines needs about a tenth; more is a mistake."""
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}([ .,'\u2019\u00a0\u202f][0-9]{3})+([.,][0-9]+)?")
"""Digits in threes, as a thousands separator leaves them."""
AREA_COLUMNS = {"area um2": 1e-6, "area mm2": 1.0, "area px2": None}
"""Columns that hold the area of an annotation, as `spell` writes them, and their unit in mm2."""


class Table:
    """A table separated by tabs, commas or semicolons, as text, its columns under one spelling.

    Raises
    ------
    DatasetError
        If it cannot be read, has no rows, rows of other lengths than the header, or a column twice.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self.problems: list[Problem] = []
        self._commas: dict[str, bool | None] = {}
        text = read_export(path)
        header = text.split("\n", 1)[0]
        delimiter = max(DELIMITERS, key=header.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        except csv.Error as error:
            found = f"broken quoting ({error})"
            raise self.error(found, "a table", "export it again", reader.line_num) from None
        names = [spell(name) for name in rows[0][1]] if rows else []
        self.columns = {name: i for i, name in reversed(list(enumerate(names))) if name}
        self._title = dict(zip(names, rows[0][1], strict=True)) if rows else {}
        known = {*AREA_COLUMNS, "num detections", "object id", "parent", "image"}
        twice = sorted({name for name in names if names.count(name) > 1} & known)
        if twice:
            found = f"the column '{self._title[twice[0]]}' twice"
            raise self.error(found, "each column once", "remove one", 1)
        filled = [(number, row) for number, row in rows[1:] if any(row)]
        if not filled:
            raise self.error("no rows", "one row or more", "export it again")
        for number, row in filled:
            if len(row) != len(names):
                found = f"{len(row)} cells"
                expected = f"{len(names)}, as in the header"
                raise self.error(found, expected, "export it again, separated by tabs", number)
        self.numbers = [number for number, _ in filled]
        self.rows = [row for _, row in filled]

    def error(self, found: str, expected: str, remedy: str, row: int | None = None) -> DatasetError:
        """Say what is wrong with the table, or with one row."""
        return fault(self.file, found, expected, remedy, row)

    def value(self, i: int, name: str) -> str:
        """Return a cell; nothing where the table has no such column."""
        return self.rows[i][self.columns[name]] if name in self.columns else ""

    def text(self, name: str) -> list[str]:
        """Return a column of cells."""
        return [self.value(i, name) for i in range(len(self.rows))]

    def number(self, i: int, name: str, *, above_zero: bool = False) -> float:
        """Return a number; note a problem and return NaN for anything else."""
        text = self.value(i, name)
        value = self._parse(text, name)
        if isinstance(value, float) and (value > 0 or not above_zero):
            return value
        expected = "a number above 0" if above_zero else "a number"
        remedy = value if isinstance(value, str) else "correct the annotation and export again"
        self._note(i, name, text or "an empty cell", expected, remedy)
        return math.nan

    def _note(self, i: int, name: str, found: str, expected: str, remedy: str) -> None:
        row, column = self.numbers[i], self._title[name]
        self.problems.append(Problem(self.file, found, expected, remedy, row, column))

    def _parse(self, text: str, name: str) -> float | str:
        """Return a number, or the remedy for what is none."""
        comma = self._decimal_comma(name)
        if comma and _COMMA.fullmatch(text):
            return parse_number(text.replace(",", "."))
        if comma and "." in text and _POINT.fullmatch(text):
            return "write all numbers of the table with one decimal mark, and none for thousands"
        if _GROUPED.fullmatch(text) and not _POINT.fullmatch(text):
            return "write it without thousands separators, or with other than three decimals"
        return parse_number(text)

    def _decimal_comma(self, name: str) -> bool | None:
        """Say how a column writes decimals: as its cells show, else as those of other columns.

        The computer's locale decides for a whole table. A cell such as 5,125 alone shows nothing:
        the comma may part thousands. None if nothing shows it.
        """
        if name not in self._commas:
            shown = _decimal_mark(self.text(name))
            others = (other for other in self.columns if shown is None and other != name)
            columns = (cells for cells in map(self.text, others) if _all_numbers(cells))
            marks = (mark for mark in map(_decimal_mark, columns) if mark is not None)
            self._commas[name] = next(marks, None) if shown is None else shown
        return self._commas[name]

    def whole(self, i: int, name: str) -> int:
        """Return a count; note a problem and return 0 for anything else."""
        value, text = self.number(i, name), self.value(i, name)
        grouped = _GROUPED.fullmatch(text) is not None  # 2.000 are two thousand, not two
        if value >= 0 and value.is_integer() and not grouped:
            return int(value)
        if not math.isnan(value):
            remedy = "write it without thousands separators" if grouped else "export it again"
            self._note(i, name, text, "a whole number", remedy)
        return 0

    def refuse_other_images(self) -> None:
        """Refuse rows of more than one image."""
        images = list(dict.fromkeys(self.text("image")))
        if len(images) > 1:
            found = f"rows of {len(images)} images ({', '.join(images[:3])})"
            raise self.error(found, "one image, this sample's", "export each image by itself")

    def refuse_twice(self, *identities: tuple[str, ...]) -> None:
        """Refuse two rows that agree in one of these sets of columns that the table has."""
        for names in identities:
            if not names or not set(names) <= set(self.columns):
                continue
            seen: dict[tuple[str, ...], int] = {}
            for i, number in enumerate(self.numbers):
                key = tuple(self.value(i, name) for name in names)
                if key in seen and any(key):
                    found = f"the same object as in row {seen[key]}"
                    raise self.error(found, "each object once", "delete it, export again", number)
                seen[key] = number


def _decimal_mark(cells: list[str]) -> bool | None:
    """Say whether cells show a decimal comma, a decimal point (False), or nothing (None)."""
    for cell in cells:
        if "," in cell and _COMMA.fullmatch(cell) and not _GROUPED.fullmatch(cell):
            return True
        if "." in cell and _POINT.fullmatch(cell) and not _GROUPED.fullmatch(cell):
            return False
    return None


def _all_numbers(cells: list[str]) -> bool:
    return all(not cell or cell[-1].isdigit() or cell == "NaN" for cell in cells) and any(
        _COMMA.fullmatch(cell) or _POINT.fullmatch(cell) for cell in cells
    )


def spell(name: str) -> str:
    """Bring a column's name to one spelling, whatever became of its unit on the way.

    Examples
    --------
    >>> {spell(name) for name in ("Area µm^2", "Area μm^2", "Area (µm²)", "Area Âµm^2")}
    {'area um2'}
    """
    text = re.sub("Âµ|Î¼|Â?[\u00b5\u03bc]|\ufffd+(?=m)|[?](?=m)", "u", name)
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"[^a-z0-9:%*]+", " ", text).strip()
    return re.sub(r"\b(um|mm|px) 2$", r"\g<1>2", text)


def read_export(path: Path) -> str:
    """Read a file as UTF-8, as UTF-16 if it says so, or as an old spreadsheet writes (cp1252)."""
    raw = read_bytes(path, MAX_BYTES, "check that this is the export of one sample")
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "cp1252"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text and text.strip():
            return text
        break
    found = "an empty file" if not raw.strip() else "something that is no text"
    raise fault(path.name, found, "text in UTF-8", "export it again")
