"""Figs. 3 and 4: the representative cases."""

from __future__ import annotations

import pandas as pd

QUANTITIES = {"age": "age", "cpm": "cpm", "adc": "adc", "he": "he_cellularity"}
"""Key in the ledger and column of the sample table."""


def cases(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the samples that the dataset names as representative cases, by name."""
    if "case" not in samples.columns:
        return samples.iloc[:0].assign(case=pd.Series(dtype=object))
    return samples[samples["case"].notna()].sort_values("case").reset_index(drop=True)


def percentile_of(samples: pd.DataFrame, column: str, value: float) -> float:
    """Share of the samples, in percent, that lie at or below a value.

    Examples
    --------
    >>> percentile_of(pd.DataFrame({"cpm": [1.0, 2.0, 3.0, 4.0]}), "cpm", 3.0)
    75.0
    """
    known = samples[column].dropna()
    return float(100 * (known <= value).mean())


def what_is_shown(named: int, pictured: int) -> str:
    """Say how many cases a dataset names, and of how many it has images.

    Examples
    --------
    >>> what_is_shown(4, 0)
    'This dataset names 4 cases and has images of none.'
    >>> what_is_shown(0, 0)
    'This dataset names no case: figures and tables of this page are empty.'
    """
    if not named:
        return "This dataset names no case: figures and tables of this page are empty."
    return f"This dataset names {named} cases and has images of {pictured or 'none'}."


def values(samples: pd.DataFrame) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``case.``."""
    return {
        f"case.{row['case']}.{key}": float(row[column])
        for row in cases(samples).to_dict("records")
        for key, column in QUANTITIES.items()
    }
