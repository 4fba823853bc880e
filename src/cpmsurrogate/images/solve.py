"""Small local changes of the images, so that the maps extracted from them meet the sample table.

The anatomy, lesion and noise of a synthetic patient are drawn; what the analysis then reads at a
target would be some value of the right kind. Here it becomes the calibrated one. The diffusion
image is changed first, through a smooth bump around each target, which is a linear problem; then
T1w, T1wGd and FLAIR, through which the forest's answer moves at a given ADC: whole surroundings,
then single voxels. What was drawn is returned, so that the next time it need only be checked.

Bump, grain, target box and extraction are those of `cpmsurrogate.images.scene`.

Vocabulary
----------
- *round*: the surroundings of some targets are drawn, then the ADC is solved again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.cpm.model_file import CpmModel
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.patient import DiffusionSeries
from cpmsurrogate.images.levels import Drawing, UnreachableError, draw, smallest_drawing
from cpmsurrogate.images.scene import GRAIN, Extraction, Scene, bump

TOLERANCE = {"adc": 0.04, "cpm": 0.02}
"""Largest difference between extracted and calibrated value: less than half of the tenth to which
extracted values are kept. The CPM hangs on the SD of the whole brain, and the edge of the brain
mask on the last bits of an interpolation: a voxel more or less moves a CPM by 0.02."""

SETTLED = {"adc": 0.013, "cpm": 0.01}
"""Differences at which a correction stops."""

SERIES_TRIES = 8
"""Solutions of a series at most; each rounds its volumes anew."""

FINE = ("FLAIR", "T1wGd")
"""Contrasts of the last correction; not T1w, from which the brain mask is made."""

ROUNDS, SWEEPS, FINE_TRIES = 20, 2, 6000

SIZES = (np.log(5.0), np.log(100.0))
"""Logarithm of the size of the changes that are tried, in the image's unit."""

MOST_CHANGED = 60.0
"""Largest change of a voxel by the last correction: a few times the noise, so that no voxel stands
out. Each time that it does not suffice, as much again is allowed."""

MOST_STUCK, FREE_TRIES = 2, 10
"""Corrections that may fail before a target's surroundings are drawn anew; and the first changes of
a correction after one that failed, which are made wherever they lead: out of a dead end."""

NARROWER, NARROWEST = 0.8, 4.5
"""Share to which a bump shrinks each time that its target is drawn again, and its least radius in
mm: so that targets near each other stop taking from one another what they need."""

NEAR = 3.0
"""Voxels within so many mm of a target are used for the last correction."""

COARSE_ENOUGH = 40.0
"""Error in cells/mm2 up to which single voxels suffice. To draw whole surroundings for less would
go on for ever where targets are near each other: what brings one closer takes another away."""

MOST_FAR = 0.5
"""Share of targets that may be further off than that after what was done before is done again."""


Grains = dict[str, dict[int, int]]
"""Contrast, place of a voxel in the flattened image, and its change in grains."""


@dataclass(frozen=True)
class Round:
    """What was done to the images at once: surroundings were drawn, or single voxels corrected."""

    drawn: Sequence[Drawing] = ()
    corrected: Grains = field(default_factory=dict)


def solve_targets(
    images: Mapping[str, nib.Nifti1Image],
    targets: pd.DataFrame,
    model: CpmModel,
    rng: np.random.Generator,
    series: DiffusionSeries | None = None,
    kept: Sequence[Round] = (),
) -> tuple[dict[str, nib.Nifti1Image], DiffusionSeries | None, list[Round]]:
    """Change a patient's images so that the extracted CPM and ADC are the calibrated ones.

    Parameters
    ----------
    images
        Contrasts in their native grids.
    targets
        ``target_x``, ``target_y``, ``target_z`` (mm, RAS+), ``cpm`` (cells/mm2), ``adc``
        (1e-6 mm2/s), ``enhancement`` (``"CET"`` or ``"nCET"``).
    rng
        Chooses voxels for the last correction.
    series
        Diffusion series from which the analysis makes the ADC; None where it finds the map.
    kept
        What was done before, to start from; left aside if it does not come close at most targets.

    Returns
    -------
    images, series
        In whole grains.
    rounds : list of Round
        What was done to both. Done again it gives the same images.

    Raises
    ------
    UnreachableError
        If a value cannot be met.
    """
    scene = Scene(images, targets, model, series)
    solve_adc(scene)
    for one in kept:
        _draw(scene, one.drawn) if one.drawn else _add_grains(scene, one.corrected)
    found = scene.extract()
    if kept and (np.abs(found.cpm - scene.wanted[:, 0]) > COARSE_ENOUGH).mean() > MOST_FAR:
        return solve_targets(images, targets, model, rng, series)
    rounds = [*kept, *_solve(scene, found, rng)]
    return scene.images, scene.series, rounds


