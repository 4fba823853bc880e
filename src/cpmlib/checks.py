"""The checks of a dataset's tables: text into the schema's types, and everything that can be wrong.

Each fault becomes a `cpmlib.errors.Problem`; all faults that can be told at once are told at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from cpmlib import delimited
from cpmlib.delimited import TextTable
from cpmlib.errors import DatasetError, Problem
from cpmlib.schemas import ADC_UNIT, MISSING, is_number

COUNT_TOLERANCE = 0.005
"""Largest relative difference between a density and the count and area given beside it."""


def collect(*steps: Callable[[], Any]) -> list[Any]:
    """Run each step; if any finds problems, raise all of them together."""
    results: list[Any] = []
    problems: list[Problem] = []
    for step in steps:
        try:
            results.append(step())
        except DatasetError as error:
            problems += error.problems
    if problems:
        raise DatasetError(problems)
    return results


def check_table(table: TextTable, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Turn text into the schema's types and check it."""
    required = [name for name, column in schema.columns.items() if column.required]
    require_columns(table, required)
    return validate(_parse(table, schema), schema, table.file)


def require_columns(table: TextTable, required: list[str]) -> None:
    """Raise a DatasetError that names each of the columns that a table lacks."""
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
                if text == "" and not table.file.endswith(tuple(delimited.TABLE_SUFFIXES)):
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


def validate(frame: pd.DataFrame, schema: pa.DataFrameSchema, file: str) -> pd.DataFrame:
    """Return a typed table that keeps its schema; raise a DatasetError if it does not."""
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


def check_relations(
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
    problems += _check_names(participants["participant_id"], people_file)
    if people_file != sample_file:
        problems += _check_names(samples["sample_id"], sample_file)
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


def _check_names(names: pd.Series, file: str) -> list[Problem]:
    """Refuse names that differ only in case or leading zeros: 01 beside 1 is one patient twice."""
    plain = names.str.split("-", n=1).str[1].str.lower().str.replace(r"^0+(?=.)", "", regex=True)
    seen: dict[str, str] = {}
    problems = []
    for row, name, key in zip(names.index, names, plain, strict=True):
        first = seen.setdefault(key, name)
        if first != name:
            found = f"{name}, which differs from {first} only in case or leading zeros"
            remedy = "write one name in one way"
            problems.append(
                Problem(file, found, "names that differ", remedy, int(str(row)), str(names.name))
            )
    return problems


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
    if "he_cellularity" not in samples.columns:
        return []
    off = (counted / samples["he_cellularity"] - 1).abs() > COUNT_TOLERANCE
    off |= counted.notna() & samples["he_cellularity"].isna()
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
