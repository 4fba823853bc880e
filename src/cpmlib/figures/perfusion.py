"""How a DSC series was corrected: the curve of a voxel and its fit, and where the fit is good."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from cpmlib.figures.slice_marks import draw_sides, draw_target
from cpmlib.figures.slices import DisplayStyle, Slice, box_of_brain, draw_slice, take_slice
from cpmlib.figures.style import (
    BLUE,
    DARK,
    PANEL,
    VERMILION,
    figure_style,
    name_panels,
    write_reason,
)
from cpmlib.mri.rcbv import PerfusionFit, VoxelCurves, voxel_curves

LINES = (
    ("reference", "reference × K1", DARK, "--"),
    ("model", "fitted", VERMILION, "-"),
    ("corrected", "corrected", BLUE, "-"),
)
"""Curve, label, colour and line style."""

FIT = DisplayStyle("R² of the fit", "viridis", (0.0, 1.0), "")


def figure_perfusion(
    series: nib.Nifti1Image, fit: PerfusionFit, echo_time: float, voxel: tuple[int, int, int]
) -> Figure:
    """Draw how one voxel of a DSC series was corrected, and the fit of its slice.

    Arguments as of `voxel_curves`. Panel A: measured, fitted and corrected curve; B: R2 in the
    axial slice through the voxel, which is marked as a target is.
    """
    with figure_style():
        figure = Figure(figsize=(4.2 * PANEL, 1.6 * PANEL), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
        draw_voxel(left, voxel_curves(series, fit, echo_time, voxel))
        shown = draw_fit_quality(right, fit, voxel)
        if shown is not None:
            figure.colorbar(shown, ax=right, label=FIT.title, shrink=0.8)
        name_panels([left, right])
    return figure


def draw_voxel(ax: Axes, curves: VoxelCurves) -> None:
    """Draw a voxel's measured curve with its fit, the corrected curve and the reference."""
    ax.set_xlabel("Time from the bolus's arrival (s)")
    ax.set_ylabel("ΔR2* (1/s)")
    if not np.isfinite(curves.measured).all():
        write_reason(ax, "no value in this voxel")
        return
    ax.axhline(0, color="lightgrey", linewidth=0.8)
    ax.plot(curves.times, curves.measured, ".", color="black", markersize=3, label="measured")
    for name, label, colour, style in LINES:
        values = getattr(curves, name)
        scale = curves.k1 if name == "reference" else 1.0
        ax.plot(curves.times, scale * values, style, color=colour, linewidth=1.2, label=label)
    ax.set_title(f"K1 = {curves.k1:.2f}, K2 = {curves.k2:.4f} 1/s, k = {curves.k:.4f} 1/s")
    ax.legend(frameon=False)


def fit_slice(fit: PerfusionFit, voxel: tuple[int, int, int]) -> Slice:
    """Cut R2 in the axial plane through a voxel."""
    place = nib.affines.apply_affine(fit.r2.affine, voxel)
    box = box_of_brain(fit.r2)
    return take_slice(fit.r2, place, box=box, interpolation="nearest", name="R2 of the fit")


def draw_fit_quality(ax: Axes, fit: PerfusionFit, voxel: tuple[int, int, int]) -> AxesImage | None:
    """Draw R2 in the axial slice through a voxel, marked as a target is; return the picture."""
    place, slice_ = nib.affines.apply_affine(fit.r2.affine, voxel), fit_slice(fit, voxel)
    shown = draw_slice(ax, slice_, FIT)
    if shown is not None:
        draw_sides(ax, slice_.plane)
        draw_target(ax, place, slice_)
    return shown
