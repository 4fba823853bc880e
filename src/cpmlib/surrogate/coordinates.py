"""Where in the head each sample was taken.

The regions are boxes in a head of the size and orientation of the MNI template, given for the
right side and mirrored for the left. They are coarse on purpose: a surrogate needs a place that a
reader accepts for the lobe's name, not an atlas.

Vocabulary
----------
RAS+ : x to the right, y forwards, z upwards, in mm, from a point between the hemispheres.
lesion centre : point around which a patient's samples lie.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

REGIONS: Mapping[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "frontal": ((14, 44), (16, 52), (2, 46)),
    "parietal": ((16, 46), (-66, -36), (30, 56)),
    "fronto-parietal": ((18, 46), (-30, 4), (34, 56)),
    "temporal": ((38, 58), (-42, 6), (-28, -6)),
    "occipital": ((12, 34), (-92, -70), (-6, 26)),
    "fronto-temporo-insular": ((32, 46), (-4, 26), (-10, 14)),
    "fronto-temporal": ((36, 50), (2, 28), (-14, 4)),
    "temporo-parietal": ((40, 56), (-58, -36), (2, 28)),
    "parieto-occipital": ((14, 34), (-80, -62), (16, 40)),
    "temporo-occipital": ((34, 50), (-70, -48), (-14, 4)),
    "insular": ((34, 42), (-12, 16), (-6, 12)),
    "thalamic": ((5, 18), (-28, -8), (0, 14)),
    "basal ganglia": ((14, 30), (-10, 14), (-4, 14)),
    "corpus callosum": ((4, 16), (-32, 26), (12, 28)),
    "brainstem": ((1, 8), (-36, -22), (-40, -14)),
    "cerebellar": ((10, 38), (-74, -48), (-48, -24)),
}
"""Region and its box on the right side: x, y, z from and to, mm."""

MULTIFOCAL = "multifocal"
FOCI = ("frontal", "parietal", "temporal", "occipital")
"""Regions between which the foci of a multifocal tumour are divided."""

SPREAD = 9.0
"""Standard deviation of the samples about the lesion centre along each axis, mm."""

APART = 6.0
"""Least distance between two samples of a patient, mm; the 5-mm spheres do not overlap."""

BRAIN_CENTRE = np.array([0.0, -18.0, 8.0])
BRAIN_RADII = np.array([68.0, 84.0, 64.0])
"""Ellipsoid that stands for the surface of the brain, mm."""

TRIES = 2000


def inside_brain(points: np.ndarray) -> np.ndarray:
    """Whether points lie inside the brain's ellipsoid.

    Parameters
    ----------
    points : (..., 3)
        mm, RAS+.

    Examples
    --------
    >>> inside_brain(np.array([[30.0, 30, 30], [90, 0, 0]]))
    array([ True, False])
    """
    return (((points - BRAIN_CENTRE) / BRAIN_RADII) ** 2).sum(-1) < 1


def inside_region(points: np.ndarray, region: str, side: str) -> np.ndarray:
    """Whether points lie in a region's box on one side.

    Parameters
    ----------
    points : (..., 3)
        mm, RAS+.
    region, side
        A key of `REGIONS`; ``"left"`` or ``"right"``.

    Examples
    --------
    >>> inside_region(np.array([[-20.0, 30, 20]]), "frontal", "left")
    array([ True])
    """
    box = np.array(REGIONS[region])
    mirrored = points * np.array([-1.0 if side == "left" else 1.0, 1, 1])
    return ((mirrored >= box[:, 0]) & (mirrored <= box[:, 1])).all(-1)


def place_targets(location: str, side: str, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Place the samples of one patient.

    Parameters
    ----------
    location
        A key of `REGIONS`, or ``"multifocal"``.
    side
        ``"left"`` or ``"right"``.
    n_samples
        How many.
    rng
        Source of the places.

    Returns
    -------
    numpy.ndarray
        (n_samples, 3), mm, RAS+, one decimal; in the region, in the brain and apart.

    Raises
    ------
    ValueError
        For a location without a region, or if the samples do not fit into it.

    Examples
    --------
    >>> points = place_targets("temporal", "left", 3, np.random.default_rng(0))
    >>> bool(inside_region(points, "temporal", "left").all())
    True
    """
    if location == MULTIFOCAL:
        foci = rng.permutation(np.array(FOCI))[:2]
        names = [str(foci[i % len(foci)]) for i in range(n_samples)]
    else:
        names = [location] * n_samples
    for name in names:
        if name not in REGIONS:
            raise ValueError(f"location {name!r} has no region; there are: {', '.join(REGIONS)}")
    sign = np.array([-1.0 if side == "left" else 1.0, 1, 1])
    centres = {name: _uniform(name, rng) for name in dict.fromkeys(names)}
    placed: list[np.ndarray] = []
    for _ in range(TRIES):
        if len(placed) == n_samples:
            return np.array(placed)
        name = names[len(placed)]
        point = centres[name] + rng.normal(0, SPREAD, 3)
        point = np.round(point * sign, 1) + 0.0
        apart = all(((point - other) ** 2).sum() >= APART**2 for other in placed)
        if apart and inside_brain(point) and inside_region(point, name, side):
            placed.append(point)
    raise ValueError(f"{n_samples} samples do not fit into the {location} region")


def _uniform(region: str, rng: np.random.Generator) -> np.ndarray:
    """Lesion centre on the right, in the inner part of the region and in the brain."""
    box = np.array(REGIONS[region], dtype=float)
    inset = 0.15 * (box[:, 1] - box[:, 0])
    for _ in range(TRIES):
        point = rng.uniform(box[:, 0] + inset, box[:, 1] - inset)
        if inside_brain(point):
            return point
    raise ValueError(f"the {region} region lies outside the brain")
