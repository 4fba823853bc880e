"""Errors, held-out errors, influence, power and adjusted p: against scikit-learn, R, SciPy."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from cpmlib.paper.map_quality.patients import multiplicity
from cpmlib.statistics.correlation import correlation_matrix
from cpmlib.statistics.held_out import compare_errors, held_out_errors
from cpmlib.statistics.influence import cooks_distance
from cpmlib.statistics.meng import compare_strength, fisher_z_difference
from cpmlib.statistics.mixed_model import mixed_model_effect
from cpmlib.statistics.power import _share_significant, power_of_comparison
from cpmlib.statistics.prediction_error import error_split
from cpmlib.statistics.results import one_row
from studies import ROOT

REFERENCE = json.loads((ROOT / "tests" / "reference" / "map_quality.json").read_text())
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=20)
@given(seeds, st.floats(-50, 50))
def test_an_error_is_its_parts(seed, bias):
    predicted, observed = np.random.default_rng(seed).normal(size=(2, 20))
    observed = observed + 0.5 * predicted + bias
    row = error_split(predicted, observed).iloc[0]
    assert row["estimate"] ** 2 == pytest.approx(mean_squared_error(observed, predicted))
    assert row["estimate"] ** 2 == pytest.approx(row["bias"] ** 2 + row["scatter"] ** 2)
    assert row["skill"] == pytest.approx(r2_score(observed, predicted))
    fit = LinearRegression().fit(predicted[:, None], observed)
    best = mean_squared_error(observed, fit.predict(predicted[:, None]))
    assert row["line_error"] ** 2 == pytest.approx(best)
    assert row["line_error"] <= min(row["scatter"], row["constant"]) * (1 + 1e-9)


def test_a_perfect_and_a_constant_prediction():
    y = np.array([1.0, 2, 4])
    perfect, constant = error_split(y, y).iloc[0], error_split(np.full(3, y.mean()), y).iloc[0]
    assert (perfect["skill"], perfect["bias"]) == (1, 0)
    assert constant["skill"] == pytest.approx(0)
    assert "not estimable" in error_split([1.0], [1.0])["note"].item()


def test_a_shifted_prediction_has_no_line_error():
    """Its R2 can be a rounding error above 1; the root of what is left is 0, not missing."""
    y = np.random.default_rng(26).uniform(1000, 6000, 30).round(-1)
    row = error_split(y + 800, y).iloc[0]
    assert (row["line_error"], row["bias"]) == pytest.approx((0, -800), abs=1e-3)


@settings(max_examples=10)
@given(seeds)
def test_held_out_errors_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    patient = rng.permutation(np.repeat(np.arange(8), 3))
    x, y = rng.normal(size=(24, 2)), rng.normal(size=24)
    theirs = cross_val_predict(
        LinearRegression(), x, y, groups=patient, cv=LeaveOneGroupOut(), method="predict"
    )
    ours = held_out_errors(np.column_stack([np.ones(24), x]), y, patient)
    np.testing.assert_allclose(ours, y - theirs, atol=1e-9)


def test_errors_are_compared_by_patient():
    rng = np.random.default_rng(5)
    patient = np.repeat(np.arange(60), 3)
    first = rng.normal(size=180)
    row = compare_errors(first, 2 * first, patient, rng=rng).iloc[0]
    assert row["rmse_second"] == pytest.approx(2 * row["rmse_first"])
    assert row["ci_low"] < row["estimate"] < row["ci_high"] < 0
    few = compare_errors(first[:6], first[:6], patient[:6], rng=rng)
    assert "fewer than 3 patients" in few["note"].item()


def test_cooks_distances_are_those_of_r():
    data = REFERENCE["cook"]
    np.testing.assert_allclose(cooks_distance(data["x"], data["y"]), data["distance"], rtol=1e-9)
    assert np.isnan(cooks_distance([1.0, 1, 1], [1.0, 2, 3])).all()


def test_an_interaction_is_tested_as_by_lmertest():
    data = REFERENCE["interaction"]
    age, boy = np.array(data["age"], float), np.array(data["boy"], float)
    design = np.column_stack([np.ones_like(age), age, boy, age * boy])
    row = mixed_model_effect(design, data["distance"], data["subject"], 3, "interaction").iloc[0]
    # lmerTest's derivatives are numerical
    for ours, theirs in (("estimate", "estimate"), ("se", "se"), ("df", "df"), ("p", "p")):
        assert row[ours] == pytest.approx(data[theirs], rel=1e-5), ours


def test_adjusted_p_values_are_those_of_r():
    data = REFERENCE["adjusted"]
    at = {"subset": "whole", "predictor": "cpm"}
    rows = [one_row("slope", 1.0, p=p, n=9).assign(**at) for p in data["p"]]
    found = multiplicity({"part": pd.concat(rows)})
    np.testing.assert_allclose(found["holm"], data["holm"], rtol=1e-12)
    np.testing.assert_allclose(found["bh"], data["bh"], rtol=1e-12)
    assert multiplicity({"part": rows[0].assign(p=np.nan)}).empty


@settings(max_examples=20)
@given(seeds)
@example(5441)  # the few patients drawn put both predictors in one order
def test_simulated_studies_are_tested_as_real_ones(seed):
    """One study each time, drawn with the same numbers, and tested sample by sample."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(9), rng.integers(1, 4, 9))
    variables = rng.normal(size=(3, len(group)))
    variables[1] += variables[0] * rng.choice([0.3, 3])
    share = _share_significant(variables, group, 12, 1, np.random.default_rng(seed))
    times = np.random.default_rng(seed).multinomial(12, np.full(9, 1 / 9), size=1)[0]
    drawn = np.repeat(np.arange(len(group)), times[group])
    p = compare_strength(*variables[:, drawn])["p"].item()
    assert share == (p < 0.05)


