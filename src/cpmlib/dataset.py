"""A study's tables: read, checked and joined; written as BIDS.

Vocabulary
----------
- *dataset*: a BIDS folder with ``dataset_description.json``, ``participants.tsv``, ``samples.tsv``;
  or, for a minimal study, one table with a row for each sample.
- *label*: what a dataset says of itself and wants shown with every result, such as that it is
  synthetic (``DataLabel`` in its description).
- *pseudonym*: P01, P02, ... and S01, S02, ... in file order; `read_dataset` returns no other
  identifier.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cpmlib import delimited
from cpmlib.checks import check_relations, check_table, collect, require_columns, validate
from cpmlib.delimited import TABLE_SUFFIXES, TextTable
from cpmlib.errors import DatasetError, Problem
from cpmlib.roi import COLUMNS as AXES
from cpmlib.schemas import (
    MEASURED,
    MINIMAL_REQUIRED,
    MISSING,
    OTHER_STUDY,
    PARTICIPANTS,
    RELATION,
    RELATIONS,
    SAMPLES,
    sidecar,
)
from cpmlib.study_files import has_images

DESCRIPTION = "dataset_description.json"
SAMPLES_SIDECAR = "samples.json"
COORDINATE_SYSTEM = "CoordinateSystem"
"""Key of a target's column in `SAMPLES_SIDECAR`: RAS (the default) or LPS."""
TABLE_NAME = "A study in one table"
"""What a study without a description is called."""
LONGEST_TEXT = 200
"""Most characters of a dataset's name and label."""


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
    relation
        What it is to the paper, one of `cpmlib.schemas.RELATIONS`.
    """

    participants: pd.DataFrame
    samples: pd.DataFrame
    name: str
    label: str
    relation: str = OTHER_STUDY


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Read and check a dataset.

    Parameters
    ----------
    path
        A BIDS folder, or one table (``.csv`` or ``.xlsx``).

    Returns
    -------
    Dataset
        Densities in cells/mm2, ADC in 1e-6 mm2/s, targets in mm RAS+; missing values are NaN.

    Raises
    ------
    DatasetError
        Listing everything that is wrong, each with file, row, column, what was found and
        expected, and the remedy.
    """
    return pseudonymised(*read_tables(path))


