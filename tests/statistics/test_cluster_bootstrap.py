"""Resampled patients, against SciPy, the functions for one data set, and simulated cohorts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.statistics.cluster_bootstrap import (
    bca_interval,
    percentile_interval,
    resampled_patients,
)
from cpmlib.statistics.correlation import correlate, linear_fit
from cpmlib.statistics.resampled_lines import STATISTICS, associations
from cpmlib.statistics.rout import outliers_of_lines, rout_line

seeds = st.integers(0, 2**32 - 1)


def cohort(
    rng: np.random.Generator, patients: int, slope: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of patients, one to four of each, whose outcome has an ICC of about one half."""
    patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    x, y = rng.normal(size=(2, patients))[:, patient] + rng.normal(size=(2, len(patient)))
    return x, slope * x + y, patient


def test_bca_of_independent_samples_is_scipys():
    """On the same resamples: the two differ in nothing else."""
    x = np.random.default_rng(4).gamma(2.0, size=30)
    theirs = stats.bootstrap((x,), np.std, n_resamples=2000, method="BCa", rng=1)
    left_out = np.array([np.delete(x, i).std() for i in range(30)])
    low, high = bca_interval(theirs.bootstrap_distribution, x.std(), left_out)
    assert low == pytest.approx(theirs.confidence_interval.low, rel=1e-12)
    assert high == pytest.approx(theirs.confidence_interval.high, rel=1e-12)
    simple = stats.bootstrap(
        (x,), np.std, bootstrap_result=theirs, n_resamples=0, method="percentile"
    ).confidence_interval
    assert percentile_interval(theirs.bootstrap_distribution) == pytest.approx(tuple(simple))


@settings(max_examples=20)
@given(seeds)
def test_a_patient_comes_with_all_samples_as_often_as_drawn(seed):
    rng = np.random.default_rng(seed)
    patient = rng.permutation(np.repeat(np.arange(6), rng.integers(1, 5, 6)))
    size = np.bincount(patient)
    seen = []
    for where, index in resampled_patients(patient, 40, rng):
        seen += where.tolist()
        for one in index:
            times = np.bincount(one, minlength=len(patient))
            each = [np.unique(times[patient == who]) for who in range(6)]
            assert all(len(counts) == 1 for counts in each)
            assert sum(counts[0] for counts in each) == 6
            assert len(one) == sum(n * c[0] for n, c in zip(size, each, strict=True))
    assert sorted(seen) == list(range(40))


def test_every_patient_is_equally_likely():
    patient = np.repeat(np.arange(5), [1, 2, 3, 4, 5])
    times = np.zeros(15)
    for _, index in resampled_patients(patient, 8000, np.random.default_rng(0)):
        times += np.bincount(index.ravel(), minlength=15)
    # 40,000 draws among five: a standard deviation of 80
    np.testing.assert_allclose(times, 8000, atol=400)


@settings(max_examples=12)
@given(seeds, st.booleans(), st.sampled_from([0.0, 0.01, 0.05]))
def test_stacks_give_what_single_data_sets_give(seed, excludes, q):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 4, 25))
    x = x.round(1)  # with ties
    y[:, :2] += rng.choice([0, 8, 30], size=(4, 2))
    found = associations(x, y, q=q, rho_excludes=excludes, rmse_excludes=excludes)
    for i in range(4):
        kept = ~rout_line(x[i], y[i], q).outlier
        np.testing.assert_array_equal(found["n"][i], kept.sum())
        used = kept if excludes else np.ones(25, dtype=bool)
        line = linear_fit(x[i][kept], y[i][kept]).iloc[0]
        rho = correlate(x[i][used], y[i][used])["estimate"].item()
        rmse = np.sqrt(((y[i] - x[i])[used] ** 2).mean())
        expected = dict(zip(STATISTICS, (line["estimate"], line["r2"], rho, rmse), strict=True))
        for name, value in expected.items():
            assert found[name][i] == pytest.approx(value, abs=1e-10), name


def test_outliers_of_many_lines_are_those_of_each():
    rng = np.random.default_rng(7)
    x, y, patient = cohort(rng, 13)
    y[:3] += 9
    some = 0
    for _, index in resampled_patients(patient, 80, rng):
        many = outliers_of_lines(x[index], y[index], 0.01)
        for one, ours in zip(index, many, strict=True):
            np.testing.assert_array_equal(ours, rout_line(x[one], y[one]).outlier)
            some += ours.any()
    assert some > 25


def test_resamples_without_a_line_have_no_statistic_and_no_interval():
    x, y = np.array([1.0, 1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
    found = associations(x[[[0, 1, 2], [1, 2, 3]]], y[[[0, 1, 2], [1, 2, 3]]], q=0.01)
    assert np.isnan(found["slope"]).tolist() == [True, False]
    assert np.isnan(found["rho"]).tolist() == [True, False]
    assert np.isnan(percentile_interval(np.array([1.0, np.nan]))).all()
    assert np.isnan(bca_interval(np.ones(10), 2.0, np.arange(3.0))).all()


@pytest.mark.slow
def test_intervals_over_patients_cover_the_true_slope_and_those_over_samples_do_not():
    """Nominal 95 %: 100 cohorts of 27 patients have a standard error of 2.2 points."""
    rng = np.random.default_rng(11)
    covered = {"patients": 0, "bca": 0, "samples": 0}
    cohorts = 100
    for _ in range(cohorts):
        x, y, patient = cohort(rng, 27)

        def slope(index, x=x, y=y):
            return associations(x[index], y[index], q=0)["slope"]

        ends = {}
        for name, cluster in (("patients", patient), ("samples", np.arange(len(x)))):
            drawn = np.empty(400)
            for where, index in resampled_patients(cluster, 400, rng):
                drawn[where] = slope(index)
            ends[name] = percentile_interval(drawn)
            if name == "patients":
                without = [slope(np.flatnonzero(patient != who)) for who in range(27)]
                ends["bca"] = bca_interval(
                    drawn, float(slope(np.arange(len(x)))), np.array(without)
                )
        for name, (low, high) in ends.items():
            covered[name] += low < 0.5 < high
    share = {name: count / cohorts for name, count in covered.items()}
    # Bootstrap intervals of few clusters are known to be a little short
    assert 0.86 < share["patients"] < 1, share
    assert 0.86 < share["bca"] < 1, share
    assert share["samples"] < share["patients"], share
