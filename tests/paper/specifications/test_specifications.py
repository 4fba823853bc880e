"""The specification curves: every row is a direct call of the library, nothing else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpmlib.figures.specification_curve import figure_specifications
from cpmlib.paper.analysis import regenerate
from cpmlib.paper.image_variants import Variant, image_variants
from cpmlib.paper.roi_sensitivity import N_DIRECTIONS
from cpmlib.paper.specifications import summary as curves
from cpmlib.paper.specifications.choices import CHOICES, IMAGE_COLUMNS, table_choices
from cpmlib.paper.specifications.claims import CLAIMS
from cpmlib.paper.specifications.null_cohorts import null_cohort
from cpmlib.paper.specifications.run import specifications
from cpmlib.statistics.correlation import correlate, linear_fit
from cpmlib.statistics.group_comparison import mann_whitney
from cpmlib.statistics.meng import compare_independent, compare_strength
from cpmlib.statistics.mixed_model import mixed_model_slope
from cpmlib.statistics.rout import outliers_at, rout_column, rout_line
from cpmlib.study.dataset import read_dataset
from cpmlib.study.options import AnalysisOptions, ImageOptions
from studies import COHORT, ROOT

OPTIONS = AnalysisOptions()
CLAIM = {claim.key: claim for claim in CLAIMS}
TREATMENT = {"naive": "treatment-naive", "recurrent": "recurrent"}
NO_QUALITY = pd.DataFrame({"participant_id": []})


def regions(samples: pd.DataFrame) -> pd.DataFrame:
    """Spheres whose values differ from the default's by a number drawn for each."""
    rng = np.random.default_rng(5)
    spheres = [("diameter", float(d), 0.0, "voxel-centre", 0) for d in (5, 6, 9)]
    spheres += [("shift", 5.0, 0.0, "voxel-centre", 0)]
    spheres += [
        ("shift", 5.0, 2.0, "voxel-centre", direction) for direction in range(1, N_DIRECTIONS + 1)
    ]
    spheres += [("weighting", 5.0, 0.0, how, 0) for how in ("voxel-centre", "partial-volume")]
    names = ["varied", "diameter", "shift", "weighting", "direction"]
    rows = pd.DataFrame(spheres, columns=names)
    parts = []
    for key in ("cpm", "adc"):
        own = samples[["participant_id", "sample_id"]].assign(map=key, default=samples[key])
        parts.append(own.merge(rows, how="cross"))
    table = pd.concat(parts, ignore_index=True)
    moved = (
        (table["diameter"] != 5) | (table["shift"] != 0) | (table["weighting"] != "voxel-centre")
    )
    return table.assign(value=table["default"] + moved * rng.normal(0, 90, len(table)))


@cache
def variants() -> list[Variant]:
    samples = read_dataset(COHORT).samples
    people = samples["participant_id"].unique()
    sd = np.random.default_rng(6).uniform(180, 220, len(people))
    quality = pd.DataFrame({"participant_id": people, "raw_sd": sd})
    return image_variants(samples, regions(samples), quality, OPTIONS, ImageOptions())


@cache
def specified() -> pd.DataFrame:
    return specifications(variants(), OPTIONS)


def test_there_are_many_and_each_stands_once():
    table = specified()
    assert len(table) >= 500
    own = [choice.column for choice in CHOICES]
    assert not table.duplicated(["claim", *own, "draw"]).any()
    assert table[own].notna().all().all()
    assert set(table["claim"]) == set(CLAIM)


def test_the_printed_analyses_are_those_of_the_other_pages(cohort):
    values = regenerate(cohort)
    table = specified()
    printed = table[table["printed_analysis"]].set_index("claim")
    assert len(printed) == 3 * 4 + 1 + 2 + 1 + 1 + 1
    for predictor, key in (("cpm", "naive"), ("adc", "naive"), ("cpm", "whole"), ("adc", "whole")):
        rows = printed.loc[f"{predictor}.{key}"].set_index("statistic")
        for statistic, id in (
            ("line", f"corr.{key}.{predictor}.b"),
            ("Spearman", f"corr.{key}.{predictor}.rho"),
            ("mixed model", f"lmm.{key}.{predictor}.b"),
        ):
            assert rows.loc[statistic, "estimate"] == values[id]
            assert rows.loc[statistic, "ci_low"] == values[f"{id}.ci_low"]
            p = id.removesuffix(".b") + ".p" if statistic == "mixed model" else f"{id}_p"
            assert rows.loc[statistic, "p"] == values[p]
        # The slope in standard deviations is Pearson's r, to rounding errors.
        r2 = values[f"corr.{key}.{predictor}.r2"]
        assert rows.loc["line", "effect"] ** 2 == pytest.approx(r2, rel=1e-12)
    assert printed.loc["meng.naive", "p"] == values["meng.naive.p"]
    assert printed.loc["groups.enhancement", "p"] == values["group.enhancement.cpm_p"]
    assert printed.loc["groups.idh", "p"] == values["group.idh.cpm_p"]
    rmse = values["corr.recurrent.cpm.rmse"] - values["corr.naive.cpm.rmse"]
    assert printed.loc["rmse.recurrent", "estimate"] == pytest.approx(rmse, rel=1e-12)


