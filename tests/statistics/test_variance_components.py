"""Scatter between and within patients, against published examples, R, pingouin, statsmodels."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pingouin as pg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from cpmlib.statistics.variance_components import (
    correlation_within,
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


def test_repeated_measures_correlation_is_bland_and_altmans():
    data = pg.read_dataset("rm_corr")  # Bland & Altman (1995): pH and PaCO2 of eight subjects
    row = correlation_within(data["pH"], data["PacO2"], data["Subject"]).iloc[0]
    assert row["estimate"] == pytest.approx(-0.5067697, abs=5e-8)
    assert row["df"] == 38
    assert row["p"] == pytest.approx(0.0008471081, abs=5e-11)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((-0.7067146, -0.2318631), abs=5e-8)


@given(seeds)
def test_repeated_measures_correlation_is_pingouins(seed):
    data = clustered(seed)
    several = data.groupby("patient").filter(lambda part: len(part) > 1)
    row = correlation_within(data["x"], data["y"], data["patient"]).iloc[0]
    if several["patient"].nunique() < 3:
        assert "not estimable" in row["note"]
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about how pingouin renames columns
        theirs = pg.rm_corr(data=several, x="x", y="y", subject="patient").iloc[0]
    assert row["estimate"] == pytest.approx(theirs["r"], abs=1e-9)
    assert row["p"] == pytest.approx(theirs["pval"], abs=1e-9)
    assert row["df"] == theirs["dof"]


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
        correlation_within([1.0, 2, 3, 4], [1.0, 3, 2, 4], list("aabb")),
        correlation_within(np.repeat([0.1, 0.2, 0.7], 3), np.arange(9.0), np.repeat([1, 2, 3], 3)),
    ):
        assert np.isnan(row["estimate"].item())
        assert row["note"].item().startswith("not estimable: ")
