"""The answers that the lessons accept, computed by other means than in the lessons."""

from __future__ import annotations

import itertools
import statistics
import warnings
from fractions import Fraction

import jupytext
import numpy as np
import pandas as pd
import pingouin
import pytest
import shapely
import statsmodels.api as sm
from scipy import optimize, special, stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score

from cpmlib.book.exercises import EXERCISES, read_exercises
from studies import ROOT

LISTED = read_exercises(ROOT / EXERCISES)


def two_sided(t: float, df: int) -> float:
    """The p of Student's t by its incomplete beta function (Abramowitz & Stegun 26.7.1)."""
    return float(special.betainc(df / 2, 0.5, df / (df + t**2)))


def far_pair() -> float:
    """Outliers of the last exercise on ROUT: the robust line by direct search of its merit.

    With the RSDR of the line itself as the scale, 8 of equation 3 of Motulsky & Brown; then the
    largest residual against the limit of the largest.
    """
    x, y = np.arange(1.0, 7), np.array([1.2, 1.8, 3.3, 3.6, 9.0, 12.0])

    def scale(line):
        return np.sort(np.abs(y - line[0] - line[1] * x))[3:5] @ [1 - 0.4135, 0.4135] * 6 / 4

    line = np.array([0.0, 1.0])
    for _ in range(200):
        fixed = scale(line)
        merit = lambda c, s=fixed: np.log1p(((y - c[0] - c[1] * x) / s) ** 2).sum()  # noqa: E731
        line = optimize.minimize(merit, line, method="Nelder-Mead").x
    largest = np.abs(y - line[0] - line[1] * x).max() / scale(line)
    assert two_sided(largest, 4) > 0.01 * 3 / 6  # of the lowest rank that is tested, and so of all
    return 0


def meng(r1: float, r2: float, rx: float, n: int) -> float:
    """Meng's z by the covariance of two Fisher z values (Dunn & Clark 1969), with one mean r2.

    Which is what the three authors simplify: their h is 1 less the covariance over 1 - rx.
    """
    square = (r1**2 + r2**2) / 2
    covariance = (rx * (1 - 2 * square) - square * (1 - 2 * square - rx**2) / 2) / (1 - square) ** 2
    return float(
        np.log((1 + r1) / (1 - r1) * (1 - r2) / (1 + r2))
        / 2
        * np.sqrt((n - 3) / (2 - 2 * covariance))
    )


def mean_in_ball(shift: float) -> float:
    """Mean of the lesson's nodule over a ball of 5 mm: an integral over shells about the nodule.

    Of a shell, the part beyond a plane lies in the ball: a cap, whose area goes with its height.
    """

    def part(r: float) -> float:
        if shift == 0:
            return 4 * np.pi * r**2 if r <= 2.5 else 0.0
        low = max(-1.0, min(1.0, (r**2 + shift**2 - 2.5**2) / (2 * r * shift)))
        return 2 * np.pi * r**2 * (1 - low)

    value = lambda r: 1000 + 3000 / (1 + np.exp(r - 6))  # noqa: E731
    r = np.linspace(1e-6, 10, 20001)
    weights = np.array([part(one) for one in r])
    return float((weights * value(r)).sum() / weights.sum())


