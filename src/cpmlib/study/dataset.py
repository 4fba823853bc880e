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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cpmlib.study import checks, delimited, metadata
from cpmlib.study.delimited import TextTable
from cpmlib.study.errors import DatasetError, Problem, collected, fault
from cpmlib.study.files import has_images
from cpmlib.study.options import AXES
from cpmlib.study.pseudonyms import Key, own_key, rename_in_reasons
from cpmlib.study.schemas import (
    DENSITY_UNIT,
    EXCLUSIONS,
    MEASURED,
    MINIMAL_REQUIRED,
    MISSING,
    OTHER_STUDY,
    PARTICIPANTS,
    RELATION,
    SAMPLES,
    is_number,
    sidecar,
)
from cpmlib.study.workbook import read_xlsx

EXCLUDED = ["sample_id", "participant_id", "quantity", "reason"]
"""Columns of the list of what a study excludes."""
TABLE_NAME = "A study in one table"
"""What a study without a description is called."""

Tables = tuple[pd.DataFrame, pd.DataFrame, dict[str, object]]
"""Participants, samples and description of a study."""


@dataclass(frozen=True)
class Dataset:
    """A checked study.

    Parameters
    ----------
    participants, samples
        One row a patient, and one a sample with the patient's columns; identified by pseudonyms.
    name, label
        The dataset's own name, and the label it wants shown ("" if none).
    relation
        What it is to the paper, one of `cpmlib.study.schemas.RELATIONS`.
    excluded
        ``sample_id``, ``participant_id``, ``quantity`` (``sample`` or a measured column) and
        ``reason`` of everything that the study leaves out and says why.
    notes
        What the study's tables hold and was not used.
    """

    participants: pd.DataFrame
    samples: pd.DataFrame
    name: str
    label: str
    relation: str = OTHER_STUDY
    excluded: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=EXCLUDED))
    notes: tuple[str, ...] = ()


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Read and check a dataset: a BIDS folder, or one table (``.csv`` or ``.xlsx``).

    Densities are in cells/mm2, ADC in 1e-6 mm2/s, targets in mm RAS+; missing values are NaN, and a
    column of the schema that the study leaves out is empty. What is excluded is listed and in the
    tables no more.

    Raises
    ------
    DatasetError
        Listing everything that is wrong, each with file, row, column, what was found and
        expected, and the remedy.
    """
    participants, samples, description = read_tables(path)
    key = (
        own_key(participants, samples) if description.get(metadata.PSEUDONYMISED) is True else None
    )
    return _without_excluded(pseudonymised(participants, samples, description, key))


def pseudonymised(
    participants: pd.DataFrame,
    samples: pd.DataFrame,
    description: dict[str, object],
    key: Key | None = None,
) -> Dataset:
    """Join the tables of `read_tables` and replace the study's identifiers by pseudonyms.

    A key has pseudonyms that are given already; others get the next numbers. Rows are in the
    order of the tables, what is to be excluded among them.
    """
    key = (key or Key()).extended(participants, samples)
    own = samples[["participant_id", "sample_id"]]
    numbered = [key.samples[pair] for pair in own.itertuples(index=False, name=None)]
    participants = participants.assign(
        participant_id=participants["participant_id"].map(key.patients)
    )
    samples = samples.assign(
        participant_id=samples["participant_id"].map(key.patients), sample_id=numbered
    )
    for column in _reasons(samples):
        samples[column] = rename_in_reasons(samples[column], own, key)
    joined = samples.merge(participants, on="participant_id", how="left", validate="many_to_one")
    return Dataset(
        participants=participants.reset_index(drop=True),
        samples=joined,
        name=str(description.get("Name", "")),
        label=str(description.get("DataLabel", "")),
        notes=metadata.read_notes(description),
        relation=str(description.get(RELATION, OTHER_STUDY)),
    )


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


def read_tables(path: str | os.PathLike[str], extracted: bool | None = None) -> Tables:
    """Read and check the two tables and the description, with the study's own identifiers.

    Use `read_dataset` for anything that is published; errors are the same.

    Parameters
    ----------
    path
        As in `read_dataset`.
    extracted
        Whether the measured columns may be left out since they are extracted from images; if None,
        whether the folder holds images.

    Returns
    -------
    participants, samples : pandas.DataFrame
        As the schemas say; columns that a schema does not know are dropped.
    description : dict
        Of the dataset; under `cpmlib.study.metadata.NOTES` what was not used, if there is anything.
    """
    path = Path(path)
    try:
        is_folder, is_table = path.is_dir(), path.is_file()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise fault(path.name, reason, "a readable path", "correct it") from None
    if is_folder:
        return _read_folder(path, has_images(path) if extracted is None else extracted)
    if path.suffix.lower() in delimited.TABLE_SUFFIXES and is_table:
        return _read_minimal(path)
    expected = "a BIDS folder, or a table ending in .csv or .xlsx"
    raise fault(path.name or str(path), "no such folder or table", expected, "correct DATASET")


def _read_folder(path: Path, extracted: bool) -> Tables:
    problems: list[Problem] = []
    description: dict[str, object] = {}
    notes, frames = [], []
    with collected(problems):
        description = metadata.read_description(path / metadata.DESCRIPTION)
    for schema in (PARTICIPANTS, SAMPLES):
        with collected(problems):
            table = delimited.read_tsv(path / schema.name)
            table, unknown, wrong = checks.read_columns(table, schema)
            notes += [f"column '{name}' of {schema.name}" for name in unknown]
            if schema is SAMPLES and not extracted:
                wrong += checks.absent_columns(table, list(MEASURED))
            frame, wrong_cells = checks.check_table(table, schema)
            problems += wrong + wrong_cells
            frames.append(frame)
    if len(frames) == 2:
        problems += checks.relations(
            frames[0], frames[1], PARTICIPANTS.name, SAMPLES.name, problems
        )
        if set(AXES) <= set(frames[1].columns):
            with collected(problems):
                frames[1] = metadata.to_ras(frames[1], path / metadata.SAMPLES_SIDECAR)
    if problems:
        raise DatasetError(problems)
    return frames[0], frames[1], _with_notes(description, notes)


def _read_minimal(path: Path) -> Tables:
    table = delimited.read_csv(path) if path.suffix.lower() == ".csv" else read_xlsx(path)
    participants, samples, problems = _split_minimal(table)
    problems += checks.relations(participants, samples, path.name, path.name, problems)
    if problems:
        raise DatasetError(problems)
    # Not called after the file, whose name may be that of a patient.
    description = {"Name": TABLE_NAME, "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    return participants, samples, _with_notes(dict(description), table.notes)


def _with_notes(description: dict[str, object], notes: Sequence[str]) -> dict[str, object]:
    return (
        description | {metadata.NOTES: [*metadata.read_notes(description), *notes]}
        if notes
        else description
    )


def write_dataset(
    folder: str | os.PathLike[str],
    participants: pd.DataFrame,
    samples: pd.DataFrame,
    description: dict[str, object],
) -> None:
    """Write the files of `dataset_texts`, each as a whole or not at all.

    The folder is made if needed.
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
    """Return the files of a BIDS dataset's top level by name: tables, sidecars, description.

    Raises
    ------
    DatasetError
        If the tables break their schema.
    """
    texts = {metadata.DESCRIPTION: _json_text(description)}
    problems = []
    for table, schema in ((participants, PARTICIPANTS), (samples, SAMPLES)):
        columns = [name for name in schema.columns if name in table.columns]
        problems += checks.breaches(table[columns], schema, schema.name)
        cells = table[columns].map(_cell_text)
        for name in columns:
            if schema.columns[name].metadata.get("unit") == DENSITY_UNIT:
                # With a fourth decimal, no point of 45.125 can be taken for one of thousands.
                in_threes = cells[name].str.fullmatch(delimited.THOUSANDS_BY_POINT.pattern)
                cells[name] = cells[name].mask(in_threes, cells[name] + "0")
        texts[schema.name] = cells.to_csv(sep="\t", index=False, lineterminator="\n")
        entries = {name: entry for name, entry in sidecar(schema).items() if name in columns}
        texts[schema.name.replace(".tsv", ".json")] = _json_text(entries)
    if problems:
        raise DatasetError(problems)
    return texts


