"""The checks of a dataset's tables: text into the schema's types, and everything that can be wrong.

What one value may be is in the schemas; what concerns several values, columns or tables is here.
All faults that can be told at once are told at once.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from cpmlib.study import delimited
from cpmlib.study.delimited import TABLE_SUFFIXES, TextTable
from cpmlib.study.errors import Problem, in_rows
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
COUNTS = ["he_nuclei", "he_tissue_area"]
SUMMARIES = {
    *("mean", "median", "average", "sum", "total", "sd", "min", "max"),
    *("mittelwert", "durchschnitt", "summe", "gesamt"),
}
"""What stands in the first cell of a row that is no participant's."""
_OTHER_UNITS = {
    f"ADC in {ADC_UNIT}": [
        (1e-5, 1e-2, "mm2/s", "multiply by 1e+06"),
        (0.1, 0.6, "an exponential ADC", f"give the ADC in {ADC_UNIT} instead"),
        (0.6, 10, "1e-3 mm2/s", "multiply by 1000"),
        (10, 400, "no ADC of tissue", f"give the ADC in {ADC_UNIT}"),
    ],
    f"a density in {DENSITY_UNIT}": [
        (1e-5, 0.1, "cells/um2", "multiply by 1e+06"),
        (
            *(0.1, 20, "1000 cells/mm2"),
            "multiply by 1000, unless these are logarithms or multiples of a standard deviation",
        ),
    ],
}
"""What a column should hold, and where a median lies that shows another unit. Tissue has an ADC
near 1000e-6 mm2/s, of which exp(-b ADC) is 0.2 to 0.6, and, normal white matter included, hundreds
of nuclei per mm2."""
EMPTY = "an empty cell"


def read_columns(
    table: TextTable, schema: pa.DataFrameSchema
) -> tuple[TextTable, list[str], list[Problem]]:
    """Bring column names to the schema's spelling; return those that it does not know, too."""
    spelt = {name: delimited.column_name(name) for name in table.cells.columns}
    renamed = {own: name for own, name in spelt.items() if name in schema.columns}
    unknown, problems = [own for own in spelt if own not in renamed], []
    for name in sorted(set(renamed.values())):
        owners = [own for own in renamed if renamed[own] == name]
        if len(owners) > 1:
            found, remedy = f"{' and '.join(owners)}, which are one name", "rename or remove one"
            problems.append(Problem(table.file, found, "each name once", remedy, 1, name))
    optional = [name for name, column in schema.columns.items() if not column.required]
    absent = [name for name in optional if name not in renamed.values()]
    for own in unknown:
        for like in difflib.get_close_matches(spelt[own], absent, 1, RESEMBLANCE):
            expected = f"'{like}', or a name that is not like it"
            problems.append(Problem(table.file, "an unknown column", expected, "rename it", 1, own))
    cells = table.cells.rename(columns=renamed).loc[:, lambda c: ~c.columns.duplicated()]
    return dataclasses.replace(table, cells=cells), unknown, problems


def absent_columns(table: TextTable, required: Iterable[str]) -> list[Problem]:
    """Name each of the columns that a table lacks."""
    found = f"no such column (there are: {', '.join(table.cells.columns)})"
    remedy = f"add it; write {MISSING} where a value is missing"
    return [
        Problem(table.file, found, f"a column '{name}'", remedy, 1, name)
        for name in required
        if name not in table.cells.columns
    ]


def check_table(table: TextTable, schema: pa.DataFrameSchema) -> tuple[pd.DataFrame, list[Problem]]:
    """Turn text into the schema's types, and tell which values are wrong.

    Columns that the schema does not know are dropped; a cell that is no number is missing.
    """
    frame, problems = pd.DataFrame(index=table.cells.index), []
    for name in [name for name in schema.columns if name in table.cells.columns]:
        frame[name], wrong = _parse(table, name, schema.columns[name])
        problems += wrong
    told = {(problem.row, problem.column) for problem in problems}
    found = breaches(frame, schema, table.file)
    return frame, problems + [p for p in found if (p.row, p.column) not in told]


