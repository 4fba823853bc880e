"""Derivatives of the library's statistics by every measurement.

A rank changes in steps, so its derivative is zero almost everywhere. The derivatives given here are
those of the same statistics with every comparison "is i above j?" softened to a logistic curve.

Vocabulary
----------
- *softened kernel slope*: derivative of the logistic curve that stands in for the rank kernel.
"""

from __future__ import annotations

import numpy as np

from cpmlib.statistics.correlation import line_of_products
from cpmlib.statistics.meng import align_signs, fisher_z_difference
from cpmlib.statistics.one_per_patient import chances_below


def soft_kernel_slope(values: np.ndarray, width: float) -> np.ndarray:
    """Slope of the logistic curve that softens the comparison of each pair, (N, N).

    ``width`` is the difference, in the unit of the values, over which the comparison is blurred.

    Examples
    --------
    >>> soft_kernel_slope(np.array([0.0, 0.0]), 10.0)[0, 1].item()
    0.025
    """
    decay = np.exp(-np.abs(values[:, None] - values[None, :]) / width)
    slope = decay / (width * (1 + decay) ** 2)
    np.fill_diagonal(slope, 0)
    return slope


def through_ranks(slope: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Gradient with respect to the values, from the gradient with respect to their ranks.

    Raising value k lifts its own rank and lowers the others', pair by pair: ``slope`` is that of
    `soft_kernel_slope`, ``weight`` (N,) the derivative of the statistic by each rank.

    Examples
    --------
    >>> slope = soft_kernel_slope(np.array([0.0, 0.0]), 10.0)
    >>> through_ranks(slope, np.array([1.0, 0.0]))
    array([ 0.025, -0.025])
    """
    return weight * slope.sum(axis=1) - slope @ weight


def sd_gradient(x: np.ndarray) -> np.ndarray:
    """Derivative of the standard deviation (n - 1), (n,)."""
    deviation = x - x.mean()
    return deviation / ((len(x) - 1) * x.std(ddof=1))


def line_gradients(x: np.ndarray, y: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Derivatives of slope and R2 of the least-squares line by x and by y, (n,) each.

    Examples
    --------
    >>> found = line_gradients(np.array([0.0, 1, 2]), np.array([0.0, 1, 2]))
    >>> found["slope"][1], found["r2"][1]
    (array([-0.5,  0. ,  0.5]), array([0., 0., 0.]))
    """
    dx, dy = x - x.mean(), y - y.mean()
    sxx, sxy, syy = dx @ dx, dx @ dy, dy @ dy
    b, r2 = line_of_products(sxx, sxy, syy)
    return {
        "slope": ((dy - 2 * b * dx) / sxx, dx / sxx),
        "r2": (2 * b / syy * (dy - b * dx), 2 / syy * (b * dx - r2 * dy)),
    }


def pearson_gradient(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of Pearson's r by x and by y, (n,) each.

    Examples
    --------
    >>> dx, dy = pearson_gradient(np.array([1.0, 2, 4]), np.array([1.0, 3, 2]))
    >>> bool(abs(dx.sum()) < 1e-12)
    True
    """
    x, y = x - x.mean(), y - y.mean()
    sx, sy = np.sqrt(x @ x), np.sqrt(y @ y)
    u, v = x / sx, y / sy
    r = u @ v
    return (v - r * u) / sx, (u - r * v) / sy


def strength_z(r: np.ndarray, n: int) -> np.ndarray:
    """Meng's z of two correlations' strength, (...), from r1, r2 and rx, (..., 3).

    Examples
    --------
    >>> round(float(strength_z(np.array([0.63, -0.03, -0.19]), 15)), 3)
    1.827
    """
    r1, r2, rx = np.moveaxis(r, -1, 0)
    s1, s2 = align_signs(r1, r2)
    difference, error = fisher_z_difference(s1 * r1, s2 * r2, s1 * s2 * rx, n)
    return difference / error


def strength_z_gradient(r: np.ndarray, n: int) -> np.ndarray:
    """Derivative of `strength_z` by its three correlations, (3,)."""
    step = 1e-5 * np.eye(3)
    return (strength_z(r + step, n) - strength_z(r - step, n)) / 2e-5


def one_per_patient_gradient(
    slope: np.ndarray, kernel: np.ndarray, owner: np.ndarray
) -> np.ndarray:
    """Derivative of the mean of rho over one-per-patient draws by one of its variables, (n,).

    From the variable's `soft_kernel_slope`, the other one's rank kernel, and whose sample each is.
    """
    below = chances_below(kernel, owner)
    size = np.bincount(owner)
    chance = 1 / size[owner]
    g = (1 + below.sum(1, keepdims=True) + kernel - below[:, owner]) * np.outer(chance, chance)
    g *= owner[:, None] != owner
    unit = len(size) * (len(size) ** 2 - 1) / 12
    return (slope * (g - g.T)).sum(1) / unit