def _json_text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _cell_text(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return str(value)


def _split_minimal(table: TextTable) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem]]:
    """Turn one table with a row a sample into the two tables of BIDS."""
    both = pa.DataFrameSchema({**PARTICIPANTS.columns, **SAMPLES.columns})
    table, unknown, problems = checks.read_columns(table, both)
    known = list(both.columns)
    expected = "one of " + ", ".join(known)
    told = {problem.column for problem in problems}
    problems += [
        Problem(table.file, "an unknown column", expected, "rename or remove it", 1, name)
        for name in unknown
        if name not in told
    ]
    problems += checks.absent_columns(table, list(MINIMAL_REQUIRED))
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
    participants, of_people = checks.check_table(
        dataclasses.replace(table, cells=people), PARTICIPANTS
    )
    samples, of_samples = checks.check_table(table, SAMPLES)
    absent = {problem.column for problem in problems if problem.row == 1}
    found = [p for p in of_people + of_samples if not (p.row == 1 and p.column in absent)]
    return participants, samples, problems + different + found


def _one_row_each(table: TextTable) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the patients' columns with a row for each, and where rows of one patient differ."""
    cells = table.cells[[name for name in PARTICIPANTS.columns if name in table.cells.columns]]
    if "participant_id" not in cells.columns:
        return cells, []
    who, problems = cells["participant_id"], []
    first = cells.groupby(who).transform("first")
    for name in first.columns:
        found = cells[name] + ", but " + first[name] + " in another row of " + who
        expected = "the same for all samples of a participant"
        differ = found[cells[name] != first[name]]
        problems += checks.in_rows(differ, table.file, expected, "make them agree", name)
    return cells.drop_duplicates("participant_id"), problems