def values_of(row: pd.Series, where: str, *columns: str) -> pd.DataFrame:
    """The measured units of a specification, found by its columns alone."""
    (variant,) = [
        v
        for v in variants()
        if v.draw == row["draw"] and all(row[key] == level for key, level in v.choices.items())
    ]
    part = variant.samples
    if where in TREATMENT:
        part = part[part["treatment"] == TREATMENT[where]]
    by = ["participant_id", *(c for c in columns if c in ("enhancement", "idh"))]
    part = part.dropna(subset=list(columns))
    if row["unit"] == "patients":
        part = part.groupby(by, as_index=False).mean(numeric_only=True)
    return part


def without_outliers(row: pd.Series, part: pd.DataFrame, *predictors: str) -> pd.DataFrame:
    out = np.zeros(len(part), dtype=bool)
    y = part["he_cellularity"].to_numpy()
    for predictor in predictors if row["rout_q"] else ():
        x = part[predictor].to_numpy()
        fit = rout_line(x, y, row["rout_q"]) if row["rout_k"] == "line" else None
        out |= (fit or rout_column(y, row["rout_q"])).outlier
    return part[~out]


def directly(row: pd.Series) -> pd.DataFrame:
    claim = CLAIM[row["claim"]]
    if claim.kind == "groups":
        levels = {"enhancement": ("CET", "nCET"), "idh": ("wild-type", "mutant")}[claim.where]
        part = values_of(row, "whole", "cpm", claim.where)
        groups = [part.loc[part[claim.where] == level, "cpm"] for level in levels]
        return mann_whitney(*groups, method=row["method"])
    y = "he_cellularity"
    if claim.kind == "difference":
        found = []
        for key in TREATMENT:
            used = without_outliers(row, values_of(row, key, "cpm", y), "cpm")
            r = correlate(used["cpm"], used[y], method=row["correlation"])["estimate"].item()
            found += [r, len(used)]
        return compare_independent(*found)
    if claim.kind == "strength":
        part = values_of(row, claim.where, "cpm", "adc", y)
        used = without_outliers(row, part, "cpm", "adc")
        return compare_strength(used[y], used["cpm"], used["adc"], correlation=row["correlation"])
    part = values_of(row, claim.where, claim.predictor, y)
    used = without_outliers(row, part, claim.predictor)
    if row["statistic"] == "line":
        return linear_fit(used[claim.predictor], used[y])
    if row["statistic"] == "Spearman":
        return correlate(used[claim.predictor], used[y])
    how = {"estimation": row["estimation"], "test": row["test"]}
    return mixed_model_slope(used[claim.predictor], used[y], used["participant_id"], **how)


def test_each_is_a_direct_call_of_the_library():
    table = specified()
    kinds = table["claim"].map(lambda key: CLAIM[key].kind)
    rows = table[(kinds != "error") & (table["sign"] != "as measured")]
    rows = rows.groupby("claim").sample(8, random_state=11)
    assert (rows["shift"].isin([2.0])).any()
    assert (rows["unit"] == "patients").any()
    for _, row in rows.iterrows():
        wanted = directly(row).iloc[0]
        for column in ("estimate", "ci_low", "ci_high", "p"):
            # Sums of means of patients may run in another order.
            assert row[column] == pytest.approx(wanted[column], rel=1e-9, abs=1e-12), dict(row)


