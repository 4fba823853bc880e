"""The checks of a dataset's tables: text into the schema's types, and everything that can be wrong.

Each fault becomes a `cpmlib.study.errors.Problem`; all faults that can be told at once are told at
once. What one value may be is in the schemas; what concerns several values, columns or tables is
here.
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
from cpmlib.study.errors import Problem
from cpmlib.study.names import plain_name
from cpmlib.study.options import AXES
from cpmlib.study.schemas import ADC_UNIT, DENSITY_UNIT, MISSING, is_number

COUNT_TOLERANCE = 0.005
"""Largest relative difference between a density and the count and area given beside it."""
RESEMBLANCE = 0.8
"""Similarity (0 to 1, `difflib`) from which an unknown name is taken for a known one misspelt."""
THOUSAND_BESIDE = 100.0
"""Densities (cells/mm2): a number below, such as 1.215, beside others above may be 1215."""
EXCEL_DAYS = (40_000, 50_000)
"""How Excel numbers the days from 2009 to 2036."""
COUNTS = ("he_nuclei", "he_tissue_area")
SUMMARIES = {
    *("mean", "median", "average", "sum", "total", "sd", "min", "max"),
    *("mittelwert", "durchschnitt", "summe", "gesamt"),
}
"""What stands in the first cell of a row that is no participant's."""
_DENSITIES = (
    f"a density in {DENSITY_UNIT}",
    [
        (1e-5, 0.1, "cells/um2", "multiply by 1e+06"),
        (
            *(0.1, 20, "1000 cells/mm2"),
            "multiply by 1000, unless these are logarithms or multiples of a standard deviation",
        ),
    ],
)
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
    "cpm": _DENSITIES,
    "he_cellularity": _DENSITIES,
}
"""Per column: what it should hold, and where a median lies that shows another unit. Tissue has
an ADC near 1000e-6 mm2/s, of which exp(-b ADC) is 0.2 to 0.6, and, normal white matter included,
hundreds of nuclei per mm2."""
EMPTY = "an empty cell"


def in_rows(
    found: pd.Series, file: str, expected: str, remedy: str, column: str | None = None
) -> list[Problem]:
    """Return a problem for each row of what was found there."""
    return [
        Problem(file, str(text), expected, remedy, int(str(row)), column)
        for row, text in found.items()
    ]


def read_columns(
    table: TextTable, schema: pa.DataFrameSchema
) -> tuple[TextTable, list[str], list[Problem]]:
    """Bring column names to the schema's spelling; return those that it does not know, too.

    Capitals, spaces and hyphens make no difference. Problems are two columns of one name, and an
    unknown one that looks like an optional one misspelt.
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
    optional = [name for name, column in schema.columns.items() if not column.required]
    absent = [name for name in optional if name not in renamed.values()]
    for own in unknown:
        for like in difflib.get_close_matches(spelt[own], absent, 1, RESEMBLANCE):
            expected = f"'{like}', or a name that is not like it"
            problems.append(Problem(table.file, "an unknown column", expected, "rename it", 1, own))
    cells = table.cells.rename(columns=renamed)
    cells = cells.loc[:, ~cells.columns.duplicated()]
    return dataclasses.replace(table, cells=cells), unknown, problems


def check_table(table: TextTable, schema: pa.DataFrameSchema) -> tuple[pd.DataFrame, list[Problem]]:
    """Turn text into the schema's types, and tell everything that is wrong.

    Columns that the schema does not know are dropped; a cell that is no number is missing.
    """
    problems = absent_columns(table, [n for n, column in schema.columns.items() if column.required])
    present = [name for name in schema.columns if name in table.cells.columns]
    frame, bad = pd.DataFrame(index=table.cells.index), []
    for name in present:
        frame[name], wrong = _parse(table, name, schema.columns[name])
        bad += wrong
    told = {(problem.row, problem.column) for problem in bad}
    absent = [name for name in schema.columns if name not in present]
    found = breaches(frame, schema.remove_columns(absent), table.file)
    return frame, problems + bad + [p for p in found if (p.row, p.column) not in told]


def absent_columns(table: TextTable, required: list[str]) -> list[Problem]:
    """Name each of the columns that a table lacks."""
    found = f"no such column (there are: {', '.join(table.cells.columns)})"
    remedy = f"add it; write {MISSING} where a value is missing"
    return [
        Problem(table.file, found, f"a column '{name}'", remedy, 1, name)
        for name in required
        if name not in table.cells.columns
    ]


def _parse(table: TextTable, name: str, column: pa.Column) -> tuple[pd.Series, list[Problem]]:
    """Return a column's values, and what is wrong with them."""
    texts, problems, values = table.cells[name], [], {}
    # Where the column shows elsewhere that its commas mark decimals, 1,378 is no thousand.
    plain = table.decimal_comma and texts.map(delimited.surely_decimal_comma).any()
    in_bids = Path(table.file).suffix.lower() not in TABLE_SUFFIXES
    free = not is_number(column) and "levels" not in column.metadata
    for row, text in texts.items():
        value, remedy = text, ""
        if text in ("", MISSING):
            remedy = f"write {MISSING}" if text == "" and in_bids else ""
            value = None
        elif free and delimited.means_missing(text, or_no=column.nullable):
            remedy = f"write {MISSING} if nothing is meant, else other words"
        elif is_number(column):
            written = text.replace(",", ".") if plain and "." not in text else text
            comma = table.decimal_comma and written == text
            value = delimited.parse_number(written, decimal_comma=comma)
            remedy = value if isinstance(value, str) else ""
        if remedy:
            found = text or EMPTY
            expected = column.metadata["expected"]
            problems.append(Problem(table.file, found, expected, remedy, int(str(row)), name))
        values[row] = None if remedy else value
    kind = float if is_number(column) else object
    parsed = pd.Series(values, index=texts.index, dtype=kind)
    if column.metadata.get("unit") == DENSITY_UNIT:
        problems += _spoilt_densities(texts, parsed, table.file)
    return parsed, problems


