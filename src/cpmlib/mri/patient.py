"""The images of one patient, read and checked. Times are in seconds, b-values in s/mm2."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import nibabel as nib
import numpy as np

from cpmlib.mri.gradients import SAME_B, choose_volumes, read_gradients
from cpmlib.mri.images import ALIGNED, CONTRASTS, check_file, read_image
from cpmlib.mri.series import grid_of
from cpmlib.mri.volume import Grid, make_image
from cpmlib.study.errors import Problem, collected, fault, told_together
from cpmlib.study.files import PatientFiles
from cpmlib.study.names import KINDS, SERIES, stem_of
from cpmlib.study.text import read_json

VOLUMES = ("T1w", "T1wGd", "FLAIR", "ADC", "rCBV", "CPM", "mask")
MAX_STEP_DIFFERENCE = 0.01
"""Share by which a sidecar's repetition time and the header's may differ: both are rounded."""
MAX_TIMES = {"RepetitionTime": 60.0, "EchoTime": 0.5}
"""Times that no series of a bolus reaches, s: 1500 or 30 are milliseconds."""
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
"""Units of time in a header; without one, the step in it means nothing (often it is 1)."""

REMEDIES = {
    "bval": "add it, or give the ADC map that the scanner made",
    "bvec": "add it; for trace images, of which converters write none, with three rows of zeros",
}
"""What to do if a text of a diffusion series is missing; trace images have no directions."""

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
        """Move it in the world by a matrix (4, 4); a mean diffusivity needs no other gradients."""
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
        """Mean of the volumes without diffusion weighting, or of the least weighted."""
        return self.mean(np.flatnonzero(self.bvals <= self.bvals.min() + SAME_B).tolist())


@dataclass(frozen=True)
class PerfusionSeries(Series):
    """A susceptibility series with the seconds between its volumes and to its echo."""

    repetition_time: float
    echo_time: float
    notes: tuple[str, ...] = ()

    @property
    def head(self) -> nib.Nifti1Image:
        """First volume, before the bolus."""
        return self.mean([0])


@dataclass(frozen=True)
class PatientImages:
    """What there is of one patient: images and names of their files by kind.

    Kinds are those of `cpmlib.study.names.KINDS`. Of a map that is there, the series is not read.
    """

    volumes: Mapping[str, nib.Nifti1Image] = field(default_factory=dict)
    diffusion: DiffusionSeries | None = None
    perfusion: PerfusionSeries | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def series(self) -> dict[str, DiffusionSeries | PerfusionSeries]:
        """The series that are there, by kind."""
        both = {"dwi": self.diffusion, "dsc": self.perfusion}
        return {kind: series for kind, series in both.items() if series is not None}

    @property
    def heads(self) -> dict[str, nib.Nifti1Image]:
        """One 3-D image of each kind: of a series what shows the head best."""
        return {**self.volumes, **{kind: series.head for kind, series in self.series.items()}}

    @property
    def kinds(self) -> set[str]:
        """Of all images that are there."""
        return {*self.volumes, *self.series}

    @property
    def can_predict(self) -> bool:
        """Whether all contrasts are there that a cellularity map needs."""
        return not missing_contrasts(self.kinds)


def read_patient(files: PatientFiles) -> PatientImages:
    """Read a patient's images; every file that cannot be used is told in one DatasetError."""
    volumes, diffusion, perfusion = {}, None, None
    with told_together() as problems:
        for kind in VOLUMES:
            if kind in files.images:
                with collected(problems):
                    volumes[kind] = read_image(files.images[kind])
        with collected(problems):
            if path := files.images.get("dwi"):
                image = read_image(path, dimensions=4)
                gradients = _gradients(path, image.shape, files.texts["dwi"])
                diffusion = DiffusionSeries(image, *gradients)
        with collected(problems):
            if path := files.images.get("dsc"):
                times = _times(path, files.texts["dsc"])
                image = read_image(path, dimensions=4)
                perfusion = PerfusionSeries(image, *times, _other_step(path, times[0]))
    names = {kind: path.name for kind, path in files.images.items()}
    return PatientImages(volumes, diffusion, perfusion, names, _aligned(files))


