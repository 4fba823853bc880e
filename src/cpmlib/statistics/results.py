"""The one-row table that every statistic returns.

Vocabulary
----------
- *estimate*: the statistic itself; ``ci_low`` and ``ci_high`` bound its 95 % interval.
- *n*: samples that entered it; ``excluded`` names the ones that were left out, with the reason.
- *not estimable*: the statistic does not exist for these data; ``note`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
"""Coverage of every interval in the project."""

MINIMUM_GROUP = 3
"""Fewest samples of a group for which a statistic is given."""

PERFECT = 1 - 1e-12
"""A correlation from here on differs from 1 by rounding errors only."""

CI_LOW, CI_HIGH = ".ci_low", ".ci_high"
"""Endings of the ids under which the ends of a value's interval are handed to the ledger."""

COLUMNS = ("statistic", "estimate", "ci_low", "ci_high", "p", "n", "excluded", "note")


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
) -> pd.DataFrame:
    """Return a statistic as a one-row table.

    Parameters
    ----------
    statistic
        Its name, such as ``"Spearman rho"``.
    estimate, ci, p
        Value, 95 % interval, two-sided p; NaN where there is none.
    n
        Number of samples used.
    excluded
        Identifiers of samples left out.
    note
        What the reader should know; for a missing estimate, the reason.
    **extra
        Further columns, such as ``df``.

    Returns
    -------
    pandas.DataFrame
        One row, the columns of `COLUMNS` first.

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
    return pd.DataFrame([row | extra])


def not_estimable(statistic: str, reason: str, n: int, **extra: object) -> pd.DataFrame:
    """Return the row of a statistic that these data do not have.

    Parameters
    ----------
    statistic, n
        As in `one_row`.
    reason
        Why there is no value; shown to the reader after "not estimable:".

    Examples
    --------
    >>> not_estimable("Spearman rho", "fewer than 3 samples", 2)["note"].item()
    'not estimable: fewer than 3 samples'
    """
    note = f"not estimable: {reason}"
    return one_row(statistic, np.nan, n=n, note=note, **extra)  # type: ignore[arg-type]


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

    Parameters
    ----------
    id
        Of the printed value.
    row
        A row as `one_row` makes it.

    Examples
    --------
    >>> with_interval("x", {"estimate": 2.0, "ci_low": 1.0, "ci_high": 3.0})
    {'x': 2.0, 'x.ci_low': 1.0, 'x.ci_high': 3.0}
    """
    return {id: row["estimate"], id + CI_LOW: row["ci_low"], id + CI_HIGH: row["ci_high"]}
