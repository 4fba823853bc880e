"""ROUT against GraphPad Prism's own flags and against classic data (see reference/README.md)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.statistics import rout
from cpmlib.statistics.rout import (
    RoutResult,
    critical_values,
    robust_lines,
    rout_column,
    rout_line,
    rsdr,
)
from studies import ROOT

REFERENCE = ROOT / "tests" / "reference"
PRISM = pd.read_csv(REFERENCE / "rout_prism.csv")


@cache
def classic() -> dict[str, pd.DataFrame]:
    return dict(list(pd.read_csv(REFERENCE / "classic_data.csv").groupby("data")))


def line(name: str, **options: float) -> RoutResult:
    data = classic()[name]
    log = np.log10 if name == "animals" else np.asarray
    return rout_line(log(data["x"].to_numpy()), log(data["y"].to_numpy()), **options)


@pytest.mark.parametrize("analyte", PRISM["analyte"].unique())
def test_flags_what_prism_flags(analyte: str) -> None:
    column = PRISM[PRISM["analyte"] == analyte]
    assert len(column) == 15
    flags = rout_column(column["value"], q=0.01).outlier
    assert flags.tolist() == column["prism_outlier"].tolist()


def test_the_prism_table_is_whole() -> None:
    assert PRISM["analyte"].nunique() == 13
    assert 0 < PRISM["prism_outlier"].sum() < len(PRISM) / 4


@pytest.mark.parametrize(
    ("name", "numbers", "rsdr"),
    [
        ("phones", [15, 16, 17, 18, 19, 20, 21], 3.82686),
        ("animals", [6, 16, 26], 0.304059),
        ("anscombe-1", [], 1.565034),
        ("cars", [], 13.590866),
    ],
)
def test_classic_lines(name: str, numbers: list[int], rsdr: float) -> None:
    result = line(name)
    assert (result.outlier.nonzero()[0] + 1).tolist() == numbers
    assert result.n_parameters == 2
    # Half a unit of the last digit given.
    digits = len(str(rsdr).split(".")[1])
    assert result.rsdr == pytest.approx(rsdr, abs=0.51 * 10**-digits)


def test_phones_line() -> None:
    # Half a unit of the last digit given.
    assert line("phones").coefficients == pytest.approx([-53.542901, 1.120773], abs=5.1e-7)


def test_anscombe_3_has_its_one_outlier() -> None:
    assert (line("anscombe-3").outlier.nonzero()[0] + 1).tolist() == [3]


def test_newcomb_column() -> None:
    values = classic()["newcomb"]["y"].to_numpy()
    result = rout_column(values)
    assert sorted(values[result.outlier]) == [-44, -2]
    assert result.n_parameters == 1
    # Half a unit of the last digit given.
    assert result.coefficients == pytest.approx([27.365821], abs=5.1e-7)
    assert result.rsdr == pytest.approx(4.705474, abs=5.1e-7)


@pytest.mark.parametrize("name", ["phones", "animals", "anscombe-1", "cars"])
def test_the_line_is_a_minimum_of_the_lorentzian_merit(name: str) -> None:
    """At the RSDR found, no step of either coefficient lowers sum log(1 + (r / RSDR)^2)."""
    data, result = classic()[name], line(name)
    log = np.log10 if name == "animals" else np.asarray
    x, y = log(data["x"].to_numpy()), log(data["y"].to_numpy())

    def merit(intercept: float, slope: float) -> float:
        return float(np.log1p(((y - intercept - slope * x) / result.rsdr) ** 2).sum())

    here = merit(*result.coefficients)
    for step in (1e-2, 1e-3):
        for sign in (-1, 1):
            a, b = result.coefficients
            assert merit(a + sign * step * result.rsdr, b) > here
            assert merit(a, b + sign * step * result.rsdr / np.ptp(x)) > here


def test_flags_follow_the_published_steps() -> None:
    """Thresholds, t and p are those of the definition, and decide the flags."""
    result = line("phones")
    n = len(result.t)
    p = 2 * stats.t.sf(np.abs(result.residual) / result.rsdr, n - 2)
    np.testing.assert_allclose(result.p, p, rtol=1e-12)  # the same formula
    rank = stats.rankdata(result.t)
    tested = rank >= 7 * n // 10
    assert np.isnan(result.threshold[~tested]).all()
    np.testing.assert_allclose(result.threshold[tested], 0.01 * (n - rank[tested] + 1) / n)
    percentile = np.percentile(np.abs(result.residual), 68.27) * n / (n - 2)
    assert result.rsdr == pytest.approx(percentile, rel=1e-12)


@pytest.mark.parametrize(
    ("n", "first"), [(3, 2), (10, 7), (15, 10), (66, 46), (90, 63), (110, 77), (130, 91)]
)
def test_first_rank_tested_is_seven_tenths(n: int, first: int) -> None:
    """Also where 0.7 N is a whole number that floating point misses, such as 0.7 * 90."""
    values = np.random.default_rng(n).normal(size=n)
    tested = ~np.isnan(rout_column(values).threshold)
    assert tested.sum() == n - first + 1


def test_a_larger_q_flags_no_fewer() -> None:
    for name in ("phones", "animals", "anscombe-1", "cars"):
        before = np.zeros(len(classic()[name]), dtype=bool)
        for q in (0, 1e-6, 1e-3, 0.01, 0.05, 0.1, 0.5, 0.99):
            now = line(name, q=q).outlier
            assert (now | ~before).all()
            before = now
        assert not line(name, q=0).outlier.any()


def numbers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 40))
    x, y = rng.normal(size=n), rng.normal(size=n)
    y[: n // 8] += 15 * rng.choice([-1, 1], n // 8)
    return x, y


SCALES = st.floats(0.01, 100).flatmap(lambda size: st.sampled_from([size, -size]))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    x_scale=SCALES,
    x_shift=st.floats(-100, 100),
    y_scale=SCALES,
    y_shift=st.floats(-100, 100),
    tilt=st.floats(-10, 10),
)
def test_line_does_not_depend_on_units_or_origins(
    seed: int, x_scale: float, x_shift: float, y_scale: float, y_shift: float, tilt: float
) -> None:
    x, y = numbers(seed)
    before = rout_line(x, y)
    after = rout_line(x_scale * x + x_shift, y_scale * (y + tilt * x) + y_shift)
    # The iteration stops at a step of 1e-12 RSDR; it can be slow, so the distance left is larger,
    # and shifts of 1e4 scatters cost four digits more.
    assert after.rsdr == pytest.approx(abs(y_scale) * before.rsdr, rel=1e-6)
    np.testing.assert_allclose(after.t, before.t, atol=1e-5)
    close = np.abs(before.p / np.where(before.threshold > 0, before.threshold, np.inf) - 1) < 1e-4
    if not close.any():  # a p on its threshold may fall to either side
        assert (after.outlier == before.outlier).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=SCALES, shift=st.floats(-100, 100))
def test_column_does_not_depend_on_unit_or_origin(seed: int, scale: float, shift: float) -> None:
    _, y = numbers(seed)
    before, after = rout_column(y), rout_column(scale * y + shift)
    # As above.
    assert after.rsdr == pytest.approx(abs(scale) * before.rsdr, rel=1e-6)
    assert after.coefficients[0] == pytest.approx(
        scale * before.coefficients[0] + shift, abs=1e-6 * abs(scale)
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_does_not_matter(seed: int) -> None:
    x, y = numbers(seed)
    order = np.random.default_rng(seed).permutation(len(x))
    assert (rout_line(x[order], y[order]).outlier == rout_line(x, y).outlier[order]).all()


def test_no_scale_flags_nothing() -> None:
    """More than 68 % of the residuals are 0, so the RSDR is 0 and t has no meaning."""
    x = np.arange(10.0)
    y = 2 * x + 1
    y[4] += 5
    result = rout_line(x, y)
    assert not result.outlier.any()
    # Rounding errors of values near 20.
    assert result.rsdr < 1e-10
    assert (result.p == 1).all()
    column = rout_column([3.0] * 9 + [8.0])
    assert not column.outlier.any()
    assert not rout_column([3.0] * 5).outlier.any()
    assert not rout_column([0.0] * 5).outlier.any()


def test_no_more_than_thirty_percent_and_one() -> None:
    """Half the points far off cannot all go; 7 N / 10 is the first rank tested."""
    rng = np.random.default_rng(0)
    for n in range(3, 40):
        values = rng.normal(size=n)
        values[: n // 2] += 1000
        assert rout_column(values).outlier.sum() <= n - 7 * n // 10 + 1


@pytest.mark.parametrize(
    ("x", "y", "q", "message"),
    [
        ([1, 2], [1, 2], 0.01, "at least 3"),
        ([], [], 0.01, "at least 3"),
        ([1, 2, 3], [1, 2], 0.01, "differ in shape"),
        ([1, 1, 1], [1, 2, 3], 0.01, "constant"),
        ([1, 2, np.nan], [1, 2, 3], 0.01, "finite"),
        ([1, 2, 3], [1, np.inf, 3], 0.01, "finite"),
        ([1, 2, 3], [1, 2, 4], 1.0, "Q is"),
        ([1, 2, 3], [1, 2, 4], -0.1, "Q is"),
        ([1, 2, 3], [1, 2, 4], np.nan, "Q is"),
    ],
)
def test_line_says_what_is_wrong(x: list, y: list, q: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rout_line(np.array(x, dtype=float), np.array(y, dtype=float), q)


@pytest.mark.parametrize(
    ("values", "message"), [([1, 2], "at least 3"), ([1, 2, np.nan], "finite"), ([], "at least 3")]
)
def test_column_says_what_is_wrong(values: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rout_column(np.array(values, dtype=float))


def test_a_fit_that_does_not_settle_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rout, "MAXIMUM_ITERATIONS", 3)
    with pytest.raises(ValueError, match=r"still moves by .* RSDR after 3 iterations.*Q = 0"):
        line("phones")


@pytest.mark.parametrize("n", [3, 10, 66, 67])
def test_rsdr_takes_numpy_s_percentile(n: int) -> None:
    size = np.abs(np.random.default_rng(n).normal(size=(4, n)))
    expected = np.percentile(size, 68.27, axis=-1) * n / (n - 2)
    assert (rsdr(size, n, 2) == expected).all()


def test_a_stack_of_lines_is_fitted_as_each_alone() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(1300, 300, (6, 40))
    y = 2000 + x + 700 * rng.standard_t(2.5, (6, 40))
    residual, scale, lines = robust_lines(x, y, steps=1000)
    for k in range(6):
        alone = rout_line(x[k], y[k])
        # Both have converged to 1e-12 RSDR, in the units of a slope near 1.
        assert lines[k] == pytest.approx(alone.coefficients, rel=1e-8)
        assert scale[k] == pytest.approx(alone.rsdr, rel=1e-8)
        assert np.abs(residual[k]) / scale[k] == pytest.approx(alone.t, abs=1e-7)
        critical = critical_values(40, 0.01)[np.argsort(np.argsort(alone.t))]
        first = alone.t[alone.t > critical].min(initial=np.inf)
        assert (alone.outlier == (alone.t >= first)).all()