def _parse(table: TextTable, name: str, column: pa.Column) -> tuple[pd.Series, list[Problem]]:
    texts, expected, remedies = table.cells[name], column.metadata["expected"], {}
    values: dict[object, float | str | None] = {}
    # Where the column shows elsewhere that its commas mark decimals, 1,378 is no thousand.
    plain = table.decimal_comma and texts.map(delimited.surely_decimal_comma).any()
    in_bids = Path(table.file).suffix.lower() not in TABLE_SUFFIXES
    numeric = is_number(column)
    free = not numeric and "levels" not in column.metadata
    for row, text in texts.items():
        values[row] = None if text in ("", MISSING) else text
        if text == "" and in_bids:
            remedies[row] = f"write {MISSING}"
        elif values[row] is None:
            continue
        elif numeric:
            written = text.replace(",", ".") if plain and "." not in text else text
            comma = table.decimal_comma and written == text
            value = delimited.parse_number(written, decimal_comma=comma)
            if isinstance(value, str):
                remedies[row], value = value, float("nan")
            values[row] = value
        elif free and delimited.means_missing(text, or_no=column.nullable):
            remedies[row] = f"write {MISSING} if nothing is meant, else other words"
            values[row] = None
    problems = [
        Problem(table.file, str(text) or EMPTY, expected, remedies[row], int(str(row)), name)
        for row, text in texts.items()
        if row in remedies
    ]
    parsed = pd.Series(values, index=texts.index, dtype=float if numeric else object)
    if column.metadata.get("unit") == DENSITY_UNIT:
        problems += _spoilt_densities(texts, parsed, table.file)
    return parsed, problems


def _spoilt_densities(texts: pd.Series, values: pd.Series, file: str) -> list[Problem]:
    """Refuse what a spreadsheet made of a density: 1.215 for 1215, 45717 for the 1st of March."""
    pointed, problems = texts.str.replace(",", ".", regex=False), []
    parted = pointed.str.fullmatch(delimited.THOUSANDS_BY_POINT.pattern)
    parted &= values < THOUSAND_BESIDE
    days = ~pointed.str.contains(".", regex=False) & values.between(*EXCEL_DAYS)
    expected, column = "a density of the size of the others", str(texts.name)
    if values[~parted].median() >= THOUSAND_BESIDE:
        remedy = "leave its mark out if it separates thousands, else write two or four decimals"
        problems += in_rows(texts[parted], file, expected, remedy, column)
    if values.median() < EXCEL_DAYS[0] / 2:
        remedy = "write the number again: spreadsheets store a date as such a count of days"
        problems += in_rows(texts[days], file, expected, remedy, column)
    return problems


def breaches(frame: pd.DataFrame, schema: pa.DataFrameSchema, file: str) -> list[Problem]:
    """Tell where the columns of a typed table break its schema."""
    problems = _wrong_units(frame, file)
    told = {problem.column for problem in problems}
    try:
        absent = [name for name in schema.columns if name not in frame.columns]
        schema.remove_columns(absent).validate(frame, lazy=True)
        return problems
    except SchemaErrors as error:
        cases = error.failure_cases.sort_values("index", kind="stable")
    for case in cases[~cases["column"].isin(told)].to_dict("records"):
        metadata = schema.columns[case["column"]].metadata
        texts = str(case["failure_case"]), metadata["expected"], "correct the value"
        if case["check"] == "not_nullable":
            texts = MISSING, metadata["expected"], "give the value; the analysis needs it"
        elif case["check"] == "field_uniqueness":
            texts = f"{texts[0]} again", "each only once", "remove or rename one"
        elif "levels" in metadata:
            texts = *texts[:2], "use one of these spellings"
        row = None if case["index"] is None else int(case["index"])
        problems.append(Problem(file, *texts, row, case["column"]))
    return problems


