"""CPM against ADC: which goes more strongly with H&E cellularity."""

from __future__ import annotations

import pandas as pd

from cpmlib.paper.subsets import SUBSETS, subset
from cpmlib.statistics.meng import compare_strength
from cpmlib.study.options import AnalysisOptions


def comparisons(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Meng's z for the strength of CPM against that of ADC, in each subset.

    Returns
    -------
    pandas.DataFrame
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


def values(table: pd.DataFrame) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``meng.``."""
    found: dict[str, float] = {}
    for row in table.to_dict("records"):
        found[f"meng.{row['subset']}.z"] = row.get("z", float("nan"))
        found[f"meng.{row['subset']}.p"] = row["p"]
    return found