def _solve(scene: Scene, found: Extraction, rng: np.random.Generator) -> Iterator[Round]:
    """Draw and correct until all targets are met; `found` is what the analysis reads now."""
    stuck = np.zeros(len(scene.boxes), dtype=int)
    for _ in range(ROUNDS):
        error = np.abs(found.cpm - scene.wanted[:, 0])
        if error.max() < TOLERANCE["cpm"]:
            break
        raw = scene.wanted[:, 0] / found.factor
        coarse = (error > COARSE_ENOUGH) | (stuck > MOST_STUCK)
        if coarse.any():
            which = np.flatnonzero(coarse)
            yield Round(_draw(scene, (smallest_drawing(scene, int(i), raw[i]) for i in which)))
            stuck[coarse] = 0
        else:
            changes: Grains = {}
            for i in np.flatnonzero(error >= TOLERANCE["cpm"] / 2):
                limit = MOST_CHANGED * (1 + stuck[i])
                done = _correct(scene, int(i), raw[i], found.factor, limit, rng, changes)
                stuck[i] = 0 if done else stuck[i] + 1
            yield Round(corrected=changes)
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


def solve_adc(scene: Scene) -> None:
    """Bring the ADC at all targets to its calibrated values: a linear problem.

    Solving it again makes up for rounding to whole grains; of a map, single voxels do the rest,
    while the noise of a series makes each try another one.
    """
    for _ in range(2 if scene.series is None else SERIES_TRIES):
        lacking = _lacking_adc(scene)
        if np.abs(lacking).max() < SETTLED["adc"]:
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


def _draw(scene: Scene, drawings: Iterable[Drawing]) -> list[Drawing]:
    """Draw one after another, each of which may depend on the last, and solve the ADC again."""
    done = []
    for drawing in drawings:
        draw(scene, drawing)
        box = scene.boxes[drawing.target]
        box.radius = max(NARROWER * box.radius, NARROWEST)
        done.append(drawing)
    solve_adc(scene)
    return done


def _add_grains(scene: Scene, changes: Grains) -> None:
    for kind, grains in changes.items():
        values = np.asarray(scene.images[kind].dataobj)
        at = np.unravel_index(np.array(list(grains), int), values.shape)
        values[at] += GRAIN * np.array(list(grains.values()), np.float32)


def _correct(
    scene: Scene,
    i: int,
    wanted: float,
    factor: float,
    limit: float,
    rng: np.random.Generator,
    changes: Grains,
) -> bool:
    """Change single voxels near a target until its mean is met; say whether it nearly is.

    What is changed is added to `changes`.
    """
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
    free = FREE_TRIES if limit > MOST_CHANGED else 0
    for tries in range(FINE_TRIES):
        if abs(found - wanted) * factor < SETTLED["cpm"]:
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
        if tries < free or abs(value - wanted) < abs(found - wanted):
            values[kind], shown, found = changed, trial, value
    own: Grains = {}
    for kind in kinds:
        grains = np.rint((values[kind] - box.values(kind)) / GRAIN).astype(int)
        moved = np.flatnonzero(grains)
        flat = np.ravel_multi_index(box.native(kind)[moved].T, scene.images[kind].shape)
        own[kind] = dict(zip(flat.tolist(), grains[moved].tolist(), strict=True))
        total = changes.setdefault(kind, {})
        for at, grain in own[kind].items():
            total[at] = total.get(at, 0) + grain
    _add_grains(scene, own)
    return abs(found - wanted) * factor < TOLERANCE["cpm"]
