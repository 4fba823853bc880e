"""Small local changes of the images, so that the maps extracted from them meet the sample table.

The anatomy, lesion and noise of a synthetic patient are drawn; what the analysis then reads at a
target would be some value of the right kind. Here it becomes the calibrated one. The diffusion
image is changed first, through a smooth bump around each target, which is a linear problem; then
T1w, T1wGd and FLAIR, through which the forest's answer moves at a given ADC.

Vocabulary
----------
- *bump*, *grain*, *box*, *extraction*: see `cpmsurrogate.images.scene`.
- *to draw towards a level*: to mix an image with a constant, by the bump around a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.cpm.model_file import CpmModel
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.patient import DiffusionSeries
from cpmsurrogate.images.contrasts import SIGNALS
from cpmsurrogate.images.scene import GRAIN, Scene, bump

TOLERANCE = {"adc": 0.04, "cpm": 0.02}
"""Largest difference between extracted and calibrated value: less than half of the tenth to which
extracted values are kept. The CPM hangs on the SD of the whole brain, and the edge of the brain
mask on the last bits of an interpolation: a voxel more or less moves a CPM by 0.02."""

ADC_SETTLED = 0.013
"""Difference of the ADC at which its correction stops: a third of what is tolerated."""

SERIES_TRIES = 8
"""Solutions of a series at most; each rounds its volumes anew."""

SETTLED = 0.01
"""Difference at which the last correction of a target stops."""

LEVELS: Mapping[str, tuple[float, float, int]] = {"FLAIR": (0.6, 2.4, 10), "T1w": (0.4, 1.2, 9)}
"""Contrast, and levels towards which its surroundings of a target are drawn: from and to, as shares
of the contrast's mean in the head, and how many."""

ENHANCEMENT: Mapping[str, tuple[float, float, int]] = {
    "CET": (1.32, 2.3, 8),
    "nCET": (0.96, 1.08, 4),
}
"""Ratio of the T1-weighted image after gadolinium to that before it, in units of the head's, by the
kind of tissue that was sampled: from and to, and how many. What is drawn of one is drawn of the
other, so that tissue which does not enhance never does so for the sake of a number. The head's is
one to four per cent above that of white matter: grey matter and vessels take up some agent."""

SPLITS = (*np.eye(3), *-np.eye(3))
SPLIT_WIDTH, SPLIT_RANGE = 1.5, (600.0, 3000.0)
"""Directions in which the ADC may rise through a target of which it is the mean, mm over which it
does, and its least and highest value, 1e-6 mm2/s: the border of a cyst, or of water, with solid
tumour. The forest takes even tissue of a high ADC for sparse whatever else it sees, unless it
enhances; a border holds dense tissue."""

T1_BRIGHT, AVERSION = 0.85, 100.0
"""T1 of tumour, as a share of that of white matter, above which a reader would wonder, and how much
the square of what is above it counts among the changes: such levels are a last resort."""

ENHANCED, DISBELIEF = 0.99, 150.0
"""The same for the ratio of tissue that does not enhance."""

SLACK = 0.05
"""By how much a ratio that was drawn with noise may leave these limits and be left as it is."""

FINE = ("FLAIR", "T1wGd")
"""Contrasts of the last correction; not T1w, from which the brain mask is made."""

ROUNDS = 20
SWEEPS = 2
BISECTIONS = 24
FINE_TRIES = 6000

SIZES = (np.log(5.0), np.log(100.0))
"""Logarithm of the size of the changes that are tried, in the image's unit."""

MOST_CHANGED = 60.0
"""Largest change of a voxel by the last correction: a few times the noise, so that no voxel stands
out. Each time that it does not suffice, as much again is allowed."""

MOST_STUCK = 2
"""Corrections that may fail before a target's surroundings are drawn anew."""

NARROWER, NARROWEST = 0.8, 4.5
"""Share to which a bump shrinks each time that its target is drawn again, and its least radius in
mm: so that targets near each other stop taking from one another what they need."""

NEAR = 3.0
"""Voxels within so many mm of a target are used for the last correction."""

COARSE_ENOUGH = 40.0
"""Error in cells/mm2 up to which single voxels suffice. To draw whole surroundings for less would
go on for ever where targets are near each other: what brings one closer takes another away."""

_Levels = tuple[float | None, ...]
"""Level of each contrast, in the order of `cpmlib.mri.images.CONTRASTS`, and the number of a split
of the ADC or None."""


