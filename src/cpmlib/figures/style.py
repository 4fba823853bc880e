"""Colours, names and sizes of every figure, defined once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Okabe & Ito's palette, with a darker purple and a grey. What appears together is told apart by
# colour-blind readers too, as a test holds; no other module of the project spells a colour in hex.
BLUE, SKY, VERMILION, ORANGE = "#0072B2", "#56B4E9", "#D55E00", "#E69F00"
PLUM, PURPLE, GREEN, DARK = "#8A3E6C", "#CC79A7", "#009E73", "#4F4F4F"
PALE, BAND, GRID = "#BBBBBB", "#E6E6E6", "#EEEEEE"
"""Greys of what stands behind the data, the darkest first."""

MARK = "#FF66E5"
"""Of targets on images: a pink that neither greys nor the maps' colours have."""

YELLOW, AMBER, CYAN = "#FFE600", "#FFD92F", "#00B7C7"
"""Bright ones for outlines and areas on images."""

ARROW, BOX = "#7A7A7A", "#E8F1F8"
"""Of drawings that explain."""

LABEL = "#B00020"
"""Of what says that a dataset is made up."""

INK = "#1B1F3B"
"""Of titles."""

ON_PAGES = {
    "label": LABEL,
    "ink": INK,
    "on label": "#FFFFFF",
    "behind images": "#000000",
    "found": "#FFF0A0",
    "found, in the dark": "#5C4A00",
    "link in a box": "#0B57B8",
    "primary": BLUE,
}
"""What style sheets and scripts hold: they cannot import this module, so a test compares them."""

COLOUR = {
    "CET": BLUE,
    "nCET": SKY,
    "HGG": VERMILION,
    "LGG": ORANGE,
    "IDH wild-type": PLUM,
    "IDH mutant": PURPLE,
    "Treatment-naïve": GREEN,
    "Recurrent": DARK,
    "Whole cohort": BLUE,
}
"""Colour of each group."""

PATIENTS = (BLUE, SKY, VERMILION, ORANGE, PLUM, PURPLE)
"""Colours of patients, again and again."""

AXIS_LABEL = {
    "cpm": "CPM cellularity (cells/mm²)",
    "adc": "ADC (10⁻⁶ mm²/s)",
    "he_cellularity": "H&E cellularity (cells/mm²)",
}

PANEL = 2.2
"""Width of one panel, inches."""

NO_IMAGES = "the dataset holds no images for this step"

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
    import matplotlib as mpl
    import seaborn as sns

    with sns.axes_style("ticks"), mpl.rc_context(_RC):
        yield


def name_panels(axes: list[Axes], start: str = "A") -> None:
    """Write A, B, C, ... at the upper left of each panel."""
    for i, ax in enumerate(axes):
        letter = chr(ord(start) + i)
        ax.text(-0.18, 1.04, letter, transform=ax.transAxes, fontsize=10, fontweight="bold")


def write_reason(ax: Axes, reason: str) -> None:
    """Write on an empty panel why it is empty."""
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", wrap=True)


def figure_absent(reason: str = NO_IMAGES) -> Figure:
    """Say in place of a figure why there is none.

    The reason is the figure's label, so that `cpmlib.book.page.Page.figure` can give it in place
    of a caption and an alternative text, which describe what is not there.
    """
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=(2.4 * PANEL, 0.5 * PANEL), layout="constrained", label=reason)
        ax = figure.subplots()
        ax.set_axis_off()
        write_reason(ax, reason)
    return figure
