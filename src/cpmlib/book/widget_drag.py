"""*Drag a sample*: what one sample does to ROUT, the line, the correlation and Meng's z."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cpmlib.book.page import Page
from cpmlib.book.widgets import button, plot, select, show_absence, show_widget, slider
from cpmlib.figures.style import AXIS_LABEL, COLOUR
from cpmlib.paper.correlations import OUTCOME, Flagged
from cpmlib.paper.subsets import SUBSETS
from cpmlib.statistics.results import why_not_estimable

TITLE = "Drag a sample"
SEE = (
    "Drag one sample far from the line: at the dashed limit it becomes an outlier, and slope and "
    "RMSE go back to nearly what they were without it. Drag it less far, and it pulls the line. "
    "A larger Q brings the limit nearer."
)
KEYS = (
    "Plot of counted against predicted cellularity. Arrow keys move the chosen sample, with Shift "
    "ten times as far; choose it in the menu before."
)
ROOM = 0.35
"""Room about the samples to drag them into, as a share of their range."""

LINES = {
    "robust": ("robust line", "solid", 1, "black"),
    "limits": ("limit of ROUT", "dashed", 1, "black"),
    "line": ("least squares", "solid", 2, COLOUR["CET"]),
}
"""Name of each line's data, its text in the legend, dash, width and colour."""


def show_drag(page: Page, flagged: Flagged) -> None:
    """Show the widget for the samples of each subset, ``flagged`` as `flag_all` returns them."""
    subsets = {}
    for key, name in SUBSETS.items():
        part = flagged[key, "cpm"]
        if not why_not_estimable(*part[["cpm", OUTCOME]].to_numpy(float).T):
            subsets[key] = _content(part) | {"name": name, "colour": COLOUR[name]}
    if not subsets:
        show_absence(page, TITLE, "no subset has samples enough for a line")
        return
    options = page.options
    data = {
        "subsets": subsets,
        "rhoKeepsOutliers": not options.spearman_excludes_outliers,
        "rmseKeepsOutliers": not options.rmse_excludes_outliers,
        "meng": options.meng_correlation,
    }
    q = 100 * options.rout_q
    controls = (
        select("subset", "Samples", [(key, part["name"]) for key, part in subsets.items()])
        + select("sample", "Move", [])
        + slider("q", "Q (%)", 0, max(10, q), 0.05, q)
        + button("reset", "Reset")
    )
    show_widget(page, "drag", TITLE, SEE, [_plot()], data, controls=controls, keys=KEYS)


def _content(part: pd.DataFrame) -> dict[str, Any]:
    adc = part["adc"].astype(float)
    return {
        "sample": part["sample_id"].tolist(),
        "patient": part["participant_id"].tolist(),
        "x": part["cpm"].astype(float).tolist(),
        "y": part[OUTCOME].astype(float).tolist(),
        "adc": [None if np.isnan(value) else value for value in adc],
        "ranges": [_room(part["cpm"]), _room(part[OUTCOME])],
    }


def _room(values: pd.Series) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return max(0.0, low - ROOM * (high - low)), high + ROOM * (high - low)


def _plot() -> Any:
    from bokeh.models import ColumnDataSource, HoverTool

    figure = plot(AXIS_LABEL["cpm"], AXIS_LABEL[OUTCOME], (0, 1), (0, 1))
    for name, (text, dash, width, colour) in LINES.items():
        source = ColumnDataSource({"xs": [], "ys": []}, name=name)
        style: dict[str, Any] = {
            "line_dash": dash,
            "line_width": width,
            "color": colour,
            "legend_label": text,
        }
        figure.multi_line("xs", "ys", source=source, **style)
    columns = ("x", "y", "fill", "edge", "size", "sample", "patient", "state")
    samples = ColumnDataSource({column: [] for column in columns}, name="samples")
    dots = figure.scatter(
        "x", "y", source=samples, size="size", fill_color="fill", line_color="edge", line_width=1.2
    )
    tips = [("Sample", "@sample"), ("Patient", "@patient"), ("", "@state")]
    figure.add_tools(HoverTool(renderers=[dots], tooltips=tips))
    figure.add_layout(figure.legend[0], "above")  # beside the samples, not over them
    figure.legend.update(
        orientation="horizontal", label_text_font_size="8pt", border_line_color=None
    )
    return figure
