"""Synthetic histology: H&E tiles at a given density.

A tile is painted as light is absorbed: maps of stain (haematoxylin, eosin, haemoglobin) are drawn,
and Beer and Lambert's law turns them into colour. It is a picture for teaching and a known answer
for the counting of nuclei, not a model of tumour biology.

A tile is a square; rows run down, columns to the right; lengths are in µm unless said.

Vocabulary
----------
- *neuropil*: the pink fibrillary ground between the cells of the brain.
- *halo*: the pale rim that fixation leaves around a nucleus.
- *stain map*: amount of one stain in each pixel, 1 for what a dense structure takes up.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

HAEMATOXYLIN, EOSIN, HAEMOGLOBIN = 0, 1, 2
ABSORBANCE = np.array(
    [
        [0.60, 0.71, 0.31],  # haematoxylin and eosin: near the vectors of Macenko et al. 2009
        [0.12, 0.50, 0.25],  # (IEEE ISBI, p. 1107), scaled to the depth of a 4-µm section
        [0.14, 0.62, 0.40],
    ]
)
"""Optical density of each stain map at 1, in red, green, blue."""
WHITE = np.array([246.0, 245.0, 247.0])
"""The light beside the tissue."""

PIXEL_SIZE_UM = 0.5
"""A 20x objective, as slides are scanned for counting."""
TILE_UM = 400.0
DENSITY_RANGE = (0.0, 12_000.0)
"""Nuclei per mm2 that find room in a tile."""
NUCLEUS_RADIUS_UM = 3.3
NUCLEUS_RADIUS_LOG_SD = 0.17
"""Glial nuclei measure about 6 to 10 µm across (Louis et al., WHO Classification 2021)."""


class _Vessel(NamedTuple):
    """A capillary cut across or aslant: centre, semi-axes of the lumen, angle; µm, radians."""

    centre: np.ndarray
    axes: np.ndarray
    angle: float


class _Nuclei(NamedTuple):
    """Centres (row, column), semi-axes (long, short) and angle of nuclei; µm, radians."""

    centre: np.ndarray
    axes: np.ndarray
    angle: np.ndarray


def he_tile(
    density: float,
    rng: np.random.Generator,
    size_um: float = TILE_UM,
    pixel_size_um: float = PIXEL_SIZE_UM,
) -> tuple[np.ndarray, np.ndarray]:
    """Paint an H&E tile with a known number of nuclei.

    Parameters
    ----------
    density
        Nuclei per mm2, 0 to 12,000.
    size_um, pixel_size_um
        Side of the tile and of a pixel, µm.

    Returns
    -------
    rgb : (N, N, 3) uint8
        The tile.
    centroids : (M, 2) float
        Row and column of each nucleus, pixels; M is density times area, rounded.

    Raises
    ------
    ValueError
        If the density, size or pixel size is out of range.

    Examples
    --------
    >>> rgb, centroids = he_tile(2500, np.random.default_rng(1), size_um=100)
    >>> rgb.shape, rgb.dtype.name, centroids.shape
    ((200, 200, 3), 'uint8', (25, 2))
    """
    if not DENSITY_RANGE[0] <= density <= DENSITY_RANGE[1]:
        raise ValueError(f"density is {density}; expected {DENSITY_RANGE[0]} to {DENSITY_RANGE[1]}")
    if not (50 <= size_um <= 2000 and 0.2 <= pixel_size_um <= 1):
        raise ValueError(
            f"a tile of {size_um} µm in pixels of {pixel_size_um} µm; expected 50 to 2000, 0.2 to 1"
        )
    count = round(density * (size_um / 1000) ** 2)
    side = round(size_um / pixel_size_um)
    vessels = _place_vessels(size_um, rng)
    nuclei = _place_nuclei(count, size_um, vessels, rng)
    stain = np.zeros((3, side, side))
    stain[EOSIN] = _neuropil(side, pixel_size_um, density, rng)
    for vessel in vessels:
        _draw_vessel(stain, vessel, pixel_size_um, rng)
    _draw_nuclei(stain, nuclei, pixel_size_um, rng)
    return _develop(stain, pixel_size_um, rng), nuclei.centre / pixel_size_um - 0.5


def _place_vessels(size_um: float, rng: np.random.Generator) -> list[_Vessel]:
    count = int(rng.integers(1, 3)) if size_um >= 200 else 0
    vessels: list[_Vessel] = []
    while len(vessels) < count:
        short = rng.uniform(3.5, 7.0)
        axes = np.array([short * rng.uniform(1.2, 3.5), short])
        centre = rng.uniform(0.12, 0.88, 2) * size_um
        if all(math.dist(centre, other.centre) > 90 for other in vessels):
            vessels.append(_Vessel(centre, axes, rng.uniform(0, math.pi)))
    return vessels


def _place_nuclei(
    count: int, size_um: float, vessels: list[_Vessel], rng: np.random.Generator
) -> _Nuclei:
    """Scatter nuclei in loose groups, apart from each other; some line the vessels."""
    radius = NUCLEUS_RADIUS_UM * np.exp(rng.normal(0, NUCLEUS_RADIUS_LOG_SD, count))
    aspect = 1 + rng.gamma(2.0, 0.17, count)
    axes = np.column_stack([radius * np.sqrt(aspect), radius / np.sqrt(aspect)])
    angle = rng.uniform(0, math.pi, count)
    centre = np.empty((count, 2))
    placed = 0
    for vessel in vessels:
        for turn in np.arange(0, 2 * math.pi, 2 * math.pi / 5) + rng.uniform(0, 1):
            if placed == count or rng.random() < 0.35:
                continue
            point, along = _on_wall(vessel, turn + rng.normal(0, 0.15))
            if point.min() <= 0 or point.max() >= size_um:
                continue
            centre[placed], angle[placed] = point, along
            axes[placed] = rng.uniform(3.8, 5.2), rng.uniform(1.4, 1.9)
            placed += 1
    crowding = _smooth_field(64, 9.0, rng)
    apart, failures = 1.0, 0
    while placed < count:
        point = rng.uniform(0, size_um, 2)
        cell = tuple((point / size_um * 64).astype(int))
        wanted = 1 / (1 + math.exp(-1.3 * crowding[cell]))
        gap = np.hypot(*(centre[:placed] - point).T)
        reach = apart * (axes[:placed].mean(axis=1) + axes[placed].mean() + 0.8)
        blocked = (gap < reach).any() or any(_in_lumen(vessel, point) for vessel in vessels)
        if blocked or rng.random() > wanted:
            failures += 1
            if failures > 60:  # crowded: let them come closer
                apart, failures = apart * 0.985, 0
            continue
        centre[placed], failures = point, 0
        placed += 1
    return _Nuclei(centre, axes, angle)


def _rotation(angle: float) -> np.ndarray:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _on_wall(vessel: _Vessel, turn: float) -> tuple[np.ndarray, float]:
    """Return a point on a vessel's wall and the direction of the wall there."""
    rotate, wall = _rotation(vessel.angle), vessel.axes + 1.6
    point = vessel.centre + rotate @ (wall * [math.cos(turn), math.sin(turn)])
    tangent = rotate @ (wall * [-math.sin(turn), math.cos(turn)])
    return point, math.atan2(tangent[1], tangent[0])


