"""What each choice of the analysis does to the number of values reproduced."""

from __future__ import annotations

import dataclasses

import pandas as pd

from cpmlib.paper.analysis import Parts, regenerate
from cpmlib.study.dataset import Dataset
from cpmlib.study.options import AnalysisOptions
from cpmlib.study.published import agreeing, names_of

CHOICES: dict[str, dict[str, object]] = {
    "Mixed model: Wald z": {"mixed_model_test": "wald-z"},
    "Mixed model: Wald t": {"mixed_model_test": "wald-t"},
    "Mixed model: Satterthwaite": {"mixed_model_test": "satterthwaite"},
    "Mixed model: ML": {"mixed_model_estimation": "ML"},
    "Mixed model without outliers": {"mixed_model_excludes_outliers": True},
    "Spearman without outliers": {"spearman_excludes_outliers": True},
    "RMSE with outliers": {"rmse_excludes_outliers": False},
    "No ROUT": {"rout_q": 0.0},
    "ROUT Q = 0.1 %": {"rout_q": 0.001},
    "ROUT Q = 2 %": {"rout_q": 0.02},
    "ROUT Q = 5 %": {"rout_q": 0.05},
    "Meng's z with Pearson": {"meng_correlation": "pearson"},
    "Mann-Whitney exact": {"mann_whitney_method": "exact"},
    "Grade groups without NOS": {"grade_grouping": "cns5"},
}
"""Name on the page, and the options that it changes."""


def table(dataset: Dataset, options: AnalysisOptions, published: pd.DataFrame) -> pd.DataFrame:
    """Repeat the analysis with one choice changed at a time.

    ``choice``, ``reproduced`` (count), ``lost`` and ``gained`` (ids with spaces between, against
    the first row, which is the analysis as the book runs it).
    """
    parts = Parts()
    base = agreeing(published, regenerate(dataset, options, parts))
    rows = [_row("As in this book", base, base)]
    for name, change in CHOICES.items():
        changed = dataclasses.replace(options, **change)  # type: ignore[arg-type]
        if changed != options:
            rows.append(_row(name, agreeing(published, regenerate(dataset, changed, parts)), base))
    return pd.DataFrame(rows)


def table_choices(table: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Lay `table` out for the page, with the printed values named."""
    return pd.DataFrame(
        {
            "Choice": table["choice"],
            "Agree": table["reproduced"],
            "Lost": [names_of(published, ids.split()) for ids in table["lost"]],
            "Gained": [names_of(published, ids.split()) for ids in table["gained"]],
        }
    )


def _row(name: str, found: list[str], base: list[str]) -> dict[str, object]:
    return {
        "choice": name,
        "reproduced": len(found),
        "lost": " ".join(id for id in base if id not in found),
        "gained": " ".join(id for id in found if id not in base),
    }
