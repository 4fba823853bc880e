"""Which printed values belong together: a small TOML file, checked before anything is computed.

Each kind of relation is a list of tables, such as::

    [[sum]]
    total = "t1.n_patients"
    parts = ["t1.sex_m", "t1.sex_f"]

Vocabulary
----------
- *sample size*: number of samples of a group, written as the id of a printed count, as a whole
  number, or as ``"treatment/0"``: the first of the groups that the relation of that name compares,
  whose sizes follow from its means.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpmlib.paper.audit.probabilities import TESTS
from cpmlib.study.errors import DatasetError, Problem, fault
from cpmlib.study.text import read_text


@dataclass(frozen=True)
class Relation:
    """One relation: its kind, its place in the file, and what it says."""

    kind: str
    place: str
    fields: dict[str, Any]

    def get(self, key: str, otherwise: Any = None) -> Any:
        """Return what it says under a key."""
        return self.fields.get(key, otherwise)

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_size(value: object) -> bool:
    return _is_id(value) or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def _all(test: Callable[[object], bool], fewest: int = 1) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and len(value) >= fewest and all(map(test, value))


def _table(optional: str = "", **keys: Callable[[object], bool]) -> Callable[[object], bool]:
    def test(value: object) -> bool:
        if not isinstance(value, dict) or not keys.keys() - {optional} <= value.keys():
            return False
        return all(key in keys and keys[key](item) for key, item in value.items())

    return test


def _is_members(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(
        str(key).isdigit() and _is_id(id) for key, id in value.items()
    )  # fmt: skip


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


ID = (_is_id, "the id of a printed value")
IDS = (_all(_is_id), "a list of ids")
TWO_IDS = (_all(_is_id, 2), "a list of at least two ids")
TEXT = (_is_id, "a text")
FLAG = (lambda value: isinstance(value, bool), "true or false")
SIZE = (_is_size, "an id, a whole number, or a group such as treatment/0")
SIZES = (_all(_is_size, 2), "a list of ids, whole numbers or groups")
SHARE = (_is_share, "a share from 0 to below 1")
MOMENTS = (_table(mean=_is_id, sd=_is_id), "a table with mean and sd")
WHOLE = (_table("sd", n=_is_size, mean=_is_id, sd=_is_id), "a table with n, mean and perhaps sd")
PARTS = (_all(_table(n=_is_size, mean=_is_id, sd=_is_id), 2), "tables with n, mean and sd")
ERRORS = (_all(_table(n=_is_size, rmse=_is_id), 2), "tables with n and rmse")
SAMPLES = (_all(_table(part=_is_size, x=_is_id, y=_is_id), 0), "tables with part, x and y")
PAIRS = (_all(_all(_is_id, 2), 2), "pairs of ids")
TRIPLES = (_all(_all(_is_id, 3)), "lists of two names and an id")
MEMBERS = (_is_members, "ids by number of samples")
TEST = (lambda value: value in TESTS, f"one of {', '.join(TESTS)}")

# Kinds of relations, each with the keys that it needs and those that it may have.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sum": ({"total": ID, "parts": IDS}, {"times": (_all(_is_size), "whole numbers")}),
    "percentages": ({"of": ID, "counts": IDS}, {"suffix": TEXT, "complete": FLAG}),
    "groups": (
        {"name": TEXT, "n": SIZE, "whole": ID, "means": TWO_IDS},
        {"sizes": SIZES, "sd": ID, "p": ID, "assumes": TEXT},
    ),
    "share": ({"percent": ID, "of": SIZE}, {"assumes": TEXT}),
    "integers": ({"mean": ID, "n": SIZE}, {"sd": ID, "items": SIZE, "assumes": TEXT}),
    "binary": ({"mean": ID, "sd": ID, "n": SIZE}, {}),
    "parts": ({"whole": WHOLE, "parts": PARTS}, {}),
    "known": ({"n": SIZE, "mean": ID, "sd": ID, "values": IDS}, {}),
    "samples": ({"patients": ID, "samples": SIZE, "members": MEMBERS}, {}),
    "p": (
        {"p": ID, "statistic": ID, "test": TEST},
        {"n": SIZE, "df": SIZE, "df2": SIZE, "n2": SIZE, "left_out": SHARE, "assumes": TEXT},
    ),
    "r2": ({"r2": ID, "r": ID}, {}),
    "slope": ({"b": ID, "r2": ID, "sd_y": ID, "sd_x": ID}, {"assumes": TEXT}),
    "signs": ({"ids": TWO_IDS}, {"opposite": IDS, "said": TEXT, "example": FLAG}),
    "order": ({"lower": IDS, "higher": IDS}, {"absolute": FLAG, "loose": FLAG, "said": TEXT}),
    "ranking": ({"pairs": PAIRS}, {"said": TEXT, "example": FLAG}),
    "alike": ({"pairs": PAIRS}, {"said": TEXT, "example": FLAG}),
    "meng": ({"z": ID, "r1": ID, "r2": ID, "n": SIZE}, {}),
    "correlations": ({"known": TRIPLES}, {}),
    "rmse": (
        {"n": SIZE, "x": MOMENTS, "y": MOMENTS, "whole": ID, "parts": ERRORS},
        {"correlation": ID, "left_out": SAMPLES},
    ),
}

_NEEDED_OF = {
    "t": ("df",), "chi2": ("df",), "F": ("df", "df2"), "z": (), "U": ("n", "n2"),
    "r": ("n",), "rho": ("n",), "r2": ("n",),
}  # fmt: skip


def read_relations(path: str | os.PathLike[str]) -> list[Relation]:
    """Read a file of relations.

    Raises
    ------
    DatasetError
        With every unknown kind or key, missing key and value of the wrong type.
    """
    file = Path(path).name
    try:
        content = tomllib.loads(read_text(Path(path)))
    except tomllib.TOMLDecodeError as error:
        raise fault(file, str(error), "a TOML file", "correct its syntax") from None
    problems: list[Problem] = []
    relations: list[Relation] = []
    for kind, entries in content.items():
        if kind not in KINDS:
            problems.append(Problem(file, kind, f"one of {', '.join(KINDS)}", "rename it"))
        elif not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            remedy = f"write each as a table [[{kind}]]"
            problems.append(Problem(file, "no list of tables", "one", remedy, column=kind))
        else:
            for number, fields in enumerate(entries, start=1):
                relation = Relation(kind, f"{kind} {number}", fields)
                relations.append(relation)
                problems += _problems(relation, file)
    if not problems:
        problems = list(_unknown_groups(relations, file))
    if problems:
        raise DatasetError(problems)
    return relations


def _problems(relation: Relation, file: str) -> Iterator[Problem]:
    needed, optional = KINDS[relation.kind]
    extra = _NEEDED_OF.get(str(relation.get("test")), ()) if relation.kind == "p" else ()
    for key in (*needed, *extra):
        if key not in relation.fields:
            expected = f"the key {key!r}: {(needed | optional)[key][1]}"
            yield Problem(file, "no such key", expected, "add it", column=relation.place)
    for key, value in relation.fields.items():
        place = f"{relation.place}, {key}"
        if key not in needed | optional:
            expected = f"one of {', '.join(needed | optional)}"
            yield Problem(file, key, expected, "rename it", column=relation.place)
        elif not (needed | optional)[key][0](value):
            expected = (needed | optional)[key][1]
            yield Problem(file, str(value), expected, "correct it", column=place)
    times, parts = relation.get("times"), relation.get("parts")
    if isinstance(times, list) and isinstance(parts, list) and len(times) != len(parts):
        found = f"{len(times)} numbers for {len(parts)} parts"
        yield Problem(file, found, "one for each", "correct it", column=relation.place)


def _unknown_groups(relations: list[Relation], file: str) -> Iterator[Problem]:
    """Groups that a size names and no relation makes."""
    groups = {r["name"]: len(r["means"]) for r in relations if r.kind == "groups"}
    known = {f"{name}/{i}" for name, size in groups.items() for i in range(size)}
    for relation in relations:
        for text in _sizes(relation.fields):
            if "/" in text and text not in known:
                expected = (
                    f"one of {', '.join(sorted(known)) or 'the groups, of which there are none'}"
                )
                yield Problem(file, text, expected, "correct it", column=relation.place)


def _sizes(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("n", "n2", "of", "samples", "df", "df2") and isinstance(item, str):
                yield item
            elif isinstance(item, dict | list):
                yield from _sizes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _sizes(item)
