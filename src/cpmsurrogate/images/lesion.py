"""The tumour of a synthetic patient, grown around the biopsy targets.

An enhancing tumour is a union of balls with a ragged surface, around the necrotic core and each
contrast-enhancing target. Oedema with infiltrating tumour spreads from it along the white matter
and holds the non-enhancing targets. A low-grade glioma without enhancement is a homogeneous mass. A
recurrent tumour has a resection cavity beside it.

Vocabulary
----------
- *focus*: one tumour of several; its targets are no farther than `FOCUS_GAP` from the next one.
- *field*: a number at every point of scanner space, held on a grid about the lesion.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.cluster import hierarchy

from cpmsurrogate.images.anatomy import Anatomy, sample
from cpmsurrogate.images.tumour import Bed, Focus, grow, inside_share, ramp

STEP, REACH = 1.5, 42.0
"""Usual voxel of the grid that holds the fields, and how far it extends beyond the targets, mm."""

FOCUS_GAP = 32.0
"""Targets of a multifocal patient that are farther apart than this, mm, belong to two tumours."""

VIABLE_DENSITY = {"HGG": (2400.0, 0.60), "LGG": (1500.0, 0.30)}
"""Median and logarithmic SD of the density of solid tumour, cells/mm2."""

DENSITY_RANGE, NECROSIS_DENSITY = (300.0, 7000.0), 180.0
"""Of solid tumour and of what is left of dead tumour, cells/mm2."""

DILUTION = 0.6
"""Share by which full oedema lowers the density of brain; the tissue swells."""

ENHANCEMENT = {"HGG": 1.0, "LGG": 0.85}
"""Of solid enhancing tumour at its brightest."""

OEDEMA, ISCHAEMIA = (12.0, 22.0), 7.0
"""How far oedema spreads in white matter, from and to, and the injury of an operation from the
cavity's wall, mm."""


@dataclass(frozen=True)
class LesionFields:
    """The lesion at N points, all (N,) float32; shares and amounts from 0 to 1.

    Parameters
    ----------
    solid, necrosis, cavity
        Shares of solid tumour (its necrosis included), of necrosis and of resection cavity.
    infiltration
        Share of brain with infiltrating tumour or oedema.
    enhancement, water
        Leakage of contrast agent; extracellular water above normal (oedema).
    restriction
        Cytotoxic oedema at the edge of a cavity: water that moved into cells, which lowers the ADC
        without more cells.
    cells
        Density where lesion is, cells/mm2.
    texture
        Variation of the tissue's relaxation that has nothing to do with cells; SD 1.
    """

    solid: np.ndarray
    infiltration: np.ndarray
    enhancement: np.ndarray
    water: np.ndarray
    necrosis: np.ndarray
    cavity: np.ndarray
    restriction: np.ndarray
    cells: np.ndarray
    texture: np.ndarray


FIELDS = tuple(field.name for field in fields(LesionFields))


@dataclass(frozen=True)
class Lesion:
    """The members of `LesionFields`, (X, Y, Z) float32, on a grid over scanner space.

    Its axes run R, A, S from the `origin` in steps of `step`, mm.
    """

    arrays: dict[str, np.ndarray]
    origin: np.ndarray
    step: float

    def at(self, points: ArrayLike) -> LesionFields:
        """Read the fields at (N, 3) points of scanner space; they are 0 beyond the grid."""
        points = np.asarray(points, dtype=np.float32)
        shape = np.array(self.arrays["solid"].shape)
        upper = self.origin + self.step * (shape - 1)
        near = np.flatnonzero(((points > self.origin) & (points < upper)).all(1))
        result = {name: np.zeros(len(points), dtype=np.float32) for name in FIELDS}
        for name, values in result.items():
            values[near] = sample(
                self.arrays[name], points[near], self.origin, self.step, beyond=0.0
            )
        return LesionFields(**result)


