"""How a cellularity prediction model did on the patients that its training never saw."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cpmlib.figures.style import (
    COLOUR,
    PANEL,
    figure_absent,
    figure_style,
    name_panels,
    write_reason,
)

SHOWN = (0.005, 0.995)
"""Quantiles of the counted densities between which the axes run, so that a few extreme patches do
not press all others into a corner."""

BINS = 60

NO_TRAINING = "no model was trained here: the study brings its own values, maps or model"


def figure_held_out(held_out: pd.DataFrame | None) -> Figure:
    """Draw predicted against counted density, and the distribution of the error.

    Parameters
    ----------
    held_out
        One row per patch: ``density`` and ``predicted``, cells/mm2, as in
        `cpmlib.cpm.training.TrainingReport`; None where no model was trained.

    Returns
    -------
    matplotlib.figure.Figure
        Panel A: number of patches by counted and predicted density, with the line of equality.
        Panel B: predicted - counted, with its mean and RMSE.
    """
    if held_out is None:
        return figure_absent(NO_TRAINING)
    counted = held_out["density"].to_numpy(float)
    predicted = held_out["predicted"].to_numpy(float)
    with figure_style():
        figure = Figure(figsize=(3 * PANEL * 1.15, 1.45 * PANEL), layout="constrained")
        both, errors = figure.subplots(1, 2)
        both.set_xlabel("Counted density (cells/mm²)")
        both.set_ylabel("Predicted density (cells/mm²)")
        errors.set_xlabel("Predicted − counted (cells/mm²)")
        errors.set_ylabel("Patches")
        name_panels([both, errors])
        if held_out.empty:
            write_reason(both, "no patch held out")
            write_reason(errors, "no patch held out")
            return figure
        low, high = np.quantile(counted, SHOWN)
        high = max(high, low + 1)
        drawn = both.hexbin(
            counted,
            predicted,
            gridsize=40,
            extent=(low, high, low, high),
            mincnt=1,
            bins="log",
            cmap="Blues",
            linewidths=0.1,
        )
        figure.colorbar(drawn, ax=both, label="Patches")
        both.plot([low, high], [low, high], color="grey", linestyle="--", linewidth=1)
        both.set_xlim(low, high)
        both.set_ylim(low, high)
        error = predicted - counted
        errors.hist(np.clip(error, low - high, high - low), BINS, color=COLOUR["Whole cohort"])
        errors.axvline(0, color="black", linewidth=0.8)
        rmse = np.sqrt((error**2).mean())
        errors.set_title(f"mean {error.mean():.0f}, RMSE {rmse:.0f} cells/mm²")
    return figure
