"""Means and counts against R's mean, sd, t.test, quantile (reference/group_tests.R)."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cpmlib.statistics.descriptives import count_with_share, describe
from studies import ROOT

REFERENCE = json.loads((ROOT / "tests" / "reference" / "group_tests.json").read_text())


@pytest.mark.parametrize("case", REFERENCE["columns"], ids=lambda case: case["name"])
def test_columns_are_those_of_r(case: dict) -> None:
    row = describe(case["values"]).iloc[0]
    # The same sums to rounding errors; the column far from zero loses six digits of its spread.
    assert row["estimate"] == pytest.approx(case["mean"], rel=1e-12)
    assert row["sd"] == pytest.approx(case["sd"], rel=1e-9)
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(case["interval"], rel=1e-9)
    assert [row["q1"], row["median"], row["q3"]] == pytest.approx(case["quartiles"], rel=1e-12)
    assert (row["minimum"], row["maximum"]) == (min(case["values"]), max(case["values"]))
    assert (row["n"], row["n_missing"]) == (len(case["values"]), 0)


def test_missing_values_are_counted_and_left_out() -> None:
    row = describe([1.0, np.nan, 3.0, np.nan], name="age").iloc[0]
    assert (row["statistic"], row["estimate"], row["n"], row["n_missing"]) == ("age", 2, 2, 2)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_no_value_is_not_estimable(values: list) -> None:
    row = describe(values).iloc[0]
    assert row["note"] == "not estimable: no value"
    assert np.isnan(row["estimate"])
    assert row["n_missing"] == len(values)


def test_one_value_has_no_spread() -> None:
    row = describe([4.0]).iloc[0]
    assert (row["estimate"], row["median"]) == (4, 4)
    assert np.isnan(row[["sd", "ci_low", "ci_high"]].astype(float)).all()


def test_equal_values_have_spread_zero() -> None:
    row = describe([4.0] * 5).iloc[0]
    assert (row["sd"], row["ci_low"], row["ci_high"]) == (0, 4, 4)


def test_counts_leave_missing_values_out() -> None:
    table = count_with_share(pd.Series(["b", None, "a", "b", np.nan, "b"]))
    assert table["category"].tolist() == ["b", "a"]
    assert table["count"].tolist() == [3, 1]
    assert table["percent"].tolist() == [75, 25]


def test_counts_of_a_categorical_keep_its_order_and_its_empty_categories() -> None:
    values = pd.Series(pd.Categorical(["b", "b", "a"], categories=["a", "b", "c"]))
    table = count_with_share(values)
    assert table["category"].tolist() == ["a", "b", "c"]
    assert table["count"].tolist() == [1, 2, 0]


def test_counts_of_nothing() -> None:
    assert len(count_with_share(pd.Series([], dtype=object))) == 0
