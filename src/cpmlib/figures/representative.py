"""Figs. 3 and 4: representative cases, from MRI to histology.

Vocabulary
----------
- *representative case*, case: one sample that the paper shows closely.
- *close-up*: the surroundings of the target, a few centimetres wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from cpmlib.figures.slice_marks import (
    add_colour_bar,
    draw_scale_bar,
    draw_sides,
    draw_target,
)
from cpmlib.figures.slices import (
    STYLES,
    box_of_brain,
    draw_slice,
    field_of_view,
    robust_window,
    take_slice,
    world_point,
)
from cpmlib.figures.style import figure_style, write_reason
from cpmlib.paper.cases import case_title
from cpmlib.study.options import ROI_DIAMETER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

SHOWN = ("T1w", "T1wGd", "FLAIR", "ADC", "CPM", "rCBV")
"""Images of a case: T1 before gadolinium, without which no one can say what enhances, then those of
the paper in its order."""

CLOSE_UP = 44.0
"""Width of a close-up, mm."""

PIXEL = 1.0
CLOSE_UP_PIXEL = 0.5
"""Pixels of the pictures, mm: about what a printed panel of this width resolves."""

BAR = 30.0
CLOSE_UP_BAR = 10.0
"""Scale bars, mm."""

TILE_BARS = (500, 200, 100, 50, 20, 10)
"""Scale bars of a tile, micrometres; the longest that takes at most a third of its width."""

WIDTH = 7.2
PANEL = 0.88
TILE = 1.3
EDGE, GAP = 0.08, 0.08
"""Width of the figure, of a picture of the brain and of the tile; space about and between them,
inches."""

HEAD, SCALE, FOOT = 0.45, 0.4, 0.25
"""Height of a case's titles and of its colour bars, and room for the dataset's label, inches."""

COLOUR_BAR, INSET = 0.07, 0.08
"""Height of a colour bar, and by how much it is shorter than its picture at each end, so that
neighbours' numbers do not meet; inches."""

RESOLUTION = 200
"""Dots per inch of the pictures in the figure's files."""


@dataclass(frozen=True)
class CaseImages:
    """What is shown of a case.

    Parameters
    ----------
    name
        As in the sample table, such as ``fig3a``.
    target : (3,)
        World point, mm, RAS+.
    images
        By the names in `SHOWN`; one that is None or absent is said to be not available.
    tile : (rows, columns, 3) uint8, or None
        H&E; the edge of its pixels in micrometres.
    diameter
        Of the sphere at the target, mm.
    """

    name: str
    target: tuple[float, float, float] | np.ndarray
    images: Mapping[str, nib.Nifti1Image | None]
    tile: np.ndarray | None = None
    tile_pixel_size_um: float = 0.5
    diameter: float = ROI_DIAMETER


def figure_representative(cases: Sequence[CaseImages]) -> Figure:
    """Draw one row of panels a case: MRI and maps at the target, a close-up of each, and H&E.

    Axial slices through the target in radiological convention. The circle is the sphere, true to
    scale. T1, T1+Gd and FLAIR are windowed by percentiles of the slice's brain; ADC, CPM and rCBV
    have one scale for all patients.

    Raises
    ------
    ValueError
        If there is no case, a target is no point, or a tile is no RGB picture.
    """
    from matplotlib.figure import Figure

    if not cases:
        raise ValueError("no case; expected at least one")
    boxes = [_box(case) for case in cases]
    # Panels are placed by hand, in inches: a layout engine's last digits vary from run to run, and
    # with them the names inside the SVG.
    tall = [PANEL * float((box[1, 1] - box[0, 1]) / (box[1, 0] - box[0, 0])) for box in boxes]
    heights = [HEAD + height + GAP + PANEL + SCALE for height in tall]
    with figure_style():
        figure = Figure(figsize=(WIDTH, sum(heights) + FOOT), dpi=RESOLUTION)
        top = sum(heights) + FOOT
        for case, box, brain_height, height in zip(cases, boxes, tall, heights, strict=True):
            _draw_case(figure, case, box, top, brain_height)
            top -= height
    return figure


def _place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add a panel by its place in inches from the lower left of the figure."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, (top - height) / up, width / across, height / up))


