"""The images of one patient, read and checked.

Vocabulary
----------
- *series*: a 4-D image: volumes along gradient directions (diffusion) or in time (perfusion).
- *b-value*: diffusion weighting, s/mm2. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import nibabel as nib
import numpy as np

from cpmlib.mri.gradients import SAME_B, choose_volumes, read_gradients
from cpmlib.mri.images import ALIGNED, CONTRASTS, check_file, read_image
from cpmlib.mri.series import grid_of
from cpmlib.mri.volume import Grid, make_image
from cpmlib.study.errors import DatasetError, Problem, collected, fault
from cpmlib.study.files import PatientFiles
from cpmlib.study.names import KINDS, RIGHT_NAMES, SERIES, stem_of
from cpmlib.study.text import read_json

VOLUMES = ("T1w", "T1wGd", "FLAIR", "ADC", "rCBV", "CPM", "mask")

MAX_STEP_DIFFERENCE = 0.01
"""Share by which a sidecar's repetition time and the header's may differ: both are rounded."""

MAX_TIMES = {"RepetitionTime": 60.0, "EchoTime": 0.5}
"""Times that no series of a bolus reaches, s: 1500 or 30 are milliseconds."""

SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
"""Units of time in a header; without one, the step in it means nothing (often it is 1)."""

Texts = Mapping[str, Sequence[Path]]
"""The texts of a series, by suffix; those nearest to it last."""


@dataclass(frozen=True)
class Series:
    """A series of volumes in time or along gradients."""

    image: nib.Nifti1Image

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return grid_of(self.image, "the series")

    def moved(self, matrix: np.ndarray) -> Self:
        """Move it in the world by a matrix (4, 4), without a change of values.

        Gradients stay: they are used for the mean diffusivity, which no rotation changes.
        """
        image = make_image(np.asarray(self.image.dataobj), matrix @ self.image.affine)
        return replace(self, image=image)

    def mean(self, volumes: Collection[int]) -> nib.Nifti1Image:
        """Return the mean of some of the volumes, with the header of the series."""
        total = np.zeros(self.image.shape[:3], np.float32)
        for volume in volumes:
            total += np.asarray(self.image.dataobj[..., volume], dtype=np.float32)
        values = total / np.float32(len(volumes))
        return nib.Nifti1Image(values, self.image.affine, self.image.header)


@dataclass(frozen=True)
class DiffusionSeries(Series):
    """A diffusion series with its gradients: b-values (V,) and unit directions (V, 3)."""

    bvals: np.ndarray
    bvecs: np.ndarray

    @property
    def head(self) -> nib.Nifti1Image:
        """Mean of the volumes without diffusion weighting, or of the least weighted.

        Examples
        --------
        >>> image = nib.Nifti1Image(np.arange(3, dtype=np.float32).reshape(1, 1, 1, 3), np.eye(4))
        >>> series = DiffusionSeries(image, np.array([1000.0, 0, 5]), np.eye(3))
        >>> float(series.head.get_fdata().item())
        1.5
        """
        return self.mean(np.flatnonzero(self.bvals <= self.bvals.min() + SAME_B).tolist())


@dataclass(frozen=True)
class PerfusionSeries(Series):
    """A susceptibility series with the seconds between its volumes and to its echo.

    Notes say what was odd about them.
    """

    repetition_time: float
    echo_time: float
    notes: tuple[str, ...] = ()

    @property
    def head(self) -> nib.Nifti1Image:
        """First volume, before the bolus."""
        return self.mean([0])


@dataclass(frozen=True)
class PatientImages:
    """What there is of one patient.

    Parameters
    ----------
    volumes
        Image by kind (`cpmlib.study.names.KINDS`).
    diffusion, perfusion
        The series, where the map made from it is not there already.
    names
        Name of the file by kind, for messages.
    notes
        What was assumed of them.
    """

    volumes: Mapping[str, nib.Nifti1Image] = field(default_factory=dict)
    diffusion: DiffusionSeries | None = None
    perfusion: PerfusionSeries | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def heads(self) -> dict[str, nib.Nifti1Image]:
        """One 3-D image of each kind: of a series what shows the head best."""
        series = {"dwi": self.diffusion, "dsc": self.perfusion}
        return {**self.volumes, **{kind: s.head for kind, s in series.items() if s is not None}}

    def moved(self, matrices: Mapping[str, np.ndarray]) -> Self:
        """Move series, ``"dwi"`` and ``"dsc"``, in the world by matrices (4, 4)."""
        moved = {}
        for part, kind in (("diffusion", "dwi"), ("perfusion", "dsc")):
            if kind in matrices:
                moved[part] = getattr(self, part).moved(matrices[kind])
        return replace(self, **moved)

    @property
    def can_predict(self) -> bool:
        """Whether all contrasts are there that a cellularity map needs."""
        return not missing_contrasts(self.kinds)

    @property
    def kinds(self) -> set[str]:
        """What there is: the kinds of the volumes, and ``"dwi"`` for a diffusion series."""
        return {*self.volumes, *(["dwi"] if self.diffusion else [])}


def read_patient(files: PatientFiles) -> PatientImages:
    """Read a patient's images.

    A series is read only where the map that is made from it does not exist.

    Raises
    ------
    DatasetError
        For every file that cannot be used (`cpmlib.mri.images.read_image`), and for a series whose
        texts are missing or do not fit it.
    """
    volumes: dict[str, nib.Nifti1Image] = {}
    problems: list[Problem] = []
    for kind in VOLUMES:
        if kind in files.images:
            with collected(problems):
                volumes[kind] = read_image(files.images[kind])
    diffusion = perfusion = None
    with collected(problems):
        if "dwi" in files.images:
            diffusion = _read_diffusion(files.images["dwi"], files.texts["dwi"])
    with collected(problems):
        if "dsc" in files.images:
            perfusion = _read_perfusion(files.images["dsc"], files.texts["dsc"])
    if problems:
        raise DatasetError(problems)
    names = {kind: path.name for kind, path in files.images.items()}
    return PatientImages(volumes, diffusion, perfusion, names, _aligned(files))


def _aligned(files: PatientFiles) -> tuple[str, ...]:
    """Say which images may lie in another space than the targets, by their headers."""
    kinds = [
        kind
        for kind, path in files.images.items()
        if check_file(path, 4 if kind in SERIES else 3)[1] == ALIGNED
    ]
    found = "the header says that it is aligned to another image (code 2)"
    return (f"{', '.join(kinds)}: {found}; taken as scanner space",) if kinds else ()


def check_patient(files: PatientFiles) -> list[Problem]:
    """Return the problems that headers and texts show, without reading an image."""
    problems: list[Problem] = []
    for kind, path in files.images.items():
        with collected(problems):
            shape, _ = check_file(path, 4 if kind in SERIES else 3)
            if kind == "dwi":
                gradients = _gradients(path, shape, files.texts[kind])
                if {"T1w", "T1wGd"} & set(files.images):  # else the series is not used
                    choose_volumes(*gradients, name=path.name)
            elif kind == "dsc":
                _times(path, files.texts[kind])
    return problems


def missing_contrasts(kinds: Collection[str]) -> list[str]:
    """Return the contrasts that a cellularity map needs beside the kinds of images that are there.

    A diffusion series gives the ADC.

    Examples
    --------
    >>> missing_contrasts({"T1w", "T1wGd", "dwi"})
    ['FLAIR']
    """
    there = {*kinds, *(["ADC"] if "dwi" in kinds else [])}
    return [kind for kind in CONTRASTS if kind not in there]


def without_contrasts(participant_id: str, kinds: Collection[str]) -> list[Problem]:
    """Return a problem for each contrast that a patient's cellularity map lacks."""
    remedy = "add the image or a finished map, or say why under cpm_exclude_reason"
    return [
        Problem(
            participant_id,
            f"no {KINDS[kind]} ({kind})",
            f"the four contrasts of a cellularity map, this one as "
            f"{RIGHT_NAMES[kind].format(participant_id)}",
            remedy,
        )
        for kind in missing_contrasts(kinds)
    ]


