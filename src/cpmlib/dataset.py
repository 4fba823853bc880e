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
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from cpmlib import delimited
from cpmlib.delimited import TextTable
from cpmlib.errors import DatasetError, Problem
from cpmlib.schemas import (
    ADC_UNIT,
    MINIMAL_REQUIRED,
    MISSING,
    PARTICIPANTS,
    SAMPLES,
    is_number,
    sidecar,
)

DESCRIPTION = "dataset_description.json"
TABLE_SUFFIXES = {".csv", ".xlsx"}
COUNT_TOLERANCE = 0.005
"""Largest relative difference between a density and the count and area given beside it."""


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
    )


def read_tables(
    path: str | os.PathLike[str],
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, object]]:
    """Read and check the two tables and the description, with the study's own identifiers.

    Parameters, errors as `read_dataset`. Use `read_dataset` for anything that is published.

    Returns
    -------
    participants, samples : pandas.DataFrame
        As the schemas say; columns that a schema does not know are dropped.
    description : dict
        The content of ``dataset_description.json``.
    """
    path = Path(path)
    if path.is_dir():
        description = _read_description(path / DESCRIPTION)
        tables = _collect(
            lambda: delimited.read_tsv(path / PARTICIPANTS.name),
            lambda: delimited.read_tsv(path / SAMPLES.name),
        )
        participants, samples = _collect(
            lambda: _check(tables[0], PARTICIPANTS), lambda: _check(tables[1], SAMPLES)
        )
        files = (PARTICIPANTS.name, SAMPLES.name)
    elif path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
        description = {"Name": path.stem, "BIDSVersion": "1.10.0", "DatasetType": "raw"}
        reader = delimited.read_csv if path.suffix.lower() == ".csv" else delimited.read_xlsx
        participants, samples = _split_minimal(reader(path))
        files = (path.name, path.name)
    else:
        found = "no such folder or table"
        expected = "a BIDS folder, or a table ending in .csv or .xlsx"
        raise DatasetError(Problem(path.name or str(path), found, expected, "correct DATASET"))
    _check_relations(participants, samples, *files)
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
    texts = {DESCRIPTION: json.dumps(description, indent=2, ensure_ascii=False) + "\n"}
    for table, schema in ((participants, PARTICIPANTS), (samples, SAMPLES)):
        columns = [name for name in schema.columns if name in table.columns]
        cells = table[columns].map(_cell_text)
        texts[schema.name] = cells.to_csv(sep="\t", index=False, lineterminator="\n")
        entries = {name: entry for name, entry in sidecar(schema).items() if name in columns}
        json_name = schema.name.replace(".tsv", ".json")
        texts[json_name] = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
        _validate(table[columns], schema, schema.name)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        partial = folder / f".{name}.part"
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(folder / name)