def make_lesion(
    rng: np.random.Generator,
    anatomy: Anatomy,
    targets: ArrayLike,
    enhancing: ArrayLike,
    grade_group: str,
    treatment: str,
    step: float = STEP,
    multifocal: bool = False,
    idh: str = "wild-type",
) -> Lesion:
    """Grow a lesion around a patient's targets.

    Parameters
    ----------
    targets : (N, 3) array_like
        mm, RAS+, scanner space; at least one.
    enhancing : (N,) array_like of bool
        True for CET.
    grade_group
        ``"HGG"`` (grade 3-4: necrotic core, enhancement) or ``"LGG"``.
    treatment
        ``"recurrent"`` adds a resection cavity; or ``"treatment-naive"``.
    multifocal
        Whether targets farther apart than `FOCUS_GAP` have tumours of their own.
    idh
        A high-grade tumour that is not ``"mutant"`` enhances somewhere even if no biopsy was taken
        there; one that is enhances only where a biopsy says so.

    Raises
    ------
    ValueError
        If there is no target, the lengths differ, or a word is not one of those above.

    Examples
    --------
    >>> from cpmsurrogate.images.anatomy import make_anatomy
    >>> target = np.array([[30.0, 25, 20]])
    >>> rng = np.random.default_rng(0)
    >>> lesion = make_lesion(rng, make_anatomy(rng, target), target, [True], "HGG", "recurrent")
    >>> bool(lesion.at(target).enhancement[0] > 0.5)
    True
    """
    targets = np.asarray(targets, dtype=float).reshape(-1, 3)
    enhancing = np.asarray(enhancing, dtype=bool)
    _check(targets, enhancing, grade_group, treatment)
    bed, origin = _make_bed(rng, anatomy, targets, step)
    group = _foci(targets) if multifocal else np.ones(len(targets), dtype=int)
    foci = []
    for k in np.unique(group):
        mine = group == k
        anywhere = grade_group == "HGG" and idh != "mutant" and not enhancing.any()
        ring = bool(enhancing[mine].any()) or anywhere
        cet, ncet = targets[mine & enhancing], targets[mine & ~enhancing]
        foci.append(grow(bed, cet, ncet, targets, ring, grade_group, treatment == "recurrent"))
    return Lesion(_fields(bed, foci, grade_group), origin, step)


def _check(targets: np.ndarray, enhancing: np.ndarray, grade_group: str, treatment: str) -> None:
    if len(targets) == 0 or enhancing.shape != (len(targets),):
        raise ValueError(
            f"{len(targets)} targets and {enhancing.size} enhancement flags; "
            "expected one flag a target and at least one target"
        )
    if not np.isfinite(targets).all():
        raise ValueError("a target is not finite")
    if grade_group not in VIABLE_DENSITY:
        raise ValueError(f"grade group {grade_group!r}; expected HGG or LGG")
    if treatment not in ("recurrent", "treatment-naive"):
        raise ValueError(f"treatment {treatment!r}; expected recurrent or treatment-naive")


