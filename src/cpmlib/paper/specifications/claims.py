"""The claims that a specification curve is drawn of, and what of each the book itself computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cpmlib.paper.specifications.choices import FLIPPED, LINE, SAMPLES
from cpmlib.statistics.results import ALPHA
from cpmlib.study.options import AnalysisOptions


@dataclass(frozen=True)
class Claim:
    """A statement of the paper: what it is about, and the sign that it expects, 0 for none.

    ``where`` is a subset or a grouping.
    """

    key: str
    kind: Literal["association", "strength", "difference", "groups", "error"]
    statement: str
    expected: Literal[-1, 0, 1]
    where: str = ""
    predictor: str = "cpm"

    def holds(self, estimate: float, p: float) -> bool | None:
        """Say whether an analysis finds what the claim says; None if it finds nothing at all."""
        if np.isnan(estimate):
            return None
        if self.expected == 0:
            return bool(p >= ALPHA)
        found = estimate * self.expected > 0
        return bool(found if self.kind == "error" else found and p < ALPHA)


CLAIMS = (
    Claim(
        "cpm.naive",
        "association",
        "CPM rises with H&E cellularity in treatment-naïve tumours",
        1,
        "naive",
    ),
    Claim(
        "adc.naive",
        "association",
        "ADC falls with H&E cellularity in treatment-naïve tumours",
        -1,
        "naive",
        "adc",
    ),
    Claim(
        "cpm.whole",
        "association",
        "CPM has no association in the whole cohort",
        0,
        "whole",
    ),
    Claim(
        "adc.whole", "association", "ADC has no association in the whole cohort", 0, "whole", "adc"
    ),
    Claim(
        "meng.naive",
        "strength",
        "CPM and ADC correlate alike in treatment-naïve tumours",
        0,
        "naive",
    ),
    Claim(
        "cpm.naive_recurrent",
        "difference",
        "CPM correlates more in treatment-naïve than in recurrent tumours",
        1,
    ),
    Claim(
        "groups.enhancement",
        "groups",
        "CPM is higher in enhancing samples",
        1,
        "enhancement",
    ),
    Claim("groups.idh", "groups", "CPM is higher in IDH wild-type tumours", 1, "idh"),
    Claim("rmse.recurrent", "error", "The error of CPM is larger in recurrent tumours", 1),
)
"""Keys as far as they go those of the list of the paper's claims."""


def printed_analyses(kind: str, options: AnalysisOptions) -> list[dict[str, object]]:
    """Return the choices of the analyses that the book runs for a kind of claim."""
    everybody: dict[str, object] = {"unit": SAMPLES, "rout_q": 0.0}
    without = {"unit": SAMPLES, "rout_q": options.rout_q, "rout_k": LINE if options.rout_q else ""}

    def outliers(leave_out: bool) -> dict[str, object]:
        return without if leave_out else everybody

    model = {"estimation": options.mixed_model_estimation, "test": options.mixed_model_test}
    ranks = outliers(options.spearman_excludes_outliers)
    analyses: dict[str, list[dict[str, object]]] = {
        "association": [
            without | {"statistic": "line"},
            ranks | {"statistic": "Spearman"},
            outliers(options.mixed_model_excludes_outliers) | model,
        ],
        "strength": [everybody | {"correlation": options.meng_correlation, "sign": FLIPPED}],
        "difference": [without | {"correlation": "pearson"}, ranks | {"correlation": "spearman"}],
        "groups": [{"unit": SAMPLES, "method": options.mann_whitney_method}],
        "error": [outliers(options.rmse_excludes_outliers)],
    }
    return analyses[kind]
