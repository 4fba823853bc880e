"""Files of bytes, of text and of JSON: read as a whole, or refused with the reason.

Vocabulary
----------
- *placeholder*: what git-annex, DataLad or Git LFS leave where a file's content was not fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cpmlib.study.errors import DatasetError, Problem, fault

MAX_BYTES = 50_000_000
"""Larger than any table of biopsies; what exceeds it is a mistake or an attack."""
CHECK_TABLE = "check that this is the table"
SAVE_UTF8 = "save the file as UTF-8 (Excel: CSV UTF-8)"
_POINTERS = (b"/annex/objects/", b"version https://git-lfs.github.com/")
_MAX_POINTER_BYTES = 32768


def is_placeholder(path: Path) -> bool:
    """Whether a file's content was not fetched: a link to nowhere, or a pointer in its place."""
    if not path.exists():
        return path.is_symlink()
    small = path.is_file() and 0 < path.stat().st_size <= _MAX_POINTER_BYTES
    return small and first_bytes(path, len(_POINTERS[1])).startswith(_POINTERS)


def not_fetched(path: Path, root: Path) -> Problem:
    """Name a placeholder by its path below a folder."""
    if path.is_symlink() and not path.exists():
        found = "a link to nowhere"
    else:
        found = "a placeholder of git-annex or Git LFS, whose content was not fetched"
    remedy = "fetch it (datalad get, git annex get, git lfs pull), or delete it"
    return Problem(path.relative_to(root).as_posix(), found, "a file", remedy)


def first_bytes(path: Path, size: int) -> bytes:
    """Return how a file begins; nothing for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError:  # whoever reads it says why
        return b""


def read_bytes(path: Path, largest: int = MAX_BYTES, remedy: str = CHECK_TABLE) -> bytes:
    """Read a file; the remedy is for one of more than `largest` bytes.

    Raises a DatasetError if it is missing, was not fetched, cannot be read or is too large.
    """
    name, expected = path.name, "a readable file"
    try:
        if is_placeholder(path):
            raise DatasetError(not_fetched(path, path.parent))
        if not path.is_file():
            raise fault(name, "no such file", expected, f"add {name} to the dataset")
        if (size := path.stat().st_size) > largest:
            raise fault(name, f"{size} bytes", f"at most {largest} bytes", remedy)
        return path.read_bytes()
    except OSError as error:
        found, remedy = why_refused(error), "check the file and its permissions"
        raise fault(name, found, expected, remedy) from None


def why_refused(error: OSError) -> str:
    """Say why the system refused a file or a folder."""
    return error.strerror or type(error).__name__


def read_text(path: Path, largest: int = MAX_BYTES, remedy: str = CHECK_TABLE) -> str:
    """Read a UTF-8 file without its byte order mark.

    Raises a DatasetError as `read_bytes`, and for another encoding or line ends of an old kind.
    """
    try:
        text = read_bytes(path, largest, remedy).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found, remedy = f"bytes that are not UTF-8 (at byte {error.start})", SAVE_UTF8
        raise fault(path.name, found, "UTF-8 text", remedy) from None
    if "\0" in text:
        raise fault(path.name, "NUL characters", "UTF-8 text", SAVE_UTF8)
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
    """Parse JSON; raise a DatasetError that says what was expected and the remedy."""
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
