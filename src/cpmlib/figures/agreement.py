"""How close each regenerated value is to the printed one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cpmlib.figures.style import BAND, BLUE, DARK, GREEN, PANEL, VERMILION, figure_style
from cpmlib.paper.ledger import CANNOT_HOLD, IF_TRUNCATED, NOT_COMPARED, NOT_REPRODUCED, REPRODUCED
from cpmlib.study.schemas import OTHER_STUDY

VERDICT_COLOUR = {
    REPRODUCED: GREEN,
    IF_TRUNCATED: BLUE,
    NOT_REPRODUCED: VERMILION,
    CANNOT_HOLD: DARK,
    NOT_COMPARED: BLUE,
}
LIMIT = 3.0
"""Values further than this many half-widths off are drawn at the edge."""


def figure_agreement(ledger: pd.DataFrame, relation: str) -> Figure:
    """Draw how far each regenerated value lies from the printed one.

    ``ledger`` as `cpmlib.paper.ledger.make_ledger` returns it; values printed only as a bound are
    left out. The distance is in half-widths of the printed value's rounding interval; for another
    study (``relation``), in those of the 95 % interval of its own value.
    """
    shown = ledger[np.isfinite(ledger["low"]) & np.isfinite(ledger["high"])]
    other = relation == OTHER_STUDY
    ends = ("ci_low", "ci_high") if other else ("low", "high")
    shown = shown.dropna(subset=["regenerated", *ends])
    half = (shown[ends[1]] - shown[ends[0]]) / 2
    distance = shown["regenerated"] - (shown["low"] + shown["high"]) / 2
    offset = (distance / half).clip(-LIMIT, LIMIT)
    with figure_style():
        figure = Figure(figsize=(3.2 * PANEL, 1.2 * PANEL), layout="constrained")
        ax = figure.subplots()
        band = "within its 95 % interval" if other else "rounds to the printed text"
        ax.axhspan(-1, 1, color=BAND, label=band)
        position = np.arange(len(shown))
        for verdict, colour in VERDICT_COLOUR.items():
            chosen = (shown["verdict"] == verdict).to_numpy()
            if chosen.any():
                label = "this study against the printed value" if other else verdict
                ax.scatter(position[chosen], offset[chosen], s=16, color=colour, label=label)
        ax.set_ylim(-LIMIT * 1.1, LIMIT * 1.1)
        ax.set_xlabel("Printed values, in the order of the tables below")
        of_what = "its 95 % interval" if other else "rounding"
        ax.set_ylabel(f"Distance from the printed value\n(half-widths of {of_what})")
        figure.legend(frameon=False, loc="outside upper center", ncols=2)
    return figure
