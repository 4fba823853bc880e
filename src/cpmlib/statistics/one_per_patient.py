r"""Spearman's rho with one sample taken from each patient.

Samples of one patient are not independent; one of each patient are. Which one is drawn by
chance, so rho has a distribution. It can be sampled (Monte Carlo), enumerated where there are
few combinations, and its mean is known exactly without either.

Vocabulary
----------
- *draw*: one sample of every patient, each of the patient's samples being equally likely.
- *rank kernel*: matrix with 1 where value i is above value j, 1/2 where they are equal (and for
  i = j), 0 below; the rank of i among the drawn ones is 1/2 plus the sum of its row over them.
  Equal values so receive their average rank.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

CHUNK = 8192
"""Draws that are held in memory at a time."""

LARGEST_WORK = 2e7
"""Most choices among tied samples, times the square of the samples: a few seconds."""

ENUMERATION_LIMIT = 1_000_000
"""Most combinations that are enumerated."""


@dataclass(frozen=True)
class _Drawing:
    """Samples sorted by patient, with their rank kernels."""

    kernel_x: np.ndarray
    kernel_y: np.ndarray
    start: np.ndarray
    size: np.ndarray

    @property
    def n_patients(self) -> int:
        return len(self.size)

    @property
    def combinations(self) -> int:
        return int(np.prod(self.size.astype(object)))


def _prepare(x: ArrayLike, y: ArrayLike, patient: ArrayLike) -> _Drawing:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    patient = np.asarray(patient)
    if not len(x) == len(y) == len(patient):
        raise ValueError(f"lengths differ: x {len(x)}, y {len(y)}, patient {len(patient)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("found NaN or infinity; ranks need finite values")
    # In the order of the table: no draw depends on what a patient is called.
    group = pd.factorize(patient, use_na_sentinel=False)[0]
    size = np.bincount(group) if len(group) else np.zeros(0, dtype=int)
    if len(size) < 3:
        raise ValueError(f"fewer than 3 patients ({len(size)})")
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    return _Drawing(rank_kernel(x[order]), rank_kernel(y[order]), start, size)


def rank_kernel(values: np.ndarray) -> np.ndarray:
    """Compare every value (..., n) with every other: the vocabulary's rank kernel, (..., n, n).

    Examples
    --------
    >>> rank_kernel(np.array([3.0, 1.0]))
    array([[0.5, 1. ],
           [0. , 0.5]])
    """
    return 0.5 * (1 + np.sign(values[..., :, None] - values[..., None, :]))


def chances_below(kernel: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Chance that the drawn sample of each other patient lies below each sample, (..., n, P).

    0 for the sample's own patient. ``kernel`` (..., n, n) is a rank kernel, or the product of two
    of them: below in both; ``owner`` (n,) says whose sample each is, 0 to P - 1.

    Examples
    --------
    >>> chances_below(rank_kernel(np.array([2.0, 1, 3])), np.array([0, 1, 1]))[0]
    array([0. , 0.5])
    """
    own = owner[:, None] == np.arange(owner.max() + 1)
    return np.where(own, 0, kernel @ (own / np.bincount(owner)))


def mean_rank_covariance(
    kernel_x: np.ndarray, kernel_y: np.ndarray, owner: np.ndarray
) -> np.ndarray:
    r"""Mean over all draws of the sum of products of centred ranks, without ties among the drawn.

    With :math:`p_{ij}` the chance that patient j's drawn sample lies below sample i in x,
    :math:`q_{ij}` in y and :math:`c_{ij}` in both, and patients being drawn independently,

    .. math:: E[R_i S_i] = \sum_j p_{ij} \sum_j q_{ij} + \sum_j (c_{ij} - p_{ij} q_{ij})

    ``owner`` is as in `chances_below`; the result (...) divided by P (P^2 - 1) / 12 is the mean of
    rho.

    Examples
    --------
    >>> x, y = np.array([1.0, 2, 3, 0]), np.array([1.0, 2, 3, 9])
    >>> mean_rank_covariance(rank_kernel(x), rank_kernel(y), np.array([0, 1, 2, 2])) / 2
    np.float64(0.25)
    """
    size = np.bincount(owner)
    p, q = chances_below(kernel_x, owner), chances_below(kernel_y, owner)
    both = chances_below(kernel_x * kernel_y, owner)
    product = p.sum(-1) * q.sum(-1) + (both - p * q).sum(-1)
    return product @ (1 / size[owner]) - len(size) * ((len(size) - 1) / 2) ** 2


def _spearman(drawing: _Drawing, choice: np.ndarray) -> np.ndarray:
    """Rho of each draw; ``choice`` (draws, patients) indexes the sorted samples.

    A draw in which x or y is constant has no rho and gives NaN.
    """
    drawn = np.zeros((len(choice), len(drawing.kernel_x)))
    np.put_along_axis(drawn, choice, 1.0, axis=1)
    # Row sums over the drawn samples are ranks less 1/2, for drawn and not drawn ones alike.
    rank_x = np.take_along_axis(drawn @ drawing.kernel_x.T, choice, axis=1)
    rank_y = np.take_along_axis(drawn @ drawing.kernel_y.T, choice, axis=1)
    centre = drawing.n_patients / 2
    rank_x -= centre
    rank_y -= centre
    product = np.einsum("ij,ij->i", rank_x, rank_y)
    squares = np.einsum("ij,ij->i", rank_x, rank_x) * np.einsum("ij,ij->i", rank_y, rank_y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares > 0, product / np.sqrt(squares), np.nan)


