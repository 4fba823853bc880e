"""*One sample per patient*: the histogram of rho growing draw by draw towards its mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpmlib.book.page import Page
from cpmlib.book.widgets import button, plot, select, show_absence, show_widget, slider
from cpmlib.figures.style import COLOUR
from cpmlib.paper.subsets import PREDICTORS, SUBSETS

if TYPE_CHECKING:
    from bokeh.plotting import figure

TITLE = "One sample per patient, draw by draw"
SEE = (
    "Each draw takes one sample of every patient and gives one rho. Single draws can lie far from "
    "each other; their mean (dashed) soon settles near the mean over all possible draws (solid)."
)
SHOWN = 1000
"""Draws that a page carries; the first of the analysis."""

EDGES = np.linspace(-1, 1, 41)
"""Of the histogram's bins, as in the still figure."""


def show_draws(
    page: Page, table: pd.DataFrame, draws: Mapping[tuple[str, str], np.ndarray]
) -> None:
    """Show the widget; arguments as `non_independence.one_per_patient` returns them."""
    sets = {}
    for row in table.to_dict("records"):
        rho = draws[row["subset"], row["predictor"]]
        rho = rho[~np.isnan(rho)][:SHOWN]
        if len(rho) and not pd.isna(row["estimate"]):
            sets[f"{row['subset']}_{row['predictor']}"] = {
                "name": f"{PREDICTORS[row['predictor']]}, {SUBSETS[row['subset']]}",
                "draws": rho.round(6).tolist(),
                "exact": row["estimate"],
                "exactly": not row["note"],
            }
    if not sets:
        show_absence(page, TITLE, "no subset has a rho with one sample per patient")
        return
    controls = (
        select("set", "Samples", [(key, part["name"]) for key, part in sets.items()])
        + button("one", "Draw once")
        + button("play", "Go on drawing")
        + slider("speed", "Draws at a time", 1, 20, 1, 2)
        + button("reset", "Start anew")
    )
    data = {"sets": sets, "edges": EDGES.round(12).tolist()}
    show_widget(page, "draws", TITLE, SEE, [_plot()], data, controls=controls)


def _plot() -> figure:
    from bokeh.models import ColumnDataSource
    from bokeh.models.annotations import Span

    drawn = plot("Spearman rho", "Draws", (-1, 1), (0, 10), name="plot")
    bars = ColumnDataSource({"left": [], "right": [], "top": []}, name="bars")
    drawn.quad(
        "left", "right", "top", 0, source=bars, fill_color=COLOUR["nCET"], line_color="white"
    )
    for name, dash in (("exact", "solid"), ("mean", "dashed")):
        line = Span(dimension="height", name=name, line_dash=dash, line_width=2, level="overlay")
        drawn.add_layout(line)
    return drawn
