"""The spheres at the targets: each on its slice, and what other spheres would have given.

Changes are shown in per cent of the value of the default (`cpmlib.paper.roi_sensitivity`).

Vocabulary
----------
- *flag*: why a sphere was only partly read (`cpmlib.roi.means.RoiValue`), or empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpmlib.figures.slice_marks import add_colour_bar, draw_sides, draw_target
from cpmlib.figures.slices import STYLES, Slice, draw_slice, take_slice, world_point
from cpmlib.figures.style import (
    AXIS_LABEL,
    COLOUR,
    PANEL,
    VERMILION,
    figure_absent,
    figure_style,
    name_panels,
    write_reason,
)
from cpmlib.paper.roi_sensitivity import by_sample, summary
from cpmlib.paper.subsets import PREDICTORS
from cpmlib.study.options import ROI_DIAMETER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 90.0
"""Side of a panel, mm: half of a brain's width on each side, and the sphere still a circle."""

PIXEL = 1.0
"""Pixel of the slices, mm."""

COLUMNS = 6
"""Panels in a row: six make a page's width."""

PANEL_SIZE = 1.2
"""Side of a panel, inches."""

TITLE, GAP, MARGIN, BOTTOM = 0.32, 0.06, 0.05, 0.3
"""Room for a panel's title, between panels, around, and for the dataset's label, inches."""

SCALE, SCALE_WIDTH = 0.4, 1.8
"""Room for the colour bar, and its width, inches."""

LEAST_WIDTH = 4.9
"""Width of a figure of few panels, inches: pages show every figure at their own width, and a single
panel should not fill one. Below `cpmlib.book.page.NARROW`, so that a phone shows it whole."""

RESOLUTION = 90
"""Dots per inch of the pictures in the figure's files."""

FLAGGED = VERMILION
"""Colour of the title of a sphere that was only partly read."""


@dataclass(frozen=True)
class RoiPanel:
    """One sphere on its axial slice; small, so that those of a whole cohort fit in memory.

    ``target`` is (3,), world, mm, RAS+; ``flag`` as in `cpmlib.roi.means.RoiValue`.
    """

    sample_id: str
    flag: str
    target: np.ndarray
    slice: Slice


def roi_panel(
    image: nib.Nifti1Image,
    target: ArrayLike,
    sample_id: str,
    flag: str = "",
    *,
    width: float = WIDTH,
    spacing: float = PIXEL,
) -> RoiPanel:
    """Slice an image through a target, the target in the middle.

    Parameters
    ----------
    image
        3-D, on any grid; the map that is averaged, or anatomy in the same space.
    target : (3,)
        World, mm, RAS+.
    width, spacing
        Side of the panel, and pixel, mm.

    Raises
    ------
    DatasetError
        For an image that cannot be sliced (see `cpmlib.figures.slices.take_slice`).
    ValueError
        If the target is no point, or the width or the spacing not above 0.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.ones((9, 9, 9), np.float32), np.eye(4))
    >>> roi_panel(image, (4, 4, 4), "S01", width=6).slice.values.shape
    (6, 6)
    """
    if not 0 < width < np.inf:
        raise ValueError(f"width is {width}; expected a size above 0 mm")
    point = world_point(target)
    box = np.stack([point - width / 2, point + width / 2])
    slice_ = take_slice(image, point, box=box, spacing=spacing, name=sample_id)
    return RoiPanel(sample_id, flag, point, slice_)


def figure_rois(
    panels: Iterable[RoiPanel],
    kind: str,
    diameter: float = ROI_DIAMETER,
    size: float = PANEL_SIZE,
) -> Figure:
    """Draw every sphere on its slice, for quality control; without any, say so.

    Parameters
    ----------
    panels
        As `roi_panel` makes them, in the order of the figure.
    kind
        What the slices are, one of `cpmlib.figures.slices.STYLES`; another raises ValueError.
    diameter
        Of the spheres, mm; drawn true to scale.
    size
        Side of a panel, inches.

    Returns
    -------
    matplotlib.figure.Figure
        Axial slices in radiological convention, six in a row, each with the sample and the height
        of its slice, and one colour bar; the title of a sphere that was only partly read says why,
        in colour.
    """
    from matplotlib.figure import Figure

    panels = list(panels)
    if not panels:
        return figure_absent()
    if kind not in STYLES:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(STYLES)}")
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    used = columns * size + (columns - 1) * GAP
    width = max(2 * MARGIN + used, LEAST_WIDTH)
    height = MARGIN + rows * (size + TITLE) + SCALE + BOTTOM
    with figure_style():
        # Placed by hand: a layout engine would take longer than all the drawing.
        figure = Figure(figsize=(width, height), dpi=RESOLUTION)
        drawn = []
        for i, panel in enumerate(panels):
            row, column = divmod(i, columns)
            left = (width - used) / 2 + column * (size + GAP)
            bottom = height - MARGIN - (row + 1) * (size + TITLE)
            place = (left / width, bottom / height, size / width, size / height)
            ax = figure.add_axes(place)
            drawn.append(draw_slice(ax, panel.slice, STYLES[kind]))
            draw_target(ax, panel.target, panel.slice, diameter=diameter, width=0.7)
            draw_sides(ax, "axial", size=5)
            _title(ax, panel)
        pictures = [picture for picture in drawn if picture is not None]
        if pictures and STYLES[kind].limits:
            left, bottom = (width - SCALE_WIDTH) / 2, BOTTOM + 0.7 * SCALE
            place = (left / width, bottom / height, SCALE_WIDTH / width, 0.08 / height)
            bar = add_colour_bar(figure.add_axes(place), pictures, STYLES[kind])
            bar.set_label(f"{STYLES[kind].title} ({STYLES[kind].unit})", fontsize=6, labelpad=1)
    return figure


