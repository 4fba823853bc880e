"""Lines and correlations against R's lm and cor.test (reference/group_tests.R), scikit-learn."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import root_mean_squared_error

from cpmlib.statistics.correlation import (
    EXACT_UP_TO,
    correlate,
    correlation_matrix,
    linear_fit,
    root_mean_square_error,
    slope_and_r2,
)
from studies import ROOT

REFERENCE = json.loads((ROOT / "tests" / "reference" / "group_tests.json").read_text())
CASES = REFERENCE["correlations"]
ROUNDING = 1e-9  # the same formula summed in another order, small p values included


def name(case: dict) -> str:
    return case["name"]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_line_is_that_of_lm(case: dict) -> None:
    row = linear_fit(case["x"], case["y"]).iloc[0]
    assert row["estimate"] == pytest.approx(case["slope"], rel=ROUNDING)
    assert row["intercept"] == pytest.approx(case["intercept"], rel=ROUNDING)
    assert row["se"] == pytest.approx(case["se"], rel=ROUNDING)
    assert row["p"] == pytest.approx(case["slope_p"], rel=ROUNDING)
    assert row["r2"] == pytest.approx(case["r2"], rel=ROUNDING)
    assert row["df"] == len(case["x"]) - 2
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(case["slope_interval"], rel=ROUNDING)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_correlations_are_those_of_cor_test(case: dict) -> None:
    pearson = correlate(case["x"], case["y"], method="pearson").iloc[0]
    assert pearson["estimate"] == pytest.approx(case["pearson"], rel=ROUNDING)
    assert pearson["p"] == pytest.approx(case["pearson_p"], rel=1e-7)  # beta against t tail
    interval = [pearson["ci_low"], pearson["ci_high"]]
    # pingouin rounds r and the bounds to twelve decimals.
    assert interval == pytest.approx(case["pearson_interval"], abs=1e-9)
    spearman = correlate(case["x"], case["y"]).iloc[0]
    assert spearman["estimate"] == pytest.approx(case["spearman"], rel=ROUNDING)
    if len(case["x"]) > EXACT_UP_TO:  # R's p is that of the t approximation
        assert spearman["p"] == pytest.approx(case["spearman_p"], rel=1e-7)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 6), digits=st.integers(0, 2))
def test_p_of_few_samples_is_that_of_scipys_permutation_test(
    seed: int, n: int, digits: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n).round(digits), rng.normal(size=n).round(digits)
    x[0], y[0] = 5, -5  # not all equal
    expected = stats.permutation_test(
        (y,),
        lambda v: stats.spearmanr(x, v).statistic,
        permutation_type="pairings",
        vectorized=False,
    )
    # SciPy doubles the smaller tail, which for uneven tails is more than both tails together.
    null = expected.null_distribution
    both = (np.abs(null) >= abs(expected.statistic) - 1e-12).mean()
    assert correlate(x, y)["p"].item() == pytest.approx(both, abs=1e-12)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([1, 3, 2, 4, 5, 6, 7, 8], 0.0003968253968254),  # R 4.2: cor.test(exact = TRUE)
        ([2, 1, 4, 3, 6, 5, 8, 7, 9], 0.0007495590828924162),  # the same
        ([3, 1, 2, 5, 4, 8, 9, 7, 6], 0.01722332451499118),  # the same
    ],
)
def test_p_without_ties_is_that_of_r(y: list[int], p: float) -> None:
    assert correlate(range(len(y)), y)["p"].item() == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("n", [8, 9])
def test_p_with_ties_is_that_of_all_orders(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.integers(5, size=n).astype(float), rng.integers(4, size=n).astype(float)
    a, b = stats.rankdata(x), stats.rankdata(y)
    orders = np.array(list(itertools.permutations(b - b.mean())))
    products = orders @ (a - a.mean())
    expected = (np.abs(products) >= abs((a - a.mean()) @ (b - b.mean())) - 1e-9).mean()
    assert correlate(x, y)["p"].item() == pytest.approx(expected, rel=1e-12)


def test_p_of_twelve_samples_agrees_with_orders_drawn_at_random() -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=12)
    y = (x + rng.normal(size=12)).round(1)
    rho = stats.spearmanr(x, y).statistic
    a, b = (stats.rankdata(v) - 6.5 for v in (x, y))
    drawn = rng.permuted(np.tile(b, (200_000, 1)), axis=1) @ a
    share = (np.abs(drawn) >= abs(a @ b) - 1e-9).mean()
    found = correlate(x, y).iloc[0]
    assert found["estimate"] == pytest.approx(rho)
    # Four standard errors of a share of 200,000 draws.
    assert found["p"] == pytest.approx(share, abs=4 * np.sqrt(share / 200_000))


def test_three_samples_in_the_same_order_prove_nothing() -> None:
    row = correlate([1215.0, 1402.0, 1330.0], [2190.0, 3310.0, 2950.0]).iloc[0]
    assert row["estimate"] == 1
    assert row["p"] == pytest.approx(1 / 3)  # R: cor.test(exact = TRUE)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), digits=st.integers(0, 4))
def test_spearman_sees_ranks_only(seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=12).round(digits), rng.normal(size=12).round(digits)
    x[0], y[0] = 5, -5  # not all equal
    one, other = correlate(x, y).iloc[0], correlate(np.exp(x), -(y**3)).iloc[0]
    assert other["estimate"] == pytest.approx(-one["estimate"], abs=1e-12)  # the same sums


@pytest.mark.parametrize("function", [linear_fit, correlate])
@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1.0, 2], [2.0, 1], "fewer than 3 samples (2)"),
        ([], [], "fewer than 3 samples (0)"),
        ([1.0, 2, np.nan], [np.nan, 1, 2], "fewer than 3 samples (1)"),
        ([1.0, 1, 1, 1], [1.0, 2, 3, 4], "all values are equal"),
        ([1.0, 2, 3, 4], [2.0, 2, 2, 2], "all values are equal"),
    ],
)
def test_rows_that_are_not_estimable(function, x: list, y: list, reason: str) -> None:
    row = function(x, y).iloc[0]
    assert np.isnan(row[["estimate", "p", "ci_low", "ci_high"]].astype(float)).all()
    assert row["note"] == f"not estimable: {reason}"


@pytest.mark.parametrize("function", [linear_fit, correlate])
def test_pairs_with_nan_are_left_out(function) -> None:
    x, y = CASES[0]["x"], CASES[0]["y"]
    pd.testing.assert_frame_equal(function([*x, np.nan, 1.0], [*y, 2.0, np.nan]), function(x, y))


@pytest.mark.parametrize("function", [linear_fit, correlate])
def test_lengths_must_agree(function) -> None:
    with pytest.raises(ValueError, match="lengths differ"):
        function([1.0, 2, 3], [1.0, 2])


def test_rejects_unknown_method() -> None:
    with pytest.raises(ValueError, match="kendall"):
        correlate([1.0, 2, 3], [1.0, 3, 2], method="kendall")


@pytest.mark.parametrize("method", ["spearman", "pearson"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n", [3, 4, 7, 12, 33])
def test_perfect_correlation_is_exact_and_has_no_interval(method: str, sign: int, n: int) -> None:
    x = np.random.default_rng(n).normal(size=n)
    row = correlate(x, sign * (2 * x + 1), method=method).iloc[0]
    assert row["estimate"] == sign
    if method == "spearman" and n <= EXACT_UP_TO:
        assert row["p"] == pytest.approx(2 / math.factorial(n))  # this order and its reverse
    else:  # a p of rounding errors, or of 0; three samples have one degree of freedom
        assert row["p"] < 1e-6
    assert np.isnan(row["ci_low"])
    assert np.isnan(row["ci_high"])


def test_interval_needs_four_samples() -> None:
    assert np.isnan(correlate([1.0, 2, 3], [1.0, 3, 2])["ci_low"].item())
    assert np.isfinite(correlate([1.0, 2, 3, 4], [1.0, 3, 2, 5])["ci_low"].item())


def test_rmse_is_that_of_scikit_learn() -> None:
    for number, case in enumerate(CASES):
        rng = np.random.default_rng(number)
        row = root_mean_square_error(case["x"], case["y"], rng=rng).iloc[0]
        theirs = root_mean_squared_error(case["y"], case["x"])
        assert row["estimate"] == pytest.approx(theirs, rel=1e-12)  # the same sum
        assert row["bias"] == pytest.approx(np.mean(case["y"]) - np.mean(case["x"]))
        assert row["ci_low"] < row["estimate"] < row["ci_high"]


def test_rmse_interval_is_reproducible_and_covers() -> None:
    rows = [
        root_mean_square_error(CASES[1]["x"], CASES[1]["y"], rng=np.random.default_rng(5))
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*rows)
    rng = np.random.default_rng(6)
    inside = 0
    for _ in range(200):
        error = rng.normal(size=60)
        row = root_mean_square_error(np.zeros(60), error, rng=rng).iloc[0]
        inside += row["ci_low"] <= 1 <= row["ci_high"]
    # Percentile intervals of 60 samples cover a little less than 95 %; three standard errors.
    assert 0.86 < inside / 200 <= 1


def test_rmse_rows_that_are_not_estimable() -> None:
    rng = np.random.default_rng(0)
    row = root_mean_square_error([1.0, 2, np.nan], [1.0, 2, 3], rng=rng).iloc[0]
    assert row["note"] == "not estimable: fewer than 3 samples (2)"
    assert np.isnan(row["estimate"])
    constant = root_mean_square_error([1.0] * 4, [3.0] * 4, rng=rng).iloc[0]
    assert (constant["estimate"], constant["ci_low"], constant["ci_high"]) == (2, 2, 2)
    with pytest.raises(ValueError, match="lengths differ"):
        root_mean_square_error([1.0, 2], [1.0], rng=rng)


def test_stacks_are_taken_one_by_one() -> None:
    values = np.random.default_rng(4).normal(1300, 300, (5, 3, 20))
    slopes, r2 = slope_and_r2(values[:, 0], values[:, 2])
    for k, matrix in enumerate(correlation_matrix(values)):
        assert matrix == pytest.approx(np.corrcoef(values[k]), rel=ROUNDING)
        fit = stats.linregress(values[k, 0], values[k, 2])
        assert (slopes[k], r2[k]) == pytest.approx((fit.slope, fit.rvalue**2), rel=ROUNDING)
