from __future__ import annotations

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.statistics.within_between import between_patients, within_patients
from cpmlib.study.dataset import read_dataset
from studies import COHORT, ROOT


# pingouin's own, of a call that its next release will have to change
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.rename")
@pytest.mark.parametrize("group", ["treatment-naive", "recurrent"])
@pytest.mark.parametrize("predictor", ["cpm", "adc"])
@pytest.mark.parametrize("ranks", [False, True])
def test_within_is_pingouins_repeated_measures_correlation(group, predictor, ranks):
    samples = read_dataset(ROOT / "data" / "surrogate").samples
    part = samples[samples["treatment"] == group]
    part = part.set_index("participant_id")[[predictor, "he_cellularity"]]
    part = (part.rank() if ranks else part).reset_index()
    found = within_patients(part[predictor], part["he_cellularity"], part["participant_id"]).iloc[0]
    expected = pingouin.rm_corr(
        part, x=predictor, y="he_cellularity", subject="participant_id"
    ).iloc[0]
    # Both in double precision, by other sums; pingouin rounds its interval to two digits.
    np.testing.assert_allclose(found["estimate"], expected["r"], rtol=1e-9)
    np.testing.assert_allclose(found["p"], expected["pval"], rtol=1e-7)
    assert found["df"] == expected["dof"]
    np.testing.assert_allclose([found["ci_low"], found["ci_high"]], expected["CI95"], atol=0.00501)


def test_within_is_bland_and_altmans():
    data = pingouin.read_dataset("rm_corr")  # Bland & Altman (1995): pH and PaCO2 of eight subjects
    row = within_patients(data["pH"], data["PacO2"], data["Subject"]).iloc[0]
    assert row["estimate"] == pytest.approx(-0.5067697, abs=5e-8)
    assert row["df"] == 38
    assert row["p"] == pytest.approx(0.0008471081, abs=5e-11)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((-0.7067146, -0.2318631), abs=5e-8)


def test_both_parts_make_the_whole():
    """r = etas between times r between, plus the same within (Dansereau, Alutto & Yammarino 1984).

    With equally many samples a patient, since the identity weights patients by their samples.
    """
    rng = np.random.default_rng(2)
    patient = np.repeat(np.arange(9), 4)
    x = rng.normal(size=36) + rng.normal(size=9)[patient]
    y = rng.normal(size=36) - rng.normal(size=9)[patient]
    means = {
        name: pd.Series(v).groupby(patient).transform("mean") for name, v in (("x", x), ("y", y))
    }
    eta_x, eta_y = np.std(means["x"]) / np.std(x), np.std(means["y"]) / np.std(y)
    within = within_patients(x, y, patient)["estimate"].item()
    between = between_patients(x, y, patient)["estimate"].item()
    total = eta_x * eta_y * between + np.sqrt((1 - eta_x**2) * (1 - eta_y**2)) * within
    np.testing.assert_allclose(total, stats.pearsonr(x, y).statistic, rtol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_levels_of_patients_do_not_matter_within_nor_does_scatter_between(seed):
    rng = np.random.default_rng(seed)
    patient = np.repeat(list("abcde"), [1, 2, 3, 4, 2])
    x, y = rng.normal(size=(2, 12))
    level = {name: 100 * rng.normal() for name in "abcde"}
    shift = np.array([level[name] for name in patient])
    before, after = within_patients(x, y, patient), within_patients(x + shift, y - shift, patient)
    # Levels of some hundred cost about three of sixteen digits.
    np.testing.assert_allclose(after["estimate"], before["estimate"], atol=1e-9)
    twice = [np.concatenate([v, v]) for v in (x, y, patient)]
    np.testing.assert_allclose(
        between_patients(*twice)["estimate"], between_patients(x, y, patient)["estimate"]
    )


@pytest.mark.parametrize(
    ("patient", "x", "reason"),
    [
        (list("abcd"), [1.0, 2, 3, 4], "too few samples of one patient"),
        (list("aabb"), [1.0, 1, 2, 2], "no scatter within patients"),
        (list("aabb"), [0.1 + 0.2, 0.3, 2, 2], "no scatter within patients"),
    ],
)
def test_what_has_no_within_says_why(patient, x, reason):
    row = within_patients(x, [2.0, 1, 4, 3], patient).iloc[0]
    assert np.isnan(row["estimate"])
    assert reason in row["note"]


def test_two_patients_have_no_between():
    row = between_patients([1.0, 2, 3, 4], [2.0, 1, 4, 3], list("aabb")).iloc[0]
    assert row["note"] == "not estimable: fewer than 3 patients (2)"


def test_a_cohort_that_it_was_not_made_for_has_both():
    samples = read_dataset(COHORT).samples
    columns = samples["cpm"], samples["he_cellularity"], samples["participant_id"]
    row = within_patients(*columns).iloc[0]
    several = samples.groupby("participant_id").filter(lambda part: len(part) > 1)
    assert row["df"] == 66 - 27 - 1 == row["n"] - row["n_patients"] - 1
    assert row["n"] == len(several)
    assert between_patients(*columns)["n"].item() == 27
