"""The maps that are written, as BIDS derivatives: their names and what is said of each.

Vocabulary
----------
- *kind*: as in `cpmlib.study.names.KINDS`; besides, ``extrapolation`` (for how many contrasts a
  voxel's patch leaves the training range, 0 to 4) and ``rCBV_fit`` (R2 of the perfusion fit).
- *URI*: ``bids::path`` for a file of the derivatives, ``bids:study:path`` for one of the study.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import cpmlib
from cpmlib.study.files import PatientFiles

MADE: Mapping[str, str] = {
    "mask": "anat/{0}_space-T1wGd_desc-brain_mask.nii.gz",
    "CPM": "anat/{0}_space-T1wGd_cpm.nii.gz",
    "extrapolation": "anat/{0}_space-T1wGd_extrapolation.nii.gz",
    "ADC": "dwi/{0}_space-T1wGd_ADC.nii.gz",
    "rCBV": "perf/{0}_rcbv.nii.gz",
    "rCBV_uncorrected": "perf/{0}_desc-uncorrected_rcbv.nii.gz",
    "rCBV_fit": "perf/{0}_desc-fit_r2.nii.gz",
}
"""Map and where it is written below a patient's folder of the derivatives."""

_STRIPPED = {"Units": "1", "SkullStripped": True}
SAID: Mapping[str, Mapping[str, object]] = {
    "mask": {"Description": "Brain: 1 inside, 0 outside.", "Type": "Brain"},
    "CPM": {
        "Description": "Cellularity prediction map; no value outside the brain.",
        "Units": "cells/mm^2",
        "SkullStripped": True,
    },
    "extrapolation": {
        "Description": "For how many of the four contrasts the voxel's patch leaves the range of"
        " the training data; no value outside the brain.",
        **_STRIPPED,
    },
    "ADC": {"Description": "Apparent diffusion coefficient.", "Units": "um^2/s"},
    "rCBV": {
        "Description": "Cerebral blood volume relative to normal-appearing white matter; no value"
        " outside the brain.",
        **_STRIPPED,
    },
    "rCBV_uncorrected": {"Description": "The same without correction for leakage.", **_STRIPPED},
    "rCBV_fit": {
        "Description": "Share of the variance of a voxel's curve that the perfusion fit explains.",
        **_STRIPPED,
    },
}

SOURCES: Mapping[str, tuple[str, ...]] = {
    "mask": ("mask", "T1w", "T1wGd", "CPM", "ADC", "rCBV"),
    "ADC": ("ADC", "dwi"),
    **dict.fromkeys(("CPM", "extrapolation"), ("T1w", "T1wGd", "FLAIR", "ADC", "mask")),
    **dict.fromkeys(("rCBV", "rCBV_uncorrected", "rCBV_fit"), ("dsc", "mask")),
}
"""Map and what it is made from; of mask and ADC the first that there is."""

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
    """Return the BIDS JSON of a map; what is not known is left out.

    Parameters
    ----------
    kind
        Of the map, a key of `MADE`.
    files
        Of the patient, below the folder ``study``.
    written
        The kinds that were made and are written beside this one.

    Examples
    --------
    >>> files = PatientFiles("sub-01", {"ADC": Path("s/sub-01/dwi/sub-01_ADC.nii.gz")})
    >>> sidecar("ADC", files, Path("s"), ["ADC"])["Sources"]
    ['bids:study:sub-01/dwi/sub-01_ADC.nii.gz']
    """
    who = files.participant_id

    def uri(source: str) -> str | None:
        if source in written and source != kind:
            return f"bids::{who}/{MADE[source].format(who)}"
        path = files.images.get(source)
        return f"bids:study:{path.relative_to(study).as_posix()}" if path else None

    content = dict(SAID[kind])
    sources = [found for found in map(uri, SOURCES[kind]) if found]
    content["Sources"] = sources[:1] if kind in ("mask", "ADC") else sources
    if kind == "CPM" and kind in files.images:  # the study's, but for a few voxels
        del content["SkullStripped"]  # which is not known
        content["Description"] = "The study's cellularity map without its values below 0."
        content["Sources"] = [uri(kind)]
    if kind == "ADC":  # fitted in the brain alone, or the scanner's
        content["SkullStripped"] = "ADC" not in files.images
    if "_space-" in MADE[kind]:
        anatomy = [found for found in map(uri, ("T1wGd", "T1w")) if found]
        # Without anatomy a map stays where it was.
        content["SpatialReference"] = anatomy[0] if anatomy else sources[0]
    return content
