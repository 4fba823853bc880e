"""Figs. 3 and 4: the representative cases."""

from __future__ import annotations

import re

import pandas as pd

from cpmlib.study.schemas import SEX

QUANTITIES = {"age": "age", "cpm": "cpm", "adc": "adc", "he": "he_cellularity"}
"""Key in the ledger and column of the sample table."""


_DESCRIBED = {
    "Diagnosis": "diagnosis_cns5",
    "IDH": "idh",
    "1p/19q": "codeletion_1p19q",
    "Location": "location",
    "Appearance": "enhancement",
}
"""Name on the page and column of what is known of a case."""


COLUMNS = ["case", "sample_id", "cpm", "adc", "he_cellularity"]
"""What files tell of a case."""


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


def case_title(name: str) -> str:
    """Write a case's name as a reader knows it.

    Examples
    --------
    >>> case_title("fig3a"), case_title("x1")
    ('Fig. 3a', 'Case x1')
    """
    found = re.fullmatch(r"fig(\d+[a-z]?)", name)
    return f"Fig. {found[1]}" if found else f"Case {name}"


def table_cases(samples: pd.DataFrame) -> pd.DataFrame:
    """Lay the cases out for the page; a value with its place among the samples, all text."""

    def measured(row: pd.Series, column: str) -> str:
        value = row[column]
        if pd.isna(value):
            return "n/a"
        return f"{value:.0f} ({percentile_of(samples, column, value):.0f} %)"

    shown = cases(samples)
    text = shown.astype(object).where(shown.notna(), "n/a")
    columns = {
        "Case": text["case"].map(case_title),
        "Sex, age": [
            f"{SEX.get(sex, 'n/a')}, {'n/a' if pd.isna(age) else f'{age:.0f}'}"
            for sex, age in zip(shown["sex"], shown["age"], strict=True)
        ],
    }
    columns |= {name: text[column].astype(str) for name, column in _DESCRIBED.items()}
    for name, column in (("CPM", "cpm"), ("ADC", "adc"), ("H&E", "he_cellularity")):
        columns[name] = [measured(row, column) for _, row in shown.iterrows()]
    return pd.DataFrame(columns)


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
