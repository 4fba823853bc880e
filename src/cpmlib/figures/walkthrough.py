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
from cpmlib.figures.perfusion import figure_perfusion, fit_slice
from cpmlib.figures.quality import EXTRAPOLATION, SHOWN, figure_quality, quality_row
from cpmlib.figures.registration import figure_registration, pixels_of_registration
from cpmlib.figures.roi import figure_rois, roi_panel
from cpmlib.figures.slices import pixels
from cpmlib.figures.style import figure_absent
from cpmlib.mri.rcbv import voxel_curves

if TYPE_CHECKING:
    from cpmlib.histology.nucleus_counting import NucleusCount
    from cpmlib.roi.walkthrough import Walkthrough

SPHERE_SIZE = 3.0
"""Side of the panel with the one sphere, inches."""


Drawn = tuple[Figure, pd.DataFrame]
"""A figure, and what it shows."""


def figure_native(walk: Walkthrough) -> Drawn:
    """Draw the contrasts as they came, each through the same point of scanner space."""
    return _figure_row(walk, {kind: walk.images.volumes.get(kind) for kind in SHOWN}, None)


def figure_maps(walk: Walkthrough) -> Drawn:
    """Draw contrasts and maps on the reference grid, with the brain's outline."""
    shown = {kind: walk.pictures.get(kind) for kind in (*SHOWN, EXTRAPOLATION)}
    return _figure_row(walk, shown, walk.maps.maps.get("mask"))


def _figure_row(
    walk: Walkthrough, shown: Mapping[str, nib.Nifti1Image | None], mask: nib.Nifti1Image | None
) -> Drawn:
    if walk.patient is None or walk.target is None or not any(shown.get(kind) for kind in SHOWN):
        return figure_absent(), pixels({})
    row = quality_row(walk.patient, shown, mask, [walk.target])
    return figure_quality([row], walk.options.roi_diameter), pixels(row.slices)


def figure_alignment(walk: Walkthrough) -> Drawn:
    """Draw each contrast on the reference grid against the image after gadolinium."""
    aligned, mask = dict(walk.maps.contrasts), walk.maps.maps.get("mask")
    reference = aligned.pop("T1wGd", None)
    if reference is None or not aligned:
        return figure_absent(), pixels({})
    figure = figure_registration(reference, aligned, mask, walk.maps.alignment)
    return figure, pixels_of_registration(reference, aligned, mask)


def figure_leakage(walk: Walkthrough) -> Drawn:
    """Draw the curve of the voxel at the target (panel A) and the fit of its slice (B)."""
    series, fit, voxel = walk.images.perfusion, walk.maps.perfusion, _perfusion_voxel(walk)
    if series is None or fit is None or voxel is None:
        reason = "the dataset holds no perfusion series of this patient"
        return figure_absent(reason), pd.DataFrame(columns=["panel", "time"])
    curves = voxel_curves(series.image, fit, series.echo_time, voxel)
    drawn = {"measured": curves.measured, "model": curves.model, "corrected": curves.corrected}
    drawn["reference"] = curves.k1 * curves.reference
    lines = pd.DataFrame({"panel": "A", "time": curves.times, **drawn})
    picture = pixels({"R2": fit_slice(fit, voxel)}).assign(panel="B")
    figure = figure_perfusion(series.image, fit, series.echo_time, voxel)
    return figure, pd.concat([lines, picture], ignore_index=True)


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


def figure_count(tile: tuple[np.ndarray, float] | None, counted: NucleusCount | None) -> Figure:
    """Draw a stained tile and the nuclei that are counted on it."""
    if tile is None or counted is None:
        return figure_absent("the dataset holds no stained tile of this sample")
    rgb, pixel = tile
    return figure_counting(rgb, counted, pixel)
