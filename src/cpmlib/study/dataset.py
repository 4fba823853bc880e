"""A study's tables: read, checked and joined; written as BIDS.

`read_dataset` returns pseudonyms (`cpmlib.study.pseudonyms`) and no other identifier.

Vocabulary
----------
- *dataset*: a BIDS folder with ``dataset_description.json``, ``participants.tsv``, ``samples.tsv``;
  or, for a minimal study, one table with a row for each sample.
- *data label*: what a dataset says of itself and wants shown with every result, such as that it is
  synthetic (``DataLabel`` in its description).
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cpmlib.study import checks, delimited, metadata
from cpmlib.study.errors import Problem, collected, fault, in_rows, told_together
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
from cpmlib.study.text import why_refused
from cpmlib.study.workbook import read_xlsx

EXCLUDED = ["sample_id", "participant_id", "quantity", "reason"]
"""Columns of the list of what a study excludes."""
REASONS = ("exclude_reason", *EXCLUSIONS)
"""Columns that say why something is left out."""
TABLE_NAME = "A study in one table"
"""What a study without a description is called."""

Tables = tuple[pd.DataFrame, pd.DataFrame, dict[str, object]]
"""Participants, samples and description of a study."""


@dataclass(frozen=True)
class Dataset:
    """A checked study, its patients and samples identified by pseudonyms.

    Samples have the columns of their patient. What the study leaves out and says why is listed in
    ``excluded``, with its ``quantity``: ``sample`` or a measured column. The relation to the paper
    is one of `cpmlib.study.schemas.RELATIONS`; the notes say what its tables hold and was not used.
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
    tables no more. Raises a DatasetError with everything that is wrong.
    """
    participants, samples, description = read_tables(path)
    own = description.get(metadata.PSEUDONYMISED) is True
    key = own_key(participants, samples) if own else None
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
    people = participants["participant_id"].map(key.patients)
    participants = participants.assign(participant_id=people).reset_index(drop=True)
    samples = samples.assign(
        participant_id=own["participant_id"].map(key.patients),
        sample_id=[key.samples[pair] for pair in own.itertuples(index=False, name=None)],
    )
    for column in [name for name in REASONS if name in samples]:
        samples[column] = rename_in_reasons(samples[column], own, key)
    return Dataset(
        participants=participants,
        samples=samples.merge(participants, on="participant_id", how="left", validate="m:1"),
        name=str(description.get("Name", "")),
        label=str(description.get("DataLabel", "")),
        notes=metadata.read_notes(description),
        relation=str(description.get(RELATION, OTHER_STUDY)),
    )


def excluded_rows(samples: pd.DataFrame) -> pd.Series:
    """Return for each sample whether the study leaves it out of the whole analysis."""
    return samples.reindex(columns=["exclude_reason"]).notna().all(axis=1)


def _without_excluded(dataset: Dataset) -> Dataset:
    """Take out what the study excludes, and list it; add empty columns for those left out."""
    samples, parts = dataset.samples.copy(), []
    for name, column in SAMPLES.columns.items():
        if name not in samples:
            kind = float if is_number(column) else object
            samples[name] = pd.Series(np.nan, index=samples.index, dtype=kind)
    for reason in REASONS:
        rows, quantity = samples[samples[reason].notna()], EXCLUSIONS.get(reason, "sample")
        parts.append(rows.assign(quantity=quantity, reason=rows[reason])[EXCLUDED])
        if reason in EXCLUSIONS:
            samples.loc[rows.index, quantity] = np.nan
    samples = samples[~excluded_rows(samples)].reset_index(drop=True).drop(columns=list(REASONS))
    people = dataset.participants
    people = people[people["participant_id"].isin(samples["participant_id"])]
    excluded = pd.concat(parts).sort_values("sample_id", kind="stable")
    return dataclasses.replace(
        dataset,
        participants=people.reset_index(drop=True),
        samples=samples,
        excluded=excluded.reset_index(drop=True),
    )


def read_tables(path: str | os.PathLike[str], extracted: bool | None = None) -> Tables:
    """Read and check the two tables and the description, with the study's own identifiers.

    Use `read_dataset` for anything that is published; errors are the same. The measured columns may
    be left out if they are extracted from images: None asks whether the folder holds images.
    Columns that a schema does not know are dropped; the description says under
    `cpmlib.study.metadata.NOTES` what was not used, if there is anything.
    """
    path = Path(path)
    try:
        is_folder, is_table = path.is_dir(), path.is_file()
    except OSError as error:
        raise fault(path.name, why_refused(error), "a readable path", "correct it") from None
    if is_folder:
        return _read_folder(path, has_images(path) if extracted is None else extracted)
    if path.suffix.lower() in delimited.TABLE_SUFFIXES and is_table:
        return _read_one_table(path)
    expected = "a BIDS folder, or a table ending in .csv or .xlsx"
    raise fault(path.name or str(path), "no such folder or table", expected, "correct DATASET")


def _read_folder(path: Path, extracted: bool) -> Tables:
    description: dict[str, object] = {}
    notes, frames = [], []
    with told_together() as problems:
        with collected(problems):
            description = metadata.read_description(path / metadata.DESCRIPTION)
        for schema in (PARTICIPANTS, SAMPLES):
            with collected(problems):
                table = delimited.read_tsv(path / schema.name)
                table, unknown, wrong = checks.read_columns(table, schema)
                notes += [f"column '{name}' of {schema.name}" for name in unknown]
                required = [name for name, column in schema.columns.items() if column.required]
                if schema is SAMPLES and not extracted:
                    required += MEASURED
                frame, wrong_cells = checks.check_table(table, schema)
                problems += wrong + checks.absent_columns(table, required) + wrong_cells
                frames.append(frame)
        if len(frames) == 2:
            files = PARTICIPANTS.name, SAMPLES.name
            problems += checks.relations(frames[0], frames[1], *files, problems)
            if set(AXES) <= set(frames[1].columns):
                frames[1] = metadata.to_ras(frames[1], path / metadata.SAMPLES_SIDECAR)
    return frames[0], frames[1], _with_notes(description, notes)


def _with_notes(description: dict[str, object], notes: Iterable[str]) -> dict[str, object]:
    every = [*metadata.read_notes(description), *notes]
    return description | ({metadata.NOTES: every} if every else {})


def _read_one_table(path: Path) -> Tables:
    """Read one table with a row a sample into the two tables of BIDS."""
    table = delimited.read_csv(path) if path.suffix.lower() == ".csv" else read_xlsx(path)
    schema = pa.DataFrameSchema({**PARTICIPANTS.columns, **SAMPLES.columns})
    table, unknown, wrong = checks.read_columns(table, schema)
    with told_together() as problems:
        problems += wrong + checks.absent_columns(table, MINIMAL_REQUIRED)
        expected = "one of " + ", ".join(schema.columns)
        told = {problem.column for problem in wrong}
        problems += [
            Problem(path.name, "an unknown column", expected, "rename or remove it", 1, name)
            for name in unknown
            if name not in told
        ]
        cells = table.cells.copy()
        for name, prefix in (("participant_id", "sub-"), ("sample_id", "sample-")):
            if name in cells:
                short = cells[name].str.fullmatch(r"[A-Za-z0-9]+")
                short &= ~cells[name].map(delimited.means_missing)
                cells[name] = cells[name].where(~short, prefix + cells[name])
        for name in schema.columns:
            if name not in cells and name not in MINIMAL_REQUIRED:
                cells[name] = "tissue" if name == "sample_type" else MISSING
        people, different = _one_row_each(cells, path.name)
        participants, of_people = checks.check_table(
            dataclasses.replace(table, cells=people), PARTICIPANTS
        )
        samples, of_samples = checks.check_table(dataclasses.replace(table, cells=cells), SAMPLES)
        problems += different + of_people + of_samples
        problems += checks.relations(participants, samples, path.name, path.name, problems)
    # Not called after the file, whose name may be that of a patient.
    description = {"Name": TABLE_NAME, "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    return participants, samples, _with_notes(dict(description), table.notes)


def _one_row_each(cells: pd.DataFrame, file: str) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the patients' columns with a row for each, and where rows of one patient differ."""
    cells = cells[[name for name in PARTICIPANTS.columns if name in cells]]
    if "participant_id" not in cells:
        return cells, []
    who, problems = cells["participant_id"], []
    first = cells.groupby(who).transform("first")
    for name in first.columns:
        found = cells[name] + ", but " + first[name] + " in another row of " + who
        expected = "the same for all samples of a participant"
        differ = found[cells[name] != first[name]]
        problems += in_rows(differ, file, expected, "make them agree", name)
    return cells.drop_duplicates("participant_id"), problems