def _read_diffusion(path: Path, texts: Texts) -> DiffusionSeries:
    image = read_image(path, dimensions=4)
    return DiffusionSeries(image, *_gradients(path, image.shape, texts))


def _gradients(path: Path, shape: Sequence[int], texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Read the b-values and gradients of a series: of each text the one nearest to it."""
    problems = [
        Problem(_beside(path, end), "no such file", f"the {end} of {path.name}", "add it")
        for end in ("bval", "bvec")
        if not texts[end]
    ]
    if problems:
        raise DatasetError(problems)
    bvals, bvecs = read_gradients(texts["bval"][-1], texts["bvec"][-1])
    if shape[3] != len(bvals):
        found = f"{shape[3]} volumes and {len(bvals)} b-values"
        raise fault(path.name, found, "one b-value for each volume", "take both from one export")
    return bvals, bvecs


def _read_perfusion(path: Path, texts: Texts) -> PerfusionSeries:
    times = _times(path, texts)
    image = read_image(path, dimensions=4)
    return PerfusionSeries(image, *times, _other_step(path, times[0]))


def _times(path: Path, texts: Texts) -> tuple[float, float]:
    """Read repetition and echo time, s; what a text nearer to the series says goes first."""
    name = _beside(path, "json")
    if not texts["json"]:
        expected = f"RepetitionTime and EchoTime of {path.name}"
        raise fault(name, "no such file", expected, "add it")
    content: dict[str, object] = {}
    for text in texts["json"]:
        content |= read_json(text)
    times, problems = [], []
    for key, longest in MAX_TIMES.items():
        value = content.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < longest:
            found = "nothing" if value is None else repr(value)
            expected = f"seconds, above 0 and below {longest:g}"
            problems.append(Problem(name, found, expected, f"correct '{key}'", column=key))
        else:
            times.append(float(value))
    if not problems and times[1] >= times[0]:
        found, expected = (
            f"an echo after {times[1]:g} s",
            f"one before the repetition, {times[0]:g} s",
        )
        problems.append(Problem(name, found, expected, "correct both times", column="EchoTime"))
    if problems:
        raise DatasetError(problems)
    return times[0], times[1]


def _beside(series: Path, end: str) -> str:
    return f"{stem_of(series.name)[0]}.{end}"


def _other_step(path: Path, repetition_time: float) -> tuple[str, ...]:
    """Say so if the header of a series gives another time between volumes than the sidecar."""
    header = nib.Nifti1Image.from_filename(path).header  # reads no voxel
    step = float(header.get_zooms()[3]) * SECONDS.get(header.get_xyzt_units()[1], 0.0)
    if step <= 0 or abs(step / repetition_time - 1) <= MAX_STEP_DIFFERENCE:
        return ()
    found = f"RepetitionTime is {repetition_time:g} s, but the header's step is {step:g} s"
    return (f"{path.name}: {found}; the former is used",)
