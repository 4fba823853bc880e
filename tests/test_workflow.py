"""What the workflow takes a page to depend on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cpmlib.images import write_image
from studies import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import dependencies
import graph

RAW = (
    "{0}/anat/{0}_T1w",
    "{0}/anat/{0}_ce-gadolinium_T1w",
    "{0}/anat/{0}_FLAIR",
    "{0}/dwi/{0}_ADC",
)


def put_images(study: Path, patient: str, *names: str) -> None:
    """Add images, too small to be used but whole."""
    for name in names:
        image = nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4))
        write_image(study / f"{name.format(patient)}.nii.gz", image)


def modules(script: str) -> set[str]:
    return {path.removeprefix("src/cpmlib/") for path in dependencies.library_files(script)}


def test_a_notebook_needs_its_modules_and_theirs():
    needed = modules("notebooks/03_correlations.md")
    assert {"rout.py", "correlation.py", "paper/correlations.py", "results.py"} <= needed
    assert "mixed_model.py" not in needed
    assert "group_comparison.py" not in needed


def test_the_cohort_page_needs_no_statistics_of_association():
    assert not {"rout.py", "meng.py", "mixed_model.py"} & modules("notebooks/01_cohort.md")


def test_the_whole_library_is_every_module():
    listed = dependencies.library_files(None)
    assert "src/cpmlib/rout.py" in listed
    assert "src/cpmlib/paper/groups.py" in listed


@pytest.mark.slow
def test_real_imports_are_among_the_declared_ones():
    """Python itself says which modules a notebook loads; each must be declared."""
    import subprocess

    for name in dependencies.notebook_names():
        source = (ROOT / "notebooks" / f"{name}.md").read_text("utf-8")
        imports = [
            line
            for cell in dependencies._CELL.findall(source)
            for line in cell.splitlines()
            if line.startswith(("import ", "from "))
        ]
        imports.append("import sys; print(*[m for m in sys.modules if m.startswith('cpmlib')])")
        run = subprocess.run(
            [sys.executable, "-c", "\n".join(imports)], capture_output=True, text=True, check=True
        )
        declared = modules(f"notebooks/{name}.md")
        for module in run.stdout.split():
            path = module.replace(".", "/").removeprefix("cpmlib").lstrip("/")
            assert {f"{path}.py", f"{path}/__init__.py".lstrip("/")} & declared, (name, module)


def test_implied_edges_are_left_out_of_the_drawing():
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    assert graph.needed(edges) == [("a", "b"), ("b", "c")]
    assert graph.levels(dict.fromkeys("abc", ""), edges) == {"a": 0, "b": 1, "c": 2}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Point the workflow at an empty folder for what it builds."""
    import prepare

    for module in (dependencies, prepare):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    (tmp_path / "build").mkdir()
    return tmp_path


def settle(project, **options: str) -> None:
    """Write what the driver writes for a study."""
    chosen = {"cpm_normalise": "output"} | options
    (project / "build" / "image_options.json").write_text(json.dumps(chosen))
    settings = {"dataset": "build/source", "surrogate": False, "profile": "light"}
    (project / "build" / "settings.json").write_text(json.dumps(settings | {"model": "trained"}))


def test_a_model_is_needed_only_by_a_patient_whose_map_is_predicted(project, study):
    import prepare

    put_images(study, "sub-01", *RAW)
    put_images(study, "sub-02", "derivatives/x/{0}/anat/{0}_cpm", "derivatives/x/{0}/dwi/{0}_ADC")
    settle(project)
    prepare.prepare_study(study)
    assert dependencies.patients() == ["sub-01", "sub-02"]
    assert dependencies.image_jobs(["sub-01"])
    assert not dependencies.image_jobs(["sub-02"])
    assert dependencies.model_scaling() == "none"
    settle(project, cpm_normalise="input")
    assert dependencies.model_scaling() == "whole-brain-SD"
