"""The checks of a dataset's tables: text into the schema's types, and everything that can be wrong.

Each fault becomes a `cpmlib.study.errors.Problem`; all faults that can be told
at once are told at once.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from cpmlib.study import delimited
from cpmlib.study.delimited import TABLE_SUFFIXES, TextTable
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.names import plain_name
from cpmlib.study.schemas import ADC_UNIT, DENSITY_UNIT, MISSING, is_number

COUNT_TOLERANCE = 0.005
"""Largest relative difference between a density and the count and area given beside it."""
RESEMBLANCE = 0.8
"""Similarity (0 to 1, `difflib`) from which an unknown name is taken for a known one misspelt."""
THOUSAND_BESIDE = 100.0
"""Densities (cells/mm2): a number below, such as 1.215, beside others above may be 1215."""
EXCEL_DAYS = (40_000, 50_000)
"""How Excel numbers the days from 2009 to 2036."""
EMPTY = "an empty cell"
AXES = ("target_x", "target_y", "target_z")
COUNTED = ("he_nuclei", "he_tissue_area", "he_cellularity")
SUMMARIES = {
    *("mean", "median", "average", "sum", "total", "sd", "min", "max"),
    *("mittelwert", "durchschnitt", "summe", "gesamt"),
}
"""What stands in the first cell of a row that is no participant's."""


def read_columns(
    table: TextTable, schema: pa.DataFrameSchema
) -> tuple[TextTable, list[str], list[Problem]]:
    """Bring column names to the schema's spelling, and tell which columns it does not know.

    Capitals, spaces and hyphens make no difference.

    Returns
    -------
    table : TextTable
        With the known columns under the schema's names; an unknown column keeps its own.
    unknown : list of str
        Columns that will not be used.
    problems : list of Problem
        Two columns of one name; an unknown one that looks like an optional one misspelt.
    """
    spelt = {name: delimited.column_name(name) for name in table.cells.columns}
    renamed = {own: name for own, name in spelt.items() if name in schema.columns}
    unknown = [own for own in spelt if own not in renamed]
    problems = []
    for name in sorted(set(renamed.values())):
        owners = [own for own in renamed if renamed[own] == name]
        if len(owners) > 1:
            found = f"{' and '.join(owners)}, which are one name"
            remedy = "rename or remove one"
            problems.append(Problem(table.file, found, "each name once", remedy, 1, name))
            renamed = {own: name for own, name in renamed.items() if own not in owners[1:]}
    absent = [
        name
        for name, column in schema.columns.items()
        if not column.required and name not in renamed.values()
    ]
    for own in unknown:
        for like in difflib.get_close_matches(spelt[own], absent, 1, RESEMBLANCE):
            expected = f"'{like}', or a name that is not like it"
            problems.append(Problem(table.file, "an unknown column", expected, "rename it", 1, own))
    cells = table.cells.rename(columns=renamed)
    cells = cells.loc[:, ~cells.columns.duplicated()]
    return dataclasses.replace(table, cells=cells), unknown, problems


def check_table(table: TextTable, schema: pa.DataFrameSchema) -> tuple[pd.DataFrame, list[Problem]]:
    """Turn text into the schema's types and check it.

    Returns
    -------
    frame : pandas.DataFrame
        The columns that the table has of the schema; a cell that is no number is missing.
    problems : list of Problem
        Everything that is wrong.
    """
    problems = absent_columns(table, [n for n, column in schema.columns.items() if column.required])
    frame, bad = _parse(table, schema)
    absent = [name for name in schema.columns if name not in frame.columns]
    told = {(problem.row, problem.column) for problem in bad}
    found = breaches(frame, schema.remove_columns(absent), table.file)
    return frame, problems + bad + [p for p in found if (p.row, p.column) not in told]


