"""Cohorts of several seeds: what is kept of them, and what they say of print."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

import cpmlib
from cpmlib.paper.analysis import regenerate
from cpmlib.study.dataset import read_dataset, read_tables
from cpmlib.study.options import AnalysisOptions
from cpmsurrogate import compare
from cpmsurrogate.calibration.cohort import calibrate
from cpmsurrogate.kept_cohorts import cohort_text, read_cohorts, say_failed, write_cohorts
from cpmsurrogate.recipe import Recipe

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "data" / "cohorts.json"
RECIPE = ROOT / "data" / "surrogate_recipe.json"
COMMITTED = ROOT / "data" / "surrogate"
CHEAPEST = 12
"""The seed whose search is the shortest."""


def test_cohorts_are_kept_with_the_recipe_of_the_default_one():
    kept = read_cohorts(KEPT)
    assert len(kept.cohorts) == 20
    assert kept.version == cpmlib.__version__
    recipe = Recipe.read(RECIPE)
    assert dataclasses.replace(kept.recipe, seed=recipe.seed) == recipe
    tables = read_tables(COMMITTED)[:2]
    assert cohort_text(recipe.seed, *tables) in KEPT.read_text("utf-8")


def test_what_is_kept_of_a_cohort_is_all_that_the_analysis_reads():
    seed = Recipe.read(RECIPE).seed
    options = AnalysisOptions()
    cohort = read_cohorts(KEPT).cohorts[seed]
    kept = regenerate(cohort, options)
    assert kept == pytest.approx(regenerate(read_dataset(COMMITTED), options), rel=0, nan_ok=True)


@pytest.mark.slow
def test_a_kept_cohort_is_made_again_byte_by_byte(published):
    recipe = dataclasses.replace(read_cohorts(KEPT).recipe, seed=CHEAPEST)
    made = calibrate(published, recipe)
    assert cohort_text(CHEAPEST, made.participants, made.samples) in KEPT.read_text("utf-8")


@pytest.mark.slow
def test_every_kept_cohort_gives_the_printed_values(sought):
    for seed, cohort in read_cohorts(KEPT).cohorts.items():
        values = regenerate(cohort, AnalysisOptions())
        assert [t.id for t in sought.values() if t.miss(values[t.id])] == [], seed


def test_a_seed_that_failed_is_named(tmp_path):
    path = tmp_path / "cohorts.json"
    tables = read_tables(COMMITTED)[:2]
    write_cohorts(path, Recipe(), "0", {4: tables}, {8: ["desc.he_mean"]})
    kept = read_cohorts(path)
    assert kept.failed == {8: ["desc.he_mean"]}
    assert say_failed(kept) == "Of 2 seeds that were tried, these gave none: 8."
    assert "8" not in say_failed(dataclasses.replace(kept, failed={}))


def test_quantities_are_those_of_the_table():
    samples = read_dataset(COMMITTED).samples
    found = compare.quantities(read_dataset(COMMITTED), AnalysisOptions())
    for column, grouping, levels in (
        ("idh", "idh", ("wild-type", "mutant")),
        ("treatment", "treatment", ("treatment-naive", "recurrent")),
    ):
        table = samples.groupby(column)["he_cellularity"].agg(["mean", "std", "size"])
        for side, level in zip("ab", levels, strict=True):
            names = (f"he_mean_{side}", f"he_sd_{side}", f"n_{side}")
            ours = [found[f"group.{grouping}.{name}"] for name in names]
            assert ours == pytest.approx(list(table.loc[level])), level
        difference = table["mean"][levels[0]] - table["mean"][levels[1]]
        assert found[f"group.{grouping}.he_difference"] == pytest.approx(difference)


@pytest.fixture
def invented_cohorts():
    """Two cohorts in which every quantity is 1, but for those named here."""
    equal = {quantity.id: 1.0 for quantity in compare.QUANTITIES}
    interval = {"icc.adc.ci_low": 0.1, "icc.adc.ci_high": 0.7}
    interval |= {"icc.he_cellularity.ci_low": 0.1, "icc.he_cellularity.ci_high": 0.7}
    a = {"group.idh.he_difference": -30.0, "group.idh.he_p": 0.2, "icc.cpm": 0.301}
    b = {"group.idh.he_difference": 40.0, "group.idh.he_p": 0.01, "icc.cpm": 0.299}
    a |= {"icc.adc": 0.40, "icc.he_cellularity": 0.40}
    b |= {"icc.adc": 0.45, "icc.he_cellularity": 0.47}
    return {"a": equal | interval | a, "b": equal | interval | b}


@pytest.mark.parametrize(
    ("id", "printed", "left"),
    [
        ("desc.he_mean", "1", compare.MET),
        ("desc.he_mean", "3", compare.NOT_MET),
        ("desc.he_mean", None, compare.SAME),
        ("icc.cpm", None, compare.SAME),  # as the page shows it
        ("icc.adc", None, compare.NEARLY),
        ("icc.he_cellularity", None, compare.OPEN),
        ("group.idh.he_difference", None, compare.BOTH_SIGNS),
        ("group.idh.he_p", None, compare.BOTH_SIDES),
    ],
)
def test_what_print_leaves_open_is_told_by_the_cohorts(invented_cohorts, id, printed, left):
    published = pd.DataFrame({"printed": {id: printed} if printed else {}}, dtype=str)
    table = compare.spread(invented_cohorts, {}, published).set_index("id")
    assert table.loc[id, "left"] == left


def test_sentences_follow_the_cohorts(invented_cohorts):
    table = compare.spread(invented_cohorts, {}, pd.DataFrame({"printed": {"desc.he_mean": "3"}}))
    said = compare.say_groups(table)
    assert "Which has more cells on H&E is open for IDH wild-type and IDH mutant." in said
    assert "higher in HGG than in LGG samples in every cohort" in said
    assert "Whether p is below 0.05 is open for IDH wild-type and IDH mutant." in said
    assert "Mean H&E, all samples: 3 is printed, and the cohorts have 1." in compare.say_missed(
        table
    )
    agreeing = {
        name: values | {"group.idh.he_p": 0.01} for name, values in invented_cohorts.items()
    }
    table = compare.spread(agreeing, {}, pd.DataFrame({"printed": {"desc.he_mean": "1"}}))
    assert "p is below" not in compare.say_groups(table)
    assert compare.say_missed(table) == "The cohorts have all of the printed ones."


def test_a_dataset_without_a_quantity_is_said_to_be(invented_cohorts):
    table = compare.spread(invented_cohorts, {}, pd.DataFrame({"printed": {}}, dtype=str))
    assert set(compare.table_spread(table)["This dataset"]) == {"not estimable"}
