"""How large a brain is at an age, by sex: what the template is scaled to.

Vocabulary
----------
- *brain volume*: that of the parenchyma, ml: grey and white matter, without ventricles and sulci.

References
----------
Hedman AM et al. (2012) Hum Brain Mapp 33:1987 (56 longitudinal studies: no loss up to the age of
35, then 0.2 % a year, rising to 0.5 % at 60).
Matsumae M et al. (1996) J Neurosurg 84:982 (49 healthy volunteers of 24 to 80 years).
"""

from __future__ import annotations

import math

import numpy as np

PARENCHYMA = {"M": 1302.0, "F": 1143.0}
"""Mean of healthy adults, ml (Matsumae et al. 1996)."""

REFERENCE_AGE = 50.0
"""Age at which that mean is taken to hold, years: the middle of the volunteers' ages."""

LOSS = ((35.0, 0.002), (60.0, 0.005))
"""Ages and the share of the parenchyma lost in a year from then on, linear between the two."""

VARIATION_SD = 0.05
"""Logarithmic standard deviation between people of one age and sex; cut at 1.5 of them.

That of all volunteers of one sex is 0.09, their ages included."""


def expected_parenchyma(sex: str, age: float) -> float:
    """Return the mean volume of the parenchyma, ml.

    Of both sexes where `sex` is not ``"M"`` or ``"F"``; at the reference age where `age` is NaN.

    Examples
    --------
    >>> round(expected_parenchyma("F", 50)), round(expected_parenchyma("F", 86))
    (1143, 960)
    """
    mean = PARENCHYMA.get(sex, sum(PARENCHYMA.values()) / len(PARENCHYMA))
    years = REFERENCE_AGE if math.isnan(age) else age
    return mean * math.exp(_lost(REFERENCE_AGE) - _lost(years))


def draw_parenchyma(sex: str, age: float, rng: np.random.Generator) -> float:
    """Draw one person's volume of the parenchyma, ml; see `expected_parenchyma`."""
    own = float(rng.standard_normal(1).clip(-1.5, 1.5)[0])
    return expected_parenchyma(sex, age) * math.exp(VARIATION_SD * own)


def _lost(age: float) -> float:
    """Logarithm of the volume at 35 over that at an age: the integral of the yearly loss."""
    (start, low), (end, high) = LOSS
    rising = min(max(age - start, 0.0), end - start)
    slope = (high - low) / (end - start)
    return low * rising + slope * rising**2 / 2 + high * max(age - end, 0.0)
