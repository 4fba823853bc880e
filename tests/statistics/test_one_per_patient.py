"""One sample per patient against draws and enumerations done one by one with scipy."""

from __future__ import annotations

import itertools
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.statistics import one_per_patient
from cpmlib.statistics.one_per_patient import enumerate_all, exact_mean, monte_carlo
from studies import ROOT

COHORT = pd.read_csv(ROOT / "tests" / "reference" / "example_cohort" / "samples.csv")
ROUNDING = 1e-12  # rho of a few dozen ranks, summed in another order


def naive_rho(x: np.ndarray, y: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.spearmanr(x, y).statistic)


def naive_enumeration(x: np.ndarray, y: np.ndarray, patient: np.ndarray) -> np.ndarray:
    samples = [np.flatnonzero(patient == p) for p in pd.unique(patient)]
    draws = (list(draw) for draw in itertools.product(*samples))
    return np.array([naive_rho(x[draw], y[draw]) for draw in draws])


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A small table, its values from so few numbers that ties are common."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=3, max_size=5))
    patient = np.repeat(np.arange(len(sizes)), sizes)
    values = st.integers(0, draw(st.sampled_from([2, 4, 50])))
    column = st.lists(values, min_size=len(patient), max_size=len(patient))
    x, y = (np.array(draw(column), dtype=float) for _ in range(2))
    order = np.array(draw(st.permutations(range(len(patient)))))
    return x[order], y[order], patient[order]


@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_enumeration_is_the_naive_one(table: tuple) -> None:
    ours = enumerate_all(*table)
    assert ours is not None
    np.testing.assert_allclose(ours, naive_enumeration(*table), atol=ROUNDING)


@settings(max_examples=200, deadline=None)
@given(table=tables())
def test_exact_mean_is_the_mean_of_the_enumeration(table: tuple) -> None:
    every, mean = enumerate_all(*table), exact_mean(*table)
    assert every is not None
    if np.isnan(every).any():
        assert mean is None
    else:
        assert mean == pytest.approx(every.mean(), abs=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_exact_mean_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(7), [1, 2, 3, 1, 4, 2, 3])
    x, y = rng.normal(size=(2, 16))
    mean = naive_enumeration(x, y, patient).mean()
    assert exact_mean(x, y, patient) == pytest.approx(mean, abs=ROUNDING)


def test_ties_within_a_patient_are_no_ties() -> None:
    """Samples of one patient are never drawn together."""
    patient = np.array([0, 0, 1, 1, 2, 2, 3])
    x = np.array([1.0, 1, 2, 2, 3, 3, 4])
    y = np.array([5.0, 1, 3, 2, 4, 4, 0])
    mean = naive_enumeration(x, y, patient).mean()
    assert exact_mean(x, y, patient, limit=1) == pytest.approx(mean, abs=ROUNDING)


def test_too_many_choices_among_ties_give_none() -> None:
    patient = np.repeat(np.arange(6), 3)
    x = np.tile([1.0, 2, 3], 6)
    y = np.arange(18.0)
    assert exact_mean(x, y, patient, limit=728) is None
    assert exact_mean(x, y, patient, limit=729) is None  # some draws of x are all equal


@pytest.mark.parametrize("predictor", ["CPM", "ADC"])
@pytest.mark.parametrize("treatment", ["TN", "R"])
def test_cohort_means_agree_with_naive_draws(predictor: str, treatment: str) -> None:
    part = COHORT[COHORT["treatment"] == treatment]
    x, y, patient = (part[column].to_numpy() for column in (predictor, "HE", "patient"))
    rng = np.random.default_rng(8)
    samples = [np.flatnonzero(patient == p) for p in pd.unique(patient)]
    draws = np.array([[rng.choice(s) for s in samples] for _ in range(600)])
    naive = np.array([naive_rho(x[draw], y[draw]) for draw in draws])
    ours = monte_carlo(x, y, patient, n_draws=20_000, rng=rng)
    mean = exact_mean(x, y, patient)
    assert mean is not None
    # Four standard errors of each mean.
    assert naive.mean() == pytest.approx(mean, abs=4 * naive.std() / np.sqrt(len(naive)))
    assert ours.mean() == pytest.approx(mean, abs=4 * ours.std() / np.sqrt(len(ours)))
    # A standard deviation of 600 draws has a standard error of 3 %; four of them.
    assert ours.std() == pytest.approx(naive.std(), rel=0.12)


