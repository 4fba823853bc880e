"""A synthetic diffusion series whose mean diffusivity is a given map.

A mean diffusivity is a third of the tensor's trace, in 1e-6 mm2/s, and a b-value in s/mm2.

Vocabulary
----------
- *gradient direction*: unit vector of the gradient of a diffusion weighting.
"""

from __future__ import annotations

import numpy as np

B_VALUE = 1000.0
"""Of the paper's protocol, s/mm2."""

GOLDEN = (1 + 5**0.5) / 2


def directions(count: int) -> np.ndarray:
    """Spread directions, (count, 3), over a hemisphere along a golden-angle spiral.

    Examples
    --------
    >>> bool(np.allclose(np.linalg.norm(directions(64), axis=1), 1))
    True
    """
    k = np.arange(count) + 0.5
    z = 1 - k / count
    angle = 2 * np.pi * k / GOLDEN
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def simulate_diffusion(
    diffusivity: np.ndarray,
    b0: np.ndarray,
    anisotropy: np.ndarray,
    bvecs: np.ndarray,
    noise: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Simulate a series: one volume without weighting, then one along each direction.

    The signal is ``S0 exp(-b g' D g)`` with ``D = MD ((1 - a) I + 3 a v v')``, Rician noise added.

    Parameters
    ----------
    diffusivity, b0, anisotropy : (X, Y, Z)
        MD, signal without weighting, and the share of the tensor along the fibres (0 to 1), which
        run from left to right near the midline and from back to front elsewhere.
    bvecs : (N, 3)
        Directions.
    noise
        Standard deviation of the noise in one channel, in the unit of `b0`.

    Returns
    -------
    (X, Y, Z, N + 1) float32

    Examples
    --------
    >>> one = np.ones((1, 1, 1))
    >>> series = simulate_diffusion(
    ...     800 * one, 500 * one, 0 * one, np.eye(3), 0.0, np.random.default_rng(0)
    ... )
    >>> series[0, 0, 0].round(1)
    array([500. , 224.7, 224.7, 224.7], dtype=float32)
    """
    shape = diffusivity.shape
    across = np.abs(np.linspace(-1, 1, shape[0]))[:, None, None] < 0.3
    fibres = np.where(across[..., None], np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    series = np.empty((*shape, len(bvecs) + 1), np.float32)
    for n in range(len(bvecs) + 1):
        signal = b0
        if n:
            along = (fibres @ bvecs[n - 1]) ** 2
            exponent = diffusivity * 1e-6 * ((1 - anisotropy) + 3 * anisotropy * along)
            signal = b0 * np.exp(-B_VALUE * exponent)
        real = signal + rng.normal(0, 1, shape) * noise
        series[..., n] = np.hypot(real, rng.normal(0, 1, shape) * noise)
    return series
