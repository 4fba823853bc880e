"""A cellularity prediction model and its file.

The file is an ``.npz`` archive of the arrays of `cpmlib.cpm.forest.Forest` and ``card.json``, a
`cpmlib.cpm.card.ModelCard`; nothing in it is run when it is read. NumPy reads it too
(``numpy.load(path, allow_pickle=False)``).
"""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cpmlib.cpm.card import FORMAT_VERSION, ModelCard
from cpmlib.cpm.forest import Forest
from cpmlib.study.errors import DatasetError, fault

CARD = "card.json"
MAX_FILE = 2**29
"""Bytes; a forest of 100 trees on 40,000 patches takes about one five-hundredth of it."""

MAX_MEMBER = 2**29
MAX_CARD = 2**20

_BROKEN_ARCHIVE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError)
_BROKEN_CONTENT = (ValueError, LookupError, TypeError, OverflowError, MemoryError)


@dataclass(frozen=True)
class CpmModel:
    """A forest, and the card of its training and of the inputs that it expects."""

    forest: Forest
    card: ModelCard


def write_model(path: str | os.PathLike[str], model: CpmModel) -> None:
    """Write a model as a whole or not at all; equal models give equal bytes."""
    path = Path(path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in Forest.TYPES:
            content = io.BytesIO()
            np.lib.format.write_array(content, getattr(model.forest, name), allow_pickle=False)
            archive.writestr(_entry(f"{name}.npy"), content.getvalue())
        archive.writestr(_entry(CARD), model.card.to_json())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(packed.getvalue())
    partial.replace(path)


def _entry(name: str) -> zipfile.ZipInfo:
    """Describe a member without the time of writing or the system."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def read_model(path: str | os.PathLike[str]) -> CpmModel:
    """Read a model that `write_model` wrote, and check every part of it.

    Raises DatasetError for a file that is absent, truncated, altered, too large, of another kind or
    of a newer version, and for a model of other inputs, units or patch size than this library's.
    """
    path = Path(path)
    if not path.is_file():
        raise _fault(path.name, "no such file", remedy="correct the path")
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError(f"more than {MAX_FILE} bytes")
        return _assemble(_read_members(path))
    except (*_BROKEN_ARCHIVE, *_BROKEN_CONTENT) as error:
        raise _fault(path.name, f"a file that is no such model ({_first_line(error)})") from None


def _read_members(path: Path) -> dict[str, bytes]:
    expected = {f"{name}.npy" for name in Forest.TYPES} | {CARD}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(names) != len(expected) or set(names) != expected:
            raise ValueError(f"members {', '.join(sorted(names)[:8])}")
        members = {}
        for entry in entries:
            limit = MAX_CARD if entry.filename == CARD else MAX_MEMBER
            if entry.file_size > limit:
                raise ValueError(f"{entry.filename} claims {entry.file_size} bytes")
            with archive.open(entry) as stream:
                # No more than was claimed, whatever the data expand to; their sum is checked.
                members[entry.filename] = stream.read(entry.file_size)
    return members


def _assemble(members: dict[str, bytes]) -> CpmModel:
    text = members[CARD].decode("utf-8")
    version = re.search(r'"format_version": *(\d{1,9})\b', text)
    if version and int(version[1]) > FORMAT_VERSION:
        raise ValueError(f"format version {version[1]}; this library reads up to {FORMAT_VERSION}")
    card = ModelCard.from_json(text)
    arrays = {
        name: _array(name, members[f"{name}.npy"], dtype) for name, dtype in Forest.TYPES.items()
    }
    return CpmModel(Forest(**arrays), card)


def _array(name: str, content: bytes, dtype: np.dtype) -> np.ndarray:
    """Read an array of one dimension and a known type; nothing else in it is interpreted."""
    if not content.startswith(b"\x93NUMPY\x01\x00"):
        raise ValueError(f"{name} is no array of NumPy's format 1.0")
    stream = io.BytesIO(content)
    np.lib.format.read_magic(stream)
    shape, _, found = np.lib.format.read_array_header_1_0(stream)
    if found != dtype or len(shape) != 1:
        raise ValueError(f"{name} is not {dtype.name} of one dimension")
    if shape[0] * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{name} has not the length that it claims")
    return np.frombuffer(content, dtype=dtype, offset=stream.tell())


def _first_line(error: BaseException) -> str:
    """Return the first line of a message, without the paths that it may hold."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    words = [word for word in lines[0].split() if "\\" not in word and not word.startswith("/")]
    return " ".join(words)[:140] or type(error).__name__


def _fault(
    file: str, found: str, remedy: str = "copy the file again, or train a model with this library"
) -> DatasetError:
    return fault(file, found, "a cellularity prediction model", remedy)
