"""What is drawn upon a slice: targets, outlines, sides, scale bars, colour bars.

Lengths are mm of the world, or the panel's own unit; widths of lines are points.

Vocabulary
----------
- *side*: which side of the patient an edge of the picture is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cpmlib.figures.slices import PLANES, DisplayStyle, Plane, Slice, world_point
from cpmlib.figures.style import GREEN, MARK
from cpmlib.study.options import ROI_DIAMETER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage

SIDES: dict[Plane, tuple[str, str]] = {
    "axial": ("R", "L"),
    "coronal": ("R", "L"),
    "sagittal": ("A", "P"),
}
"""Letters at the left and right of the picture."""

OUTLINE_TOLERANCE = 0.4
"""How far an outline may lie beside the mask's edge, in pixels of the mask: the steps of the pixels
go, and with them most of the points."""


def draw_target(
    ax: Axes,
    target: ArrayLike,
    slice_: Slice,
    *,
    diameter: float = ROI_DIAMETER,
    reach: float = 14.0,
    ticks: bool = True,
    width: float = 0.9,
) -> None:
    """Mark a target without covering it: the sphere's outline, and four strokes that point to it.

    Parameters
    ----------
    target : (3,)
        World point, mm, RAS+.
    diameter
        Of the sphere, mm; drawn true to scale. Solid where the slice passes through the sphere,
        dotted where the sphere lies in front of it or behind it.
    reach
        Distance from the target to the outer end of a stroke, mm.
    width
        Of the lines, points.
    """
    from matplotlib.patches import Circle
    from matplotlib.patheffects import withStroke

    across, up, through = PLANES[slice_.plane]
    world = world_point(target)
    x, y = float(world[across]), float(world[up])
    on_slice = abs(world[through] - slice_.position) <= diameter / 2
    # A dark rim keeps the mark visible on bright tissue and in print without colour.
    rim = [withStroke(linewidth=width + 1.0, foreground="black", alpha=0.6)]
    ax.add_patch(
        Circle(
            (x, y),
            diameter / 2,
            fill=False,
            edgecolor=MARK,
            linewidth=width,
            linestyle="-" if on_slice else ":",
            path_effects=rim,
        )
    )
    if not ticks:
        return
    gap = reach / 2 if reach > diameter * 1.5 else diameter * 0.75
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        ax.plot(
            [x + gap * dx, x + reach * dx],
            [y + gap * dy, y + reach * dy],
            color=MARK,
            linewidth=width,
            solid_capstyle="butt",
            path_effects=rim,
            scalex=False,
            scaley=False,
        )


def draw_outline(ax: Axes, mask: Slice, colour: str = GREEN, width: float = 0.6) -> None:
    """Draw the outline of a mask; 0 and NaN are outside."""
    from shapely import LineString
    from skimage.measure import find_contours

    inside = np.nan_to_num(mask.values) != 0
    if inside.all() or not inside.any():
        return
    left, right, bottom, top = mask.edges
    rows, columns = inside.shape
    for contour in find_contours(inside.astype(float), 0.5):
        row, column = LineString(contour).simplify(OUTLINE_TOLERANCE, preserve_topology=False).xy
        x = left + (np.array(column) + 0.5) * (right - left) / columns
        y = top + (np.array(row) + 0.5) * (bottom - top) / rows
        ax.plot(x, y, color=colour, linewidth=width)


def draw_sides(ax: Axes, plane: Plane, size: float = 6.0) -> None:
    """Write at the left and right of the picture which side of the patient that is."""
    from matplotlib.patheffects import withStroke

    left, right = SIDES[plane]
    for x, letter, align in ((0.02, left, "left"), (0.98, right, "right")):
        ax.text(
            x,
            0.5,
            letter,
            transform=ax.transAxes,
            ha=align,
            va="center",
            color="white",
            fontsize=size,
            path_effects=[withStroke(linewidth=1.5, foreground="black")],
        )


def draw_scale_bar(ax: Axes, length: float, text: str, colour: str = "white") -> None:
    """Draw a bar of a length in the panel's coordinates at its lower right, with what it says."""
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=1.5, foreground="white" if colour == "black" else "black")]
    start, end = ax.get_xlim()
    share = length / abs(end - start)
    place: dict[str, Any] = {"transform": ax.transAxes, "color": colour, "path_effects": rim}
    ax.plot([0.96 - share, 0.96], [0.045, 0.045], linewidth=1.4, solid_capstyle="butt", **place)
    ax.text(0.96 - share / 2, 0.06, text, fontsize=5.5, ha="center", va="bottom", **place)


def add_colour_bar(
    ax: Axes, drawn: AxesImage | Sequence[AxesImage], style: DisplayStyle
) -> Colorbar:
    """Fill a flat panel with the colour bar of slices in one window, and their unit.

    An end of the bar is pointed where values lie beyond the window. ``drawn`` as
    `cpmlib.figures.slices.draw_slice` returns it, one or several.
    """
    pictures = drawn if isinstance(drawn, Sequence) else [drawn]
    values = np.concatenate([np.ma.compressed(np.ma.asarray(p.get_array())) for p in pictures])
    low, high = pictures[0].get_clim()
    below, above = bool((values < low).any()), bool((values > high).any())
    ends = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    extend = ends.get((below, above), "both")
    bar = ax.figure.colorbar(pictures[0], cax=ax, orientation="horizontal", extend=extend)
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=5.5, length=2, pad=1, width=0.4)
    bar.set_label(style.unit, fontsize=5.5, labelpad=1)
    return bar
