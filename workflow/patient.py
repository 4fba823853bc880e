"""Make the maps of one patient and read them at the targets.

    python workflow/patient.py PATIENT [--keep-steps]

Below build/private, reads the patient's files in study, targets/PATIENT.tsv, image_options.json
and, if a map has to be predicted, the model; writes derivatives/cpmlib/PATIENT (images) and
patients/PATIENT (tables), with maps and regions once more for the patient who is shown step by
step. Both appear as a whole or not at all. Exits with 2 and a list of problems if the images cannot
be used.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.book.patient_pictures import (
    CASES,
    PICTURES,
    cut_pictures,
    pack_cases,
    write_pictures,
)
from cpmlib.cpm.patient_maps import PatientMaps, make_maps
from cpmlib.histology.he_tiles import count_tiles
from cpmlib.mri.images import write_image
from cpmlib.mri.patient import PatientImages, missing_contrasts, read_patient
from cpmlib.paper.roi_sensitivity import sensitivity
from cpmlib.roi.extraction import count_samples, extract_regions
from cpmlib.roi.lps import detect_lps_targets
from cpmlib.roi.steps_file import STEPS, write_steps
from cpmlib.study.derivatives import FOLDER, MADE, sidecar
from cpmlib.study.errors import DatasetError, Problem, collected
from cpmlib.study.files import PatientFiles
from cpmlib.study.names import NOT_NEEDED
from cpmlib.study.options import AXES, ImageOptions
from dependencies import BUILD, model_scaling, needs_model, read_targets, study_patient


def main(patient: str, *flags: str) -> int:
    """Do it; return the exit status."""
    targets = read_targets(patient)
    options = ImageOptions.from_mapping(json.loads((BUILD / "image_options.json").read_text()))
    problems: list[Problem] = []
    try:
        files = study_patient(patient)
    except DatasetError as error:
        print(f"{patient}: {error}")
        return 2
    with collected(problems):
        images = read_patient(files)
        unpredicted = _without_map(images, targets)
        model = None
        if needs_model(files):
            from cpmlib.cpm.model_file import read_model

            model = read_model(BUILD / "model" / model_scaling() / "model.npz")
        maps = make_maps(images, model, options)
        mirrored = _mirrored(targets, maps)
        regions = extract_regions(maps, targets, options)
        changes = sensitivity(maps.maps, targets, options)
        cases = pack_cases({**images.volumes, **maps.maps}, targets, options.roi_diameter)
    with collected(problems):
        counts = count_samples(files, options.histology_pixel_size_um or None)
    with collected(problems):
        tiles = count_tiles(files)
    if problems:
        print(f"{patient}: {DatasetError(problems)}")
        return 2
    tables = BUILD / "patients" / patient
    written = _write_maps(BUILD / FOLDER / patient, files, images, maps)
    part = _fresh(tables)
    counted = [note for note in counts.pop("he_notes") if note]
    extracted = regions.merge(counts, on="sample_id", how="outer")
    extracted = extracted.merge(tiles, on="sample_id", how="outer")
    extracted.to_csv(part / "samples.tsv", sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    changes.to_csv(part / "sensitivity.tsv", sep="\t", index=False, lineterminator="\n")
    (part / CASES).write_text(json.dumps(cases), encoding="utf-8")
    write_pictures(part / PICTURES, *cut_pictures(patient, maps, targets, regions))
    if "--keep-steps" in flags:
        write_steps(part / STEPS, maps, regions)
    report = {
        "patient": patient,
        "images": sorted(maps.contrasts),
        "maps": sorted(maps.maps),
        "origins": dict(maps.origins),
        "model": None if maps.cellularity is None else model_scaling(),
        "files": written,
        "notes": [*maps.notes, *unpredicted, *(mirrored or []), *counted, *_unused(patient)],
        "mirrored": None if mirrored is None else bool(mirrored),
        "quality": {name: float(np.round(value, 6)) for name, value in maps.quality.items()},
    }
    (part / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _put(part, tables)
    return 0


def _mirrored(targets: pd.DataFrame, maps: PatientMaps) -> list[str] | None:
    """Warn, before anything is read there, where targets look like LPS given as RAS.

    None where that cannot be judged.
    """
    placed = targets.dropna(subset=list(AXES))
    if "mask" not in maps.maps or placed.empty:
        return None
    warnings = detect_lps_targets(placed, maps.maps["mask"], maps.contrasts.get("FLAIR"))
    for warning in warnings:
        print(f"warning: {warning}")
    return warnings


def _without_map(images: PatientImages, targets: pd.DataFrame) -> list[str]:
    """Say which contrasts a map lacks that some sample needs.

    A study that leaves the column out counts on its images: it was refused before, or says why a
    sample has no value. One that writes n/a knows that too, and it is only noted.
    """
    if "CPM" in images.volumes or images.can_predict or not images.volumes:
        return []
    if "cpm" not in targets or not targets["cpm"].isna().any():
        return []
    missing = ", ".join(missing_contrasts(images.kinds))
    return [f"no cellularity map, since these are not there: {missing}"]


def _unused(patient: str) -> list[str]:
    """Say what kinds of files are not used; no name, since notes stand on pages.

    The list was made when the study was prepared, with the samples that it excludes.
    """
    path = BUILD / "manifests" / f"{patient}.tsv"
    if not path.is_file():  # the synthetic study's images are all used
        return []
    table = pd.read_csv(path, sep="\t", encoding_errors="surrogateescape")
    unused = table.dropna(subset="reason")[["what", "reason"]].itertuples(index=False, name=None)
    counts = Counter((what, reason) for what, reason in unused if reason != NOT_NEEDED)
    return [f"not used: {what} ({count}); {reason}" for (what, reason), count in counts.items()]


def _write_maps(
    folder: Path, files: PatientFiles, images: PatientImages, maps: PatientMaps
) -> list[str]:
    """Write what was made, not what the study brought, with its sidecars; return the names."""
    part = _fresh(folder)
    # The ADC is written in any case: in the unit that the book has. So is a CPM that was changed.
    again = {"ADC", *(["CPM"] if maps.maps.get("CPM") is not images.volumes.get("CPM") else [])}
    made = [kind for kind in maps.maps if kind in MADE and kind not in {*files.images} - again]
    written = []
    for kind in made:
        name = MADE[kind].path.format(files.participant_id)
        write_image(part / name, maps.maps[kind])
        text = name.replace(".nii.gz", ".json")
        content = sidecar(kind, files, BUILD / "study", made)
        (part / text).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        written += [name, text]
    _put(part, folder)
    return written


def _fresh(folder: Path) -> Path:
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def _put(part: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
