"""How close each regenerated value is to print, in units of its rounding."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cpmlib.figures.style import PANEL, figure_style
from cpmlib.ledger import CANNOT_HOLD, NOT_REPRODUCED, REPRODUCED

VERDICT_COLOUR = {REPRODUCED: "#00745B", NOT_REPRODUCED: "#D55E00", CANNOT_HOLD: "#4F4F4F"}
LIMIT = 3.0
"""Values further than this many rounding half-widths off are drawn at the edge."""


def figure_agreement(ledger: pd.DataFrame) -> Figure:
    """Draw (regenerated - printed) / half the rounding interval, for each two-sided value."""
    shown = ledger[np.isfinite(ledger["low"]) & np.isfinite(ledger["high"])]
    shown = shown[shown["regenerated"].notna()]
    half = (shown["high"] - shown["low"]) / 2
    offset = ((shown["regenerated"] - (shown["low"] + half)) / half).clip(-LIMIT, LIMIT)
    with figure_style():
        figure = Figure(figsize=(3.2 * PANEL, 1.2 * PANEL), layout="constrained")
        ax = figure.subplots()
        ax.axhspan(-1, 1, color="#E6E6E6", label="rounds to the printed text")
        position = np.arange(len(shown))
        for verdict, colour in VERDICT_COLOUR.items():
            chosen = (shown["verdict"] == verdict).to_numpy()
            if chosen.any():
                ax.scatter(position[chosen], offset[chosen], s=16, color=colour, label=verdict)
        ax.set_ylim(-LIMIT * 1.1, LIMIT * 1.1)
        ax.set_xlabel("Printed values, in the order of the paper")
        ax.set_ylabel("Distance from print\n(half-widths of rounding)")
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=4)
    return figure