def test_as_measured_compares_opposite_signs():
    """In treatment-naive tumours CPM rises and ADC falls, so that the difference is the larger."""
    table = specified()
    own = table[(table["claim"] == "meng.naive") & (table["unit"] == "samples")]
    wide = own.pivot_table("estimate", ["rout_q", "rout_k", "correlation", "diameter"], "sign")
    assert (wide["as measured"] > wide["flipped"]).all()


def test_spheres_are_carried_through_one_thing_at_a_time():
    default, *others = variants()
    assert default.choices == {
        "weighting": "voxel-centre", "diameter": 5.0, "shift": 0.0, "normalisation": "output"
    }  # fmt: skip
    for variant in others:
        assert sum(variant.choices[key] != default.choices[key] for key in IMAGE_COLUMNS) == 1
    assert {v.choices["diameter"] for v in others} == {5.0, 6.0}, "9 mm is not carried through"
    shifted = [v for v in others if v.choices["shift"] == 2.0]
    assert [v.draw for v in shifted] == [1, 2, 3]
    table = regions(default.samples)
    table = table[(table["shift"] == 2.0) & (table["map"] == "adc")]
    value = table.pivot_table("value", "sample_id", "direction")
    moved = shifted[0].samples.set_index("sample_id")
    near = (value.sub(moved["adc"], axis=0).abs() < 1e-6).loc[moved.index]
    directions = near.idxmax(axis=1)
    assert near.any(axis=1).all()
    of_patient = directions.groupby(moved["participant_id"]).agg(set)
    assert of_patient.map(len).eq(1).all()
    assert len(set.union(*of_patient)) > 1


def test_a_sample_without_image_keeps_its_value():
    samples = read_dataset(COHORT).samples
    first = samples["sample_id"].iloc[0]
    table = regions(samples)
    found = image_variants(
        samples, table[table["sample_id"] != first], NO_QUALITY, OPTIONS, ImageOptions()
    )
    assert "normalisation" not in found[0].choices
    for variant in found[1:]:
        same = variant.samples["cpm"] == samples["cpm"]
        assert same.iloc[0]
        assert not same.iloc[1:].any()


def test_the_order_of_rows_does_not_matter():
    samples = read_dataset(COHORT).samples
    keys = ["claim", *(choice.column for choice in CHOICES)]
    claims = [CLAIM[key] for key in ("cpm.naive", "meng.naive", "groups.idh", "rmse.recurrent")]
    tables = [
        specifications([Variant(table)], OPTIONS, claims).sort_values(keys, ignore_index=True)
        for table in (samples, samples.sample(frac=1, random_state=3, ignore_index=True))
    ]
    for column in ("estimate", "p", "effect"):
        # Sums of 66 numbers in another order differ in the last bits only.
        np.testing.assert_allclose(*(table[column] for table in tables), rtol=1e-7)
    assert tables[0]["holds"].equals(tables[1]["holds"])


def test_a_study_without_images_or_without_recurrent_tumours(cohort):
    samples = cohort.samples[cohort.samples["treatment"] == "treatment-naive"]
    (only,) = image_variants(samples, pd.DataFrame(), NO_QUALITY, OPTIONS, ImageOptions())
    table = specifications([only], OPTIONS)
    assert (table[list(IMAGE_COLUMNS)] == "").all().all()
    missing = table["claim"].isin(["cpm.naive_recurrent", "rmse.recurrent"])
    assert table.loc[missing, "estimate"].isna().all()
    assert table.loc[missing, "note"].str.startswith("not estimable").all()
    assert table.loc[table["claim"] == "cpm.naive", "holds"].notna().all()
    null = table.assign(cohort=0)
    counted, moved = curves.shares(table, null), curves.movers(table)
    assert "not estimable" in curves.said("cpm.naive_recurrent", counted, moved)
    shown = curves.table_shares(counted, moved)
    assert (shown["Holds in"] == "not estimable").sum() == 2
    assert "not varied" in table_choices(table).set_index("Choice").loc["Diameter (mm)", "Levels"]
    nothing = table[table["claim"] == "cpm.naive_recurrent"]
    assert figure_specifications(nothing, null.iloc[:0], "difference").get_label()


def test_the_figure_marks_the_printed_analyses():
    own = specified()[specified()["claim"] == "cpm.naive"]
    figure = figure_specifications(own, own.assign(cohort=0), "association")
    curve, matrix = figure.axes
    diamonds = curve.collections[-1].get_offsets()
    printed = own.loc[own["printed_analysis"], "effect"]
    np.testing.assert_allclose(np.sort(diamonds[:, 1]), np.sort(printed))
    assert len(matrix.lines) == len(printed)
    picture = matrix.images[0].get_array()
    assert picture.shape[1] == own["effect"].notna().sum()