def _wrong_units(frame: pd.DataFrame, file: str) -> list[Problem]:
    """Recognise values given in another unit by their median."""
    problems = []
    adc, density = _OTHER_UNITS
    for name, right in {"adc": adc, "cpm": density, "he_cellularity": density}.items():
        median = frame[name].median() if name in frame else float("nan")
        fit = [(unit, do) for low, high, unit, do in _OTHER_UNITS[right] if low <= median <= high]
        for unit, remedy in fit[:1]:
            found = f"a median of {median:g}, which looks like {unit}"
            problems.append(Problem(file, found, right, remedy, column=name))
    return problems


def relations(
    participants: pd.DataFrame,
    samples: pd.DataFrame,
    people_file: str,
    sample_file: str,
    told: Collection[Problem] = (),
) -> list[Problem]:
    """Check what concerns both tables, or two columns, where they are there.

    A cell that is told to be no number is empty here only: nothing is said about its row.
    """
    problems = []
    if "participant_id" in participants and "participant_id" in samples:
        people, owners = (table["participant_id"].dropna() for table in (participants, samples))
        remedy = f"add it to {people_file} or correct it"
        strangers, expected = owners[~owners.isin(people)], f"a participant of {people_file}"
        problems += in_rows(strangers, sample_file, expected, remedy, "participant_id")
        remedy = "add the sample or remove the participant"
        without, expected = people[~people.isin(owners)], f"at least one sample in {sample_file}"
        problems += in_rows(without, people_file, expected, remedy, "participant_id")
        labels = people.str.lower().str.replace("^[^-]*-", "", regex=True)
        sums = people[labels.isin(SUMMARIES)] + ", which looks like a summary"
        remedy = "delete the row, or rename the participant"
        problems += in_rows(sums, people_file, "a participant", remedy)
        problems += _check_names(people, people_file, pd.Series("", index=people.index))
    if {"participant_id", "sample_id"} <= set(samples.columns):
        named = samples[["participant_id", "sample_id"]].dropna()
        names, owners = named["sample_id"], named["participant_id"]
        # Across patients BIDS allows one name twice.
        again = (names + " again in " + owners)[named.duplicated()]
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
    if "exclude_reason" in samples and samples["exclude_reason"].notna().all():
        found, expected = "a reason in every row and no sample left", "one sample or more"
        remedy = f"write {MISSING} where the sample is kept"
        problems.append(Problem(file, found, expected, remedy, column="exclude_reason"))
    if "case" in samples:
        cases = samples["case"].dropna()
        again, remedy = cases[cases.duplicated()] + " again", "name another sample or write n/a"
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
    given = [name for name in COUNTS if name in samples and samples[name].notna().any()]
    if not given:
        return []
    absent = [name for name in COUNTS if name not in given]
    absent += [name for name in ("he_cellularity",) if name not in samples]
    if absent:
        names = " and ".join(given)
        found = f"values of {names} without it"
        remedy = f"add it (he_cellularity = he_nuclei / he_tissue_area), or leave out {names}"
        return [Problem(file, found, f"a column '{name}'", remedy, 1, name) for name in absent]
    counted, density = samples["he_nuclei"] / samples["he_tissue_area"], samples["he_cellularity"]
    off = ((counted / density - 1).abs() > COUNT_TOLERANCE) | (counted.notna() & density.isna())
    if "he_exclude_reason" in samples:
        off &= samples["he_exclude_reason"].isna() | density.notna()
    remedy = "correct the density, the count or the area; to leave a density out, leave the count"
    remedy += " out too or say why under he_exclude_reason"
    wanted = counted[off].map("he_nuclei / he_tissue_area = {:.1f}".format)
    shown = density[off].map(lambda value: MISSING if pd.isna(value) else f"{value:g}")
    return [
        Problem(file, shown[row], wanted[row], remedy, int(row), "he_cellularity")
        for row in samples.index[off]
    ]
