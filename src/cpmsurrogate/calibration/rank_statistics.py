r"""Rank statistics of many candidate cohorts at once, with slopes that a search can follow.

A rank changes in steps, so its derivative is zero almost everywhere. The *values* given here are
the exact statistics; the *gradients* are those of the same statistics with every comparison
"is i above j?" softened to a logistic curve.

Vocabulary
----------
rank kernel : matrix K with 1 where value i is above value j, 1/2 where equal, 0 below.
softened kernel slope : derivative of the logistic curve that stands in for the kernel.
candidates : B cohorts of N samples, evaluated together; the leading axis.
"""

from __future__ import annotations

import numpy as np


def rank_kernel(values: np.ndarray) -> np.ndarray:
    """Compare every value with every other.

    Parameters
    ----------
    values : (..., N)

    Returns
    -------
    numpy.ndarray
        (..., N, N): 1 where i is above j, 1/2 where equal, 0 below.

    Examples
    --------
    >>> rank_kernel(np.array([3.0, 1.0]))
    array([[0.5, 1. ],
           [0. , 0.5]])
    """
    return 0.5 * (1 + np.sign(values[..., :, None] - values[..., None, :]))


def soft_kernel_slope(values: np.ndarray, width: float) -> np.ndarray:
    """Slope of the logistic curve that softens the comparison of each pair.

    Parameters
    ----------
    values : (N,)
    width
        Difference, in the unit of the values, over which the comparison is blurred.

    Returns
    -------
    numpy.ndarray
        (N, N), symmetric, zero diagonal.

    Examples
    --------
    >>> soft_kernel_slope(np.array([0.0, 0.0]), 10.0)[0, 1].item()
    0.025
    """
    difference = np.abs(values[:, None] - values[None, :]) / width
    decay = np.exp(-difference)
    slope = decay / (width * (1 + decay) ** 2)
    np.fill_diagonal(slope, 0)
    return slope


def through_ranks(slope: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Gradient with respect to the values, from the gradient with respect to their ranks.

    Raising value k lifts its own rank and lowers the others', pair by pair.

    Parameters
    ----------
    slope : (N, N)
        From `soft_kernel_slope`, zero for pairs that are not ranked together.
    weight : (N,)
        Derivative of the statistic by each rank.

    Examples
    --------
    >>> slope = soft_kernel_slope(np.array([0.0, 0.0]), 10.0)
    >>> through_ranks(slope, np.array([1.0, 0.0]))
    array([ 0.025, -0.025])
    """
    return weight * slope.sum(axis=1) - slope @ weight


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's r along the last axis.

    Examples
    --------
    >>> round(float(pearson(np.array([1.0, 2, 3]), np.array([1.0, 3, 2]))), 6)
    0.5
    """
    x = x - x.mean(axis=-1, keepdims=True)
    y = y - y.mean(axis=-1, keepdims=True)
    return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def pearson_gradient(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of Pearson's r by x and by y, (N,) each.

    Examples
    --------
    >>> dx, dy = pearson_gradient(np.array([1.0, 2, 4]), np.array([1.0, 3, 2]))
    >>> bool(abs(dx.sum()) < 1e-12)
    True
    """
    x = x - x.mean()
    y = y - y.mean()
    sx, sy = np.sqrt((x * x).sum()), np.sqrt((y * y).sum())
    u, v = x / sx, y / sy
    r = float(u @ v)
    return (v - r * u) / sx, (u - r * v) / sy


class OnePerPatient:
    r"""Expected Spearman rho when one sample of each patient is drawn, and its gradient.

    Without ties, with :math:`p_{ij}` the chance that patient j's drawn sample lies below sample i
    in x, :math:`q_{ij}` in y and :math:`c_{ij}` in both,

    .. math:: E[R_i S_i] = (1 + \sum_j p_{ij}) (1 + \sum_j q_{ij})
              + \sum_j (c_{ij} - p_{ij} q_{ij})

    Parameters
    ----------
    patient : (N,) int
        Whose sample each is, 0 to P - 1.
    subset : (N,) bool
        The samples drawn from; all samples of a patient or none.

    Examples
    --------
    >>> x, y = np.array([[1.0, 2, 3, 0]]), np.array([[1.0, 2, 3, 9]])
    >>> one = OnePerPatient(np.array([0, 1, 2, 2]), np.ones(4, bool))
    >>> one.value(rank_kernel(x), rank_kernel(y))
    array([0.25])
    """

    def __init__(self, patient: np.ndarray, subset: np.ndarray) -> None:
        self.index = np.flatnonzero(subset)
        _, owner = np.unique(patient[self.index], return_inverse=True)
        size = np.bincount(owner).astype(float)
        self.owner, self.n = owner, len(size)
        self.chance = 1 / size[owner]
        self.weight = (owner[:, None] == np.arange(self.n)) / size
        self.other = (owner[:, None] != np.arange(self.n)).astype(float)
        self.grid = np.ix_(self.index, self.index)
        self.unit = self.n * (self.n**2 - 1) / 12

    def _chances(self, kx: np.ndarray, ky: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (kx @ self.weight) * self.other, (ky @ self.weight) * self.other

    def value(self, kernel_x: np.ndarray, kernel_y: np.ndarray) -> np.ndarray:
        """Exact expectation for each candidate, (B,), from kernels (B, N, N)."""
        rows, columns = self.grid
        kx, ky = kernel_x[..., rows, columns], kernel_y[..., rows, columns]
        p, q = self._chances(kx, ky)
        both = ((kx * ky) @ self.weight) * self.other
        product = (1 + p.sum(-1)) * (1 + q.sum(-1)) + (both - p * q).sum(-1)
        centre = self.n * ((self.n + 1) / 2) ** 2
        return (product @ self.chance - centre) / self.unit

    def gradient(
        self, kernel_x: np.ndarray, kernel_y: np.ndarray, slope_x: np.ndarray, slope_y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Softened derivatives by all x and all y, (N,) each, from kernels (N, N)."""
        kx, ky = kernel_x[self.grid], kernel_y[self.grid]
        p, q = self._chances(kx, ky)
        result = []
        for own_slope, other_kernel, other_chance in ((slope_x, ky, q), (slope_y, kx, p)):
            s = 1 + other_chance.sum(1, keepdims=True)
            g = (s + other_kernel - other_chance[:, self.owner]) * self.chance[:, None]
            g *= self.chance[None, :] * self.other[:, self.owner]
            slope = own_slope[self.grid]
            full = np.zeros(len(kernel_x))
            full[self.index] = (slope * (g - g.T)).sum(1) / self.unit
            result.append(full)
        return result[0], result[1]