class UnreachableError(ValueError):
    """A calibrated value that no allowed change of the images gives."""


def solve_targets(
    images: Mapping[str, nib.Nifti1Image],
    targets: pd.DataFrame,
    model: CpmModel,
    rng: np.random.Generator,
    series: DiffusionSeries | None = None,
) -> tuple[dict[str, nib.Nifti1Image], DiffusionSeries | None]:
    """Change a patient's images so that the extracted CPM and ADC are the calibrated ones.

    Parameters
    ----------
    images
        Contrasts in their native grids.
    targets
        ``target_x``, ``target_y``, ``target_z`` (mm, RAS+), ``cpm`` (cells/mm2), ``adc``
        (1e-6 mm2/s), ``enhancement`` (``"CET"`` or ``"nCET"``).
    model
        The forest that the analysis uses.
    rng
        Chooses voxels for the last correction.
    series
        Diffusion series from which the analysis makes the ADC; None where it finds the map.

    Returns
    -------
    images : dict
        The contrasts, in whole grains.
    series : DiffusionSeries or None
        The series, in whole grains.

    Raises
    ------
    UnreachableError
        If a value cannot be met.
    """
    scene = Scene(images, targets, model, series)
    solve_adc(scene)
    pulled, stuck = True, np.zeros(len(scene.boxes), dtype=int)
    for _ in range(ROUNDS):
        found = scene.extract(new_mask=pulled)
        error = np.abs(found.cpm - scene.wanted[:, 0])
        if error.max() < TOLERANCE["cpm"]:
            break
        raw = scene.wanted[:, 0] / found.factor
        coarse = (error > COARSE_ENOUGH) | (stuck > MOST_STUCK)
        pulled = bool(coarse.any())
        if pulled:
            _pull(scene, raw, np.flatnonzero(coarse))
            stuck[coarse] = 0
            continue
        for i in np.flatnonzero(error >= TOLERANCE["cpm"] / 2):
            limit = MOST_CHANGED * (1 + stuck[i])
            done = _correct(scene, int(i), raw[i], found.factor, limit, rng)
            stuck[i] = 0 if done else stuck[i] + 1
    else:
        found = scene.extract()
    errors = np.abs(np.stack([found.cpm, found.adc], axis=1) - scene.wanted)
    limits = np.array([TOLERANCE["cpm"], TOLERANCE["adc"]])
    if (errors > limits).any():
        i, j = np.unravel_index(int(np.argmax(errors / limits)), errors.shape)
        name = ("cpm", "adc")[j]
        raise UnreachableError(
            f"target {i + 1}: {name} is {(found.cpm, found.adc)[j][i]:.2f} after {ROUNDS} rounds;"
            f" expected {scene.wanted[i, j]:.1f}"
        )
    return scene.images, scene.series


def solve_adc(scene: Scene) -> None:
    """Bring the ADC at all targets to its calibrated values: a linear problem.

    Solving it again mends what rounding to whole grains has left; of a map, single voxels do the
    rest, while the noise of a series makes each try another one.
    """
    for _ in range(2 if scene.series is None else SERIES_TRIES):
        lacking = _lacking_adc(scene)
        if np.abs(lacking).max() < ADC_SETTLED:
            return
        image = scene.images["ADC"]
        bumps = [bump(image, box.centre, box.radius) for box in scene.boxes]
        response = np.stack([_means(scene, change) for change in bumps], axis=1)
        amplitudes = np.linalg.solve(response, lacking)
        scene.add("ADC", sum(a * b for a, b in zip(amplitudes, bumps, strict=True)))
    if scene.series is not None:
        return
    for _ in range(SWEEPS):  # neighbouring spheres may share voxels
        for i, box in enumerate(scene.boxes):
            box.nudge_adc(scene.spheres[i][1], _lacking_adc(scene)[i])


def _lacking_adc(scene: Scene) -> np.ndarray:
    image = np.nan_to_num(np.asarray(scene.images["ADC"].dataobj))
    return scene.wanted[:, 1] - _means(scene, image)


def _means(scene: Scene, values: np.ndarray) -> np.ndarray:
    """Return the means over the spheres of values on the ADC's own grid."""
    means = []
    for box, (_, weights) in zip(scene.boxes, scene.spheres, strict=True):
        shown = box.resample(values[tuple(box.native("ADC").T)].astype(float), "ADC")
        means.append(weights @ shown[tuple(box.voxels.T)])
    return np.array(means)


