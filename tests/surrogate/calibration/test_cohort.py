"""From printed values to a dataset: the invented study, the command line, the committed cohort."""

from __future__ import annotations

import dataclasses
import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cpmlib.paper.analysis import regenerate
from cpmlib.study.dataset import read_dataset, read_tables
from cpmlib.study.options import AnalysisOptions
from cpmlib.study.published import read_published
from cpmlib.study.schemas import CALIBRATED
from cpmsurrogate.__main__ import main
from cpmsurrogate.calibration.cohort import LABEL, calibrate
from cpmsurrogate.calibration.solve import Settings
from cpmsurrogate.calibration.targets import make_targets
from cpmsurrogate.compare import compare
from cpmsurrogate.recipe import Recipe

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "data" / "surrogate_recipe.json"
COMMITTED = ROOT / "data" / "surrogate"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_invented_study_is_met_by_another_cohort(invented, tmp_path, capsys):
    out, report = tmp_path / "dataset", tmp_path / "report"
    status = run("--published", invented, "--seed", 0, "--out", out, "--report", report)
    assert status == 0
    assert "32 of 32 printed values met" in capsys.readouterr().out
    dataset = read_dataset(out)
    assert dataset.label == LABEL
    assert (len(dataset.participants), len(dataset.samples)) == (10, 25)
    values = regenerate(dataset, AnalysisOptions())
    for target in make_targets(read_published(invented)).values():
        assert target.miss(values[target.id]) == 0, target.id
    counted = dataset.samples["he_nuclei"] / dataset.samples["he_tissue_area"]
    assert np.array_equal(counted.round(1), dataset.samples["he_cellularity"])
    trace = pd.read_csv(report / "trace.tsv", sep="\t")
    assert trace["met"].iloc[-1] == 32
    again = tmp_path / "again"
    run("--published", invented, "--seed", 0, "--out", again, "--quiet")
    for name in ("participants.tsv", "samples.tsv", "dataset_description.json"):
        assert filecmp.cmp(out / name, again / name, shallow=False)


def test_another_analysis_is_met_too(invented):
    options = AnalysisOptions(
        mixed_model_test="wald-z", mixed_model_estimation="ML", rout_q=0.0, n_draws=10
    )
    found = calibrate(read_published(invented), Recipe(seed=2), options)
    assert found.missed.empty


def test_unreachable_value_gives_the_best_cohort_and_fails(invented, tmp_path, capsys):
    from invented_study import write_published

    # The mean of CPM and H&E fix the RMSE to at least their difference.
    path = write_published(tmp_path / "values.tsv", {"corr.whole.cpm.rmse": "300"})
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"thorough": 1, "search": {"iterations": 45}}))
    common = ("--published", path, "--recipe", recipe, "--attempts", 1, "--quiet")
    assert run(*common, "--out", tmp_path / "a") == 1
    shown = capsys.readouterr().out
    assert "missed: corr.whole.cpm.rmse: printed 300, found" in shown
    assert (tmp_path / "a" / "samples.tsv").exists()
    assert run(*common, "--out", tmp_path / "a", "--allow-misses") == 0


def test_contradictory_print_stops_before_the_search(invented, tmp_path, capsys):
    from invented_study import write_published

    path = write_published(tmp_path / "values.tsv", {"desc.cpm_mean": "99999"})
    assert run("--published", path, "--out", tmp_path / "out") == 2
    assert "a mean of 99999 lies outside" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_are_named(tmp_path, capsys):
    assert run("--published", tmp_path / "none.tsv", "--out", tmp_path / "out") == 2
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"sead": 1}')
    assert run("--recipe", recipe, "--published", ROOT / "data/published-values.tsv",
               "--out", tmp_path / "out") == 2  # fmt: skip
    assert "recipe: 'sead' is not known" in capsys.readouterr().err


def test_grouping_without_nos_is_refused(published):
    with pytest.raises(ValueError, match="every sample is classified"):
        calibrate(published, Recipe(), AnalysisOptions(grade_grouping="cns5"))


@pytest.mark.parametrize("absolute", [False, True])
def test_the_print_is_the_paper_s_however_its_path_is_written(tmp_path, monkeypatch, absolute):
    monkeypatch.chdir(ROOT)
    participants, samples, _ = read_tables(COMMITTED)
    result = SimpleNamespace(
        participants=participants,
        samples=samples,
        checks=[],
        n_met=0,
        attempts=1,
        missed=pd.DataFrame(),
    )
    monkeypatch.setattr("cpmsurrogate.__main__.calibrate", lambda *_: result)
    path = Path("data/published-values.tsv")
    assert run("--published", path.resolve() if absolute else path,
               "--out", tmp_path / "out", "--allow-misses", "--quiet") == 0  # fmt: skip
    assert read_dataset(tmp_path / "out").relation == CALIBRATED


def test_a_cohort_that_lacks_a_value_of_the_print_misses_it(published):
    values = regenerate(read_dataset(COMMITTED), AnalysisOptions())
    lacking = str(published.index[0])
    values.pop(lacking)
    table = compare({"committed": values}, published)
    assert lacking in table["missed"][0].split()


def test_recipe_survives_its_file(tmp_path):
    recipe = Recipe(seed=3, further_outliers={"recurrent": 1}, search=Settings(iterations=9))
    path = tmp_path / "recipe.json"
    path.write_text(recipe.to_json())
    assert Recipe.read(path) == recipe
    assert dataclasses.asdict(Recipe.read(RECIPE))["further_outliers"] == {"recurrent": 2}


def _make(out: Path, seed: int | None = None, **environment: str) -> Path:
    command = [sys.executable, "-m", "cpmsurrogate", "--recipe", str(RECIPE)]
    command += ["--out", str(out), "--quiet"] + (["--seed", str(seed)] if seed else [])
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **environment})
    return out


def _same(first: Path, second: Path) -> bool:
    names = sorted(path.name for path in first.iterdir() if path.suffix in (".tsv", ".json"))
    return filecmp.cmpfiles(first, second, names, shallow=False)[0] == names


@pytest.mark.slow
def test_committed_cohort_is_regenerated_byte_by_byte(tmp_path):
    assert _same(_make(tmp_path / "out"), COMMITTED)


@pytest.mark.slow
def test_older_processor_gives_the_same_bytes(tmp_path):
    # Other kernels of the linear algebra and of NumPy's loops, whose last bits differ.
    older = {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL",
        "OMP_NUM_THREADS": "2",
    }
    assert _same(_make(tmp_path / "out", **older), COMMITTED)


@pytest.mark.slow
def test_another_seed_meets_the_same_values_with_other_numbers(tmp_path, sought):
    other, committed = read_dataset(_make(tmp_path / "7", 7)), read_dataset(COMMITTED)
    for dataset in (other, committed):
        values = regenerate(dataset, AnalysisOptions())
        assert [t.id for t in sought.values() if t.miss(values[t.id])] == []
    assert not np.isin(other.samples["cpm"], committed.samples["cpm"]).all()
