"""Figs. 3 and 4: the representative cases, and where they lie among all samples."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cpmlib.figures.representative import CaseImages, figure_representative
from cpmlib.figures.style import AXIS_LABEL, COLOUR, PALE, PANEL, figure_absent, figure_style
from cpmlib.paper.cases import case_title, cases


def figure_cases(samples: pd.DataFrame) -> Figure:
    """Draw CPM and ADC against H&E cellularity with the representative cases named."""
    shown = cases(samples)
    if shown.empty:
        return figure_absent("the dataset names no representative case")
    with figure_style():
        figure = Figure(figsize=(2.4 * PANEL * 1.2, PANEL * 1.25), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, column in zip(axes, ("cpm", "adc"), strict=True):
            ax.set_xlabel(AXIS_LABEL[column])
            ax.scatter(samples[column], samples["he_cellularity"], s=14, color=PALE)
            ax.scatter(shown[column], shown["he_cellularity"], s=36, color=COLOUR["HGG"])
            for row in shown.dropna(subset=[column, "he_cellularity"]).to_dict("records"):
                place = (row[column], row["he_cellularity"])
                name = case_title(row["case"])
                text = ax.annotate(name, place, xytext=(5, 4), textcoords="offset points")
                text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        axes[0].set_ylabel(AXIS_LABEL["he_cellularity"])
    return figure


def figure_case_images(cases: Sequence[CaseImages]) -> Figure:
    """Draw the images of cases, or say that there are none."""
    if cases:
        return figure_representative(cases)
    return figure_absent("the dataset holds no images of such cases")
