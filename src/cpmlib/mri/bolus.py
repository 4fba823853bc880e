"""When a bolus of contrast agent passes: baseline, arrival and peak on the brain's mean curve.

Vocabulary
----------
- *curve*: mean signal of the brain in each volume, arbitrary units.
- *baseline*: the volumes before the agent arrives, without those before the steady state.
- *steady state*: after some excitations the signal no longer changes from one to the next; the
  first volumes of a series may be brighter.
- *drop*: baseline signal minus the lowest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cpmlib.study.errors import fault

MIN_VOLUMES = 20
"""A shorter series holds no baseline, bolus and leakage."""
MIN_BASELINE = 5
"""Volumes; fewer give no standard deviation worth the name."""
MIN_AFTER = 30.0
"""Seconds from the bolus's arrival to the end: first pass and recirculation, on which the leakage
shows."""
MIN_DROP = 0.02
"""Share of the baseline signal by which a bolus at least darkens the brain; a standard dose at
1.5 or 3 T takes ten times as much."""
NOISE_MARGIN = 6.0
"""Standard deviations of the curve's noise by which the drop must exceed 0."""
ARRIVED = 0.05
"""Share of the drop that counts as the arrival."""
MAX_UNSTEADY = 5
"""Volumes at the start that may be left out because they are not steady."""
JUMP = 0.1
"""Share of the baseline signal by which one volume may differ from both beside it; one that is
brighter by 20 % makes rCBV wrong by 8 %."""
UNSTEADY = 0.01
"""Share of the baseline signal by which such a volume differs from those that follow."""


@dataclass(frozen=True)
class Bolus:
    """Where on its curve a bolus passes; numbers of volumes, counted from 0.

    ``start`` is the first volume of the baseline, ``end`` the first after it; the agent arrives
    later. ``peak`` is the darkest, and ``drop`` the share of the baseline signal that it has lost.
    """

    start: int
    end: int
    peak: int
    drop: float


def find_bolus(curve: ArrayLike, step: float, name: str = "dsc") -> Bolus:
    """Find the bolus on the mean curve of the brain in a series called `name`.

    The peak is the lowest point. Back from it, the first volume that has lost no more than
    `ARRIVED` of the drop (or three standard deviations of the noise) is the last without agent; it
    is left out of the baseline too, for voxels that the bolus reaches earlier than the mean.

    The curve, (T,), is finite; its steps are in seconds. Raises DatasetError if no bolus comes and
    goes, between enough volumes before and after it, without jumps.

    Examples
    --------
    >>> time = np.arange(60.0)
    >>> signal = 500 * np.exp(-0.5 * np.exp(-((time - 20) ** 2) / 18))
    >>> find_bolus(signal, 1.5)
    Bolus(start=0, end=12, peak=20, drop=0.393...)
    """
    curve = np.asarray(curve, dtype=float)
    if len(curve) < MIN_VOLUMES:
        found, expected = f"{len(curve)} volumes", f"at least {MIN_VOLUMES}"
        raise fault(name, found, expected, "name the whole series")
    peak = MAX_UNSTEADY + int(np.argmin(curve[MAX_UNSTEADY:]))
    level = float(np.median(curve[:peak])) if peak > MAX_UNSTEADY else float(np.median(curve))
    noise = 1.4826 * float(np.median(np.abs(np.diff(curve)))) / np.sqrt(2)
    drop = level - curve[peak]
    if not _passes(curve, peak, level, drop, noise):
        found = f"no bolus: the lowest mean signal is {100 * drop / level:.2g} % below the others"
        expected = "a drop that exceeds the noise, lasts two volumes and recovers"
        raise fault(name, found, expected, "check that it is the perfusion series of this brain")
    # A first estimate of the baseline holds part of the bolus; the second does not.
    for _ in range(2):
        lost = level - curve[:peak]
        without = np.flatnonzero(lost <= max(ARRIVED * drop, 3 * noise))
        end = int(without[-1]) if len(without) else 0
        start = _steady(curve[:end], noise)
        if end - start < MIN_BASELINE:
            found = f"a bolus that arrives after {end - start} steady volumes"
            expected = f"at least {MIN_BASELINE} volumes before the bolus"
            raise fault(name, found, expected, "name the whole series")
        level = float(curve[start:end].mean())
        drop = level - curve[peak]
    after = (len(curve) - 1 - end) * step
    if after < MIN_AFTER:
        found = f"a series that ends {after:.3g} s after the bolus arrives"
        raise fault(name, found, f"at least {MIN_AFTER:g} s", "name the whole series")
    for volume in np.flatnonzero(_jumps(curve) > max(JUMP * level, NOISE_MARGIN * noise)):
        if volume > end and volume != peak:
            found = f"a mean signal of {curve[volume]:.4g} in volume {volume + 1}, unlike those "
            remedy = "take out a volume that is spoilt, or a map that the scanner added"
            raise fault(name, f"{found}beside it", "a curve without jumps", remedy)
    return Bolus(start, end, peak, float(drop / level))


def _jumps(curve: np.ndarray) -> np.ndarray:
    """Return by how much each volume is brighter, or darker, than both beside it."""
    beside = np.vstack([np.r_[curve[1], curve[:-1]], np.r_[curve[1:], curve[-2]]])
    brighter, darker = curve - beside.max(axis=0), beside.min(axis=0) - curve
    return np.asarray(np.maximum(np.maximum(brighter, darker), 0))


def _passes(curve: np.ndarray, peak: int, level: float, drop: float, noise: float) -> bool:
    """Say whether a drop is large, lasts, and recovers by at least half."""
    if not drop > max(MIN_DROP * level, NOISE_MARGIN * noise):
        return False
    dark = curve < level - drop / 2
    lasts = dark[peak - 1] or (peak + 1 < len(curve) and dark[peak + 1])
    return bool(lasts and not dark[peak:].all())


def _steady(baseline: np.ndarray, noise: float) -> int:
    """Return the first volume of a baseline that is like those that follow."""
    for start in range(min(MAX_UNSTEADY, len(baseline) - 1)):
        level = np.median(baseline[start + 1 :])
        if abs(baseline[start] - level) <= max(UNSTEADY * level, 3 * noise):
            return start
    return min(MAX_UNSTEADY, max(len(baseline) - 1, 0))
