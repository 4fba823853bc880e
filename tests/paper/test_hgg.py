"""The error of non-enhancing HGG against that of the whole cohort, patients resampled."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from cpmlib.paper import hgg
from cpmlib.study.options import AnalysisOptions

OPTIONS = AnalysisOptions()


def cohort(n: int = 40) -> pd.DataFrame:
    """One sample a patient, half of them in the group."""
    rng = np.random.default_rng(6)
    return pd.DataFrame(
        {
            "participant_id": [f"P{i:02d}" for i in range(n)],
            "cpm": rng.normal(1300, 300, n),
            "he_cellularity": rng.normal(2800, 1400, n),
            "outlier": False,
            "enhancement": np.where(np.arange(n) % 2, "CET", "nCET"),
        }
    )


def compared(table: pd.DataFrame) -> pd.DataFrame:
    group = table[table["enhancement"] == "nCET"]
    return hgg.against_whole(table, group, OPTIONS).set_index("statistic")


def test_with_one_sample_a_patient_it_is_scipys_bootstrap():
    table = cohort()
    found = compared(table).loc["second less first"]
    error = ((table["he_cellularity"] - table["cpm"]) ** 2).to_numpy()
    inside = (table["enhancement"] == "nCET").to_numpy()

    def difference(error: np.ndarray, inside: np.ndarray) -> float:
        return np.sqrt(error.mean()) - np.sqrt(error[inside > 0].mean())

    expected = stats.bootstrap(
        (error, inside),
        difference,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(7),
    ).confidence_interval
    np.testing.assert_allclose(found["estimate"], difference(error, inside), rtol=1e-12)
    # An end of 2000 draws has a standard error of about 0.05 of the interval's width.
    wide = expected.high - expected.low
    np.testing.assert_allclose([found["ci_low"], found["ci_high"]], expected, atol=0.15 * wide)


def test_samples_given_twice_do_not_narrow_an_interval_of_patients():
    once, twice = compared(cohort()), compared(pd.concat([cohort(), cohort()]))
    columns = ["estimate", "ci_low", "ci_high"]
    np.testing.assert_allclose(twice[columns], once[columns], rtol=1e-9)


def test_outliers_are_left_out_and_the_order_of_rows_is_nothing():
    table = cohort()
    table.loc[0, ["he_cellularity", "outlier"]] = 50_000.0, True
    without, with_outlier = compared(table[1:]), compared(table)
    assert without.loc["first", "estimate"] == with_outlier.loc["first", "estimate"]
    shuffled = compared(table.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(shuffled, with_outlier, rtol=1e-12)
    errors = table["he_cellularity"] - table["cpm"]
    expected = np.sqrt((errors[1:] ** 2).mean())
    np.testing.assert_allclose(with_outlier.loc["second", "estimate"], expected)


def test_of_a_group_of_two_nothing_is_said():
    table = cohort().assign(enhancement=["nCET"] * 2 + ["CET"] * 38)
    found = compared(table)
    too_few = "not estimable: fewer than 3 samples (2)"
    assert found["note"].tolist() == [too_few, "", too_few]
    assert found.loc["second", "estimate"] > 0
    values = hgg.patient_values(found.reset_index())
    assert np.isnan(list(values.values())).all()


def test_of_no_sample_nothing_is_said():
    found = compared(cohort()[:0])
    assert found["note"].tolist() == ["not estimable: fewer than 3 samples (0)"] * 3