def _pull(scene: Scene, wanted: np.ndarray, targets: np.ndarray) -> None:
    """Draw the surroundings of targets in turn towards what gives the wanted raw mean."""
    for i in targets:
        for kind, change in _change(scene, int(i), wanted[i]).items():
            scene.add(kind, change)
        scene.boxes[i].radius = max(NARROWER * scene.boxes[i].radius, NARROWEST)
    solve_adc(scene)


def _change(scene: Scene, i: int, wanted: float) -> dict[str, np.ndarray]:
    """Return the smallest change of the images that gives the wanted raw mean at a target.

    Candidates draw the contrasts towards levels. The best on either side of what is wanted are
    mixed, which the forest answers step by step.
    """
    box, weights = scene.boxes[i], scene.spheres[i][1]
    sphere, start = tuple(box.voxels.T), box.contrasts()
    shapes = [_shape(scene, i, kind) for kind in CONTRASTS]
    native = tuple(box.native("ADC").T)
    splits = [_split(scene, i, direction) for direction in SPLITS]
    shown = [box.resample(split[native].astype(float), "ADC") for split in splits]

    def shift(levels: _Levels) -> np.ndarray:
        pairs = zip(shapes, levels, strict=False)
        change = [0 * own if v is None else np.float32(v) * even - own for (even, own), v in pairs]
        if levels[-1] is not None:
            change[CONTRASTS.index("ADC")] += shown[int(levels[-1])]
        return np.stack(change)

    found = []
    for levels in _candidates(scene, i, start):
        change = shift(levels)
        size = np.abs(change[(slice(None), *sphere)]).mean(axis=1) / scene.means
        cost = float(size @ size) + _implausible(scene, i, (start + change)[(slice(None), *sphere)])
        found.append((cost, levels, box.raw(start + change, weights)))
    found.sort(key=lambda candidate: candidate[0])
    below = next((levels for _, levels, value in found if value <= wanted), None)
    above = next((levels for _, levels, value in found if value > wanted), None)
    if below is None or above is None:
        values = [value for _, _, value in found]
        raise UnreachableError(
            f"target {i + 1}: raw values from {min(values):.0f} to {max(values):.0f} can be"
            f" reached; wanted {wanted:.0f}"
        )
    ends = shift(below), shift(above)
    low, high, best, closest = 0.0, 1.0, 0.0, np.inf
    for _ in range(BISECTIONS):
        share = (low + high) / 2
        value = box.raw(start + (1 - share) * ends[0] + share * ends[1], weights)
        if abs(value - wanted) < closest:
            best, closest = share, abs(value - wanted)
        low, high = (share, high) if value <= wanted else (low, share)
    changes = {}
    shares = (1 - best, best)
    for kind, *pair in zip(CONTRASTS, below, above, strict=False):
        mixed = zip(shares, pair, strict=True)
        chosen = [(share, level) for share, level in mixed if level is not None]
        if chosen:
            values = np.nan_to_num(np.asarray(scene.images[kind].dataobj))
            towards = sum(share * (level - values) for share, level in chosen)
            changes[kind] = bump(scene.images[kind], box.centre, box.radius) * towards
    for share, levels in zip(shares, (below, above), strict=True):
        if levels[-1] is not None:
            changes["ADC"] = changes["ADC"] + np.float32(share) * splits[int(levels[-1])]
    return changes


def _split(scene: Scene, i: int, direction: np.ndarray) -> np.ndarray:
    """Return what makes the ADC around a target rise in a direction, without a change of its mean.

    Parameters
    ----------
    direction : (3,)
        Unit vector, scanner space.

    Returns
    -------
    (X, Y, Z)
        On the ADC's own grid, 1e-6 mm2/s.
    """
    image, box = scene.images["ADC"], scene.boxes[i]
    low, high = SPLIT_RANGE
    most = max(min(high - scene.wanted[i, 1], scene.wanted[i, 1] - low), 0.0)
    along = direction @ image.affine[:3, :3]
    axes = np.ogrid[tuple(slice(n) for n in image.shape[:3])]
    offset = direction @ (image.affine[:3, 3] - box.centre)
    distance = sum(a * axis for a, axis in zip(along, axes, strict=True)) + offset
    return most * np.tanh(distance / SPLIT_WIDTH) * bump(image, box.centre, box.radius)


