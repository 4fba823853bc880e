"""Confidence intervals that follow from what the paper prints: to compare another study with it.

The paper prints no intervals. A mean has one where its SD and the number of samples are printed, a
rank correlation where the number is: those of the whole cohort.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pingouin
from scipy import stats

from cpmlib.statistics.results import CONFIDENCE
from cpmlib.study.published import parse_printed

MEANS = {
    "t1.age_mean": ("t1.age_sd", "t1.n_patients"),
    "desc.he_mean": ("desc.he_sd", "t1.n_samples"),
    "desc.cpm_mean": ("desc.cpm_sd", "t1.n_samples"),
}
"""Means with the ids of their SD and number."""

RANK_CORRELATIONS = ("corr.whole.cpm.rho", "corr.whole.adc.rho")


def printed_intervals(published: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Work out the 95 % intervals of printed means (t) and rank correlations (Fisher's z).

    Both ends by id, for values whose ingredients are printed in the published table.

    Examples
    --------
    >>> texts = {"desc.he_mean": "2856", "desc.he_sd": "1461", "t1.n_samples": "66"}
    >>> low, high = printed_intervals(pd.DataFrame({"printed": texts}))["desc.he_mean"]
    >>> round(low), round(high)
    (2497, 3215)
    """
    printed = {str(id): parse_printed(text) for id, text in published["printed"].items()}
    found = {}
    for id, (sd, number) in MEANS.items():
        if {id, sd, number} <= printed.keys():
            n = printed[number].centre
            error = printed[sd].centre / np.sqrt(n)
            half = stats.t.isf((1 - CONFIDENCE) / 2, n - 1) * error
            found[id] = (printed[id].centre - half, printed[id].centre + half)
    for id in RANK_CORRELATIONS:
        if {id, "t1.n_samples"} <= printed.keys():
            rho, n = printed[id].centre, printed["t1.n_samples"].centre
            low, high = pingouin.compute_esci(stat=rho, nx=n, eftype="r", decimals=12)
            found[id] = (float(low), float(high))
    return found
