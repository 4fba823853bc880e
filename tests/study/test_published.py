"""Printed values, bounds and the ledger."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cpmlib.paper import correlations, non_independence
from cpmlib.paper.analysis import regenerate
from cpmlib.paper.audit.counts import group_sizes
from cpmlib.paper.feasibility import bounds
from cpmlib.paper.ledger import (
    CANNOT_HOLD,
    IF_TRUNCATED,
    NOT_COMPARED,
    NOT_REPRODUCED,
    REPRODUCED,
    by_kind,
    make_ledger,
    summary,
    totals,
)
from cpmlib.paper.printed_intervals import printed_intervals
from cpmlib.study.dataset import read_dataset
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import AnalysisOptions
from cpmlib.study.published import (
    BOUND,
    CASE,
    COUNT,
    KINDS,
    agrees_if_truncated,
    kind_of,
    parse_printed,
    read_published,
)
from cpmlib.study.schemas import OTHER_STUDY, SAME_STUDY
from studies import ROOT


@given(st.integers(-(10**7), 10**7), st.integers(0, 4))
def test_a_value_rounds_to_what_its_interval_says(number, digits):
    text = f"{number / 10**digits:.{digits}f}"
    interval = parse_printed(text)
    width = interval.high - interval.low
    for value in interval.low + width * np.array([0.01, 0.3, 0.5, 0.7, 0.99]):
        assert interval.contains(value)
        assert float(f"{value:.{digits}f}") == float(text)
    assert not interval.contains(interval.high + 0.01 * width)
    assert not interval.contains(interval.low - 0.01 * width)


def test_bounds_exclude_themselves():
    assert not parse_printed(">0.05").contains(0.05)
    assert parse_printed(">0.05").contains(0.0501)
    assert parse_printed("<0.001").contains(0.0)


@pytest.mark.parametrize("text", ["", "n.s.", "0,17", "1e", "NaN", "inf", "> "])
def test_printed_text_that_is_no_number(text):
    with pytest.raises(ValueError, match="printed value"):
        parse_printed(text)


def test_table_of_printed_values(published):
    assert len(published) == 143
    assert published.index.is_unique


def test_broken_table_of_printed_values(tmp_path):
    path = tmp_path / "values.tsv"
    path.write_text(
        "id\twhere\tstatistic\tsubset\tprinted\tnote\n"
        "a\tp. 1\tmean\twhole\tabout 3\t\na\tp. 1\tmean\twhole\t3\t\n"
    )
    with pytest.raises(DatasetError) as caught:
        read_published(path)
    assert {(p.row, p.column) for p in caught.value.problems} == {(2, "printed"), (3, "id")}


def independent_sizes(n, whole, first, second):
    """By brute force: some pair of means that rounds as printed must give the whole."""
    grid = np.linspace(-0.5, 0.5, 101)
    found = []
    for k in range(1, n):
        a, b = np.meshgrid(first + grid, second + grid)
        means = (k * a + (n - k) * b) / n
        if (np.abs(means - whole) <= 0.5 + 1e-9).any():
            found.append(k)
    return found


@pytest.mark.parametrize("printed", [(1323, 1358, 1195), (1323, 1415, 1206), (1323, 1290, 1358)])
def test_group_sizes_by_brute_force(printed):
    found = group_sizes(66, *(parse_printed(str(value)) for value in printed))
    assert found == independent_sizes(66, *printed)


def test_one_bound_contradicts_print_and_the_other_leaves_truncation(published):
    found = bounds(published)
    assert set(found) == {"hgg.share_non_enhancing", "corr.recurrent.cpm.rmse"}
    assert found["corr.recurrent.cpm.rmse"].contradicted
    share = found["hgg.share_non_enhancing"]
    assert not share.contradicted  # 18 of 52 are 34.6 %
    assert "truncated" in share.explanation
    assert not any("truncated" in premise for premise in share.premises)
    changed = published.copy()
    changed.loc["hgg.share_non_enhancing", "printed"] = "33"
    assert not bounds(changed)["hgg.share_non_enhancing"].contradicted  # 17 of 52 round to it
    changed.loc["hgg.share_non_enhancing", "printed"] = "31"
    assert not bounds(changed)["hgg.share_non_enhancing"].contradicted  # 16 of 52 round to it
    changed.loc["hgg.share_non_enhancing", "printed"] = "29.5"
    assert bounds(changed)["hgg.share_non_enhancing"].contradicted  # 15 are 28.8, 16 are 30.8


def test_bounds_vanish_when_print_changes(published):
    changed = published.copy()
    changed.loc["corr.recurrent.cpm.rmse", "printed"] = "2033"
    changed.loc["hgg.share_non_enhancing", "printed"] = "35"
    assert not any(bound.contradicted for bound in bounds(changed).values())


def printed_from(rng):
    """Print a random cohort that keeps the premises; return the table and the exclusions."""
    n, naive = 66, 34
    cpm = rng.normal(1300, 300, n).clip(400)
    he = 1500 + rng.uniform(0.2, 2) * cpm + rng.gamma(2, 600, n)
    squared = (he - cpm) ** 2
    outlier = int(np.argmax(he[:naive] - 1.4 * cpm[:naive]))
    kept = np.setdiff1d(np.arange(naive), [outlier])
    order = naive + np.argsort(-squared[naive:])
    excluded = int(rng.integers(0, 8))
    values = {
        "desc.he_mean": he.mean(),
        "desc.he_sd": he.std(ddof=1),
        "desc.cpm_mean": cpm.mean(),
        "desc.cpm_sd": cpm.std(ddof=1),
        "group.treatment.cpm_mean_a": cpm[:naive].mean(),
        "group.treatment.cpm_mean_b": cpm[naive:].mean(),
        "corr.naive.cpm.b": 1.4,
        "corr.naive.cpm.rmse": np.sqrt(squared[kept].mean()),
        "corr.recurrent.cpm.rmse": np.sqrt(squared[order[excluded:]].mean()),
        "case.fig4a.cpm": cpm[outlier],
        "case.fig4a.he": he[outlier],
    }
    text = {id: f"{value:.2f}" for id, value in values.items()} | {"t1.n_samples": str(n)}
    positive = np.corrcoef(cpm, he)[0, 1] >= 0
    return pd.DataFrame({"printed": text}), excluded, positive


def test_the_bound_on_rmse_never_asks_more_than_a_real_cohort_did():
    """A cohort that exists excluded what it excluded; no sound bound may demand more."""
    rng = np.random.default_rng(3)
    tried = 0
    for _ in range(200):
        table, excluded, positive = printed_from(rng)
        found = bounds(table, all_graded=False).get("corr.recurrent.cpm.rmse")
        if found is None or not positive:
            continue
        steps = found.steps.set_index("step")["value"]
        assert steps["exclusions needed at r = 0"] <= excluded
        assert not found.contradicted
        tried += 1
    assert tried > 100


def test_without_a_grade_for_every_sample_there_is_no_bound_on_the_share(published):
    assert "hgg.share_non_enhancing" not in bounds(published, all_graded=False)


def test_a_bound_without_its_ingredients_is_left_out(published):
    assert bounds(published.drop(index=["desc.he_sd", "t1.n_samples"])) == {}


def test_verdicts(published):
    table = published.loc[["desc.he_mean", "hgg.share_non_enhancing", "corr.whole.cpm.rho"]]
    proofs = bounds(published)
    values = {"desc.he_mean": 2856.4, "hgg.share_non_enhancing": 34.6}
    ledger = make_ledger(table, values, proofs)
    assert ledger["verdict"].tolist() == [REPRODUCED, IF_TRUNCATED, NOT_REPRODUCED]
    assert ledger["note"].iloc[2].startswith("not estimable")
    assert summary(ledger).startswith("1 of 3 ")


@pytest.mark.parametrize(
    ("value", "verdict"), [(3156.4, REPRODUCED), (2031.0, CANNOT_HOLD), (np.nan, CANNOT_HOLD)]
)
def test_a_contradicted_value_that_is_regenerated_counts_as_reproduced(published, value, verdict):
    table = published.loc[["corr.recurrent.cpm.rmse"]]
    ledger = make_ledger(table, {"corr.recurrent.cpm.rmse": value}, bounds(published))
    assert ledger["verdict"].item() == verdict


@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 2))
def test_truncation_by_the_digits_of_exact_arithmetic(n, k, digits):
    """Cutting off 100 k / n in whole numbers, where no last bit can be lost."""
    cut = 100 * 10**digits * k // n
    printed = f"{cut // 10**digits}" + (f".{cut % 10**digits:0{digits}d}" if digits else "")
    assert agrees_if_truncated(printed, "percent of samples", 100 * k / n)
    more = f"{float(printed) + 10.0**-digits:.{digits}f}"
    assert not agrees_if_truncated(more, "percent of samples", 100 * k / n)


def test_only_percentages_may_be_truncated():
    assert not agrees_if_truncated("3156", "RMSE of CPM against H&E cellularity", 3156.9)
    assert not agrees_if_truncated(">50", "percent of samples", 60.0)
    assert not agrees_if_truncated("18", "percent of patients", np.nan)


def test_the_percentages_of_table_1_that_are_truncated(published):
    """Every printed percentage is its printed count of the printed total, rounded or cut off."""
    truncated = []
    for id in published.index[published.index.str.endswith(".percent")]:
        count = int(published.loc[id.removesuffix(".percent"), "printed"])
        unit = "patients" if "of patients" in published.loc[id, "statistic"] else "samples"
        share = 100 * count / int(published.loc[f"t1.n_{unit}", "printed"])
        printed = published.loc[id, "printed"]
        if not parse_printed(printed).contains(share):
            assert agrees_if_truncated(printed, published.loc[id, "statistic"], share), id
            truncated.append(printed)
    assert truncated == ["18", "51", "3"]


def test_every_printed_value_has_a_kind_told_from_the_file(published):
    kinds = [kind_of(id, row["statistic"], row["printed"]) for id, row in published.iterrows()]
    in_table_1 = published["where"] == "Table 1"
    # Counted by hand in the file: 32 counts, 26 + 1 percentages, 4 cases of 4 values.
    assert kinds.count(COUNT) == 59
    assert kinds.count(CASE) == 16
    assert kinds.count(BOUND) == (published["printed"].str.startswith((">", "<"))).sum()
    assert sum(map(kinds.count, KINDS)) == len(published)
    assert set(published.index[in_table_1 & (np.array(kinds) != COUNT)]) == {
        "t1.age_mean",
        "t1.age_sd",
    }


def test_the_default_dataset_reproduces_all_but_one(published):
    """138 as printed, 4 percentages if truncated, and the RMSE that the others rule out."""
    dataset = read_dataset(ROOT / "data" / "surrogate")
    ledger = make_ledger(published, regenerate(dataset), bounds(published), dataset.relation)
    assert list(totals(ledger).values()) == [138, 4, 0, 1]
    assert ledger.index[ledger["verdict"] == CANNOT_HOLD].tolist() == ["corr.recurrent.cpm.rmse"]
    text = summary(ledger, dataset.relation)
    assert text.startswith("138 of 143 printed values reproduced by data that were calibrated to")
    assert by_kind(ledger)["printed"].sum() == 143


def test_who_is_not_calibrated_is_not_called_so(published):
    ledger = make_ledger(published, {}, bounds(published), SAME_STUDY)
    assert "calibrated" not in summary(ledger, SAME_STUDY)


def test_another_study_is_compared_and_gets_no_verdict(cohort, published):
    """Estimates with their intervals; nothing is called reproduced or not."""
    ledger = make_ledger(published, regenerate(cohort), bounds(published), OTHER_STUDY)
    assert set(ledger["verdict"]) == {NOT_COMPARED}
    assert summary(ledger, OTHER_STUDY).startswith("another study than the paper's: 143 of 143")
    with_interval = ledger.dropna(subset="ci_low")
    assert (with_interval["ci_low"] <= with_interval["regenerated"]).all()
    assert (with_interval["regenerated"] <= with_interval["ci_high"]).all()
    for part in (".rho", ".b", ".rmse", "mean_a", "mean_b", "he_mean", "age_mean"):
        assert with_interval.index.str.endswith(part).any(), part
    mean = ledger.loc["desc.cpm_mean"]
    low, high = stats.ttest_1samp(cohort.samples["cpm"], 0).confidence_interval(0.95)
    assert (mean["ci_low"], mean["ci_high"]) == pytest.approx((low, high))


def test_intervals_that_follow_from_print(published):
    """Worked by hand: 1461 / sqrt(66) = 179.8, t = 1.997; artanh .17 = .1717, 1.96 / sqrt(63)."""
    found = printed_intervals(published)
    assert found["desc.he_mean"] == pytest.approx((2496.8, 3215.2), abs=0.1)
    assert found["corr.whole.cpm.rho"] == pytest.approx((-0.0751, 0.3955), abs=5e-4)
    assert set(found) == {
        "t1.age_mean",
        "desc.he_mean",
        "desc.cpm_mean",
        "corr.whole.cpm.rho",
        "corr.whole.adc.rho",
    }
    few = published.drop(index=["t1.n_samples", "t1.age_sd"])
    assert printed_intervals(few) == {}


def test_a_column_without_a_value_is_not_counted_as_zero(cohort, published):
    from dataclasses import replace

    people = cohort.participants.assign(sex=None)
    values = regenerate(replace(cohort, participants=people))
    assert np.isnan([values["t1.sex_m"], values["t1.sex_f.percent"]]).all()
    assert values["t1.naive"] == 13


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (AnalysisOptions(), 136),
        (AnalysisOptions(mixed_model_test="wald-z"), 138),
        (AnalysisOptions(mixed_model_test="wald-t"), 136),
        (AnalysisOptions(rmse_excludes_outliers=False, mixed_model_test="wald-z"), 135),
        (AnalysisOptions(spearman_excludes_outliers=True, mixed_model_test="wald-z"), 132),
        (AnalysisOptions(rout_q=0.0, mixed_model_test="wald-z"), 123),
        (AnalysisOptions(rout_q=0.05, mixed_model_test="wald-z"), 126),
        (AnalysisOptions(rout_q=0.02, mixed_model_test="wald-z"), 126),
        (AnalysisOptions(rout_q=0.001, mixed_model_test="wald-z"), 127),
        (AnalysisOptions(mixed_model_estimation="ML", mixed_model_test="wald-z"), 136),
        (AnalysisOptions(mann_whitney_method="exact", mixed_model_test="wald-z"), 138),
    ],
)
def test_totals_of_an_independent_analysis(cohort, published, options, expected):
    """The totals that a separate analysis with pandas, SciPy and statsmodels found.

    It found 27 less of the 113 values that are neither ages nor percentages of Table 1; of those 30
    this cohort gives all but the three that are truncated.
    """
    values = regenerate(cohort, options)
    met = [parse_printed(t).contains(values[i]) for i, t in published["printed"].items()]
    assert sum(met) == expected


def test_every_printed_value_is_computed(cohort, published):
    values = regenerate(cohort)
    assert set(published.index) <= set(values)
    assert np.isfinite([values[id] for id in published.index]).all()


def test_order_of_samples_does_not_matter(cohort, published):
    from dataclasses import replace

    shuffled = cohort.samples.sample(frac=1, random_state=5).reset_index(drop=True)
    values = regenerate(cohort)
    again = regenerate(replace(cohort, samples=shuffled))
    drawn = ("ci_low", "ci_high")
    assert not any(id.endswith(drawn) for id in published.index)
    for id in published.index:
        # Sums over another order of 66 numbers differ in the last bits only.
        assert again[id] == pytest.approx(values[id], rel=1e-7), id


def test_sensitivity_lists_what_changes(cohort, published):
    from cpmlib.paper.sensitivity import table

    rows = table(cohort, AnalysisOptions(), published).set_index("choice")
    wald = rows.loc["Mixed model: Wald z"]
    assert wald["reproduced"] == 138
    assert wald["gained"] == "lmm.naive.cpm.p lmm.naive.adc.p"
    assert rows.loc["As in this book", "lost"] == ""
    for row in rows.to_dict("records"):
        lost, gained = (len(row[k].split()) for k in ("lost", "gained"))
        assert row["reproduced"] == rows.loc["As in this book", "reproduced"] - lost + gained


def test_small_and_degenerate_cohorts_are_not_estimable_but_never_fail(cohort):
    from dataclasses import replace

    base = cohort.samples
    first = base[base["participant_id"] == "P02"]
    variants = [
        first,
        base.head(2),
        base.head(1),
        base.assign(cpm=1000.0),
        base.assign(he_cellularity=2000.0),
        base.assign(adc=np.nan),
        base.assign(cpm=np.nan, adc=np.nan, he_cellularity=np.nan),
        base.assign(enhancement=None, grade_group=None, idh=None),
        base.drop_duplicates("participant_id"),
        base[base["treatment"] == "recurrent"],
        base.assign(cpm=base["cpm"].round(-3), he_cellularity=base["he_cellularity"].round(-3)),
    ]
    for options, samples in itertools.product(
        (AnalysisOptions(), AnalysisOptions(rout_q=0.0, meng_correlation="pearson")), variants
    ):
        people = cohort.participants[
            cohort.participants["participant_id"].isin(samples["participant_id"])
        ]
        values = regenerate(replace(cohort, samples=samples, participants=people), options)
        assert not any(np.isinf(v) for v in values.values())


@pytest.mark.parametrize(("patients", "several"), [(65, 0), (130, 5), (300, 60)])
def test_cohorts_larger_than_the_paper(patients, several):
    """NumPy indexes at most 64 dimensions; ties in a large cohort must not take for ever."""
    rng = np.random.default_rng(2)
    who = np.concatenate([np.arange(patients), np.arange(several)])
    n = len(who)
    samples = pd.DataFrame(
        {
            "participant_id": [f"P{i}" for i in who],
            "sample_id": [f"S{i}" for i in range(n)],
            "treatment": np.where(who % 2, "recurrent", "treatment-naive"),
            "cpm": rng.normal(1300, 300, n).round(),
            "adc": rng.normal(1300, 300, n).round(),
            "he_cellularity": rng.normal(2800, 600, n).round(),
        }
    )
    models, (iterated, _) = (
        non_independence.mixed_models(
            correlations.flag_all(samples, AnalysisOptions()), AnalysisOptions()
        ),
        non_independence.one_per_patient(samples, AnalysisOptions()),
    )
    assert len(models) == len(iterated) == 6
    assert iterated["estimate"].notna().all()


def test_mean_of_group_agrees_with_pandas(cohort):
    values = regenerate(cohort)
    expected = cohort.samples.groupby("idh")["cpm"].mean()
    assert values["group.idh.cpm_mean_a"] == pytest.approx(expected["wild-type"])
    assert values["group.idh.cpm_mean_b"] == pytest.approx(expected["mutant"])
    assert isinstance(expected, pd.Series)


def test_the_two_copies_of_the_independent_cohort_agree(cohort):
    """The study in BIDS form and the table that R's reference values were computed from."""

    folder = ROOT / "tests" / "reference" / "example_cohort"
    table = pd.read_csv(folder / "samples.csv", keep_default_na=False)
    for ours, theirs in (("cpm", "CPM"), ("adc", "ADC"), ("he_cellularity", "HE")):
        assert cohort.samples[ours].tolist() == table[theirs].tolist()
