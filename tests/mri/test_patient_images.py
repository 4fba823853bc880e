"""A patient's images as a whole: what is read, what is refused, what is made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cpmlib.cpm.patient_maps import PatientMaps, make_maps
from cpmlib.mri.images import write_image
from cpmlib.mri.patient import check_patient, missing_contrasts, read_patient, without_contrasts
from cpmlib.roi.extraction import count_samples, extract_regions, fill_measured
from cpmlib.study.errors import DatasetError
from cpmlib.study.files import find_patient
from cpmlib.study.options import ImageOptions

TARGETS = pd.DataFrame(
    {"sample_id": ["sample-1"], "target_x": [10.0], "target_y": [-20.0], "target_z": [15.0]}
)
STEP = 6.0


def head(value: float = 500.0, seed: int = 0) -> nib.Nifti1Image:
    """Make a ball of brain, 140 mm across, in a field of view of 180 mm."""
    n = int(180 / STEP)
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = -STEP * (n - 1) / 2
    i = np.indices((n, n, n)).reshape(3, -1)
    distance = np.linalg.norm(affine[:3, :3] @ i + affine[:3, 3:], axis=0).reshape(n, n, n)
    noise = np.random.default_rng(seed).normal(1, 0.02, (n, n, n))
    return nib.Nifti1Image((value * (distance < 70) * noise).astype(np.float32), affine)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "sub-01"
    write_image(folder / "anat" / "sub-01_T1w.nii.gz", head())
    write_image(folder / "anat" / "sub-01_ce-gadolinium_T1w.nii.gz", head(550, 1))
    write_image(folder / "anat" / "sub-01_FLAIR.nii.gz", head(300, 2))
    write_image(folder / "dwi" / "sub-01_ADC.nii.gz", head(800, 3))
    return tmp_path


def patient(study: Path):
    return find_patient(study, "sub-01", ["sample-1"])


def series(study: Path, directions: int = 6) -> Path:
    """Replace the scanner's ADC by a diffusion series of a uniform ADC."""
    (study / "sub-01" / "dwi" / "sub-01_ADC.nii.gz").unlink()
    base = np.asarray(head(900).dataobj)
    vectors = np.array([[1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]])
    vectors = vectors[:directions] / np.sqrt(2)
    weighted = base[..., None] * np.exp(-0.9) * np.ones(len(vectors), np.float32)
    values = np.concatenate([base[..., None], weighted], axis=3).astype(np.float32)
    stem = study / "sub-01" / "dwi" / "sub-01_dwi"
    write_image(stem.with_suffix(".nii.gz"), nib.Nifti1Image(values, head().affine))
    stem.with_suffix(".bval").write_text(" ".join(["0"] + ["1000"] * len(vectors)) + "\n")
    rows = np.vstack([np.zeros(3), vectors]).T
    stem.with_suffix(".bvec").write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n")
    return stem


def test_a_whole_patient_is_read(study):
    images = read_patient(patient(study))
    assert set(images.volumes) == {"T1w", "T1wGd", "FLAIR", "ADC"}
    assert images.can_predict
    assert check_patient(patient(study)) == []


def test_a_missing_contrast_is_named(study):
    (study / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz").unlink()
    images = read_patient(patient(study))
    assert missing_contrasts(images.kinds) == ["FLAIR"]
    (problem,) = without_contrasts("sub-01", images.kinds)
    assert str(problem).startswith("sub-01: found no FLAIR (FLAIR)")


def test_every_broken_file_is_named_at_once(study):
    for name in ("anat/sub-01_T1w", "dwi/sub-01_ADC"):
        path = study / "sub-01" / f"{name}.nii.gz"
        path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DatasetError) as error:
        read_patient(patient(study))
    assert "2 problems" in str(error.value)
    assert "sub-01_T1w.nii.gz" in str(error.value)
    assert "sub-01_ADC.nii.gz" in str(error.value)


def test_headers_tell_a_series_from_a_volume(study):
    write_image(
        study / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz",
        nib.Nifti1Image(np.ones((4, 4, 4, 3), np.float32), np.eye(4)),
    )
    problems = check_patient(patient(study))
    assert len(problems) == 1
    assert "4 dimensions" in str(problems[0])


