"""Susceptibility series of synthetic patients: bolus, recirculation, leakage, noise.

The signal is S0 exp(-TE dR2*). Leakage K2 and return rate k are those of `cpmlib.mri.rcbv`; K2
above 0 brightens (T1), below 0 darkens (T2*).

Vocabulary
----------
- *supply*: dR2* of tissue with a blood volume of 1 as the agent passes in the vessels, 1/s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

ARRIVAL = 22.0
"""Seconds after the first volume."""

SHAPE, SCALE, PEAK = 3.0, 1.8, 8.0
"""Of the gamma variate t^SHAPE exp(-t / SCALE) of the first pass, SCALE in s; its height, 1/s. It
peaks 5.4 s after the arrival, is 7.5 s wide at half its height, as after an injection at 4-5 ml/s,
and at an echo time of 30 ms takes a fifth of its signal from white matter."""

SECOND_PASS = (0.12, 14.0, 3.0)
"""Height relative to the first pass, delay in s and factor of widening of the recirculation."""

MIXED = (0.06, 200.0)
"""What stays in the blood once the agent is mixed: share of the peak, and seconds of its decay."""

RETURN_RATE = 0.015
"""k where the agent leaks, 1/s: about 1 per minute, as dynamic contrast-enhanced imaging finds in
gliomas."""

FINE = 0.05
"""Seconds; step at which the integral of the leakage is summed."""


def supply(times: ArrayLike) -> np.ndarray:
    """Return the dR2*, 1/s, of tissue with a blood volume of 1 and no leakage at times in s."""
    since = np.asarray(times, dtype=float) - ARRIVAL
    height, delay, wider = SECOND_PASS
    share, decay = MIXED
    first = _gamma_variate(since, SCALE)
    second = height * _gamma_variate(since - delay, SCALE * wider)
    # The mixed agent builds up with the part of the first pass that has gone by.
    later = np.maximum(since, 0)
    mixed = share * -np.expm1(-((later / (2 * SHAPE * SCALE)) ** 3)) * np.exp(-later / decay)
    return PEAK * (first + second + mixed)


def simulate_dsc(
    cbv: np.ndarray,
    k2: np.ndarray,
    mask: np.ndarray,
    times: ArrayLike,
    te: float,
    s0: np.ndarray,
    rng: np.random.Generator | None,
    snr: float,
    k: np.ndarray | float = RETURN_RATE,
) -> np.ndarray:
    """Simulate a DSC series, (X, Y, Z, T) float32.

    Parameters
    ----------
    cbv, k2 : (X, Y, Z)
        Blood volume relative to white matter; leakage, 1/s.
    mask : (X, Y, Z)
        Brain; elsewhere the signal does not change with time.
    times : (T,) array_like
        Seconds from the first volume, rising.
    te
        Echo time, s.
    s0 : (X, Y, Z)
        Signal before the bolus, arbitrary units.
    rng
        For the Rician noise; None for none.
    snr
        Mean of `s0` in the mask over the standard deviation of the noise in each channel.
    k : (X, Y, Z) or float
        Rate of return, 1/s.

    Raises
    ------
    ValueError
        If shapes differ, the mask is empty, times do not rise from 0 or more, or the echo time or
        SNR is not above 0.
    """
    inside = np.asarray(mask) > 0
    times = np.asarray(times, dtype=float)
    k = np.broadcast_to(np.asarray(k, dtype=float), inside.shape)
    _check(inside, (cbv, k2, s0), times, te, snr)
    series = np.repeat(np.asarray(s0, dtype=np.float32)[..., None], len(times), axis=3)
    rate = np.asarray(cbv, float)[inside][:, None] * supply(times)
    leaks = np.asarray(k2)[inside] != 0
    outside = _escaped(times, k[inside][leaks])
    rate[leaks] -= np.asarray(k2, float)[inside][leaks][:, None] * outside
    series[inside] *= np.exp(-te * rate).astype(np.float32)
    if rng is None:
        return series
    sigma = np.float32(np.asarray(s0)[inside].mean() / snr)
    # One volume at a time, so that no second series is held.
    for volume in np.moveaxis(series, -1, 0):
        real = volume + sigma * rng.standard_normal(volume.shape, dtype=np.float32)
        imaginary = sigma * rng.standard_normal(volume.shape, dtype=np.float32)
        volume[...] = np.hypot(real, imaginary)
    return series


def _gamma_variate(since: np.ndarray, scale: float) -> np.ndarray:
    """t^SHAPE exp(-t / scale) with a peak of 1, and 0 before t = 0."""
    part = np.maximum(since, 0) / (SHAPE * scale)
    result: np.ndarray = part**SHAPE * np.exp(SHAPE * (1 - part))
    return result


def _escaped(times: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Integral of the supply against exp(-k (t - u)), (N, T), by steps of `FINE` seconds."""
    fine = np.arange(0, times[-1] + FINE, FINE)
    middle = supply(fine[:-1] + FINE / 2)
    kept = np.exp(-k * FINE)
    gain = FINE * np.sqrt(kept)
    which = np.searchsorted(fine, times + FINE / 2) - 1
    result = np.empty((len(times), len(k)))
    now = np.zeros(len(k))
    row = 0
    for i in range(len(fine)):
        while row < len(times) and which[row] == i:
            result[row] = now
            row += 1
        if i < len(middle):
            now = kept * now + gain * middle[i]
    return result.T


def _check(
    inside: np.ndarray, maps: tuple[np.ndarray, ...], times: np.ndarray, te: float, snr: float
) -> None:
    if any(np.shape(values) != inside.shape for values in maps) or inside.ndim != 3:
        shapes = [np.shape(values) for values in maps]
        raise ValueError(f"maps of shapes {shapes}; expected that of the mask, {inside.shape}")
    if not inside.any():
        raise ValueError("the mask is empty")
    if times.ndim != 1 or len(times) < 2 or times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError("times must rise from 0 or more")
    if not (te > 0 and snr > 0):
        raise ValueError(f"an echo time of {te} s and an SNR of {snr}; expected both above 0")
