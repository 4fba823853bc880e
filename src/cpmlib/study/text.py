"""Files of bytes, of text and of JSON: read as a whole, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cpmlib.study.errors import DatasetError, fault
from cpmlib.study.names import is_placeholder, not_fetched

MAX_BYTES = 50_000_000
"""Larger than any table of biopsies; what exceeds it is a mistake or an attack."""


TOO_LARGE = "check that this is the table"


def read_bytes(path: Path, largest: int = MAX_BYTES, remedy: str = TOO_LARGE) -> bytes:
    """Read a file.

    Raises
    ------
    DatasetError
        If it is missing, was not fetched, cannot be read or has more than `largest` bytes; the
        remedy is for the last.
    """
    try:
        if is_placeholder(path):
            raise DatasetError(not_fetched(path, path.parent))
        if not path.is_file():
            add = f"add {path.name} to the dataset"
            raise fault(path.name, "no such file", "a readable file", add)
        if (size := path.stat().st_size) > largest:
            raise fault(path.name, f"{size} bytes", f"at most {largest} bytes", remedy)
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "check the file and its permissions"
        raise fault(path.name, reason, "a readable file", remedy) from None


def read_text(path: Path, largest: int = MAX_BYTES, remedy: str = TOO_LARGE) -> str:
    """Read a UTF-8 file; a byte order mark is dropped.

    Raises
    ------
    DatasetError
        As `read_bytes`, and if the file is in another encoding or of old line ends.
    """
    try:
        text = read_bytes(path, largest, remedy).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"bytes that are not UTF-8 (at byte {error.start})"
        remedy = "save the file as UTF-8 (Excel: CSV UTF-8)"
        raise fault(path.name, found, "UTF-8 text", remedy) from None
    if "\0" in text:
        raise fault(path.name, "NUL characters", "UTF-8 text", "save the file as UTF-8")
    if "\r" in text.replace("\r\n", ""):
        found = "line ends or characters of an old kind (carriage return)"
        raise fault(path.name, found, "lines ending in LF or CRLF", "save it anew")
    return text


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object; raise a DatasetError if the file holds anything else."""
    expected, remedy = "a JSON object", "correct it"
    content = parse_json(read_text(path), path.name, expected, remedy, hook=_without_repeats)
    if not isinstance(content, dict):
        raise fault(path.name, f"a {type(content).__name__}", expected, remedy)
    return content


def parse_json(
    text: str, file: str, expected: str, remedy: str, hook: Callable[..., Any] | None = None
) -> Any:
    """Parse JSON; raise a DatasetError that says what was expected and the remedy.

    Examples
    --------
    >>> parse_json("[1, 2]", "x.json", "JSON", "correct it")
    [1, 2]
    """
    row = None
    try:
        return json.loads(text, object_pairs_hook=hook)
    except json.JSONDecodeError as error:
        found, row = f"broken JSON ({error.msg})", error.lineno
    except (ValueError, RecursionError) as error:
        found = f"JSON that cannot be read ({error})"
    raise fault(file, found, expected, remedy, row)


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return content
