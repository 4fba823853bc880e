"""Mann-Whitney against R's wilcox.test (see reference/group_tests.R) and scipy."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.statistics.group_comparison import mann_whitney
from studies import ROOT

CASES = json.loads((ROOT / "tests" / "reference" / "group_tests.json").read_text())["groups"]
WITHOUT_TIES = [case for case in CASES if case["p_exact"] is not None]


def name(case: dict) -> str:
    return case["name"]


def test_the_reference_has_both_kinds() -> None:
    assert len(WITHOUT_TIES) >= 25
    assert len(CASES) - len(WITHOUT_TIES) >= 25


@pytest.mark.parametrize("case", CASES, ids=name)
def test_asymptotic_p_is_that_of_r(case: dict) -> None:
    row = mann_whitney(case["a"], case["b"], method="asymptotic").iloc[0]
    assert row["u"] == case["u"]
    # The same formula, continuity and ties corrected, to rounding errors.
    assert row["p"] == pytest.approx(case["p_asymptotic"], rel=1e-10)


@pytest.mark.parametrize("case", WITHOUT_TIES, ids=name)
def test_exact_p_and_shift_are_those_of_r(case: dict) -> None:
    row = mann_whitney(case["a"], case["b"], method="exact").iloc[0]
    # Sums of exact counts; R's JSON carries 15 digits.
    assert row["p"] == pytest.approx(case["p_exact"], rel=1e-10)
    assert row["estimate"] == pytest.approx(case["shift_exact"], abs=1e-9)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_interval_is_that_of_r_but_for_the_neighbouring_difference(case: dict) -> None:
    """Both bounds are order statistics of all differences a - b.

    Which one, we take from the normal approximation rounded outwards (Hollander, Wolfe & Chicken,
    section 4.3). R counts exactly where there are no ties, and otherwise inverts its continuity-
    and ties-corrected test numerically; all three agree but for the rounding, which is one place
    (two with many ties, whose differences coincide anyway).
    """
    row = mann_whitney(case["a"], case["b"]).iloc[0]
    differences = np.sort(np.subtract.outer(case["a"], case["b"]), axis=None)
    exact = case["interval_exact"] is not None
    theirs = case["interval_exact"] if exact else case["interval_asymptotic"]
    places = 1 if exact else 2
    # R's root finder stops at 1e-4.
    margin = 1e-9 if exact else 2e-4
    for ours, bound in zip((row["ci_low"], row["ci_high"]), theirs, strict=True):
        if np.isinf(ours):  # R gives the extreme difference, with less than 95 % coverage
            assert min(len(case["a"]), len(case["b"])) <= 3
            continue
        first = np.searchsorted(differences, bound - margin)
        last = np.searchsorted(differences, bound + margin, side="right") - 1
        low = differences[max(min(first, last) - places, 0)]
        high = differences[min(max(first, last) + places, len(differences) - 1)]
        assert low - margin <= ours <= high + margin


def test_exact_p_with_ties_is_that_of_coin() -> None:
    """R's coin::wilcox_test(distribution = "exact"), as printed in a thread of
    HypothesisTests.jl on these samples."""
    a, b = np.arange(1.0, 11), np.arange(2.0, 25, 2)
    for one, other in ((a, b), (b, a)):
        p = mann_whitney(one, other, method="exact")["p"].item()
        assert p == pytest.approx(0.01188904, abs=5e-9)  # the digits printed


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_a=st.integers(3, 5), n_b=st.integers(3, 5))
def test_exact_p_is_that_of_all_ways_to_deal_the_ranks(seed: int, n_a: int, n_b: int) -> None:
    values = np.random.default_rng(seed).integers(4, size=n_a + n_b).astype(float)
    values[0] = 9  # not all equal
    ranks = stats.rankdata(values)
    sums = np.array([sum(dealt) for dealt in itertools.combinations(ranks, n_a)])
    far = np.abs(sums - sums.mean()) >= abs(ranks[:n_a].sum() - sums.mean()) - 1e-9
    row = mann_whitney(values[:n_a], values[n_a:], method="exact").iloc[0]
    assert row["p"] == pytest.approx(far.mean(), rel=1e-12)
    assert row["note"] == ""


def test_too_many_samples_for_an_exact_p_with_ties_are_named() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=150).round(1), rng.normal(0.2, 1, size=150).round(1)
    row = mann_whitney(a, b, method="exact").iloc[0]
    assert row["p"] == stats.mannwhitneyu(a, b, method="asymptotic").pvalue
    assert row["note"].startswith("p is asymptotic")


def test_interval_covers() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(400):
        row = mann_whitney(rng.normal(1, 1, 12), rng.normal(0, 1, 9)).iloc[0]
        inside += row["ci_low"] <= 1 <= row["ci_high"]
    assert inside / 400 >= 0.917  # three standard errors below 95 %; rounding outwards may exceed


@pytest.mark.parametrize("case", CASES[::6], ids=name)
def test_effect_sizes_are_shares_of_pairs(case: dict) -> None:
    row = mann_whitney(case["a"], case["b"]).iloc[0]
    difference = np.subtract.outer(case["a"], case["b"])
    above, below = (difference > 0).mean(), (difference < 0).mean()
    assert row["rank_biserial"] == pytest.approx(above - below, abs=1e-12)  # a ratio of counts
    assert row["cles"] == pytest.approx(above + (1 - above - below) / 2, abs=1e-12)
    assert row["mean_a"] == pytest.approx(np.mean(case["a"]))
    assert (row["n_a"], row["n_b"], row["n"]) == (
        len(case["a"]),
        len(case["b"]),
        difference.shape[0] + difference.shape[1],
    )


@pytest.mark.parametrize("case", CASES[::6], ids=name)
def test_method_auto_is_scipys(case: dict) -> None:
    theirs = stats.mannwhitneyu(case["a"], case["b"], method="auto")
    row = mann_whitney(case["a"], case["b"]).iloc[0]
    assert row["p"] == pytest.approx(theirs.pvalue, rel=1e-12)  # the same function


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), digits=st.integers(0, 3))
def test_exchanging_the_groups_changes_the_sign_only(seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=7).round(digits), rng.normal(1, 1, size=9).round(digits)
    one, other = mann_whitney(a, b).iloc[0], mann_whitney(b, a).iloc[0]
    assert other["p"] == pytest.approx(one["p"], rel=1e-12)  # the same sums
    assert other["estimate"] == pytest.approx(-one["estimate"])
    assert other["ci_low"] == pytest.approx(-one["ci_high"])
    assert other["rank_biserial"] == pytest.approx(-one["rank_biserial"])


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([1.0, 2], [1.0, 2, 3, 4], "fewer than 3 samples (2)"),
        ([1.0, 2, 3], [], "fewer than 3 samples (0)"),
        ([1.0, 2, np.nan], [1.0, 2, 3], "fewer than 3 samples (2)"),
        ([5.0] * 4, [5.0] * 3, "all values are equal"),
    ],
)
def test_rows_that_are_not_estimable(a: list, b: list, reason: str) -> None:
    row = mann_whitney(a, b).iloc[0]
    assert np.isnan(row[["estimate", "p", "ci_low", "ci_high"]].astype(float)).all()
    assert row["note"].startswith("not estimable")
    assert reason in row["note"]
    assert row["n_a"] == np.isfinite(a).sum()


def test_two_constant_groups_that_differ_are_estimable() -> None:
    row = mann_whitney([5.0] * 4, [3.0] * 4).iloc[0]
    assert row["estimate"] == 2
    assert row["rank_biserial"] == 1


def test_nan_are_left_out() -> None:
    a, b = CASES[0]["a"], CASES[0]["b"]
    pd.testing.assert_frame_equal(mann_whitney([*a, np.nan], [np.nan, *b]), mann_whitney(a, b))


def test_a_group_too_small_for_an_interval_says_so() -> None:
    row = mann_whitney([1.0, 2, 3], [4.0, 5, 6]).iloc[0]
    assert (row["ci_low"], row["ci_high"]) == (-np.inf, np.inf)
