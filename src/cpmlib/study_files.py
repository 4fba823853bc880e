"""Which files of a BIDS folder hold what of a patient.

Vocabulary
----------
- *kind*: what a file holds, whatever its name: one of `KINDS`.
- *raw*: below ``sub-<label>/``. *derivative*: below ``derivatives/<pipeline>/sub-<label>/``; what a
  study computed already and the project then uses as it is.
- *export*: a file that QuPath wrote of one sample, named after it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cpmlib.errors import DatasetError, Problem

KINDS: Mapping[str, str] = {
    "T1w": "T1-weighted image",
    "T1wGd": "T1-weighted image after gadolinium",
    "FLAIR": "FLAIR",
    "ADC": "apparent diffusion coefficient",
    "dwi": "diffusion series",
    "dsc": "dynamic susceptibility contrast series",
    "rCBV": "relative cerebral blood volume",
    "CPM": "cellularity prediction map",
    "mask": "brain mask",
}
"""Kind of an image and its name."""

PATTERNS: Mapping[str, str] = {
    "T1w": r"(?!.*_ce-)(?!.*_space-)sub-\w+?(_[\w-]+)?_T1w",
    "T1wGd": r"(?!.*_space-)sub-.*_ce-[A-Za-z0-9]+(_.*)?_T1w",
    "FLAIR": r"(?!.*_space-)sub-.*_FLAIR",
    "ADC": r"sub-.*_(ADC|adc)(map)?",
    "dwi": r"sub-.*_dwi",
    "dsc": r"sub-.*_(dsc|DSC)",
    "rCBV": r"(?!.*_desc-uncorrected_)sub-.*_(rcbv|rCBV|RCBV)(map)?",
    "CPM": r"sub-.*_(cpm|CPM)(map)?",
    "mask": r"sub-.*_desc-brain_mask",
}
"""Kind and the names it may have, without suffix."""

RAW_KINDS = ("T1w", "T1wGd", "FLAIR", "ADC", "dwi", "dsc", "rCBV")
DERIVED_KINDS = ("ADC", "rCBV", "CPM", "mask")

EXPORTS: Mapping[str, tuple[str, ...]] = {
    "annotations": ("_annotations.tsv", "_annotations.csv", "_annotations.txt"),
    "detections": ("_detections.tsv", "_detections.csv", "_detections.txt"),
    "geojson": (".geojson", "_outline.geojson", "_annotations.geojson"),
    "annotations_sidecar": ("_annotations.json",),
    "detections_sidecar": ("_detections.json",),
    "geojson_sidecar": (".json", "_outline.json"),
    "tile": ("_he.png", "_HE.png"),
    "tile_sidecar": ("_he.json", "_HE.json"),
}
"""Kind of a QuPath export, or of the JSON beside it, and the end of the name after the sample's."""

SIDECARS = ("annotations_sidecar", "detections_sidecar", "geojson_sidecar")
"""JSON beside an export, which may give its pixel size; a tile's pixels can be others."""

IMAGE_SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class PatientFiles:
    """The files of one patient.

    Parameters
    ----------
    participant_id
        As in ``participants.tsv``.
    images
        Path by kind; at most one of each.
    derived
        The kinds that are derivatives of the study.
    exports
        Path by sample and kind of export.
    """

    participant_id: str
    images: Mapping[str, Path] = field(default_factory=dict)
    derived: frozenset[str] = frozenset()
    exports: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)

    def all(self) -> list[Path]:
        """Return every file, with the texts that go with a series."""
        paths = [*self.images.values()]
        for kind in ("dwi", "dsc"):
            if kind in self.images:
                paths += [p for p in sidecars(self.images[kind]).values() if p.is_file()]
        for exports in self.exports.values():
            paths += exports.values()
        return sorted(paths)


def find_patient(
    root: str | os.PathLike[str], participant_id: str, sample_ids: Iterable[str]
) -> PatientFiles:
    """Find what a study has of one patient.

    Parameters
    ----------
    root
        The BIDS folder.
    participant_id, sample_ids
        As in the tables.

    Returns
    -------
    PatientFiles
        Without a kind that is not there; derivatives go before raw files of the same kind.

    Raises
    ------
    DatasetError
        If two files could be meant.

    Examples
    --------
    >>> find_patient(Path("nowhere"), "sub-01", []).images
    {}
    """
    root = Path(root)
    raw = _files(root / participant_id)
    derived: list[Path] = []
    for pipeline in _folders(root / "derivatives"):
        derived += _files(pipeline / participant_id)
    problems: list[Problem] = []
    images: dict[str, Path] = {}
    used: set[str] = set()
    for kind in KINDS:
        found = _of_kind(derived, kind) if kind in DERIVED_KINDS else []
        if found:
            used.add(kind)
        elif kind in RAW_KINDS:
            found = _of_kind(raw, kind)
        if len(found) > 1:
            names = ", ".join(sorted({path.name for path in found})[:3])
            remedy = "leave one in place, or move the others out of the dataset"
            expected = f"one {KINDS[kind]} of a patient"
            problems.append(
                Problem(participant_id, f"{len(found)} files ({names})", expected, remedy)
            )
        if found:
            images[kind] = found[0]
    stray = [p for p in raw + derived if not p.name.startswith(f"{participant_id}_")]
    for path in stray:
        if path.name.startswith("sub-"):
            found_text = f"{path.name} in the folder of {participant_id}"
            expected = f"files whose names begin with {participant_id}_"
            remedy = "move it to its patient's folder or correct the name"
            problems.append(Problem(path.name, found_text, expected, remedy))
    if problems:
        raise DatasetError(problems)
    exports = {sample: _exports(derived + raw, sample) for sample in sample_ids}
    return PatientFiles(participant_id, images, frozenset(used), exports)


def sidecars(series: Path) -> dict[str, Path]:
    """Return where the texts that go with a series lie: ``json``, ``bval``, ``bvec``."""
    stem = series.name
    for suffix in IMAGE_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return {end: series.with_name(f"{stem}.{end}") for end in ("json", "bval", "bvec")}


def has_images(root: str | os.PathLike[str]) -> bool:
    """Whether a dataset holds anything but tables: a patient's folder or a derivative's."""
    root = Path(root)
    if not root.is_dir():
        return False
    folders = [root, *_folders(root / "derivatives")]
    return any(p.is_dir() and p.name.startswith("sub-") for f in folders for p in _folders(f))


def _of_kind(paths: list[Path], kind: str) -> list[Path]:
    found = []
    for path in paths:
        for suffix in IMAGE_SUFFIXES:
            stem = path.name.removesuffix(suffix)
            if stem != path.name and re.fullmatch(PATTERNS[kind], stem):
                found.append(path)
                break
    return found


def _exports(paths: list[Path], sample: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    problems = []
    for kind, endings in EXPORTS.items():
        # The patient's name may stand before the sample's.
        pattern = rf"(sub-[A-Za-z0-9]+_)?{re.escape(sample)}({'|'.join(map(re.escape, endings))})"
        matches = [path for path in paths if re.fullmatch(pattern, path.name)]
        if len(matches) > 1:
            names = ", ".join(sorted(path.name for path in matches)[:3])
            expected = f"one file of {kind} for a sample"
            problems.append(Problem(sample, names, expected, "leave one in place"))
        if matches:
            found[kind] = matches[0]
    if problems:
        raise DatasetError(problems)
    return found


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
