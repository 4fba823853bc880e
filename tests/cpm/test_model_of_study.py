"""Which model a study's maps were made by, whatever else lies in the build's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import trained

from cpmlib.book.study_images import StudyImages
from cpmlib.cpm.model_file import write_model


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Two patients, and the two models that builds of other choices left."""
    index = {who: {"folder": f"sub-{who}", "samples": {}} for who in ("P01", "P02")}
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "images.json").write_text(json.dumps(index))
    for scaling in ("none", "whole-brain-SD"):
        folder = tmp_path / "model" / scaling
        write_model(folder / "model.npz", trained(scaling.replace("-SD", " SD"))[0])
        (folder / "held_out.tsv").write_text(f"scaling\n{scaling}\n")
    return tmp_path


def report(build: Path, patient: str, model: str | None) -> None:
    folder = build / "patients" / f"sub-{patient}"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"model": model}))


@pytest.mark.parametrize("scaling", ["none", "whole-brain-SD"])
def test_the_model_is_the_one_that_predicted(build, scaling):
    report(build, "P01", None)
    report(build, "P02", scaling)
    images = StudyImages(build)
    model = images.model()
    assert model is not None
    assert model.card.input_scaling == scaling.replace("-SD", " SD")
    held_out = images.held_out()
    assert held_out is not None
    assert held_out["scaling"].tolist() == [scaling]


def test_finished_maps_have_no_model_though_an_earlier_build_left_some(build):
    for patient in ("P01", "P02"):
        report(build, patient, None)
    images = StudyImages(build)
    assert images.model() is None
    assert images.held_out() is None


def test_a_model_from_elsewhere_has_no_patches(build):
    report(build, "P01", "none")
    (build / "model" / "none" / "held_out.tsv").unlink()
    images = StudyImages(build)
    assert images.model() is not None
    assert images.held_out() is None


def test_a_study_in_tables_has_a_table_of_quality_without_rows():
    """A table without columns is none to the page builder."""
    found = StudyImages("nowhere").quality()
    assert list(found.columns) == ["participant_id", "maps"]
    assert found.empty
