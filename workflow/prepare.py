"""Lay a study where the workflow finds it, touching only what differs.

build/source    copies of the tables, under fixed names
build/study     a link to the study's folder, if it holds more than tables
build/targets   for each patient with images, its rows: what its images depend on of the tables
build/manifests for each patient of a study, its files with size and time: a file that is replaced
                by an older one, or a study by another of the same names, is seen here alone
build/not_used.tsv  the files of a study that are not read, with the reason; for its author alone
build/surrogate the synthetic study, if that is what is built; its images are jobs of the workflow
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cpmlib.dataset import read_tables
from cpmlib.derivatives import FOLDER
from cpmlib.errors import DatasetError, Problem
from cpmlib.patient import check_patient, without_contrasts
from cpmlib.roi import COLUMNS as AXES
from cpmlib.schemas import MEASURED
from cpmlib.study_files import PatientFiles, Unused, find_patient, has_images, unknown_patients
from cpmlib.study_names import COUNTED
from cpmlib.surrogate.images.study import study_tables
from dependencies import BUILD, OPTIONAL, ROOT, TABLES

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
    _, samples, _ = read_tables(source)
    if source.is_dir() and has_images(source):
        files = _find_all(source, samples)
        _say_missing(samples, files)
        _link(source)
    else:
        files = {}
        (BUILD / "study").unlink(missing_ok=True)
    others = unknown_patients(source, set(samples["participant_id"])) if source.is_dir() else []
    _say_unused(source, [*others, *(one for found in files.values() for one in found.unused)])
    _write_targets(samples, {who for who, found in files.items() if found.all()})
    _write_manifests(source, files)
    if source.is_dir():
        optional = [name for name in OPTIONAL if (source / name).is_file()]
        wanted = {name: (source / name).read_bytes() for name in (*TABLES, *optional)}
        return _stage(wanted, "build/source")
    name = f"study{source.suffix.lower()}"
    return _stage({name: source.read_bytes()}, f"build/source/{name}")


def prepare_surrogate() -> str:
    """Lay out the tables of the synthetic study; its images are made by the workflow."""
    participants, samples, description = read_tables(CALIBRATED)
    folder = BUILD / "surrogate"
    texts = study_tables(participants, samples, description)
    for name, text in texts.items():
        write_if_changed(folder / name, text.encode())
    joined = samples.merge(participants, on="participant_id")
    _write_rows(joined, BUILD / "calibrated", set(participants["participant_id"]))
    _, placed, _ = read_tables(folder, extracted=True)
    _link(folder)
    _write_targets(placed, set(participants["participant_id"]))
    _write_manifests(folder, {})  # its images are jobs
    return _stage({name: (folder / name).read_bytes() for name in TABLES}, "build/source")


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file unless it holds just that already, so that nothing is run again for it."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _find_all(source: Path, samples: pd.DataFrame) -> dict[str, PatientFiles]:
    """Find every patient's files; raise all that names, headers and texts show to be wrong."""
    files: dict[str, PatientFiles] = {}
    problems: list[Problem] = []
    for who, rows in samples.groupby("participant_id", sort=False):
        try:
            files[str(who)] = found = find_patient(source, str(who), rows["sample_id"])
        except DatasetError as error:
            problems += error.problems
            continue
        problems += check_patient(found)
        # A study that leaves the column out counts on its images, which must then be whole.
        if "cpm" not in samples.columns and "CPM" not in found.images:
            problems += without_contrasts(str(who), set(found.images))
    try:
        unknown_patients(source, set(samples["participant_id"]))
    except DatasetError as error:
        problems += error.problems
    if problems:
        raise DatasetError(list(dict.fromkeys(problems)))  # a link may concern every patient
    return files


def _say_unused(source: Path, unused: Sequence[Unused]) -> None:
    """Name the files that are not read on the terminal, and all of them in a list."""
    rows = [(one.path.relative_to(source).as_posix(), one.what, one.reason) for one in unused]
    table = pd.DataFrame(sorted(rows), columns=["path", "what", "reason"])
    text = table.to_csv(sep="\t", index=False, lineterminator="\n")
    write_if_changed(BUILD / NOT_USED, text.encode("utf-8", "surrogateescape"))
    if rows:
        print(f"not used are {len(rows)} files or folders; all are in build/{NOT_USED}:")
    for (what, reason), part in table.groupby(["what", "reason"]):
        names = [*part["path"][:SHOWN], *(["..."] if len(part) > SHOWN else [])]
        shown = ", ".join(names).encode("utf-8", "backslashreplace").decode()
        print(f"  {what} ({reason}), {len(part)}: {shown}")


def _say_missing(samples: pd.DataFrame, files: Mapping[str, PatientFiles]) -> None:
    """Name the samples of which a column that the study leaves to its files cannot be measured."""
    placed = set(samples.dropna(subset=[a for a in AXES if a in samples.columns])["sample_id"])
    placed = placed if set(AXES) <= set(samples.columns) else set()
    needed = {"cpm": {"CPM", "T1wGd"}, "adc": {"ADC", "dwi"}}
    for column in [name for name in MEASURED if name not in samples.columns]:
        missing = []
        for who, sample in zip(samples["participant_id"], samples["sample_id"], strict=True):
            found = files[str(who)]
            if column in needed:
                there = sample in placed and needed[column] & set(found.images)
            else:
                there = set(found.exports[str(sample)]) & set(COUNTED)
            if not there:
                missing.append(f"{who} {sample}")
        if missing:
            print(f"no {column} of {len(missing)} samples, since there is no file or no target:")
            print(f"  {', '.join(missing)}")


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
