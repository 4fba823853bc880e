"""A study's tables: read, checked and joined; written as BIDS.

Vocabulary
----------
- *dataset*: a BIDS folder with ``dataset_description.json``, ``participants.tsv``, ``samples.tsv``;
  or, for a minimal study, one table with a row for each sample.
- *label*: what a dataset says of itself and wants shown with every result, such as that it is
  synthetic (``DataLabel`` in its description).
- *pseudonym*: P01, P02, ... and S01, S02, ... (`cpmlib.study.pseudonyms`); `read_dataset` returns
  no other identifier.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cpmlib.study import delimited
from cpmlib.study.checks import absent_columns, check_table, read_columns, relations, validate
from cpmlib.study.delimited import TABLE_SUFFIXES, THOUSANDS_BY_POINT, TextTable
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.files import has_images
from cpmlib.study.options import AXES
from cpmlib.study.pseudonyms import Key, any_of, own_key, replace_samples
from cpmlib.study.schemas import (
    DENSITY_UNIT,
    EXCLUSIONS,
    FIT_TO_SHOW,
    LONGEST_TEXT,
    MEASURED,
    MINIMAL_REQUIRED,
    MISSING,
    OTHER_STUDY,
    PARTICIPANTS,
    RELATION,
    RELATIONS,
    SAMPLES,
    is_fit_to_show,
    is_number,
    sidecar,
)
from cpmlib.study.workbook import read_xlsx

DESCRIPTION = "dataset_description.json"
SAMPLES_SIDECAR = "samples.json"
EXCLUDED = ["sample_id", "participant_id", "quantity", "reason"]
"""Columns of the list of what a study excludes."""
COORDINATE_SYSTEM = "CoordinateSystem"
"""Key of a target's column in `SAMPLES_SIDECAR`: RAS (the default) or LPS."""
NOTES = "TableNotes"
"""Key in a description: what of a study's tables was not used, as texts."""
TABLE_NAME = "A study in one table"
"""What a study without a description is called."""
PSEUDONYMISED = "Pseudonymised"
"""Key of a description: true where the tables' identifiers are pseudonyms already."""


@dataclass(frozen=True)
class Dataset:
    """A checked study.

    Parameters
    ----------
    participants
        One row a patient, columns of the schema, identifiers replaced by pseudonyms.
    samples
        One row a sample, the patient's columns joined to it.
    name, label
        The dataset's own name, and the label it wants shown ("" if none).
    excluded
        ``sample_id``, ``participant_id``, ``quantity`` (``sample`` or a measured column) and
        ``reason`` of everything that the study leaves out and says why.
    notes
        What the study's tables hold and was not used.
    relation
        What it is to the paper, one of `cpmlib.study.schemas.RELATIONS`.
    """

    participants: pd.DataFrame
    samples: pd.DataFrame
    name: str
    label: str
    relation: str = OTHER_STUDY
    excluded: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=EXCLUDED))
    notes: tuple[str, ...] = ()


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Read and check a dataset.

    Parameters
    ----------
    path
        A BIDS folder, or one table (``.csv`` or ``.xlsx``).

    Returns
    -------
    Dataset
        Densities in cells/mm2, ADC in 1e-6 mm2/s, targets in mm RAS+; missing values are NaN, and
        a column of the schema that the study leaves out is empty. What is excluded is listed and
        in the tables no more.

    Raises
    ------
    DatasetError
        Listing everything that is wrong, each with file, row, column, what was found and
        expected, and the remedy.
    """
    participants, samples, description = read_tables(path)
    key = own_key(participants, samples) if description.get(PSEUDONYMISED) is True else None
    return _without_excluded(pseudonymised(participants, samples, description, key))


def pseudonymised(
    participants: pd.DataFrame,
    samples: pd.DataFrame,
    description: dict[str, object],
    key: Key | None = None,
) -> Dataset:
    """Join two checked tables and replace the study's identifiers by pseudonyms.

    Parameters
    ----------
    participants, samples, description
        As `read_tables` returns them.
    key
        Pseudonyms that are given already; others get the next numbers.

    Returns
    -------
    Dataset
        Rows in the order of the tables, what is to be excluded among them.
    """
    key = (key or Key()).extended(participants, samples)
    people = key.patients
    own = samples[["participant_id", "sample_id"]].reset_index(drop=True)
    numbered = [key.samples[pair] for pair in own.itertuples(index=False, name=None)]
    participants = participants.assign(participant_id=participants["participant_id"].map(people))
    samples = samples.assign(
        participant_id=samples["participant_id"].map(people), sample_id=numbered
    )
    for column in _reasons(samples):
        texts = _with_pseudonyms(samples[column], own, people, numbered)
        samples[column] = pd.Series(texts, index=samples.index, dtype=object)
    joined = samples.merge(participants, on="participant_id", how="left", validate="many_to_one")
    return Dataset(
        participants=participants.reset_index(drop=True),
        samples=joined,
        name=str(description.get("Name", "")),
        label=str(description.get("DataLabel", "")),
        notes=read_notes(description),
        relation=str(description.get(RELATION, OTHER_STUDY)),
    )


def _with_pseudonyms(
    texts: pd.Series, own: pd.DataFrame, people: Mapping[str, str], numbered: list[str]
) -> list[object]:
    """Put the book's names in place of the study's in a reason for each row of the samples."""
    if texts.isna().all():
        return [None] * len(texts)
    patients = {name: who for who in people for name in _spellings(who)}
    samples: dict[str, dict[str, str]] = {}
    for (who, sample), new in zip(own.itertuples(index=False, name=None), numbered, strict=True):
        for name in _spellings(sample):
            samples.setdefault(name, {})[who] = new
    pattern = any_of([*patients, *samples])
    return [
        _clipped(replace_samples(text, pattern, who, patients, people, samples))
        if isinstance(text, str)
        else text
        for text, who in zip(texts, own["participant_id"], strict=True)
    ]


def _spellings(name: str) -> list[str]:
    """Return a name in small letters, and what stands after ``sub-`` or ``sample-``."""
    # One table may say B12 where those of BIDS say sample-B12; a plain 5 may count anything.
    short = name.split("-", 1)[1]
    return [text.lower() for text in (name, short) if not re.fullmatch("[0-9]{1,3}|.", text)]


def _clipped(text: str) -> str:
    """Cut a reason that pseudonyms made too long."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _reasons(samples: pd.DataFrame) -> list[str]:
    return [name for name in ("exclude_reason", *EXCLUSIONS) if name in samples.columns]


