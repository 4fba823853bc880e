"""A study's tables: read, checked and joined; written as BIDS.

Vocabulary
----------
- *dataset*: a BIDS folder with ``dataset_description.json``, ``participants.tsv``, ``samples.tsv``;
  or, for a minimal study, one table with a row for each sample.
- *label*: what a dataset says of itself and wants shown with every result, such as that it is
  synthetic (``DataLabel`` in its description).
- *pseudonym*: P01, P02, ... and S01, S02, ... (`cpmlib.pseudonyms`); `read_dataset` returns no
  other identifier.
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
from cpmlib.pseudonyms import Key, own_key
from cpmlib.roi import COLUMNS as AXES
from cpmlib.schemas import (
    MEASURED,
    MINIMAL_REQUIRED,
    MISSING,
    PARTICIPANTS,
    SAMPLES,
    sidecar,
)
from cpmlib.study_files import has_images

DESCRIPTION = "dataset_description.json"
SAMPLES_SIDECAR = "samples.json"
COORDINATE_SYSTEM = "CoordinateSystem"
"""Key of a target's column in `SAMPLES_SIDECAR`: RAS (the default) or LPS."""
PSEUDONYMISED = "Pseudonymised"
"""Key of a description: true where the tables' identifiers are pseudonyms already."""
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
    """

    participants: pd.DataFrame
    samples: pd.DataFrame
    name: str
    label: str


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
    participants, samples, description = read_tables(path)
    key = own_key(participants, samples) if description.get(PSEUDONYMISED) is True else None
    return pseudonymised(participants, samples, description, key)


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
        Rows in the order of the tables.
    """
    key = (key or Key()).extended(participants, samples)
    pairs = zip(samples["participant_id"], samples["sample_id"], strict=True)
    people = participants["participant_id"].map(key.patients)
    participants = participants.assign(participant_id=people)
    samples = samples.assign(
        sample_id=[key.samples[pair] for pair in pairs],
        participant_id=samples["participant_id"].map(key.patients),
    )
    joined = samples.merge(participants, on="participant_id", how="left", validate="many_to_one")
    return Dataset(
        participants=participants.reset_index(drop=True),
        samples=joined,
        name=str(description.get("Name", "")),
        label=str(description.get("DataLabel", "")),
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
        description = {"Name": path.stem, "BIDSVersion": "1.10.0", "DatasetType": "raw"}
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
    for key in content:
        if key != "DataLabel" and key.lower().replace("_", "") == "datalabel":
            problems.append(Problem(path.name, f"'{key}'", "'DataLabel'", "write it so"))
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
