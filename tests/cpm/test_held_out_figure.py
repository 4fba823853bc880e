"""The figure of the test of a model."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from cpmlib.figures.cpm import figure_held_out


def drawn(table: pd.DataFrame) -> list[str]:
    figure = figure_held_out(table)
    figure.savefig(io.BytesIO(), format="png")
    return [ax.get_title() for ax in figure.axes]


def test_says_mean_and_rmse_of_the_error() -> None:
    table = pd.DataFrame({"density": [1000.0, 2000.0, 3000.0], "predicted": [1300.0, 2000, 2600]})
    assert "mean -33, RMSE 289 cells/mm²" in drawn(table)  # by hand


def test_every_patch_is_counted_in_the_histogram() -> None:
    rng = np.random.default_rng(0)
    density = rng.lognormal(7, 0.8, 500)
    table = pd.DataFrame({"density": density, "predicted": density * rng.lognormal(0, 0.5, 500)})
    _, errors, *_ = figure_held_out(table).axes
    assert sum(bar.get_height() for bar in errors.patches) == 500


def test_one_patch_and_none() -> None:
    drawn(pd.DataFrame({"density": [1000.0], "predicted": [1000.0]}))
    figure = figure_held_out(pd.DataFrame({"density": [], "predicted": []}))
    assert [t.get_text() for ax in figure.axes for t in ax.texts].count("no patch held out") == 2