def test_the_adc_comes_from_the_series(study):
    series(study)
    images = read_patient(patient(study))
    assert images.can_predict
    maps = make_maps(images, None)
    values = np.asarray(maps.maps["ADC"].dataobj)
    inside = np.asarray(maps.maps["mask"].dataobj) > 0
    # exp(-0.9) at b = 1000 s/mm2 is 900e-6 mm2/s in every direction.
    assert np.nanmedian(values[inside]) == pytest.approx(900, rel=1e-4)


def test_trace_images_without_directions_are_read_as_the_remedy_says(study):
    """dcm2niix writes directions of directional series only, for trace images a .bval alone."""
    stem = series(study, 1)
    bvec = stem.with_suffix(".bvec")
    bvec.unlink()
    (problem,) = check_patient(patient(study))
    assert problem.file == "sub-01_dwi.bvec"
    assert problem.remedy.endswith("with three rows of zeros")
    bvec.write_text("0 0\n0 0\n0 0\n")
    assert check_patient(patient(study)) == []
    maps = make_maps(read_patient(patient(study)), None)
    inside = np.asarray(maps.maps["mask"].dataobj) > 0
    # exp(-0.9) at b = 1000 s/mm2
    assert np.nanmedian(np.asarray(maps.maps["ADC"].dataobj)[inside]) == pytest.approx(
        900, rel=1e-4
    )
    assert any("averages over directions" in note for note in maps.notes)


def append(stem: Path, b: float, value: float) -> None:
    """Append a volume without a direction, as scanners append maps to a series."""
    image = nib.load(stem.with_suffix(".nii.gz"))
    values = np.concatenate(
        [np.asarray(image.dataobj), np.asarray(head(value, 5).dataobj)[..., None]], axis=3
    )
    write_image(stem.with_suffix(".nii.gz"), nib.Nifti1Image(values, image.affine))
    for end, more in (("bval", f"{b:g}"), ("bvec", "0")):
        path = stem.with_suffix(f".{end}")
        rows = path.read_text().splitlines()
        path.write_text("".join(f"{row} {more}\n" for row in rows))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (900, None),
        (855, None),  # scaling between scans
        (800, r"ADC: a median signal of the brain of \S+ to \S+ in the volumes of b = 0; look"),
        (560, "dwi.*: found a median signal of the brain of .* in the volumes of b = 0; expected"),
        (0.0008, "expected about the same signal in all of them"),
    ],
)
def test_another_quantity_at_the_end_of_a_series_is_told(study, value, said):
    """An ADC map as one more volume at b = 0 gave 688 where the ADC is 800."""
    append(series(study), 0, value)
    images = read_patient(patient(study))
    if said and "expected" in said:
        with pytest.raises(DatasetError, match=said):
            make_maps(images, None)
        return
    found = [n for n in make_maps(images, None).notes if "median signal" in n]
    assert len(found) == (said is not None)
    assert all(re.match(said or "", note) for note in found)


def test_a_lost_volume_is_named(study):
    stem = series(study)
    image = nib.load(stem.with_suffix(".nii.gz"))
    values = np.asarray(image.dataobj).copy()
    values[..., 3] *= 0.3
    write_image(stem.with_suffix(".nii.gz"), nib.Nifti1Image(values, image.affine))
    with pytest.raises(DatasetError, match=r"b = 1000, \S+ in volume 4; expected about the same"):
        make_maps(read_patient(patient(study)), None)


def test_b_values_of_another_series_give_no_brain(study):
    stem = series(study)
    path = stem.with_suffix(".bval")
    path.write_text(path.read_text().replace("1000", "300"))
    with pytest.raises(
        DatasetError, match=r"a median ADC of 3000 in the brain.*check the b-values"
    ):
        make_maps(read_patient(patient(study)), None)


def test_texts_at_the_top_of_the_dataset_describe_every_series(study):
    """BIDS inheritance; what a text nearer to the series says goes first."""
    stem = series(study)
    for end in ("bval", "bvec"):
        stem.with_suffix(f".{end}").rename(study / f"dwi.{end}")
    perfusion = study / "sub-01" / "perf" / "sub-01_dsc.nii.gz"
    write_image(perfusion, nib.Nifti1Image(np.ones((4, 4, 4, 3), np.float32), np.eye(4)))
    (study / "dsc.json").write_text('{"RepetitionTime": 1.5, "EchoTime": 0.03}')
    (study / "sub-01" / "sub-01_dsc.json").write_text('{"EchoTime": 0.025}')
    assert check_patient(patient(study)) == []
    images = read_patient(patient(study))
    assert images.diffusion.bvals.tolist() == [0, *[1000] * 6]
    assert (images.perfusion.repetition_time, images.perfusion.echo_time) == (1.5, 0.025)


