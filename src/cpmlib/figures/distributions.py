"""Supplementary Fig. 1: Spearman's rho over draws of one sample per patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cpmlib.figures.style import COLOUR, PANEL, figure_style, name_panels, write_reason
from cpmlib.paper.subsets import PREDICTORS, SUBSETS


def figure_draws(table: pd.DataFrame, draws: dict[tuple[str, str], np.ndarray]) -> Figure:
    """Draw the distributions of rho as `cpmlib.paper.non_independence.one_per_patient` gives them.

    Rows CPM and ADC, columns whole, naive, recurrent; the line marks the exact mean.
    """
    with figure_style():
        figure = Figure(figsize=(3 * PANEL * 1.1, 2 * PANEL), layout="constrained")
        axes = figure.subplots(2, 3, sharex=True, sharey=True)
        bins = np.linspace(-1, 1, 41)
        for i, (predictor, predictor_name) in enumerate(PREDICTORS.items()):
            for j, (key, name) in enumerate(SUBSETS.items()):
                ax, rho = axes[i, j], draws[key, predictor]
                row = table[(table["subset"] == key) & (table["predictor"] == predictor)].iloc[0]
                ax.set_xlabel("Spearman rho")
                ax.set_ylabel("Draws" if j == 0 else "")
                if pd.isna(row["estimate"]):
                    write_reason(ax, row["note"])
                    continue
                ax.hist(rho[~np.isnan(rho)], bins=bins, color=COLOUR[name], alpha=0.6)
                ax.axvline(0, color="grey", linewidth=0.8)
                ax.axvline(row["estimate"], color="black", linewidth=1.2)
                ax.set_title(f"{predictor_name}, {name}\nmean rho = {row['estimate']:.2f}")
        name_panels(list(axes.flat))
    return figure
