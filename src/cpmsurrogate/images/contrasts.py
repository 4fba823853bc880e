"""From tissue and lesion to the signal of each contrast.

The signals are weighted means of the signals of pure tissues, with corrections for water and cells.
Density and water pull the ADC in opposite ways, so no contrast alone gives the density; enhancement
and the T1 and FLAIR signals help to tell them apart, and an independent texture blurs them.

Vocabulary
----------
- *arbitrary units*: T1w, T1wGd, FLAIR and b0; a scanner's, with brain between 200 and 800.
- *shell of the head*: a layer around the brain, by its distance from the brain's surface.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cpmsurrogate.images.anatomy import Tissue
from cpmsurrogate.images.lesion import LesionFields

NORMAL_DENSITY = {"white": 950.0, "grey": 1200.0}
"""Cells/mm2 of normal brain."""

CELLS_REFERENCE = 1500.0
"""Density at which a tumour has the signal in `SIGNALS`, cells/mm2."""


@dataclass(frozen=True)
class Signals:
    """What one contrast shows of pure tissues, in its unit.

    Parameters
    ----------
    solid
        Solid tumour at `CELLS_REFERENCE` and with water 0.5.
    water
        Added per unit of water in infiltrated brain and, about 0.5, in solid tumour.
    doubling, restriction, texture
        Added when the density doubles, by full cytotoxic oedema, and per SD of texture.
    shells
        Pairs of distance from the brain's surface, mm, and signal there; 0 in the air.
    """

    white: float
    grey: float
    fluid: float
    solid: float
    necrosis: float
    cavity: float
    water: float
    doubling: float
    restriction: float
    texture: float
    shells: tuple[tuple[float, float], ...]


def _shells(fluid: float, bone: float, marrow: float, scalp: float) -> tuple:
    """CSF to 2 mm, bone with marrow to 7, scalp to 13, then air."""
    return (
        (0.0, fluid),
        (2.0, fluid),
        (2.8, bone),
        (4.0, bone),
        (4.8, marrow),
        (5.6, bone),
        (7.0, bone),
        (8.2, scalp),
        (12.0, 0.9 * scalp),
        (13.5, 0.0),
    )


SIGNALS: Mapping[str, Signals] = {
    "T1w": Signals(620, 455, 190, 430, 320, 215, -130, 28, -30, 14, _shells(190, 60, 240, 820)),
    "FLAIR": Signals(290, 365, 55, 540, 300, 95, 360, -40, 70, 22, _shells(55, 30, 90, 420)),
    "ADC": Signals(750, 850, 3000, 1300, 1450, 2700, 850, -260, -330, 75, _shells(2800, 0, 0, 0)),
    "b0": Signals(300, 390, 1100, 560, 820, 1000, 330, -35, 60, 25, _shells(1000, 15, 25, 60)),
    "rCBV": Signals(1.0, 2.0, 0.0, 2.2, 0.3, 0.0, -0.4, 0.5, -0.4, 0.15, _shells(0.2, 0, 0, 0)),
}
"""Pure signals by contrast; T1wGd is T1w with the enhancement added.

