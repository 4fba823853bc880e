"""Right answers of the exercises on statistics, by other packages or by counting."""

from __future__ import annotations

import warnings
from itertools import combinations

import jupytext
import numpy as np
import pandas as pd
import pingouin
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score

from cpmlib.book.exercises import EXERCISES, check, read_exercises
from studies import ROOT


@pytest.fixture(autouse=True)
def in_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_icc_is_pingouins():
    table = pd.DataFrame(
        {"who": list("aabbcc"), "which": [1, 2] * 3, "cells": [10, 16, 20, 26, 30, 36]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other kinds of ICC
        found = pingouin.intraclass_corr(table, targets="who", raters="which", ratings="cells")
    check("patients-1", found["ICC"].iloc[0])


def test_the_effective_number_is_that_of_the_variance_of_a_mean():
    """Of the covariance matrix of all samples, without the formula of the design effect."""
    patient = np.repeat(np.arange(27), np.repeat([1, 2, 3, 4], [7, 6, 9, 5]))
    covariance = 0.5 * (patient[:, None] == patient) + 0.5 * np.eye(len(patient))
    check("patients-2", 1 / covariance.mean())


def test_false_alarms_are_those_of_another_simulation():
    rng = np.random.default_rng(5)
    block = np.kron(np.eye(20), 0.8 * np.ones((4, 4))) + 0.2 * np.eye(80)
    root = np.linalg.cholesky(block)
    # 20,000 studies: standard error .003, a tenth of the tolerance
    x, y = (rng.normal(size=(20_000, 80)) @ root.T for _ in "xy")
    check("patients-3", np.mean(stats.pearsonr(x, y, axis=1).pvalue < 0.05))


def test_the_mean_over_draws_is_scipys():
    rhos = [stats.spearmanr([1, 2, 3, m], [1, 2, 3, c]).statistic for m, c in ((4, 4), (0, 5))]
    check("patients-4", np.mean(rhos))


def test_the_mixed_model_is_that_of_statsmodels():
    design = sm.add_constant(np.array([1.0, 2, 3, 3, 4, 5, 5, 6, 7]))
    cells = np.array([9.0, 11, 12, 7, 8, 10, 4, 6, 7])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimiser, whose result is what is compared
        fit = sm.MixedLM(cells, design, groups=np.array(list("aaabbbccc"))).fit(reml=True)
    check("patients-5", fit.fe_params[1])


def test_a_line_is_numpys():
    check("error-4", np.polyval(np.polyfit([1000, 1200, 1600], [1000, 2000, 4000], 1), 1400))


def test_a_leak_is_counted():
    """Of the 59 other samples 19 are in the test; two are the patient's."""
    check("domain-2", 1 - stats.hypergeom(59, 2, 19).pmf(2))
    # The same rule where all tests can be gone through: 6 samples, 3 of each patient, 3 in the test
    held = [set(test) for test in combinations(range(6), 3) if 0 in test]
    assert held.count({0, 1, 2}) / len(held) == pytest.approx(stats.hypergeom(5, 2, 2).pmf(2))


def test_the_skill_in_other_tissue_is_the_r2_score():
    """Of a forest grown anew, on the lesson's made-up tissue drawn by its own recipe."""
    names = {}
    cells = jupytext.read(ROOT / "notebooks" / "27_learn_domain.md").cells
    recipe = next(c.source for c in cells if "def tissue" in c.source)
    exec(recipe[recipe.index("def tissue") : recipe.index("with figure_style")], {"np": np}, names)
    features, density, patient = names["untreated"]
    known = patient < 20
    forest = RandomForestRegressor(50, random_state=0).fit(features[known], density[known])
    there, counted, _ = names["recurrent"]
    check("domain-4", r2_score(counted, forest.predict(there)))


def test_p_of_a_correlation_is_that_of_its_exact_distribution():
    """Without association r, scaled to 0..1, has a beta distribution."""
    n = np.arange(10, 61)
    p = 2 * stats.beta.sf((1 + 0.41) / 2, n / 2 - 1, n / 2 - 1)
    check("claims-2", n[np.argmin(np.abs(p - 0.016))])


def test_the_interval_is_pingouins():
    check("claims-3", pingouin.compute_esci(stat=-0.18, nx=32, eftype="r", decimals=4)[0])


def test_the_difference_of_two_groups_is_a_normal_one():
    """Of Fisher's z as half the logarithm of a ratio."""
    one, other = (np.log((1 + r) / (1 - r)) / 2 for r in (-0.37, -0.18))
    check("claims-4", 2 * stats.norm(0, np.hypot(31**-0.5, 29**-0.5)).sf(abs(one - other)))


def test_power_is_pingouins():
    check("power-1", pingouin.power_corr(r=0.4, n=20))
    check("power-2", pingouin.power_corr(r=0.4, power=0.8))


def test_answers_are_not_so_wide_that_anything_is_right():
    listed = read_exercises(ROOT / EXERCISES)
    for name, exercise in listed.items():
        if isinstance(exercise.answer, int | float):
            assert exercise.within <= max(0.12 * abs(exercise.answer), 1e-6), name