def monte_carlo(
    x: ArrayLike,
    y: ArrayLike,
    patient: ArrayLike,
    *,
    n_draws: int = 1000,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw one sample of each patient, many times.

    Parameters
    ----------
    x, y, patient : (n,) array_like
        Finite values, and whose they are; at least three patients.

    Returns
    -------
    numpy.ndarray
        Spearman's rho of each draw, (n_draws,); NaN where the drawn x or y are all equal. Memory
        beyond the result does not grow with ``n_draws``.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or there are fewer than three patients.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> monte_carlo([1.0, 2, 3, 4], [1.0, 2, 3, 9], ["a", "b", "c", "c"], n_draws=3, rng=rng)
    array([1., 1., 1.])
    """
    drawing = _prepare(x, y, patient)
    rho = np.empty(n_draws)
    for first in range(0, n_draws, CHUNK):
        last = min(first + CHUNK, n_draws)
        within = rng.random((last - first, drawing.n_patients)) * drawing.size
        rho[first:last] = _spearman(drawing, drawing.start + within.astype(np.intp))
    return rho


def enumerate_all(
    x: ArrayLike, y: ArrayLike, patient: ArrayLike, *, limit: int = ENUMERATION_LIMIT
) -> np.ndarray | None:
    """Spearman's rho of every possible draw, each of which is equally likely.

    Arguments and errors are those of `monte_carlo`.

    Returns
    -------
    numpy.ndarray or None
        One rho for each combination, or None if there are more than ``limit``.

    Examples
    --------
    >>> enumerate_all([1.0, 2, 3, 0], [1.0, 2, 3, 9], ["a", "b", "c", "c"])
    array([ 1. , -0.5])
    """
    drawing = _prepare(x, y, patient)
    total = drawing.combinations
    if total > limit:
        return None
    rho = np.empty(total)
    several = np.flatnonzero(drawing.size > 1)  # NumPy unravels at most 64 of them
    for first in range(0, total, CHUNK):
        number = np.arange(first, min(first + CHUNK, total))
        within = np.zeros((len(number), drawing.n_patients), dtype=np.intp)
        if len(several):
            parts = np.unravel_index(number, tuple(drawing.size[several]))
            within[:, several] = np.column_stack(parts)
        rho[number] = _spearman(drawing, drawing.start + within)
    return rho


def exact_mean(
    x: ArrayLike, y: ArrayLike, patient: ArrayLike, *, limit: int = 4096
) -> float | None:
    r"""Exact mean of rho over all draws, without enumerating them.

    Without ties among the drawn samples the ranks of N patients have a fixed variance, so

    .. math::
        E[\rho] = \frac{E\left[\sum_i R_i S_i\right] - N ((N + 1) / 2)^2}{N (N^2 - 1) / 12}

    with the numerator of `mean_rank_covariance`. Where samples of different patients
    tie, the variance depends on which of them are drawn; the mean is then taken over those
    choices, each with its own variance. Arguments and errors are those of `monte_carlo`.

    Returns
    -------
    float or None
        None if there are more such choices than ``limit``, or than `LARGEST_WORK` allows in a
        large cohort, or if x or y of some draw are all equal, so that the mean does not exist.

    Examples
    --------
    >>> exact_mean([1.0, 2, 3, 0], [1.0, 2, 3, 9], ["a", "b", "c", "c"])
    0.25
    """
    drawing = _prepare(x, y, patient)
    choices = _choices_among_ties(drawing)
    count = np.prod([len(options) for options in choices], dtype=float)
    if count > limit or (count > 1 and count * len(drawing.kernel_x) ** 2 > LARGEST_WORK):
        return None
    total = 0.0
    for choice in itertools.product(*choices):
        chance = np.prod([len(o) / s for o, s in zip(choice, drawing.size, strict=True)])
        mean = _mean_without_ties(drawing, choice)
        if mean is None:
            return None
        total += float(chance) * mean
    return total


def _choices_among_ties(drawing: _Drawing) -> list[list[np.ndarray]]:
    """For each patient the samples that tie alike: each tied one alone, the rest together."""
    owner = np.repeat(np.arange(drawing.n_patients), drawing.size)
    other = owner[:, None] != owner[None, :]
    equal = (drawing.kernel_x == 0.5) | (drawing.kernel_y == 0.5)
    tied = (equal & other).any(axis=1)
    choices = []
    for first, size in zip(drawing.start, drawing.size, strict=True):
        samples = np.arange(first, first + size)
        options = [samples[[i]] for i in range(size) if tied[samples[i]]]
        free = samples[~tied[samples]]
        choices.append(options + ([free] if len(free) else []))
    return choices


def _mean_without_ties(drawing: _Drawing, choice: tuple[np.ndarray, ...]) -> float | None:
    """Mean of rho when patient i draws uniformly from ``choice[i]`` and the ties are fixed."""
    samples = np.concatenate(choice)
    owner = np.repeat(np.arange(drawing.n_patients), [len(options) for options in choice])
    grid = np.ix_(samples, samples)
    covariance = mean_rank_covariance(drawing.kernel_x[grid], drawing.kernel_y[grid], owner)
    variances = [_rank_variance(kernel, choice) for kernel in (drawing.kernel_x, drawing.kernel_y)]
    if min(variances) <= 0:
        return None
    return float(covariance / np.sqrt(variances[0] * variances[1]))


def _rank_variance(kernel: np.ndarray, choice: tuple[np.ndarray, ...]) -> float:
    """Sum of squared centred ranks, less (t^3 - t) / 12 for each t tied ones."""
    n = len(choice)
    drawn = np.array([options[0] for options in choice])
    ties = (kernel[np.ix_(drawn, drawn)] == 0.5).sum(axis=1)
    return (n**3 - n) / 12 - float((ties.astype(float) ** 2 - 1).sum()) / 12
