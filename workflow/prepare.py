"""Lay a study where the workflow finds it, touching only what differs.

All of it lies in build/private, which identifies patients:

key.tsv    the pseudonyms of the study's patients and samples; keys: those of every study built here
source     copies of the tables, under fixed names
study      a link to the study's folder, if it holds more than tables
targets    for each patient with images, its rows: what its images depend on of the tables
manifests  for each patient of a study, its files with size and time: a file that is replaced by an
           older one, or a study by another of the same names, is seen here alone
surrogate  the synthetic study, if that is what is built; its images are jobs of the workflow
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cpmlib.dataset import read_tables
from cpmlib.derivatives import FOLDER
from cpmlib.errors import DatasetError, Problem
from cpmlib.patient import check_patient
from cpmlib.pseudonyms import key_text, read_key
from cpmlib.roi import COLUMNS as AXES
from cpmlib.schemas import MEASURED
from cpmlib.study_files import PatientFiles, find_patient, has_images
from cpmlib.surrogate.images.study import study_tables
from dependencies import BUILD, BUILD_NAME, OPTIONAL, ROOT, TABLES

PRIVATE = """\
# Private

Do not share this folder. `key.tsv` says which patient is P01 and which sample S01; the other files
hold identifiers of the study, names of its files, or images. What may be shared lies outside it:
`html` (the pages) and `values.json`.

Numbers stay with their patients and samples from build to build, as long as `keys` is here. Keep a
copy in a safe place: without it, a new build numbers in the order of the tables.
`make clean` deletes this folder with all the rest.
"""
"""What stands in the folder of that name."""

CALIBRATED = ROOT / "data" / "surrogate"


def prepare_study(source: Path) -> str:
    """Check a study's tables and the headers of its images; stage it; return its staged path.

    Raises
    ------
    DatasetError
        With everything that tables and headers show to be wrong.
    """
    participants, samples, _ = read_tables(source)
    if source.is_dir() and has_images(source):
        files = _find_all(source, samples)
        _link(source)
    else:
        files = {}
        (BUILD / "study").unlink(missing_ok=True)
    _write_key(source, participants, samples)
    _write_targets(samples, {who for who, found in files.items() if found.all()})
    _write_manifests(source, files)
    if source.is_dir():
        optional = [name for name in OPTIONAL if (source / name).is_file()]
        wanted = {name: (source / name).read_bytes() for name in (*TABLES, *optional)}
        return _stage(wanted, f"{BUILD_NAME}/source")
    name = f"study{source.suffix.lower()}"
    return _stage({name: source.read_bytes()}, f"{BUILD_NAME}/source/{name}")


def prepare_surrogate() -> str:
    """Lay out the tables of the synthetic study; its images are made by the workflow."""
    participants, samples, description = read_tables(CALIBRATED)
    folder = BUILD / "surrogate"
    _write_key(CALIBRATED, participants, samples)
    texts = study_tables(participants, samples, description)
    for name, text in texts.items():
        write_if_changed(folder / name, text.encode())
    joined = samples.merge(participants, on="participant_id")
    _write_rows(joined, BUILD / "calibrated", set(participants["participant_id"]))
    _, placed, _ = read_tables(folder, extracted=True)
    _link(folder)
    _write_targets(placed, set(participants["participant_id"]))
    _write_manifests(folder, {})  # its images are jobs
    return _stage({name: (folder / name).read_bytes() for name in TABLES}, f"{BUILD_NAME}/source")


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file unless it holds just that already, so that nothing is run again for it."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_bytes(content)
        partial.replace(path)


def _write_key(source: Path, participants: pd.DataFrame, samples: pd.DataFrame) -> None:
    """Give new patients and samples the next numbers, and keep those of all others.

    Each study, by its place, has a key of its own: what another one is called changes nothing.
    """
    place = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    kept = BUILD / "keys" / f"{place}.tsv"
    text = key_text(read_key(kept).extended(participants, samples)).encode()
    write_if_changed(kept, text)
    write_if_changed(BUILD / "key.tsv", text)


def make_private_folder() -> None:
    """Make the folder of what may not be shared, say so in it, and keep Snakemake's notes there."""
    BUILD.mkdir(parents=True, exist_ok=True)
    write_if_changed(BUILD / "README.md", PRIVATE.encode())
    notes, link = BUILD / "snakemake", ROOT / ".snakemake"
    notes.mkdir(exist_ok=True)
    if link.is_dir() and not link.is_symlink():  # left by Snakemake run by hand
        shutil.rmtree(notes)
        link.rename(notes)
    if not link.is_symlink():
        link.symlink_to(notes.relative_to(ROOT), target_is_directory=True)


def _find_all(source: Path, samples: pd.DataFrame) -> dict[str, PatientFiles]:
    files: dict[str, PatientFiles] = {}
    problems: list[Problem] = []
    for who, rows in samples.groupby("participant_id", sort=False):
        try:
            files[str(who)] = find_patient(source, str(who), rows["sample_id"])
            problems += check_patient(files[str(who)])
        except DatasetError as error:
            problems += error.problems
    if problems:
        raise DatasetError(problems)
    return files


def _link(folder: Path) -> None:
    link = BUILD / "study"
    if not link.is_symlink() or link.resolve() != folder.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(folder.resolve(), target_is_directory=True)


def _stage(wanted: dict[str, bytes], staged: str) -> str:
    _write_only(BUILD / "source", wanted)
    return staged


def _write_targets(samples: pd.DataFrame, patients: set[str]) -> None:
    rows = samples.copy()
    for axis in AXES:
        if axis not in rows.columns:
            rows[axis] = float("nan")
    # A measured column that the study leaves out stays out: its images are to give it.
    given = [column for column in MEASURED if column in rows.columns]
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
        # Paths from the study's folder: where that lies is nobody's business.
        stats = ((path.relative_to(source).as_posix(), path.stat()) for path in found.all())
        rows = [f"{path}\t{stat.st_size}\t{stat.st_mtime_ns}\n" for path, stat in stats]
        if rows:
            texts[f"{who}.tsv"] = "".join(["path\tsize\tmtime_ns\n", *rows]).encode()
    _write_only(BUILD / "manifests", texts)


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
