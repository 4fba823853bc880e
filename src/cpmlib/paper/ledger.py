"""The ledger: every printed value beside the regenerated one, with a computed verdict.

For a study that is not the paper's it is a comparison of two studies, without verdicts.

Vocabulary
----------
- *reproduced*: the regenerated value lies in the rounding interval of the printed text.
- *reproduced if truncated*: the regenerated value is a percentage that gives the printed text when
  it is cut off instead of rounded.
- *cannot hold together*: the regenerated value does not give the printed text, and a bound from the
  other printed values excludes the printed one, on premises that the bound states
  (`cpmlib.paper.feasibility`).
- *not reproduced*: the regenerated value does not give the printed text, and no bound says that
  none could.
- *not compared*: the printed value is another study's.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cpmlib.statistics.results import CI_HIGH, CI_LOW
from cpmlib.study.published import KINDS, agrees_if_truncated, kind_of, parse_printed
from cpmlib.study.schemas import CALIBRATED, OTHER_STUDY, SAME_STUDY

if TYPE_CHECKING:
    from cpmlib.paper.feasibility import Bound

REPRODUCED = "reproduced"
IF_TRUNCATED = "reproduced if truncated"
NOT_REPRODUCED = "not reproduced"
CANNOT_HOLD = "cannot hold together with the others"
NOT_COMPARED = "not compared"
VERDICTS = (REPRODUCED, IF_TRUNCATED, NOT_REPRODUCED, CANNOT_HOLD)
"""What a value of the paper's own study, or of data calibrated to it, can be."""

PARTS = {
    "Cohort": ("01_cohort", ("t1",)),
    "Groups": ("02_groups", ("desc", "group")),
    "Correlations": ("03_correlations", ("corr",)),
    "CPM against ADC": ("04_cpm_against_adc", ("meng",)),
    "Non-independence": ("05_non_independence", ("lmm", "iter")),
    "HGG, non-enhancing": ("06_hgg_non_enhancing", ("hgg",)),
    "Cases": ("07_cases", ("case",)),
}
"""Parts of the ledger: the notebook that computes their values, and how the ids of these begin."""

NOTEBOOK = {prefix: notebook for notebook, prefixes in PARTS.values() for prefix in prefixes}
"""Notebook by the beginning of an id."""


class Origin(NamedTuple):
    """Where a value comes from: the item that shows it, and the function that computes it."""

    item: str
    function: str


_DESCRIBE = "cpmlib.statistics.descriptives.describe"
_RMSE = "cpmlib.statistics.correlation.root_mean_square_error"

ORIGINS = {
    "t1.n_*": Origin("table-1", "cpmlib.paper.cohort.values"),
    "t1.age_*": Origin("table-1", _DESCRIBE),
    "t1.*": Origin("table-1", "cpmlib.statistics.descriptives.count_with_share"),
    "desc.*": Origin("table-1", _DESCRIBE),
    "group.*_mean_?": Origin("table-groups", _DESCRIBE),
    "group.*_p": Origin("table-groups", "cpmlib.statistics.group_comparison.mann_whitney"),
    "corr.*.rho*": Origin("table-2", "cpmlib.statistics.correlation.correlate"),
    "corr.*.rmse": Origin("table-2", _RMSE),
    "corr.*": Origin("table-2", "cpmlib.statistics.correlation.linear_fit"),
    "meng.*": Origin("table-meng", "cpmlib.statistics.meng.compare_strength"),
    "lmm.*": Origin("table-s1", "cpmlib.statistics.mixed_model.mixed_model_slope"),
    "iter.*": Origin("table-iterated", "cpmlib.statistics.one_per_patient.exact_mean"),
    "hgg.share_*": Origin("table-hgg", "cpmlib.paper.hgg.statistics"),
    "hgg.*.rmse": Origin("table-hgg", _RMSE),
    "case.*": Origin("table-cases", "cpmlib.paper.cases.cases"),
}
"""By the pattern of an id; the first that fits holds."""

