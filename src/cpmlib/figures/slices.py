"""Slices of images as a radiologist reads them: plane, orientation, window, colours.

Vocabulary
----------
- *plane*: axial, coronal or sagittal in the world, also where the image's own grid is oblique.
- *radiological convention*: the patient's right is on the left of the picture; a sagittal slice
  looks to the left. Both mean that world coordinates fall from left to right, and rise upwards.
- *world box*: lowest and highest world coordinates that pictures of a patient share, (2, 3), mm.
- *window*: the two values that are drawn as the darkest and the brightest.
- *style*: how a kind of image is drawn: title, colours, window, unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpmlib.figures.style import write_reason
from cpmlib.mri.resampling import Interpolation
from cpmlib.mri.volume import as_volume, resample_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

Plane = Literal["axial", "coronal", "sagittal"]

PLANES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (0, 2, 1),
    "sagittal": (1, 2, 0),
}
"""World axes that run across the picture, up the picture, and through it."""

BACKGROUND = "black"

WINDOW = (0.5, 99.7)
"""Percentiles of the brain's values that become black and white."""

FOREGROUND = 0.1
"""Without a brain mask, voxels above this share of the 99th percentile count as head, not air."""


@dataclass(frozen=True)
class DisplayStyle:
    """How a kind of image is drawn; without a unit its values are arbitrary.

    ``limits`` is the window, equal for all patients so that pictures compare; None takes
    percentiles of the patient's own brain. ``colours`` names a Matplotlib colour map.
    """

    title: str
    colours: str
    limits: tuple[float, float] | None
    unit: str


STYLES = {
    "T1w": DisplayStyle("T1", "gray", None, ""),
    "T1wGd": DisplayStyle("T1+Gd", "gray", None, ""),
    "FLAIR": DisplayStyle("FLAIR", "gray", None, ""),
    "ADC": DisplayStyle("ADC", "gray", (0, 3000), "10⁻⁶ mm²/s"),
    "CPM": DisplayStyle("CPM", "viridis", (0, 3000), "cells/mm²"),
    "rCBV": DisplayStyle("rCBV", "inferno", (0, 5), "relative to white matter"),
}
"""The images of the study; ADC from 0 to that of free water at body temperature."""


@dataclass(frozen=True)
class Slice:
    """A slice ready to be drawn.

    Parameters
    ----------
    values : (rows, columns) float32
        The first row is the top of the picture, the first column its left; NaN: no value.
    edges
        World coordinates of the outer edges: left, right, bottom, top, mm.
    position
        World coordinate of the slice along the plane's normal, mm.
    """

    values: np.ndarray
    edges: tuple[float, float, float, float]
    plane: Plane
    position: float


def take_slice(
    image: nib.Nifti1Image,
    point: ArrayLike,
    plane: Plane = "axial",
    *,
    box: np.ndarray | None = None,
    spacing: float | None = None,
    interpolation: Interpolation = "linear",
    name: str = "the image",
) -> Slice:
    """Slice an image along a plane of the world, in radiological convention.

    Parameters
    ----------
    image
        3-D, on any grid, oblique or not.
    point : (3,)
        On the slice; world, mm, RAS+.
    box : (2, 3)
        World box to show; the image's field of view if None.
    spacing
        Edge of a pixel, mm; the image's smallest voxel edge if None.

    Raises
    ------
    DatasetError
        If the image is not 3-D, its affine cannot be inverted, or it has infinite values.
    ValueError
        If the plane, the point, the box or the spacing is none.

    Examples
    --------
    A voxel at the patient's right comes out on the left of the picture.

    >>> data = np.zeros((3, 3, 1), np.float32)
    >>> data[2, 1, 0] = 1
    >>> take_slice(nib.Nifti1Image(data, np.eye(4)), (0, 0, 0)).values
    array([[0., 0., 0.],
           [1., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """
    point = world_point(point)
    if spacing is None:
        spacing = float(as_volume(image, name).grid.voxel_sizes.min())
    low, high = field_of_view(image) if box is None else np.asarray(box, dtype=float)
    _check_view(plane, spacing, low, high)
    across, up, through = PLANES[plane]
    # The allowance keeps rounding of an oblique affine from adding a row of pixels.
    count = np.maximum(np.ceil((high - low) / spacing - 1e-3), 1).astype(int)
    count[through] = 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (low + high) / 2 - spacing * (count - 1) / 2
    affine[through, 3] = point[through]
    shape = (int(count[0]), int(count[1]), int(count[2]))
    grid = resample_to(image, affine, shape, interpolation, name)
    values = np.asarray(grid.dataobj, dtype=np.float32).transpose(up, across, through)
    first, last = affine[:3, 3] - spacing / 2, affine[:3, 3] - spacing / 2 + spacing * count
    edges = (float(last[across]), float(first[across]), float(first[up]), float(last[up]))
    shown = np.ascontiguousarray(values[::-1, ::-1, 0])
    return Slice(shown, edges, plane, float(point[through]))


