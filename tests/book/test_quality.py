"""Tables of quality control, and the book's names in place of a study's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cpmlib.book.quality import (
    extrapolation_warning,
    format_quality,
    format_spheres,
    format_tiles,
    spheres,
    tiles,
)
from cpmlib.book.study_images import StudyImages
from cpmlib.roi.extraction import contradicted, fill_measured


def put_files(study: Path, own: str, sample: str) -> None:
    for name in (
        f"{own}/dwi/{own}_ses-19520109_ADC.nii.gz",
        f"{own}/perf/{own}_acq-MuellerHans_dsc.nii.gz",
        f"{own}/perf/{own}_acq-MuellerHans_dsc.json",
        f"derivatives/qupath/{own}/{own}_{sample}_annotations.tsv",
    ):
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).touch()


@pytest.fixture
def images(tmp_path: Path) -> StudyImages:
    """Two patients whose own names are those of others in the book."""
    names = {"P01": ("sub-02", "sample-9"), "P02": ("sub-01", "sample-90")}
    index = {
        who: {"folder": own, "samples": {f"S0{who[-1]}": s}} for who, (own, s) in names.items()
    }
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "images.json").write_text(json.dumps(index))
    for who, (own, sample) in names.items():
        folder = tmp_path / "patients" / own
        folder.mkdir(parents=True)
        row = {"sample_id": [sample], "he_cellularity": [2000.0], "he_source": [None]}
        row |= {"found": [True], "from": [f"the ADC, {own}_ses-19520109_ADC.nii.gz"]}
        if who == "P02":
            row["he_source"] = [f"{own}_{sample}_annotations.tsv"]
            row |= {"he_tile_density": [1500.0], "cpm_extrapolation": [0.25]}
        pd.DataFrame(row).to_csv(folder / "samples.tsv", sep="\t", index=False, na_rep="n/a")
        put_files(tmp_path / "study", own, sample)
        note = f"{own}_{sample}_annotations.tsv: Tumor “Hans M.” not added"
        note += f"; {own}_ses-19520109_ADC.nii.gz: 9; {own}_acq-MuellerHans_dsc.json: 2 s"
        note += "; sub-x/other_name.nii.gz; see samples.json"
        report = {"notes": [note], "maps": [], "quality": {}, "mirrored": who == "P02" or None}
        (folder / "report.json").write_text(json.dumps(report))
    return StudyImages(tmp_path)


def test_no_name_of_a_study_is_shown(images):
    shown = images.notes()
    assert shown["participant_id"].tolist() == ["P01", "P02"]
    wanted = "annotations of S01: Tumor not added; apparent diffusion coefficient: 9"
    wanted += "; json of dynamic susceptibility contrast series: 2 s; a file; see samples.json"
    assert shown["note"][0] == wanted
    assert "S02" in shown["note"][1]
    table = images.table("samples")
    assert table["he_source"][1] == "annotations of S02"
    assert pd.isna(table["he_source"][0])
    assert table["from"][0] == "the ADC, apparent diffusion coefficient"
    assert table["found"].tolist() == [True, True]
    assert not table.astype(str).apply(lambda c: c.str.contains("sub-|sample-")).any().any()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see SUB-77_T1W.NII.GZ and Ses-1952", "see a file and a file"),
        ("Mueller_ACQ-Hans_dsc, RUN-1_bold", "a file, a file"),
        ("the task-related run-in of a multi-echo series", None),
        ("in Participants.tsv", None),
        ("SUB-02 is P01, Sample-9 is S01", "P01 is P01, S01 is S01"),
    ],
)
def test_names_are_known_whatever_their_capitals_and_words_are_none(images, text, shown):
    assert images.pseudonymous("P01", text) == (shown or text)


def test_patients_that_could_be_judged(images):
    assert images.mirrored() == [True]


def test_tiles_against_exports(images):
    compared = tiles(images.table("samples"))
    assert compared[["participant_id", "ratio"]].to_numpy().tolist() == [["P02", 0.75]]
    assert format_tiles(compared).iloc[0].tolist() == ["P02", "S02", "1500", "2000", "0.75"]


def test_spheres_to_look_at_come_first():
    regions = pd.DataFrame(
        {
            "participant_id": "P01",
            "sample_id": list("abcde"),
            "cpm_n_voxels": [8, 8, 4, 8, np.nan],
            "cpm_coverage": [1, 1, 0.5, 1, np.nan],
            "cpm_flag": [np.nan, np.nan, "partly outside the brain", np.nan, np.nan],
            "cpm_extrapolation": [0, 0.125, 0, 1, np.nan],
        }
    )
    listed = spheres(regions)
    assert listed["sample_id"].tolist() == list("dbca")
    shown = format_spheres(listed)
    assert shown.iloc[1].tolist() == ["P01", "b", "8", "1.00", "0.12", ""]
    assert shown["flag"][2] == "partly outside the brain"


def test_numbers_of_a_patient_have_no_powers_of_ten():
    numbers = {"brain_ml": 1899.47, "raw_sd": 206.8, "extrapolation_ADC": 3.2e-5}
    shown = format_quality(pd.DataFrame([numbers]))
    assert shown.iloc[0].tolist() == ["1899", "207", "0.00"]
    assert shown.columns[-1] == "ADC outside (%)"
    assert format_quality(pd.DataFrame([{}])).melt(var_name="quantity").empty


def test_maps_outside_the_training_range_are_said_loudly():
    table = pd.DataFrame({"participant_id": ["P01", "P02", "P03"]})
    assert extrapolation_warning(table) is None
    assert extrapolation_warning(table.assign(extrapolation_any=[0.0, np.nan, 0.0999])) is None
    said = extrapolation_warning(table.assign(extrapolation_any=[0.1, np.nan, 1.0]))
    assert said.startswith("WARNING: in 2 of 3 patients (P01, P03) 10 % or more")


def test_a_study_without_images_has_empty_tables():
    nothing = StudyImages("nowhere")
    assert format_spheres(spheres(nothing.table("samples"))).empty
    assert format_tiles(tiles(nothing.table("samples"))).empty
    assert format_quality(nothing.quality()).empty
    assert nothing.notes().empty
    assert extrapolation_warning(nothing.quality()) is None
    assert nothing.mirrored() == []


def test_origins_without_any_note_are_read_as_numbers(tmp_path):
    """A column that holds no text becomes float; to fill it with text will be an error."""
    samples = pd.DataFrame({"sample_id": ["a"], "adc": [900.0]})
    _, origins = fill_measured(samples, pd.DataFrame({"sample_id": ["a"], "adc": [901.0]}))
    path = tmp_path / "origins.tsv"
    origins.to_csv(path, sep="\t", index=False, na_rep="n/a")
    again = pd.read_csv(path, sep="\t", na_values="n/a")
    assert again["note"].dtype == float
    assert contradicted(again).empty


def test_no_name_of_a_file_is_said_to_be_an_origin(images, tmp_path):
    rows = [
        "sample_id\tquantity\tused\tgiven\textracted\tnote",
        "S01\tcpm\textracted\tn/a\t1500.5\tread from sub-02_ses-19520109_cpm.nii.gz",
        "S02\tadc\tgiven\t900\tn/a\tn/a",
    ]
    (tmp_path / "dataset" / "origins.tsv").write_text("\n".join(rows) + "\n")
    origins = images.origins()
    assert origins["note"][0] == "read from a file"
    assert origins["note"].isna().tolist() == [False, True]
    assert origins["extracted"][0] == 1500.5
