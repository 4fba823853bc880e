"""How the synthetic cohort was found, and how others with the same printed values look."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from cpmlib.figures.scatter import draw_association
from cpmlib.figures.style import COLOUR, PANEL, figure_style, name_panels
from cpmlib.paper.correlations import flag_outliers
from cpmlib.paper.subsets import SUBSETS, subset
from cpmlib.study.options import AnalysisOptions


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
                ax.axvline(start, color="#BBBBBB", linewidth=0.6, zorder=0)
        name_panels([above, below])
    return figure


def figure_cohorts(cohorts: Mapping[str, pd.DataFrame], options: AnalysisOptions) -> Figure:
    """Draw CPM against H&E in several cohorts (sample tables by name), whole and by treatment."""
    with figure_style():
        size = (len(SUBSETS) * PANEL * 1.15, len(cohorts) * PANEL * 0.85)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(cohorts), len(SUBSETS), sharex=True, sharey=True, squeeze=False)
        for i, (name, samples) in enumerate(cohorts.items()):
            for j, (key, title) in enumerate(SUBSETS.items()):
                ax = axes[i, j]
                flagged = flag_outliers(subset(samples, key), "cpm", options)
                draw_association(ax, flagged, "cpm", COLOUR[title])
                if i == 0:
                    ax.set_title(title)
                if i < len(cohorts) - 1:
                    ax.set_xlabel("")
                ax.set_ylabel(f"{name}\nH&E (cells/mm²)" if j == 0 else "")
    return figure
