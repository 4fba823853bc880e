"""Colours, names and sizes of every figure, defined once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

COLOUR = {
    "CET": "#0072B2",
    "nCET": "#56B4E9",
    "HGG": "#D55E00",
    "LGG": "#E69F00",
    "IDH wild-type": "#8A3E6C",
    "IDH mutant": "#CC79A7",
    "Treatment-naïve": "#00745B",
    "Recurrent": "#4F4F4F",
    "Whole cohort": "#0072B2",
}
"""Colour of each group: Okabe & Ito's palette, told apart by colour-blind readers too."""

AXIS_LABEL = {
    "cpm": "CPM cellularity (cells/mm²)",
    "adc": "ADC (10⁻⁶ mm²/s)",
    "he_cellularity": "H&E cellularity (cells/mm²)",
}

PANEL = 2.2
"""Width of one panel, inches."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style while a figure is drawn."""
    import seaborn as sns

    with sns.axes_style("ticks"), mpl.rc_context(_RC):
        yield


def name_panels(axes: list[Axes], start: str = "A") -> None:
    """Write A, B, C, ... at the upper left of each panel."""
    for i, ax in enumerate(axes):
        letter = chr(ord(start) + i)
        ax.text(-0.18, 1.04, letter, transform=ax.transAxes, fontsize=10, fontweight="bold")


def say(ax: Axes, reason: str) -> None:
    """Write on an empty panel why it is empty."""
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", wrap=True)
