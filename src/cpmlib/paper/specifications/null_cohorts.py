"""The same claims where there is nothing to find: values dealt anew among patients.

Every patient gets the values of another patient with as many samples, in a new order. How the
values of a patient resemble each other, and what a table of this shape does to each test, so stays
as it is; what goes with what is lost.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpmlib.paper.correlations import OUTCOME
from cpmlib.paper.image_variants import Variant
from cpmlib.paper.specifications.choices import few_levels
from cpmlib.paper.specifications.claims import CLAIMS
from cpmlib.paper.specifications.run import specifications
from cpmlib.study.options import AnalysisOptions

DRAWS_PER_COHORT = 50
"""Draws of one sample per patient (`AnalysisOptions.n_draws`) for which one null cohort is made."""


def null_cohort(samples: pd.DataFrame, column: str, rng: np.random.Generator) -> pd.DataFrame:
    """Deal the values of a column anew among patients with equal numbers of them.

    A patient whose number no other has keeps the values, in a new order.

    Examples
    --------
    >>> samples = pd.DataFrame({"participant_id": ["a", "b", "b", "c", "c"], "y": [1, 2, 3, 4, 5]})
    >>> null_cohort(samples, "y", np.random.default_rng(1))["y"].tolist()[:1]
    [1]
    """
    values = samples[column].to_numpy()
    known = samples["participant_id"].where(samples[column].notna())
    rows = {str(who): own for who, own in samples.groupby(known).indices.items()}
    dealt = values.copy()
    for size in sorted({len(own) for own in rows.values()}):
        people = rng.permutation([who for who in sorted(rows) if len(rows[who]) == size])
        for who, other in zip(people, np.roll(people, 1), strict=True):
            dealt[rows[who]] = rng.permutation(values[rows[other]])
    return samples.assign(**{column: dealt})


def null_specifications(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Analyse null cohorts under `few_levels`; as `specifications`, with ``cohort``.

    For claims about H&E that column is dealt, for those about groups CPM.
    """
    samples = samples.sort_values(["participant_id", "sample_id"], ignore_index=True)
    levels, rng = few_levels(options), options.rng("null cohorts")
    found = []
    for number in range(max(4, options.n_draws // DRAWS_PER_COHORT)):
        for column, about_groups in ((OUTCOME, False), ("cpm", True)):
            claims = [claim for claim in CLAIMS if (claim.kind == "groups") == about_groups]
            variant = Variant(null_cohort(samples, column, rng))
            table = specifications([variant], options, claims, levels)
            found.append(table.assign(cohort=number))
    return pd.concat(found, ignore_index=True)
