"""The R scripts, run again, still give the committed reference."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies import ROOT

REFERENCE = ROOT / "tests" / "reference"

pytestmark = [
    pytest.mark.r,
    pytest.mark.skipif(shutil.which("Rscript") is None, reason="Rscript is not on the PATH"),
]


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    for script in sorted(REFERENCE.glob("*.R")):
        command = ["Rscript", "--vanilla", str(script), str(REFERENCE), str(folder)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{script.name}: {run.stderr}"
    return folder


@pytest.mark.parametrize(
    "name", ["sleepstudy.csv", "random_designs.csv.gz", "classic_data.csv", "two_optima.csv"]
)
def test_data_are_the_same(name: str, remade: Path, tmp_path: Path) -> None:
    if name == "two_optima.csv":
        main(tmp_path)
        remade = tmp_path
    pd.testing.assert_frame_equal(
        pd.read_csv(remade / name), pd.read_csv(REFERENCE / name), check_exact=True
    )


def main(output: Path) -> None:
    """Run the one reference script that is not R."""
    runpy.run_path(str(REFERENCE / "two_optima.py"))["main"](output)


def test_mixed_models_are_the_same(remade: Path) -> None:
    new, old = (
        pd.read_csv(folder / "mixed_model.csv").set_index(["name", "estimation"])
        for folder in (remade, REFERENCE)
    )
    assert (new.index == old.index).all()
    assert (new["n"] == old["n"]).all()
    # The optimiser's last steps differ between machines: theta to about 1e-7, more at 0.
    np.testing.assert_allclose(new["theta"], old["theta"], atol=1e-4)
    np.testing.assert_allclose(new["log_likelihood"], old["log_likelihood"], atol=1e-8)
    for effect in ("intercept", "slope"):
        se = old[f"se_{effect}"]
        np.testing.assert_allclose(new[effect] / se, old[effect] / se, atol=1e-6)
        np.testing.assert_allclose(new[f"se_{effect}"], se, rtol=1e-6)
        # Numerical derivatives at those steps.
        np.testing.assert_allclose(new[f"df_{effect}"], old[f"df_{effect}"], rtol=5e-5)
    np.testing.assert_allclose(new["p_slope"], old["p_slope"], rtol=5e-5)


def test_statistics_of_the_map_s_quality_are_the_same(remade: Path) -> None:
    new, old = (
        json.loads((folder / "map_quality.json").read_text()) for folder in (remade, REFERENCE)
    )
    assert new.keys() == old.keys()
    for part, values in old.items():
        for key, value in values.items():
            if key == "subject":
                assert new[part][key] == value
            else:
                # lmerTest differentiates numerically, at the optimiser's last step
                np.testing.assert_allclose(new[part][key], value, rtol=1e-5)


def test_group_tests_are_the_same(remade: Path) -> None:
    new, old = (
        json.loads((folder / "group_tests.json").read_text()) for folder in (remade, REFERENCE)
    )
    assert new.keys() == old.keys()
    for kind in old:
        for one, other in zip(new[kind], old[kind], strict=True):
            assert one.keys() == other.keys()
            for key, value in other.items():
                if isinstance(value, str) or value is None:
                    assert one[key] == value
                else:
                    # Fifteen digits are stored; linear algebra libraries differ in the last few.
                    np.testing.assert_allclose(one[key], value, rtol=1e-9, atol=1e-12)


def test_statcheck_judges_the_same(remade: Path) -> None:
    new, old = (pd.read_csv(folder / "statcheck.csv", dtype=str) for folder in (remade, REFERENCE))
    pd.testing.assert_frame_equal(new, old, check_exact=True)
