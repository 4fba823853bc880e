"""Shapes of a tumour on the grid that holds a lesion: body, core, cavity.

Vocabulary
----------
- *bed*: the grid about the lesion, with the tissue at its points and the source of random numbers.
- *necrotic core*: dead middle of an enhancing tumour; kept away from the targets.
- *bridge*: balls between the core and a target that make one tumour of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from cpmsurrogate.images.anatomy import Tissue, smooth_noise

CLEARANCE = 4.0
"""Radius about a target within which its kind of tissue is kept, mm; the sphere and the blur."""

CANDIDATES = 400
"""Places tried for the core and for the cavity."""


@dataclass
class Focus:
    """One tumour while it is grown: depths on the grid; -inf where it has no such part.

    The body enhances, the mass does not; the core is dead; oedema spreads from the source.
    """

    body: np.ndarray
    mass: np.ndarray
    core: np.ndarray
    cavity: np.ndarray
    source: np.ndarray


@dataclass(frozen=True)
class Bed:
    """The grid, and the source of what grows on it."""

    rng: np.random.Generator
    axes: list[np.ndarray]
    points: np.ndarray
    shape: tuple[int, ...]
    step: float
    tissue: Tissue
    ventricle: np.ndarray

    def distance_to(self, place: np.ndarray) -> np.ndarray:
        """Distance to one place, mm."""
        # Axis by axis: far faster than a sum over the (N, 3) points.
        x, y, z = ((axis - np.float32(p)) ** 2 for axis, p in zip(self.axes, place, strict=True))
        return np.sqrt(x[:, None, None] + y[:, None] + z).ravel()

    def distance(self, places: np.ndarray) -> np.ndarray:
        """Distance to the nearest of some places, mm; infinite if there is none."""
        nearest = np.full(len(self.points), np.inf, dtype=np.float32)
        for place in places:
            np.minimum(nearest, self.distance_to(place), out=nearest)
        return nearest

    def noise(self, width: float) -> np.ndarray:
        """Noise of SD 1 and a smoothness in mm."""
        return smooth_noise(self.rng, self.shape, width, self.step).ravel()


def grow(
    bed: Bed,
    cet: np.ndarray,
    ncet: np.ndarray,
    targets: np.ndarray,
    ring: bool,
    grade_group: str,
    recurrent: bool,
) -> Focus:
    """Grow one tumour: its body, core, cavity and what oedema spreads from."""
    rough = 1.6 * bed.noise(4.0) + 0.6 * bed.noise(2.0)
    none: np.ndarray = np.full(len(bed.points), -np.inf, dtype=np.float32)
    cavity = none
    if ring:
        body, core, middle = _ring(bed, cet, ncet, grade_group, rough)
        mass, source = none, np.maximum(body, _union(bed, ncet, 6.0) + rough)
    else:
        body, core, middle = none, none, ncet.mean(0)
        mass = _union(bed, np.vstack([ncet, middle]), bed.rng.uniform(10, 14)) + rough
        source = mass
    if recurrent:
        cavity = _cavity(bed, middle, targets, rough)
    return Focus(body, mass, core, cavity, source)


def _union(bed: Bed, places: np.ndarray, radius: float | np.ndarray) -> np.ndarray:
    """Depth in a smooth union of balls: softened by 2 mm where they meet."""
    total = np.zeros(len(bed.points), dtype=np.float32)
    for place, r in zip(places, np.broadcast_to(radius, len(places)), strict=True):
        total += np.exp(np.minimum((np.float32(r) - bed.distance_to(place)) / 2, 30))
    return 2.0 * np.log(np.maximum(total, 1e-20)).astype(np.float32)


def _ring(
    bed: Bed, cet: np.ndarray, ncet: np.ndarray, grade_group: str, rough: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depths of the enhancing body and of its necrotic core, and the core's centre."""
    centre = _core_centre(bed, cet, ncet)
    room = _nearest(centre, ncet) - 7.0
    if grade_group == "HGG":
        radius = float(np.clip(min(room - 5.0, _nearest(centre, cet) - 3.5), 3.0, 13.0))
    else:
        radius = 0.0
    places, radii = [centre], [min(radius + 5.0, max(room, 4.0))]
    for target in cet:
        # A bridge from the core to each target makes one tumour of them.
        count = int(np.linalg.norm(target - centre) // 5)
        for share in np.linspace(0, 1, count + 1)[1:]:
            places.append(centre + share * (target - centre))
            radii.append(5.5)
    body = _union(bed, np.array(places), np.array(radii)) + rough
    near, far = bed.distance(cet), bed.distance(ncet)
    body = np.minimum(body, far - CLEARANCE - 1.0)
    body = np.where(near < CLEARANCE + 1.0, np.maximum(body, _towards(near, far)), body)
    core = radius - bed.distance(centre[None]) + 1.3 * rough
    core = np.minimum(np.minimum(core, body - 3.0), near - CLEARANCE)
    return body, core, centre


def _towards(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Depth in the part of a ball about a CET target that is closer to it than to any nCET one."""
    return np.minimum(CLEARANCE + 1.0 - near, np.minimum(0.5 * (far - near), 5.0))


def _core_centre(bed: Bed, cet: np.ndarray, ncet: np.ndarray) -> np.ndarray:
    """Choose where the core lies: in the brain, beside the CET targets, away from the others."""
    if len(cet):
        about, wanted = cet.mean(0), bed.rng.uniform(11, 17)
    else:
        about, wanted = ncet.mean(0), 19.0
    index = _candidates(bed, about, 28.0)
    place = bed.points[index].astype(float)
    inside = -bed.tissue.outside[index]
    cost = 4.0 * bed.ventricle[index] * 5 + np.maximum(0, 12.0 - inside)
    if len(cet):
        distance = np.linalg.norm(place[:, None] - cet, axis=-1)
        cost += np.abs(distance.min(1) - wanted) + 0.3 * distance.max(1)
    if len(ncet):
        distance = np.linalg.norm(place[:, None] - ncet, axis=-1).min(1)
        wanted_far = 17.0 if len(cet) else wanted
        cost += 1.5 * np.maximum(0, wanted_far - distance) + (0.3 * distance if not len(cet) else 0)
    return place[np.argmin(cost)]


def _cavity(bed: Bed, middle: np.ndarray, targets: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Depth in a resection cavity between the tumour and the surface of the brain."""
    index = _candidates(bed, middle, 30.0)
    place = bed.points[index].astype(float)
    inside = -bed.tissue.outside[index]
    from_targets = np.linalg.norm(place[:, None] - targets, axis=-1).min(1)
    from_middle = np.linalg.norm(place - middle, axis=-1)
    radius = bed.rng.uniform(7.0, 11.0)
    cost = np.abs(inside - radius) + np.maximum(0, radius + CLEARANCE + 2 - from_targets) * 2
    cost += np.abs(from_middle - 18.0)
    centre = place[np.argmin(cost)]
    depth = radius - bed.distance(centre[None]) + rough
    return np.minimum(depth, bed.distance(targets) - CLEARANCE - 1.5)


def _candidates(bed: Bed, about: np.ndarray, reach: float) -> np.ndarray:
    """Grid points in the brain near a place; at least one."""
    distance = bed.distance(about[None])
    index = np.flatnonzero((distance < reach) & (bed.tissue.outside < -5))
    if len(index) == 0:
        index = np.argsort(distance)[:CANDIDATES]
    return bed.rng.choice(index, min(CANDIDATES, len(index)), replace=False)


def _nearest(place: np.ndarray, others: np.ndarray) -> float:
    return float(np.linalg.norm(others - place, axis=1).min()) if len(others) else 25.0


def inside_share(depth: np.ndarray, width: float) -> np.ndarray:
    """Share of a voxel inside a surface: a smooth step of a width in mm."""
    return expit(depth / np.float32(width))


def ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 before the start, 1 after the end, linear between."""
    return np.clip((values - start) / (end - start), 0, 1)
