"""Quality control: every patient's contrasts and map on one tall figure.

A row of the figure is one patient, and holds slices only, so that a whole cohort fits in memory.
Extrapolation (`cpmlib.cpm.predict`) is shown as the number of contrasts that it concerns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

from cpmlib.figures.slice_marks import add_colour_bar, draw_outline, draw_sides, draw_target
from cpmlib.figures.slices import (
    STYLES,
    Slice,
    box_of_brain,
    draw_slice,
    field_of_view,
    take_slice,
)
from cpmlib.figures.style import AMBER, VERMILION, figure_absent, figure_style, write_reason
from cpmlib.mri.resampling import Interpolation
from cpmlib.study.options import ROI_DIAMETER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

SHOWN = ("T1w", "T1wGd", "FLAIR", "ADC", "CPM")
"""Columns: what the map is made from, and the map."""

PERFUSION = "rCBV"
"""Further column, for rows that have it: whose perfusion series was moved far."""

EXTRAPOLATION = "extrapolation"
"""Further column, drawn where a row has it: the voxels concerned, over the anatomy."""

EXTRAPOLATION_TITLE = "outside training"
EXTRAPOLATION_COLOURS = (AMBER, VERMILION)
"""One contrast, and two or more."""

UNDERNEATH = ("T1wGd", "T1w", "FLAIR", "ADC")
"""What the extrapolation is drawn over: the first that there is."""

PIXEL = 1.5
"""Pixel of the small slices, mm; finer than the 2-mm grid of the default profile."""

MARGIN = 12.0
"""Space around the brain, mm, so that scalp and a mask that is too large can be seen."""

PANEL_WIDTH, PANEL_HEIGHT = 1.15, 1.38
"""Size of one slice, inches."""

LEFT, TOP, BOTTOM, GAP = 0.5, 0.3, 0.45, 0.05
"""Room for names, titles and the dataset's label, and between slices, inches."""

SCALE = 0.3
"""Room for colour bars, inches."""

RESOLUTION = 85
"""Dots per inch of the pictures in the figure's files."""

SHADES = 24
"""Shades of a picture: enough for small slices, and half the bytes of 256."""


@dataclass(frozen=True)
class QualityRow:
    """What the figure shows of one patient.

    ``slices`` by the names in `SHOWN`, `PERFUSION` and `EXTRAPOLATION`; an absent image is None.
    ``targets`` is (N, 3), mm, RAS+.
    """

    name: str
    slices: Mapping[str, Slice | None]
    mask: Slice | None
    targets: np.ndarray


