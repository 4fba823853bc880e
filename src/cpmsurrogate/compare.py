"""Several cohorts with the same printed values: what else they have in common, and what not.

Vocabulary
----------
- *open quantity*: one that is not printed, and differs between the cohorts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cpmlib.paper.analysis import regenerate
from cpmlib.paper.correlations import OUTCOME
from cpmlib.paper.formatting import format_p
from cpmlib.paper.map_quality.patients import MEASURED, clustering, within_and_between
from cpmlib.paper.subsets import GROUPINGS, SUBSETS, with_grade_grouping
from cpmlib.statistics.descriptives import describe
from cpmlib.statistics.results import ALPHA, CI_HIGH, CI_LOW, with_interval
from cpmlib.study.dataset import Dataset
from cpmlib.study.options import AnalysisOptions
from cpmlib.study.published import agreeing, agrees_if_truncated, names_of, parse_printed
from cpmlib.study.schemas import CALIBRATED, OTHER_STUDY

P, COUNT = "p", "count"
MET, NOT_MET = "printed", "printed, not met"
SAME, NEARLY = "the same in all", "nearly the same in all"
OPEN, BOTH_SIGNS, BOTH_SIDES = "open", "open: both signs", "open: on both sides of 0.05"
"""What print leaves of a quantity, by the cohorts."""

NEAR = 0.1
"""What is nearly the same differs by less than this share of the width of its 95 % interval."""

PARTS = {
    "mean": "Mean H&E (cells/mm²)",
    "error": "RMSE of CPM (cells/mm²)",
    "association": "Correlation with H&E; ICC",
}
"""Kinds of quantities that the figure shows, and its axes."""


@dataclass(frozen=True)
class Quantity:
    """A statistic: its key among those of `quantities`, name, kind and digits on the page."""

    id: str
    name: str
    kind: str
    digits: int = 0


def _listed() -> Iterator[Quantity]:
    sides = [(g, side, name) for g in GROUPINGS for side, name in zip("ab", g.names, strict=True)]
    yield Quantity("desc.he_mean", "Mean H&E, all samples", "mean")
    for grouping, side, name in sides:
        yield Quantity(f"group.{grouping.key}.he_mean_{side}", f"Mean H&E, {name}", "mean")
    for grouping in GROUPINGS:
        pair = " less ".join(grouping.names)
        yield Quantity(f"group.{grouping.key}.he_difference", f"Mean H&E, {pair}", "difference")
        yield Quantity(f"group.{grouping.key}.he_p", f"Mann-Whitney p, H&E, {pair}", P)
    yield Quantity("desc.he_sd", "SD of H&E, all samples", "sd")
    for grouping, side, name in sides:
        yield Quantity(f"group.{grouping.key}.he_sd_{side}", f"SD of H&E, {name}", "sd")
    for key, name in SUBSETS.items():
        yield Quantity(f"corr.{key}.cpm.rmse", f"RMSE, {name}", "error")
    yield Quantity("hgg.non_enhancing.rmse", "RMSE, HGG and nCET", "error")
    for key, name in SUBSETS.items():
        yield Quantity(f"corr.{key}.cpm.rho", f"rho of CPM, {name}", "association", 2)
    for key, name in SUBSETS.items():
        yield Quantity(f"within.{key}.cpm", f"r within patients, {name}", "association", 2)
    for key, name in SUBSETS.items():
        yield Quantity(f"between.{key}.cpm", f"r of patients' means, {name}", "association", 2)
    for column, name in MEASURED.items():
        yield Quantity(f"icc.{column}", f"ICC of {name}, all samples", "association", 2)
    for key, name in SUBSETS.items():
        yield Quantity(f"corr.{key}.cpm.b", f"Slope on CPM, {name}", "slope", 2)
    for key, name in SUBSETS.items():
        yield Quantity(f"lmm.{key}.cpm.b", f"Mixed model, slope on CPM, {name}", "slope", 2)
    for grouping, side, name in sides:
        if grouping.key != "enhancement":  # whose numbers are printed
            yield Quantity(f"group.{grouping.key}.n_{side}", f"Number of samples, {name}", COUNT)


QUANTITIES = tuple(_listed())
SIGNED = ("difference", "association", "slope")
"""Kinds whose sign says in which direction something goes."""


def quantities(dataset: Dataset, options: AnalysisOptions) -> dict[str, float]:
    """Compute what the paper prints of a dataset, by the ids of print, and more of `QUANTITIES`.

    Ends of 95 % intervals have the id with `CI_LOW` or `CI_HIGH` behind it.
    """
    found = regenerate(dataset, options)
    samples = with_grade_grouping(dataset.samples, options)
    for grouping in GROUPINGS:
        prefix = f"group.{grouping.key}"
        for side, level in zip("ab", grouping.levels, strict=True):
            part = samples.loc[samples[grouping.column] == level, OUTCOME]
            row = describe(part).iloc[0]
            found |= {f"{prefix}.he_sd_{side}": row["sd"], f"{prefix}.n_{side}": len(part)}
        means = (found[f"{prefix}.he_mean_{side}"] for side in "ab")
        found[f"{prefix}.he_difference"] = next(means) - next(means)
    for icc in clustering(dataset.samples).to_dict("records"):
        if icc["subset"] == "whole":
            found |= with_interval(f"icc.{icc['measurement']}", icc)
    for r in within_and_between(dataset.samples).to_dict("records"):
        found |= with_interval(f"{r['level']}.{r['subset']}.{r['predictor']}", r)
    return found


def analyse_cohorts(cohorts: Iterable[Dataset]) -> dict[str, dict[str, float]]:
    """Return `quantities` of kept cohorts by name, whatever options a book is built with.

    They have the options for which they were made.
    """
    return {data.name: quantities(data, AnalysisOptions()) for data in cohorts}


def compare(cohorts: Mapping[str, Mapping[str, float]], published: pd.DataFrame) -> pd.DataFrame:
    """Say which printed values each cohort gives.

    Parameters
    ----------
    cohorts
        Values by id, as `cpmlib.paper.analysis.regenerate` returns them, by the cohort's name.
    published
        As `cpmlib.study.published.read_published` returns it.

    Returns
    -------
    pandas.DataFrame
        One row a cohort: ``cohort``, ``met``, ``if_truncated`` (counts: printed values met, and
        percentages met if truncated), ``missed`` (ids).
    """
    rows = []
    for name, values in cohorts.items():
        met = agreeing(published, values)
        truncated = [
            str(id)
            for id, row in published.drop(index=met).iterrows()
            if agrees_if_truncated(row["printed"], row["statistic"], values.get(str(id), np.nan))
        ]
        missed = [str(id) for id in published.index if id not in {*met, *truncated}]
        rows.append((name, len(met), len(truncated), " ".join(missed)))
    return pd.DataFrame(rows, columns=["cohort", "met", "if_truncated", "missed"])


def spread(
    cohorts: Mapping[str, Mapping[str, float]], own: Mapping[str, float], published: pd.DataFrame
) -> pd.DataFrame:
    """Set the quantities of several cohorts beside what is printed and what a dataset has.

    Parameters
    ----------
    cohorts
        `quantities` of each cohort, by its name.
    own
        `quantities` of the dataset.
    published
        As `cpmlib.study.published.read_published` returns it.

    Returns
    -------
    pandas.DataFrame
        One row for each of `QUANTITIES`: its fields, ``printed`` (text, or ""), ``dataset``,
        ``left`` (what print leaves of it), and for the value and the ends of its 95 % interval the
        ``least`` and ``greatest`` of the cohorts, with `CI_LOW` or `CI_HIGH` behind the name.
    """
    values = pd.DataFrame(cohorts)
    rows = []
    for quantity in QUANTITIES:
        row: dict[str, object] = vars(quantity) | {"dataset": own.get(quantity.id, np.nan)}
        printed = str(published["printed"].get(quantity.id, ""))
        ends = {end: values.reindex([quantity.id + end]).iloc[0] for end in ("", CI_LOW, CI_HIGH)}
        for end, reached in ends.items():
            row |= {f"least{end}": reached.min(), f"greatest{end}": reached.max()}
        width = (ends[CI_HIGH] - ends[CI_LOW]).median()
        row |= {"printed": printed, "left": _left_open(quantity, ends[""].dropna(), printed, width)}
        rows.append(row)
    return pd.DataFrame(rows)


def _left_open(quantity: Quantity, values: pd.Series, printed: str, width: float) -> str:
    """Say what print leaves of a quantity, by its values in the cohorts.

    ``width`` is that of its 95 % interval, NaN if it has none.
    """
    if printed:
        met = values.map(parse_printed(printed).contains)
        return MET if met.all() else NOT_MET
    shown = {format_quantity(value, quantity.kind, quantity.digits) for value in values}
    if len(shown) < 2:
        return SAME
    if quantity.kind == P and (values < ALPHA).any() and (values >= ALPHA).any():
        return BOTH_SIDES
    if quantity.kind in SIGNED and values.min() < 0 < values.max():
        return BOTH_SIGNS
    return NEARLY if values.max() - values.min() < NEAR * width else OPEN


def format_quantity(value: float, kind: str, digits: int) -> str:
    """Write a value as the page shows it.

    Examples
    --------
    >>> format_quantity(0.0312, "p", 0), format_quantity(-0.004, "slope", 2)
    ('0.031', '0.00')
    """
    if pd.isna(value):
        return "not estimable"
    return format_p(value) if kind == P else f"{value:z.{digits}f}"


def drawn(table: pd.DataFrame, cohorts: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return the rows of `spread` that the figure shows, with a column for each cohort."""
    shown = table[table["kind"].isin(PARTS)][["id", "name", "printed", "dataset"]]
    return shown.join(pd.DataFrame(cohorts), on="id")