def _aligned(files: PatientFiles) -> tuple[str, ...]:
    kinds = [kind for kind in files.images if _header(files, kind)[1] == ALIGNED]
    found = "the header says that it is aligned to another image (code 2)"
    return (f"{', '.join(kinds)}: {found}; taken as scanner space",) if kinds else ()


def _header(files: PatientFiles, kind: str) -> tuple[tuple[int, ...], int]:
    return check_file(files.images[kind], 4 if kind in SERIES else 3)


def check_patient(files: PatientFiles) -> list[Problem]:
    """Return the problems that headers and texts show, without reading an image."""
    problems: list[Problem] = []
    for kind, path in files.images.items():
        with collected(problems):
            shape, _ = _header(files, kind)
            if kind == "dwi":
                gradients = _gradients(path, shape, files.texts[kind])
                if {"T1w", "T1wGd"} & set(files.images):  # else the series is not used
                    choose_volumes(*gradients, name=path.name)
            elif kind == "dsc":
                _times(path, files.texts[kind])
    return problems


def missing_contrasts(kinds: Collection[str]) -> list[str]:
    """Return the contrasts that a cellularity map needs beside these; a series gives the ADC.

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
    problems = []
    for kind in missing_contrasts(kinds):
        name = KINDS[kind].right_name.format(participant_id)
        expected = f"the four contrasts of a cellularity map, this one as {name}"
        problems.append(
            Problem(participant_id, f"no {KINDS[kind].description} ({kind})", expected, remedy)
        )
    return problems


def _gradients(path: Path, shape: Sequence[int], texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Of each text the one nearest to the series is taken."""
    with told_together() as problems:
        for end, remedy in REMEDIES.items():
            if not texts[end]:
                expected = f"the {end} of {path.name}"
                problems.append(Problem(_beside(path, end), "no such file", expected, remedy))
    bvals, bvecs = read_gradients(texts["bval"][-1], texts["bvec"][-1])
    if shape[3] != len(bvals):
        found = f"{shape[3]} volumes and {len(bvals)} b-values"
        raise fault(path.name, found, "one b-value for each volume", "take both from one export")
    return bvals, bvecs


def _times(path: Path, texts: Texts) -> tuple[float, float]:
    """Read repetition and echo time, s; what a text nearer to the series says goes first."""
    name = _beside(path, "json")
    if not texts["json"]:
        expected = f"RepetitionTime and EchoTime of {path.name}"
        raise fault(name, "no such file", expected, "add it")
    content: dict[str, Any] = {}
    for text in texts["json"]:
        content |= read_json(text)
    times = []
    with told_together() as problems:
        for key, longest in MAX_TIMES.items():
            value = content.get(key)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            times.append(float(value or 0) if number else 0.0)
            if 0 < times[-1] < longest:
                continue
            found = "nothing" if value is None else repr(value)
            expected = f"seconds, above 0 and below {longest:g}"
            problems.append(Problem(name, found, expected, f"correct '{key}'", column=key))
    repetition, echo = times
    if echo >= repetition:
        expected = f"one before the repetition, {repetition:g} s"
        found = f"an echo after {echo:g} s"
        raise fault(name, found, expected, "correct both times", column="EchoTime")
    return repetition, echo


def _beside(series: Path, end: str) -> str:
    return f"{stem_of(series.name)[0]}.{end}"


def _other_step(path: Path, repetition_time: float) -> tuple[str, ...]:
    """Note another time between volumes in the header than in the sidecar."""
    header = nib.Nifti1Image.from_filename(path).header  # reads no voxel
    step = float(header.get_zooms()[3]) * SECONDS.get(header.get_xyzt_units()[1], 0.0)
    if step <= 0 or abs(step / repetition_time - 1) <= MAX_STEP_DIFFERENCE:
        return ()
    found = f"RepetitionTime is {repetition_time:g} s, but the header's step is {step:g} s"
    return (f"{path.name}: {found}; the former is used",)
