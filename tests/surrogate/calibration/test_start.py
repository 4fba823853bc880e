"""Outlier sets and moments: where the search begins."""

from __future__ import annotations

import numpy as np
import pytest

from cpmlib.study.options import AnalysisOptions
from cpmsurrogate.calibration.cohort import Attempt
from cpmsurrogate.calibration.moments import Moments, correlation_matrix, draw_start, fit_moments
from cpmsurrogate.calibration.outlier_sets import choose_further, drop_disagreeing, forced_by_rmse
from cpmsurrogate.calibration.rows import Frame, Quantity, Row
from cpmsurrogate.recipe import Recipe


@pytest.fixture(scope="module")
def attempt(targets, sought):
    impossible = set(targets) - set(sought)
    recipe = Recipe(further_outliers={"recurrent": 2})
    return Attempt(targets, impossible, AnalysisOptions(), recipe, np.random.default_rng(2))


def test_outliers_of_the_paper(attempt):
    named = {
        line: sorted(attempt.skeleton.case[i] or "further" for i in samples)
        for line, samples in attempt.sets.items()
    }
    assert named == {
        ("whole", "cpm"): ["fig4a"],
        ("treatment-naive", "cpm"): ["fig4a"],
        ("treatment-naive", "adc"): ["fig4a", "fig4b"],
        ("recurrent", "cpm"): ["further", "further"],
        ("recurrent", "adc"): ["further", "further"],
    }


def test_rmse_of_a_subgroup_forces_a_case_out(attempt, sought):
    found = forced_by_rmse(sought, attempt.subsets, attempt.cases)
    assert [attempt.skeleton.case[i] for i in found["whole", "cpm"]] == ["fig4a"]


def test_set_for_which_r2_and_p_disagree_is_dropped(attempt, sought):
    samples = set(np.flatnonzero(attempt.subsets["treatment-naive"])[:9].tolist())
    sets = {("treatment-naive", "cpm"): samples}
    assert drop_disagreeing(sets, sought, attempt.subsets) == {}


def test_too_many_further_outliers():
    with pytest.raises(ValueError, match="only 1 patients fit"):
        choose_further(np.ones(4, bool), np.array([0, 0, 1, 2]), [], 3, np.random.default_rng(0))


def test_moments_reproduce_what_they_were_fitted_to():
    n = 60
    naive = np.arange(n) < 30
    subsets = {"whole": np.ones(n, bool), "treatment-naive": naive, "recurrent": ~naive}
    frame = Frame(np.arange(n) // 2, subsets, {})
    wanted = {
        Quantity("mean", "whole", "he"): 2800.0,
        Quantity("mean", "treatment-naive", "cpm"): 1250.0,
        Quantity("sd", "whole", "cpm"): 310.0,
        Quantity("slope", "treatment-naive", "cpm"): 1.2,
        Quantity("r2", "treatment-naive", "cpm"): 0.2,
    }
    rows = [Row(q, v - 0.5, v + 0.5, 0.5) for q, v in wanted.items()]
    points = {0: (900.0, 1100.0, 2000.0)}
    moments = fit_moments(frame, rows, points)
    assert 30 * moments.mean("treatment-naive")[0] == pytest.approx(30 * 1250, rel=0.05)
    covariance = moments.covariance("treatment-naive")
    assert covariance[0, 2] / covariance[0, 0] == pytest.approx(1.2, abs=0.15)
    start = draw_start(frame, rows, points, moments, np.random.default_rng(0))
    assert start[:, 0].tolist() == [900.0, 1100.0, 2000.0]
    assert start[2].mean() == pytest.approx(2800, rel=0.05)


def test_impossible_correlations_are_shrunk():
    matrix = correlation_matrix(np.array([0.95, 0.95, -0.95]))
    assert np.linalg.eigvalsh(matrix)[0] > 0


def test_moments_give_mean_and_covariance():
    moments = Moments({"recurrent": np.array([1.0, 2, 3, 2, 2, 2, 0.5, 0, 0])})
    assert moments.mean("recurrent").tolist() == [1, 2, 3]
    assert moments.covariance("recurrent")[0, 2] == 2
