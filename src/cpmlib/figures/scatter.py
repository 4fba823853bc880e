"""Fig. 2 and Supplementary Fig. 2: a predictor against H&E cellularity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpmlib.figures.style import AXIS_LABEL, COLOUR, PANEL, figure_style, name_panels, write_reason
from cpmlib.paper.correlations import OUTCOME, Flagged, line_with_band
from cpmlib.paper.formatting import format_p
from cpmlib.paper.subsets import PREDICTORS, SUBSETS


def figure_2(flagged: Flagged, table: pd.DataFrame) -> Figure:
    """Draw Fig. 2: H&E cellularity against CPM (A-C) and ADC (D-F) in each subset.

    Arguments as `cpmlib.paper.correlations.flag_all` and `correlations` return them. Excluded
    samples are white dots; the band is the 95 % confidence band of the line.
    """
    with figure_style():
        figure = Figure(figsize=(3 * PANEL * 1.15, 2 * PANEL * 1.15), layout="constrained")
        axes = figure.subplots(2, 3, sharey=True)
        for i, predictor in enumerate(PREDICTORS):
            for j, (key, name) in enumerate(SUBSETS.items()):
                rows = table[(table["subset"] == key) & (table["predictor"] == predictor)]
                draw_association(axes[i, j], flagged[key, predictor], predictor, COLOUR[name])
                axes[i, j].set_title(f"{name}\n{_annotation(rows)}")
                if j:
                    axes[i, j].set_ylabel("")
        name_panels(list(axes.flat))
    return figure


def figure_hgg(group: pd.DataFrame, title: str) -> Figure:
    """Draw Supplementary Fig. 2, the samples of `cpmlib.paper.hgg.non_enhancing`, under a title."""
    with figure_style():
        figure = Figure(figsize=(2 * PANEL, 1.6 * PANEL), layout="constrained")
        ax = figure.subplots()
        draw_association(ax, group, "cpm", COLOUR["HGG"], line=False)
        if len(group):
            both = group[["cpm", OUTCOME]]
            ends = [float(both.min().min()), float(both.max().max())]
            ax.plot(ends, ends, color="grey", linestyle="--", linewidth=1, label="CPM = H&E")
            ax.legend(frameon=False)
        ax.set_title(title)
    return figure


def draw_association(
    ax: Axes, flagged: pd.DataFrame, predictor: str, colour: str, *, line: bool = True
) -> None:
    """Draw samples, the line through those that are no outliers, and its 95 % band."""
    ax.set_xlabel(AXIS_LABEL[predictor])
    ax.set_ylabel(AXIS_LABEL[OUTCOME])
    if flagged.empty:
        write_reason(ax, "no sample")
        return
    kept, out = flagged[~flagged["outlier"]], flagged[flagged["outlier"]]
    ax.scatter(kept[predictor], kept[OUTCOME], s=22, color=colour, edgecolor="white", linewidth=0.4)
    ax.scatter(
        out[predictor], out[OUTCOME], s=30, facecolor="white", edgecolor="black", linewidth=1
    )
    x = np.linspace(flagged[predictor].min(), flagged[predictor].max(), 100)
    band = line_with_band(kept, predictor, x) if line else None
    if band is not None:
        y, half = band
        ax.plot(x, y, color=colour, linewidth=1.5)
        ax.fill_between(x, y - half, y + half, color=colour, alpha=0.15, linewidth=0)


def _annotation(rows: pd.DataFrame) -> str:
    rows = rows.set_index("statistic")
    fit, rho = rows.loc["slope"], rows.loc["Spearman rho"]
    if pd.isna(fit["estimate"]) or pd.isna(rho["estimate"]):
        return "not estimable"
    return (
        f"b = {fit['estimate']:.2f}, R² = {fit['r2']:.3f}, {_p(fit['p'])}\n"
        f"rho = {rho['estimate']:.2f}, {_p(rho['p'])}"
    )


def _p(p: float) -> str:
    text = format_p(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
