"""Fig. 1: how cellularity is spread, and how it differs between groups."""

from __future__ import annotations

import pandas as pd

from cpmlib.paper.formatting import format_columns, format_estimates, format_p
from cpmlib.paper.subsets import GROUPINGS, with_grade_grouping
from cpmlib.statistics.descriptives import describe
from cpmlib.statistics.group_comparison import mann_whitney
from cpmlib.statistics.results import CI_HIGH, CI_LOW, with_interval
from cpmlib.study.options import AnalysisOptions

MEASUREMENTS = {"cpm": "CPM cellularity", "he": "H&E cellularity"}
"""Key in the ledger and name on the page; `COLUMN` gives the column of the sample table."""

COLUMN = {"cpm": "cpm", "he": "he_cellularity"}

SHOWN = ["enhancement", "grade_group", "idh", "treatment", "cpm", "he_cellularity"]
"""Columns of the samples that Fig. 1 shows."""


def descriptives(samples: pd.DataFrame) -> pd.DataFrame:
    """Describe H&E and CPM cellularity over all samples (Fig. 1 A, B)."""
    rows = [
        describe(samples[COLUMN[key]], name).assign(key=key)
        for key, name in (("he", MEASUREMENTS["he"]), ("cpm", MEASUREMENTS["cpm"]))
    ]
    return pd.concat(rows, ignore_index=True)


def comparisons(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Compare both measurements between the groups of each grouping (Fig. 1 C-J).

    One row for each, as `mann_whitney` returns them, with ``measurement``, ``grouping``,
    ``group_a``, ``group_b``, and the ends of the means' 95 % t intervals.
    """
    samples = with_grade_grouping(samples, options)
    rows = []
    for key in MEASUREMENTS:
        for grouping in GROUPINGS:
            a, b = (
                samples.loc[samples[grouping.column] == level, COLUMN[key]]
                for level in grouping.levels
            )
            row = mann_whitney(a, b, method=options.mann_whitney_method).assign(
                measurement=key,
                grouping=grouping.key,
                group_a=grouping.names[0],
                group_b=grouping.names[1],
            )
            for side, group in (("a", a), ("b", b)):
                mean = with_interval(f"mean_{side}", describe(group).iloc[0])
                row = row.assign(**mean)
            rows.append(row)
    return pd.concat(rows, ignore_index=True)


def table_groups(compared: pd.DataFrame) -> pd.DataFrame:
    """Lay `comparisons` out for the page, all text."""

    def pairs(name: str, pattern: str) -> list[str]:
        both = zip(compared[f"{name}_a"], compared[f"{name}_b"], strict=True)
        return [pattern.format(a, b) for a, b in both]

    shown = pd.DataFrame(
        {
            "Measurement": compared["measurement"].map(MEASUREMENTS),
            "Groups": pairs("group", "{} / {}"),
            "n": pairs("n", "{} / {}"),
            "Means": pairs("mean", "{:.0f} / {:.0f}"),
            "Shift": format_estimates(compared, 0),
        }
    )
    shown = shown.join(format_columns(compared, {"rank_biserial": ("Rank-biserial", "{:.2f}")}))
    notes = zip(compared["p"], compared["note"], strict=True)
    shown["p"] = [
        f"{format_p(p)} ({note})" if note and pd.notna(p) else format_p(p) for p, note in notes
    ]
    return shown


def values(samples: pd.DataFrame, options: AnalysisOptions) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``desc.`` and ``group.``."""
    found: dict[str, float] = {}
    for row in descriptives(samples).to_dict("records"):
        found |= with_interval(f"desc.{row['key']}_mean", row)
        found[f"desc.{row['key']}_sd"] = row.get("sd", float("nan"))
    for row in comparisons(samples, options).to_dict("records"):
        prefix = f"group.{row['grouping']}.{row['measurement']}"
        for end in ("", CI_LOW, CI_HIGH):
            found[f"{prefix}_mean_a{end}"] = row[f"mean_a{end}"]
            found[f"{prefix}_mean_b{end}"] = row[f"mean_b{end}"]
        found[f"{prefix}_p"] = row["p"]
    return found