def test_power_rises_with_patients_and_a_right_test_keeps_its_size():
    rng = np.random.default_rng(3)
    y, noise, other = rng.normal(size=(3, 80))
    found = power_of_comparison(
        y, y + noise, other, np.arange(80), n_simulations=800, most_patients=80, rng=rng
    )
    assert found["power"].iloc[0] > 0.8
    weak = power_of_comparison(
        y,
        y + 1.5 * noise,
        y + 2 * other,
        np.arange(80),
        n_simulations=800,
        most_patients=400,
        rng=rng,
    )
    assert (weak["power"] < 0.8).all()
    assert weak["n_patients"].tolist() == [80, 160, 320]
    # One sample a patient, about equally strong predictors: .05, with a standard error of .008
    assert weak["size"].between(0.02, 0.08).all()


def draw(rng, shape, icc, first, second):
    """Outcome and two predictors, (..., patients, samples), of a known normal model."""
    level, own = rng.normal(size=(3, *shape[:-1], 1)), rng.normal(size=(3, *shape))
    y, *noise = np.sqrt(icc) * level + np.sqrt(1 - icc) * own
    return y, *(r * y + np.sqrt(1 - r**2) * e for r, e in zip((first, second), noise, strict=True))


def fresh_size(icc, r, samples):
    """Size of Meng's test in 4000 studies of 60 samples, each drawn anew (standard error .005)."""
    drawn = draw(np.random.default_rng(6), (4000, 60 // samples, samples), icc, r, r)
    ranks = np.stack([stats.rankdata(v.reshape(4000, 60), axis=1) for v in drawn], axis=1)
    found = correlation_matrix(ranks)
    difference, error = fisher_z_difference(found[:, 0, 1], found[:, 0, 2], found[:, 1, 2], 60)
    return np.mean(np.abs(difference / error) > 1.96)


@pytest.mark.parametrize(
    ("icc", "first", "second", "samples"),
    [(0, 0.5, 0.5, 1), (0, 0.7, 0.2, 1), (0, 0.7, 0.2, 3), (0.6, 0.5, 0.5, 3), (0.6, 0.7, 0.2, 3)],
)
def test_the_size_is_that_in_studies_drawn_anew(icc, first, second, samples):
    """Mean over 60 cohorts: right where the test is, and above .05 where patients mislead it."""
    rng, sizes = np.random.default_rng(7), []
    for _ in range(60):
        cohort = (v.ravel() for v in draw(rng, (60 // samples, samples), icc, first, second))
        patient = np.repeat(np.arange(60 // samples), samples)
        found = power_of_comparison(
            *cohort, patient, n_simulations=100, most_patients=60 // samples, rng=rng
        )
        sizes.append(found["size"].iloc[0])
    fresh = fresh_size(icc, (first + second) / 2, samples)
    assert (fresh > 0.1) == (icc > 0)
    # Standard errors of the mean are .004 to .008; few clustered patients give .02 too little
    assert np.mean(sizes) == pytest.approx(fresh, abs=0.02 if icc == 0 else 0.04)


@pytest.mark.slow
def test_a_test_by_sample_is_misled_by_patients_and_one_by_patient_is_not():
    """No association, but clustered: share of p < .05 in 400 cohorts (standard error .011)."""
    rng = np.random.default_rng(8)
    by_sample = by_patient = 0
    for _ in range(400):
        patient = np.repeat(np.arange(13), rng.integers(1, 5, 13))
        x, y = 2 * rng.normal(size=(2, 13))[:, patient] + rng.normal(size=(2, len(patient)))
        by_sample += stats.spearmanr(x, y).pvalue < 0.05
        design = np.column_stack([np.ones(len(x)), x])
        by_patient += mixed_model_effect(design, y, patient, 1, "slope")["p"].item() < 0.05
    # With so few patients Satterthwaite's test has a size of about .06 (three standard errors more)
    assert by_patient / 400 < 0.1
    assert by_sample > 2 * by_patient
