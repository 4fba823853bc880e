"""Where in the head each sample was taken.

The regions are boxes in the MNI152 template, given for the right side and mirrored for the left:
places that a reader accepts for the lobe's name, no atlas. Within its box a sample lies in brain
tissue, away from the ventricles, the sulci and the surface.

Vocabulary
----------
- *lesion centre*: point around which a patient's samples lie.
- *parenchyma*: grey and white matter.
- *depth*: how far a point lies inside a surface, mm; here that of the parenchyma, against fluid and
  against the outside of the brain.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from cpmsurrogate.images.anatomy import sample, template

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

APART = 9.0
"""Least distance between two samples of a patient, mm: the 5-mm spheres are 4 mm apart, room for
enhancing tumour to end between two of them."""

DEPTH = 4.0
"""Least depth of a sample in the parenchyma, mm: the 5-mm sphere and 1.5 mm more hold no fluid."""

TRIES, CENTRES = 2000, 50
"""Places tried about one lesion centre, and centres tried."""


@cache
def _depths() -> np.ndarray:
    """Depth at the template's voxels, mm; 0 in fluid and outside the brain."""
    maps = template()
    tissue = maps.grey + maps.white > 0.5
    box = ndimage.find_objects(tissue.astype(np.uint8))[0]
    result = np.zeros(tissue.shape, dtype=np.float32)
    # Only the brain's box, which takes half the time.
    result[box] = ndimage.distance_transform_edt(np.pad(tissue[box], 1))[1:-1, 1:-1, 1:-1]
    return result


def depth(points: ArrayLike) -> np.ndarray:
    """How deep (..., 3) points lie in the template's parenchyma, mm; 0 in fluid and outside.

    Examples
    --------
    >>> (depth([[28.0, 20, 30], [90, 0, 0]]) > 0).tolist()
    [True, False]
    """
    points = np.asarray(points, dtype=float)
    flat = points.reshape(-1, 3)
    return sample(_depths(), flat, template().origin, 1.0, beyond=0.0).reshape(points.shape[:-1])


def inside_region(points: np.ndarray, region: str, side: str) -> np.ndarray:
    """Whether (..., 3) points lie in a region's box on the ``"left"`` or ``"right"`` side."""
    box = np.array(REGIONS[region])
    mirrored = points * np.array([-1.0 if side == "left" else 1.0, 1, 1])
    return ((mirrored >= box[:, 0]) & (mirrored <= box[:, 1])).all(-1)


def place_targets(location: str, side: str, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Place the samples of one patient, (n_samples, 3), mm, RAS+, one decimal.

    They lie in the region, at least `DEPTH` deep in the template's parenchyma and at least `APART`
    from one another.

    Parameters
    ----------
    location
        A key of `REGIONS`, or ``"multifocal"``.
    side
        ``"left"`` or ``"right"``.

    Raises
    ------
    ValueError
        For a location without a region, or if the samples do not fit into it.

    Examples
    --------
    >>> points = place_targets("temporal", "left", 3, np.random.default_rng(0))
    >>> bool(inside_region(points, "temporal", "left").all()), bool(depth(points).min() >= DEPTH)
    (True, True)
    """
    if location == MULTIFOCAL:
        foci = rng.permutation(np.array(FOCI))[:2]
        names = [str(foci[i % len(foci)]) for i in range(n_samples)]
    else:
        names = [location] * n_samples
    for name in names:
        if name not in REGIONS:
            raise ValueError(f"location {name!r} has no region; there are: {', '.join(REGIONS)}")
    for _ in range(CENTRES):
        placed = _place(names, side, rng)
        if len(placed) == n_samples:
            return np.array(placed).reshape(-1, 3)
    raise ValueError(f"{n_samples} samples do not fit into the {location} region")


def _place(names: list[str], side: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Place samples about one lesion centre a region; fewer than asked for if they do not fit."""
    sign = np.array([-1.0 if side == "left" else 1.0, 1, 1])
    centres = {name: _uniform(name, rng) for name in dict.fromkeys(names)}
    about = {name: centre + rng.normal(0, SPREAD, (TRIES, 3)) for name, centre in centres.items()}
    fit: dict[str, list[np.ndarray]] = {}
    for name, points in about.items():
        points = np.round(points * sign, 1) + 0.0
        kept = inside_region(points, name, side)
        kept[kept] = depth(points[kept]) >= DEPTH
        fit[name] = list(points[kept])
    placed: list[np.ndarray] = []
    for name in names:
        for point in fit[name]:
            if all(((point - other) ** 2).sum() >= APART**2 for other in placed):
                placed.append(point)
                break
    return placed


def _uniform(region: str, rng: np.random.Generator) -> np.ndarray:
    """Draw a lesion centre on the right, in the inner part of the region."""
    box = np.array(REGIONS[region], dtype=float)
    inset = 0.15 * (box[:, 1] - box[:, 0])
    return rng.uniform(box[:, 0] + inset, box[:, 1] - inset)
