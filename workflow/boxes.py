"""Draw boxes and arrows: the rooms of the library, and the jobs of the workflow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cpmlib.figures.style import ARROW, BLUE, BOX

Point = tuple[float, float]


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size, inches, and axes that fill it."""
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    return figure, ax


def draw(
    ax: Axes, boxes: Iterable[tuple[Point, Point]], arrows: Iterable[tuple[Point, Point]]
) -> None:
    """Draw boxes, each a lower left corner and a size, over the arrows between two points."""
    style = {"arrowstyle": "-|>", "color": ARROW, "linewidth": 1.2}
    for start, end in arrows:
        ax.annotate("", end, start, arrowprops=style, zorder=0)
    for corner, size in boxes:
        ax.add_patch(FancyBboxPatch(corner, *size, "round,pad=0.03", fc=BOX, ec=BLUE))


def save(figure: Figure, target: str | Path) -> None:
    """Write a drawing; equal ones are equal files."""
    with mpl.rc_context({"svg.hashsalt": "boxes"}):
        figure.savefig(target, metadata={"Date": None})
