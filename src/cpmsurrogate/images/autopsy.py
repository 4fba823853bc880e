"""The training cohort: slices of brains that were imaged before death and counted after it.

The published model was trained on 93 autopsy samples of 44 patients (Bobholz et al. 2022, AJNR
43:682). The synthetic cohort has the same numbers. Of each patient, who has a glioblastoma, axial
slices through the tumour are made and brought to one grid as the images of the study are.

Vocabulary
----------
- *block*: the piece of the slice that was cut out and counted, around tumour and adjacent brain.
- *counted density*: latent density with what can go wrong between a scanner and a microscope: the
  block is not quite where it is thought to be, and a thin section is a sample of its voxel.
- *made slices*: the native slices on both sides of the axial slice; no others are made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import nibabel as nib
import numpy as np
from scipy import ndimage

from cpmlib.cpm.slices import AutopsySlice
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.volume import resample_to
from cpmsurrogate.images.anatomy import Anatomy, make_anatomy
from cpmsurrogate.images.contrasts import density, signal
from cpmsurrogate.images.coordinates import place_targets
from cpmsurrogate.images.head_size import draw_parenchyma
from cpmsurrogate.images.lesion import Lesion, make_lesion
from cpmsurrogate.images.profiles import FULL, LIGHT, Profile
from cpmsurrogate.images.scanner import HEAD, Coils, Grid, acquire, draw_coils

LOBES = ("frontal", "parietal", "temporal", "occipital", "fronto-parietal", "temporo-parietal")

N_SEEDS = 5
"""Points about which a tumour is grown, as about the targets of a patient with biopsies; more of
them, because tumours are large at death. Two to four of them enhance."""

LESION_STEP = 2.0
"""Voxel of the grid that holds a lesion, mm; fine enough for slices of 2 mm."""

RECURRENT, AGES = 0.75, (45.0, 80.0)
"""Share of the patients that have been operated on, and ages, years, from and to."""

BLOCK, MISPLACED = (50.0, 80.0), 1.0
"""Edge of the block, from and to, and standard deviation of the error along each axis with which it
is put into the image, mm."""

SECTION_SD, SECTION_WIDTH = 0.30, 2.0
"""Logarithmic standard deviation of a section's density about that of its voxel, and the smoothness
of that error in the plane, mm."""

SURVEY = (-30.0, 55.0)
"""Levels between which one more slice of each patient is made, mm, on which nothing is counted: the
slices through the tumour would overstate how much a whole brain varies."""


@dataclass(frozen=True)
class _Brain:
    anatomy: Anatomy
    lesion: Lesion
    coils: dict[str, Coils]
    targets: np.ndarray

    def signal(self, contrast: str, points: np.ndarray) -> np.ndarray:
        return signal(contrast, self.anatomy.tissue(points), self.lesion.at(points))


def autopsy_cohort(
    rng: np.random.Generator, voxel_size: float, n_patients: int = 44, n_slices: int = 93
) -> list[AutopsySlice]:
    """Make the training cohort.

    Parameters
    ----------
    rng
        Source of everything; each patient has a stream of its own.
    voxel_size
        Of the reference grid, mm. From 1.5 mm on the slices are made from series of the light
        profile, below it from those of the full one.
    n_patients, n_slices
        The slices are dealt out evenly, so some patients have one more.

    Returns
    -------
    list of AutopsySlice
        Of each patient the counted slices, then the one on which nothing is counted.

    Raises
    ------
    ValueError
        If there are fewer slices than patients, or the voxel size is not positive.

    Examples
    --------
    >>> one, survey = autopsy_cohort(np.random.default_rng(0), 4.0, n_patients=1, n_slices=1)
    >>> sorted(one.images), one.density.shape == one.images["ADC"].shape
    (['ADC', 'FLAIR', 'T1w', 'T1wGd'], True)
    >>> bool(np.isnan(survey.density).all())
    True
    """
    if n_patients < 1 or n_slices < n_patients:
        raise ValueError(
            f"{n_slices} slices of {n_patients} patients; expected one or more of each"
        )
    if not 0 < voxel_size < 20:
        raise ValueError(f"voxel size {voxel_size} mm; expected between 0 and 20")
    profile = LIGHT if voxel_size >= 1.5 else FULL
    result = []
    for number, stream in enumerate(rng.spawn(n_patients)):
        count = n_slices // n_patients + (number < n_slices % n_patients)
        brain = _brain(stream)
        heights = _heights(brain, count, voxel_size, stream)
        name = f"autopsy-{number + 1:02d}"
        counted = [_slice(name, brain, z, voxel_size, profile, stream) for z in heights]
        survey = _slice(name, brain, stream.uniform(*SURVEY), voxel_size, profile, stream)
        result += [replace(one, brain=np.zeros_like(one.brain)) for one in counted]
        result.append(replace(survey, density=np.full_like(survey.density, np.nan)))
    return result


def _brain(rng: np.random.Generator) -> _Brain:
    """Draw a patient with glioblastoma; most have been operated on."""
    lobe, side = str(rng.choice(LOBES)), str(rng.choice(("left", "right")))
    targets = place_targets(lobe, side, N_SEEDS, rng)
    enhancing = np.arange(N_SEEDS) < rng.integers(2, N_SEEDS)
    treatment = "recurrent" if rng.random() < RECURRENT else "treatment-naive"
    parenchyma = draw_parenchyma(str(rng.choice(("F", "M"))), rng.uniform(*AGES), rng)
    anatomy = make_anatomy(rng, targets, parenchyma)
    lesion = make_lesion(rng, anatomy, targets, enhancing, "HGG", treatment, LESION_STEP)
    return _Brain(anatomy, lesion, {c: draw_coils(c, rng) for c in CONTRASTS}, targets)


def _heights(brain: _Brain, count: int, voxel_size: float, rng: np.random.Generator) -> np.ndarray:
    """Levels of the slices, mm: through the tumour and at least two voxels apart."""
    z = brain.targets[:, 2]
    middle, half = z.mean(), max(np.ptp(z) / 2, 2.0 * voxel_size * count)
    even = np.linspace(-half, half, count) if count > 1 else np.zeros(1)
    return middle + even + rng.uniform(-0.5, 0.5) * voxel_size


def _slice(
    name: str,
    brain: _Brain,
    z: float,
    voxel_size: float,
    profile: Profile,
    rng: np.random.Generator,
) -> AutopsySlice:
    grid = _plane(z, np.full(3, voxel_size), 1, np.zeros(2))
    images = {}
    for contrast in CONTRASTS:
        image = _slab(contrast, brain, z, grid, profile, rng)
        images[contrast] = np.asarray(resample_to(image, grid.affine, grid.shape).dataobj)[..., 0]
    tissue = brain.anatomy.tissue(grid.points(0, 1))
    inside = (tissue.brain > 0.5).reshape(grid.shape[:2])
    scale = {c: float(np.nanstd(image[inside])) for c, image in images.items()}
    counted = _counted(brain, grid, voxel_size, rng)
    return AutopsySlice(name, images, counted, voxel_size, scale, inside)


def _plane(z: float, voxel: np.ndarray, slices: int, offset: np.ndarray) -> Grid:
    """An upright grid of some axial slices, the lowest at z, shifted in the plane by an offset."""
    affine = np.diag([*voxel, 1.0])
    affine[:3, 3] = [HEAD[0, 0] + offset[0], HEAD[1, 0] + offset[1], z]
    size = np.ceil((HEAD[:2, 1] - HEAD[:2, 0]) / voxel[:2]).astype(int) + 1
    return Grid(affine, (int(size[0]), int(size[1]), slices), 2)


def _slab(
    contrast: str,
    brain: _Brain,
    z: float,
    reference: Grid,
    profile: Profile,
    rng: np.random.Generator,
) -> nib.Nifti1Image:
    """Acquire the native slices next to z; T1wGd, whose grid is the reference, only that at z."""
    if contrast == "T1wGd":
        grid = reference
    else:
        voxel = profile.voxel(contrast) if contrast != "T1w" else reference.voxel
        below = rng.uniform(0, 1) * voxel[2]
        # Shifted outwards, so that the reference grid stays in the field of view.
        grid = _plane(z - below, voxel, 2, -rng.uniform(0, 0.5, 2) * voxel[:2])
    return acquire(contrast, partial(brain.signal, contrast), grid, brain.coils[contrast], rng)


def _counted(brain: _Brain, grid: Grid, voxel_size: float, rng: np.random.Generator) -> np.ndarray:
    """Count the block: density with its errors, NaN where nothing was counted."""
    shape = grid.shape[:2]
    points = grid.points(0, 1)
    moved = (points + rng.normal(0, MISPLACED, 3)).astype(np.float32)
    tissue, lesion = brain.anatomy.tissue(moved), brain.lesion.at(moved)
    section = ndimage.gaussian_filter(
        rng.standard_normal(shape), SECTION_WIDTH / voxel_size, mode="wrap"
    )
    section = SECTION_SD * (section / section.std()).clip(-2.5, 2.5)
    counted = density(tissue, lesion).reshape(shape) * np.exp(section)
    middle = brain.targets[:, :2].mean(0) + rng.normal(0, 5, 2)
    half = 0.5 * rng.uniform(*BLOCK)
    block = (np.abs(points[:, :2] - middle) <= half).all(1)
    kept = (block & (tissue.brain > 0.5)).reshape(shape)
    return np.where(kept, counted, np.nan).astype(np.float32)
