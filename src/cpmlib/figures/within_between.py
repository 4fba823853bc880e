"""Samples and patients apart: what goes on within patients, and what between them."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpmlib.figures.style import PANEL, figure_style, name_panels, write_reason
from cpmlib.paper.subsets import PREDICTORS, SUBSETS


def figure_within_between(
    table: pd.DataFrame, ranks: Mapping[tuple[str, str], pd.DataFrame]
) -> Figure:
    """Draw ranks of H&E against ranks of each predictor, a colour a patient, in each subset.

    Arguments as `cpmlib.paper.within_between.associations` returns them. Small dots are samples,
    large ones patients' means; the lines of the patients share the slope within patients, and the
    dashed line is that of the means.
    """
    with figure_style():
        figure = Figure(figsize=(3 * PANEL, 2 * PANEL), layout="constrained")
        axes = figure.subplots(2, 3)
        for i, (predictor, predictor_name) in enumerate(PREDICTORS.items()):
            for j, (key, name) in enumerate(SUBSETS.items()):
                ax = axes[i, j]
                own = table[(table["subset"] == key) & (table["predictor"] == predictor)]
                rows = own.set_index("kind")
                slope = rows["slope"].loc["within"] if "slope" in rows else np.nan
                ax.set_title(f"{name}\n{_annotation(rows)}")
                ax.set_xlabel(f"{predictor_name}, rank")
                ax.set_ylabel("H&E, rank" if j == 0 else "")
                _draw(ax, ranks[key, predictor], slope)
        name_panels(list(axes.flat))
    return figure


def _annotation(rows: pd.DataFrame) -> str:
    shown = [
        f"{kind} {'n/a' if pd.isna(value) else f'{value:z.2f}'}"
        for kind, value in rows["estimate"].loc[["within", "between"]].items()
    ]
    return ", ".join(shown)


def _draw(ax: Axes, samples: pd.DataFrame, slope: float) -> None:
    if samples.empty:
        write_reason(ax, "no sample")
        return
    groups = samples.groupby("participant_id")
    # Neighbours in the order of patients get colours far apart.
    colours = mpl.colormaps["turbo"](np.linspace(0.05, 0.95, groups.ngroups))
    colours = colours[np.argsort(np.arange(groups.ngroups) * 0.618 % 1)]
    for colour, (_, own) in zip(colours, groups, strict=True):
        mean = own[["x", "y"]].mean()
        ax.scatter(own["x"], own["y"], s=9, color=colour, linewidth=0, alpha=0.8)
        ax.scatter(mean["x"], mean["y"], s=34, color=colour, edgecolor="black", linewidth=0.6)
        if len(own) > 1 and np.isfinite(slope):
            ends = np.array([own["x"].min(), own["x"].max()])
            ax.plot(ends, mean["y"] + slope * (ends - mean["x"]), color=colour, linewidth=1)
    means = groups[["x", "y"]].mean()
    if len(means) > 1 and np.ptp(means["x"]) > 0:
        line = np.polynomial.Polynomial.fit(means["x"], means["y"], 1)
        ends = np.array([means["x"].min(), means["x"].max()])
        ax.plot(ends, line(ends), color="black", linestyle="--", linewidth=1.2)
