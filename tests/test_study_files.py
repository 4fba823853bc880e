"""Which file is taken for what."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpmlib.errors import DatasetError
from cpmlib.study_files import find_patient, has_images, sidecars

RAW = "sub-01/anat/sub-01_{}.nii.gz"


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def kinds(root: Path) -> dict[str, str]:
    return {kind: path.name for kind, path in find_patient(root, "sub-01", []).images.items()}


def test_names_as_bids_has_them(tmp_path):
    make(
        tmp_path,
        RAW.format("T1w"),
        RAW.format("ce-gadolinium_T1w"),
        RAW.format("FLAIR"),
        "sub-01/dwi/sub-01_dwi.nii.gz",
        "sub-01/dwi/sub-01_dwi.bval",
        "sub-01/perf/sub-01_dsc.nii.gz",
    )
    assert kinds(tmp_path) == {
        "T1w": "sub-01_T1w.nii.gz",
        "T1wGd": "sub-01_ce-gadolinium_T1w.nii.gz",
        "FLAIR": "sub-01_FLAIR.nii.gz",
        "dwi": "sub-01_dwi.nii.gz",
        "dsc": "sub-01_dsc.nii.gz",
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("acq-mprage_T1w", "T1w"),
        ("run-1_T1w", "T1w"),
        ("acq-mprage_ce-Gd_T1w", "T1wGd"),
        ("ce-gadavist_run-2_T1w", "T1wGd"),
        ("acq-3mm_FLAIR", "FLAIR"),
        ("ADC", "ADC"),
        ("rcbv", "rCBV"),
    ],
)
def test_entities_do_not_hide_a_contrast(tmp_path, name, kind):
    assert kinds(make(tmp_path, RAW.format(name))) == {kind: f"sub-01_{name}.nii.gz"}


def test_sessions_and_other_folders(tmp_path):
    make(tmp_path, "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii", "sub-01/anat/sub-01_T2w.nii")
    assert kinds(tmp_path) == {"T1w": "sub-01_ses-pre_T1w.nii"}


def test_a_derivative_goes_before_the_raw_file(tmp_path):
    make(
        tmp_path,
        RAW.format("ADC"),
        "derivatives/x/sub-01/dwi/sub-01_space-T1wGd_ADC.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_cpm.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_space-T1wGd_T1w.nii.gz",
    )
    files = find_patient(tmp_path, "sub-01", [])
    assert files.images["ADC"].name == "sub-01_space-T1wGd_ADC.nii.gz"
    assert files.derived == {"ADC", "CPM", "mask"}
    assert "T1w" not in files.images


def test_two_that_could_be_meant(tmp_path):
    make(tmp_path, RAW.format("run-1_T1w"), RAW.format("run-2_T1w"))
    with pytest.raises(DatasetError, match=r"2 files .*run-1.*one T1-weighted image of a patient"):
        find_patient(tmp_path, "sub-01", [])


def test_a_file_of_another_patient(tmp_path):
    make(tmp_path, "sub-01/anat/sub-02_T1w.nii.gz")
    with pytest.raises(DatasetError, match=r"sub-02_T1w\.nii\.gz in the folder of sub-01"):
        find_patient(tmp_path, "sub-01", [])


def test_a_patient_whose_name_begins_like_another(tmp_path):
    make(tmp_path, "sub-1/anat/sub-1_T1w.nii", "sub-10/anat/sub-10_T1w.nii")
    assert find_patient(tmp_path, "sub-1", []).images["T1w"].name == "sub-1_T1w.nii"


def test_exports_go_by_sample(tmp_path):
    folder = "derivatives/qupath/sub-01"
    make(
        tmp_path,
        f"{folder}/sub-01_sample-1_annotations.tsv",
        f"{folder}/sample-10_annotations.csv",
        f"{folder}/sub-01_sample-1.geojson",
        f"{folder}/sub-01_sample-1_he.png",
    )
    exports = find_patient(tmp_path, "sub-01", ["sample-1", "sample-10", "sample-2"]).exports
    assert set(exports["sample-1"]) == {"annotations", "geojson", "tile"}
    assert exports["sample-10"]["annotations"].name == "sample-10_annotations.csv"
    assert exports["sample-2"] == {}
    make(tmp_path, f"{folder}/other/sample-1_annotations.csv")
    with pytest.raises(DatasetError, match="one file of annotations for a sample"):
        find_patient(tmp_path, "sub-01", ["sample-1"])


def test_texts_of_a_series():
    found = sidecars(Path("a/sub-01_dwi.nii.gz"))
    assert found["bval"] == Path("a/sub-01_dwi.bval")


def test_tables_alone_are_no_images(tmp_path):
    assert not has_images(tmp_path / "nothing")
    assert not has_images(make(tmp_path, "participants.tsv", "code/x.py"))
    assert has_images(make(tmp_path / "a", RAW.format("T1w")))
    assert has_images(make(tmp_path / "b", "derivatives/x/sub-01/anat/sub-01_cpm.nii.gz"))


def test_an_uncorrected_rcbv_beside_the_corrected_one_is_not_the_map(tmp_path: Path) -> None:
    folder = tmp_path / "derivatives" / "cpmlib" / "sub-01" / "perf"
    folder.mkdir(parents=True)
    for name in ("sub-01_rcbv.nii.gz", "sub-01_desc-uncorrected_rcbv.nii.gz"):
        (folder / name).touch()
    assert find_patient(tmp_path, "sub-01", []).images["rCBV"].name == "sub-01_rcbv.nii.gz"