def pseudonymised(
    participants: pd.DataFrame, samples: pd.DataFrame, description: dict[str, object]
) -> Dataset:
    """Join two checked tables and replace the study's identifiers by running numbers.

    Parameters
    ----------
    participants, samples, description
        As `read_tables` returns them.

    Returns
    -------
    Dataset
        Rows in the order of the tables.
    """
    people = {old: f"P{i:02d}" for i, old in enumerate(participants["participant_id"], start=1)}
    names = {old: f"S{i:02d}" for i, old in enumerate(samples["sample_id"], start=1)}
    participants = participants.assign(participant_id=participants["participant_id"].map(people))
    samples = samples.assign(
        participant_id=samples["participant_id"].map(people),
        sample_id=samples["sample_id"].map(names),
    )
    joined = samples.merge(participants, on="participant_id", how="left", validate="many_to_one")
    return Dataset(
        participants=participants.reset_index(drop=True),
        samples=joined,
        name=str(description.get("Name", "")),
        label=str(description.get("DataLabel", "")),
        relation=str(description.get(RELATION, OTHER_STUDY)),
    )


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
        The content of ``dataset_description.json``.
    """
    path = Path(path)
    try:
        is_folder, is_table = path.is_dir(), path.is_file()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DatasetError(Problem(path.name, reason, "a readable path", "correct it")) from None
    if is_folder:
        description = _read_description(path / DESCRIPTION)
        tables = collect(
            lambda: delimited.read_tsv(path / PARTICIPANTS.name),
            lambda: delimited.read_tsv(path / SAMPLES.name),
        )
        if not (has_images(path) if extracted is None else extracted):
            require_columns(tables[1], list(MEASURED))
        participants, samples = collect(
            lambda: check_table(tables[0], PARTICIPANTS), lambda: check_table(tables[1], SAMPLES)
        )
        samples = _to_ras(samples, path / SAMPLES_SIDECAR)
        files = (PARTICIPANTS.name, SAMPLES.name)
    elif path.suffix.lower() in TABLE_SUFFIXES and is_table:
        # Not called after the file, whose name may be that of a patient.
        description = {"Name": TABLE_NAME, "BIDSVersion": "1.10.0", "DatasetType": "raw"}
        reader = delimited.read_csv if path.suffix.lower() == ".csv" else delimited.read_xlsx
        participants, samples = _split_minimal(reader(path))
        files = (path.name, path.name)
    else:
        found = "no such folder or table"
        expected = "a BIDS folder, or a table ending in .csv or .xlsx"
        raise DatasetError(Problem(path.name or str(path), found, expected, "correct DATASET"))
    check_relations(participants, samples, *files)
    return participants, samples, description


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
        partial = folder / f".{name}.part"
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(folder / name)


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
    if not path.is_file():
        return samples
    content = delimited.read_json(path)
    declared = {}
    for axis in AXES:
        entry = content.get(axis)
        declared[axis] = entry.get(COORDINATE_SYSTEM, "RAS") if isinstance(entry, dict) else "RAS"
        units = entry.get("Units", "mm") if isinstance(entry, dict) else "mm"
        if units != "mm":
            raise DatasetError(
                Problem(path.name, f"units {units!r}", "mm", "give targets in mm", column=axis)
            )
    systems = {str(system).rstrip("+") for system in declared.values()}
    if systems == {"LPS"}:
        turned = samples.copy()
        turned[["target_x", "target_y"]] = -turned[["target_x", "target_y"]] + 0.0
        return turned
    if systems != {"RAS"}:
        found = ", ".join(f"{axis}: {system}" for axis, system in declared.items())
        expected = "RAS or LPS, the same for the three coordinates"
        remedy = f"correct '{COORDINATE_SYSTEM}'"
        raise DatasetError(Problem(path.name, found, expected, remedy))
    return samples


def _read_description(path: Path) -> dict[str, object]:
    content = delimited.read_json(path)
    problems = []
    for key in ("Name", "BIDSVersion", "DataLabel"):
        if key == "DataLabel" and key not in content:
            continue
        if not _fit_to_show(content.get(key)):
            expected = f"one line of printable text, at most {LONGEST_TEXT} characters, that begins"
            expected += " with a letter or digit"
            found = f"no such text under '{key}'"
            problems.append(Problem(path.name, found, expected, f"correct '{key}'"))
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


def _fit_to_show(text: object) -> bool:
    """Whether a text may stand on pages, in figures and in the first cell of a spreadsheet."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= LONGEST_TEXT
        and text.isprintable()
        and text[0].isalnum()
    )


def _split_minimal(table: TextTable) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn one table with a row a sample into the two tables of BIDS."""
    require_columns(table, list(MINIMAL_REQUIRED))
    known = [*PARTICIPANTS.columns, *SAMPLES.columns]
    unknown = [name for name in table.cells.columns if name not in known]
    if unknown:
        expected = "one of " + ", ".join(dict.fromkeys(known))
        raise DatasetError(
            [
                Problem(table.file, "an unknown column", expected, "rename or remove it", 1, name)
                for name in unknown
            ]
        )
    cells = table.cells.copy()
    for name, prefix in (("participant_id", "sub-"), ("sample_id", "sample-")):
        short = cells[name].str.fullmatch(r"[A-Za-z0-9]+")
        cells[name] = cells[name].where(~short, prefix + cells[name])
    for name in known:
        if name not in cells.columns:
            cells[name] = "tissue" if name == "sample_type" else MISSING
    table = TextTable(cells, table.file, table.decimal_comma)
    people = TextTable(_one_row_each(table), table.file, table.decimal_comma)
    participants, samples = collect(
        lambda: check_table(people, PARTICIPANTS), lambda: check_table(table, SAMPLES)
    )
    return participants, samples


def _one_row_each(table: TextTable) -> pd.DataFrame:
    columns = list(PARTICIPANTS.columns)
    problems = []
    for who, rows in table.cells[columns].groupby("participant_id", sort=False):
        for name in columns:
            different = rows[name] != rows[name].iloc[0]
            if different.any():
                row = int(str(rows.index[different][0]))
                found = f"{rows.loc[row, name]}, but {rows[name].iloc[0]} in another row of {who}"
                expected = "the same for all samples of a participant"
                problems.append(Problem(table.file, found, expected, "make them agree", row, name))
    if problems:
        raise DatasetError(problems)
    return table.cells[columns].drop_duplicates("participant_id")
