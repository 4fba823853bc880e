"""How the synthetic cohort was found, and how others with the same printed values look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cpmlib.figures.style import COLOUR, GRID, PALE, PANEL, figure_style, name_panels
from cpmlib.study.published import parse_printed
from cpmsurrogate.compare import PARTS

ROW = 0.22
"""Height of a row, inches."""

FIXED, FREE = COLOUR["Whole cohort"], COLOUR["HGG"]
DOT: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 3.5, "alpha": 0.7}
OWN: dict[str, Any] = {
    "marker": "D",
    "linestyle": "",
    "markersize": 5,
    "markerfacecolor": "none",
    "markeredgecolor": "black",
}


def figure_search(trace: pd.DataFrame) -> Figure:
    """Draw the search: printed values met, and the merit that it lowers, over its iterations."""
    with figure_style():
        figure = Figure(figsize=(3.6 * PANEL, 1.9 * PANEL), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        step = range(len(trace))
        above.plot(step, trace["met"], color=COLOUR["Whole cohort"], linewidth=1)
        above.axhline(trace["total"].iloc[0], color="grey", linestyle="--", linewidth=1)
        above.set_ylabel("Printed values met")
        below.plot(step, trace["merit"].clip(lower=1e-6), color=COLOUR["HGG"], linewidth=1)
        below.set_yscale("log")
        below.set_ylabel("Misfit")
        below.set_xlabel("Iteration")
        starts = trace.index[trace["attempt"].diff() > 0]
        for ax in (above, below):
            for start in starts:
                ax.axvline(start, color=PALE, linewidth=0.6, zorder=0)
        name_panels([above, below])
    return figure


def figure_spread(table: pd.DataFrame, cohorts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw each quantity in each cohort as a dot, one row a quantity, one panel a kind.

    Parameters
    ----------
    table
        As `cpmsurrogate.compare.spread` returns it.
    cohorts
        As `cpmsurrogate.compare.quantities` returns them, by name.
    """
    parts = [table[table["kind"] == kind] for kind in PARTS]
    with figure_style():
        figure = Figure(
            figsize=(2.2 * PANEL, sum(map(len, parts)) * ROW + 1.8), layout="constrained"
        )
        axes = figure.subplots(len(parts), 1, height_ratios=[len(part) for part in parts])
        for ax, part, label in zip(axes, parts, PARTS.values(), strict=True):
            for y, row in enumerate(part.to_dict("records")):
                values = np.array([values[row["id"]] for values in cohorts.values()])
                _draw_row(ax, y, row, values)
            ax.set_yticks(range(len(part)), part["name"])
            ax.set_ylim(len(part) - 0.5, -0.5)
            ax.set_xlabel(label)
            ax.grid(axis="y", color=GRID, linewidth=0.8)
            ax.margins(x=0.04)
            if part["least"].min() < 0 < part["greatest"].max():
                ax.axvline(0, color="grey", linewidth=0.8, zorder=0)
        figure.legend(handles=_legend(), frameon=False, loc="outside upper center", ncols=2)
        name_panels(list(axes))
    return figure


def _draw_row(ax: Axes, y: float, row: Mapping[Any, Any], values: np.ndarray) -> None:
    if row["printed"]:
        printed = parse_printed(row["printed"])
        ax.plot(printed.centre, y, "|", color="black", markersize=13, zorder=1)
    # Spread by their order, not by chance, so that the figure is the same each time
    height = y + 0.25 * np.sin(2.4 * np.arange(len(values)))
    ax.plot(values, height, color=FIXED if row["printed"] else FREE, **DOT)
    ax.plot(row["dataset"], y, **OWN)


def _legend() -> list[Line2D]:
    """Explain the marks."""
    return [
        Line2D([], [], color=FIXED, label="cohorts, value printed", **DOT),
        Line2D([], [], color=FREE, label="cohorts, value not printed", **DOT),
        Line2D(
            [], [], linestyle="", marker="|", color="black", markersize=13, label="printed value"
        ),
        Line2D([], [], label="this dataset", **OWN),
    ]