def test_every_draw_is_one_of_the_enumeration_and_each_as_likely() -> None:
    patient = np.array([0, 0, 1, 1, 1, 2, 3])
    x, y = np.random.default_rng(1).normal(size=(2, 7))
    every = enumerate_all(x, y, patient)
    assert every is not None
    assert len(every) == 6
    drawn = monte_carlo(x, y, patient, n_draws=30_000, rng=np.random.default_rng(2))
    values, expected = np.unique(every.round(9), return_counts=True)
    found, counts = np.unique(drawn.round(9), return_counts=True)
    np.testing.assert_array_equal(found, values)
    # Four standard errors of a count.
    assert (np.abs(counts - 5000 * expected) < 4 * np.sqrt(5000 * expected)).all()


def test_constant_draws_are_nan() -> None:
    patient = np.array([0, 0, 1, 2])
    x, y = np.array([1.0, 2, 1, 1]), np.array([1.0, 5, 2, 3])
    every = enumerate_all(x, y, patient)
    assert every is not None
    assert np.isnan(every).tolist() == [True, False]
    drawn = monte_carlo(x, y, patient, n_draws=200, rng=np.random.default_rng(0))
    assert 0 < np.isnan(drawn).sum() < 200
    assert exact_mean(x, y, patient) is None


def test_patients_with_one_sample_each_give_one_rho() -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 9))
    rho = naive_rho(x, y)
    assert exact_mean(x, y, np.arange(9)) == pytest.approx(rho, abs=ROUNDING)
    np.testing.assert_allclose(enumerate_all(x, y, np.arange(9)), [rho], atol=ROUNDING)


def test_chunks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 12))
    patient = np.repeat(np.arange(5), [2, 3, 2, 3, 2])
    whole = enumerate_all(x, y, patient)
    drawn = monte_carlo(x, y, patient, n_draws=100, rng=np.random.default_rng(1))
    monkeypatch.setattr(one_per_patient, "CHUNK", 7)
    np.testing.assert_array_equal(enumerate_all(x, y, patient), whole)
    in_chunks = monte_carlo(x, y, patient, n_draws=100, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(in_chunks, drawn)


def test_the_same_seed_gives_the_same_draws() -> None:
    x, y, patient = (COHORT[column] for column in ("CPM", "HE", "patient"))
    one, same, other = (
        monte_carlo(x, y, patient, n_draws=50, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_names_and_order_of_patients_do_not_change_the_mean() -> None:
    x, y, patient = (COHORT[column].to_numpy() for column in ("CPM", "HE", "patient"))
    order = np.random.default_rng(4).permutation(len(x))
    renamed = np.array([f"sub-{name[::-1]}" for name in patient])
    before, after = exact_mean(x, y, patient), exact_mean(x[order], y[order], renamed[order])
    assert after == pytest.approx(before, abs=ROUNDING)


def test_a_million_draws_take_little_memory() -> None:
    part = COHORT[COHORT["treatment"] == "R"]
    x, y, patient = (part[column].to_numpy() for column in ("CPM", "HE", "patient"))
    tracemalloc.start()
    try:
        result = monte_carlo(x, y, patient, n_draws=1_000_000, rng=np.random.default_rng(0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(result) == 1_000_000
    # A chunk of 8192 draws of some 30 samples in a few arrays of doubles: 2 MB each.
    assert peak - result.nbytes < 20e6


def test_enumeration_has_a_limit() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 12))
    patient = np.repeat(np.arange(4), 3)
    assert enumerate_all(x, y, patient, limit=80) is None
    assert len(enumerate_all(x, y, patient, limit=81)) == 81
    many = np.random.default_rng(0).normal(size=(2, 400))
    assert enumerate_all(*many, np.repeat(np.arange(100), 4)) is None  # 4^100 overflows no integer


@pytest.mark.parametrize("function", [enumerate_all, exact_mean, monte_carlo])
@pytest.mark.parametrize(
    ("x", "y", "patient", "message"),
    [
        ([1.0, 2, 3], [1.0, 2], [0, 1, 2], "lengths differ"),
        ([1.0, 2, 3], [1.0, 2, 3], [0, 1], "lengths differ"),
        ([1.0, 2, np.nan], [1.0, 2, 3], [0, 1, 2], "NaN or infinity"),
        ([1.0, 2, 3], [1.0, np.inf, 3], [0, 1, 2], "NaN or infinity"),
        ([1.0, 2, 3], [1.0, 2, 3], [0, 1, 1], "fewer than 3 patients"),
        ([], [], [], "fewer than 3 patients"),
    ],
)
def test_says_what_is_wrong(function, x: list, y: list, patient: list, message: str) -> None:
    options = {"rng": np.random.default_rng(0)} if function is monte_carlo else {}
    with pytest.raises(ValueError, match=message):
        function(x, y, patient, **options)