def _cell_text(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return MISSING
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return str(value)


def _collect(*steps):  # type: ignore[no-untyped-def]
    """Run each step; if any finds problems, raise all of them together."""
    results, problems = [], []
    for step in steps:
        try:
            results.append(step())
        except DatasetError as error:
            problems += error.problems
    if problems:
        raise DatasetError(problems)
    return results


def _read_description(path: Path) -> dict[str, object]:
    text = delimited.read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(
            Problem(
                path.name, f"broken JSON ({error.msg})", "a JSON object", "correct it", error.lineno
            )
        ) from None
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise DatasetError(Problem(path.name, f"a {kind}", "a JSON object", "correct it"))
    for key in ("Name", "BIDSVersion"):
        if not isinstance(content.get(key), str):
            raise DatasetError(
                Problem(
                    path.name, f"no text under '{key}'", "a text", f"add '{key}' (BIDS requires it)"
                )
            )
    label = content.get("DataLabel", "")
    if not isinstance(label, str) or len(label) > 200 or "\n" in label:
        expected = "one line of at most 200 characters"
        raise DatasetError(Problem(path.name, "an unfit 'DataLabel'", expected, "shorten it"))
    return content


def _check(table: TextTable, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Turn text into the schema's types and check it."""
    required = [name for name, column in schema.columns.items() if column.required]
    _require_columns(table, required)
    return _validate(_parse(table, schema), schema, table.file)


def _require_columns(table: TextTable, required: list[str]) -> None:
    absent = [name for name in required if name not in table.cells.columns]
    if absent:
        present = ", ".join(table.cells.columns)
        raise DatasetError(
            [
                Problem(
                    table.file,
                    f"no such column (there are: {present})",
                    f"a column '{name}'",
                    f"add it; write {MISSING} where a value is missing",
                    row=1,
                    column=name,
                )
                for name in absent
            ]
        )


def _parse(table: TextTable, schema: pa.DataFrameSchema) -> pd.DataFrame:
    parsed: dict[str, list[object]] = {}
    problems = []
    for name, column in schema.columns.items():
        if name not in table.cells.columns:
            continue
        values: list[object] = []
        for row, text in table.cells[name].items():
            value: object = text
            if text in ("", MISSING):
                value = None
                if text == "" and not table.file.endswith(tuple(TABLE_SUFFIXES)):
                    problems.append(
                        _cell(table, row, name, "an empty cell", column, f"write {MISSING}")
                    )
            elif is_number(column):
                value = delimited.parse_number(text, decimal_comma=table.decimal_comma)
                if isinstance(value, str):
                    problems.append(_cell(table, row, name, text, column, value))
            values.append(value)
        parsed[name] = values
    if problems:
        raise DatasetError(problems)
    frame = pd.DataFrame(index=table.cells.index)
    for name, values in parsed.items():
        kind = float if is_number(schema.columns[name]) else object
        frame[name] = pd.Series(values, index=table.cells.index, dtype=kind)
    return frame


def _cell(
    table: TextTable, row: object, name: str, found: str, column: pa.Column, remedy: str
) -> Problem:
    expected = str((column.metadata or {})["expected"])
    return Problem(table.file, found, expected, remedy, row=int(str(row)), column=name)


def _validate(frame: pd.DataFrame, schema: pa.DataFrameSchema, file: str) -> pd.DataFrame:
    unit = _wrong_adc_unit(frame, file)
    if unit:
        raise DatasetError(unit)
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise DatasetError(_problems(error.failure_cases, schema, file)) from None
    return frame


def _problems(cases: pd.DataFrame, schema: pa.DataFrameSchema, file: str) -> list[Problem]:
    problems = []
    for case in cases.sort_values("index", kind="stable").to_dict("records"):
        name = str(case["column"])
        expected = str((schema.columns[name].metadata or {})["expected"])
        found, remedy = str(case["failure_case"]), "correct the value"
        if case["check"] == "not_nullable":
            found, remedy = MISSING, "give the value; the analysis needs it"
        elif case["check"] == "field_uniqueness":
            found, expected, remedy = f"{found} again", "each only once", "remove or rename one"
        elif "levels" in (schema.columns[name].metadata or {}):
            remedy = "use one of these spellings"
        row = None if case["index"] is None else int(case["index"])
        problems.append(Problem(file, found, expected, remedy, row=row, column=name))
    # A value that fails two checks is one problem.
    return list(dict.fromkeys(problems))


def _wrong_adc_unit(frame: pd.DataFrame, file: str) -> Problem | None:
    """Recognise ADC given in another unit by its median: tissue lies near 1000e-6 mm2/s."""
    if "adc" not in frame.columns:
        return None
    median = frame["adc"].median()
    factors = ((1e-5, 1e-2, "mm2/s", 1e6), (0.1, 10, "1e-3 mm2/s", 1e3))
    for low, high, unit, factor in factors:
        if low <= median <= high:
            found = f"a median of {median:g}, which looks like {unit}"
            return Problem(
                file, found, f"ADC in {ADC_UNIT}", f"multiply by {factor:g}", column="adc"
            )
    return None


def _check_relations(
    participants: pd.DataFrame, samples: pd.DataFrame, people_file: str, sample_file: str
) -> None:
    """Check what concerns both tables, or two columns."""
    problems = []
    known, used = set(participants["participant_id"]), set(samples["participant_id"])
    for row, who in samples["participant_id"].items():
        if who not in known:
            expected = f"a participant of {people_file}"
            remedy = f"add it to {people_file} or correct it"
            problems.append(
                Problem(sample_file, who, expected, remedy, int(str(row)), "participant_id")
            )
    for row, who in participants["participant_id"].items():
        if who not in used:
            expected = f"at least one sample in {sample_file}"
            remedy = "add the sample or remove the participant"
            problems.append(
                Problem(people_file, who, expected, remedy, int(str(row)), "participant_id")
            )
    problems += _check_targets(samples, sample_file) + _check_counts(samples, sample_file)
    if "case" in samples.columns:
        named = samples["case"].dropna()
        for row, name in named[named.duplicated()].items():
            remedy = "name another sample or write n/a"
            problems.append(
                Problem(
                    sample_file, f"{name} again", "each case once", remedy, int(str(row)), "case"
                )
            )
    if problems:
        raise DatasetError(problems)


def _check_targets(samples: pd.DataFrame, file: str) -> list[Problem]:
    axes = ["target_x", "target_y", "target_z"]
    if not set(axes) <= set(samples.columns):
        return []
    given = samples[axes].notna().sum(axis=1)
    return [
        Problem(
            file, f"{count} of 3 coordinates", "all or none", "complete it", int(str(row)), axes[0]
        )
        for row, count in given.items()
        if count not in (0, 3)
    ]


def _check_counts(samples: pd.DataFrame, file: str) -> list[Problem]:
    if not {"he_nuclei", "he_tissue_area"} <= set(samples.columns):
        return []
    counted = samples["he_nuclei"] / samples["he_tissue_area"]
    off = (counted / samples["he_cellularity"] - 1).abs() > COUNT_TOLERANCE
    return [
        Problem(
            file,
            f"{samples.loc[row, 'he_cellularity']:g}",
            f"he_nuclei / he_tissue_area = {counted.loc[row]:.1f}",
            "correct the density, the count or the area",
            row=int(str(row)),
            column="he_cellularity",
        )
        for row in samples.index[off]
    ]


def _split_minimal(table: TextTable) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn one table with a row a sample into the two tables of BIDS."""
    _require_columns(table, list(MINIMAL_REQUIRED))
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
    participants, samples = _collect(
        lambda: _check(people, PARTICIPANTS), lambda: _check(table, SAMPLES)
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