def test_a_map_that_is_aligned_to_another_image_is_noted(tmp_path):
    path = tmp_path / "derivatives" / "mine" / "sub-01" / "sub-01_cpm.nii.gz"
    path.parent.mkdir(parents=True)
    image = head(1300)
    image.set_sform(image.affine, 2)
    nib.save(image, path)
    maps = make_maps(read_patient(patient(tmp_path)), None)
    assert maps.notes[0].startswith("CPM: the header says that it is aligned to another image")
    assert maps.origins == {"CPM": "map of the study"}


def test_b_values_and_volumes_that_disagree(study):
    stem = series(study)
    stem.with_suffix(".bval").write_text("0 1000 1000 1000 1000 1000\n")
    stem.with_suffix(".bvec").write_text("\n".join(["0 1 0 0 1 0"] * 3) + "\n")
    with pytest.raises(DatasetError, match=r"sub-01_dwi"):
        read_patient(patient(study))
    stem.with_suffix(".bval").unlink()
    with pytest.raises(DatasetError, match=r"sub-01_dwi\.bval: found no such file"):
        read_patient(patient(study))


def test_directions_that_give_no_adc_are_told_before_an_image_is_read(study):
    series(study, directions=2)
    (problem,) = check_patient(patient(study))
    assert (problem.file, problem.found[:12]) == ("sub-01_dwi.nii.gz", "2 directions")
    for name in ("T1w", "ce-gadolinium_T1w"):
        (study / "sub-01" / "anat" / f"sub-01_{name}.nii.gz").unlink()
    assert check_patient(patient(study)) == [], "a series that nothing uses"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"RepetitionTime": 1.5}, "EchoTime"),
        ({"RepetitionTime": 1500, "EchoTime": 0.03}, "RepetitionTime"),
        ({"RepetitionTime": "1.5", "EchoTime": 0.03}, "RepetitionTime"),
        ({"RepetitionTime": True, "EchoTime": 0.03}, "RepetitionTime"),
        ({"RepetitionTime": 1.5, "EchoTime": 30}, "EchoTime.*below 0.5"),  # milliseconds
        ({"RepetitionTime": 0.03, "EchoTime": 0.4}, "one before the repetition"),
    ],
)
def test_times_of_a_perfusion_series(study, content, expected):
    stem = study / "sub-01" / "perf" / "sub-01_dsc"
    write_image(
        stem.with_suffix(".nii.gz"), nib.Nifti1Image(np.ones((4, 4, 4, 3), np.float32), np.eye(4))
    )
    stem.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=expected):
        read_patient(patient(study))
    stem.with_suffix(".json").unlink()
    with pytest.raises(DatasetError, match=r"sub-01_dsc\.json"):
        read_patient(patient(study))


@pytest.mark.parametrize(
    ("step", "unit", "differs"),
    [
        (1.5, "sec", False),
        (1.51, "sec", False),  # rounded by the converter
        (2.0, "sec", True),
        (1500.0, "msec", False),
        (1600.0, "msec", True),
        (1.0, "unknown", False),  # what a converter leaves that does not know
        (0.0, "sec", False),
    ],
)
def test_another_step_in_the_header_of_a_perfusion_series_is_noted(study, step, unit, differs):
    stem = study / "sub-01" / "perf" / "sub-01_dsc"
    image = nib.Nifti1Image(np.ones((4, 4, 4, 3), np.float32), np.eye(4))
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    stem.parent.mkdir()
    nib.save(image, stem.with_suffix(".nii.gz"))
    stem.with_suffix(".json").write_text('{"RepetitionTime": 1.5, "EchoTime": 0.03}')
    notes = read_patient(patient(study)).perfusion.notes
    assert len(notes) == differs
    assert all("RepetitionTime is 1.5 s, but the header's step is" in note for note in notes)


