"""What the chapter on the map's quality computes and says, beside the paper's own tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cpmlib.paper import (
    correlations,
    hgg,
    non_independence,
)
from cpmlib.paper.map_quality import patients, quality, resampling
from cpmlib.paper.wording import quality_meaning
from cpmlib.study.options import AnalysisOptions

OPTIONS = AnalysisOptions()


@pytest.fixture(scope="module")
def samples(cohort):
    return cohort.samples


@pytest.fixture(scope="module")
def flagged(samples):
    return correlations.flag_all(samples, OPTIONS)


@pytest.fixture(scope="module")
def table_2(samples, flagged):
    found = correlations.correlations(samples, flagged, OPTIONS)
    return found.set_index(["subset", "predictor", "statistic"])


def test_resampling_starts_from_table_2(samples, table_2):
    found = resampling.bootstrap(samples, OPTIONS, n_resamples=200)
    names = {"slope": "slope", "r2": "slope", "rho": "Spearman rho", "rmse": "RMSE"}
    for row in found.to_dict("records"):
        printed = table_2.loc[row["subset"], row["predictor"], names[row["statistic"]]]
        value = printed["r2" if row["statistic"] == "r2" else "estimate"]
        assert row["estimate"] == pytest.approx(value, rel=1e-9)
        assert row["percentile_low"] < row["percentile_high"]


def test_errors_and_their_differences_are_those_of_the_papers_tables(samples, flagged, table_2):
    errors = quality.errors(flagged, OPTIONS).set_index(["subset", "samples"])["estimate"]
    rmse = {key: table_2.loc[key, "cpm", "RMSE"]["estimate"] for key in ("whole", "naive")}
    for key, value in rmse.items():
        assert errors[key, quality.KEPT] == pytest.approx(value)
    found = resampling.rmse_differences(samples, flagged, OPTIONS)
    differences = found.set_index(["comparison", "statistic"])
    group = hgg.non_enhancing(flagged["whole", "cpm"], OPTIONS)
    of_group = hgg.statistics(samples, group, OPTIONS).set_index("statistic").loc["RMSE"]
    assert differences.loc[("HGG nCET", "first"), "estimate"] == pytest.approx(of_group["estimate"])
    assert differences.loc[("HGG nCET", "second"), "estimate"] == pytest.approx(rmse["whole"])
    assert differences.loc[("recurrent", "first"), "estimate"] == pytest.approx(rmse["naive"])
    assert (found["ci_low"] < found["estimate"]).all()
    assert (found["estimate"] < found["ci_high"]).all()


def test_without_nobody_everything_is_as_in_table_2(samples, table_2):
    found = resampling.leave_one_out(samples, OPTIONS)
    everyone = found[found["without"] == ""].set_index(["subset", "predictor"])
    for at, row in everyone.iterrows():
        assert row["slope_p"] == table_2.loc[(*at, "slope")]["p"]
        assert row["rho_p"] == table_2.loc[(*at, "Spearman rho")]["p"]
    patients = samples["participant_id"].nunique()
    assert len(found) == 2 * (2 * patients + 3)  # all, and the two groups; and nobody


def test_both_mixed_models_have_one_slope(flagged):
    models = non_independence.mixed_models(flagged, OPTIONS)
    fits = patients.both_fits(flagged, models, OPTIONS)
    fits = fits[fits["converged"]]
    assert len(fits) >= 3
    # Their optimiser stops early; in standard errors
    distance = (fits["slope_statsmodels"] - fits["estimate"]) / fits["se"]
    assert distance.abs().max() < 0.01


def test_the_discussions_number_falls_only_if_the_bound_holds(flagged, published):
    errors = quality.errors(flagged, OPTIONS)
    said = quality.say_contested(published, errors)
    assert "If the premises" in said
    assert "3156 cannot hold" in said
    smaller = published.copy()
    smaller.loc["corr.recurrent.cpm.rmse", "printed"] = "2000"
    assert "allow that number" in quality.say_contested(smaller, errors)
    without = published.drop(index="desc.he_mean")
    assert "do not bound" in quality.say_contested(without, errors)
    assert quality.say_print(without) == ""
    assert "a bias of 1533" in quality.say_print(published)


def test_sentences_are_true_for_a_good_map(samples):
    """H&E as the map says, but for a little scatter: better than a constant, and than ADC."""
    rng = np.random.default_rng(1)
    good = samples.assign(he_cellularity=samples["cpm"] + rng.normal(0, 30, len(samples)))
    errors = quality.errors(correlations.flag_all(good, OPTIONS), OPTIONS)
    assert quality.say_errors(errors).count("which is not less") == 3
    assert (errors["skill"] > 0.9).all()
    held_out = quality.held_out(good, OPTIONS)
    said = quality.say_held_out(held_out)
    assert "constant of the other patients, with an interval below 0, in the whole cohort" in said
    assert "CPM adds to ADC, with an interval below 0, in the whole cohort" in said
    agreement = quality.agreement(good).set_index(["subset", "statistic"])["estimate"]
    assert (agreement.drop("bias", level="statistic") > 0.85).all()
    power = resampling.power(good, OPTIONS)
    whole = power[power["subset"] == "whole"]
    assert whole["n_patients"].tolist() == [good["participant_id"].nunique()]
    assert "at most 27 in the whole cohort" in resampling.say_power(power)


def test_groups_by_patient_count_patients(samples):
    from cpmlib.paper import groups

    compared = groups.comparisons(samples, OPTIONS)
    found = patients.group_tests(samples, compared, OPTIONS).set_index(["measurement", "grouping"])
    row = found.loc["he", "treatment"]
    people = samples.groupby("treatment")["participant_id"].nunique()
    assert row["patients"] == f"{people['treatment-naive']} / {people['recurrent']}"
    assert found.loc["he", "enhancement"]["patients_in_both"] > 0
    assert np.isnan(found.loc["he", "enhancement"]["p_patients"])


def test_only_calibrated_data_are_called_so():
    assert "synthetic" in quality_meaning("calibrated")
    for relation in ("same study", "another study"):
        assert "synthetic" not in quality_meaning(relation)


def test_empty_tables_give_sentences():
    assert "not estimable" in resampling.say_power(pd.DataFrame(columns=["subset"]))
