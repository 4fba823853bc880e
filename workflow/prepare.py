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
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.mri.patient import check_patient, without_contrasts
from cpmlib.study.dataset import excluded_rows, read_tables
from cpmlib.study.delimited import column_name, read_tsv
from cpmlib.study.derivatives import FOLDER
from cpmlib.study.errors import DatasetError, Problem, clip
from cpmlib.study.files import PatientFiles, Unused, find_patient, has_images, unknown_patients
from cpmlib.study.metadata import read_notes
from cpmlib.study.names import COUNTED
from cpmlib.study.options import AXES
from cpmlib.study.pseudonyms import key_text, read_key
from cpmlib.study.schemas import EXCLUSIONS, MEASURED, MISSING, SAMPLES, wanted
from cpmsurrogate.images.study import study_tables
from dependencies import BUILD, BUILD_NAME, OPTIONAL, ROOT, SHARED, TABLES

PRIVATE = """\
# Private

Do not share this folder. `key.tsv` says which patient is P01 and which sample S01; the other files
hold identifiers of the study, names of its files, or images. What may be shared lies outside it:
`html` (the pages) and `values.json`.

Numbers stay with their patients and samples from build to build while `keys` is here, also if the
study is moved or renamed: the key that holds most of its patients is used, if only one does.
Keep a copy in a safe place: without it, a new build numbers in the order of the tables.
`make clean` deletes this folder with all the rest.
"""
"""What stands in the folder of that name."""

NOT_USED = "not_used.tsv"
SHOWN = 3
"""Names that stand on the terminal for files that are not used for the same reason."""
CALIBRATED = ROOT / "data" / "surrogate"
LEFT_BY_EARLIER = (
    *("dataset", "source", "study", "targets", "manifests", "patients", "derivatives"),
    *("calibrated", "site", "sphinx", "logs", "surrogate", "model", "given_model.npz"),
    *("settings.json", "options.json", "image_options.json", "pages.done", "graph.svg"),
    "snakemake.log",
)
"""What was once beside the pages, and identifies patients or is of no use there."""


def prepare_study(source: Path) -> str:
    """Check a study's tables and the headers of its images; stage it; return its staged path.

    Raises
    ------
    DatasetError
        With everything that tables and headers show to be wrong.
    """
    try:
        participants, samples, description = read_tables(source)
    except DatasetError as error:
        raise DatasetError([*error.problems, *_faults_of_images(source)]) from None
    for note in read_notes(description):
        print(f"not used: {note}")
    # What a study excludes needs no images.
    everyone, samples = samples, samples[~excluded_rows(samples)]
    files: dict[str, PatientFiles] = {}
    others: list[Unused] = []
    if source.is_dir() and has_images(source):
        files, others = _find_all(source, everyone, set(samples["participant_id"]))
        _say_missing(samples, files)
        _link(source)
    else:
        if source.is_dir():
            others = unknown_patients(source, set(everyone["participant_id"]))
        (BUILD / "study").unlink(missing_ok=True)
    _write_key(source, participants, everyone)
    _say_unused(source, [*others, *(one for found in files.values() for one in found.unused)])
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
    A study in a new place takes the one key that holds most of its patients with it.
    """
    kept, synthetic = _place_of_key(source), _place_of_key(CALIBRATED)
    if not kept.is_file() and kept != synthetic:
        others = [path for path in sorted(kept.parent.glob("*.tsv")) if path != synthetic]
        alike = [path for path in others if _holds_most(path, participants, samples)]
        if len(alike) == 1:
            alike[0].rename(kept)
            print("patients and samples keep the numbers of an earlier build of this study")
    text = key_text(read_key(kept).extended(participants, samples)).encode()
    write_if_changed(kept, text)
    write_if_changed(BUILD / "key.tsv", text)


def _place_of_key(source: Path) -> Path:
    place = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    return BUILD / "keys" / f"{place}.tsv"


def _holds_most(path: Path, participants: pd.DataFrame, samples: pd.DataFrame) -> bool:
    """Whether a key knows more than half of a study's patients, and of their samples."""
    try:
        key = read_key(path)
    except DatasetError:  # said where it is needed
        return False
    pairs = samples[["participant_id", "sample_id"]].itertuples(index=False, name=None)
    people = participants["participant_id"].isin(list(key.patients)).mean()
    return min(people, np.mean([pair in key.samples for pair in pairs])) > 1 / 2


