"""The book's names of patients and samples, and the key that says whose they are.

Vocabulary
----------
- *pseudonym*: P01, P02, ... of a patient; S01, S02, ... of a sample. Numbers are given in the order
  of the tables and never again to another, so that a row that is put between others renames none.
- *key*: the table of identifiers and their pseudonyms. It identifies patients.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cpmlib.study.delimited import read_text
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.schemas import MISSING

COLUMNS = ("participant_id", "sample_id", "pseudonym")
PREFIXES = {"participant_id": ("sub-", "P"), "sample_id": ("sample-", "S")}
"""Of an identifier in BIDS, and of its pseudonym."""


@dataclass(frozen=True)
class Key:
    """Who is who.

    Parameters
    ----------
    patients
        Pseudonym by participant_id.
    samples
        Pseudonym by participant_id and sample_id.
    """

    patients: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def extended(self, participants: pd.DataFrame, samples: pd.DataFrame) -> Key:
        """Return the key with new numbers for those that it does not know, in table order.

        Examples
        --------
        >>> people = pd.DataFrame({"participant_id": ["sub-b", "sub-a"]})
        >>> rows = pd.DataFrame({"participant_id": ["sub-a"], "sample_id": ["sample-1"]})
        >>> Key({"sub-a": "P01"}).extended(people, rows)
        Key(patients={'sub-a': 'P01', 'sub-b': 'P02'}, samples={('sub-a', 'sample-1'): 'S01'})
        """
        pairs = samples[["participant_id", "sample_id"]].itertuples(index=False, name=None)
        return Key(
            _numbered(self.patients, participants["participant_id"], "P"),
            _numbered(self.samples, pairs, "S"),
        )


def _numbered(known: Mapping, found: Iterable, letter: str) -> dict:
    names = dict(known)
    last = max((int(name.removeprefix(letter)) for name in names.values()), default=0)
    for identifier in found:
        if identifier not in names:
            last += 1
            names[identifier] = f"{letter}{last:02d}"
    return names


def own_key(participants: pd.DataFrame, samples: pd.DataFrame) -> Key | None:
    """Return the key of tables whose identifiers are pseudonyms already; None for others."""
    tables = {"participant_id": participants, "sample_id": samples}
    for column, (prefix, letter) in PREFIXES.items():
        if not tables[column][column].str.fullmatch(rf"{prefix}{letter}\d{{2,}}").all():
            return None
    people = {name: name.removeprefix("sub-") for name in participants["participant_id"]}
    pairs = samples[["participant_id", "sample_id"]].itertuples(index=False, name=None)
    return Key(people, {pair: pair[1].removeprefix("sample-") for pair in pairs})


def key_text(key: Key) -> str:
    """Return the content of a key's file: tab-separated, `COLUMNS`; a patient's row has n/a."""
    rows = [(who, MISSING, name) for who, name in key.patients.items()]
    rows += [(*pair, name) for pair, name in key.samples.items()]
    return "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows])


def read_key(path: str | os.PathLike[str]) -> Key:
    """Read a key; an empty one if there is no such file.

    Raises
    ------
    DatasetError
        If the file is none, or gives an identifier or a number twice.
    """
    path = Path(path)
    if not path.is_file():
        return Key()
    patients: dict[str, str] = {}
    samples: dict[tuple[str, str], str] = {}
    remedy = "put back the file as it was, or delete it: patients and samples get new numbers"
    header, *lines = [tuple(line.split("\t")) for line in read_text(path).split("\n")]
    if header != COLUMNS:
        found, expected = "\t".join(header), "\t".join(COLUMNS)
        raise DatasetError(Problem(path.name, found, expected, remedy, 1))
    for number, row in enumerate(lines, start=2):
        if row == ("",):  # below the last
            continue
        is_patient = len(row) == 3 and row[1] == MISSING
        known: dict[Any, str] = patients if is_patient else samples
        who = row[0] if is_patient else row[:2]
        fits = len(row) == 3 and re.fullmatch(r"P\d{2,}" if is_patient else r"S\d{2,}", row[2])
        if not fits or who in known or row[2] in known.values():
            found, expected = "\t".join(row), "one identifier and its own pseudonym, each once"
            raise DatasetError(Problem(path.name, found, expected, remedy, number))
        known[who] = row[2]
    return Key(patients, samples)


def find_key(
    paths: Iterable[Path], participants: pd.DataFrame, samples: pd.DataFrame
) -> Path | None:
    """Return the one key that knows more than half of a study's patients, and of their samples.

    None if no key does, or several. A file that is no key is passed over.
    """
    pairs = list(samples[["participant_id", "sample_id"]].itertuples(index=False, name=None))
    found = []
    for path in paths:
        try:
            key = read_key(path)
        except DatasetError:  # said where it is needed
            continue
        people = participants["participant_id"].isin(list(key.patients)).mean()
        if min(people, sum(pair in key.samples for pair in pairs) / len(pairs)) > 1 / 2:
            found.append(path)
    return found[0] if len(found) == 1 else None


def replace_names(text: str, names: Mapping[str, str]) -> str:
    """Replace whole words of a text, whatever their capitals.

    Examples
    --------
    >>> replace_names("as Sample-1 of sub-07, not sample-10", {"sample-1": "S01", "sub-07": "P02"})
    'as S01 of P02, not sample-10'
    """
    return replaced(text, any_of(names), {old.lower(): new for old, new in names.items()})


def any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of any of the names as a whole word, whatever its capitals."""
    listed = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<![A-Za-z0-9])({listed})(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII)


def replaced(text: str, pattern: re.Pattern[str], names: Mapping[str, str]) -> str:
    """Replace what a pattern of `any_of` finds; the names are in small letters."""
    return pattern.sub(lambda match: names[match[0].lower()], text)
