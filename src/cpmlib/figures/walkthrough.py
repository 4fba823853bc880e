"""The steps from images to the sample table, one picture each; a step without images says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from nibabel.affines import apply_affine

from cpmlib.figures.histology import figure_counting
from cpmlib.figures.perfusion import figure_perfusion
from cpmlib.figures.quality import EXTRAPOLATION, SHOWN, figure_quality, quality_row
from cpmlib.figures.registration import figure_registration
from cpmlib.figures.roi import figure_rois, roi_panel
from cpmlib.figures.style import PANEL, figure_style, say

if TYPE_CHECKING:
    from cpmlib.walkthrough import Walk

SPHERE_SIZE = 3.0
"""Side of the panel with the one sphere, inches."""

NO_IMAGES = "the dataset holds no images for this step"


def figure_absent(reason: str = NO_IMAGES) -> Figure:
    """Say in place of a figure why there is none."""
    with figure_style():
        figure = Figure(figsize=(2.4 * PANEL, 0.5 * PANEL), layout="constrained")
        say(figure.subplots(), reason)
    return figure


def figure_native(walk: Walk) -> Figure:
    """Draw the contrasts as they came, each through the same point of scanner space."""
    shown = {kind: walk.images.volumes.get(kind) for kind in SHOWN}
    if walk.patient is None or walk.target is None or not any(shown.values()):
        return figure_absent()
    row = quality_row(walk.patient, shown, None, [walk.target])
    return figure_quality([row], walk.options.roi_diameter)


def figure_alignment(walk: Walk) -> Figure:
    """Draw each contrast on the reference grid against the image after gadolinium."""
    aligned = dict(walk.maps.contrasts)
    reference = aligned.pop("T1wGd", None)
    if reference is None or not aligned:
        return figure_absent()
    return figure_registration(reference, aligned, walk.maps.maps.get("mask"), walk.maps.alignment)


def figure_maps(walk: Walk) -> Figure:
    """Draw contrasts and maps on the reference grid with the brain's outline and the targets."""
    shown = {kind: walk.pictures.get(kind) for kind in (*SHOWN, EXTRAPOLATION)}
    if walk.patient is None or walk.target is None or not any(shown.values()):
        return figure_absent()
    row = quality_row(walk.patient, shown, walk.maps.maps.get("mask"), [walk.target])
    return figure_quality([row], walk.options.roi_diameter)


def figure_leakage(walk: Walk) -> Figure:
    """Draw the curve of the voxel at the target, its correction, and the quality of the fit."""
    series, fit = walk.images.perfusion, walk.maps.perfusion
    if series is None or fit is None or walk.target is None:
        return figure_absent("the dataset holds no perfusion series of this patient")
    index = np.rint(apply_affine(np.linalg.inv(series.image.affine), walk.target)).astype(int)
    i, j, k = (int(n) for n in np.clip(index, 0, np.array(series.image.shape[:3]) - 1))
    return figure_perfusion(series.image, fit, series.echo_time, (i, j, k))


def figure_sphere(walk: Walk) -> Figure:
    """Draw the sphere at the shown target on the cellularity map."""
    image = walk.maps.maps.get("CPM")
    if image is None or walk.target is None:
        return figure_absent()
    panel = roi_panel(image, walk.target, "target")
    return figure_rois([panel], "CPM", walk.options.roi_diameter, SPHERE_SIZE)


def figure_count(tile: tuple[np.ndarray, float] | None) -> Figure:
    """Draw a stained tile and the nuclei that are counted on it."""
    if tile is None:
        return figure_absent("the dataset holds no stained tile of this sample")
    rgb, pixel = tile
    from cpmlib.nuclei import count_nuclei

    return figure_counting(rgb, count_nuclei(rgb, pixel), pixel)
