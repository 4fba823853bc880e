"""The maps as BIDS derivatives, against the official validator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cpmlib.mri.images import write_image
from cpmlib.study.derivatives import FOLDER, IGNORED, MADE, description, sidecar
from cpmlib.study.files import find_patient

IMAGE = nib.Nifti1Image(np.ones((3, 4, 5), np.float32), np.eye(4))
STUDIES = {
    "contrasts": ("anat/{0}_T1w", "anat/{0}_ce-gadolinium_T1w", "anat/{0}_FLAIR", "dwi/{0}_ADC"),
    "series": ("anat/{0}_ce-gadolinium_T1w", "dwi/{0}_dwi", "perf/{0}_dsc"),
    "an ADC alone": ("dwi/{0}_ADC",),
    "a CPM alone": ("../derivatives/ours/{0}/{0}_cpm",),
    "both": ("dwi/{0}_ADC", "../derivatives/ours/{0}/{0}_cpm"),
    "an rCBV alone": ("perf/{0}_rcbv",),
}


@pytest.fixture(params=STUDIES)
def build(request, tmp_path: Path) -> Path:
    """Derivatives of every kind that a study allows."""
    for name in STUDIES[request.param]:
        path = tmp_path / "study" / "sub-01" / f"{name.format('sub-01')}.nii.gz"
        write_image(Path(os.path.normpath(path)), IMAGE)
    files = find_patient(tmp_path / "study", "sub-01", [])
    folder = tmp_path / FOLDER
    finished = [kind for kind in ("ADC", "CPM", "rCBV") if kind in files.images]
    made = list(MADE)
    if len(finished) == len(
        files.images
    ):  # of maps without anatomy, what `cpmlib.cpm.patient_maps` makes
        made = ["mask", *(["ADC"] if "ADC" in finished else [])]
    for kind in made:
        path = folder / "sub-01" / MADE[kind].path.format("sub-01")
        write_image(path, IMAGE)
        content = sidecar(kind, files, tmp_path / "study", made)
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(content))
    (folder / "dataset_description.json").write_text(json.dumps(description("A study")))
    (folder / ".bidsignore").write_text(IGNORED)
    return tmp_path


def test_the_official_validator_finds_no_error(build):
    program = Path(sys.executable).with_name("bids-validator-deno")
    run = subprocess.run(
        [program, "--json", build / FOLDER], capture_output=True, text=True, check=False
    )
    issues = json.loads(run.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_sources_exist_and_tell_no_path_of_the_machine(build):
    for path in (build / FOLDER).rglob("*.json"):
        text = path.read_text()
        assert str(build) not in text
        content = json.loads(text)
        if path.name.startswith("sub-"):
            assert content["Sources"]
            for uri in {*content["Sources"], content.get("SpatialReference")} - {None}:
                scheme, dataset, name = uri.split(":")
                assert scheme == "bids"
                assert (build / (dataset or FOLDER) / name).is_file(), uri
