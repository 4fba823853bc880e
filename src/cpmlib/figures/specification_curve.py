"""The specification curve: all analyses of one claim, sorted, and the choices behind each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from cpmlib.figures.style import BLUE, PALE, PANEL, VERMILION, figure_absent, figure_style
from cpmlib.paper.specifications.choices import CHOICES, level_name

HOLDS, NOT, PRINTED, CHANCE = BLUE, VERMILION, "black", PALE

LABEL = {
    "association": "Correlation, or slope in SD",
    "strength": "Difference of Fisher's z,\nCPM less ADC",
    "difference": "Difference of Fisher's z,\nnaïve less recurrent",
    "groups": "Shift (cells/mm²)",
    "error": "Difference of RMSE\n(cells/mm²)",
}
"""What the effect is, by kind of claim."""

ROW, CURVE = 0.135, 2.0
"""Height of a level's row and of the curve, inches."""


def figure_specifications(table: pd.DataFrame, null: pd.DataFrame, kind: str) -> Figure:
    """Draw the curve of one claim above the matrix of its choices.

    Parameters
    ----------
    table, null
        The claim's rows, as `cpmlib.paper.specifications.run.specifications` and
        `cpmlib.paper.specifications.null_cohorts.null_specifications` return them.
    kind
        Of the claim.
    """
    shown = table.dropna(subset=["effect"]).sort_values("effect", kind="stable")
    if shown.empty:
        notes = table["note"].unique()
        return figure_absent(notes[0] if len(notes) else "no specification of this claim")
    levels = _levels(shown)
    height = CURVE + ROW * (len(levels) + len({name for name, _ in levels}))
    with figure_style():
        figure = Figure(figsize=(3.2 * PANEL, height + 0.5), layout="constrained")
        top, bottom = figure.subplots(2, height_ratios=[CURVE, height - CURVE], sharex=True)
        _draw_curve(top, shown, null)
        top.set_ylabel(LABEL[kind])
        _draw_choices(bottom, shown, levels)
        figure.legend(frameon=False, loc="outside upper center", ncols=4)
    return figure


def _levels(shown: pd.DataFrame) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for choice in CHOICES:
        levels = [level for level in shown[choice.column].unique() if level != ""]
        if len(levels) > 1:
            ordered = sorted(levels) if isinstance(levels[0], float) else levels
            found += [(choice.column, level) for level in ordered]
    return found


def _draw_curve(ax: Axes, shown: pd.DataFrame, null: pd.DataFrame) -> None:
    place = np.arange(len(shown))
    width = max(0.4, 80 / len(shown))  # points: those of few specifications would be hair lines
    curves = [np.sort(own["effect"].dropna().to_numpy(float)) for _, own in null.groupby("cohort")]
    if curves := [curve for curve in curves if len(curve)]:
        at = np.linspace(0, 1, 101)
        low_high = [np.interp(at, np.linspace(0, 1, len(curve)), curve) for curve in curves]
        ends = np.min(low_high, axis=0), np.max(low_high, axis=0)
        label = f"curves of {len(curves)} null cohorts"
        ax.fill_between(
            at * max(len(shown) - 1, 1), *ends, color=CHANCE, alpha=0.6, linewidth=0, label=label
        )
    ax.axhline(0, color="black", linewidth=0.6)
    holds = shown["holds"].fillna(False).to_numpy(bool)
    for held, colour, label in ((True, HOLDS, "holds"), (False, NOT, "does not hold")):
        if not (chosen := holds == held).any():
            continue
        own = shown[chosen]
        ends = own["effect_low"], own["effect_high"]
        # A picture in the file: thousands of lines would be slow to show.
        ax.vlines(place[chosen], *ends, color=colour, alpha=0.25, linewidth=width, rasterized=True)
        ax.scatter(
            place[chosen],
            own["effect"],
            s=max(3, 8 * width),
            color=colour,
            label=label,
            rasterized=True,
        )
    printed = shown["printed_analysis"].to_numpy(bool)
    ax.scatter(
        place[printed],
        shown["effect"][printed],
        s=34,
        marker="D",
        facecolor="white",
        edgecolor=PRINTED,
        linewidth=1.2,
        zorder=5,
        label="as in this book",
    )
    bounded = shown[["effect", "effect_low", "effect_high"]].replace([np.inf, -np.inf], np.nan)
    low, high = np.nanpercentile(bounded.to_numpy(float), [0.5, 99.5])
    room = 0.05 * (high - low) or 1.0
    ax.set_ylim(min(low, bounded["effect"].min()) - room, max(high, bounded["effect"].max()) + room)


def _draw_choices(ax: Axes, shown: pd.DataFrame, levels: list[tuple[str, object]]) -> None:
    """Draw a mark for the level of each choice in each specification."""
    names = {choice.column: choice.name for choice in CHOICES}
    holds = shown["holds"].fillna(False).to_numpy(bool)
    colours = np.where(holds[:, None], to_rgb(HOLDS), to_rgb(NOT))
    rows: list[np.ndarray] = []
    labels, bold = [], []
    white = np.ones((len(shown), 3))
    for i, (column, level) in enumerate(levels):
        if not i or levels[i - 1][0] != column:
            bold.append(len(rows))
            labels.append(names[column])
            rows.append(white)
        own = (shown[column] == level).to_numpy(bool)
        rows.append(np.where(own[:, None], colours, white))
        labels.append(level_name(level))
    if rows:
        ax.imshow(np.stack(rows), aspect="auto", interpolation="nearest")
    ax.set_yticks(np.arange(len(labels)), labels, fontsize=6.5)
    for place in bold:
        ax.get_yticklabels()[place].set_fontweight("bold")
    ax.tick_params(left=False)
    ax.spines["left"].set_visible(False)
    ax.set_xlim(-0.5, len(shown) - 0.5)
    ax.set_xlabel("Specifications, by their effect")
    for position in np.flatnonzero(shown["printed_analysis"]):
        ax.axvline(float(position), color=PRINTED, linewidth=0.6)
