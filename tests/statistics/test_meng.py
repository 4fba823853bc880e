"""Meng's z against published examples and R's cocor (see reference/README.md)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.statistics.meng import compare_strength, meng_z
from studies import ROOT

PUBLISHED = pd.read_csv(
    ROOT / "tests" / "reference" / "meng_z.tsv", sep="\t", dtype={"z": str, "p": str}
)


def half_a_unit(digits: str) -> float:
    """Half a unit of the last digit printed, and a hair for the rounding itself."""
    return 0.5000001 * 10.0 ** -len(digits.split(".")[1])


@pytest.mark.parametrize("row", list(PUBLISHED.itertuples()), ids=lambda row: f"row {row.Index}")
def test_published_examples(row: tuple) -> None:
    ours = meng_z(row.r1, row.r2, row.rx, row.n, alternative=row.alternative).iloc[0]
    assert ours["z"] == pytest.approx(float(row.z), abs=half_a_unit(row.z))
    if isinstance(row.p, str):
        assert ours["p"] == pytest.approx(float(row.p), abs=half_a_unit(row.p))


def test_interval_of_the_worked_example() -> None:
    """Meng, Rosenthal & Rubin 1992 print -0.129 to 1.671, from rounded terms."""
    # So one unit of their last digit.
    row = meng_z(0.63, -0.03, -0.19, 15).iloc[0]
    assert row["ci_low"] == pytest.approx(-0.129, abs=1e-3)
    assert row["ci_high"] == pytest.approx(1.671, abs=1e-3)


INSIDE = st.floats(-0.95, 0.95)


@settings(max_examples=100, deadline=None)
@given(r1=INSIDE, r2=INSIDE, rx=INSIDE, n=st.integers(4, 500))
def test_exchanging_the_predictors_changes_the_sign_only(
    r1: float, r2: float, rx: float, n: int
) -> None:
    assume(1 - r1**2 - r2**2 - rx**2 + 2 * r1 * r2 * rx > 0)
    one, other = meng_z(r1, r2, rx, n).iloc[0], meng_z(r2, r1, rx, n).iloc[0]
    for column, sign in (("estimate", -1), ("z", -1), ("p", 1)):
        assert other[column] == pytest.approx(sign * one[column], rel=1e-12, abs=1e-15)  # same sums
    assert other["ci_low"] == pytest.approx(-one["ci_high"], rel=1e-9, abs=1e-12)
    # Interval and test are one statement.
    assert (one["ci_low"] > 0 or one["ci_high"] < 0) == (one["p"] < 0.05)


def test_one_sided_p_is_half_of_the_two_sided() -> None:
    two = meng_z(0.6, 0.2, 0.1, 30).iloc[0]
    one = meng_z(0.6, 0.2, 0.1, 30, alternative="greater").iloc[0]
    assert one["p"] == pytest.approx(two["p"] / 2, rel=1e-12)  # the same tail


def test_z_has_its_distribution() -> None:
    """Under equal correlations about 5 % of the p values are below 0.05."""
    rng = np.random.default_rng(4)
    shared = rng.normal(size=(1000, 40, 1))
    data = 0.6 * shared + rng.normal(size=(1000, 40, 3))
    low = 0
    for table in data:
        r = np.corrcoef(table, rowvar=False)
        low += meng_z(r[0, 1], r[0, 2], r[1, 2], 40)["p"].item() < 0.05
    assert 0.029 < low / 1000 < 0.071  # three standard errors of a share of 5 % in 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.2, 0, 0, 20), "r1"),
        ((0, -1.01, 0, 20), "r2"),
        ((0, 0, np.nan, 20), "rx"),
        ((0.1, 0.2, 0.3, 3), "at least 4"),
        ((0.9, -0.9, 0.9, 20), "cannot occur"),
    ],
)
def test_says_what_is_wrong(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        meng_z(*arguments)


def test_rejects_unknown_choices() -> None:
    with pytest.raises(ValueError, match="alternative"):
        meng_z(0.1, 0.2, 0.3, 20, alternative="less")
    x = np.arange(6.0)
    with pytest.raises(ValueError, match="correlation"):
        compare_strength(x, x**2, -x, correlation="kendall")


@pytest.mark.parametrize(("r1", "r2", "rx"), [(1, 0.5, 0.5), (0.5, -1, -0.5), (0.5, 0.5, 1)])
def test_perfect_correlation_is_not_estimable(r1: float, r2: float, rx: float) -> None:
    row = meng_z(r1, r2, rx, 20).iloc[0]
    assert np.isnan(row["z" if "z" in row else "estimate"])
    assert row["note"].startswith("not estimable")
    assert (row["r1"], row["r2"], row["rx"]) == (r1, r2, rx)


def three_variables(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(30, 1))
    return shared + rng.normal(size=(30, 3)) * [0.5, 0.7, 1.5]


@pytest.mark.parametrize("correlation", ["spearman", "pearson"])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_strength_does_not_depend_on_the_signs(correlation: str, signs: tuple) -> None:
    y, a, b = three_variables(1).T
    plain = compare_strength(y, a, b, correlation=correlation).iloc[0]
    turned = compare_strength(y, signs[0] * a, signs[1] * b, correlation=correlation).iloc[0]
    for column in ("estimate", "z", "p", "r1", "r2", "rx", "ci_low", "ci_high"):
        assert turned[column] == pytest.approx(plain[column], rel=1e-12)  # the same sums
    names = [name for name, sign in zip(("first", "second"), signs, strict=True) if sign < 0]
    assert turned["flipped"] == " ".join(names)
    method = stats.spearmanr if correlation == "spearman" else stats.pearsonr
    assert plain["r1"] == pytest.approx(method(y, a).statistic, rel=1e-12)
    assert plain["rx"] == pytest.approx(method(a, b).statistic, rel=1e-12)


def test_without_the_flip_the_answer_is_another() -> None:
    y, a, b = three_variables(1).T
    strength = compare_strength(y, a, -b).iloc[0]
    unflipped = meng_z(strength["r1"], -strength["r2"], -strength["rx"], 30).iloc[0]
    assert unflipped["p"] < strength["p"] / 2


def test_samples_with_nan_are_left_out() -> None:
    y, a, b = three_variables(2).T
    holes = [np.append(v, tail) for v, tail in ((y, [1, np.nan]), (a, [np.nan, 2]), (b, [3, 4]))]
    pd.testing.assert_frame_equal(compare_strength(*holes), compare_strength(y, a, b))


@pytest.mark.parametrize("correlation", ["spearman", "pearson"])
@pytest.mark.parametrize("n", range(4, 40))
def test_perfect_but_for_rounding_is_not_estimable(n: int, correlation: str) -> None:
    y, a = np.random.default_rng(n).normal(size=(2, n))
    for other in (2 * y + 1, -3 * y):
        row = compare_strength(y, other, a, correlation=correlation)
        assert "exactly 1" in row["note"].item()


def test_rows_that_are_not_estimable() -> None:
    assert "fewer than 4" in compare_strength([1, 2, 3], [1, 3, 2], [3, 2, 1])["note"].item()
    assert "equal" in compare_strength([1, 2, 3, 4], [1, 1, 1, 1], [3, 2, 1, 0])["note"].item()
    perfect = compare_strength([1, 2, 3, 4], [1, 2, 3, 4], [4, 1, 2, 3])
    assert "exactly 1" in perfect["note"].item()
