"""The steps from images to the sample table, one picture each; a step without images says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from nibabel.affines import apply_affine

from cpmlib.figures.histology import figure_counting
from cpmlib.figures.perfusion import figure_perfusion, fit_slice, voxel_curves
from cpmlib.figures.quality import EXTRAPOLATION, SHOWN, QualityRow, figure_quality, quality_row
from cpmlib.figures.registration import figure_registration, pixels_of_registration
from cpmlib.figures.roi import figure_rois, roi_panel
from cpmlib.figures.slices import pixels
from cpmlib.figures.style import figure_absent

if TYPE_CHECKING:
    from cpmlib.roi.walkthrough import Walkthrough

SPHERE_SIZE = 3.0
"""Side of the panel with the one sphere, inches."""


def native_row(walk: Walkthrough) -> QualityRow | None:
    """Cut the contrasts as they came, each through the same point of scanner space."""
    return _row(walk, {kind: walk.images.volumes.get(kind) for kind in SHOWN}, None)


def map_row(walk: Walkthrough) -> QualityRow | None:
    """Cut contrasts and maps on the reference grid."""
    shown = {kind: walk.pictures.get(kind) for kind in (*SHOWN, EXTRAPOLATION)}
    return _row(walk, shown, walk.maps.maps.get("mask"))


def _row(
    walk: Walkthrough, shown: Mapping[str, nib.Nifti1Image | None], mask: nib.Nifti1Image | None
) -> QualityRow | None:
    if walk.patient is None or walk.target is None or not any(shown.get(kind) for kind in SHOWN):
        return None
    return quality_row(walk.patient, shown, mask, [walk.target])


def figure_row(row: QualityRow | None, walk: Walkthrough) -> Figure:
    """Draw the slices of one patient, the brain's outline if there is one, and the target."""
    return figure_absent() if row is None else figure_quality([row], walk.options.roi_diameter)


def pixels_of_row(row: QualityRow | None) -> pd.DataFrame:
    """Return what `figure_row` draws, as `cpmlib.figures.slices.pixels` lists it."""
    return pixels({} if row is None else row.slices)


def figure_alignment(walk: Walkthrough) -> Figure:
    """Draw each contrast on the reference grid against the image after gadolinium."""
    aligned = dict(walk.maps.contrasts)
    reference = aligned.pop("T1wGd", None)
    if reference is None or not aligned:
        return figure_absent()
    return figure_registration(reference, aligned, walk.maps.maps.get("mask"), walk.maps.alignment)


def pixels_of_alignment(walk: Walkthrough) -> pd.DataFrame:
    """Return what `figure_alignment` draws."""
    aligned = dict(walk.maps.contrasts)
    reference = aligned.pop("T1wGd", None)
    if reference is None or not aligned:
        return pixels({})
    return pixels_of_registration(reference, aligned, walk.maps.maps.get("mask"))


def figure_leakage(walk: Walkthrough) -> Figure:
    """Draw the curve of the voxel at the target, its correction, and the quality of the fit."""
    series, fit, voxel = walk.images.perfusion, walk.maps.perfusion, _perfusion_voxel(walk)
    if series is None or fit is None or voxel is None:
        return figure_absent("the dataset holds no perfusion series of this patient")
    return figure_perfusion(series.image, fit, series.echo_time, voxel)


def data_of_leakage(walk: Walkthrough) -> pd.DataFrame:
    """Return what `figure_leakage` draws: curves over time in panel A, pixels in panel B."""
    series, fit, voxel = walk.images.perfusion, walk.maps.perfusion, _perfusion_voxel(walk)
    if series is None or fit is None or voxel is None:
        return pd.DataFrame(columns=["panel", "time"])
    curves = voxel_curves(series.image, fit, series.echo_time, voxel)
    drawn = {"measured": curves.measured, "model": curves.model, "corrected": curves.corrected}
    drawn["reference"] = curves.k1 * curves.reference
    lines = pd.DataFrame({"panel": "A", "time": curves.times, **drawn})
    slice_ = fit_slice(fit, voxel)
    return pd.concat([lines, pixels({"R2": slice_}).assign(panel="B")], ignore_index=True)


def _perfusion_voxel(walk: Walkthrough) -> tuple[int, int, int] | None:
    """Return the voxel of the perfusion series at the shown target."""
    series = walk.images.perfusion
    if series is None or walk.target is None:
        return None
    index = np.rint(apply_affine(np.linalg.inv(series.image.affine), walk.target)).astype(int)
    i, j, k = (int(n) for n in np.clip(index, 0, np.array(series.image.shape[:3]) - 1))
    return i, j, k


def figure_sphere(walk: Walkthrough) -> Figure:
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
    from cpmlib.histology.nuclei import count_nuclei

    return figure_counting(rgb, count_nuclei(rgb, pixel), pixel)