def write_dataset(
    folder: str | os.PathLike[str],
    participants: pd.DataFrame,
    samples: pd.DataFrame,
    description: dict[str, object],
) -> None:
    """Write the files of `dataset_texts`, each as a whole or not at all; make the folder."""
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
    """Return the files of a BIDS dataset's top level by name; the tables must fit their schema."""
    contents = {metadata.DESCRIPTION: description}
    texts: dict[str, str] = {}
    with told_together() as problems:
        for table, schema in ((participants, PARTICIPANTS), (samples, SAMPLES)):
            columns = [name for name in schema.columns if name in table]
            problems += checks.breaches(table[columns], schema, schema.name)
            cells = table[columns].map(_cell_text)
            for name in columns:
                if schema.columns[name].metadata.get("unit") == DENSITY_UNIT:
                    # With a fourth decimal, no point of 45.125 can be taken for one of thousands.
                    in_threes = cells[name].str.fullmatch(delimited.THOUSANDS_BY_POINT.pattern)
                    cells[name] = cells[name].mask(in_threes, cells[name] + "0")
            texts[schema.name] = cells.to_csv(sep="\t", index=False, lineterminator="\n")
            said = {name: entry for name, entry in sidecar(schema).items() if name in columns}
            contents[schema.name.replace(".tsv", ".json")] = dict(said)
    for name, content in contents.items():
        texts[name] = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return texts


def _cell_text(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return str(value)
