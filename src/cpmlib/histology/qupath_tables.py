"""QuPath's tables as text, whatever a version, a locale or a spreadsheet made of them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from itertools import chain
from pathlib import Path

import pandas as pd

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
    """A table separated by tabs, commas or semicolons: text by row of the file and spelt column.

    Raises a DatasetError if it cannot be read, has no rows, rows of other lengths than the header,
    or a column twice.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self.problems: list[Problem] = []
        text = read_export(path)
        delimiter = max(DELIMITERS, key=text.split("\n", 1)[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            read = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        except csv.Error as error:
            found = f"broken quoting ({error})"
            raise self.error(found, "a table", "export it again", reader.line_num) from None
        header = read[0][1]
        names = [spell(name) for name in header]
        self.titles = dict(zip(names, header, strict=True))
        rows = {number: row for number, row in read[1:] if any(row)}
        known = {*AREA_COLUMNS, "num detections", "object id", "parent", "image"}
        for name in sorted(name for name in known if names.count(name) > 1):
            found = f"the column '{self.titles[name]}' twice"
            raise self.error(found, "each column once", "remove one", 1)
        if not rows:
            raise self.error("no rows", "one row or more", "export it again")
        for number, row in rows.items():
            if len(row) != len(names):
                found, expected = f"{len(row)} cells", f"{len(names)}, as in the header"
                raise self.error(found, expected, "export it again, separated by tabs", number)
        cells = pd.DataFrame(list(rows.values()), list(rows), names, dtype=object)
        self.cells = cells.loc[:, ~cells.columns.duplicated() & (cells.columns != "")]
        self._commas: dict[str, bool | None] = {}

    def error(self, found: str, expected: str, remedy: str, row: int | None = None) -> DatasetError:
        """Return the error of the table, or of one row."""
        return fault(self.file, found, expected, remedy, row)

    def text(self, name: str) -> pd.Series:
        """Return a column; empty texts where the table has none of that name."""
        return self.cells.get(name, pd.Series("", self.cells.index))

    def numbers(
        self, name: str, rows: pd.Index, *, above_zero: bool = False, whole: bool = False
    ) -> pd.Series:
        """Return numbers of a column; note a problem for anything else, and give NaN for it."""
        found = {}
        for row, text in self.cells.loc[rows, name].items():
            value = self._parse(text, name)
            found[row] = value if isinstance(value, float) else float("nan")
            grouped = _GROUPED.fullmatch(text) is not None  # 2.000 are two thousand, not two
            if isinstance(value, str):
                expected, remedy = "a number above 0" if above_zero else "a number", value
            elif above_zero and value <= 0:
                expected, remedy = "a number above 0", "correct the annotation and export again"
            elif whole and (value < 0 or value % 1 or grouped):
                remedy = "write it without thousands separators" if grouped else "export it again"
                expected = "a whole number"
            else:
                continue
            shown, title = text or "an empty cell", self.titles[name]
            self.problems.append(Problem(self.file, shown, expected, remedy, int(str(row)), title))
        return pd.Series(found, dtype=float)

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
            numeric = (n for n in self.cells if self.cells[n].str.fullmatch(r"|.*\d|NaN").all())
            marks = (_decimal_mark(self.cells[column]) for column in chain([name], numeric))
            self._commas[name] = next((mark for mark in marks if mark is not None), None)
        return self._commas[name]

    def refuse_other_images(self) -> None:
        """Refuse rows of more than one image."""
        images = self.text("image").unique()
        if len(images) > 1:
            found = f"rows of {len(images)} images ({', '.join(images[:3])})"
            raise self.error(found, "one image, this sample's", "export each image by itself")

    def refuse_twice(self, *identities: list[str]) -> None:
        """Refuse two rows that agree in one of these sets of columns that the table has."""
        for names in identities:
            if names and set(names) <= set(self.cells):
                cells = self.cells[names]
                again = cells.duplicated() & (cells != "").any(axis=1)
                for row in again.index[again]:
                    first = (cells == cells.loc[row]).all(axis=1).idxmax()
                    found = f"the same object as in row {first}"
                    raise self.error(found, "each object once", "delete it, export again", row)


def _decimal_mark(cells: pd.Series) -> bool | None:
    """Say whether a column shows a decimal comma, a decimal point (False), or nothing (None)."""
    for cell in cells:
        if not _GROUPED.fullmatch(cell) and (_COMMA.fullmatch(cell) or _POINT.fullmatch(cell)):
            return "," in cell
    return None


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
    """Read UTF-8, UTF-16 if the file says so, or what an old spreadsheet writes (cp1252)."""
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
