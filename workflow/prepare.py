"""Lay a study where the workflow finds it, touching only what differs.

All of it lies in build/private, which identifies patients:

key.tsv    the pseudonyms of the study's patients and samples; keys: those of every study built here
source     copies of the tables, under fixed names
study      a link to the study's folder, if it holds more than tables
targets    for each patient with images, its rows: what its images depend on of the tables
manifests  for each patient of a study, its files with size and time: a file that is replaced by an
           older one, or a study by another of the same names, is seen here alone; of a file that is
           not read what it is and why, since a note says so
not_used.tsv  the files of a study that are not read, with the reason; for its author alone
surrogate  the synthetic study, if that is what is built; its images are jobs of the workflow
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cpmlib.mri.survey import find_study_files, image_problems, not_measurable
from cpmlib.study.dataset import excluded_rows, read_tables
from cpmlib.study.derivatives import FOLDER
from cpmlib.study.errors import DatasetError, clip
from cpmlib.study.files import PatientFiles, Unused, has_images
from cpmlib.study.metadata import read_notes
from cpmlib.study.options import AXES
from cpmlib.study.pseudonyms import find_key, key_text, read_key
from cpmlib.study.schemas import EXCLUSIONS, MEASURED
from cpmsurrogate.images.study import study_tables
from dependencies import BUILD, BUILD_NAME, OPTIONAL, ROOT, TABLES
from private_folder import write_if_changed

NOT_USED = "not_used.tsv"
SHOWN = 3
"""Names that stand on the terminal for files that are not used for the same reason."""
CALIBRATED = ROOT / "data" / "surrogate"


def prepare_study(source: Path) -> str:
    """Check a study's tables and the headers of its images; stage it; return its staged path.

    Raises
    ------
    DatasetError
        With everything that tables and headers show to be wrong.
    """
    try:
        participants, everyone, description = read_tables(source)
    except DatasetError as error:
        raise DatasetError([*error.problems, *image_problems(source)]) from None
    for note in read_notes(description):
        print(f"not used: {note}")
    samples = everyone[~excluded_rows(everyone)]
    files, others = find_study_files(source, everyone) if source.is_dir() else ({}, [])
    if source.is_dir() and has_images(source):
        for column, missing in not_measurable(samples, files).items():
            print(f"no {column} of {len(missing)} samples, since there is no file or no target:")
            print(f"  {', '.join(missing)}")
        _link(source)
    else:
        (BUILD / "study").unlink(missing_ok=True)
    _write_key(source, participants, everyone)
    _say_unused(source, [*others, *(one for found in files.values() for one in found.unused)])
    _write_targets(samples, {who for who, found in files.items() if found.all()})
    _write_manifests(source, files)
    if source.is_dir():
        names = [name for name in (*TABLES, *OPTIONAL) if (source / name).is_file()]
        _write_only(BUILD / "source", {name: (source / name).read_bytes() for name in names})
        return f"{BUILD_NAME}/source"
    name = f"study{source.suffix.lower()}"
    _write_only(BUILD / "source", {name: source.read_bytes()})
    return f"{BUILD_NAME}/source/{name}"


def prepare_surrogate() -> str:
    """Lay out the tables of the synthetic study; its images are made by the workflow."""
    participants, samples, description = read_tables(CALIBRATED)
    folder = BUILD / "surrogate"
    _write_key(CALIBRATED, participants, samples)
    for name, text in study_tables(participants, samples, description).items():
        write_if_changed(folder / name, text.encode())
    joined = samples.merge(participants, on="participant_id")
    _write_rows(joined, BUILD / "calibrated", set(participants["participant_id"]))
    _, placed, _ = read_tables(folder, extracted=True)
    _link(folder)
    _write_targets(placed, set(participants["participant_id"]))
    _write_manifests(folder, {})  # its images are jobs
    _write_only(BUILD / "source", {name: (folder / name).read_bytes() for name in TABLES})
    return f"{BUILD_NAME}/source"


def _write_key(source: Path, participants: pd.DataFrame, samples: pd.DataFrame) -> None:
    """Give new patients and samples the next numbers, and keep those of all others.

    Each study, by its place, has a key of its own: what another one is called changes nothing.
    A study in a new place takes the one key that holds most of its patients with it.
    """
    kept, synthetic = _place_of_key(source), _place_of_key(CALIBRATED)
    if not kept.is_file() and kept != synthetic:
        others = [path for path in sorted(kept.parent.glob("*.tsv")) if path != synthetic]
        if moved := find_key(others, participants, samples):
            moved.rename(kept)
            print("patients and samples keep the numbers of an earlier build of this study")
    text = key_text(read_key(kept).extended(participants, samples)).encode()
    write_if_changed(kept, text)
    write_if_changed(BUILD / "key.tsv", text)


def _place_of_key(source: Path) -> Path:
    place = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    return BUILD / "keys" / f"{place}.tsv"


def _say_unused(source: Path, unused: Sequence[Unused]) -> None:
    """Name the files that are not read on the terminal, and all of them in a list."""
    rows = [(one.path.relative_to(source).as_posix(), one.what, one.reason) for one in unused]
    table = pd.DataFrame(sorted(rows), columns=["path", "what", "reason"])
    write_if_changed(BUILD / NOT_USED, _as_bytes(table))
    if rows:
        print(f"not used are {len(rows)} files or folders; all are in {BUILD_NAME}/{NOT_USED}:")
    for (what, reason), part in table.groupby(["what", "reason"]):
        names = [*part["path"][:SHOWN], *(["..."] if len(part) > SHOWN else [])]
        shown = ", ".join(map(clip, names))
        print(f"  {what} ({reason}), {len(part)}: {shown}")


def _link(folder: Path) -> None:
    link = BUILD / "study"
    if not link.is_symlink() or link.resolve() != folder.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(folder.resolve(), target_is_directory=True)


def _write_targets(samples: pd.DataFrame, patients: set[str]) -> None:
    rows = samples.assign(**{axis: float("nan") for axis in AXES if axis not in samples})
    # A measured column that the study leaves out stays out: its images are to give it.
    # What is left out, and why, decides what is read at all.
    # A representative case is looked at more closely.
    given = [name for name in (*MEASURED, *EXCLUSIONS, "case") if name in rows.columns]
    keep = ["sample_id", "participant_id", *AXES, *given]
    _write_rows(rows[keep], BUILD / "targets", patients)
    for folder in (BUILD / "patients", BUILD / FOLDER):
        if folder.is_dir():
            for path in folder.glob("sub-*"):
                if path.name not in patients:
                    shutil.rmtree(path)
    _forget_incomplete()


def _forget_incomplete() -> None:
    """Drop the report of a patient of whom a derivative was deleted, so that it is made again."""
    for report in (BUILD / "patients").glob("sub-*/report.json"):
        folder = BUILD / FOLDER / report.parent.name
        files = json.loads(report.read_text("utf-8")).get("files", [])
        if not all((folder / name).is_file() for name in files):
            shutil.rmtree(report.parent)


def _write_manifests(source: Path, files: Mapping[str, PatientFiles]) -> None:
    texts = {}
    for who, found in files.items():
        used = [(path, path.stat()) for path in found.all()]
        rows: list[tuple[object, ...]] = [(p, s.st_size, s.st_mtime_ns, "", "") for p, s in used]
        rows += [(one.path, "", "", one.what, one.reason) for one in found.unused]
        if used:
            table = pd.DataFrame(rows, columns=["path", "size", "mtime_ns", "what", "reason"])
            # Paths from the study's folder: where that lies is nobody's business.
            table["path"] = [path.relative_to(source).as_posix() for path in table["path"]]
            texts[f"{who}.tsv"] = _as_bytes(table)
    _write_only(BUILD / "manifests", texts)


def _as_bytes(table: pd.DataFrame) -> bytes:
    """Write a table whose names of files may be no Unicode."""
    text = table.to_csv(sep="\t", index=False, lineterminator="\n")
    return text.encode("utf-8", "surrogateescape")


def _write_only(folder: Path, wanted: Mapping[str, bytes]) -> None:
    """Make a folder hold these files and no others."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        write_if_changed(folder / name, content)


def _write_rows(rows: pd.DataFrame, folder: Path, patients: set[str]) -> None:
    texts = {
        f"{who}.tsv": part.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n").encode()
        for who, part in rows.groupby("participant_id", sort=False)
        if who in patients
    }
    _write_only(folder, texts)