def test_finished_maps_are_used_as_they_are(tmp_path):
    folder = tmp_path / "derivatives" / "mine" / "sub-01"
    write_image(folder / "sub-01_cpm.nii.gz", head(1300))
    write_image(
        folder / "sub-01_ADC.nii.gz",
        nib.Nifti1Image(np.asarray(head(0.0009).dataobj), head().affine),
    )
    images = read_patient(patient(tmp_path))
    maps = make_maps(images, None)
    regions = extract_regions(maps, TARGETS, ImageOptions())
    assert regions["cpm"][0] == pytest.approx(1300, rel=0.1)  # the noise of one voxel
    # The file is in mm2/s, which the median tells.
    assert regions["adc"][0] == pytest.approx(900, rel=0.1)
    assert any("mm2/s" in note for note in maps.notes)


def test_a_target_outside_makes_no_number(tmp_path):
    write_image(tmp_path / "derivatives" / "mine" / "sub-01" / "sub-01_cpm.nii.gz", head(1300))
    maps = make_maps(read_patient(patient(tmp_path)), None)
    far = TARGETS.assign(target_x=400.0)
    with pytest.raises(DatasetError, match="sample-1"):
        extract_regions(maps, far, ImageOptions())


def test_samples_without_a_target_are_left_out(tmp_path):
    write_image(tmp_path / "derivatives" / "mine" / "sub-01" / "sub-01_cpm.nii.gz", head(1300))
    maps = make_maps(read_patient(patient(tmp_path)), None)
    nowhere = TARGETS.assign(target_x=np.nan, target_y=np.nan, target_z=np.nan)
    assert extract_regions(maps, nowhere, ImageOptions()).empty


def test_counts_are_read_per_sample(tmp_path):
    folder = tmp_path / "derivatives" / "qupath" / "sub-01"
    folder.mkdir(parents=True)
    text = "Image\tNum Detections\tArea µm^2\na.svs\t9101\t6313000\n"
    (folder / "sub-01_sample-1_annotations.tsv").write_text(text, encoding="utf-8")
    counts = count_samples(patient(tmp_path))
    assert counts["he_cellularity"].tolist() == [1441.6]
    assert counts["he_nuclei"].tolist() == [9101]
    (folder / "sub-01_sample-1_annotations.tsv").write_text("Image\tNum Detections\na\t9101\n")
    with pytest.raises(DatasetError, match="sample-1_annotations"):
        count_samples(patient(tmp_path))


def test_given_values_stay_and_columns_left_out_are_filled():
    samples = pd.DataFrame({"sample_id": ["a", "b", "c"], "adc": [900.0, np.nan, np.nan]})
    extracted = pd.DataFrame({"sample_id": ["b", "a"], "adc": [1000.0, 905.0], "cpm": [1.0, 2.0]})
    filled, origins = fill_measured(samples, extracted)
    np.testing.assert_array_equal(filled["adc"], [900.0, np.nan, np.nan])
    np.testing.assert_array_equal(filled["cpm"], [2.0, 1.0, np.nan])
    used = origins.set_index(["sample_id", "quantity"])["used"]
    assert used["a", "adc"] == "given"
    assert used["b", "adc"] == "left out"
    assert used["b", "cpm"] == "extracted"
    assert used["c", "cpm"] == "none"
    assert not origins["note"].any()


def test_one_value_of_a_sample_may_be_left_out():
    image = nib.Nifti1Image(np.full((30, 30, 30), 900, np.float32), np.eye(4))
    targets = pd.DataFrame({"sample_id": ["a", "b"], "target_y": 15.0, "target_z": 15.0})
    targets["target_x"] = [15.0, 400.0]
    targets["cpm_exclude_reason"] = [np.nan, "outside"]
    targets["adc_exclude_reason"] = ["artefact", "outside"]
    regions = extract_regions(PatientMaps({"CPM": image, "ADC": image}), targets, ImageOptions())
    assert regions["sample_id"].tolist() == ["a"]
    assert regions["cpm"].tolist() == [900]
    assert "adc" not in regions
    targets["target_x"] = 15.0
    targets["adc_exclude_reason"] = ["artefact", np.nan]
    regions = extract_regions(PatientMaps({"CPM": image, "ADC": image}), targets, ImageOptions())
    found = regions.set_index("sample_id")[["cpm", "adc"]]
    assert found.notna().to_numpy().tolist() == [[True, False], [False, True]]