def _spoilt_densities(texts: pd.Series, values: pd.Series, file: str) -> list[Problem]:
    """Refuse what a spreadsheet made of a density: 1.215 for 1215, 45717 for the 1st of March."""
    pointed = texts.str.replace(",", ".", regex=False)
    in_threes = pointed.str.fullmatch(delimited.THOUSANDS_BY_POINT.pattern)
    parted = in_threes & (values < THOUSAND_BESIDE)
    if not values[~parted].median() >= THOUSAND_BESIDE:
        parted[:] = False
    first, last = EXCEL_DAYS
    days = ~pointed.str.contains(".", regex=False) & values.between(first, last)
    if not values.median() < first / 2:
        days[:] = False
    expected, column = "a density of the size of the others", str(texts.name)
    remedy = "leave its mark out if it separates thousands, else write two or four decimals"
    problems = in_rows(texts[parted], file, expected, remedy, column)
    remedy = "write the number again: spreadsheets store a date as such a count of days"
    return problems + in_rows(texts[days], file, expected, remedy, column)


def breaches(frame: pd.DataFrame, schema: pa.DataFrameSchema, file: str) -> list[Problem]:
    """Tell where a typed table breaks its schema."""
    problems = _wrong_units(frame, file)
    told = {problem.column for problem in problems}
    try:
        schema.validate(frame, lazy=True)
        return problems
    except SchemaErrors as error:
        cases = error.failure_cases
    for case in cases.sort_values("index", kind="stable").to_dict("records"):
        name = str(case["column"])
        if name in told:
            continue
        metadata = schema.columns[name].metadata
        expected, found, remedy = (
            metadata["expected"],
            str(case["failure_case"]),
            "correct the value",
        )
        if case["check"] == "not_nullable":
            found, remedy = MISSING, "give the value; the analysis needs it"
        elif case["check"] == "field_uniqueness":
            found, expected, remedy = f"{found} again", "each only once", "remove or rename one"
        elif "levels" in metadata:
            remedy = "use one of these spellings"
        row = None if case["index"] is None else int(case["index"])
        problems.append(Problem(file, found, expected, remedy, row, name))
    return problems