def make_private_folder() -> None:
    """Make the folder of what may not be shared, say so in it, and keep Snakemake's notes there."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for path in (SHARED / name for name in LEFT_BY_EARLIER):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    write_if_changed(BUILD / "README.md", PRIVATE.encode())
    notes, link = BUILD / "snakemake", ROOT / ".snakemake"
    notes.mkdir(exist_ok=True)
    if link.is_dir() and not link.is_symlink():  # left by Snakemake run by hand
        shutil.rmtree(notes)
        link.rename(notes)
    if not link.is_symlink():
        link.symlink_to(notes.relative_to(ROOT), target_is_directory=True)


def _find_all(
    source: Path, samples: pd.DataFrame, needed: Collection[str]
) -> tuple[dict[str, PatientFiles], list[Unused]]:
    """Find the files of the patients that are needed, and what is nobody's.

    All that names, headers and texts show to be wrong is raised at once. The samples are those of
    the whole study.
    """
    files: dict[str, PatientFiles] = {}
    others: list[Unused] = []
    problems: list[Problem] = []
    for who, rows in samples.groupby("participant_id", sort=False):
        if who not in needed:
            continue
        try:
            out = excluded_rows(rows)
            counted = ~out & wanted(rows, "he_cellularity")
            kept, aside = rows.loc[counted, "sample_id"], rows.loc[out, "sample_id"]
            uncounted = rows.loc[~out & ~counted, "sample_id"]
            files[str(who)] = found = find_patient(
                source, str(who), kept, excluded=aside, uncounted=uncounted
            )
        except DatasetError as error:
            problems += error.problems
            continue
        problems += check_patient(found)
        # A study that leaves the column out counts on its images, which must then be whole.
        counts = "cpm" not in rows and (wanted(rows, "cpm") & ~out).any()
        if counts and "CPM" not in found.images:
            problems += without_contrasts(str(who), set(found.images))
    try:
        others = unknown_patients(source, set(samples["participant_id"]))
    except DatasetError as error:
        problems += error.problems
    if problems:
        raise DatasetError(list(dict.fromkeys(problems)))  # a link may concern every patient
    return files, others


def _faults_of_images(source: Path) -> list[Problem]:
    """Tell what is wrong with the images of a study whose tables are faulty too."""
    if not has_images(source):
        return []
    try:
        cells = read_tsv(source / SAMPLES.name).cells.rename(columns=column_name)
        if not {"participant_id", "sample_id"} <= set(cells.columns):
            return []
        named = cells[cells["participant_id"].str.fullmatch("sub-[A-Za-z0-9]+")]
        named = named.mask(named.isin(["", MISSING])).dropna(subset="sample_id")
        _find_all(source, named, set(named.loc[~excluded_rows(named), "participant_id"]))
    except DatasetError as error:
        return error.problems
    return []


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


def _say_missing(samples: pd.DataFrame, files: Mapping[str, PatientFiles]) -> None:
    """Name the samples of which a column that the study leaves to its files cannot be measured."""
    placed = samples.reindex(columns=list(AXES)).notna().all(axis=1)
    needed = {"cpm": {"CPM", "T1wGd"}, "adc": {"ADC", "dwi"}}
    for column in [name for name in MEASURED if name not in samples.columns]:
        missing = []
        rows = samples.assign(placed=placed)[wanted(samples, column)]
        for who, sample, has_target in rows[["participant_id", "sample_id", "placed"]].to_numpy():
            found = files[str(who)]
            if column in needed:
                there = has_target and needed[column] & set(found.images)
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
    # What is left out, and why, decides what is read at all.
    given = [column for column in (*MEASURED, *EXCLUSIONS) if column in rows.columns]
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
