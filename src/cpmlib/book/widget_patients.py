"""*What a patient effect does*: p values of both analyses on made-up data, for any ICC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cpmlib.book.page import Page
from cpmlib.book.widgets import button, plot, show_widget, slider
from cpmlib.figures.style import COLOUR, PATIENTS
from cpmlib.paper.patient_effect import ICCS, N_PATIENTS, SAMPLES_EACH, made_up_parts, p_values
from cpmlib.statistics.results import ALPHA

if TYPE_CHECKING:
    from bokeh.plotting import figure

TITLE = "What a patient effect does"
SEE = (
    "Nothing goes with anything here: predictor and outcome are drawn by chance. The more the "
    "samples of a patient resemble each other (ICC), the more they gather in clouds, and the more "
    "often the analysis that counts samples finds an association all the same. The mixed model "
    "stays near the dashed five per cent."
)
LABEL = "Made-up data: no patient was measured"
SHOWN = 8
"""Data sets whose samples the page carries."""


def show_patients(page: Page) -> None:
    """Show the widget; its data do not depend on the page's dataset."""
    shared, own, patient = made_up_parts()
    found = p_values(shared, own, patient)
    analyses = ("naive", "with_patients")
    data: dict[str, Any] = {
        "shared": shared[:SHOWN].round(4).tolist(),
        "own": own[:SHOWN].round(4).tolist(),
        "patient": [f"patient {i + 1}" for i in patient],
        "colour": [PATIENTS[i % len(PATIENTS)] for i in patient],
        "iccs": ICCS,
        "p": {
            name: [
                part[name].head(SHOWN).round(6).tolist()
                for _, part in found.groupby("icc", sort=True)
            ]
            for name in analyses
        },
        "share": {
            name: [float((part[name] < ALPHA).mean()) for _, part in found.groupby("icc")]
            for name in analyses
        },
        "sets": int(found["set"].nunique()),
    }
    controls = slider("icc", "ICC", 0, max(ICCS), ICCS[1], 0) + button("next", "Another data set")
    plots = [_samples(), _shares(data)]
    show_widget(page, "patients", TITLE, SEE, plots, data, controls=controls, label=LABEL)


def _samples() -> figure:
    from bokeh.models import ColumnDataSource, HoverTool

    title = f"{N_PATIENTS} patients with {SAMPLES_EACH} samples each"
    drawn = plot("Predictor", "Outcome", (-3.5, 3.5), (-3.5, 3.5), title=title)
    empty: dict[str, list[float]] = {"x": [], "y": [], "colour": [], "patient": []}
    samples = ColumnDataSource(dict(empty), name="samples")
    dots = drawn.scatter("x", "y", source=samples, size=8, color="colour", line_color="white")
    drawn.add_tools(HoverTool(renderers=[dots], tooltips="@patient"))
    line = ColumnDataSource({"x": [], "y": []}, name="line")
    drawn.line("x", "y", source=line, color="black", line_width=2)
    return drawn


def _shares(data: dict[str, Any]) -> figure:
    from bokeh.models.annotations import Span

    title = f"Data sets with p < {ALPHA:g}, of {data['sets']}"
    drawn = plot("ICC", "Share", (-0.05, 0.95), (0, 1), title=title)
    named = {"naive": ("naive", "HGG"), "with_patients": ("mixed model", "CET")}
    for name, (text, colour) in named.items():
        shares = data["share"][name]
        style: dict[str, Any] = {"color": COLOUR[colour], "legend_label": text}
        drawn.line(list(ICCS), shares, line_width=2, **style)
        drawn.scatter(list(ICCS), shares, size=6, **style)
    level = Span(location=ALPHA, dimension="width", line_dash="dashed")
    drawn.add_layout(level)
    drawn.add_layout(Span(location=0, dimension="height", name="here", line_width=2))
    drawn.legend.location = "top_center"
    return drawn