def last_leaves() -> float:
    """Mean of the last leaves of trees that halve the line while both halves hold 100 draws.

    The best cut of a ramp is its middle; each tree has drawn 4000 values with replacement.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        leaf = np.sort(rng.integers(0, 4000, 4000))
        while len(leaf) >= 200:
            leaf = leaf[leaf > (leaf[0] + leaf[-1]) / 2]
        found.append(leaf.mean())
    return float(np.mean(found))


OTHERWISE = {
    # 19_learn_adc: the b at which the signal has fallen to 1/e, found by search, is 1 / ADC
    "adc-1": lambda: 1e6 / optimize.brentq(lambda b: 0.4 ** (b / 1000) - 1 / np.e, 1, 1e5),
    "adc-2": lambda: (1 - 3e-6) ** 1_000_000,  # step by step
    "adc-3": lambda: min((1e-3, 1, 1e3, 1e6), key=lambda factor: abs(0.82 * factor - 800)),
    "adc-4": lambda: -np.logaddexp(-0.7, -3.0) * 1000 + np.log(2) * 1000,
    "adc-5": lambda: "B" if 360 / 800 > 480 / 1600 else "A",
    # 20_learn_map
    "map-1": lambda: len(list(itertools.product("ABCD", range(5), range(5)))),
    "map-2": lambda: statistics.fmean([1500, 2200, 1800, 2500, 2000]),
    "map-3": last_leaves,
    "map-5": lambda: [float(Fraction(1950, 650)), float(Fraction(1750, 500))],
    # 21_learn_registration
    "place-1": lambda: [range(-40, 0, 2)[10], range(-50, 0, 2)[20], range(-30, 10, 2)[15]],
    "place-2": lambda: np.linalg.inv(np.diag([-1.0, -1, 1])) @ [12, 30, -5],
    "place-3": lambda: sum(
        4 * (i * i + j * j + k * k) <= 6.25 for i, j, k in itertools.product(range(-3, 4), repeat=3)
    ),
    "place-4": lambda: mean_in_ball(0) - mean_in_ball(6),
    "place-5": lambda: stats.maxwell(scale=2).moment(2) ** 0.5,
    # 22_learn_counting
    "count-1": lambda: 84e6 / 188 / 188,  # by µm
    "count-2": lambda: stats.poisson(84).std() * 1e6 / 188 / 188,
    "count-3": lambda: optimize.brentq(lambda n: stats.poisson(n).std() / n - 0.02, 1, 1e5),
    "count-4": lambda: 100 * (shapely.box(0, 0, 200, 200).buffer(4).area / 200**2 - 1),
    "count-5": lambda: statistics.variance([60, 100, 140]) / statistics.mean([60, 100, 140]),
    # 23_learn_outliers
    "rout-1": lambda: (0.4 + (0.6827 * 5 - 3) * 0.1) * 1.5,
    "rout-2": lambda: two_sided(6 / ((0.4 + 0.04135) * 1.5), 4),
    "rout-3": lambda: optimize.brentq(lambda t: two_sided(t, 4) - 0.01 / 6, 1, 50),
    "rout-4": lambda: sum(10 * rank >= 460 for rank in range(1, 67)),  # 46.2 rounded down
    "rout-5": far_pair,
    # 24_learn_two_correlations
    "two-1": lambda: np.log(2),
    "two-2": lambda: np.log((1.6 / 0.4) / (1.4 / 0.6)) / 2 * np.sqrt(31 / 2),
    "two-3": lambda: [meng(0.6, 0.4, rx, 34) for rx in (0, 0.5, 0.9)],
    "two-4": lambda: meng(0.41, 0.37, 0.5, 34),
    "two-5": lambda: np.floor(3 + 31 * (special.ndtri(0.975) / meng(0.41, 0.37, 0.5, 34)) ** 2) + 1,
}


def agree(name: str, answer: object) -> None:
    assert LISTED[name].problem(answer) == ""


@pytest.mark.parametrize("name", OTHERWISE)
def test_an_answer_agrees_with_another_way_to_it(name):
    agree(name, OTHERWISE[name]())


def test_the_icc_is_pingouins():
    table = pd.DataFrame(
        {"who": list("aabbcc"), "which": [1, 2] * 3, "cells": [10, 16, 20, 26, 30, 36]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other kinds of ICC
        found = pingouin.intraclass_corr(table, targets="who", raters="which", ratings="cells")
    agree("patients-1", found["ICC"].iloc[0])


def test_the_effective_number_is_that_of_the_variance_of_a_mean():
    """Of the covariance matrix of all samples, without the formula of the design effect."""
    patient = np.repeat(np.arange(27), np.repeat([1, 2, 3, 4], [7, 6, 9, 5]))
    covariance = 0.5 * (patient[:, None] == patient) + 0.5 * np.eye(len(patient))
    agree("patients-2", 1 / covariance.mean())


def test_false_alarms_are_those_of_another_simulation():
    rng = np.random.default_rng(5)
    block = np.kron(np.eye(20), 0.8 * np.ones((4, 4))) + 0.2 * np.eye(80)
    root = np.linalg.cholesky(block)
    # 20,000 studies: standard error .003, a tenth of the tolerance
    x, y = (rng.normal(size=(20_000, 80)) @ root.T for _ in "xy")
    agree("patients-3", np.mean(stats.pearsonr(x, y, axis=1).pvalue < 0.05))


def test_the_mean_over_draws_is_scipys():
    rhos = [stats.spearmanr([1, 2, 3, m], [1, 2, 3, c]).statistic for m, c in ((4, 4), (0, 5))]
    agree("patients-4", np.mean(rhos))


def test_the_mixed_model_is_that_of_statsmodels():
    design = sm.add_constant(np.array([1.0, 2, 3, 3, 4, 5, 5, 6, 7]))
    cells = np.array([9.0, 11, 12, 7, 8, 10, 4, 6, 7])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimiser, whose result is what is compared
        fit = sm.MixedLM(cells, design, groups=np.array(list("aaabbbccc"))).fit(reml=True)
    agree("patients-5", fit.fe_params[1])


def test_a_line_is_numpys():
    agree("error-4", np.polyval(np.polyfit([1000, 1200, 1600], [1000, 2000, 4000], 1), 1400))


def test_a_leak_is_counted():
    """Of the 59 other samples 19 are in the test; two are the patient's."""
    agree("domain-2", 1 - stats.hypergeom(59, 2, 19).pmf(2))
    # The same rule where all tests can be gone through: 6 samples, 3 of each patient, 3 in the test
    held = [set(test) for test in itertools.combinations(range(6), 3) if 0 in test]
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
    agree("domain-4", r2_score(counted, forest.predict(there)))


def test_p_of_a_correlation_is_that_of_its_exact_distribution():
    """Without association r, scaled to 0..1, has a beta distribution."""
    n = np.arange(10, 61)
    p = 2 * stats.beta.sf((1 + 0.41) / 2, n / 2 - 1, n / 2 - 1)
    agree("claims-2", n[np.argmin(np.abs(p - 0.016))])


def test_the_interval_is_pingouins():
    agree("claims-3", pingouin.compute_esci(stat=-0.18, nx=32, eftype="r", decimals=4)[0])


def test_the_difference_of_two_groups_is_a_normal_one():
    """Of Fisher's z as half the logarithm of a ratio."""
    one, other = (np.log((1 + r) / (1 - r)) / 2 for r in (-0.37, -0.18))
    agree("claims-4", 2 * stats.norm(0, np.hypot(31**-0.5, 29**-0.5)).sf(abs(one - other)))


def test_power_is_pingouins():
    agree("power-1", pingouin.power_corr(r=0.4, n=20))
    agree("power-2", pingouin.power_corr(r=0.4, power=0.8))


def test_answers_are_not_so_wide_that_anything_is_right():
    for name, exercise in LISTED.items():
        if isinstance(exercise.answer, int | float):
            assert exercise.within <= max(0.12 * abs(exercise.answer), 1e-6), name