def _title(ax: Axes, panel: RoiPanel) -> None:
    text = f"{panel.sample_id}, z = {panel.slice.position:.0f} mm"
    if panel.flag:
        ax.set_title(f"{text}\n{panel.flag}", fontsize=6, color=FLAGGED, pad=2)
    else:
        ax.set_title(text, fontsize=7.5, pad=2)


def figure_sensitivity(table: pd.DataFrame) -> Figure:
    """Draw how diameter, shift and weighting change the values of the samples.

    ``table`` as `cpmlib.paper.roi_sensitivity.sensitivity` returns it, of all patients. Rows CPM
    and ADC. Left, change with the diameter; middle, size of the change with the distance of a
    shift, mean over directions: thin, each sample; thick, their median. Right, the value of each
    sample by both weightings, with the line of equality.
    """
    from matplotlib.figure import Figure

    if "map" not in table:
        return figure_absent()
    samples, overall = by_sample(table), summary(table)
    draw: dict[str, Callable[[Axes, pd.DataFrame, pd.DataFrame, str], None]] = {
        "diameter": _draw_diameter,
        "shift": _draw_shift,
        "weighting": _draw_weighting,
    }
    with figure_style():
        figure = Figure(figsize=(3 * PANEL * 1.15, 2 * PANEL * 1.1), layout="constrained")
        axes = figure.subplots(len(PREDICTORS), len(draw))
        for row, (key, name) in enumerate(PREDICTORS.items()):
            for ax, (varied, function) in zip(axes[row], draw.items(), strict=True):
                ax.set_title(f"{name}: {varied}")
                chosen = samples[(samples["map"] == key) & (samples["varied"] == varied)]
                if chosen.empty:
                    write_reason(ax, "no map with a target")
                    continue
                total = overall[(overall["map"] == key) & (overall["varied"] == varied)]
                function(ax, chosen, total, key)
        name_panels(list(axes.flat))
    return figure


def _draw_diameter(ax: Axes, samples: pd.DataFrame, overall: pd.DataFrame, key: str) -> None:
    size = samples["default"].abs()
    signed = 100 * (samples["mean"] - samples["default"]) / size.where(size > 0)
    change = samples.assign(change=signed).pivot_table(
        index="diameter", columns="sample_id", values="change", dropna=False
    )
    _draw_lines(ax, change, change.median(axis=1))
    ax.axhline(0, color="grey", linewidth=0.6, zorder=0)
    ax.set(xlabel="Diameter (mm)", ylabel="Change (%)")


def _draw_shift(ax: Axes, samples: pd.DataFrame, overall: pd.DataFrame, key: str) -> None:
    change = samples.assign(change=100 * samples["relative"]).pivot_table(
        index="shift", columns="sample_id", values="change", dropna=False
    )
    _draw_lines(ax, change, 100 * overall.set_index("shift")["median_relative"])
    ax.set(xlabel="Shift (mm)", ylabel="Size of the change (%)")


def _draw_lines(ax: Axes, change: pd.DataFrame, median: pd.Series) -> None:
    if not np.isfinite(change.to_numpy(dtype=float)).any():
        write_reason(ax, "no change in per cent of 0")
        return
    ax.plot(change.index, change, color="grey", linewidth=0.5, alpha=0.6)
    ax.plot(median.index, median, color=COLOUR["Whole cohort"], linewidth=2)


def _draw_weighting(ax: Axes, samples: pd.DataFrame, overall: pd.DataFrame, key: str) -> None:
    values = samples.pivot_table(index="sample_id", columns="weighting", values="mean")
    x, y = values["voxel-centre"], values["partial-volume"]
    ends = [float(values.min().min()), float(values.max().max())]
    ax.plot(ends, ends, color="grey", linestyle="--", linewidth=0.8)
    ax.scatter(x, y, s=14, color=COLOUR["Whole cohort"], edgecolor="white", linewidth=0.4)
    unit = AXIS_LABEL[key]
    ax.set(xlabel=f"Voxel centres:\n{unit}", ylabel=f"Partial volumes:\n{unit}")