def _make_bed(
    rng: np.random.Generator, anatomy: Anatomy, targets: np.ndarray, step: float
) -> tuple[Bed, np.ndarray]:
    lower, upper = targets.min(0) - REACH, targets.max(0) + REACH
    axes = [np.arange(a, b, step, dtype=np.float32) for a, b in zip(lower, upper, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    shape, points = grid.shape[:3], grid.reshape(-1, 3)
    tissue = anatomy.tissue(points)
    wide = ndimage.gaussian_filter(tissue.fluid.reshape(shape), 2.0 / step).ravel()
    ventricle = ramp(wide, 0.35, 0.6) * (tissue.outside < -6)
    return Bed(rng, axes, points, shape, step, tissue, ventricle.astype(np.float32)), lower


def _foci(targets: np.ndarray) -> np.ndarray:
    if len(targets) == 1:
        return np.ones(1, dtype=int)
    return hierarchy.fcluster(hierarchy.linkage(targets, "single"), FOCUS_GAP, "distance")


def _fields(bed: Bed, foci: list[Focus], grade_group: str) -> dict[str, np.ndarray]:
    """Turn the depths into the fields."""
    body, mass, core, cavity, source = (
        np.max([getattr(focus, name) for focus in foci], axis=0)
        for name in ("body", "mass", "core", "cavity", "source")
    )
    brain = ramp(bed.tissue.outside, 0.5, -0.5) * (1 - bed.ventricle)
    viable = 0.8 * bed.noise(7.0) + 0.6 * bed.noise(3.0)
    hole = inside_share(cavity, 0.6) * brain
    necrosis = inside_share(core, 0.8) * brain * (1 - hole)
    solid = inside_share(np.maximum(body, mass), 0.6) * brain * (1 - hole)
    enhancement = inside_share(body, 0.6) * brain * (1 - necrosis) * (1 - hole)
    enhancement *= ENHANCEMENT[grade_group] * np.clip(0.86 + 0.14 * viable, 0.65, 1.0)
    restriction = _restriction(bed, cavity) * brain * (1 - hole) * (1 - solid)
    # Water that moved into cells is missing between them.
    water = _water(bed, source, mass) * brain * (1 - hole) * (1 - restriction)
    cells = _cells(bed, np.maximum(body, mass), source, viable, water, grade_group)
    cells = (cells * (1 - necrosis) + NECROSIS_DENSITY * necrosis) * (1 - hole)
    values = {
        "solid": solid,
        "infiltration": np.clip(1.6 * water, 0, 1),
        "enhancement": enhancement,
        "water": water,
        "necrosis": necrosis,
        "cavity": hole,
        "restriction": restriction,
        "cells": cells,
        "texture": bed.noise(4.0),
    }
    return {name: v.reshape(bed.shape).astype(np.float32) for name, v in values.items()}


def _water(bed: Bed, source: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Oedema, farther in white matter than in grey; a mass without enhancement is evenly wet."""
    white = ndimage.gaussian_filter(bed.tissue.white.reshape(bed.shape), 1.5 / bed.step).ravel()
    spread = bed.rng.uniform(*OEDEMA) if (source > mass).any() else 1.5
    reach = spread * (0.15 + 0.85 * white) * (1 + 0.35 * bed.noise(8.0))
    amount = np.clip(0.62 + 0.12 * bed.noise(6.0), 0.2, 1.0)
    taper = 1 / (1 + np.maximum(-source, 0) / 40)
    oedema = amount * taper * inside_share(source + reach, 1.2) * (0.45 + 0.55 * white)
    even = np.clip(0.68 + 0.05 * bed.noise(6.0), 0.4, 0.9) * inside_share(mass, 1.0)
    return np.maximum(oedema, even)


def _restriction(bed: Bed, cavity: np.ndarray) -> np.ndarray:
    """Patches of cytotoxic oedema within some millimetres of a cavity's wall."""
    if not np.isfinite(cavity).any():
        return np.zeros(len(bed.points), dtype=np.float32)
    return inside_share(cavity + ISCHAEMIA, 0.8) * ramp(bed.noise(4.0), -0.5, 0.3)


def _cells(
    bed: Bed,
    body: np.ndarray,
    source: np.ndarray,
    viable: np.ndarray,
    water: np.ndarray,
    grade_group: str,
) -> np.ndarray:
    """Density of solid tumour; and of brain, diluted by oedema, denser where tumour infiltrates."""
    median, spread = VIABLE_DENSITY[grade_group]
    tumour = np.clip(median * np.exp(spread * viable), *DENSITY_RANGE)
    normal = 950.0 * bed.tissue.white + 1200.0 * bed.tissue.grey
    normal = normal * (1 - DILUTION * water)
    excess = 0.5 * median * np.exp(0.6 * viable) * np.exp(np.minimum(source, 0) / 7.0)
    solid = inside_share(body, 0.6)
    return solid * tumour + (1 - solid) * (normal + excess)
