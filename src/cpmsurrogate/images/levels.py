"""How the surroundings of a target are drawn towards levels that give its calibrated value.

The forest's answer at a given ADC moves with T1w, T1wGd and FLAIR. Candidates mix each contrast
with a constant, by the bump around the target; of those that give too little and too much, the
smallest are mixed.

Bump and target box are those of `cpmsurrogate.images.scene`.

Vocabulary
----------
- *to draw towards a level*: to mix an image with a constant, by the bump around a target.
- *split*: a rise of the ADC through a target of which it is the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from cpmlib.mri.images import CONTRASTS
from cpmsurrogate.images.contrasts import SIGNALS
from cpmsurrogate.images.scene import Scene, bump

LEVELS: Mapping[str, tuple[float, float, int]] = {"FLAIR": (0.6, 2.4, 10), "T1w": (0.4, 1.2, 9)}
"""Levels of a contrast: from and to, as shares of its mean in the head, and how many."""

ENHANCEMENT: Mapping[str, tuple[float, float, int]] = {
    "CET": (1.32, 2.3, 8),
    "nCET": (0.96, 1.08, 4),
}
"""Ratio of the T1-weighted image after gadolinium to that before it, in units of the head's, by the
kind of tissue that was sampled: from and to, and how many. Tissue which does not enhance never does
so for the sake of a number. The head's is one to four per cent above that of white matter: grey
matter and vessels take up some agent."""

SPLITS = (*np.eye(3), *-np.eye(3))
SPLIT_WIDTH, SPLIT_RANGE = 1.5, (600.0, 3000.0)
"""Directions of a split, mm over which the ADC rises, and its least and highest value, 1e-6 mm2/s:
the border of a cyst, or of water, with solid tumour. The forest takes even tissue of a high ADC for
sparse whatever else it sees, unless it enhances; a border holds dense tissue."""

T1_BRIGHT, AVERSION = 0.85, 100.0
"""T1 of tumour, as a share of that of white matter, above which a reader would wonder, and how much
the square of what is above it counts among the changes: such levels are a last resort."""

ENHANCED, DISBELIEF = 0.99, 150.0
"""The same for the ratio of tissue that does not enhance."""

SLACK = 0.05
"""By how much a ratio that was drawn with noise may leave these limits and be left as it is."""

BISECTIONS = 24

_Levels = tuple[float | None, ...]
"""Level of each contrast, in the order of `CONTRASTS`, and the number of a split, or None."""


class UnreachableError(ValueError):
    """A calibrated value that no allowed change of the images gives."""


@dataclass(frozen=True)
class Drawing:
    """What is drawn around one target, in numbers that are few enough to be kept.

    `towards` has the share and level with which a contrast is mixed at the target, `splits` the
    shares of directions in `SPLITS`.
    """

    target: int
    towards: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    splits: Mapping[int, float] = field(default_factory=dict)


def draw(scene: Scene, drawing: Drawing) -> None:
    """Change the images of a scene."""
    box = scene.boxes[drawing.target]
    for kind, (share, level) in drawing.towards.items():
        image = scene.images[kind]
        values = np.nan_to_num(np.asarray(image.dataobj))
        change = bump(image, box.centre, box.radius) * np.float32(share) * (level - values)
        if kind == "ADC":
            for number, part in drawing.splits.items():
                change += np.float32(part) * _split(scene, drawing.target, SPLITS[number])
        scene.add(kind, change)


def smallest_drawing(scene: Scene, i: int, wanted: float) -> Drawing:
    """Return the smallest change of the images that gives the wanted raw mean at a target.

    Raises
    ------
    UnreachableError
        If no candidate gives so much, or so little.
    """
    box, weights = scene.boxes[i], scene.spheres[i][1]
    sphere, start = (slice(None), *box.voxels.T), box.contrasts()
    shift = _shifts(scene, i)
    found = []
    for levels in _candidates(scene, i, start):
        change = shift(levels)
        size = np.abs(change[sphere]).mean(axis=1) / scene.means
        cost = float(size @ size) + _implausible(scene, i, (start + change)[sphere])
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
    for _ in range(BISECTIONS):  # the forest answers step by step
        share = (low + high) / 2
        value = box.raw(start + (1 - share) * ends[0] + share * ends[1], weights)
        if abs(value - wanted) < closest:
            best, closest = share, abs(value - wanted)
        low, high = (share, high) if value <= wanted else (low, share)
    return _mixed(i, (1 - best, below), (best, above))


def _mixed(i: int, *parts: tuple[float, _Levels]) -> Drawing:
    """Mix two candidates; rounded, so that what is kept of it is what was done."""
    towards: dict[str, tuple[float, float]] = {}
    splits: dict[int, float] = {}
    for place, kind in enumerate(CONTRASTS):
        chosen = [(share, level) for share, levels in parts if (level := levels[place]) is not None]
        total = sum(share for share, _ in chosen)
        if total:
            level = sum(share * level for share, level in chosen) / total
            towards[kind] = round(total, 5), round(float(level), 2)
    for share, levels in parts:
        if levels[-1] is not None:
            number = int(levels[-1])
            splits[number] = round(splits.get(number, 0.0) + share, 5)
    return Drawing(i, towards, splits)


def _shifts(scene: Scene, i: int) -> Callable[[_Levels], np.ndarray]:
    """Return what gives the change, (4, X, Y, Z) on a target's box, of drawing towards levels."""
    box = scene.boxes[i]
    shapes = []
    for kind in CONTRASTS:
        shape = bump(scene.images[kind], box.centre, box.radius)[tuple(box.native(kind).T)]
        even = box.resample(shape.astype(float), kind)
        shapes.append((even, box.resample(shape * box.values(kind), kind)))
    native = tuple(box.native("ADC").T)
    splits = [_split(scene, i, direction)[native].astype(float) for direction in SPLITS]
    shown = [box.resample(split, "ADC") for split in splits]

    def shift(levels: _Levels) -> np.ndarray:
        pairs = zip(shapes, levels, strict=False)
        change = [0 * own if v is None else np.float32(v) * even - own for (even, own), v in pairs]
        if levels[-1] is not None:
            change[CONTRASTS.index("ADC")] += shown[int(levels[-1])]
        return np.stack(change)

    return shift


def _split(scene: Scene, i: int, direction: np.ndarray) -> np.ndarray:
    """Return what makes the ADC rise in a direction without a change of its mean, on its grid."""
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

    `values` are the contrasts in the sphere, (4, N).
    """
    before, after = (float(values[CONTRASTS.index(kind)].mean()) for kind in ("T1w", "T1wGd"))
    cost = AVERSION * max(before / SIGNALS["T1w"].white - T1_BRIGHT, 0.0) ** 2
    if scene.enhancement[i] == "nCET" and before > 0:
        cost += DISBELIEF * max(after / before / scene.gain - ENHANCED, 0.0) ** 2
    return cost


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
