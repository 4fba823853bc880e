"""CPM against ADC: which goes more strongly with H&E cellularity."""

from __future__ import annotations

import pandas as pd

from cpmlib.paper.formatting import format_columns, format_p
from cpmlib.paper.subsets import SUBSETS, subset
from cpmlib.statistics.meng import compare_strength
from cpmlib.study.options import AnalysisOptions


def comparisons(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Meng's z for the strength of CPM against that of ADC, in each subset.

    One row a subset, as `compare_strength` returns them; r1 belongs to CPM, r2 to ADC.
    """
    rows = []
    for key in SUBSETS:
        part = subset(samples, key)
        row = compare_strength(
            part["he_cellularity"], part["cpm"], part["adc"], correlation=options.meng_correlation
        )
        rows.append(row.assign(subset=key))
    return pd.concat(rows, ignore_index=True)


def table_meng(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `comparisons` out for the page, all text."""
    names = {"r1": "r CPM", "r2": "r ADC", "rx": "r between", "z": "z"}
    shown = pd.DataFrame({"Subset": table["subset"].map(SUBSETS), "n": table["n"]})
    shown = shown.join(format_columns(table, {key: (names[key], "{:.2f}") for key in names}))
    shown["p"] = table["p"].map(format_p)
    if "flipped" in table:
        signs = {"first": "CPM", "second": "ADC", "first second": "CPM, ADC", "": "none"}
        shown["Sign flipped"] = table["flipped"].replace(signs)
    return shown


def table_steps(**steps: float) -> pd.DataFrame:
    """Lay the steps of one test out for the page, by the symbols of the equation."""
    names = {
        "n": "samples",
        "r1": "r₁, CPM and H&E without its sign",
        "r2": "r₂, ADC and H&E without its sign",
        "rx": "rₓ, CPM and ADC with the sign that follows",
        "p": "p, two-sided",
    }
    patterns = {"n": "{:.0f}"}
    shown = [
        format_p(value) if name == "p" else patterns.get(name, "{:.4f}").format(value)
        for name, value in steps.items()
    ]
    return pd.DataFrame({"Step": [names.get(name, name) for name in steps], "Value": shown})


def values(table: pd.DataFrame) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``meng.``."""
    found: dict[str, float] = {}
    for row in table.to_dict("records"):
        found[f"meng.{row['subset']}.z"] = row.get("z", float("nan"))
        found[f"meng.{row['subset']}.p"] = row["p"]
    return found