def test_what_moves_a_claim_is_compared_with_all_else_equal():
    table = specified()
    moved = curves.movers(table).set_index(["claim", "choice"])
    own = table[(table["claim"] == "cpm.naive") & (table["statistic"] != "mixed model")]
    means = own.groupby("unit")["effect"].mean()
    wanted = means.max() - means.min()
    assert moved.loc[("cpm.naive", "unit"), "difference"] == pytest.approx(wanted, rel=1e-12)
    own = table[(table["claim"] == "adc.naive") & (table["shift"] == 0)]
    means = own[own["weighting"] == "voxel-centre"].groupby("diameter")["effect"].mean()
    found = moved.loc[("adc.naive", "diameter")]
    assert found["difference"] == pytest.approx(means.max() - means.min(), rel=1e-12)
    assert found["high"] == means.idxmax()


def test_null_cohorts_keep_each_patient_s_values_together(cohort):
    samples = cohort.samples
    dealt = null_cohort(samples, "he_cellularity", np.random.default_rng(1))

    def sets(table: pd.DataFrame) -> pd.Series:
        return table.groupby("participant_id")["he_cellularity"].agg(lambda v: tuple(sorted(v)))

    before, after = sets(samples), sets(dealt)
    assert sorted(before) == sorted(after)
    alone = before.map(len).map(before.map(len).value_counts()) == 1
    assert ((before != after) | alone).all()
    assert dealt.drop(columns="he_cellularity").equals(samples.drop(columns="he_cellularity"))


@pytest.mark.slow
def test_a_single_specification_finds_something_in_one_of_twenty_null_cohorts():
    rng = np.random.default_rng(20)
    few = {"unit": ("samples",), "rout_q": (0.0,), "rout_k": (), "estimation": (), "test": ()}
    found = []
    for _ in range(600):
        x, y = rng.normal(size=(2, 34))
        samples = pd.DataFrame({"cpm": x, "he_cellularity": y, "treatment": "treatment-naive"})
        samples["participant_id"] = np.arange(34).astype(str)
        found.append(specifications([Variant(samples)], OPTIONS, [CLAIM["cpm.naive"]], few))
    table = pd.concat(found)
    share = (table["p"] < 0.05).groupby(table["statistic"]).mean()
    # Four standard errors of a share of 5 % in 600 cohorts: 4 * sqrt(0.05 * 0.95 / 600).
    assert share.to_dict() == pytest.approx({"line": 0.05, "Spearman": 0.05}, abs=0.036)
    one_sided = table["holds"].astype(float).groupby(table["statistic"]).mean()
    assert (one_sided < 0.025 + 0.026).all()


@pytest.mark.parametrize("q", [0, 0.001, 0.02, 0.3])
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_another_q_needs_no_other_fit(q, seed):
    x, y = np.random.default_rng(seed).standard_t(2, size=(2, 25))
    np.testing.assert_array_equal(outliers_at(rout_line(x, y), q), rout_line(x, y, q).outlier)


@pytest.mark.parametrize(
    ("given", "z", "p"),
    [
        # psych 2.2.9: r.test(n = 34, r12 = .41, r34 = -.12, n2 = 32)
        ((0.41, 34, -0.12, 32), 2.152926, 0.03132447),
        ((0.41, 34, 0.41, 12), 0.0, 1.0),
    ],
)
def test_correlations_of_different_samples_as_in_psych(given, z, p):
    row = compare_independent(*given).iloc[0]
    assert abs(row["z"]) == pytest.approx(z, abs=1e-6)  # psych prints seven digits
    assert row["p"] == pytest.approx(p, abs=1e-8)


@pytest.mark.parametrize("given", [(0.5, 3, 0.1, 20), (1.0, 10, 0.1, 20), (np.nan, 10, 0.1, 20)])
def test_correlations_that_cannot_be_compared(given):
    assert compare_independent(*given)["note"].item().startswith("not estimable")


def test_the_choices_are_those_of_the_page_of_decisions():
    text = (ROOT / "book" / "decisions.md").read_text("utf-8")
    rows = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    for choice in CHOICES:
        assert not choice.decision or choice.decision in rows, choice.name
        assert choice.kind in ("arbitrary", "principled")
