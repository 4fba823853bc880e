"""What a dataset's JSON files say: its description, and the coordinate system of its targets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cpmlib.study.delimited import column_name
from cpmlib.study.errors import Problem, fault, told_together
from cpmlib.study.options import AXES
from cpmlib.study.schemas import FIT_TO_SHOW, OTHER_STUDY, RELATION, RELATIONS, is_fit_to_show
from cpmlib.study.text import read_json

DESCRIPTION = "dataset_description.json"
SAMPLES_SIDECAR = "samples.json"
COORDINATE_SYSTEM = "CoordinateSystem"
"""Key of a target's column in `SAMPLES_SIDECAR`: RAS (the default) or LPS."""
NOTES = "TableNotes"
"""Key of a description: what of a study's tables was not used, as texts."""
PSEUDONYMISED = "Pseudonymised"
"""Key of a description: true where the tables' identifiers are pseudonyms already."""


def read_description(path: Path) -> dict[str, object]:
    """Read and check what a study says of itself: its name, its label and its relation.

    Notes on its tables are dropped unless they were written here.
    """
    content = read_json(path)
    known = {name.lower(): name for name in ("DataLabel", RELATION)}
    with told_together() as problems:
        for key in ("Name", "BIDSVersion", "DataLabel"):
            if not is_fit_to_show(content.get(key)) and (key in content or key != "DataLabel"):
                found = f"no such text under '{key}'"
                problems.append(Problem(path.name, found, FIT_TO_SHOW, f"correct '{key}'"))
        if content.get(RELATION, OTHER_STUDY) not in list(RELATIONS):
            expected = "one of " + ", ".join(RELATIONS)
            found = f"{content[RELATION]!r:.60} under '{RELATION}'"
            problems.append(Problem(path.name, found, expected, f"correct '{RELATION}'"))
        for key in content:
            meant = known.get(key.lower().replace("_", ""), key)
            if key != meant:
                problems.append(Problem(path.name, f"'{key}'", f"'{meant}'", "write it so"))
    if content.get(PSEUDONYMISED) is not True:  # not written here
        content.pop(NOTES, None)
    return content


def read_notes(description: Mapping[str, object]) -> tuple[str, ...]:
    """Return what a description says of the tables that was not used."""
    found = description.get(NOTES)
    return tuple(str(note) for note in found) if isinstance(found, list) else ()


def to_ras(samples: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return targets in RAS+; a study whose planning software wrote LPS says so in a sidecar.

    Raises a DatasetError for other or mixed systems, and for units other than mm.
    """
    if not os.path.lexists(path):  # a link to nowhere may stand for a file that says LPS
        return samples
    content = _by_plain_key(read_json(path))
    where = f"'{COORDINATE_SYSTEM}' in the entry of each coordinate"
    if _plain_key(COORDINATE_SYSTEM) in content:
        raise fault(path.name, f"'{COORDINATE_SYSTEM}' beside the columns", where, "move it there")
    declared = {}
    for axis in AXES:
        entry = content.get(_plain_key(axis), {})
        if not isinstance(entry, dict):
            raise fault(path.name, f"{entry!r}", where, "correct it", column=axis)
        said = _by_plain_key(entry)
        declared[axis] = said.get(_plain_key(COORDINATE_SYSTEM), "RAS")
        if (units := said.get("units", "mm")) != "mm":
            raise fault(path.name, f"units {units!r}", "mm", "give targets in mm", column=axis)
    systems = {str(system).upper().rstrip("+") for system in declared.values()}
    if systems == {"LPS"}:
        return samples.assign(**(-samples[list(AXES[:2])] + 0.0))
    if systems != {"RAS"}:
        found = ", ".join(f"{axis}: {system}" for axis, system in declared.items())
        expected = "RAS or LPS, the same for the three coordinates"
        raise fault(path.name, found, expected, f"correct '{COORDINATE_SYSTEM}'")
    return samples


def _plain_key(name: str) -> str:
    return column_name(name).replace("_", "")


def _by_plain_key(content: Mapping[str, object]) -> dict[str, object]:
    return {_plain_key(name): entry for name, entry in content.items()}
