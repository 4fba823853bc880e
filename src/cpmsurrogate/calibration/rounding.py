"""The decimal grid on which the numbers live, and the counts behind the densities.

The search never leaves the grid of the finished table: what it evaluates is what is written, and
differences in the last bit between two processors are rounded away at every step instead of
growing.

Vocabulary
----------
- *decimal grid*: the numbers that a table can hold: one decimal for CPM, ADC and H&E.
- *tissue area*: area of a section in which nuclei are counted, mm2.
"""

from __future__ import annotations

import numpy as np

DECIMALS = 1

AREA = (1.2, 6.5)
"""Smallest and largest tissue area of a specimen, mm2, before it is adjusted to the count."""

AREA_DECIMALS = 3
AREA_CHOICES = 4000


def to_grid(values: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Round, and move apart what has become equal.

    ``values`` are a candidate cohort (V, N), of which the ``free`` numbers may change; no two of
    them in a row are left equal, since ties blur ranks.

    Examples
    --------
    >>> to_grid(np.array([[1.01, 1.02, 3.0]]), np.array([[True, True, False]]))
    array([[1. , 1.1, 3. ]])
    """
    result = np.where(free, np.round(values, DECIMALS), values)
    for row, may in zip(result, free, strict=True):
        if len(np.unique(row)) == len(row):
            continue
        seen = set(row[~may].tolist())
        for i in np.flatnonzero(may):
            while row[i] in seen:
                row[i] = np.round(row[i] + 10.0**-DECIMALS, DECIMALS)
            seen.add(row[i])
    return result


def count_nuclei(density: float, rng: np.random.Generator) -> tuple[int, float]:
    """Find a whole number of nuclei in a plausible area that gives a density.

    The density is in nuclei per mm2, the area in mm2 with three decimals; nuclei / area rounds to
    the density.

    Raises
    ------
    ValueError
        If no area gives it.

    Examples
    --------
    >>> nuclei, area = count_nuclei(2112.0, np.random.default_rng(0))
    >>> round(nuclei / area, 1)
    2112.0
    """
    unit = 10**AREA_DECIMALS
    near = round(rng.uniform(*AREA) * unit) + np.arange(AREA_CHOICES)
    # Some densities just below a round number need a large area; then the first one that fits.
    everywhere = np.arange(round(AREA[0] * unit), round(AREA[1] * unit) + AREA_CHOICES)
    areas = np.concatenate([near, everywhere]) / unit
    nuclei = np.round(density * areas)
    fits = (np.abs(nuclei / areas - density) < 0.4 * 10.0**-DECIMALS) & (nuclei > 0)
    if not fits.any():
        raise ValueError(f"no count of nuclei gives {density} per mm2 in a plausible area")
    i = int(np.argmax(fits))
    return int(nuclei[i]), float(areas[i])