def excluded_rows(samples: pd.DataFrame) -> pd.Series:
    """Return for each sample whether the study leaves it out of the whole analysis."""
    if "exclude_reason" not in samples.columns:
        return pd.Series(data=False, index=samples.index)
    return samples["exclude_reason"].notna()


def _without_excluded(dataset: Dataset) -> Dataset:
    """Take out what the study excludes, and list it; add empty columns for those left out."""
    samples = dataset.samples.copy()
    for name, column in SAMPLES.columns.items():
        if name not in samples.columns:
            kind = float if is_number(column) else object
            samples[name] = pd.Series(np.nan, index=samples.index, dtype=kind)
    parts = []
    for reason in _reasons(samples):
        quantity = EXCLUSIONS.get(reason, "sample")
        rows = samples[samples[reason].notna()]
        parts.append(rows.assign(quantity=quantity, reason=rows[reason])[EXCLUDED])
        if quantity in samples.columns:
            samples.loc[rows.index, quantity] = np.nan
    kept = samples[~excluded_rows(samples)].reset_index(drop=True)
    people = dataset.participants
    people = people[people["participant_id"].isin(kept["participant_id"])].reset_index(drop=True)
    excluded = pd.concat(parts).sort_values("sample_id", kind="stable").reset_index(drop=True)
    kept = kept.drop(columns=_reasons(kept))
    return dataclasses.replace(dataset, participants=people, samples=kept, excluded=excluded)


def read_tables(
    path: str | os.PathLike[str], extracted: bool | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, object]]:
    """Read and check the two tables and the description, with the study's own identifiers.

    Use `read_dataset` for anything that is published.

    Parameters
    ----------
    path
        As in `read_dataset`.
    extracted
        Whether the measured columns may be left out since they are extracted from images; if None,
        whether the folder holds images.

    Raises
    ------
    DatasetError
        As `read_dataset`.

    Returns
    -------
    participants, samples : pandas.DataFrame
        As the schemas say; columns that a schema does not know are dropped.
    description : dict
        The content of ``dataset_description.json``, and under `NOTES` what was not used, if
        there is anything.
    """
    path = Path(path)
    try:
        is_folder, is_table = path.is_dir(), path.is_file()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DatasetError(Problem(path.name, reason, "a readable path", "correct it")) from None
    if is_folder:
        return _read_folder(path, has_images(path) if extracted is None else extracted)
    if path.suffix.lower() in TABLE_SUFFIXES and is_table:
        return _read_minimal(path)
    found = "no such folder or table"
    expected = "a BIDS folder, or a table ending in .csv or .xlsx"
    raise DatasetError(Problem(path.name or str(path), found, expected, "correct DATASET"))


