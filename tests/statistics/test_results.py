"""The one-row table."""

from __future__ import annotations

import numpy as np
import pytest

from cpmlib.statistics.correlation import linear_fit
from cpmlib.statistics.mixed_model import mixed_model_slopes
from cpmlib.statistics.results import (
    COLUMNS,
    not_estimable,
    one_row,
    rows_of,
    why_not_estimable,
)


def test_a_row_has_the_common_columns_first() -> None:
    row = one_row("mean", 2, ci=(1, 3), p=0.5, n=5, excluded=["s1", "s2"], note="why", sd=1.5)
    assert tuple(row.columns) == (*COLUMNS, "sd")
    assert row.iloc[0].tolist() == ["mean", 2.0, 1.0, 3.0, 0.5, 5, "s1 s2", "why", 1.5]
    assert row.dtypes[["estimate", "ci_low", "ci_high", "p"]].eq(float).all()


def test_what_is_not_given_is_nan_or_empty() -> None:
    row = one_row("mean", 2.0, n=5).iloc[0]
    assert np.isnan(row[["ci_low", "ci_high", "p"]].astype(float)).all()
    assert (row["excluded"], row["note"]) == ("", "")


def test_not_estimable_keeps_n_and_extras() -> None:
    row = not_estimable("rho", "no value", 0, n_a=3).iloc[0]
    assert row["note"] == "not estimable: no value"
    assert (row["n"], row["n_a"]) == (0, 3)
    assert np.isnan(row[["estimate", "ci_low", "ci_high", "p"]].astype(float)).all()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        (([1.0, 2, 3], [3.0, 1, 2]), None),
        (([1.0, 2], [3.0, 1]), "fewer than 3 samples (2)"),
        (([], []), "fewer than 3 samples (0)"),
        (([1.0, 2, 3], [3.0, 3, 3]), "all values are equal"),
    ],
)
def test_why_not_estimable(variables: tuple, reason: str | None) -> None:
    assert why_not_estimable(*map(np.array, variables)) == reason


def test_the_minimum_can_be_raised() -> None:
    assert why_not_estimable(np.arange(3.0), minimum=4) == "fewer than 4 samples (3)"


def test_rows_are_those_of_the_table() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 9))
    assert rows_of(linear_fit)(x, y) == linear_fit(x, y).iloc[0].to_dict()
    patient = np.arange(9) // 3
    models = mixed_model_slopes(x, y, patient)
    assert rows_of(mixed_model_slopes)(x, y, patient) == models.to_dict("records")
