"""The arithmetic of the audit against published examples, other packages and simulated data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.paper.audit import agreement, correlations, counts, means, probabilities
from cpmlib.statistics.meng import meng_z
from cpmlib.study.published import parse_printed
from studies import ROOT

# Examples of the R package scrutiny (pigs1 and pigs2 of its documentation).
GRIM = {
    ("7.22", 32): True, ("4.74", 25): False, ("5.23", 29): False, ("2.57", 24): False,
    ("6.77", 27): False, ("2.68", 28): True, ("7.01", 29): False, ("7.38", 26): True,
    ("3.14", 27): False, ("6.89", 31): False, ("5.00", 25): True, ("0.24", 28): False,
}  # fmt: skip


@pytest.mark.parametrize(("printed", "possible"), GRIM.items())
def test_grim(printed, possible):
    assert means.grim(*printed) is possible


def test_grim_of_percentages_and_items():
    found = [means.grim(p, 150, percent=True) for p in ("67.4", "54.0", "54.2", "69.8", "55.4")]
    assert found == [False, True, False, False, False]
    assert not means.grim("34", 52, percent=True)
    assert means.grim("34", 50, percent=True)
    assert not means.grim("5.23", 29)
    assert means.grim("5.23", 29, items=4)  # 607 / 116 = 5.2328


def test_grimmer():
    assert means.grimmer("5.21", "1.6", 28)
    assert not means.grimmer("3.44", "2.47", 18)


@pytest.mark.parametrize(
    ("mean", "sd", "possible"),
    [("0.53", "0.50", True), ("0.44", "0.50", True), ("0.77", "0.42", True),
     ("0.19", "0.35", False),
     ("0.34", "0.47", True), ("0.93", "0.25", True), ("0.12", "0.33", True)],
)  # fmt: skip
def test_debit(mean, sd, possible):
    assert means.debit(mean, sd, 1683) is possible


def printed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.integers(1, 3), st.integers(1, 3))
def test_whole_numbers_are_never_called_impossible(values, digits, sd_digits):
    mean, sd = printed(np.mean(values), digits), printed(np.std(values, ddof=1), sd_digits)
    assert means.grim(mean, len(values))
    assert means.grimmer(mean, sd, len(values))


@given(st.integers(2, 300), st.integers(0, 300), st.integers(1, 3))
def test_zeros_and_ones_are_never_called_impossible(n, ones, digits):
    values = [1] * min(ones, n) + [0] * max(n - ones, 0)
    mean, sd = np.mean(values), np.std(values, ddof=1)
    assert means.debit(printed(mean, digits), printed(sd, digits), n)
    text = printed(100 * mean, digits)
    assert counts.how_printed(text, min(ones, n), n) == counts.ROUNDED
    assert counts.how_any_printed(text, n)[0] == counts.ROUNDED


def test_grimmer_against_all_samples_of_a_small_scale():
    """Every mean and SD of six values from 1 to 5; what none has is refused, nearly always."""
    from itertools import combinations_with_replacement

    made = {
        (printed(np.mean(v), 2), printed(np.std(v, ddof=1), 2))
        for v in combinations_with_replacement(range(1, 6), 6)
    }
    assert all(means.grimmer(mean, sd, 6) for mean, sd in made)
    # Of the SDs that no sample has, parity refuses most; a bounded scale would refuse more.
    absent = [(m, f"{s:.2f}") for m in {m for m, _ in made} for s in np.arange(0.3, 1.6, 0.03)]
    absent = [pair for pair in absent if pair not in made]
    assert sum(not means.grimmer(mean, sd, 6) for mean, sd in absent) > 0.9 * len(absent)


def test_parts_and_whole():
    """Worked example of the R package recalc."""
    n, mean, sd = means.remove((80, 4.96, 2.18), (40, 4.71, 2.04))
    assert (n, round(mean, 2), round(sd, 2)) == (40, 5.21, 2.31)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_groups_of_real_samples_are_never_called_impossible(seed, digits):
    rng = np.random.default_rng(seed)
    groups = [rng.normal(50, 20, rng.integers(2, 30)) for _ in range(2)]
    whole = np.concatenate(groups)
    texts = [parse_printed(printed(g.mean(), digits)) for g in groups]
    sds = [parse_printed(printed(g.std(ddof=1), digits)) for g in groups]
    all_mean = parse_printed(printed(whole.mean(), digits))
    sizes = tuple(map(len, groups))
    assert sizes in counts.group_splits(len(whole), all_mean, texts)
    (low, high), (sd_low, sd_high) = means.combined_intervals(
        list(zip(sizes, texts, sds, strict=True))
    )
    assert low - 1e-9 <= whole.mean() <= high + 1e-9
    assert sd_low - 1e-9 <= whole.std(ddof=1) <= sd_high + 1e-9
    assert means.least_between(list(zip(sizes, texts, strict=True))) <= whole.var(ddof=1) * (
        len(whole) - 1
    ) * (1 + 1e-9)
    known = [parse_printed(printed(v, digits)) for v in whole[:3]]
    needed = means.squares_needed(len(whole), all_mean, known)
    assert needed <= whole.var(ddof=1) * (len(whole) - 1) * (1 + 1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_errors_of_real_samples_are_never_called_impossible(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 60))
    x = rng.normal(1300, 300, n)
    y = rng.normal(2800, 1400, n)
    k = n // 2
    rmses = [
        (len(part), parse_printed(printed(math.sqrt(np.mean((y[part] - x[part]) ** 2)), 0)))
        for part in (np.arange(k), np.arange(k, n))
    ]
    whole = math.sqrt(np.mean((y - x) ** 2))
    low, high = agreement.rmse_of_parts(rmses)
    assert low <= whole <= high
    texts = (x.mean(), x.std(ddof=1), y.mean(), y.std(ddof=1))
    pair = agreement.Pair(n, *(parse_printed(printed(v, 0)) for v in texts))
    r = pair.r_for(parse_printed(printed(whole, 0)))
    assert r[0] - 1e-9 <= np.corrcoef(x, y)[0, 1] <= r[1] + 1e-9
    others = rmses[0][0] * rmses[0][1].low ** 2
    assert agreement.exclusions(pair, others, *rmses[1]).at_minus_1 == 0


def test_exclusions_by_hand():
    """66 samples, RMSE 3156 of 32; sums worked with pencil."""
    pair = agreement.Pair(66, *map(parse_printed, ("1323", "324.4", "2856", "1461")))
    found = agreement.exclusions(pair, 33 * 1502.5**2 + 6208**2, 32, parse_printed("3156"))
    assert found.total_at_zero / 1e6 == pytest.approx(301.0, abs=0.1)
    assert found.total_at_minus_1 / 1e6 == pytest.approx(362.6, abs=0.1)
    assert (found.at_minus_1, found.at_zero, found.removable) == (7, 14, 11)


STATCHECK = pd.read_csv(ROOT / "tests/reference/statcheck.csv", dtype=str)


def degrees(row) -> tuple[float, ...]:
    if row.test == "r":
        return (int(row.df2) + 2,)
    return tuple(int(d) for d in (row.df1, row.df2) if isinstance(d, str))


@pytest.mark.parametrize(
    "row", list(STATCHECK.itertuples()), ids=lambda r: f"{r.test}{r.value}{r.p}"
)
def test_p_as_statcheck(row):
    value = parse_printed(row.value)
    p = parse_printed(row.p.replace("= ", "").replace(" ", ""))
    # R prints ten digits.
    computed = probabilities.p_of(row.test, float(row.value), *degrees(row))
    assert computed == pytest.approx(float(row.computed), rel=1e-9)
    low, high = probabilities.p_interval(row.test, value, *degrees(row))
    assert low <= computed <= high
    error = row.error == "TRUE"
    assert probabilities.agree(p, low, high) is not error
    if error and row.p != "= .05":  # whether .05 is significant, is a convention
        assert probabilities.decision_differs(p, low, high) is (row.decision_error == "TRUE")


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, 4))
def test_tests_of_real_samples_are_never_called_impossible(seed, digits, p_digits):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, int(rng.integers(5, 60))))
    n = len(x)
    line, t = stats.linregress(x, y), stats.ttest_ind(x, y)
    for test, value, p, df in (
        ("r", line.rvalue, line.pvalue, (n,)),
        ("r2", line.rvalue**2, line.pvalue, (n,)),
        ("rho", *stats.spearmanr(x, y), (n,)),
        ("t", t.statistic, t.pvalue, (2 * n - 2,)),
        ("F", t.statistic**2, t.pvalue, (1, 2 * n - 2)),
    ):
        text = parse_printed(printed(value, digits))
        ends = probabilities.p_interval(test, text, *df)
        assert probabilities.agree(parse_printed(printed(p, p_digits)), *ends), test
    slope = correlations.slope_interval(
        *(parse_printed(printed(v, 3)) for v in (line.rvalue**2, y.std(ddof=1), x.std(ddof=1)))
    )
    assert slope[0] <= abs(line.slope) <= slope[1]


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_u_of_real_samples(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=int(rng.integers(3, 15))), rng.normal(0.5, 1, int(rng.integers(3, 15)))
    for method in ("exact", "asymptotic"):
        test = stats.mannwhitneyu(a, b, method=method)
        ends = probabilities.p_interval(
            "U", parse_printed(printed(test.statistic, 0)), len(a), len(b)
        )
        assert probabilities.agree(parse_printed(printed(test.pvalue, 3)), *ends)


def test_correlation_sets():
    matrix = np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]])
    assert correlations.smallest_eigenvalue(matrix) == pytest.approx(-0.41421, abs=5e-6)
    assert correlations.can_hold_together(matrix - 0.005, matrix + 0.005) == correlations.IMPOSSIBLE


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(3, 5))
def test_correlations_of_real_samples_are_possible(seed, k):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(k, k + 2)) + rng.normal() * rng.normal(size=k + 2)
    r = np.round(np.corrcoef(data), 2)
    assert correlations.can_hold_together(r - 0.005, r + 0.005) != correlations.IMPOSSIBLE
    low, high = correlations.range_of_third(
        parse_printed(printed(r[0, 1], 2)), parse_printed(printed(r[0, 2], 2))
    )
    assert low - 1e-9 <= np.corrcoef(data)[1, 2] <= high + 1e-9


@pytest.mark.parametrize(("r1", "r2", "rx", "n"), [(0.5, 0.3, 0.4, 40), (0.41, 0.37, 0.5, 34)])
def test_mengs_z_backwards(r1, r2, rx, n):
    z = meng_z(r1, r2, rx, n)["z"].item()
    texts = (printed(z, 2), printed(r1, 2), printed(r2, 2))
    low, high = correlations.meng_range(*map(parse_printed, texts), n)
    assert low <= rx <= high
    # r1 is the greater one, so that z cannot be negative.
    assert math.isnan(correlations.meng_range(*map(parse_printed, ("-1.00", *texts[1:])), n)[0])
