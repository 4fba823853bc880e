"""How numbers are written in the tables and sentences of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


def format_p(p: float) -> str:
    """Write a p value with three decimals, two from 0.1 on.

    Examples
    --------
    >>> format_p(0.00913), format_p(0.153), format_p(0.00001)
    ('0.009', '0.15', '<0.001')
    """
    if np.isnan(p):
        return "not estimable"
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def format_both(p: float, threshold: float) -> tuple[str, str]:
    """Write a p value and its threshold, with digits enough to tell them apart.

    Examples
    --------
    >>> format_both(0.000301, 0.000347), format_both(0.00032, 0.000321)
    (('0.0003', '0.00035'), ('0.00032', '0.000321'))
    """
    for digits in range(1, 17):
        shown = f"{p:.{digits}g}", f"{threshold:.{digits}g}"
        if shown[0] != shown[1]:
            break
    return shown


def format_estimates(table: pd.DataFrame, digits: int | Sequence[int]) -> list[str]:
    """Write each estimate with its 95 % interval, or why there is none.

    Examples
    --------
    >>> rows = {"estimate": [0.5, np.nan], "ci_low": [0.25, np.nan], "ci_high": [0.75, np.nan]}
    >>> format_estimates(pd.DataFrame(rows | {"note": ["", "not estimable: no sample"]}), 2)
    ['0.50 (0.25 to 0.75)', 'not estimable: no sample']
    """
    places = [digits] * len(table) if isinstance(digits, int) else digits
    columns = (table[name] for name in ("estimate", "ci_low", "ci_high", "note"))
    return [
        note if pd.isna(value) else f"{value:z.{n}f} ({low:z.{n}f} to {high:z.{n}f})"
        for value, low, high, note, n in zip(*columns, places, strict=True)
    ]


def format_columns(table: pd.DataFrame, names: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Write columns of numbers under the page's names; those that the table lacks are left out.

    Parameters
    ----------
    names
        For each column its name on the page and its format.

    Examples
    --------
    >>> table = pd.DataFrame({"df": [10.26], "z": [0.5]})
    >>> format_columns(table, {"df": ("df", "{:.1f}"), "icc": ("ICC", "{:.2f}")})
         df
    0  10.3
    """
    known = {column: look for column, look in names.items() if column in table}
    return pd.DataFrame(
        {name: table[column].map(pattern.format) for column, (name, pattern) in known.items()},
        index=table.index,
    )


def quoted(
    table: pd.DataFrame, columns: Mapping[str, str], by: Sequence[str] = ("subset", "predictor")
) -> dict[str, object]:
    """Return numbers of a table under the names by which sentences quote them.

    Parameters
    ----------
    columns
        Ending of the name, and column; one that the table lacks counts as NaN, p is a text.
    by
        Columns that begin the name.

    Examples
    --------
    >>> table = pd.DataFrame({"subset": ["naive"], "predictor": ["cpm"], "p": [0.25]})
    >>> quoted(table, {"_p": "p", "_b": "estimate"})
    {'naive_cpm_p': '0.25', 'naive_cpm_b': nan}
    """
    found: dict[str, object] = {}
    for row in table.to_dict("records"):
        for ending, column in columns.items():
            value = row.get(column, np.nan)
            name = "_".join(str(row[key]) for key in by) + ending
            found[name] = format_p(value) if column == "p" else value
    return found