def _in_lumen(vessel: _Vessel, point: np.ndarray) -> bool:
    along, across = _rotation(-vessel.angle) @ (point - vessel.centre)
    wall = vessel.axes + 5.5
    return bool((along / wall[0]) ** 2 + (across / wall[1]) ** 2 < 1)


def _smooth_field(side: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Return a (side, side) Gaussian random field of SD 1, smooth over ``scale`` pixels."""
    u, v = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    blur = np.exp(-2 * (math.pi * scale) ** 2 * (u**2 + v**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * blur, s=(side, side))
    return np.asarray((field - field.mean()) / field.std())


def _neuropil(side: int, pixel: float, density: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the ground: fine fibres whose direction wanders, and small pale spaces."""
    fibres = np.zeros((side, side))
    bend = 1.1 * _smooth_field(side, 28 / pixel, rng) + 0.5 * _smooth_field(side, 6 / pixel, rng)
    directions = np.arange(6) * math.pi / 6
    noise = np.fft.rfft2(rng.normal(size=(side, side)))
    u, v = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    for direction in directions:
        along = u * math.cos(direction) + v * math.sin(direction)
        across = -u * math.sin(direction) + v * math.cos(direction)
        width, length = 0.45 / pixel, 3.0 / pixel
        blur = np.exp(-2 * math.pi**2 * ((along * length) ** 2 + (across * width) ** 2))
        layer = np.fft.irfft2(noise * blur, s=(side, side))
        fibres += np.cos(direction - bend) ** 4 * layer / layer.std()
    fibres /= fibres.std()
    grain = _smooth_field(side, 0.55 / pixel, rng)
    clump = _smooth_field(side, 2.2 / pixel, rng)
    cloud = _smooth_field(side, 22 / pixel, rng)
    ground = 0.40 + 0.055 * fibres + 0.045 * grain + 0.03 * clump + 0.03 * cloud
    # Infiltrated white matter is loose and vacuolated, solid tumour is denser.
    holes = _smooth_field(side, 1.9 / pixel, rng) + 0.55 * _smooth_field(side, 14 / pixel, rng)
    pale = 1 / (1 + np.exp(-(holes - 2.25 - 0.12 * density / 1000) / 0.12))
    return np.clip(ground * (1 - 0.75 * pale), 0.02, None)


def _window(
    centre: np.ndarray, reach: float, side: int, pixel: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Return the pixels within ``reach`` of a centre, and their distance along both axes; µm."""
    low = np.clip(((centre - reach) / pixel).astype(int), 0, side)
    high = np.clip(((centre + reach) / pixel).astype(int) + 2, 0, side)
    row, column = ((np.arange(low[k], high[k]) + 0.5) * pixel - centre[k] for k in range(2))
    return (slice(low[0], high[0]), slice(low[1], high[1])), row[:, None], column[None, :]


def _ellipse(
    row: np.ndarray, column: np.ndarray, axes: np.ndarray, angle: float, wobble: np.ndarray
) -> np.ndarray:
    """Return the signed distance (about µm, positive inside) from an uneven ellipse."""
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = row * cos + column * sin, -row * sin + column * cos
    radius = np.hypot(along / axes[0], across / axes[1])
    turn = np.arctan2(across / axes[1], along / axes[0])
    edge = 1 + sum(a * np.cos((k + 2) * turn + b) for k, (a, b) in enumerate(wobble))
    return np.asarray((edge - radius) * math.sqrt(axes[0] * axes[1]))


def _soft(distance: np.ndarray, width: float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(distance / width, -30, 30))))


def _wobble(rng: np.random.Generator, size: float) -> np.ndarray:
    return np.column_stack([rng.normal(0, size, 3) / [1, 1.5, 2], rng.uniform(0, 2 * math.pi, 3)])


def _draw_vessel(
    stain: np.ndarray, vessel: _Vessel, pixel: float, rng: np.random.Generator
) -> None:
    side = stain.shape[1]
    window, row, column = _window(vessel.centre, vessel.axes[0] + 12, side, pixel)
    distance = _ellipse(row, column, vessel.axes, vessel.angle, _wobble(rng, 0.05))
    lumen, outer = _soft(distance, 0.4), _soft(distance + 2.6, 0.5)
    space = _soft(distance + 4.6, 0.9)
    eosin = stain[EOSIN][window]
    eosin *= 1 - 0.6 * (space - outer).clip(0)
    wall = outer - lumen
    eosin += wall * (0.32 + 0.05 * rng.normal())
    eosin *= 1 - 0.93 * lumen
    for _ in range(int(rng.integers(2, 9))):
        inside = rng.uniform(-0.62, 0.62, 2) * vessel.axes
        centre = vessel.centre + _rotation(vessel.angle) @ inside
        at, r, c = _window(centre, 6.0, side, pixel)
        axes = np.array([rng.uniform(2.4, 3.3), rng.uniform(2.0, 2.8)])
        cell = _soft(_ellipse(r, c, axes, rng.uniform(0, math.pi), _wobble(rng, 0.05)), 0.35)
        np.maximum(stain[HAEMOGLOBIN][at], 0.62 * cell, out=stain[HAEMOGLOBIN][at])


def _draw_nuclei(
    stain: np.ndarray, nuclei: _Nuclei, pixel: float, rng: np.random.Generator
) -> None:
    side = stain.shape[1]
    fine, coarse = (_smooth_field(side, s / pixel, rng) for s in (0.32, 0.85))
    chromatin = 0.55 * fine + 0.85 * coarse
    for centre, axes, angle in zip(nuclei.centre, nuclei.axes, nuclei.angle, strict=True):
        window, row, column = _window(centre, axes[0] * 1.5 + 5, side, pixel)
        distance = _ellipse(row, column, axes, angle, _wobble(rng, 0.05))
        focus = rng.uniform(0.22, 0.5)
        body = _soft(distance, focus)
        eosin = stain[EOSIN][window]
        rim = _soft(distance + rng.uniform(1.0, 2.6), 0.6) - body
        eosin *= 1 - rng.choice([0.0, 0.35, 0.7], p=[0.45, 0.35, 0.2]) * rim.clip(0)
        if rng.random() < 0.25:  # pink cytoplasm to one side
            shift = rng.normal(0, 2.0, 2)
            cell = _ellipse(row - shift[0], column - shift[1], axes * 1.7, angle, _wobble(rng, 0.1))
            eosin += 0.16 * _soft(cell, 1.1) * (1 - body)
        depth = np.clip(rng.normal(0.66, 0.16), 0.36, 1.15)
        membrane = np.exp(-0.5 * ((distance - 0.45) / 0.45) ** 2)
        texture = 1 + 0.2 * chromatin[window] + 0.25 * membrane
        taken = body * depth * texture.clip(0.35)
        haematoxylin = stain[HAEMATOXYLIN][window]
        haematoxylin[...] = np.maximum(haematoxylin, taken) + 0.25 * np.minimum(haematoxylin, taken)
        eosin *= 1 - 0.55 * body


def _develop(stain: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    """Turn stain into light: Beer and Lambert's law, the blur of the lens, the camera's noise."""
    side = stain.shape[1]
    uneven = 1 + 0.05 * _smooth_field(side, 60 / pixel, rng)
    stain = stain * uneven
    stain[HAEMATOXYLIN] += 0.035 * stain[EOSIN].clip(0, 1) + 0.02  # the ground takes a little up
    density = np.einsum("sij,sc->ijc", stain, ABSORBANCE)
    light = WHITE * 10.0**-density
    light = ndimage.gaussian_filter(light, (0.28 / pixel, 0.28 / pixel, 0))
    light += rng.normal(0, 1.6, light.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)
