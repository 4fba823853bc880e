"""How many samples each group has, worked out from the printed means.

Vocabulary
----------
- *grouping*: the samples divided in two, such as HGG and LGG; every sample belongs to one group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cpmlib.paper.audit.counts import group_sizes
from cpmsurrogate.calibration.equations import rho_interval
from cpmsurrogate.calibration.targets import PREDICTORS, SUBSETS, Target, whole_number

COUNTED = {"enhancement": ("t1.enhancing", "t1.non_enhancing")}
"""Groupings whose numbers of samples are printed."""

TOUCHING = 1e-6


def possible_sizes(
    targets: Mapping[str, Target], grouping: str, total: int, *, correlations: bool = True
) -> list[int] | None:
    """Sizes of a grouping's first group that agree with the printed means; None without them.

    Parameters
    ----------
    grouping
        As in the identifiers: ``"grade"``, ``"idh"``, ``"treatment"``, ``"enhancement"``.
    total
        Samples in both groups.
    correlations
        Whether a printed rho must agree with its p in the group's number of samples.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> texts = {"desc.cpm_mean": "1323", "group.grade.cpm_mean_a": "1358",
    ...          "group.grade.cpm_mean_b": "1195"}
    >>> targets = {k: Target(k, "", v, "", parse_printed(v)) for k, v in texts.items()}
    >>> possible_sizes(targets, "grade", 66)
    [52]
    """
    ids = ("desc.cpm_mean", f"group.{grouping}.cpm_mean_a", f"group.{grouping}.cpm_mean_b")
    if not all(id in targets for id in ids):
        return None
    whole, first, second = (targets[id].value for id in ids)
    sizes = group_sizes(total, whole, first, second)
    # A size that fits only where three intervals touch in a point leaves nothing to search.
    sizes = [
        size
        for size in sizes
        if (size * first.low + (total - size) * second.low) / total < whole.high - TOUCHING
        and (size * first.high + (total - size) * second.high) / total > whole.low + TOUCHING
    ]
    for word, subset in SUBSETS.items():
        for side in ("a", "b"):
            printed = targets[f"group.{grouping}.cpm_mean_{side}"]
            if correlations and printed.subset == subset:
                own = [size if side == "a" else total - size for size in sizes]
                sizes = [s for s, k in zip(sizes, own, strict=True) if _rho_fits(targets, word, k)]
    for id, side in zip(COUNTED.get(grouping, ()), ("a", "b"), strict=False):
        count = whole_number(targets, id)
        if count is not None:
            sizes = [s for s in sizes if count == (s if side == "a" else total - s)]
    return sizes


def _rho_fits(targets: Mapping[str, Target], word: str, n: int) -> bool:
    """Whether every printed rho goes with its printed p in n samples."""
    if n < 4:
        return False
    found = (rho_interval(targets, f"corr.{word}.{predictor}", n) for predictor in PREDICTORS)
    return all(interval is None or not interval.empty for interval in found)


@dataclass(frozen=True)
class SampleCounts:
    """Samples of HGG, IDH wild-type, treatment-naive patients; None where none is printed."""

    high_grade: int | None
    wild_type: int | None
    naive: int | None

    @classmethod
    def choose(
        cls, targets: Mapping[str, Target], total: int, rng: np.random.Generator
    ) -> SampleCounts:
        """Take the printed means' solution; where several are possible, one of them.

        Raises
        ------
        ValueError
            If the means of a grouping leave no whole number.

        Examples
        --------
        >>> SampleCounts.choose({}, 66, np.random.default_rng(0))
        SampleCounts(high_grade=None, wild_type=None, naive=None)
        """
        found: dict[str, int | None] = {}
        for grouping in ("grade", "idh", "treatment"):
            sizes = possible_sizes(targets, grouping, total)
            if sizes is None:
                found[grouping] = None
                continue
            if not sizes:
                raise ValueError(f"grouping {grouping}: no whole number of samples fits the means")
            first = targets[f"group.{grouping}.cpm_mean_a"].subset
            size = sizes[int(rng.integers(len(sizes)))]
            is_first = first in ("HGG", "IDH wild-type", "treatment-naive")
            found[grouping] = size if is_first else total - size
        return cls(found["grade"], found["idh"], found["treatment"])