def table_spread(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `spread` out for the page, all text."""

    def reach(end: str) -> list[str]:
        return [_reach(row[f"least{end}"], row[f"greatest{end}"], row) for row in rows]

    rows = table.to_dict("records")
    return pd.DataFrame(
        {
            "Quantity": table["name"],
            "Printed": table["printed"],
            "In the cohorts": reach(""),
            "Lower end of its 95 % interval": reach(CI_LOW),
            "Upper end": reach(CI_HIGH),
            "This dataset": [
                format_quantity(row["dataset"], row["kind"], row["digits"]) for row in rows
            ],
            "Print leaves it": table["left"],
        }
    )


def _reach(least: float, greatest: float, row: Mapping[Any, Any]) -> str:
    if pd.isna(least):
        return ""
    ends = (format_quantity(end, row["kind"], row["digits"]) for end in (least, greatest))
    return " to ".join(dict.fromkeys(ends))


def say_open(table: pd.DataFrame) -> str:
    """Say how many of the quantities that are not printed differ, and which hardly do."""
    unprinted = table[table["printed"] == ""]
    names = {left: "; ".join(part["name"]) for left, part in unprinted.groupby("left")}
    n_open = (~unprinted["left"].isin((SAME, NEARLY))).sum()
    said = (
        f"Of the {len(unprinted)} quantities in the table that are not printed, {n_open} are open."
    )
    if NEARLY in names:
        said += (
            f" These range over less than a tenth of the width of their own 95 % interval: "
            f"{names[NEARLY]}."
        )
    return said + (f" The same in all cohorts: {names[SAME]}." if SAME in names else "")


def say_groups(table: pd.DataFrame) -> str:
    """Say for which groups the cohorts agree who has more cells, and on the test.

    Examples
    --------
    >>> rows = {"id": ["group.idh.he_difference", "group.idh.he_p"], "least": [-5.0, 0.01]}
    >>> more = {"greatest": [-1.0, 0.2], "left": ["open", "open: on both sides of 0.05"]}
    >>> print(say_groups(pd.DataFrame(rows | more)))
    Mean H&E cellularity is higher in IDH mutant than in IDH wild-type samples in every cohort.
    Whether p is below 0.05 is open for IDH wild-type and IDH mutant.
    """
    rows = table.set_index("id").to_dict("index")
    either, both_sides, said = [], [], []
    for grouping in GROUPINGS:
        row = rows.get(f"group.{grouping.key}.he_difference")
        if row is None:
            continue
        a, b = (
            name[0].lower() + name[1:] if name[1:2].islower() else name for name in grouping.names
        )
        pair = f"{a} and {b}"
        if row["left"] == BOTH_SIGNS:
            either.append(pair)
        else:
            more, less = (a, b) if row["least"] > 0 else (b, a)
            said.append(
                f"Mean H&E cellularity is higher in {more} than in {less} samples in every cohort."
            )
        if rows[f"group.{grouping.key}.he_p"]["left"] == BOTH_SIDES:
            both_sides.append(pair)
    if either:
        said.insert(0, f"Which has more cells on H&E is open for {'; '.join(either)}.")
    if both_sides:
        said.append(f"Whether p is below 0.05 is open for {'; '.join(both_sides)}.")
    return " ".join(said)


def say_missed(table: pd.DataFrame) -> str:
    """Say which printed quantities no cohort has, and between what they lie instead."""
    missed = table[table["left"] == NOT_MET]
    parts = [
        f"{row['name']}: {row['printed']} is printed, and the cohorts have "
        f"{_reach(row['least'], row['greatest'], row)}"
        for row in missed.to_dict("records")
    ]
    return ". ".join(parts) + "." if parts else "The cohorts have all of the printed ones."


def say_met(table: pd.DataFrame, published: pd.DataFrame) -> str:
    """Say how many printed values each cohort gives, and which some of them lack.

    ``table`` as `compare` returns it.
    """
    least, truncated = int(table["met"].min()), int(table["if_truncated"].min())
    missed = sorted(set().union(*table["missed"].str.split()))
    said = f"Each has at least {least} of the {len(published)} printed values"
    said += f", and {truncated} percentages if truncated" if truncated else ""
    return said + (f". Missed by one or more: {names_of(published, missed)}." if missed else ".")


def own_meaning(relation: str) -> str:
    """Say what this book's dataset is among the cohorts, as Markdown.

    Examples
    --------
    >>> "another study" in own_meaning("another study")
    True
    """
    where = "Diamonds are the dataset of this book"
    if relation == CALIBRATED:
        return f"{where}, which is calibrated to the same values: one more possible cohort."
    if relation == OTHER_STUDY:
        return f"{where}, which is another study: where they lie says nothing about print."
    return f"{where}, which is the study itself: they are what print left open."