def _check_view(plane: str, spacing: float, low: np.ndarray, high: np.ndarray) -> None:
    if plane not in PLANES:
        raise ValueError(f"plane is {plane!r}; expected one of {', '.join(PLANES)}")
    if not 0 < spacing < np.inf:
        raise ValueError(f"spacing is {spacing}; expected a size above 0 mm")
    if not (np.isfinite([low, high]).all() and (high > low).all()):
        raise ValueError(f"the box runs from {low} to {high}; expected finite and rising edges")


def world_point(point: ArrayLike) -> np.ndarray:
    """Return a world point as an array; ValueError if it is none."""
    result = np.asarray(point, dtype=float)
    if result.shape != (3,) or not np.isfinite(result).all():
        raise ValueError(f"the point is {point!r}; expected three finite coordinates in mm")
    return result


def field_of_view(image: nib.Nifti1Image) -> np.ndarray:
    """Return the world box, (2, 3) mm, that holds an image to the outer edges of its voxels."""
    return _box_of(image.affine, np.zeros(3), np.array(image.shape) - 1.0, margin=0)


def box_of_brain(brain: nib.Nifti1Image, margin: float = 5.0) -> np.ndarray:
    """Return the world box, (2, 3) mm, around a brain: the field of view if nothing is inside.

    Parameters
    ----------
    brain
        A mask, or a map that is NaN outside the brain; 0 and NaN are outside.
    margin
        Space to leave on each side, mm.

    Examples
    --------
    >>> mask = np.zeros((9, 9, 9), np.float32)
    >>> mask[4, 3:6, 4] = 1
    >>> box_of_brain(nib.Nifti1Image(mask, np.eye(4)), margin=1)
    array([[2.5, 1.5, 2.5],
           [5.5, 6.5, 5.5]])
    """
    data = as_volume(brain, "brain mask").data
    inside = np.isfinite(data) & (data != 0)
    if not inside.any():
        return field_of_view(brain)
    spans = [np.flatnonzero(inside.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    first = np.array([span[0] for span in spans], dtype=float)
    last = np.array([span[-1] for span in spans], dtype=float)
    return _box_of(brain.affine, first, last, margin)


def _box_of(affine: np.ndarray, first: np.ndarray, last: np.ndarray, margin: float) -> np.ndarray:
    span = np.stack([first - 0.5, last + 0.5])
    corners = np.array([[span[i, 0], span[j, 1], span[k, 2]] for i, j, k in np.ndindex(2, 2, 2)])
    world = corners @ affine[:3, :3].T + affine[:3, 3]
    return np.stack([world.min(axis=0) - margin, world.max(axis=0) + margin])


def robust_window(values: np.ndarray, brain: np.ndarray | None = None) -> tuple[float, float]:
    """Choose what is drawn black and white so that a few bright voxels do not decide it.

    Percentiles 0.5 and 99.7 of the values in the brain (a mask of their shape) or, without one, of
    what stands out from air; apart by at least the smallest step of a float32. NaN is left out.

    Raises
    ------
    ValueError
        If no value is finite.

    Examples
    --------
    >>> robust_window(np.array([100.0] * 500 + [200.0] * 500 + [9999.0]))
    (100.0, 200.0)
    """
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no finite value; a window needs at least one")
    inside = finite & brain if brain is not None else np.zeros_like(finite)
    if not inside.any():
        inside = finite & (values >= FOREGROUND * np.percentile(values[finite], 99))
    low, high = np.percentile(values[inside if inside.any() else finite], WINDOW)
    least = float(np.spacing(np.float32(max(abs(low), abs(high), 1e-30))))
    return float(low), float(max(high, low + least))


def draw_slice(
    ax: Axes,
    slice_: Slice,
    style: DisplayStyle,
    *,
    brain: np.ndarray | None = None,
    limits: tuple[float, float] | None = None,
    opacity: float = 1.0,
    shades: int = 256,
) -> AxesImage | None:
    """Draw a slice in world coordinates; a second one goes on top of the first as an overlay.

    Parameters
    ----------
    brain : bool, of the shape of the slice
        For the window of images in arbitrary units.
    limits
        Window; the style's, or robust percentiles, if None.
    opacity
        0 (invisible) to 1; another raises ValueError.
    shades
        Number of colours; few make small files.

    Returns
    -------
    AxesImage or None
        For a colour bar; None if the slice has no value, and the panel says so.
    """
    import matplotlib as mpl

    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}; expected 0 to 1")
    left, right, bottom, top = slice_.edges
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    ax.set_facecolor(BACKGROUND)
    ax.spines[:].set_visible(False)
    if not np.isfinite(slice_.values).any():
        write_reason(ax, "no image here")
        ax.texts[-1].set_color("white")
        return None
    limits = limits or style.limits or robust_window(slice_.values, brain)
    return ax.imshow(
        np.ma.masked_invalid(slice_.values),
        cmap=mpl.colormaps[style.colours].resampled(shades).with_extremes(bad=(0, 0, 0, 0)),
        vmin=limits[0],
        vmax=limits[1],
        extent=slice_.edges,
        alpha=opacity,
        interpolation="nearest",
        aspect="equal",
    )


def centres(slice_: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Return world coordinates of a slice's pixels, mm: across, one a column; up, one a row."""
    rows, columns = slice_.values.shape  # noqa: PD011
    left, right, bottom, top = slice_.edges
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    return x, y


def pixels(slices: Mapping[str, Slice | None]) -> pd.DataFrame:
    """List the pixels of slices of one plane, box and spacing, for a reader who wants the numbers.

    Returns
    -------
    pandas.DataFrame
        ``plane``, ``x``, ``y``, ``z`` (mm, RAS+), and a column for each slice, in its image's unit;
        pixels without any value are left out.

    Examples
    --------
    >>> slice_ = Slice(np.array([[1.0, np.nan]], np.float32), (2, 0, 5, 6), "axial", 7.0)
    >>> pixels({"CPM": slice_}).to_numpy().tolist()
    [['axial', 1.5, 5.5, 7.0, 1.0]]
    """
    present = {name: slice_ for name, slice_ in slices.items() if slice_ is not None}
    columns = ["plane", "x", "y", "z", *present]
    if not present:
        return pd.DataFrame(columns=columns)
    first = next(iter(present.values()))
    across, up, through = ("xyz"[axis] for axis in PLANES[first.plane])
    x, y = np.meshgrid(*centres(first))
    table = pd.DataFrame({across: x.ravel(), up: y.ravel(), through: first.position})
    for name, slice_ in present.items():
        table[name] = slice_.values.ravel().astype(float)  # noqa: PD011
    table = table.dropna(subset=list(present), how="all").round(3)
    return table.assign(plane=first.plane)[columns].reset_index(drop=True)