def _read_folder(
    path: Path, extracted: bool
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, object]]:
    problems: list[Problem] = []
    notes: list[str] = []

    def attempt(step: Callable[[], Any]) -> Any:
        try:
            return step()
        except DatasetError as error:
            problems.extend(error.problems)
            return None

    description = attempt(lambda: _read_description(path / DESCRIPTION))
    if description and description.get(PSEUDONYMISED) is not True:  # not written here
        description.pop(NOTES, None)
    frames = []
    for schema in (PARTICIPANTS, SAMPLES):
        table = attempt(partial(delimited.read_tsv, path / schema.name))
        if table is None:
            continue
        table, unknown, wrong = read_columns(table, schema)
        problems += wrong
        notes += [f"column '{name}' of {schema.name}" for name in unknown]
        if schema is SAMPLES and not extracted:
            problems += absent_columns(table, list(MEASURED))
        frame, wrong = check_table(table, schema)
        problems += wrong
        frames.append(frame)
    if len(frames) == 2:
        participants, samples = frames
        problems += relations(participants, samples, PARTICIPANTS.name, SAMPLES.name, problems)
        if set(AXES) <= set(samples.columns):
            samples = attempt(partial(_to_ras, samples, path / SAMPLES_SIDECAR))
    if problems:
        raise DatasetError(problems)
    return participants, samples, _with_notes(description, notes)


def _read_minimal(path: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, object]]:
    reader = delimited.read_csv if path.suffix.lower() == ".csv" else read_xlsx
    table = reader(path)
    participants, samples, problems = _split_minimal(table)
    problems += relations(participants, samples, path.name, path.name, problems)
    if problems:
        raise DatasetError(problems)
    # Not called after the file, whose name may be that of a patient.
    description: dict[str, object] = {"Name": TABLE_NAME, "BIDSVersion": "1.10.0"}
    return participants, samples, _with_notes(description | {"DatasetType": "raw"}, table.notes)


def _with_notes(description: dict[str, object], notes: Sequence[str]) -> dict[str, object]:
    return description | {NOTES: [*read_notes(description), *notes]} if notes else description


def read_notes(description: Mapping[str, object]) -> tuple[str, ...]:
    """Return what a description says of the tables that was not used."""
    found = description.get(NOTES)
    return tuple(str(note) for note in found) if isinstance(found, list) else ()


def write_dataset(
    folder: str | os.PathLike[str],
    participants: pd.DataFrame,
    samples: pd.DataFrame,
    description: dict[str, object],
) -> None:
    """Write a BIDS dataset: two tables, their sidecars, the description.

    Parameters
    ----------
    folder
        Made if needed; each file is replaced as a whole or not at all.
    participants, samples
        As the schemas say; missing values are written as n/a.
    description
        Content of ``dataset_description.json``.

    Raises
    ------
    DatasetError
        If the tables break their schema; nothing is written then.
    """
    folder = Path(folder)
    texts = dataset_texts(participants, samples, description)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        part = folder / f".{name}.part"
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(folder / name)


def dataset_texts(
    participants: pd.DataFrame, samples: pd.DataFrame, description: dict[str, object]
) -> dict[str, str]:
    """Return the files of a BIDS dataset's top level by name.

    Parameters, errors as `write_dataset`.
    """
    texts = {DESCRIPTION: json.dumps(description, indent=2, ensure_ascii=False) + "\n"}
    for table, schema in ((participants, PARTICIPANTS), (samples, SAMPLES)):
        columns = [name for name in schema.columns if name in table.columns]
        cells = table[columns].map(_cell_text)
        for name in columns:
            if (schema.columns[name].metadata or {}).get("unit") == DENSITY_UNIT:
                # With a fourth decimal, no point of 45.125 can be taken for one of thousands.
                cells[name] = cells[name].map(
                    lambda text: f"{text}0" if THOUSANDS_BY_POINT.fullmatch(text) else text
                )
        texts[schema.name] = cells.to_csv(sep="\t", index=False, lineterminator="\n")
        entries = {name: entry for name, entry in sidecar(schema).items() if name in columns}
        json_name = schema.name.replace(".tsv", ".json")
        texts[json_name] = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
        validate(table[columns], schema, schema.name)
    return texts