def _implausible(scene: Scene, i: int, values: np.ndarray) -> float:
    """Return what it counts that tumour is bright before gadolinium, or wrongly brighter after it.

    Parameters
    ----------
    values : (4, N)
        The contrasts in the sphere.
    """
    before, after = (float(values[CONTRASTS.index(kind)].mean()) for kind in ("T1w", "T1wGd"))
    white = SIGNALS["T1w"].white
    cost = AVERSION * max(before / white - T1_BRIGHT, 0.0) ** 2
    if scene.enhancement[i] == "nCET" and before > 0:
        cost += DISBELIEF * max(after / before / scene.gain - ENHANCED, 0.0) ** 2
    return cost


def _shape(scene: Scene, i: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a target's bump on its box, and what a contrast has under it."""
    box = scene.boxes[i]
    places = tuple(box.native(kind).T)
    shape = bump(scene.images[kind], box.centre, box.radius)[places].astype(float)
    return box.resample(shape, kind), box.resample(shape * box.values(kind), kind)


def _candidates(scene: Scene, i: int, start: np.ndarray) -> Iterator[_Levels]:
    """Yield levels of the contrasts around a target, in their order; None leaves one as it is."""
    now = [float(weight) for weight in start[(slice(None), *scene.boxes[i].voxels.T)].mean(axis=1)]
    before, after = CONTRASTS.index("T1w"), CONTRASTS.index("T1wGd")
    least, most, count = ENHANCEMENT[scene.enhancement[i]]
    least, most = least * scene.gain, most * scene.gain
    ratios = np.linspace(least, most, count)
    as_it_should = least - SLACK <= now[after] / now[before] <= most + SLACK
    t1 = _levels(scene, "T1w")
    even = scene.wanted[i, 1]
    ways: list[tuple[float | None, int | None]] = [(None, None), (even, None)]
    if scene.enhancement[i] == "nCET":
        ways += [(even, number) for number in range(len(SPLITS))]
    for flair in (None, *_levels(scene, "FLAIR")):
        for adc in ways:
            if as_it_should:
                yield None, None, flair, *adc
            yield from ((None, ratio * now[before], flair, *adc) for ratio in ratios)
            yield from ((level, level * ratio, flair, *adc) for level in t1 for ratio in ratios)


def _levels(scene: Scene, kind: str) -> np.ndarray:
    low, high, count = LEVELS[kind]
    return np.linspace(low, high, count) * scene.means[CONTRASTS.index(kind)]


def _correct(
    scene: Scene, i: int, wanted: float, factor: float, limit: float, rng: np.random.Generator
) -> bool:
    """Change single voxels near a target until its mean is met; say whether it nearly is."""
    box, weights, kinds = scene.boxes[i], scene.spheres[i][1], FINE
    values = {kind: box.values(kind) for kind in kinds}
    least = {kind: np.maximum(drawn - limit, 0) for kind, drawn in values.items()}
    most = {kind: drawn + limit for kind, drawn in values.items()}
    near = {}
    for kind in kinds:
        world = nib.affines.apply_affine(scene.images[kind].affine, box.native(kind))
        near[kind] = np.flatnonzero(np.linalg.norm(world - box.centre, axis=1) < NEAR)
    shown = box.contrasts()
    found = box.raw(shown, weights)
    for _ in range(FINE_TRIES):
        if abs(found - wanted) * factor < SETTLED:
            break
        kind = kinds[rng.integers(len(kinds))]
        # Small changes cross few thresholds of the forest, large ones many: what is needed differs.
        places = rng.choice(near[kind], rng.integers(1, 4))
        change = rng.normal(0, np.exp(rng.uniform(*SIZES)), len(places))
        changed = values[kind].copy()
        changed[places] = np.rint((changed[places] + change) / GRAIN) * GRAIN
        changed[places] = changed[places].clip(least[kind][places], most[kind][places])
        trial = shown.copy()
        trial[CONTRASTS.index(kind)] = box.resample(changed, kind)
        value = box.raw(trial, weights)
        if abs(value - wanted) < abs(found - wanted):
            values[kind], shown, found = changed, trial, value
    for kind in kinds:
        np.asarray(scene.images[kind].dataobj)[tuple(box.native(kind).T)] = values[kind]
    return abs(found - wanted) * factor < TOLERANCE["cpm"]
