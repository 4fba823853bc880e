"""Fig. 2 with its panels linked: samples marked in one of them are marked in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpmlib.book.page import Page
from cpmlib.book.widgets import button, plot, select, show_absence, show_widget
from cpmlib.figures.style import AXIS_LABEL, COLOUR
from cpmlib.paper.cases import case_title, cases
from cpmlib.paper.correlations import OUTCOME, Flagged, line_with_band
from cpmlib.paper.subsets import PREDICTORS, SUBSETS

if TYPE_CHECKING:
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure

TITLE = "The panels of Fig. 2, linked"
SEE = (
    "Mark samples in one panel, by a tap or a box, or in the menus: they are marked in every panel "
    "that holds them. Mark the samples of one patient and see whether they lie together. A sample "
    "may be left out (white) in one panel and kept in another, since each panel has its own line."
)
HEIGHT = 250


def show_linked(page: Page, flagged: Flagged) -> None:
    """Show the widget; ``flagged`` as `flag_all` returns it."""
    from bokeh.models import ColumnDataSource

    samples = page.samples.dropna(subset=[OUTCOME]).reset_index(drop=True)
    keys = [(key, predictor) for predictor in PREDICTORS for key in SUBSETS]  # as in the figure
    panels = {key: flagged[key] for key in keys if len(flagged[key])}
    if not panels:
        show_absence(page, TITLE, "no sample has both a prediction and a count")
        return
    columns = _columns(samples, panels)
    source = ColumnDataSource(columns, name="samples")
    plots = [_panel(source, samples, key, part) for key, part in panels.items()]
    names, patients = samples["sample_id"].tolist(), samples["participant_id"]
    data = {
        "left_out": [_left_out(name, panels) for name in names],
        "cases": dict(_cases(page.samples)),
    }
    anybody = ("", "none")
    controls = (
        select("sample", "Sample", [anybody, *((name, name) for name in names)])
        + select("patient", "Patient", [anybody, *((who, who) for who in patients.unique())])
        + button("clear", "Clear")
    )
    show_widget(page, "linked", TITLE, SEE, plots, data, controls=controls)


def _columns(samples: pd.DataFrame, panels: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "sample": samples["sample_id"].tolist(),
        "patient": samples["participant_id"].tolist(),
    }
    for column in (*PREDICTORS, OUTCOME):
        found[column] = samples[column].astype(float).tolist()
    for (key, predictor), part in panels.items():
        out = samples["sample_id"].isin(part.loc[part["outlier"], "sample_id"])
        colour = COLOUR[SUBSETS[key]]
        found[f"fill_{key}_{predictor}"] = ["white" if one else colour for one in out]
        found[f"state_{key}_{predictor}"] = ["left out" if one else "kept" for one in out]
    return found


def _panel(
    source: ColumnDataSource, samples: pd.DataFrame, key: tuple[str, str], part: pd.DataFrame
) -> figure:
    from bokeh.models import BoxSelectTool, CDSView, HoverTool, IndexFilter, TapTool

    name, predictor = SUBSETS[key[0]], key[1]
    end = f"{key[0]}_{predictor}"
    title = f"{PREDICTORS[predictor]}, {name[:1].lower()}{name[1:]}"
    ranges = [_room(samples[column]) for column in (predictor, OUTCOME)]
    drawn = plot(
        AXIS_LABEL[predictor], AXIS_LABEL[OUTCOME], *ranges, title=title, height=HEIGHT,
        toolbar_location="above",
    )  # fmt: skip
    indices = np.flatnonzero(samples["sample_id"].isin(part["sample_id"])).tolist()
    held = CDSView(filter=IndexFilter(indices=indices))
    dots = drawn.scatter(
        predictor, OUTCOME, source=source, view=held, size=8,
        fill_color=f"fill_{end}", line_color="black", line_width=0.8,
        nonselection_fill_alpha=0.15, nonselection_line_alpha=0.15,
    )  # fmt: skip
    x = np.array([part[predictor].min(), part[predictor].max()], dtype=float)
    if (band := line_with_band(part[~part["outlier"]], predictor, x)) is not None:
        drawn.line(x.tolist(), band[0].tolist(), color=COLOUR[name], line_width=2)
    tips = [("Sample", "@sample"), ("Patient", "@patient"), ("", f"@state_{end}")]
    tap = TapTool(renderers=[dots], visible=False)
    hover = HoverTool(renderers=[dots], tooltips=tips, visible=False)
    drawn.add_tools(BoxSelectTool(renderers=[dots]), tap, hover)
    drawn.toolbar.logo = None
    return drawn


def _room(values: pd.Series) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _left_out(sample: str, panels: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    where = [
        f"{PREDICTORS[predictor]} in {SUBSETS[key].lower()}"
        for (key, predictor), part in panels.items()
        if sample in set(part.loc[part["outlier"], "sample_id"])
    ]
    return ", ".join(where) or "nowhere"


def _cases(samples: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the patients of the cases, and what their pictures are called."""
    shown = cases(samples)
    return [
        (str(who), ", ".join(map(case_title, part["case"])))
        for who, part in shown.groupby("participant_id")
    ]
