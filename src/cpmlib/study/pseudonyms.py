"""The book's names of patients and samples, and the key that says whose they are.

Vocabulary
----------
- *pseudonym*: P01, P02, ... of a patient; S01, S02, ... of a sample. Numbers are given in the order
  of the tables and never again to another, so that a row that is put between others renames none.
- *key*: the secret table of identifiers and their pseudonyms. It says who the patients are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpmlib.study.errors import DatasetError, fault
from cpmlib.study.schemas import MAX_TEXT, MISSING
from cpmlib.study.text import read_text

COLUMNS = ("participant_id", "sample_id", "pseudonym")
PATIENT_AFTER = re.compile(r"\s*(?:\(|\[|,?\s*\b(?:of|from|in)\s)\s*(?:patient\s+)?", re.IGNORECASE)
"""Between a sample's name and its patient's: ``sample-1 of sub-07``, ``sample-1 (sub-07)``."""
PATIENT_BEFORE = re.compile(r"(?:['\u2019]s)?[\s_/-]*")
"""Between a patient's name and that of a sample: ``sub-07_sample-1``, ``sub-07's sample-1``."""
SOME_SAMPLE = "a sample"
"""In place of a sample's name where it is not clear whose sample is meant."""


@dataclass(frozen=True)
class Key:
    """Pseudonyms of patients by participant_id, of samples by participant_id and sample_id."""

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
        return Key(
            _numbered(self.patients, participants["participant_id"], "P"),
            _numbered(self.samples, _pairs(samples), "S"),
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
    people = {name: name.removeprefix("sub-") for name in participants["participant_id"]}
    key = Key(people, {pair: pair[1].removeprefix("sample-") for pair in _pairs(samples)})
    for given, letter in ((key.patients, "P"), (key.samples, "S")):
        if not all(re.fullmatch(rf"{letter}\d{{2,}}", name) for name in given.values()):
            return None
    return key


def _pairs(samples: pd.DataFrame) -> list[tuple[str, str]]:
    return list(samples[["participant_id", "sample_id"]].itertuples(index=False, name=None))


def key_text(key: Key) -> str:
    """Return the content of a key's file: tab-separated, `COLUMNS`; a patient's row has n/a."""
    rows = [(who, MISSING, name) for who, name in key.patients.items()]
    rows += [(*pair, name) for pair, name in key.samples.items()]
    return "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows])


def read_key(path: str | os.PathLike[str]) -> Key:
    """Read a key: an empty one if there is no file, a DatasetError if it gives anything twice."""
    path = Path(path)
    if not path.is_file():
        return Key()
    patients: dict[str, str] = {}
    samples: dict[tuple[str, str], str] = {}
    remedy = "put back the file as it was, or delete it: patients and samples get new numbers"
    header, *lines = [tuple(line.split("\t")) for line in read_text(path).split("\n")]
    if header != COLUMNS:
        raise fault(path.name, "\t".join(header), "\t".join(COLUMNS), remedy, 1)
    for number, row in enumerate(lines, start=2):
        if row == ("",):  # below the last
            continue
        is_patient = len(row) == 3 and row[1] == MISSING
        known: dict[Any, str] = patients if is_patient else samples
        who = row[0] if is_patient else row[:2]
        fits = len(row) == 3 and re.fullmatch(r"P\d{2,}" if is_patient else r"S\d{2,}", row[2])
        if not fits or who in known or row[2] in known.values():
            expected = "one identifier and its own pseudonym, each once"
            raise fault(path.name, "\t".join(row), expected, remedy, number)
        known[who] = row[2]
    return Key(patients, samples)


def rename_in_reasons(reasons: pd.Series, own: pd.DataFrame, key: Key) -> pd.Series:
    """Put the book's names in place of the study's in a reason for each row of the samples.

    A sample is that of the patient who is named beside it, else that of a patient whom the text
    is about: its own, or one that it names. Where two of them have a sample of that name, the text
    does not tell which is meant, and it becomes `SOME_SAMPLE`. What became too long is cut.

    ``own`` has the rows' ``participant_id`` and ``sample_id``; what is no text stays.

    Examples
    --------
    >>> rows = pd.DataFrame({"participant_id": ["sub-a", "sub-b"], "sample_id": ["sample-1"] * 2})
    >>> reasons = pd.Series(["as sample-1 of sub-b", "not in sub-a, but sample-1"])
    >>> rename_in_reasons(reasons, rows, Key().extended(rows, rows)).tolist()
    ['as S02 of P02', 'not in P01, but a sample']
    """
    if reasons.isna().all():
        return reasons
    patients = {name: who for who in key.patients for name in _spellings(who)}
    samples: dict[str, dict[str, str]] = {}
    for who, sample in _pairs(own):
        for name in _spellings(sample):
            samples.setdefault(name, {})[who] = key.samples[who, sample]
    pattern = _any_of([*patients, *samples])

    def renamed(text: str, own: str) -> str:
        found = list(pattern.finditer(text))
        names = [match[0].lower() for match in found]
        # A word that is both is a sample if the row's patient has it.
        named = [None if own in samples.get(name, {}) else patients.get(name) for name in names]
        parts, end = [], 0
        for i, match in enumerate(found):
            new = key.patients.get(named[i] or "")
            if new is None:
                beside = _patient_beside(text, found, named, i)
                new = _meant(samples[names[i]], beside, {own, *filter(None, named)})
            parts += [text[end : match.start()], new]
            end = match.end()
        new = "".join([*parts, text[end:]])
        return new if len(new) <= MAX_TEXT else new[: MAX_TEXT - 1] + "…"

    pairs = zip(reasons, own["participant_id"], strict=True)
    texts = [renamed(text, who) if isinstance(text, str) else text for text, who in pairs]
    return pd.Series(texts, index=reasons.index, dtype=object)


def _spellings(name: str) -> list[str]:
    """Return a name in small letters, and what stands after ``sub-`` or ``sample-``."""
    # One table may say B12 where those of BIDS say sample-B12; a plain 5 may count anything.
    short = name.split("-", 1)[1]
    return [text.lower() for text in (name, short) if not re.fullmatch("[0-9]{1,3}|.", text)]


def _patient_beside(
    text: str, found: Sequence[re.Match[str]], named: Sequence[str | None], i: int
) -> str | None:
    """Return the patient who is named right after or before the name i of those found."""
    for other, between in ((i + 1, PATIENT_AFTER), (i - 1, PATIENT_BEFORE)):
        if 0 <= other < len(found) and named[other]:
            gap = text[found[min(i, other)].end() : found[max(i, other)].start()]
            if between.fullmatch(gap):
                return named[other]
    return None


def _meant(have: Mapping[str, str], beside: str | None, about: set[str]) -> str:
    """Choose among the samples of one name, given by patient."""
    possible = [new for who, new in have.items() if who in ({beside} if beside else about)]
    if not possible and not beside:
        possible = list(have.values())
    return possible[0] if len(possible) == 1 else SOME_SAMPLE


def find_key(
    paths: Iterable[Path], participants: pd.DataFrame, samples: pd.DataFrame
) -> Path | None:
    """Return the one key that knows more than half of a study's patients, and of their samples.

    None if no key does, or several. A file that is no key is passed over.
    """
    found = []
    for path in paths:
        with suppress(DatasetError):  # said where it is needed
            key = read_key(path)
            people = participants["participant_id"].isin(list(key.patients)).mean()
            if (
                people > 1 / 2
                and np.mean([pair in key.samples for pair in _pairs(samples)]) > 1 / 2
            ):
                found.append(path)
    return found[0] if len(found) == 1 else None


def replace_names(text: str, names: Mapping[str, str]) -> str:
    """Replace whole words of a text, whatever their capitals: sample-1, but not sample-10."""
    small = {old.lower(): new for old, new in names.items()}
    return _any_of(names).sub(lambda match: small[match[0].lower()], text)


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of any of the names as a whole word, whatever its capitals."""
    listed = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<![A-Za-z0-9])({listed})(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII)
