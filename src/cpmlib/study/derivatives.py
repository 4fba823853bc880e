"""The maps that are written, as BIDS derivatives: their names and what is said of each.

Vocabulary
----------
- *URI*: a name of a file in BIDS: ``bids::path`` in the derivatives, ``bids:study:path`` in the
  study.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import cpmlib
from cpmlib.study.files import PatientFiles


class Made(NamedTuple):
    """Where a map is written below a patient's folder, {0}; its sources; what is said of it."""

    path: str
    sources: tuple[str, ...]
    said: Mapping[str, object]


_CONTRASTS = ("T1w", "T1wGd", "FLAIR", "ADC", "mask")
_PERFUSION = ("dsc", "mask")
_BRAIN = {"Units": "1", "SkullStripped": True}
_OUTSIDE = "no value outside the brain."
_CPM = {"Description": f"Cellularity prediction map; {_OUTSIDE}", **_BRAIN, "Units": "cells/mm^2"}
_FIT = "Share of the variance of a voxel's curve that the perfusion fit explains."
_RCBV = f"Cerebral blood volume relative to normal-appearing white matter; {_OUTSIDE}"
_EXTRAPOLATION = (
    "For how many of the four contrasts the voxel's patch leaves the range of the training data; "
)
MADE: Mapping[str, Made] = {
    "mask": Made(
        "anat/{0}_space-T1wGd_desc-brain_mask.nii.gz",
        ("mask", "T1w", "T1wGd", "CPM", "ADC", "rCBV"),
        {"Description": "Brain: 1 inside, 0 outside.", "Type": "Brain"},
    ),
    "CPM": Made("anat/{0}_space-T1wGd_cpm.nii.gz", _CONTRASTS, _CPM),
    "extrapolation": Made(
        "anat/{0}_space-T1wGd_extrapolation.nii.gz",
        _CONTRASTS,
        {"Description": _EXTRAPOLATION + _OUTSIDE, **_BRAIN},
    ),
    "ADC": Made(
        "dwi/{0}_space-T1wGd_ADC.nii.gz",
        ("ADC", "dwi"),
        {"Description": "Apparent diffusion coefficient.", "Units": "um^2/s"},
    ),
    "rCBV": Made("perf/{0}_rcbv.nii.gz", _PERFUSION, {"Description": _RCBV, **_BRAIN}),
    "rCBV_uncorrected": Made(
        "perf/{0}_desc-uncorrected_rcbv.nii.gz",
        _PERFUSION,
        {"Description": "The same without correction for leakage.", **_BRAIN},
    ),
    "rCBV_fit": Made("perf/{0}_desc-fit_r2.nii.gz", _PERFUSION, {"Description": _FIT, **_BRAIN}),
}
"""By kind; of mask and ADC the source is the first that there is."""

FOLDER = "derivatives/cpmlib"
"""Where they lie in the folder that the workflow builds."""
IGNORED = """\
# BIDS has no names yet for these maps
**/*_cpm.*
**/*_extrapolation.*
**/*_rcbv.*
**/*_r2.*
"""
"""Content of ``.bidsignore``."""


def description(name: str) -> dict[str, object]:
    """Return the content of ``dataset_description.json`` for the maps of a study."""
    return {
        "Name": f"Maps of: {name}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "cpmlib", "Version": cpmlib.__version__}],
        # Relative, so that no path of this machine is told.
        "DatasetLinks": {"study": "../../study"},
    }


def sidecar(
    kind: str, files: PatientFiles, study: Path, written: Collection[str]
) -> dict[str, object]:
    """Return the BIDS JSON of a map, a key of `MADE`; what is not known is left out.

    The patient's files lie below the folder ``study``; ``written`` are the kinds that were made and
    are written beside this one.

    Examples
    --------
    >>> files = PatientFiles("sub-01", {"ADC": Path("s/sub-01/dwi/sub-01_ADC.nii.gz")})
    >>> sidecar("ADC", files, Path("s"), ["ADC"])["Sources"]
    ['bids:study:sub-01/dwi/sub-01_ADC.nii.gz']
    """
    who, made = files.participant_id, MADE[kind]

    def uri(source: str) -> str | None:
        if source in written and source != kind:
            return f"bids::{who}/{MADE[source].path.format(who)}"
        path = files.images.get(source)
        return f"bids:study:{path.relative_to(study).as_posix()}" if path else None

    content = dict(made.said)
    sources = [found for found in map(uri, made.sources) if found]
    content["Sources"] = sources[:1] if kind in ("mask", "ADC") else sources
    if kind == "CPM" and kind in files.images:  # the study's, but for a few voxels
        del content["SkullStripped"]  # which is not known
        content["Description"] = "The study's cellularity map without its values below 0."
        content["Sources"] = [uri(kind)]
    if kind == "ADC":  # fitted in the brain alone, or the scanner's
        content["SkullStripped"] = "ADC" not in files.images
    if "_space-" in made.path:
        # Without anatomy a map stays where it was.
        content["SpatialReference"] = uri("T1wGd") or uri("T1w") or sources[0]
    return content
