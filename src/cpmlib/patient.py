"""The images of one patient, read and checked.

Vocabulary
----------
- *series*: a 4-D image: volumes along gradient directions (diffusion) or in time (perfusion).
- *b-value*: diffusion weighting, s/mm2. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from cpmlib.delimited import read_json
from cpmlib.errors import DatasetError, Problem
from cpmlib.gradients import read_gradients
from cpmlib.images import CONTRASTS, check_file, read_image
from cpmlib.study_files import KINDS, PatientFiles, sidecars

VOLUMES = ("T1w", "T1wGd", "FLAIR", "ADC", "rCBV", "CPM", "mask")
SERIES = ("dwi", "dsc")

STEPS_DIFFER = 0.01
"""Share by which a sidecar's repetition time and the header's may differ: both are rounded."""

SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
"""Units of time in a header; without one, the step in it means nothing (often it is 1)."""


@dataclass(frozen=True)
class DiffusionSeries:
    """A diffusion series with its gradients: b-values (V,) and unit directions (V, 3)."""

    image: nib.Nifti1Image
    bvals: np.ndarray
    bvecs: np.ndarray


@dataclass(frozen=True)
class PerfusionSeries:
    """A susceptibility series with the seconds between its volumes and to its echo.

    Notes say what was odd about them.
    """

    image: nib.Nifti1Image
    repetition_time: float
    echo_time: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PatientImages:
    """What there is of one patient.

    Parameters
    ----------
    volumes
        Image by kind (`cpmlib.study_files.KINDS`).
    diffusion, perfusion
        The series, where the map made from it is not there already.
    names
        Name of the file by kind, for messages.
    """

    volumes: Mapping[str, nib.Nifti1Image] = field(default_factory=dict)
    diffusion: DiffusionSeries | None = None
    perfusion: PerfusionSeries | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_predict(self) -> bool:
        """Whether all contrasts are there that a cellularity map needs."""
        return not missing_contrasts(self)


def read_patient(files: PatientFiles) -> PatientImages:
    """Read a patient's images.

    A series is read only where the map that is made from it does not exist.

    Raises
    ------
    DatasetError
        For every file that cannot be used (`cpmlib.images.read_image`), and for a series whose
        texts are missing or do not fit it.
    """
    volumes, problems = {}, []
    for kind in VOLUMES:
        if kind in files.images:
            try:
                volumes[kind] = read_image(files.images[kind])
            except DatasetError as error:
                problems += error.problems
    diffusion = perfusion = None
    try:
        if "dwi" in files.images and "ADC" not in files.images:
            diffusion = _read_diffusion(files.images["dwi"])
        if "dsc" in files.images and "rCBV" not in files.images:
            perfusion = _read_perfusion(files.images["dsc"])
    except DatasetError as error:
        problems += error.problems
    if problems:
        raise DatasetError(problems)
    names = {kind: path.name for kind, path in files.images.items()}
    return PatientImages(volumes, diffusion, perfusion, names)


def check_patient(files: PatientFiles) -> list[Problem]:
    """Return the problems that the headers of a patient's images show, without reading them."""
    problems: list[Problem] = []
    for kind, path in files.images.items():
        try:
            check_file(path, 4 if kind in SERIES else 3)
        except DatasetError as error:
            problems += error.problems
    return problems


def missing_contrasts(images: PatientImages) -> list[str]:
    """Return the contrasts that a cellularity map would need and that are not there."""
    there = set(images.volumes) | ({"ADC"} if images.diffusion else set())
    return [kind for kind in CONTRASTS if kind not in there]


def require_contrasts(participant_id: str, images: PatientImages) -> None:
    """Raise a DatasetError that names each contrast that a cellularity map lacks."""
    problems = []
    for kind in missing_contrasts(images):
        remedy = "add the image, a finished map, or the samples' cpm (or n/a) in samples.tsv"
        found = f"no {KINDS[kind]} ({kind})"
        problems.append(
            Problem(participant_id, found, "the four contrasts of a cellularity map", remedy)
        )
    if problems:
        raise DatasetError(problems)


def _read_diffusion(path: Path) -> DiffusionSeries:
    texts = sidecars(path)
    problems = [
        Problem(texts[end].name, "no such file", f"the {end} of {path.name}", "add it")
        for end in ("bval", "bvec")
        if not texts[end].is_file()
    ]
    if problems:
        raise DatasetError(problems)
    bvals, bvecs = read_gradients(texts["bval"], texts["bvec"])
    image = read_image(path, dimensions=4)
    if image.shape[3] != len(bvals):
        found = f"{image.shape[3]} volumes and {len(bvals)} b-values"
        raise DatasetError(
            Problem(path.name, found, "one b-value for each volume", "take both from one export")
        )
    return DiffusionSeries(image, bvals, bvecs)


def _read_perfusion(path: Path) -> PerfusionSeries:
    sidecar = sidecars(path)["json"]
    if not sidecar.is_file():
        expected = f"RepetitionTime and EchoTime of {path.name}"
        raise DatasetError(Problem(sidecar.name, "no such file", expected, "add it"))
    content = read_json(sidecar)
    times, problems = [], []
    for key in ("RepetitionTime", "EchoTime"):
        value = content.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 60:
            found = "nothing" if value is None else repr(value)
            problems.append(
                Problem(sidecar.name, found, "seconds, above 0", f"correct '{key}'", column=key)
            )
        else:
            times.append(float(value))
    if problems:
        raise DatasetError(problems)
    image = read_image(path, dimensions=4)
    return PerfusionSeries(image, times[0], times[1], _other_step(path, times[0]))


def _other_step(path: Path, repetition_time: float) -> tuple[str, ...]:
    """Say so if the header of a series gives another time between volumes than the sidecar.

    Only the header is read.
    """
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)  # it was read before
    header = image.header
    step = float(header.get_zooms()[3]) * SECONDS.get(header.get_xyzt_units()[1], 0.0)
    if step <= 0 or abs(step / repetition_time - 1) <= STEPS_DIFFER:
        return ()
    found = f"RepetitionTime is {repetition_time:g} s, but the header's step is {step:g} s"
    return (f"{path.name}: {found}; the former is used",)
