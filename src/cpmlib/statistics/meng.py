r"""Two correlations compared: with one outcome, Meng's z; or from different samples.

Vocabulary
----------
- *r1*, r2: correlations of two predictors with the same outcome, in the same samples.
- *rx*: correlation between the two predictors.
- *strength*: correlation without its sign; to compare strength, flip the sign of a predictor that
  falls while the outcome rises, which flips r2 *and* rx.

References
----------
Meng X-L, Rosenthal R, Rubin DB (1992) Psychological Bulletin 111:172-175.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cpmlib.statistics.correlation import correlation_matrix
from cpmlib.statistics.results import (
    CONFIDENCE,
    PERFECT,
    Row,
    as_table,
    no_row,
    remove_missing,
    row_of,
    rows_of,
    why_not_estimable,
)

MINIMUM_SAMPLES = 4
"""The variance of Fisher's z is 1 / (n - 3)."""


def fisher_z_difference(
    r1: np.ndarray | float, r2: np.ndarray | float, rx: np.ndarray | float, n: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""Difference of two correlations' Fisher z values, and its standard error.

    .. math::
        z = (\operatorname{artanh} r_1 - \operatorname{artanh} r_2)
            \sqrt{\frac{n - 3}{2 (1 - r_x) h}}, \quad
        h = \frac{1 - f \bar r^2}{1 - \bar r^2}, \quad
        f = \min\left(1, \frac{1 - r_x}{2 (1 - \bar r^2)}\right)

    with :math:`\bar r^2 = (r_1^2 + r_2^2) / 2` (Meng, Rosenthal & Rubin 1992, equations 1-3).

    z is their ratio. The correlations (...), in n samples, lie strictly inside -1 to 1.

    Examples
    --------
    >>> difference, error = fisher_z_difference(np.array([0.63, 0.5]), -0.03, -0.19, 15)
    >>> (difference / error).round(4)
    array([1.6794, 1.272 ])
    """
    mean_square = (r1**2 + r2**2) / 2
    f = np.minimum(1.0, (1 - rx) / (2 * (1 - mean_square)))
    h = (1 - f * mean_square) / (1 - mean_square)
    return np.arctanh(r1) - np.arctanh(r2), np.sqrt(2 * (1 - rx) * h / (n - 3))


def align_signs(r1: np.ndarray, r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signs that make two correlations positive, (...) each: to compare strength.

    Examples
    --------
    >>> align_signs(np.array(0.3), np.array(-0.3))
    (array(1.), array(-1.))
    """
    return np.where(r1 < 0, -1.0, 1.0), np.where(r2 < 0, -1.0, 1.0)


@as_table
def meng_z(r1: float, r2: float, rx: float, n: int, *, alternative: str = "two-sided") -> Row:
    """Compare two correlations that share the outcome (`fisher_z_difference`).

    Parameters
    ----------
    r1, r2, rx, n
        Correlations in n samples.
    alternative
        ``"two-sided"``, or ``"greater"`` for r1 > r2.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate`` is the difference of the Fisher z values with its 95 % interval,
        ``z``, ``p``, and the inputs. Says not estimable where a correlation is -1 or 1.

    Raises
    ------
    ValueError
        If a correlation lies outside -1 to 1, n < 4, or the three cannot occur together.

    Examples
    --------
    The worked example of the 1992 paper:

    >>> meng_z(0.63, -0.03, -0.19, 15, alternative="greater")[["z", "p"]].round(4)
            z       p
    0  1.6794  0.0465
    """
    for name, value in {"r1": r1, "r2": r2, "rx": rx}.items():
        if not -1 <= value <= 1:
            raise ValueError(f"{name} is {value}; a correlation lies between -1 and 1")
    if n < MINIMUM_SAMPLES:
        raise ValueError(f"n is {n}; Meng's z needs at least {MINIMUM_SAMPLES} samples")
    if alternative not in ("two-sided", "greater"):
        raise ValueError(f"alternative is {alternative!r}; expected 'two-sided' or 'greater'")
    if 1 - r1**2 - r2**2 - rx**2 + 2 * r1 * r2 * rx < -1e-9:
        raise ValueError(f"r1 = {r1}, r2 = {r2} and rx = {rx} cannot occur in one data set")
    label = "Meng's z"
    if max(abs(r1), abs(r2), rx) >= PERFECT:
        return no_row(label, "a correlation is exactly 1 or -1", n, r1=r1, r2=r2, rx=rx)
    difference, error = map(float, fisher_z_difference(r1, r2, rx, n))
    z = difference / error
    half = stats.norm.isf((1 - CONFIDENCE) / 2) * error
    p = stats.norm.sf(z) if alternative == "greater" else 2 * stats.norm.sf(abs(z))
    ci = (difference - half, difference + half)
    return row_of(label, difference, ci=ci, p=p, n=n, z=z, r1=r1, r2=r2, rx=rx)


@as_table
def compare_independent(r1: float, n1: int, r2: float, n2: int) -> Row:
    r"""Compare two correlations from different samples.

    .. math::
        z = (\operatorname{artanh} r_1 - \operatorname{artanh} r_2)
            \Big/ \sqrt{\frac{1}{n_1 - 3} + \frac{1}{n_2 - 3}}

    (Fisher 1921, Metron 1:3). For Spearman's rho the error is a little too small.

    Returns
    -------
    pandas.DataFrame
        One row: ``estimate`` is the difference of the Fisher z values with its 95 % interval,
        ``z``, two-sided ``p``, and the inputs. Not estimable with fewer than four samples, or
        where a correlation is missing, -1 or 1.

    Examples
    --------
    >>> compare_independent(0.6, 30, 0.5, 30)[["z", "p"]].round(3)
           z      p
    0  0.529  0.597
    """
    name = "difference of correlations"
    given: dict[str, Any] = {"r1": r1, "r2": r2, "n1": n1, "n2": n2}
    if min(n1, n2) < MINIMUM_SAMPLES:
        reason = f"fewer than {MINIMUM_SAMPLES} samples ({min(n1, n2)})"
        return no_row(name, reason, n1 + n2, **given)
    if not max(abs(r1), abs(r2)) < PERFECT:
        return no_row(name, "a correlation is missing, 1 or -1", n1 + n2, **given)
    difference = float(np.arctanh(r1) - np.arctanh(r2))
    error = float(np.sqrt(1 / (n1 - 3) + 1 / (n2 - 3)))
    half = stats.norm.isf((1 - CONFIDENCE) / 2) * error
    z = difference / error
    ci = (difference - half, difference + half)
    return row_of(name, difference, ci=ci, p=2 * stats.norm.sf(abs(z)), n=n1 + n2, z=z, **given)


@as_table
def compare_strength(
    outcome: ArrayLike, first: ArrayLike, second: ArrayLike, *, correlation: str = "spearman"
) -> Row:
    """Compare how strongly two predictors go with one outcome, whatever their signs.

    Parameters
    ----------
    outcome, first, second : (n,) array_like
        Measured in the same samples; a sample with a NaN in any of them is left out.
    correlation
        ``"spearman"`` or ``"pearson"``.

    Returns
    -------
    pandas.DataFrame
        As `meng_z`; ``flipped`` names the predictors whose sign was changed.

    Examples
    --------
    >>> y = np.array([1.0, 2, 3, 4, 5, 6])
    >>> row = compare_strength(y, [1.0, 3, 2, 4, 6, 5], [6.0, 5, 3, 4, 1, 2])
    >>> round(row["r2"].item(), 3), row["flipped"].item()
    (0.886, 'second')
    """
    columns = np.column_stack(remove_missing(outcome, first, second))
    n = len(columns)
    reason = why_not_estimable(*columns.T, minimum=MINIMUM_SAMPLES)
    if reason:
        return no_row("Meng's z", reason, n)
    if correlation not in ("spearman", "pearson"):
        raise ValueError(f"correlation is {correlation!r}; expected 'spearman' or 'pearson'")
    if correlation == "spearman":
        columns = stats.rankdata(columns, axis=0)
    r = correlation_matrix(columns.T)
    signs = align_signs(r[0, 1], r[0, 2])
    r1, r2, rx = signs[0] * r[0, 1], signs[1] * r[0, 2], signs[0] * signs[1] * r[1, 2]
    flipped = [name for name, sign in zip(("first", "second"), signs, strict=True) if sign < 0]
    return rows_of(meng_z)(r1, r2, rx, n) | {"flipped": " ".join(flipped)}
