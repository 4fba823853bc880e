"""The ledger: every printed value beside the regenerated one, with a computed verdict.

Vocabulary
----------
- *reproduced*: the regenerated value lies in the rounding interval of the printed text.
- *cannot hold together*: it does not, and a bound from the other printed values excludes the
  printed one, on premises that the bound states (`cpmlib.feasibility`).
- *not reproduced*: it does not, and no bound says that it could not.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cpmlib.feasibility import Bound
from cpmlib.published import parse_printed

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
CANNOT_HOLD = "cannot hold together with the others"

NOTEBOOK = {
    "t1": "01_cohort",
    "desc": "02_groups",
    "group": "02_groups",
    "corr": "03_correlations",
    "meng": "04_cpm_against_adc",
    "lmm": "05_non_independence",
    "iter": "05_non_independence",
    "hgg": "06_hgg_non_enhancing",
    "case": "07_cases",
}
"""Which notebook computes the values whose id begins so."""


def make_ledger(
    published: pd.DataFrame, regenerated: Mapping[str, float], bounds: Mapping[str, Bound]
) -> pd.DataFrame:
    """Hold regenerated values against print.

    Parameters
    ----------
    published
        As `cpmlib.published.read_published` returns it.
    regenerated
        Value of each id; a missing or NaN value is one that the dataset does not have.
    bounds
        As `cpmlib.feasibility.bounds` returns them.

    Returns
    -------
    pandas.DataFrame
        Indexed by id, in the order of the published table: ``where``, ``statistic``,
        ``subset``, ``printed``, ``regenerated``, ``low``, ``high``, ``verdict``, ``notebook``,
        ``note``.

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
    table = published[["where", "statistic", "subset", "printed"]].copy()
    table["regenerated"] = [float(regenerated.get(id, float("nan"))) for id in table.index]
    table["low"], table["high"] = published["low"], published["high"]
    table["verdict"] = [
        _verdict(printed, value, bounds.get(str(id)))
        for id, printed, value in zip(
            table.index, table["printed"], table["regenerated"], strict=True
        )
    ]
    table["notebook"] = [NOTEBOOK[str(id).split(".")[0]] for id in table.index]
    table["note"] = [
        "not estimable in this dataset" if pd.isna(value) else note
        for value, note in zip(table["regenerated"], published["note"], strict=True)
    ]
    return table


def _verdict(printed: str, value: float, bound: Bound | None) -> str:
    if parse_printed(printed).contains(value):
        return REPRODUCED
    if bound is not None and bound.contradicted:
        return CANNOT_HOLD
    return NOT_REPRODUCED


def totals(ledger: pd.DataFrame) -> dict[str, int]:
    """Count the verdicts.

    Examples
    --------
    >>> totals(pd.DataFrame({"verdict": ["reproduced", "not reproduced"]}))
    {'reproduced': 1, 'not reproduced': 1, 'cannot hold together with the others': 0}
    """
    verdicts = ledger["verdict"].to_list()
    return {name: verdicts.count(name) for name in (REPRODUCED, NOT_REPRODUCED, CANNOT_HOLD)}


def summary(ledger: pd.DataFrame) -> str:
    """Say the totals in one line.

    Examples
    --------
    >>> summary(pd.DataFrame({"verdict": ["reproduced", "not reproduced"]}))
    '1 of 2 printed values reproduced; 1 not reproduced; 0 cannot hold together with the others'
    """
    count = totals(ledger)
    return (
        f"{count[REPRODUCED]} of {len(ledger)} printed values reproduced; "
        f"{count[NOT_REPRODUCED]} {NOT_REPRODUCED}; {count[CANNOT_HOLD]} {CANNOT_HOLD}"
    )