def _draw_case(
    figure: Figure, case: CaseImages, box: np.ndarray, top: float, brain_height: float
) -> None:
    target = world_point(case.target)
    across, up = figure.get_size_inches()
    title: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "va": "top", "parse_math": False}
    figure.text(EDGE / across, (top - 0.06) / up, case_title(case.name), **title)
    top -= HEAD
    left = EDGE
    below = top - brain_height - 2 * GAP - PANEL
    for name in SHOWN:
        axes = [
            _place(figure, left, top, PANEL, brain_height),
            _place(figure, left, top - brain_height - GAP, PANEL, PANEL),
            _place(figure, left + INSET, below, PANEL - 2 * INSET, COLOUR_BAR),
        ]
        axes[0].set_title(STYLES[name].title, pad=3)
        _draw_image(axes, case, name, target, box)
        left += PANEL + GAP
    _draw_tile(_place(figure, left, top, TILE, TILE), case)


def _box(case: CaseImages) -> np.ndarray:
    cpm = case.images.get("CPM")
    if cpm is not None:
        return box_of_brain(cpm)
    present = [image for name in SHOWN if (image := case.images.get(name)) is not None]
    if present:
        return field_of_view(present[0])
    half = np.array([70.0, 90.0, 60.0])
    return np.stack([world_point(case.target) - half, world_point(case.target) + half])


def _draw_image(
    axes: list[Axes], case: CaseImages, name: str, target: np.ndarray, box: np.ndarray
) -> None:
    image, style = case.images.get(name), STYLES[name]
    if image is None:
        for ax in axes:
            ax.set_axis_off()
        write_reason(axes[0], "not\navailable")
        return
    slice_ = take_slice(image, target, box=box, spacing=PIXEL, name=name)
    near = np.stack([target - CLOSE_UP / 2, target + CLOSE_UP / 2])
    close = take_slice(image, target, box=near, spacing=CLOSE_UP_PIXEL, name=name)
    limits = style.limits
    if limits is None and np.isfinite(slice_.values).any():
        cpm = case.images.get("CPM")
        brain = None if cpm is None else take_slice(cpm, target, box=box, spacing=PIXEL)
        limits = robust_window(slice_.values, None if brain is None else np.isfinite(brain.values))
    drawn = draw_slice(axes[0], slice_, style, limits=limits)
    draw_slice(axes[1], close, style, limits=limits)
    draw_target(axes[0], target, slice_, diameter=case.diameter, ticks=False)
    draw_target(axes[1], target, close, diameter=case.diameter, reach=12)
    draw_sides(axes[0], "axial")
    draw_scale_bar(axes[0], BAR, f"{BAR / 10:.0f} cm")
    draw_scale_bar(axes[1], CLOSE_UP_BAR, f"{CLOSE_UP_BAR / 10:.0f} cm")
    axes[0].add_patch(_frame(near))
    if drawn is None or style.limits is None:
        axes[2].set_axis_off()
    else:
        add_colour_bar(axes[2], drawn, style)


def _frame(near: np.ndarray) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (near[0, 0], near[0, 1]),
        CLOSE_UP,
        CLOSE_UP,
        fill=False,
        edgecolor="white",
        linewidth=0.4,
        linestyle=":",
    )


def _draw_tile(ax: Axes, case: CaseImages) -> None:
    ax.set_title("H&E", pad=3)
    if case.tile is None:
        ax.set_axis_off()
        write_reason(ax, "not\navailable")
        return
    tile = np.asarray(case.tile)
    if tile.ndim != 3 or tile.shape[2] != 3 or tile.dtype != np.uint8 or 0 in tile.shape:
        raise ValueError(
            f"the tile is {tile.dtype} {tile.shape}; expected uint8 (rows, columns, 3)"
        )
    if not 0 < case.tile_pixel_size_um < np.inf:
        raise ValueError(f"a pixel of {case.tile_pixel_size_um} um; expected a size above 0")
    height, width = (case.tile_pixel_size_um * n for n in tile.shape[:2])
    ax.imshow(tile, extent=(0, width, 0, height), interpolation="antialiased")
    ax.set(xticks=[], yticks=[])
    bars = [bar for bar in TILE_BARS if bar <= width / 3]
    if bars:
        draw_scale_bar(ax, bars[0], f"{bars[0]} µm", colour="black")