def _cell_text(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return str(value)


def _to_ras(samples: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return targets in RAS+; a study whose planning software wrote LPS says so in the sidecar."""
    if not os.path.lexists(path):  # a link to nowhere may stand for a file that says LPS
        return samples
    content = _by_plain_key(delimited.read_json(path))
    where = f"'{COORDINATE_SYSTEM}' in the entry of each coordinate"
    if _plain_key(COORDINATE_SYSTEM) in content:
        found = f"'{COORDINATE_SYSTEM}' beside the columns"
        raise DatasetError(Problem(path.name, found, where, "move it there"))
    declared = {}
    for axis in AXES:
        entry = content.get(_plain_key(axis), {})
        if not isinstance(entry, dict):
            raise DatasetError(Problem(path.name, f"{entry!r}", where, "correct it", column=axis))
        said = _by_plain_key(entry)
        declared[axis] = said.get(_plain_key(COORDINATE_SYSTEM), "RAS")
        units = said.get("units", "mm")
        if units != "mm":
            raise DatasetError(
                Problem(path.name, f"units {units!r}", "mm", "give targets in mm", column=axis)
            )
    systems = {str(system).upper().rstrip("+") for system in declared.values()}
    if systems == {"LPS"}:
        turned = samples.copy()
        turned[list(AXES[:2])] = -turned[list(AXES[:2])] + 0.0
        return turned
    if systems != {"RAS"}:
        found = ", ".join(f"{axis}: {system}" for axis, system in declared.items())
        expected = "RAS or LPS, the same for the three coordinates"
        remedy = f"correct '{COORDINATE_SYSTEM}'"
        raise DatasetError(Problem(path.name, found, expected, remedy))
    return samples


def _plain_key(name: str) -> str:
    return delimited.column_name(name).replace("_", "")


def _by_plain_key(content: Mapping[str, object]) -> dict[str, object]:
    """Return an object of JSON by its keys without capitals, hyphens and spaces."""
    return {_plain_key(name): entry for name, entry in content.items()}


def _read_description(path: Path) -> dict[str, object]:
    content = delimited.read_json(path)
    problems = []
    for key in ("Name", "BIDSVersion", "DataLabel"):
        if key == "DataLabel" and key not in content:
            continue
        if not is_fit_to_show(content.get(key)):
            found = f"no such text under '{key}'"
            problems.append(Problem(path.name, found, FIT_TO_SHOW, f"correct '{key}'"))
    if content.get(RELATION, OTHER_STUDY) not in list(RELATIONS):
        expected = "one of " + ", ".join(RELATIONS)
        found = f"{content[RELATION]!r:.60} under '{RELATION}'"
        problems.append(Problem(path.name, found, expected, f"correct '{RELATION}'"))
    known = {name.lower(): name for name in ("DataLabel", RELATION)}
    for key in content:
        meant = known.get(key.lower().replace("_", ""), key)
        if key != meant:
            problems.append(Problem(path.name, f"'{key}'", f"'{meant}'", "write it so"))
    if problems:
        raise DatasetError(problems)
    return content


def _split_minimal(table: TextTable) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem]]:
    """Turn one table with a row a sample into the two tables of BIDS."""
    both = pa.DataFrameSchema({**PARTICIPANTS.columns, **SAMPLES.columns})
    table, unknown, problems = read_columns(table, both)
    known = list(both.columns)
    expected = "one of " + ", ".join(known)
    told = {problem.column for problem in problems}
    problems += [
        Problem(table.file, "an unknown column", expected, "rename or remove it", 1, name)
        for name in unknown
        if name not in told
    ]
    problems += absent_columns(table, list(MINIMAL_REQUIRED))
    cells = table.cells.copy()
    for name, prefix in (("participant_id", "sub-"), ("sample_id", "sample-")):
        if name in cells.columns:
            short = cells[name].str.fullmatch(r"[A-Za-z0-9]+")
            short &= ~cells[name].map(delimited.means_missing)
            cells[name] = cells[name].where(~short, prefix + cells[name])
    for name in known:
        if name not in cells.columns and name not in MINIMAL_REQUIRED:
            cells[name] = "tissue" if name == "sample_type" else MISSING
    table = dataclasses.replace(table, cells=cells)
    people, different = _one_row_each(table)
    participants, of_people = check_table(dataclasses.replace(table, cells=people), PARTICIPANTS)
    samples, of_samples = check_table(table, SAMPLES)
    absent = {problem.column for problem in problems if problem.row == 1}
    found = [p for p in of_people + of_samples if not (p.row == 1 and p.column in absent)]
    return participants, samples, problems + different + found


def _one_row_each(table: TextTable) -> tuple[pd.DataFrame, list[Problem]]:
    columns = [name for name in PARTICIPANTS.columns if name in table.cells.columns]
    if "participant_id" not in columns:
        return table.cells[columns], []
    cells, problems = table.cells[columns], []
    first = cells.groupby(cells["participant_id"]).transform("first")
    for name in columns[1:]:
        for row in cells.index[cells[name] != first[name]]:
            who = cells.loc[row, "participant_id"]
            found = f"{cells.loc[row, name]}, but {first.loc[row, name]} in another row of {who}"
            expected = "the same for all samples of a participant"
            problems.append(
                Problem(table.file, found, expected, "make them agree", int(str(row)), name)
            )
    return cells.drop_duplicates("participant_id"), problems
