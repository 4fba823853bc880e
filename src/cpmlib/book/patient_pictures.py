"""What a patient's job keeps of the images for the pages: small files in the patient's folder.

They hold the names of the study; whoever reads them puts the book's names in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.figures.quality import PERFUSION, SHOWN, QualityRow, quality_row
from cpmlib.figures.representative import SHOWN as SHOWN_OF_CASES
from cpmlib.figures.roi import RoiPanel, roi_panel
from cpmlib.figures.slices import Slice
from cpmlib.study.options import AXES

if TYPE_CHECKING:
    from cpmlib.cpm.patient_maps import PatientMaps

PICTURES = "pictures.npz"
"""File of a patient's slices for the quality figures."""

CASES = "cases.json"
"""File of what is shown of the images of each representative case, by sample."""


def cut_pictures(
    patient: str, maps: PatientMaps, targets: pd.DataFrame, regions: pd.DataFrame
) -> tuple[QualityRow | None, list[RoiPanel]]:
    """Cut the slices of the quality figures: the patient's row, and each target that was read."""
    shown = {**maps.contrasts, **maps.maps}
    if maps.alignment is None or "dsc" not in maps.alignment.far:
        shown.pop(PERFUSION, None)
    placed = targets.dropna(subset=list(AXES))
    row = None
    if set(shown) & set(SHOWN):
        row = quality_row(patient, shown, maps.maps.get("mask"), placed[list(AXES)])
    flags = regions.set_index("sample_id")
    column = next((c for c in ("cpm_flag", "adc_flag") if c in flags), None)
    panels = []
    image = shown.get("CPM", shown.get("ADC"))
    if image is not None and column:
        flags = flags.dropna(subset=column)
        for sample, *point in placed[["sample_id", *AXES]].itertuples(index=False):
            if sample in flags.index:
                panels.append(roi_panel(image, point, sample, str(flags.loc[sample, column])))
    return row, panels


def write_pictures(path: Path, row: QualityRow | None, panels: Sequence[RoiPanel]) -> None:
    """Write a patient's slices for the quality figures: small arrays, no image."""
    arrays: dict[str, np.ndarray] = {}

    def put(key: str, piece: Slice) -> None:
        arrays[f"{key}/values"] = piece.values  # noqa: PD011
        arrays[f"{key}/place"] = np.array([*piece.edges, piece.position])

    if row is not None:
        arrays["targets"] = row.targets
        for kind, piece in (*row.slices.items(), ("mask", row.mask)):
            if piece is not None:
                put(f"row/{kind}", piece)
    for panel in panels:
        put(f"roi/{panel.sample_id}", panel.slice)
        arrays[f"roi/{panel.sample_id}/target"] = panel.target
        arrays[f"roi/{panel.sample_id}/flag"] = np.array(panel.flag)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_pictures(
    path: Path, name: str, samples: Mapping[str, str]
) -> tuple[QualityRow | None, list[RoiPanel]]:
    """Read what `write_pictures` wrote, under the names that the book uses."""
    with np.load(path, allow_pickle=False) as arrays:

        def piece(key: str) -> Slice:
            left, right, bottom, top, position = (float(v) for v in arrays[f"{key}/place"])
            edges = (left, right, bottom, top)
            return Slice(arrays[f"{key}/values"], edges, "axial", position)

        keys = [key.removesuffix("/values") for key in arrays.files if key.endswith("/values")]
        slices: dict[str, Slice | None] = {
            key.removeprefix("row/"): piece(key) for key in keys if key.startswith("row/")
        }
        mask = slices.pop("mask", None)
        row = QualityRow(name, slices, mask, arrays["targets"]) if slices else None
        panels = []
        for key in keys:
            own = key.removeprefix("roi/")
            if key.startswith("roi/") and own in samples:
                flag = str(arrays[f"{key}/flag"])
                panels.append(RoiPanel(samples[own], flag, arrays[f"{key}/target"], piece(key)))
    return row, panels


def pack_cases(
    images: Mapping[str, nib.Nifti1Image], targets: pd.DataFrame, diameter: float
) -> dict[str, dict[str, Any]]:
    """Make, by sample, what the page of representative cases shows of the images of one."""
    from cpmlib.book.viewer import has_base, viewer_data
    from cpmlib.roi.findings import findings_at

    made: dict[str, dict[str, Any]] = {}
    if "case" not in targets or images.keys().isdisjoint(SHOWN_OF_CASES):
        return made
    for row in targets.dropna(subset=["case", *AXES]).to_dict("records"):
        target = [row[axis] for axis in AXES]
        made[row["sample_id"]] = case = {"findings": findings_at(images, target, diameter)}
        if has_base(images):
            mask, name = images.get("mask"), row["case"]
            case["viewer"] = viewer_data(name, images, target, mask=mask, diameter=diameter)
    return made