def quality_row(
    name: str,
    images: Mapping[str, nib.Nifti1Image | None],
    mask: nib.Nifti1Image | None,
    targets: ArrayLike,
) -> QualityRow:
    """Slice a patient's images through the target that is the middle one from below to above.

    Parameters
    ----------
    images
        By the names in `SHOWN`, `PERFUSION`, `EXTRAPOLATION`; absent or None where there is none.
    targets : (N, 3)
        mm, RAS+; without any, the slice passes through the middle of the brain.

    Raises
    ------
    DatasetError
        For an image that cannot be sliced (see `cpmlib.figures.slices.take_slice`).
    ValueError
        If there is no image, or the targets are no points.

    Examples
    --------
    >>> ones = nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.diag([3.0, 3, 3, 1]))
    >>> row = quality_row("sub-01", {"T1w": ones}, None, [[3, 3, 2], [3, 3, 4], [3, 3, 9]])
    >>> row.slices["T1w"].position
    4.0
    """
    points = np.asarray(targets, dtype=float).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError(f"targets of {name} are not finite")
    present = {key: image for key in (*SHOWN, PERFUSION) if (image := images.get(key)) is not None}
    if not present:
        raise ValueError(f"{name} has no image to show")
    if mask is not None:
        box = box_of_brain(mask, MARGIN)
    elif "CPM" in present:
        box = box_of_brain(present["CPM"], MARGIN)
    else:
        box = field_of_view(next(iter(present.values())))
    point = box.mean(axis=0)
    if len(points):
        point = points[np.argsort(points[:, 2], kind="stable")[(len(points) - 1) // 2]]

    def sliced(key: str, image: nib.Nifti1Image, how: Interpolation = "linear") -> Slice:
        named = f"{name} {key}"
        return take_slice(image, point, box=box, spacing=PIXEL, interpolation=how, name=named)

    slices = {key: sliced(key, image) for key, image in present.items()}
    counts = images.get(EXTRAPOLATION)
    if counts is not None:
        slices[EXTRAPOLATION] = sliced(EXTRAPOLATION, counts, "nearest")
    inside = None if mask is None else sliced("mask", mask, "nearest")
    return QualityRow(name, slices, inside, points)


def figure_quality(rows: Iterable[QualityRow], diameter: float = ROI_DIAMETER) -> Figure:
    """Draw one row of small axial slices a patient; without any, say so.

    Parameters
    ----------
    rows
        As `quality_row` makes them, in the order of the figure.
    diameter
        Of the spheres at the targets, mm.

    A column for each image that some patient has, with a colour bar below where it has a unit.
    Radiological convention; the mask's outline in blue; targets as circles of the sphere's size,
    solid where the slice passes through the sphere, dotted where it lies above or below. If a row
    has it, a last column shows over the anatomy where the model extrapolates: yellow for one
    contrast, vermilion for more.
    """
    from matplotlib.figure import Figure

    rows = list(rows)
    if not rows:
        return figure_absent()
    shown = [
        name
        for name in (*SHOWN, PERFUSION, EXTRAPOLATION)
        if any(row.slices.get(name) is not None for row in rows)
    ]
    width = LEFT + PANEL_WIDTH * len(shown)
    below = BOTTOM + (SCALE if any(name in STYLES and STYLES[name].unit for name in shown) else 0.0)
    height = TOP + PANEL_HEIGHT * len(rows) + below
    with figure_style():
        # Placed by hand: a layout engine would take longer than all the drawing.
        figure = Figure(figsize=(width, height), dpi=RESOLUTION)
        axes = figure.subplots(len(rows), len(shown), squeeze=False)
        figure.subplots_adjust(
            left=LEFT / width,
            right=1 - GAP / width,
            bottom=below / height,
            top=1 - TOP / height,
            wspace=GAP / PANEL_WIDTH,
            hspace=GAP / PANEL_HEIGHT,
        )
        drawn: dict[str, list[AxesImage]] = {name: [] for name in shown}
        for i, row in enumerate(rows):
            for ax, name in zip(axes[i], shown, strict=True):
                picture = _draw(ax, row, name, diameter)
                drawn[name] += [] if picture is None else [picture]
                if i == 0:
                    ax.set_title(STYLES[name].title if name in STYLES else EXTRAPOLATION_TITLE)
            z = next(slice_.position for slice_ in row.slices.values() if slice_ is not None)
            axes[i, 0].set_ylabel(f"{row.name}\nz = {z:.0f} mm", fontsize=8)
            draw_sides(axes[i, 0], "axial")
        for ax, name in zip(axes[-1], shown, strict=True):
            if name in STYLES and STYLES[name].unit and drawn[name]:
                box = ax.get_position()
                place = (box.x0 + 0.1 * box.width, box.y0 - 0.12 / height, 0.8 * box.width)
                bar = figure.add_axes((*place, 0.07 / height))
                add_colour_bar(bar, drawn[name], STYLES[name])
    return figure


def _draw(ax: Axes, row: QualityRow, name: str, diameter: float) -> AxesImage | None:
    slice_, counts = row.slices.get(name), None
    if name == EXTRAPOLATION and slice_ is not None:
        counts = slice_
        name = next((key for key in UNDERNEATH if row.slices.get(key) is not None), "")
        slice_ = row.slices.get(name)
    if slice_ is None:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        write_reason(ax, "not available")
        return None
    brain = None if row.mask is None else np.nan_to_num(row.mask.values) != 0
    drawn = draw_slice(ax, slice_, STYLES[name], brain=brain, shades=SHADES)
    if drawn is None:
        return None
    if counts is not None:
        _draw_extrapolation(ax, counts)
    if row.mask is not None:
        draw_outline(ax, row.mask)
    for target in row.targets:
        draw_target(ax, target, slice_, diameter=diameter, ticks=False, width=0.7)
    return drawn


def _draw_extrapolation(ax: Axes, counts: Slice) -> None:
    from matplotlib.colors import ListedColormap

    concerned = np.nan_to_num(counts.values)
    ax.imshow(
        np.ma.masked_less(concerned, 1),
        cmap=ListedColormap(EXTRAPOLATION_COLOURS),
        vmin=1,
        vmax=2,
        extent=counts.edges,
        interpolation="nearest",
        aspect="equal",
    )
