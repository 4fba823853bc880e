"""Slices with counted cell density, and the patches that are drawn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from cpmlib.cpm.card import InputScaling
from cpmlib.cpm.features import complete, patches_at
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.volume import SAME_VOXEL_SIZE
from cpmlib.study.errors import Problem, fault, told_together


@dataclass(frozen=True, eq=False)
class AutopsySlice:
    """One axial slice whose cells were counted after autopsy, with the images aligned to it.

    Images, of each of `cpmlib.mri.images.CONTRASTS`, and density (cells/mm2) are (X, Y) float32,
    the first axis to the patient's right, the second to anterior; NaN is no value. The voxel size
    is that in the plane, mm. ``scale`` has the standard deviation of each contrast over the brain,
    for ``input_scaling="whole-brain SD"``; ``brain``, (X, Y) bool, is for that of the predictions,
    and if None, voxels with a density stand for it.
    """

    patient: str
    images: Mapping[str, np.ndarray]
    density: np.ndarray
    voxel_size: float
    scale: Mapping[str, float] = field(default_factory=dict)
    brain: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of some slices, (n, 100), with the density at their centre and the slice's place."""

    features: np.ndarray
    density: np.ndarray
    slice_index: np.ndarray
    patient: np.ndarray

    def __len__(self) -> int:
        return len(self.density)

    def of(self, patients: Sequence[str]) -> Patches:
        """Return the patches of some patients."""
        kept = np.isin(self.patient, list(patients))
        return Patches(*(getattr(self, column.name)[kept] for column in fields(self)))


def check_slices(slices: Sequence[AutopsySlice], input_scaling: InputScaling) -> None:
    """Raise a DatasetError with every reason for which slices cannot be trained on."""
    if not slices:
        raise fault("autopsy slices", "no slice", "at least one", "add slices")
    with told_together() as problems:
        for number, one in enumerate(slices, 1):
            name = f"autopsy slice {number} (patient {one.patient})"
            problems += [Problem(name, *words) for words in _faults(one, slices[0], input_scaling)]


def _faults(
    one: AutopsySlice, first: AutopsySlice, input_scaling: InputScaling
) -> list[tuple[str, str, str]]:
    if set(one.images) != set(CONTRASTS):
        found = f"contrasts {', '.join(sorted(map(str, one.images))) or 'none'}"
        return [(found, ", ".join(CONTRASTS), "add or leave out contrasts")]
    faults = []
    arrays = {**one.images, "density": one.density}
    if one.brain is not None:
        arrays["brain"] = one.brain
    for name, values in arrays.items():
        if np.ndim(values) != 2 or np.shape(values) != np.shape(one.density):
            found = f"{name} of shape {np.shape(values)}"
            faults.append((found, f"(X, Y), here {np.shape(one.density)}", "resample the images"))
        elif np.isinf(values).any():
            faults.append((f"infinite values in {name}", "finite values or NaN", "correct them"))
    if not faults and (np.nan_to_num(one.density) < 0).any():
        faults.append(("a density below 0", "cells/mm2", "correct the counts"))
    size = one.voxel_size
    if not size > 0 or abs(size / first.voxel_size - 1) > SAME_VOXEL_SIZE:
        expected = f"the first slice's {first.voxel_size:g} mm"
        faults.append((f"voxels of {size:g} mm", expected, "resample the slice"))
    if input_scaling != "none":
        for name in CONTRASTS:
            if not 0 < one.scale.get(name, 0) < np.inf:
                found = f"no scale above 0 for {name}"
                faults.append((found, "its standard deviation over the brain", "add it"))
    return faults


def _stacked(one: AutopsySlice, input_scaling: InputScaling) -> np.ndarray:
    """Return a slice's contrasts as a model sees them, (4, X, Y, 1) float32."""
    planes = np.stack([np.asarray(one.images[name], dtype=np.float32) for name in CONTRASTS])
    if input_scaling != "none":
        scale = np.array([one.scale[name] for name in CONTRASTS], dtype=np.float32)
        planes /= scale[:, None, None]
    return planes[..., None]


def draw_patches(
    slices: Sequence[AutopsySlice],
    rng: np.random.Generator,
    most: int,
    input_scaling: InputScaling,
    *,
    whole_brain: bool = False,
) -> Patches:
    """Draw up to `most` patches of each slice at random, without repetition.

    They are drawn where cells were counted, or from the whole brain, and stay in the order of the
    slices, and within a slice of the voxels.
    """
    parts = []
    for number, one in enumerate(slices):
        volumes = _stacked(one, input_scaling)
        where = np.isfinite(one.density)
        if whole_brain and one.brain is not None:
            where = np.asarray(one.brain, dtype=bool)
        voxels = np.argwhere(where[..., None] & complete(volumes))
        if len(voxels) > most:
            voxels = voxels[np.sort(rng.choice(len(voxels), most, replace=False))]
        density = np.asarray(one.density, dtype=np.float32)[voxels[:, 0], voxels[:, 1]]
        whose = np.full(len(voxels), one.patient, dtype=object)
        parts.append((patches_at(volumes, voxels), density, np.full(len(voxels), number), whose))
    return Patches(*(np.concatenate(column) for column in zip(*parts, strict=True)))
