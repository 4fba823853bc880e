"""When a bolus of contrast agent passes, and in which voxels it stays inside the vessels.

Vocabulary
----------
- *baseline*: the volumes of a series before the agent arrives, without those before the steady
  state.
- *steady state*: after some excitations the signal no longer changes from one to the next; the
  first volumes of a series may be brighter.
- *drop*: how far the signal of the brain's mean curve falls below the baseline.
- *S0*: mean signal of a voxel in the baseline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cpmlib.study.errors import fault
from cpmlib.study.options import ReferenceRule

TAIL = 10
"""Volumes at the end whose mean tells whether a voxel enhances (Boxerman 2006)."""
WITHIN = 1.0
"""Standard deviations of its own baseline by which the tail of non-enhancing brain may differ."""
EXACT = 1e-3
"""Share of the signal by which a tail may differ in a series without noise."""
MIN_BLOOD = 0.25
"""Share of the brain's median dR2* of the first pass that a voxel of the reference has at least:
white matter has more than half, fluid some hundredths. Fluid's signal is at its baseline in the
end since it never left it."""
MIN_REFERENCE = 50
"""Voxels of non-enhancing brain without which there is no reference curve."""
LOW_SIGNAL = 0.1
"""Share of the brain's median baseline below which a voxel is air, bone or a susceptibility hole,
where noise would pass for blood."""
VOXELS_AT_ONCE = 8192
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
    beside = np.vstack([np.r_[curve[1], curve[:-1]], np.r_[curve[1:], curve[-2]]])
    brighter, darker = curve - beside.max(axis=0), beside.min(axis=0) - curve
    return np.asarray(np.maximum(np.maximum(brighter, darker), 0))


def _passes(curve: np.ndarray, peak: int, level: float, drop: float, noise: float) -> bool:
    if not drop > max(MIN_DROP * level, NOISE_MARGIN * noise):
        return False
    dark = curve < level - drop / 2
    lasts = dark[peak - 1] or (peak + 1 < len(curve) and dark[peak + 1])
    return bool(lasts and not dark[peak:].all())


def _steady(baseline: np.ndarray, noise: float) -> int:
    for start in range(min(MAX_UNSTEADY, len(baseline) - 1)):
        level = np.median(baseline[start + 1 :])
        if abs(baseline[start] - level) <= max(UNSTEADY * level, 3 * noise):
            return start
    return min(MAX_UNSTEADY, max(len(baseline) - 1, 0))


def non_enhancing_voxels(
    tail: np.ndarray, spread: np.ndarray, passed: np.ndarray, rule: ReferenceRule = "baseline"
) -> np.ndarray:
    """Say which voxels, (N,) bool, do not enhance, by the signal at the end of the series.

    With ``"baseline"`` the tail must lie within `WITHIN` standard deviations of the voxel's own
    baseline (Boxerman 2006). The agent that still circulates keeps the tail of normal brain lower;
    where noise is small this leaves out grey matter, or everything. With ``"circulation"`` the tail
    must lie as close to what the circulating agent leaves in normal brain: the voxel's mean dR2*
    times the ratio of tail and mean that is the brain's median.

    `tail` and `spread`, (N,), are the mean signal of the last `TAIL` volumes (NaN where unknown)
    and the standard deviation of the baseline, over S0; `passed`, (N,), is the mean of -ln(S / S0)
    from the end of the baseline to that of the series.

    Examples
    --------
    >>> tail, passed = np.array([0.96, 0.92, 1.30]), np.array([0.1, 0.2, 0.1])
    >>> non_enhancing_voxels(tail, np.full(3, 0.02), passed, "circulation")
    array([ True,  True, False])
    """
    if rule == "baseline":
        return np.abs(tail - 1) <= WITHIN * spread
    fall = -np.log(tail)
    known = np.isfinite(fall) & (passed > 0)
    share = np.median(fall[known] / passed[known]) if known.any() else np.nan
    return np.abs(fall - share * passed) <= WITHIN * spread + EXACT


class Baselines(NamedTuple):
    """Of each voxel (N,): see `non_enhancing_voxels`; ``first_pass`` is ``passed`` of it alone."""

    s0: np.ndarray
    tail: np.ndarray
    spread: np.ndarray
    passed: np.ndarray
    first_pass: np.ndarray
    usable: np.ndarray


def curves_of(values: np.ndarray, voxels: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the signals (n, T) of voxels (N, 3), some thousand at a time, and which they are."""
    for start in range(0, len(voxels), VOXELS_AT_ONCE):
        part = slice(start, start + VOXELS_AT_ONCE)
        yield part, values[tuple(voxels[part].T)].astype(float)


def mean_curve(values: np.ndarray, voxels: np.ndarray, name: str) -> np.ndarray:
    """Return the mean signal (T,) of the voxels with a finite signal throughout."""
    total, count = np.zeros(values.shape[3]), 0
    for _, signal in curves_of(values, voxels):
        finite = np.isfinite(signal).all(axis=1)
        total += signal[finite].sum(axis=0)
        count += int(finite.sum())
    if not count or not (total > 0).all():
        found, expected = "no mean signal above 0 in the brain", "magnitudes of a perfusion series"
        raise fault(name, found, expected, "check the series and the brain mask")
    return total / count


def measure_baselines(values: np.ndarray, voxels: np.ndarray, bolus: Bolus, name: str) -> Baselines:
    """Measure voxels (N, 3) of a series (X, Y, Z, T) before and after the bolus.

    Those with a signal that is not above 0, or a baseline below `LOW_SIGNAL`, are not usable.
    """
    s0, tail, spread, passed, first_pass = np.full((5, len(voxels)), np.nan)
    width = 2 * (bolus.peak - bolus.end) + 1  # as long after the peak as the arrival is before it
    for part, signal in curves_of(values, voxels):
        base = signal[:, bolus.start : bolus.end].mean(axis=1)
        s0[part] = base
        positive = np.isfinite(signal).all(axis=1) & (signal[:, bolus.start :] > 0).all(axis=1)
        signal = signal[positive] / base[positive, None]
        tail[part][positive] = signal[:, -TAIL:].mean(axis=1)
        spread[part][positive] = signal[:, bolus.start : bolus.end].std(axis=1, ddof=1)
        fall = -np.log(signal[:, bolus.end :])
        passed[part][positive] = fall.mean(axis=1)
        first_pass[part][positive] = fall[:, :width].mean(axis=1)
    with_signal = s0 > 0
    if with_signal.mean() < 0.5:
        found = f"no signal above 0 before the bolus in {np.mean(~with_signal):.0%} of the brain"
        raise fault(name, found, "magnitudes", "check the series and the brain mask")
    usable = np.isfinite(tail) & (s0 >= LOW_SIGNAL * np.median(s0[with_signal]))
    return Baselines(s0, tail, spread, passed, first_pass, usable)


def reference_voxels(voxels: Baselines, rule: ReferenceRule, name: str) -> np.ndarray:
    """Say of which voxels (N,) the reference curve is the mean."""
    still = non_enhancing_voxels(voxels.tail, voxels.spread, voxels.passed, rule) & voxels.usable
    if still.any():
        still &= voxels.first_pass >= MIN_BLOOD * np.median(voxels.first_pass[voxels.usable])
    if still.sum() < MIN_REFERENCE:
        found = f"{int(still.sum())} voxels of brain that do not enhance"
        expected = f"at least {MIN_REFERENCE}, whose mean is the reference curve"
        remedy = "check the brain mask; where noise is small, set perfusion_reference=circulation"
        raise fault(name, found, expected, remedy)
    return still