def absent_columns(table: TextTable, required: list[str]) -> list[Problem]:
    """Name each of the columns that a table lacks."""
    absent = [name for name in required if name not in table.cells.columns]
    present = ", ".join(table.cells.columns)
    return [
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


def _parse(table: TextTable, schema: pa.DataFrameSchema) -> tuple[pd.DataFrame, list[Problem]]:
    frame = pd.DataFrame(index=table.cells.index)
    problems = []
    for name, column in schema.columns.items():
        if name not in table.cells.columns:
            continue
        texts = table.cells[name]
        decimal_comma = table.decimal_comma
        # Where the column shows elsewhere that its commas mark decimals, 1,378 is no thousand.
        plain = decimal_comma and texts.map(delimited.surely_decimal_comma).any()
        free = not is_number(column) and "levels" not in (column.metadata or {})
        values: list[object] = []
        for row, text in texts.items():
            value: object = text
            if text in ("", MISSING):
                value = None
                if text == "" and Path(table.file).suffix.lower() not in TABLE_SUFFIXES:
                    problems.append(_cell(table, row, name, EMPTY, column, f"write {MISSING}"))
            elif free and delimited.means_missing(text, or_no=column.nullable):
                value = None
                remedy = f"write {MISSING} if nothing is meant, else other words"
                problems.append(_cell(table, row, name, text, column, remedy))
            elif is_number(column):
                written = text.replace(",", ".") if plain and "." not in text else text
                comma = decimal_comma and written == text
                value = delimited.parse_number(written, decimal_comma=comma)
                if isinstance(value, str):
                    problems.append(_cell(table, row, name, text, column, value))
                    value = None
            values.append(value)
        kind = float if is_number(column) else object
        frame[name] = pd.Series(values, index=texts.index, dtype=kind)
        if (column.metadata or {}).get("unit") == DENSITY_UNIT:
            problems += _spoilt_densities(table, frame[name])
    return frame, problems


def _spoilt_densities(table: TextTable, values: pd.Series) -> list[Problem]:
    """Refuse what a spreadsheet made of a density: 1.215 for 1215, 45717 for the 1st of March."""
    texts = table.cells[values.name]
    pointed = texts.str.replace(",", ".", regex=False)
    in_threes = pointed.map(lambda text: bool(delimited.THOUSANDS_BY_POINT.fullmatch(text)))
    parted = in_threes & (values < THOUSAND_BESIDE)
    if not values[~parted].median() >= THOUSAND_BESIDE:
        parted[:] = False
    first, last = EXCEL_DAYS
    days = ~pointed.str.contains(".", regex=False) & values.between(first, last)
    if not values.median() < first / 2:
        days[:] = False
    expected = "a density of the size of the others"
    remedies = (
        (parted, "leave its mark out if it separates thousands, else write two or four decimals"),
        (days, "write the number again: spreadsheets store a date as such a count of days"),
    )
    return [
        Problem(table.file, texts[row], expected, remedy, int(str(row)), str(values.name))
        for doubtful, remedy in remedies
        for row in values.index[doubtful]
    ]


def _cell(
    table: TextTable, row: object, name: str, found: str, column: pa.Column, remedy: str
) -> Problem:
    expected = str((column.metadata or {})["expected"])
    return Problem(table.file, found, expected, remedy, row=int(str(row)), column=name)


def validate(frame: pd.DataFrame, schema: pa.DataFrameSchema, file: str) -> pd.DataFrame:
    """Return a typed table that keeps its schema; raise a DatasetError if it does not."""
    problems = breaches(frame, schema, file)
    if problems:
        raise DatasetError(problems)
    return frame


def breaches(frame: pd.DataFrame, schema: pa.DataFrameSchema, file: str) -> list[Problem]:
    """Tell where a typed table breaks its schema."""
    units = _wrong_units(frame, file)
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        told = {problem.column for problem in units}
        found = _problems(error.failure_cases, schema, file)
        return units + [problem for problem in found if problem.column not in told]
    return units


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


MULTIPLY = "multiply by 1000, unless these are logarithms or multiples of a standard deviation"

_UNITS = {
    "adc": (
        f"ADC in {ADC_UNIT}",
        [
            (1e-5, 1e-2, "mm2/s", "multiply by 1e+06"),
            (0.1, 0.6, "an exponential ADC", f"give the ADC in {ADC_UNIT} instead"),
            (0.6, 10, "1e-3 mm2/s", "multiply by 1000"),
            (10, 400, "no ADC of tissue", f"give the ADC in {ADC_UNIT}"),
        ],
    ),
    **dict.fromkeys(
        ("cpm", "he_cellularity"),
        (
            f"a density in {DENSITY_UNIT}",
            [
                (1e-5, 0.1, "cells/um2", "multiply by 1e+06"),
                (0.1, 20, "1000 cells/mm2", MULTIPLY),
            ],
        ),
    ),
}
"""Per column: what it should hold, and where a median lies that betrays another unit. Tissue has
an ADC near 1000e-6 mm2/s, of which exp(-b ADC) is 0.2 to 0.6, and, normal white matter included,
hundreds of nuclei per mm2."""


def _wrong_units(frame: pd.DataFrame, file: str) -> list[Problem]:
    """Recognise values given in another unit by their median."""
    problems = []
    for name, (expected, units) in _UNITS.items():
        median = frame[name].median() if name in frame.columns else float("nan")
        for low, high, unit, remedy in units:
            if low <= median <= high:
                found = f"a median of {median:g}, which looks like {unit}"
                problems.append(Problem(file, found, expected, remedy, column=name))
                break
    return problems


def relations(
    participants: pd.DataFrame,
    samples: pd.DataFrame,
    people_file: str,
    sample_file: str,
    told: Collection[Problem] = (),
) -> list[Problem]:
    """Check what concerns both tables, or two columns; what is absent is not checked here.

    A cell that is told to be no number is empty here, but not in the table: nothing is said about
    its row.
    """
    problems = []
    if "participant_id" in participants and "participant_id" in samples:
        problems += _strangers(participants, samples, people_file, sample_file)
        problems += _summaries(participants["participant_id"].dropna(), people_file)
        people = participants["participant_id"].dropna()
        problems += _check_names(people, people_file, pd.Series("", index=people.index))
    if {"participant_id", "sample_id"} <= set(samples.columns):
        named = samples.dropna(subset=["participant_id", "sample_id"])
        problems += _repeated_samples(named, sample_file)
        problems += _check_names(named["sample_id"], sample_file, named["participant_id"])
    if "exclude_reason" in samples.columns and samples["exclude_reason"].notna().all():
        found, expected = "a reason in every row and no sample left", "one sample or more"
        remedy = f"write {MISSING} where the sample is kept"
        problems.append(Problem(sample_file, found, expected, remedy, column="exclude_reason"))
    for check, columns in ((_check_targets, AXES), (_check_counts, COUNTED)):
        mine = [p for p in told if p.file == sample_file and p.column in columns]
        unread = [p.row for p in mine if p.found != EMPTY]
        problems += check(samples.drop(index=unread, errors="ignore"), sample_file)
    if "case" in samples.columns:
        cases = samples["case"].dropna()
        for row, name in cases[cases.duplicated()].items():
            remedy = "name another sample or write n/a"
            problems.append(
                Problem(
                    sample_file, f"{name} again", "each case once", remedy, int(str(row)), "case"
                )
            )
    return problems


def _strangers(
    participants: pd.DataFrame, samples: pd.DataFrame, people_file: str, sample_file: str
) -> list[Problem]:
    problems = []
    known, used = set(participants["participant_id"]), set(samples["participant_id"])
    for row, who in samples["participant_id"].dropna().items():
        if who not in known:
            expected = f"a participant of {people_file}"
            remedy = f"add it to {people_file} or correct it"
            problems.append(
                Problem(sample_file, who, expected, remedy, int(str(row)), "participant_id")
            )
    for row, who in participants["participant_id"].dropna().items():
        if who not in used:
            expected = f"at least one sample in {sample_file}"
            remedy = "add the sample or remove the participant"
            problems.append(
                Problem(people_file, who, expected, remedy, int(str(row)), "participant_id")
            )
    return problems


def _repeated_samples(samples: pd.DataFrame, file: str) -> list[Problem]:
    """Refuse one name twice within a patient; across patients BIDS allows it."""
    pairs = samples[["participant_id", "sample_id"]]
    return [
        Problem(
            file,
            f"{name} again in {who}",
            "each sample of a participant once",
            "remove or rename one",
            int(str(row)),
            "sample_id",
        )
        for row, (who, name) in pairs[pairs.duplicated()].T.items()
    ]


def _labels(names: pd.Series) -> pd.Series:
    """Return names in small letters without ``sub-`` or ``sample-``."""
    return names.astype(str).str.lower().str.replace("^[^-]*-", "", regex=True)


def _summaries(names: pd.Series, file: str) -> list[Problem]:
    """Refuse the row below a table in which a spreadsheet sums up its columns."""
    expected, remedy = "a participant", "delete the row, or rename the participant"
    return [
        Problem(file, f"{names[row]}, which looks like a summary", expected, remedy, int(str(row)))
        for row in names.index[_labels(names).isin(SUMMARIES)]
    ]


def _check_names(names: pd.Series, file: str, owners: pd.Series) -> list[Problem]:
    """Refuse names of one owner that differ only in case or leading zeros, such as 01 and 1."""
    plain = names.astype(str).map(plain_name)
    seen: dict[tuple[str, str], str] = {}
    problems = []
    for row, name, owner, key in zip(names.index, names, owners, plain, strict=True):
        first = seen.setdefault((owner, key), name)
        if first != name:
            found = f"{name}, which differs from {first} only in case or leading zeros"
            remedy = "write one name in one way"
            problems.append(
                Problem(file, found, "names that differ", remedy, int(str(row)), str(names.name))
            )
    return problems


def _check_targets(samples: pd.DataFrame, file: str) -> list[Problem]:
    if not set(AXES) <= set(samples.columns):
        return []
    given = samples[list(AXES)].notna().sum(axis=1)
    return [
        Problem(
            file, f"{count} of 3 coordinates", "all or none", "complete it", int(str(row)), AXES[0]
        )
        for row, count in given.items()
        if count not in (0, 3)
    ]


def _check_counts(samples: pd.DataFrame, file: str) -> list[Problem]:
    counts = COUNTED[:2]
    given = [name for name in counts if name in samples.columns and samples[name].notna().any()]
    if not given:
        return []
    absent = [name for name in counts if name not in given]
    absent += [name for name in ("he_cellularity",) if name not in samples.columns]
    if absent:
        found = f"values of {' and '.join(given)} without it"
        remedy = "add it (he_cellularity = he_nuclei / he_tissue_area), or leave out "
        remedy += " and ".join(given)
        return [Problem(file, found, f"a column '{name}'", remedy, 1, name) for name in absent]
    counted = samples["he_nuclei"] / samples["he_tissue_area"]
    density = samples["he_cellularity"]
    off = (counted / density - 1).abs() > COUNT_TOLERANCE
    off |= counted.notna() & density.isna()
    if "he_exclude_reason" in samples.columns:
        off &= samples["he_exclude_reason"].isna() | density.notna()
    return [
        Problem(
            file,
            MISSING if pd.isna(density.loc[row]) else f"{density.loc[row]:g}",
            f"he_nuclei / he_tissue_area = {counted.loc[row]:.1f}",
            "correct the density, the count or the area; to leave a density out, leave the count "
            "out too or say why under he_exclude_reason",
            row=int(str(row)),
            column="he_cellularity",
        )
        for row in samples.index[off]
    ]
