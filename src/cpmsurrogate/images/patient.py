"""One synthetic patient: head, lesion and the four contrasts in their native grids.

Vocabulary
----------
- *latent*: what a scanner cannot see directly: tissue, lesion, cell density.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

from cpmlib.mri.images import CONTRASTS
from cpmsurrogate.images.anatomy import Anatomy, Tissue, make_anatomy
from cpmsurrogate.images.contrasts import signal
from cpmsurrogate.images.lesion import Lesion, LesionFields, make_lesion
from cpmsurrogate.images.profiles import LIGHT, Profile
from cpmsurrogate.images.scanner import Grid, acquire, by_plane, draw_coils, expose, native_grid

MULTIFOCAL = "multifocal"

VESSELS_RADIUS = 11.0
"""Distance from a target at which a blood volume that is asked for has fallen off by 1/e, mm: a
sphere and the coarse voxels of a perfusion series around it."""


@dataclass(frozen=True)
class SyntheticPatient:
    """A patient that never lived.

    Parameters
    ----------
    grids
        Native grid by contrast, ``"DSC"`` included.
    images
        Image by contrast, float32 whole numbers, in the native grids.
    blood_volume : tuple of ((3,), float)
        Targets, mm, and the rCBV of the tissue around them, whatever the lesion's would be.
    """

    anatomy: Anatomy
    lesion: Lesion
    grids: dict[str, Grid]
    images: dict[str, nib.Nifti1Image]
    profile: Profile
    blood_volume: tuple[tuple[np.ndarray, float], ...] = ()

    def latents(self, points: ArrayLike) -> tuple[Tissue, LesionFields]:
        """Give tissue and lesion at (N, 3) points of scanner space, mm, RAS+."""
        return self.anatomy.tissue(points), self.lesion.at(points)

    def signal(self, contrast: str, points: ArrayLike) -> np.ndarray:
        """Give a noise-free contrast at (N, 3) points of scanner space: (N,) float32."""
        tissue, lesion = self.latents(points)
        values = signal(contrast, tissue, lesion)
        if contrast == "rCBV":
            for target, level in self.blood_volume:
                distance = np.linalg.norm(np.asarray(points) - target, axis=1)
                share = np.exp(-((distance / VESSELS_RADIUS) ** 3)) * (1 - tissue.fluid)
                values += (share * tissue.brain * (level - values)).astype(np.float32)
        return values

    def map(self, contrast: str, grid: Grid) -> nib.Nifti1Image:
        """Give a noise-free contrast on a grid, float32."""
        data = expose(partial(self.signal, contrast), grid)
        return nib.Nifti1Image(data, grid.affine)

    def brain_mask(self, image: nib.Nifti1Image) -> nib.Nifti1Image:
        """Give the true brain, ventricles and sulci included, on an image's grid: 1 or 0."""
        shape = image.shape
        grid = Grid(np.asarray(image.affine), (shape[0], shape[1], shape[2]), 2)
        share = by_plane(lambda points: self.anatomy.tissue(points).brain, grid)
        return nib.Nifti1Image((share > 0.5).astype(np.float32), grid.affine)


def make_patient(
    targets: ArrayLike,
    locations: Sequence[str],
    enhancing: ArrayLike,
    grade_group: str,
    treatment: str,
    rng: np.random.Generator,
    profile: Profile = LIGHT,
    *,
    idh: str = "wild-type",
    parenchyma: float | None = None,
    scale: float | None = None,
    rcbv: Mapping[int, float] = MappingProxyType({}),
) -> SyntheticPatient:
    """Make one synthetic patient.

    Parameters
    ----------
    targets, enhancing, grade_group, treatment, idh
        See `lesion.make_lesion`.
    locations
        Location of each target as the table has it; ``"multifocal"`` allows more than one
        tumour, around targets that are far apart.
    rng
        Source of everything random. Head, lesion, grids and noise have their own streams, so that a
        head does not depend on the profile.
    parenchyma, scale
        See `anatomy.make_anatomy`.
    rcbv
        Blood volume around targets, relative to white matter, by the number of the target.

    Raises
    ------
    ValueError
        For arguments that do not fit together.
    """
    targets = np.asarray(targets, dtype=float).reshape(-1, 3)
    if len(locations) != len(targets):
        raise ValueError(f"{len(targets)} targets and {len(locations)} locations")
    for_head, for_lesion, for_grids, for_noise = rng.spawn(4)
    anatomy = make_anatomy(for_head, targets, parenchyma, scale)
    lesion = make_lesion(
        for_lesion,
        anatomy,
        targets,
        enhancing,
        grade_group,
        treatment,
        multifocal=MULTIFOCAL in locations,
        idh=idh,
    )
    grids = {name: native_grid(name, profile, for_grids) for name in (*CONTRASTS, "DSC")}
    blood = tuple((targets[i], level) for i, level in rcbv.items())
    patient = SyntheticPatient(anatomy, lesion, grids, {}, profile, blood)
    for contrast, stream in zip(CONTRASTS, for_noise.spawn(len(CONTRASTS)), strict=True):
        magnitude = partial(patient.signal, contrast)
        coils = draw_coils(contrast, stream)
        patient.images[contrast] = acquire(contrast, magnitude, grids[contrast], coils, stream)
    return patient
