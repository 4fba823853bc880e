"""The whole analysis in one call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cpmlib.paper import non_independence
from cpmlib.paper.analysis import Parts, regenerate
from cpmlib.paper.sensitivity import CHOICES
from cpmlib.study.options import AnalysisOptions


def test_parts_that_are_kept_change_no_value(cohort):
    parts, quick = Parts(), AnalysisOptions(n_draws=20)
    for change in ({}, *CHOICES.values(), {"seed": 5}):
        options = replace(quick, **change)
        kept, anew = (pd.Series(regenerate(cohort, options, given)) for given in (parts, None))
        pd.testing.assert_series_equal(kept, anew, check_exact=True)


@pytest.mark.parametrize("kind", ["distinct", "tied", "all tied", "equal", "two patients"])
def test_means_of_rho_are_those_of_the_table_that_holds_their_draws(kind):
    rng = np.random.default_rng(3)
    n = 40
    who = rng.integers(0, 2 if kind == "two patients" else 12, n)
    values = rng.normal(1300, 300, (3, n))
    if kind == "tied":
        values[:, ::7] = 1300
    elif kind == "all tied":
        values = np.round(values, -3)
    elif kind == "equal":
        values[1] = 1300
    samples = pd.DataFrame(
        {
            "participant_id": [f"P{i}" for i in who],
            "treatment": np.where(who % 2, "recurrent", "treatment-naive"),
            **dict(zip(("cpm", "adc", "he_cellularity"), values, strict=True)),
        }
    )
    options = AnalysisOptions(n_draws=50)
    table, _ = non_independence.one_per_patient(samples, options)
    found = non_independence.mean_rhos(samples, options)
    pd.testing.assert_frame_equal(found, table[[*found]], check_exact=True)
    exact = table["estimate"].notna() & (table["note"] == "")
    assert exact.any() == (kind in ("distinct", "tied", "equal"))
