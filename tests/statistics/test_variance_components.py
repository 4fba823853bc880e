"""Scatter between and within patients, against published examples, R, pingouin, statsmodels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from cpmlib.statistics.variance_components import (
    intraclass_correlation,
    variance_components,
)
from studies import ROOT

REFERENCE = json.loads((ROOT / "tests" / "reference" / "map_quality.json").read_text())


def clustered(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(10), rng.integers(1, 5, 10) + (np.arange(10) < 2))
    x, y = rng.normal(size=(2, 10))[:, patient] + rng.normal(size=(2, len(patient)))
    return pd.DataFrame({"patient": patient, "x": x, "y": y})


seeds = st.integers(0, 2**32 - 1)


def test_icc_is_that_of_shrout_and_fleiss():
    ratings = np.array(REFERENCE["icc"]["ratings"], float)
    row = intraclass_correlation(ratings.ravel(), np.repeat(np.arange(6), 4)).iloc[0]
    assert row["estimate"] == pytest.approx(0.17, abs=5e-3)
    for ours, theirs in {"estimate": "estimate", "p": "p", "ci_low": "low"}.items():
        assert row[ours] == pytest.approx(REFERENCE["icc"][theirs], rel=1e-9)
    assert row["ci_high"] == pytest.approx(REFERENCE["icc"]["high"], rel=1e-9)


@given(seeds)
def test_mean_squares_are_those_of_statsmodels(seed):
    data = clustered(seed)
    ours = variance_components(data["y"].to_numpy(), data["patient"].to_numpy())
    theirs = anova_lm(ols("y ~ C(patient)", data).fit())["mean_sq"]
    assert (ours.ms_between, ours.ms_within) == pytest.approx(tuple(theirs), rel=1e-9)


def test_components_of_many_unequal_patients_are_those_they_were_made_with():
    """Patients' variance 4, samples' 1; also the variance of a mean that n_effective promises."""
    rng = np.random.default_rng(2)
    patient = np.repeat(np.arange(4000), rng.integers(1, 5, 4000))
    values = 2 * rng.normal(size=4000)[patient] + rng.normal(size=len(patient))
    found = variance_components(values, patient)
    # Standard errors with 4000 patients and 6000 degrees of freedom within: about .1 and .02
    assert found.var_between == pytest.approx(4, abs=0.3)
    assert found.var_within == pytest.approx(1, abs=0.06)
    row = intraclass_correlation(values, patient).iloc[0]
    size = np.bincount(patient)
    variance_of_mean = (4 * (size**2).sum() + size.sum()) / size.sum() ** 2
    assert 5 / row["n_effective"] == pytest.approx(variance_of_mean, rel=0.02)


def test_what_does_not_exist_is_said():
    for row in (
        intraclass_correlation([1.0, 2, 3], ["a", "b", "c"]),
        intraclass_correlation([1.0, 2, 3], ["a", "a", "a"]),
        intraclass_correlation([1.0, 1, 3, 3], list("aabb")),
    ):
        assert np.isnan(row["estimate"].item())
        assert row["note"].item().startswith("not estimable: ")