The ADC of white matter is within the normal range of Sener RN (2001) Comput Med Imaging Graph
25:299, 600 to 1050; that of CSF is near free water at body temperature. The rest is chosen so that
the pictures look as they do on a scanner.
"""

LOST = 0.6
"""Share of the cells that are gone where cytotoxic oedema is full."""

ENHANCED, DURA, SINUS = 470.0, 190.0, 620.0
"""Signals that full enhancement, the dura and the sagittal sinus add to T1w, arbitrary units."""

DEAD_TEXTURE = 7.0
"""How much more necrosis varies than living tumour: from coagulated to liquid."""

LEAKAGE = 0.012
"""K2 at full enhancement, 1/s."""

FLOORS = {"ADC": 350.0, "rCBV": 0.0}
"""Least value in the lesion; other contrasts have 20."""


def density(tissue: Tissue, lesion: LesionFields) -> np.ndarray:
    """Give the latent density, (N,) float32, cells/mm2; 0 outside the brain and in CSF."""
    normal = NORMAL_DENSITY["white"] * tissue.white + NORMAL_DENSITY["grey"] * tissue.grey
    share = np.maximum.reduce([lesion.solid, lesion.infiltration * (1 - tissue.fluid)])
    share = np.maximum(share, lesion.cavity)
    alive = 1 - LOST * lesion.restriction
    return (alive * ((1 - share) * normal + share * lesion.cells)).astype(np.float32)


def signal(contrast: str, tissue: Tissue, lesion: LesionFields) -> np.ndarray:
    """Give the noise-free signal of a contrast, (N,) float32, in its unit; 0 in the air.

    Raises
    ------
    ValueError
        For a contrast that is not in `SIGNALS`, ``"T1wGd"`` or ``"leakage"``.

    Examples
    --------
    >>> one, none = np.ones(1, np.float32), np.zeros(1, np.float32)
    >>> white = Tissue(none, one, none, -5 * one, 30 * one)
    >>> healthy = LesionFields(*(none for _ in range(9)))
    >>> float(signal("ADC", white, healthy)[0])
    750.0
    """
    if contrast == "leakage":
        return np.float32(LEAKAGE) * lesion.enhancement
    if contrast == "T1wGd":
        return signal("T1w", tissue, lesion) + _agent(tissue, lesion)
    if contrast not in SIGNALS:
        known = ", ".join([*SIGNALS, "T1wGd", "leakage"])
        raise ValueError(f"no contrast {contrast!r}; there are: {known}")
    pure = SIGNALS[contrast]
    doublings = np.log2(np.maximum(lesion.cells, 50) / CELLS_REFERENCE)
    normal = pure.white * tissue.white + pure.grey * tissue.grey + pure.fluid * tissue.fluid
    normal = normal + _outside_brain(pure, tissue)
    infiltrated = normal + lesion.infiltration * (1 - tissue.fluid) * (
        pure.water * lesion.water
        + pure.doubling * (doublings - np.log2(1000 / CELLS_REFERENCE))
        + 0.6 * pure.texture * lesion.texture
    )
    infiltrated = infiltrated + pure.restriction * lesion.restriction * (1 - tissue.fluid)
    solid = (
        pure.solid
        + pure.water * (lesion.water - 0.5)
        + pure.doubling * np.clip(doublings, -2.5, 2.5)
        + pure.texture * lesion.texture
    )
    core = np.clip(lesion.necrosis / np.maximum(lesion.solid, 1e-3), 0, 1)
    dead = pure.necrosis + DEAD_TEXTURE * pure.texture * lesion.texture
    tumour = (1 - core) * solid + core * dead
    result = (1 - lesion.solid) * infiltrated + lesion.solid * tumour
    result = (1 - lesion.cavity) * result + lesion.cavity * pure.cavity
    touched = (lesion.solid > 0.01) | (lesion.infiltration > 0.01)
    result = np.where(touched, np.maximum(result, FLOORS.get(contrast, 20.0)), result)
    if contrast == "rCBV":
        result = result + 2.2 * lesion.enhancement
    return result.astype(np.float32)


def _outside_brain(pure: Signals, tissue: Tissue) -> np.ndarray:
    distance, level = np.array(pure.shells).T
    return (1 - tissue.brain) * np.interp(tissue.outside, distance, level).astype(np.float32)


def _agent(tissue: Tissue, lesion: LesionFields) -> np.ndarray:
    """What the contrast agent adds: tumour, dura, sagittal sinus and a little in grey matter."""
    outside = tissue.outside
    dura = np.exp(-(((outside - 2.4) / 0.7) ** 2)) * (1 - tissue.brain)
    sinus = np.exp(-((tissue.midline / 3.0) ** 2) - ((outside - 1.0) / 2.2) ** 2)
    return (
        ENHANCED * lesion.enhancement
        + DURA * dura
        + SINUS * sinus * (1 - lesion.solid)
        + 25.0 * tissue.grey
    ).astype(np.float32)


def anisotropy(tissue: Tissue, lesion: LesionFields) -> np.ndarray:
    """Give the share of the diffusion tensor that is along the fibres, (N,), 0 to 0.75."""
    whole = (1 - lesion.solid) * (1 - lesion.cavity) * (1 - 0.6 * lesion.water)
    return (0.75 * tissue.white * whole).astype(np.float32)
