"""What a whole study brings besides its tables, told before an image is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cpmlib.mri.patient import check_patient, without_contrasts
from cpmlib.study.dataset import excluded_rows
from cpmlib.study.delimited import column_name, read_tsv
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.files import PatientFiles, Unused, find_patient, has_images, unknown_patients
from cpmlib.study.names import COUNTED
from cpmlib.study.options import AXES
from cpmlib.study.schemas import MEASURED, MISSING, SAMPLES, wanted

NEEDED = {"cpm": {"CPM", "T1wGd"}, "adc": {"ADC", "dwi"}}
"""Kinds of images of which one is needed to measure a column at a target."""


def find_study_files(
    source: Path, samples: pd.DataFrame
) -> tuple[dict[str, PatientFiles], list[Unused]]:
    """Find the files of all patients who have a sample that is not excluded, and what is nobody's.

    `samples` are all of the study, the excluded ones too. One DatasetError tells all that names,
    headers and texts show to be wrong.
    """
    everyone = set(samples["participant_id"])
    if not has_images(source):
        return {}, unknown_patients(source, everyone)
    files: dict[str, PatientFiles] = {}
    others: list[Unused] = []
    problems: list[Problem] = []
    for who, rows in samples.groupby("participant_id", sort=False):
        out = excluded_rows(rows)
        if out.all():  # what a study excludes needs no images
            continue
        try:
            counted = ~out & wanted(rows, "he_cellularity")
            kept, aside, uncounted = (
                rows.loc[chosen, "sample_id"] for chosen in (counted, out, ~out & ~counted)
            )
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
        others = unknown_patients(source, everyone)
    except DatasetError as error:
        problems += error.problems
    if problems:
        raise DatasetError(list(dict.fromkeys(problems)))  # a link may concern every patient
    return files, others


def image_problems(source: Path) -> list[Problem]:
    """Return what is wrong with the images of a study whose tables are faulty too."""
    if not has_images(source):
        return []
    try:
        cells = read_tsv(source / SAMPLES.name).cells.rename(columns=column_name)
        if not {"participant_id", "sample_id"} <= set(cells.columns):
            return []
        named = cells[cells["participant_id"].str.fullmatch("sub-[A-Za-z0-9]+")]
        find_study_files(source, named.mask(named.isin(["", MISSING])).dropna(subset="sample_id"))
    except DatasetError as error:
        return error.problems
    return []


def not_measurable(
    samples: pd.DataFrame, files: Mapping[str, PatientFiles]
) -> dict[str, list[str]]:
    """Name, by column that the study leaves out, each sample without a target or a file for it.

    `samples` are those that are not excluded; a name is as ``"sub-01 sample-01"``.
    """
    placed = samples.reindex(columns=list(AXES)).notna().all(axis=1)
    missing: dict[str, list[str]] = {}
    for column in [name for name in MEASURED if name not in samples.columns]:
        rows = samples.assign(placed=placed)[wanted(samples, column)]
        for who, sample, has_target in rows[["participant_id", "sample_id", "placed"]].to_numpy():
            found = files[str(who)]
            if column in NEEDED:
                there = has_target and NEEDED[column] & set(found.images)
            else:
                there = set(found.exports[str(sample)]) & set(COUNTED)
            if not there:
                missing.setdefault(column, []).append(f"{who} {sample}")
    return missing
