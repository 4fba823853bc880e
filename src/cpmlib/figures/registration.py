"""Quality control of the alignment: does each contrast lie on the reference?

Vocabulary
----------
- *edges*: lines where the reference's brightness changes fast (and the border of its brain mask);
  on a well-aligned contrast they run along the ventricles, the cortex and the skull.
- *checkerboard*: squares of reference and contrast in turn; structures continue across their sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from cpmlib.figures.slices import (
    PLANES,
    DisplayStyle,
    Slice,
    box_of_brain,
    centres,
    draw_slice,
    field_of_view,
    pixels,
    robust_window,
    take_slice,
)
from cpmlib.figures.style import ORANGE, PANEL, SKY, figure_style
from cpmlib.mri.resampling import Interpolation

if TYPE_CHECKING:
    from cpmlib.mri.registration import AlignmentReport

GREY = DisplayStyle("", "gray", None, "")
EDGE, BORDER = ORANGE, SKY

STRONGEST = 92
"""Percentile of the reference's gradient in the brain from which it is drawn as an edge."""

SMOOTH = 1.0
"""Standard deviation of the Gaussian whose gradient is taken, pixels."""

SQUARE = 20.0
"""Side of a square of the checkerboard, mm."""


def figure_registration(
    reference: nib.Nifti1Image,
    aligned: Mapping[str, nib.Nifti1Image],
    mask: nib.Nifti1Image | None = None,
    report: AlignmentReport | None = None,
) -> Figure:
    """Draw each contrast with the reference's edges, and as a checkerboard with it.

    Parameters
    ----------
    reference
        T1wGd on the reference grid.
    aligned
        By contrast, images in the reference's world.
    mask
        Brain mask; the slices pass through its centre, and its border is drawn.
    report
        As `cpmlib.mri.registration.align` returns it, for the captions.

    Returns
    -------
    matplotlib.figure.Figure
        One row a contrast: axial, coronal and sagittal slice with edges, axial checkerboard.
    """
    if not aligned:
        raise ValueError("no contrast to draw")
    box, point = _view(reference, mask)
    with figure_style():
        size = (4 * PANEL, len(aligned) * PANEL * 1.1)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(aligned), 4, squeeze=False)
        for row, (contrast, image) in zip(axes, aligned.items(), strict=True):
            for ax, plane in zip(row, PLANES, strict=False):
                below = take_slice(reference, point, plane, box=box)
                border = None if mask is None else _slice_of(mask, below, point, box, "nearest")
                over = _slice_of(image, below, point, box)
                _draw_edges(ax, below, over, border)
                ax.set_title(plane)
                if plane == "axial":
                    _draw_checkerboard(row[3], below, over)
            row[0].set_title(f"{contrast}{_said(contrast, report)}\naxial")
    return figure


def pixels_of_registration(
    reference: nib.Nifti1Image,
    aligned: Mapping[str, nib.Nifti1Image],
    mask: nib.Nifti1Image | None = None,
) -> pd.DataFrame:
    """Return what `figure_registration` draws, as `cpmlib.figures.slices.pixels` lists it."""
    box, point = _view(reference, mask)
    tables = []
    for plane in PLANES:
        below = take_slice(reference, point, plane, box=box)
        over = {name: _slice_of(image, below, point, box) for name, image in aligned.items()}
        tables.append(pixels({"T1wGd": below, **over}))
    return pd.concat(tables, ignore_index=True)


def _view(
    reference: nib.Nifti1Image, mask: nib.Nifti1Image | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the box that is drawn and the point through which the slices pass."""
    if mask is None:
        box = field_of_view(reference)
        return box, box.mean(axis=0)
    inside = np.argwhere(np.asarray(mask.dataobj) > 0.5)
    return box_of_brain(mask), nib.affines.apply_affine(mask.affine, inside.mean(axis=0))


def _slice_of(
    image: nib.Nifti1Image,
    like: Slice,
    point: np.ndarray,
    box: np.ndarray,
    interpolation: Interpolation = "linear",
) -> Slice:
    """Slice an image in the plane and with the pixels of another slice."""
    spacing = abs(like.edges[1] - like.edges[0]) / like.values.shape[1]  # noqa: PD011
    return take_slice(
        image, point, like.plane, box=box, spacing=spacing, interpolation=interpolation
    )


def _draw_edges(ax: Axes, below: Slice, over: Slice, border: Slice | None) -> None:
    inside = np.isfinite(below.values)
    if border is not None:
        inside &= np.nan_to_num(border.values) > 0.5
    if draw_slice(ax, over, GREY) is None or not inside.any():
        return
    x, y = centres(below)
    steep = ndimage.gaussian_gradient_magnitude(np.nan_to_num(below.values).astype(float), SMOOTH)
    level = np.percentile(steep[inside], STRONGEST)
    if steep.min() < level < steep.max():
        ax.contour(x, y, steep, levels=[level], colors=EDGE, linewidths=0.5)
    if border is not None and not inside.all():
        ax.contour(x, y, inside.astype(float), levels=[0.5], colors=BORDER, linewidths=0.7)


def _draw_checkerboard(ax: Axes, below: Slice, over: Slice) -> None:
    x, y = centres(below)
    turn = (np.floor(x[None, :] / SQUARE) + np.floor(y[:, None] / SQUARE)) % 2 == 0
    mixed = np.where(turn, _grey(below.values), _grey(over.values)).astype(np.float32)
    draw_slice(ax, Slice(mixed, below.edges, below.plane, below.position), GREY)
    ax.set_title("checkerboard")


def _grey(values: np.ndarray) -> np.ndarray:
    """Bring brightness to 0-1, so that contrasts of different units stand side by side."""
    if not np.isfinite(values).any():
        return values
    low, high = robust_window(values)
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def _said(contrast: str, report: AlignmentReport | None) -> str:
    """Say in a few words what was done to a contrast."""
    found = report.transforms.get(contrast) if report is not None else None
    if report is None or found is None:
        return ""
    done = "registered" if contrast in report.registered else "headers kept"
    return f" ({done}; {found.displacement_mm:.1f} mm)"