PAGES: dict[str, str] = {}
"""Notebook that shows each of their items: the one whose own values come first."""
for _pattern, _origin in ORIGINS.items():
    PAGES.setdefault(_origin.item, NOTEBOOK[_pattern.split(".")[0]])


def origin_of(id: str) -> Origin:
    """Return where a value comes from.

    Examples
    --------
    >>> origin_of("corr.naive.cpm.rho").function
    'cpmlib.statistics.correlation.correlate'
    """
    return next(origin for pattern, origin in ORIGINS.items() if fnmatchcase(id, pattern))


def make_ledger(
    published: pd.DataFrame,
    regenerated: Mapping[str, float],
    bounds: Mapping[str, Bound],
    relation: str = SAME_STUDY,
) -> pd.DataFrame:
    """Hold regenerated values against the printed ones.

    Parameters
    ----------
    published
        As `cpmlib.study.published.read_published` returns it.
    regenerated
        Value of each id; a missing or NaN value is one that the dataset does not have. The ends of
        its 95 % interval, if any, under the id with `CI_LOW` or `CI_HIGH` behind.
    bounds
        As `cpmlib.paper.feasibility.bounds` returns them.
    relation
        What the dataset is to the paper, one of `cpmlib.study.schemas.RELATIONS`.

    Returns
    -------
    pandas.DataFrame
        In the order of the published table, by id. ``low`` and ``high`` end the rounding interval,
        ``printed_ci_low`` and ``printed_ci_high`` that of `cpmlib.paper.printed_intervals`.

    Examples
    --------
    >>> published = pd.DataFrame(
    ...     {"where": ["Table 2"], "statistic": ["rho"], "subset": ["whole"], "printed": ["0.17"],
    ...      "low": [0.165], "high": [0.175], "note": [""]},
    ...     index=["corr.whole.cpm.rho"],
    ... )
    >>> make_ledger(published, {"corr.whole.cpm.rho": 0.171}, {})["verdict"].item()
    'reproduced'
    """
    table = published[["where", "statistic", "subset"]].copy()
    ids = [str(id) for id in table.index]
    printed, statistic = published["printed"], published["statistic"]
    table["kind"] = list(map(kind_of, ids, statistic, printed))
    table["printed"] = printed
    for column, end in (("regenerated", ""), ("ci_low", CI_LOW), ("ci_high", CI_HIGH)):
        table[column] = [float(regenerated.get(id + end, np.nan)) for id in ids]
    table["low"], table["high"] = published["low"], published["high"]
    from cpmlib.paper.printed_intervals import printed_intervals

    intervals = printed_intervals(published)
    for i, column in enumerate(("printed_ci_low", "printed_ci_high")):
        table[column] = [intervals[id][i] if id in intervals else np.nan for id in ids]
    if relation == OTHER_STUDY:
        table["verdict"] = NOT_COMPARED
    else:
        proofs = [bounds.get(id) for id in ids]
        table["verdict"] = list(map(_verdict, printed, statistic, table["regenerated"], proofs))
    table["notebook"] = [NOTEBOOK[id.split(".")[0]] for id in ids]
    table["note"] = [
        "not estimable in this dataset" if pd.isna(value) else note
        for value, note in zip(table["regenerated"], published["note"], strict=True)
    ]
    return table


def _verdict(printed: str, statistic: str, value: float, bound: Bound | None) -> str:
    if parse_printed(printed).contains(value):
        return REPRODUCED
    if agrees_if_truncated(printed, statistic, value):
        return IF_TRUNCATED
    if bound is not None and bound.contradicted:
        return CANNOT_HOLD
    return NOT_REPRODUCED


def totals(ledger: pd.DataFrame) -> dict[str, int]:
    """Count the verdicts.

    Examples
    --------
    >>> totals(pd.DataFrame({"verdict": ["reproduced", "not reproduced"]}))["reproduced"]
    1
    """
    verdicts = ledger["verdict"].to_list()
    return {name: verdicts.count(name) for name in VERDICTS}


