"""Agreement of two methods, against published examples, R and pingouin."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pingouin as pg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from cpmlib.statistics.agreement import concordance, limits_of_agreement
from cpmlib.statistics.two_error_lines import deming, passing_bablok
from studies import ROOT

REFERENCE = json.loads((ROOT / "tests" / "reference" / "map_quality.json").read_text())
PEAK_FLOW = [np.array(REFERENCE["ccc"][name], float) for name in ("wright", "mini")]

EJECTION = pd.read_csv(ROOT / "tests" / "reference" / "ejection.csv")
PRINTED = 6e-6  # five decimals are given

# NCSS manual, chapter 303; methcomp's test data (Passing-Bablok by R's mcr there)
NCSS = (
    [7, 8.3, 10.5, 9, 5.1, 8.2, 10.2, 10.3, 7.1, 5.9],
    [7.9, 8.2, 9.6, 9, 6.5, 7.3, 10.2, 10.6, 6.3, 5.2],
)
METHCOMP = (
    np.arange(1.0, 21),
    [
        *(1.03, 2.05, 2.79, 3.67, 5.00, 5.82, 7.16, 7.69, 8.53, 10.38),
        *(11.11, 12.17, 13.47, 13.83, 15.15, 16.12, 16.94, 18.09, 19.13, 19.54),
    ],
)

pairs = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(2, 15)))


def test_limits_of_one_pair_a_patient_are_bland_and_altmans_of_1986():
    wright, mini = PEAK_FLOW
    row = limits_of_agreement(mini, wright, np.arange(17)).iloc[0]
    assert row["estimate"] == pytest.approx(-2.1176, abs=5e-5)
    assert row["sd"] == pytest.approx(38.7651, abs=5e-5)
    # The bias's interval is then that of a paired t test
    low, high = stats.ttest_rel(wright, mini).confidence_interval()
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))


def test_limits_of_several_pairs_a_patient_are_bland_and_altmans_of_2007():
    row = limits_of_agreement(EJECTION["ic"], EJECTION["rv"], EJECTION["subject"]).iloc[0]
    assert row["estimate"] == pytest.approx(0.60217, abs=PRINTED)
    assert row["var_within"] == pytest.approx(0.17071, abs=PRINTED)
    assert row["sd"] == pytest.approx(0.99062, abs=PRINTED)
    # Printed with 1.96 where we take 1.959964
    assert row["lower"] == pytest.approx(-1.33946, abs=5e-5)
    assert row["upper"] == pytest.approx(2.54379, abs=5e-5)


def test_repeats_that_add_nothing_change_no_limit_by_much():
    """Each pair twice: the same variance of one difference, whatever the number of samples."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 400))
    patient = np.arange(400)
    single = limits_of_agreement(first, second, patient).iloc[0]
    twice = limits_of_agreement(
        np.append(first, first), np.append(second, second), np.append(patient, patient)
    ).iloc[0]
    assert twice["sd"] == pytest.approx(single["sd"], rel=1e-9)
    assert twice["ci_low"] == pytest.approx(single["ci_low"], rel=1e-9)


def test_concordance_is_that_of_epir():
    row, theirs = concordance(*PEAK_FLOW).iloc[0], REFERENCE["ccc"]
    assert row["estimate"] == pytest.approx(0.9427, abs=5e-5)
    assert row["estimate"] == pytest.approx(theirs["estimate"], rel=1e-12)
    assert row["ci_low"] == pytest.approx(theirs["low"], rel=1e-9)
    assert row["ci_high"] == pytest.approx(theirs["high"], rel=1e-9)


@given(pairs)
def test_concordance_is_below_correlation_and_symmetric(values):
    row = concordance(*values).iloc[0]
    assert abs(row["estimate"]) <= abs(pg.corr(*values)["r"].iloc[0]) + 1e-12
    assert row["estimate"] == pytest.approx(concordance(*values[::-1])["estimate"].item())
    assert concordance(values[0], values[0])["estimate"].item() == pytest.approx(1)


def test_deming_is_that_of_ncss():
    """NCSS's ratio of 4 is the variance of the errors of x over that of y, ours its inverse."""
    row = deming(*NCSS, ratio=0.25).iloc[0]
    assert row["estimate"] == pytest.approx(1.0011942, abs=5e-8)
    assert row["intercept"] == pytest.approx(-0.0897449, abs=5e-8)
    assert row["se"] == pytest.approx(0.1872, abs=5e-5)
    assert row["se_intercept"] == pytest.approx(1.7220, abs=5e-5)


def test_deming_is_that_of_methcomp():
    row = deming(*METHCOMP).iloc[0]
    assert row["estimate"] == pytest.approx(1.0066219, abs=5e-8)
    assert row["intercept"] == pytest.approx(-0.0860300, abs=5e-8)


@given(pairs, st.floats(0.2, 5))
def test_deming_minimises_the_distances_weighted_by_the_error_variances(values, ratio):
    x, y = values[0], values[0] + 0.5 * values[1]
    dx, dy = x - x.mean(), y - y.mean()

    def squares(angle):
        return ((dy - np.tan(angle) * dx) ** 2).sum() / (ratio + np.tan(angle) ** 2)

    grid = np.linspace(-np.pi / 2, np.pi / 2, 200)[1:-1]
    best = grid[np.argmin([squares(angle) for angle in grid])]
    found = optimize.minimize_scalar(squares, bounds=(best - 0.02, best + 0.02), method="bounded")
    # The search stops at 1e-5 of an angle
    ours = np.arctan(deming(x, y, ratio=ratio)["estimate"].item())
    assert ours == pytest.approx(found.x, abs=1e-4)


def test_deming_with_all_error_in_y_is_least_squares():
    x, y = METHCOMP
    assert deming(x, y, ratio=1e9)["estimate"].item() == pytest.approx(
        stats.linregress(x, y).slope, rel=1e-6
    )


def test_passing_bablok_is_that_of_mcr():
    row = passing_bablok(*METHCOMP).iloc[0]
    assert row["estimate"] == pytest.approx(1.0050, abs=1e-9)
    assert row["intercept"] == pytest.approx(0.0125, abs=1e-9)
    # The interval of whole ranks; mcr interpolates (.98481 to 1.02658)
    assert row["ci_low"] == pytest.approx(0.98462, abs=5e-6)
    assert row["ci_high"] == pytest.approx(1.02778, abs=5e-6)


@given(pairs)
def test_passing_bablok_does_not_depend_on_which_method_is_x(values):
    x, y = values[0], values[0] + 0.3 * values[1]
    there, back = (passing_bablok(*both)["estimate"].item() for both in ((x, y), (y, x)))
    # An even number of slopes has its median between two of them: near, not equal
    assert 1 / there == pytest.approx(back, abs=0.1)


def test_what_does_not_exist_is_said():
    x = np.arange(5.0)
    for row in (
        limits_of_agreement(x, x + 1, np.arange(5)),  # all differences are equal
        limits_of_agreement(x, x**2, np.zeros(5)),
        concordance(x, np.ones(5)),
        deming(x, np.ones(5)),
        passing_bablok(x, -x),
        passing_bablok([1.0, 2], [1.0, 2]),
    ):
        assert np.isnan(row["estimate"].item())
        assert row["note"].item().startswith("not estimable: ")
    with pytest.raises(ValueError, match="expected more than 0"):
        deming(x, x, ratio=0)
