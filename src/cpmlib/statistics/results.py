"""The one-row table that every statistic returns.

``n`` counts the samples that entered it; ``excluded`` names the ones that were left out, with the
reason.

Vocabulary
----------
- *estimate*: the statistic itself; ``ci_low`` and ``ci_high`` bound its 95 % interval.
- *not estimable*: the statistic does not exist for these data; ``note`` says why.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
"""Coverage of every interval in the project."""

ALPHA = 0.05
"""A p below it is significant, as in the paper."""

MINIMUM_GROUP = 3
"""Fewest samples of a group for which a statistic is given."""

PERFECT = 1 - 1e-12
"""A correlation from here on differs from 1 by rounding errors only."""

CI_LOW, CI_HIGH = ".ci_low", ".ci_high"
"""Endings of the ids under which the ends of a value's interval are handed to the ledger."""

P = ParamSpec("P")
Row = dict[str, Any]

COLUMNS = ("statistic", "estimate", "ci_low", "ci_high", "p", "n", "excluded", "note")


def as_table(find: Callable[P, Row | list[Row]]) -> Callable[P, pd.DataFrame]:
    """Let a statistic that finds a row, or several, return them as a table.

    Examples
    --------
    >>> as_table(lambda n: {"n": n})(5)["n"].item()
    5
    """

    @functools.wraps(find)
    def table(*given: P.args, **how: P.kwargs) -> pd.DataFrame:
        found = find(*given, **how)
        return pd.DataFrame(found if isinstance(found, list) else [found])

    find.__annotations__["return"] = "pd.DataFrame"  # what readers see in the signature
    return table


def rows_of(statistic: Callable[..., Any]) -> Callable[..., Any]:
    """Undo `as_table`: to make a table takes longer than most statistics.

    Examples
    --------
    >>> rows_of(not_estimable)("Spearman rho", "fewer than 3 samples", 2)["n"]
    2
    """
    return inspect.unwrap(statistic)


@as_table
def one_row(
    statistic: str,
    estimate: float,
    *,
    ci: tuple[float, float] = (np.nan, np.nan),
    p: float = np.nan,
    n: int,
    excluded: Sequence[str] = (),
    note: str = "",
    **extra: object,
) -> Row:
    """Return a statistic as a one-row table.

    Parameters
    ----------
    statistic
        Its name, such as ``"Spearman rho"``.
    estimate, ci, p
        Value, 95 % interval, two-sided p; NaN where there is none.
    n, excluded
        Number of samples used, identifiers of those left out.
    note
        What the reader should know; for a missing estimate, the reason.
    **extra
        Further columns, such as ``df``, which follow those of `COLUMNS`.

    Examples
    --------
    >>> one_row("mean", 2.0, ci=(1.0, 3.0), n=5)[["statistic", "estimate", "n"]]
      statistic  estimate  n
    0      mean       2.0  5
    """
    row = {
        "statistic": statistic,
        "estimate": float(estimate),
        "ci_low": float(ci[0]),
        "ci_high": float(ci[1]),
        "p": float(p),
        "n": int(n),
        "excluded": " ".join(str(name) for name in excluded),
        "note": note,
    }
    return row | extra


row_of = rows_of(one_row)


@as_table
def not_estimable(statistic: str, reason: str, n: int, **extra: object) -> Row:
    """Return the row of a statistic that these data do not have.

    Examples
    --------
    >>> not_estimable("Spearman rho", "fewer than 3 samples", 2)["note"].item()
    'not estimable: fewer than 3 samples'
    """
    note = f"not estimable: {reason}"
    return row_of(statistic, np.nan, n=n, note=note, **extra)


no_row = rows_of(not_estimable)


def remove_missing(*variables: ArrayLike, labels: ArrayLike | None = None) -> list[np.ndarray]:
    """Keep the samples in which no variable is NaN, and their labels.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> remove_missing([1, np.nan, 3], [4, 5, 6], labels=["a", "b", "c"])
    [array([1., 3.]), array([4., 6.]), array(['a', 'c'], dtype='<U1')]
    """
    columns = [np.asarray(values, dtype=float) for values in variables]
    everything = columns if labels is None else [*columns, np.asarray(labels)]
    lengths = [len(values) for values in everything]
    if len(set(lengths)) > 1:
        raise ValueError(f"the lengths differ: {', '.join(map(str, lengths))}")
    kept = ~np.isnan(columns).any(axis=0)
    return [values[kept] for values in everything]


def why_not_estimable(*variables: np.ndarray, minimum: int = MINIMUM_GROUP) -> str | None:
    """Return the reason why no association between the variables can be estimated, or None.

    Examples
    --------
    >>> why_not_estimable(np.array([1.0, 2.0]))
    'fewer than 3 samples (2)'
    >>> why_not_estimable(np.array([1.0, 1.0, 1.0]))
    'all values are equal'
    """
    for values in variables:
        if len(values) < minimum:
            return f"fewer than {minimum} samples ({len(values)})"
        if np.ptp(values) == 0:
            return "all values are equal"
    return None


def with_interval(id: str, row: Mapping[Any, Any] | pd.Series) -> dict[str, float]:
    """Return an estimate and the ends of its interval under the ids that the ledger looks for.

    Examples
    --------
    >>> with_interval("x", {"estimate": 2.0, "ci_low": 1.0, "ci_high": 3.0})
    {'x': 2.0, 'x.ci_low': 1.0, 'x.ci_high': 3.0}
    """
    return {id: row["estimate"], id + CI_LOW: row["ci_low"], id + CI_HIGH: row["ci_high"]}
