"""How often a claim holds over its specifications, and which choice moves it most."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cpmlib.paper.specifications.choices import CHOICES, IMAGE_COLUMNS, level_name
from cpmlib.paper.specifications.claims import CLAIMS

NAMES = {choice.column: choice.name for choice in CHOICES}


def shares(table: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Count in how many specifications each claim holds.

    Parameters
    ----------
    table, null
        As `cpmlib.paper.specifications.run.specifications` and
        `cpmlib.paper.specifications.null_cohorts.null_specifications` return them.

    Returns
    -------
    pandas.DataFrame
        One row a claim: ``n`` specifications that have the statistic, ``n_missing`` without it,
        ``n_holds`` and ``share``; ``null_share`` of those of null cohorts; ``n_printed`` analyses
        of the book and ``printed_holds``, in how many of them the claim holds.
    """
    rows = []
    for claim in CLAIMS:
        own = table[table["claim"] == claim.key]
        known, printed = own.dropna(subset="holds"), own[own["printed_analysis"]]
        dealt = null.loc[null["claim"] == claim.key, "holds"].dropna()
        rows.append(
            {
                "claim": claim.key,
                "n": len(known),
                "n_missing": len(own) - len(known),
                "n_holds": int(known["holds"].sum()),
                "share": float(known["holds"].mean()) if len(known) else np.nan,
                "null_share": float(dealt.mean()) if len(dealt) else np.nan,
                "n_printed": int(printed["holds"].notna().sum()),
                "printed_holds": int(printed["holds"].sum()),
            }
        )
    return pd.DataFrame(rows)


def movers(table: pd.DataFrame) -> pd.DataFrame:
    """Find how far each choice moves each claim.

    Choices about the images are varied one at a time, so that a level of one is compared where the
    others are at their default.

    Returns
    -------
    pandas.DataFrame
        One row a claim and choice with at least two levels: ``low`` and ``high`` level, by the
        mean effect over the specifications that have them, these means, their ``difference``, and
        ``share_difference``, the largest of the shares in which the claim holds.
    """
    columns = ["claim", "choice", "low", "high", "low_mean", "high_mean"]
    rows = []
    for key, own in table.dropna(subset="effect").groupby("claim", sort=False):
        for choice in CHOICES:
            levels = _comparable(own, choice.column).groupby(choice.column)
            effect, holds = levels["effect"].mean(), levels["holds"].mean()
            if len(effect) > 1:
                effect = effect.sort_values(kind="stable")
                (low, *_, high), (least, *_, most) = effect.index, effect.tolist()
                ends = (low, high, least, most)
                row = dict(zip(columns, (key, choice.column, *ends), strict=True))
                row["difference"] = most - least
                rows.append(row | {"share_difference": float(holds.max() - holds.min())})
    return pd.DataFrame(rows, columns=[*columns, "difference", "share_difference"])


_WITHIN = {"statistic": ("estimation", "test"), "rout_q": ("rout_k",)}
"""Choices that exist within one level of another only."""


def _comparable(own: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the specifications in which levels of a choice differ in nothing else.

    There is no mixed model of patients' means, so that it must not count for the unit; spheres
    were changed one thing at a time.
    """
    part = own[own[column] != ""]
    if column in IMAGE_COLUMNS and len(part):
        for other in set(IMAGE_COLUMNS) - {column}:
            part = part[part[other] == own.iloc[0][other]]
    n_levels = part[column].nunique()
    varied = [choice.column for choice in CHOICES if n_levels > 1]
    for other in varied:
        if other not in (column, *IMAGE_COLUMNS, *_WITHIN.get(column, ())):
            met = part.groupby(other)[column].transform("nunique")
            part = part[met == n_levels]
    return part


def table_shares(counted: pd.DataFrame, moved: pd.DataFrame) -> pd.DataFrame:
    """Lay `shares` out for the page, with the choices of `movers` that move each claim most."""
    rows = []
    for row in counted.to_dict("records"):
        own = moved[moved["claim"] == row["claim"]]
        rows.append(
            {
                "Claim": _STATEMENTS[row["claim"]],
                "Specifications": f"{row['n']:,}",
                "Holds in": _percent(row["share"]),
                "By chance": _percent(row["null_share"]),
                "As in this book": f"{row['printed_holds']} of {row['n_printed']}",
                "Moves the effect most": _largest(own, "difference"),
                "Moves the verdict most": _largest(own, "share_difference"),
            }
        )
    return pd.DataFrame(rows)


_STATEMENTS = {claim.key: claim.statement for claim in CLAIMS}


def _percent(share: float) -> str:
    """Write a share; one of nearly all or nearly none is not rounded to it.

    Examples
    --------
    >>> _percent(0.996), _percent(1.0), _percent(0.474)
    ('>99 %', '100 %', '47 %')
    """
    if np.isnan(share):
        return "not estimable"
    if 0.99 < share < 1 or 0 < share < 0.01:
        return ">99 %" if share > 0.5 else "<1 %"
    return f"{100 * share:.0f} %"


def _largest(moved: pd.DataFrame, column: str) -> str:
    moving = moved[moved[column] > 0]
    return NAMES[_most(moving, column)["choice"]] if len(moving) else "none"


def _most(moved: pd.DataFrame, column: str) -> dict[str, Any]:
    place = int(moved[column].to_numpy().argmax())
    return {str(name): moved[name].iloc[place] for name in moved}


def how_often(share: float) -> str:
    """Say a share in words.

    Examples
    --------
    >>> [how_often(share) for share in (0, 0.04, 0.3, 0.5, 0.7, 0.97, 1)]
    ['in none', 'in few', 'in a minority', 'in about half', 'in most', 'in nearly all', 'in all']
    """
    if share in (0, 1):
        return "in all" if share else "in none"
    limits = {0.1: "in few", 0.45: "in a minority", 0.55: "in about half", 0.9: "in most"}
    return next((words for limit, words in limits.items() if share <= limit), "in nearly all")


def said(key: str, counted: pd.DataFrame, moved: pd.DataFrame) -> str:
    """Say of one claim how often it holds and what moves it, in sentences."""
    row = counted[counted["claim"] == key].iloc[0]
    name = _STATEMENTS[key]
    if row["n"] == 0:
        return f"*{name}*: not estimable in this dataset, in no specification."
    text = (
        f"*{name}*: this holds {how_often(row['share'])} of the specifications "
        f"({row['n_holds']:,} of {row['n']:,}; {_percent(row['share'])})"
    )
    if not np.isnan(row["null_share"]):
        text += f", and in null cohorts in {_percent(row['null_share'])}"
    text += "."
    own = moved[(moved["claim"] == key) & (moved["difference"] > 0)]
    if own.empty:
        return text
    most = _most(own, "difference")
    digits = 0 if abs(most["high_mean"]) >= 10 else 2
    text += (
        f" What moves the effect most is *{NAMES[most['choice']]}*: its mean is "
        f"{most['low_mean']:z.{digits}f} for {level_name(most['low'])} and "
        f"{most['high_mean']:z.{digits}f} for {level_name(most['high'])}."
    )
    verdict = _most(own, "share_difference")
    if verdict["share_difference"] > 0 and verdict["choice"] != most["choice"]:
        text += (
            f" Whether it holds depends most on *{NAMES[verdict['choice']]}*: the shares of its"
            f" levels differ by up to {100 * verdict['share_difference']:.0f} percentage points."
        )
    return text
