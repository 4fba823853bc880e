"""H&E tiles: what the pathologist sees, and what the count of nuclei made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cpmlib.figures.style import COLOUR, CYAN, PANEL, YELLOW, figure_style, name_panels

if TYPE_CHECKING:
    from cpmlib.histology.nucleus_counting import NucleusCount

BAR_UM = 50.0
"""Length of the scale bar."""
BAR_SHARE = 0.4
"""Largest share of a tile's width that the bar may take; on a smaller tile it is halved."""
OUTLINE, NOT_COUNTED = YELLOW, CYAN
"""Yellow and cyan: neither stain has them."""


def figure_counting(rgb: np.ndarray, count: NucleusCount, pixel_size_um: float) -> Figure:
    """Draw how nuclei are counted: tile, haematoxylin channel, nuclei in and beside the frame.

    ``rgb`` is (H, W, 3) uint8, ``count`` as
    `cpmlib.histology.nucleus_counting.count_nuclei` returns it for this tile; one of another size
    raises ValueError.
    """
    if count.labels.shape != rgb.shape[:2]:
        raise ValueError(f"labels are {count.labels.shape}, the tile is {rgb.shape[:2]}")
    with figure_style():
        figure = Figure(figsize=(3 * 1.6 * PANEL, 1.8 * PANEL), layout="constrained")
        tile, channel, found = figure.subplots(1, 3)
        draw_tile(tile, rgb, pixel_size_um)
        tile.set_title("H&E")
        draw_channel(channel, count)
        channel.set_title("Haematoxylin, with the threshold")
        draw_tile(found, rgb, pixel_size_um)
        draw_outlines(found, np.where(count.labels <= count.n, count.labels, 0))
        draw_outlines(found, np.where(count.labels > count.n, count.labels, 0), NOT_COUNTED)
        draw_frame(found, count)
        found.set_title(f"{count.n} nuclei, {count.density:.0f} per mm²")
        name_panels([tile, channel, found])
    return figure


def draw_tile(ax: Axes, rgb: np.ndarray, pixel_size_um: float) -> None:
    """Draw a tile and, at its lower right, a scale bar."""
    ax.imshow(rgb, interpolation="antialiased")
    ax.set_axis_off()
    height, width = rgb.shape[:2]
    length = BAR_UM
    while length > BAR_SHARE * width * pixel_size_um:
        length /= 2
    pixels, margin, thick = length / pixel_size_um, 0.04 * width, 0.012 * height
    left, top = width - margin - pixels, height - margin - thick
    back = (left - 0.6 * margin, top - 2.2 * margin)
    size = (pixels + 1.2 * margin, thick + 2.8 * margin)
    ax.add_patch(Rectangle(back, *size, color="white", alpha=0.75, linewidth=0, zorder=4))
    ax.add_patch(Rectangle((left, top), pixels, thick, color="black", linewidth=0, zorder=5))
    middle = left + pixels / 2
    text = f"{length:g} µm"
    ax.text(middle, top - 0.25 * margin, text, ha="center", va="bottom", fontsize=7, zorder=6)


def draw_channel(ax: Axes, count: NucleusCount) -> None:
    """Draw the haematoxylin channel in grey, the threshold as a line on its colour bar."""
    high = max(float(np.percentile(count.haematoxylin, 99.5)), 1.5 * count.threshold)
    image = ax.imshow(count.haematoxylin, cmap="gray_r", vmin=0, vmax=high)
    ax.set_axis_off()
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85, label="Haematoxylin (arbitrary unit)")
    bar.ax.axhline(count.threshold, color=COLOUR["HGG"], linewidth=1.5)


def draw_outlines(ax: Axes, labels: np.ndarray, colour: str = OUTLINE) -> None:
    """Draw the edge of every nucleus over a tile."""
    from skimage.segmentation import find_boundaries

    edge = find_boundaries(labels, mode="inner")
    if edge.any():
        ax.contourf(edge.astype(float), levels=[0.5, 1.5], colors=[colour])


def draw_frame(ax: Axes, count: NucleusCount) -> None:
    """Draw the frame in which a nucleus's centroid lies if it is counted."""
    height, width = np.array(count.labels.shape) - 2 * count.margin
    corner = (count.margin - 0.5,) * 2
    frame = Rectangle(corner, width, height, fill=False, edgecolor="black", linewidth=0.8)
    frame.set(linestyle="--", zorder=3)
    ax.add_patch(frame)
