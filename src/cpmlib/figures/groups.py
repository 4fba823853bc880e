"""Fig. 1: distributions, and the differences between groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpmlib.figures.style import AXIS_LABEL, COLOUR, PANEL, figure_style, name_panels, write_reason
from cpmlib.paper.formatting import format_p
from cpmlib.paper.groups import COLUMN
from cpmlib.paper.subsets import GROUPINGS, Grouping, with_grade_grouping
from cpmlib.study.options import AnalysisOptions


def figure_1(samples: pd.DataFrame, comparisons: pd.DataFrame, options: AnalysisOptions) -> Figure:
    """Draw Fig. 1: H&E and CPM cellularity (A, B); CPM (C-F) and H&E (G-J) by group.

    ``comparisons`` as `cpmlib.paper.groups.comparisons` returns them; the options say who has a
    grade group.
    """
    samples = with_grade_grouping(samples, options)
    with figure_style():
        figure = Figure(figsize=(4 * PANEL, 3.4 * PANEL), layout="constrained")
        grid = figure.add_gridspec(3, 4)
        top = [figure.add_subplot(grid[0, :2]), figure.add_subplot(grid[0, 2:])]
        for ax, column in zip(top, ("he_cellularity", "cpm"), strict=True):
            _distribution(ax, samples[column], column)
        panels = list(top)
        for row, measurement in enumerate(("cpm", "he"), start=1):
            for i, grouping in enumerate(GROUPINGS):
                ax = figure.add_subplot(grid[row, i])
                _comparison(ax, samples, COLUMN[measurement], grouping)
                ax.set_title(_verdict(comparisons, measurement, grouping.key))
                panels.append(ax)
        name_panels(panels)
    return figure


def _distribution(ax: Axes, values: pd.Series, column: str) -> None:
    values = values.dropna()
    ax.set_xlabel(AXIS_LABEL[column])
    ax.set_ylabel("Samples")
    if values.empty:
        write_reason(ax, "no value")
        return
    sns.histplot(x=values, ax=ax, color=COLOUR["Whole cohort"], bins=15, alpha=0.6)
    ax.axvline(values.mean(), color="black", linewidth=1)
    sd = values.std() if len(values) > 1 else float("nan")
    ax.set_title(f"mean {values.mean():.0f}, SD {sd:.0f}, n = {len(values)}")


def _comparison(ax: Axes, samples: pd.DataFrame, column: str, grouping: Grouping) -> None:
    drawn = samples[samples[grouping.column].isin(grouping.levels)].dropna(subset=[column])
    ax.set_ylabel(AXIS_LABEL[column])
    if drawn.empty:
        write_reason(ax, "no sample")
        return
    group = drawn[grouping.column].map(dict(zip(grouping.levels, grouping.names, strict=True)))
    common: dict[str, Any] = {
        "x": group,
        "y": drawn[column],
        "order": list(grouping.names),
        "ax": ax,
    }
    palette = {name: COLOUR[name] for name in grouping.names}
    sns.boxplot(
        **common,
        hue=group,
        palette=palette,
        fliersize=0,
        width=0.55,
        legend=False,
        boxprops={"alpha": 0.35},
    )
    # Points are spread by their order, not by chance, so that the figure is the same each time.
    for i, (level, name) in enumerate(zip(grouping.levels, grouping.names, strict=True)):
        values = drawn.loc[drawn[grouping.column] == level, column].to_numpy()
        shift = 0.16 * np.sin(2.4 * np.arange(len(values)))
        ax.scatter(
            i + shift, values, s=14, color=palette[name], edgecolor="white", linewidth=0.4, zorder=3
        )
    counts = [int((group == name).sum()) for name in grouping.names]
    ax.set_xticks(
        range(len(counts)),
        [f"{name}\nn = {count}" for name, count in zip(grouping.names, counts, strict=True)],
    )
    ax.set_xlabel("")


def _verdict(comparisons: pd.DataFrame, measurement: str, grouping: str) -> str:
    row = comparisons[
        (comparisons["measurement"] == measurement) & (comparisons["grouping"] == grouping)
    ].iloc[0]
    return (
        "not estimable" if pd.isna(row["p"]) else f"p = {format_p(row['p'])}".replace("= <", "< ")
    )
