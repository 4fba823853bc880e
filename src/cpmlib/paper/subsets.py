"""The subsets and predictors that the paper reports.

TN are treatment-naive samples, R recurrent ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cpmlib.study.options import AnalysisOptions

SUBSETS = {"whole": "Whole cohort", "naive": "Treatment-naïve", "recurrent": "Recurrent"}
"""Key in the ledger and name on the page."""

WHERE = {
    "whole": "the whole cohort",
    "naive": "treatment-naïve tumours",
    "recurrent": "recurrent tumours",
}
"""The same within a sentence."""

PREDICTORS = {"cpm": "CPM", "adc": "ADC"}
"""Column of the sample table and name on the page."""

_TREATMENT = {"naive": "treatment-naive", "recurrent": "recurrent"}


@dataclass(frozen=True)
class Grouping:
    """Two groups of samples that the paper compares: two levels of a column, and their names."""

    key: str
    column: str
    levels: tuple[str, str]
    names: tuple[str, str]


GROUPINGS = (
    Grouping("enhancement", "enhancement", ("CET", "nCET"), ("CET", "nCET")),
    Grouping("grade", "grade_group", ("HGG", "LGG"), ("HGG", "LGG")),
    Grouping("idh", "idh", ("wild-type", "mutant"), ("IDH wild-type", "IDH mutant")),
    Grouping(
        "treatment", "treatment", ("treatment-naive", "recurrent"), ("Treatment-naïve", "Recurrent")
    ),
)


def subset(samples: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the samples of one of the `SUBSETS`.

    Examples
    --------
    >>> samples = pd.DataFrame({"treatment": ["treatment-naive", "recurrent"], "cpm": [1.0, 2.0]})
    >>> subset(samples, "naive")["cpm"].tolist()
    [1.0]
    """
    if key == "whole":
        return samples
    return samples[samples["treatment"] == _TREATMENT[key]]


def with_grade_grouping(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Apply the option that says who belongs to a grade group.

    Examples
    --------
    >>> samples = pd.DataFrame({"grade_group": ["LGG"], "diagnosis_cns5": ["NOS"]})
    >>> options = AnalysisOptions(grade_grouping="cns5")
    >>> with_grade_grouping(samples, options)["grade_group"].notna().sum().item()
    0
    """
    if options.grade_grouping == "all":
        return samples
    classified = samples["diagnosis_cns5"].notna() & (samples["diagnosis_cns5"] != "NOS")
    return samples.assign(grade_group=samples["grade_group"].where(classified))