def _wrong_units(frame: pd.DataFrame, file: str) -> list[Problem]:
    """Recognise values given in another unit by their median."""
    problems = []
    for name in [name for name in _UNITS if name in frame.columns]:
        expected, units = _UNITS[name]
        median = frame[name].median()
        for unit, remedy in [(unit, do) for low, high, unit, do in units if low <= median <= high]:
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
        people, owners = (table["participant_id"].dropna() for table in (participants, samples))
        expected, remedy = (
            f"a participant of {people_file}",
            f"add it to {people_file} or correct it",
        )
        strangers = owners[~owners.isin(people)]
        problems += in_rows(strangers, sample_file, expected, remedy, "participant_id")
        expected, remedy = (
            f"at least one sample in {sample_file}",
            "add the sample or remove the participant",
        )
        without = people[~people.isin(owners)]
        problems += in_rows(without, people_file, expected, remedy, "participant_id")
        labels = people.str.lower().str.replace("^[^-]*-", "", regex=True)
        sums = people[labels.isin(SUMMARIES)] + ", which looks like a summary"
        remedy = "delete the row, or rename the participant"
        problems += in_rows(sums, people_file, "a participant", remedy)
        problems += _check_names(people, people_file, pd.Series("", index=people.index))
    if {"participant_id", "sample_id"} <= set(samples.columns):
        named = samples.dropna(subset=["participant_id", "sample_id"])
        names, owners = named["sample_id"], named["participant_id"]
        # Across patients BIDS allows one name twice.
        again = (names + " again in " + owners)[named[["participant_id", "sample_id"]].duplicated()]
        expected, remedy = "each sample of a participant once", "remove or rename one"
        problems += in_rows(again, sample_file, expected, remedy, "sample_id")
        problems += _check_names(names, sample_file, owners)
    problems += _check_cases(samples, sample_file)
    for check, columns in ((_check_targets, AXES), (_check_counts, (*COUNTS, "he_cellularity"))):
        mine = [p for p in told if p.file == sample_file and p.column in columns]
        unread = [p.row for p in mine if p.found != EMPTY]
        problems += check(samples.drop(index=unread, errors="ignore"), sample_file)
    return problems


def _check_names(names: pd.Series, file: str, owners: pd.Series) -> list[Problem]:
    """Refuse names of one owner that differ only in case or leading zeros, such as 01 and 1."""
    first = names.groupby([owners, names.map(plain_name)]).transform("first")
    found = names + ", which differs from " + first + " only in case or leading zeros"
    remedy = "write one name in one way"
    return in_rows(found[names != first], file, "names that differ", remedy, str(names.name))


def _check_cases(samples: pd.DataFrame, file: str) -> list[Problem]:
    """Check that a sample is left, and that each case is one sample."""
    problems = []
    if "exclude_reason" in samples.columns and samples["exclude_reason"].notna().all():
        found, expected = "a reason in every row and no sample left", "one sample or more"
        remedy = f"write {MISSING} where the sample is kept"
        problems.append(Problem(file, found, expected, remedy, column="exclude_reason"))
    if "case" in samples.columns:
        cases = samples["case"].dropna()
        again = cases[cases.duplicated()] + " again"
        remedy = "name another sample or write n/a"
        problems += in_rows(again, file, "each case once", remedy, "case")
    return problems


def _check_targets(samples: pd.DataFrame, file: str) -> list[Problem]:
    if not set(AXES) <= set(samples.columns):
        return []
    given = samples[list(AXES)].notna().sum(axis=1)
    part = given[~given.isin([0, 3])].astype(str) + " of 3 coordinates"
    return in_rows(part, file, "all or none", "complete it", AXES[0])


def _check_counts(samples: pd.DataFrame, file: str) -> list[Problem]:
    """Compare densities with the count and the area given beside them."""
    given = [name for name in COUNTS if name in samples.columns and samples[name].notna().any()]
    if not given:
        return []
    absent = [name for name in COUNTS if name not in given]
    absent += [name for name in ("he_cellularity",) if name not in samples.columns]
    if absent:
        names = " and ".join(given)
        found = f"values of {names} without it"
        remedy = f"add it (he_cellularity = he_nuclei / he_tissue_area), or leave out {names}"
        return [Problem(file, found, f"a column '{name}'", remedy, 1, name) for name in absent]
    counted = samples["he_nuclei"] / samples["he_tissue_area"]
    density = samples["he_cellularity"]
    off = ((counted / density - 1).abs() > COUNT_TOLERANCE) | (counted.notna() & density.isna())
    if "he_exclude_reason" in samples.columns:
        off &= samples["he_exclude_reason"].isna() | density.notna()
    remedy = "correct the density, the count or the area; to leave a density out, leave the count"
    remedy += " out too or say why under he_exclude_reason"
    problems = []
    for row in samples.index[off]:
        found = MISSING if pd.isna(density[row]) else f"{density[row]:g}"
        expected = f"he_nuclei / he_tissue_area = {counted[row]:.1f}"
        problems.append(Problem(file, found, expected, remedy, int(row), "he_cellularity"))
    return problems
