"""What a row of the calibration is, and what stays fixed while the numbers are searched.

Vocabulary
----------
- *quantity*: what a row measures, such as the slope of H&E on ADC in the recurrent samples.
- *row of the calibration*, row: a quantity with the interval [low, high] that satisfies it; either
  end may be infinite.
- *half-width*: half the interval, or the quantity's natural unit where the interval is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

VARIABLES = ("cpm", "adc", "he")
OUTCOME = 2


class Quantity(NamedTuple):
    """A statistic: its kind, the subset of samples, the predictor or variable, a second subset."""

    kind: str
    subset: str
    variable: str = ""
    other: str = ""


@dataclass(frozen=True)
class Row:
    """A quantity and the interval that satisfies it.

    Parameters
    ----------
    quantity, low, high
        What, and its bounds.
    unit
        Scale of a violation: half the interval's width, or less for a wide or open interval.
    ids
        The printed values that speak of the quantity; none for a condition of ours.
    """

    quantity: Quantity
    low: float
    high: float
    unit: float
    ids: tuple[str, ...] = ()

    @property
    def narrow(self) -> bool:
        """Whether the interval is so narrow that the quantity is in effect prescribed."""
        return bool(self.high - self.low <= 2.000001 * self.unit)


@dataclass
class Frame:
    """All that is fixed while the numbers are searched.

    Parameters
    ----------
    patient : (N,) int
        Whose sample each is.
    subsets
        Name and (N,) bool of every subset that a row uses.
    kept
        (subset, predictor) and the (N,) bool of the samples left after ROUT.
    rho_kept, mixed_kept
        Whether the statistic is taken after ROUT.
    rout_q, reml, mixed_test, meng
        As in `cpmlib.study.options.AnalysisOptions`.
    """

    patient: np.ndarray
    subsets: Mapping[str, np.ndarray]
    kept: Mapping[tuple[str, str], np.ndarray]
    rho_kept: bool = False
    mixed_kept: bool = False
    rout_q: float = 0.01
    reml: bool = True
    mixed_test: str = "satterthwaite"
    meng: str = "spearman"
    rmse_masks: Mapping[str, np.ndarray] = field(default_factory=dict)

    def mask(self, quantity: Quantity) -> np.ndarray:
        """Samples that enter a quantity."""
        kind, subset, variable, _ = quantity
        everyone = self.subsets[subset]
        if kind in ("slope", "r2"):
            return self.kept.get((subset, variable), everyone)
        if kind == "rmse":
            return self.rmse_masks.get(subset, everyone)
        after = (kind == "rho" and self.rho_kept) or (kind.startswith("mixed") and self.mixed_kept)
        return self.kept.get((subset, variable), everyone) if after else everyone
