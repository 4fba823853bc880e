"""How good the map is: its error, its calibration, its agreement, and how sure one may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpmlib.figures.style import (
    AXIS_LABEL,
    COLOUR,
    PANEL,
    SKY,
    VERMILION,
    figure_absent,
    figure_style,
    name_panels,
    write_reason,
)
from cpmlib.paper.correlations import OUTCOME, Flagged, line_with_band
from cpmlib.paper.map_quality.quality import KEPT
from cpmlib.paper.subsets import PREDICTORS, SUBSETS
from cpmlib.statistics.power import WANTED
from cpmlib.statistics.results import ALPHA

BIAS, SCATTER = VERMILION, SKY
DIFFERENCE_LABEL = "H&E − CPM (cells/mm²)"


def figure_errors(errors: pd.DataFrame) -> Figure:
    """Draw the mean square error of each subset as bias and scatter, beside that of a constant.

    ``errors`` as `cpmlib.paper.map_quality.quality.errors` returns it; the samples of Table 2.
    """
    shown = errors[errors["samples"] == KEPT].dropna(subset="estimate")
    if shown.empty:
        return figure_absent("no subset has an error")
    position = np.arange(len(shown))
    bias, scatter = shown["bias"] ** 2 / 1e6, shown["scatter"] ** 2 / 1e6
    with figure_style():
        figure = Figure(figsize=(2 * PANEL, 1.5 * PANEL), layout="constrained")
        ax = figure.subplots()
        ax.bar(position, bias, 0.5, color=BIAS, label="bias²")
        ax.bar(position, scatter, 0.5, bottom=bias, color=SCATTER, label="scatter²")
        constant = shown["constant"] ** 2 / 1e6
        ax.hlines(
            constant, position - 0.35, position + 0.35, color="black", label="constant at the mean"
        )
        ax.set_xticks(position, [SUBSETS[key] for key in shown["subset"]])
        ax.set_ylabel("Mean square error\n(10⁶ (cells/mm²)²)")
        figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return figure


def figure_calibration(flagged: Flagged) -> Figure:
    """Draw H&E against CPM, with the line of equal values and the calibration line.

    ``flagged`` as `cpmlib.paper.correlations.flag_all` returns it; the line is of all samples.
    """
    with figure_style():
        figure = Figure(figsize=(3 * PANEL * 1.1, PANEL * 1.3), layout="constrained")
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        for ax, (key, name) in zip(axes, SUBSETS.items(), strict=True):
            ax.set_title(name)
            ax.set_xlabel(AXIS_LABEL["cpm"])
            _calibration(ax, flagged[key, "cpm"], COLOUR[name])
        axes[0].set_ylabel(AXIS_LABEL[OUTCOME])
        name_panels(list(axes))
    return figure


def _calibration(ax: Axes, part: pd.DataFrame, colour: str) -> None:
    if part.empty:
        write_reason(ax, "no sample")
        return
    top = 1.05 * float(part["cpm"].max())
    ax.plot([0, top], [0, top], color="grey", linestyle="--", linewidth=1)
    ax.scatter(part["cpm"], part[OUTCOME], s=16, color=colour, edgecolor="white", linewidth=0.4)
    x = np.linspace(part["cpm"].min(), part["cpm"].max(), 50)
    band = line_with_band(part, "cpm", x)
    if band is not None:
        y, half = band
        ax.plot(x, y, color=colour, linewidth=1.5)
        ax.fill_between(x, y - half, y + half, color=colour, alpha=0.15, linewidth=0)


def figure_bland_altman(differences: pd.DataFrame, agreement: pd.DataFrame) -> Figure:
    """Draw each sample's difference of H&E and CPM against their mean, with the limits.

    Arguments as `cpmlib.paper.map_quality.quality.differences` and `agreement` return them.
    """
    rows = {
        row["subset"]: row for row in agreement[agreement["statistic"] == "bias"].to_dict("records")
    }
    treatment = {"naive": "treatment-naive", "recurrent": "recurrent"}
    with figure_style():
        figure = Figure(figsize=(3 * PANEL * 1.1, PANEL * 1.3), layout="constrained")
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        for ax, (key, name) in zip(axes, SUBSETS.items(), strict=True):
            part = differences
            if key in treatment:
                part = differences[differences["treatment"] == treatment[key]]
            ax.set_title(name)
            ax.set_xlabel("Mean of H&E and CPM (cells/mm²)")
            if part.empty:
                write_reason(ax, "no sample")
                continue
            ax.scatter(
                part["mean"],
                part["difference"],
                s=16,
                color=COLOUR[name],
                edgecolor="white",
                linewidth=0.4,
            )
            for column, style in (("estimate", "-"), ("lower", "--"), ("upper", "--")):
                if not np.isnan(rows[key][column]):
                    ax.axhline(rows[key][column], color="black", linestyle=style, linewidth=1)
            ax.axhline(0, color="grey", linewidth=0.8)
        axes[0].set_ylabel(DIFFERENCE_LABEL)
        name_panels(list(axes))
    return figure


def figure_bootstrap(bootstrap: pd.DataFrame) -> Figure:
    """Draw the intervals of Table 2 as a forest plot, one panel a statistic.

    ``bootstrap`` as `cpmlib.paper.map_quality.resampling.bootstrap` returns it.
    """
    panels = {"slope": "b", "r2": "R²", "rho": "rho", "rmse": "RMSE (cells/mm²)"}
    order = [(key, predictor) for predictor in PREDICTORS for key in SUBSETS]
    names = [f"{PREDICTORS[predictor]}, {SUBSETS[key]}" for key, predictor in order]
    with figure_style():
        figure = Figure(figsize=(4 * PANEL, PANEL * 1.2), layout="constrained")
        axes = figure.subplots(1, 4, sharey=True)
        for ax, (statistic, label) in zip(axes, panels.items(), strict=True):
            rows = bootstrap[bootstrap["statistic"] == statistic].dropna(subset="estimate")
            for row in rows.to_dict("records"):
                y = order.index((row["subset"], row["predictor"]))
                _interval(ax, y, row, COLOUR[SUBSETS[row["subset"]]])
            if statistic in ("slope", "rho"):
                ax.axvline(0, color="grey", linewidth=0.8)
            ax.set_xlabel(label)
        axes[0].set_yticks(range(len(order)), names)
        axes[0].set_ylim(len(order) - 0.5, -0.5)
        name_panels(list(axes))
    return figure


def _interval(ax: Axes, y: float, row: Mapping[Any, Any], colour: str) -> None:
    ax.plot([row["percentile_low"], row["percentile_high"]], [y + 0.18] * 2, color="grey", lw=1)
    ax.plot([row["ci_low"], row["ci_high"]], [y] * 2, color=colour, linewidth=2)
    ax.plot(row["estimate"], y, "o", color=colour, markersize=4)


def figure_leave_one_out(table: pd.DataFrame) -> Figure:
    """Draw slope and rho without each patient; hollow where p is not below 0.05.

    ``table`` as `cpmlib.paper.map_quality.resampling.leave_one_out` returns it.
    """
    order = [(key, predictor) for predictor in PREDICTORS for key in SUBSETS]
    names = [f"{PREDICTORS[predictor]}, {SUBSETS[key]}" for key, predictor in order]
    with figure_style():
        figure = Figure(figsize=(3.2 * PANEL, PANEL * 1.2), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (statistic, label) in zip(axes, {"slope": "b", "rho": "rho"}.items(), strict=True):
            for y, (key, predictor) in enumerate(order):
                part = table[(table["subset"] == key) & (table["predictor"] == predictor)]
                _strip(ax, y, part.dropna(subset=statistic), statistic, COLOUR[SUBSETS[key]])
            ax.axvline(0, color="grey", linewidth=0.8)
            ax.set_xlabel(label)
        axes[0].set_yticks(range(len(order)), names)
        axes[0].set_ylim(len(order) - 0.5, -0.5)
        name_panels(list(axes))
    return figure


def _strip(ax: Axes, y: float, part: pd.DataFrame, statistic: str, colour: str) -> None:
    everyone = part["without"] == ""
    without = part[~everyone]
    # Spread by their order, not by chance, so that the figure is the same each time
    height = y + 0.22 * np.sin(2.4 * np.arange(len(without)))
    faces = np.where(without[f"{statistic}_p"] < ALPHA, colour, "white")
    ax.scatter(
        without[statistic], height, s=14, color=faces, edgecolor=colour, linewidth=0.8, zorder=2
    )
    ax.scatter(part.loc[everyone, statistic], [y] * everyone.sum(), s=90, marker="|", color="black")


def figure_power(power: pd.DataFrame) -> Figure:
    """Draw the power to tell CPM from ADC against the number of patients.

    ``power`` as `cpmlib.paper.map_quality.resampling.power` returns it.
    """
    if power.empty:
        return figure_absent("no subset has enough patients to simulate from")
    with figure_style():
        figure = Figure(figsize=(2 * PANEL, 1.5 * PANEL), layout="constrained")
        ax = figure.subplots()
        for key, name in SUBSETS.items():
            part, colour = power[power["subset"] == key], COLOUR[name]
            ax.plot(
                part["n_patients"],
                part["power"],
                "o-",
                color=colour,
                markersize=3,
                label=name,
            )
            ax.plot(part["n_patients"], part["size"], ":", color=colour, linewidth=1)
        ax.axhline(WANTED, color="grey", linewidth=0.8)
        ax.axhline(ALPHA, color="grey", linestyle="--", linewidth=0.8)
        ax.set_xscale("log")
        ax.set_ylim(0, 1)
        ax.set_xlabel("Patients")
        ax.set_ylabel("Share of significant tests")
        figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return figure