def parts(ledger: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each of the `PARTS` that the ledger has."""
    found = {name: ledger[ledger["notebook"] == notebook] for name, (notebook, _) in PARTS.items()}
    return {name: rows for name, rows in found.items() if len(rows)}


def table_ledger(rows: pd.DataFrame, relation: str) -> pd.DataFrame:
    """Lay a part of the ledger out for the page: verdicts, or two studies side by side."""
    own = ["not estimable" if pd.isna(value) else f"{value:.6g}" for value in rows["regenerated"]]
    shown = rows[["statistic", "subset", "where", "printed"]].rename(columns=str.capitalize)
    if relation == OTHER_STUDY:
        shown["Its 95 % interval"] = _intervals(rows["printed_ci_low"], rows["printed_ci_high"])
        shown["This dataset"] = own
        shown["95 % interval"] = _intervals(rows["ci_low"], rows["ci_high"])
    else:
        shown["Regenerated"] = own
        shown["Rounding interval"] = _intervals(rows["low"], rows["high"])
        shown["Verdict"] = rows["verdict"]
    return shown.assign(Note=rows["note"])


def _intervals(lows: pd.Series, highs: pd.Series) -> list[str]:
    shown = []
    for low, high in zip(lows, highs, strict=True):
        if pd.isna(low) or pd.isna(high):
            shown.append("")
        elif np.isneginf(low):
            shown.append(f"below {high:g}")
        elif np.isposinf(high):
            shown.append(f"above {low:g}")
        else:
            shown.append(f"{low:.6g} to {high:.6g}")
    return shown


def table_kinds(ledger: pd.DataFrame, relation: str) -> pd.DataFrame:
    """Count the values by kind and verdict, or those that another study has."""
    kinds = by_kind(ledger)
    if relation == OTHER_STUDY:
        measured = ledger["regenerated"].notna().groupby(ledger["kind"]).sum()
        counted = {"in this dataset": kinds["kind"].map(measured)}
        kinds = kinds[["kind", "printed"]].assign(**counted)
    return kinds


def by_kind(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count the verdicts for each kind of printed value.

    Returns
    -------
    pandas.DataFrame
        One row for each of `cpmlib.study.published.KINDS`: ``kind``, ``printed`` (how many there
        are), and a column for each of `VERDICTS`.

    Examples
    --------
    >>> ledger = pd.DataFrame({"kind": ["statistics"], "verdict": ["reproduced"]})
    >>> by_kind(ledger)[["kind", "printed", "reproduced"]].tail(1)
             kind  printed  reproduced
    3  statistics        1           1
    """
    rows = []
    for kind in KINDS:
        part = ledger[ledger["kind"] == kind]
        rows.append({"kind": kind, "printed": len(part)} | totals(part))
    return pd.DataFrame(rows)


def summary(ledger: pd.DataFrame, relation: str = SAME_STUDY) -> str:
    """Say the totals in one line, what they are made of, and whether data were made to give them.

    Examples
    --------
    >>> ledger = pd.DataFrame({"kind": ["statistics"] * 2, "verdict": ["reproduced"] * 2})
    >>> print(summary(ledger, "calibrated"))  # doctest: +NORMALIZE_WHITESPACE
    2 of 2 printed values reproduced by data that were calibrated to them (0 counts and percentages,
    0 values of cases, 0 limits such as p > 0.05, 2 statistics); 0 reproduced if truncated;
    0 not reproduced; 0 cannot hold together with the others
    """
    if relation == OTHER_STUDY:
        known = int(ledger["regenerated"].notna().sum())
        return (
            f"another study than the paper's: {known} of {len(ledger)} printed values have a "
            f"counterpart in this dataset and stand beside it; none is counted as reproduced"
        )
    count = totals(ledger)
    made = " by data that were calibrated to them" if relation == CALIBRATED else ""
    kinds = by_kind(ledger)
    parts = ", ".join(
        f"{n} {kind}" for n, kind in zip(kinds[REPRODUCED], kinds["kind"], strict=True)
    )
    others = "; ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS[1:])
    return (
        f"{count[REPRODUCED]} of {len(ledger)} printed values reproduced{made} ({parts}); {others}"
    )
