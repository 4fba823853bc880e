"""Which file is taken for what."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpmlib.study.errors import DatasetError
from cpmlib.study.files import find_patient, has_images, unknown_patients

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
    derived = {kind for kind, path in files.images.items() if "derivatives" in path.parts}
    assert derived == {"ADC", "CPM", "mask"}
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


def test_capitals_in_a_name_hide_no_image(tmp_path):
    folder = "derivatives/mine/sub-01/Anat"
    make(tmp_path, f"{folder}/sub-01_CPM.NII.GZ", f"{folder}/sub-01_desc-brain_mask.Nii")
    make(tmp_path, "sub-01/anat/sub-01_flair.nii.gz", "sub-01/anat/sub-01_acq-1.5T_T1w.nii.gz")
    assert set(kinds(tmp_path)) == {"CPM", "mask", "FLAIR", "T1w"}


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("derivatives/m/sub-01/sub-01_desc-cellularity_map.nii.gz", "sub-01_cpm.nii.gz"),
        ("derivatives/m/sub-01/cpm.nii.gz", "sub-01_cpm.nii.gz"),
        ("derivatives/m/sub-01/sub-01_cpm.mgz", "convert it to NIfTI"),
        ("derivatives/m/sub-01/sub-01_cpm.nii.gz.bak", "sub-01_cpm.nii.gz"),
        ("derivatives/m/sub-01/sub-01_cpm", "sub-01_cpm.nii.gz"),
        ("sub-01_cpm.nii.gz", "derivatives/<pipeline>/sub-01/sub-01_cpm.nii.gz"),
        ("derivatives/m/sub-01/sub-01_space-MNI152NLin6Asym_cpm.nii.gz", "template's space"),
        ("sub-01/anat/sub-01_cpm.nii.gz", "derivatives/<pipeline>/sub-01/sub-01_cpm.nii.gz"),
        ("derivatives/m/sub-01/sub-01_brainmask.nii.gz", "sub-01_desc-brain_mask.nii.gz"),
        ("sub-01/anat/sub-01_T2-FLAIR.nii.gz", "sub-01_FLAIR.nii.gz"),
        ("sub-01/anat/sub-01_t1ce.nii.gz", "sub-01_ce-gadolinium_T1w.nii.gz"),
        ("sub-01/anat/sub-01_acq-post_T1w.nii.gz", "sub-01_ce-gadolinium_T1w.nii.gz"),
        ("sub-01/anat/sub-01_acq-enhanced_T1w.nii.gz", "sub-01_ce-gadolinium_T1w.nii.gz"),
        ("sub-01/anat/sub-01_acq-plusGd_T1w.nii.gz", "sub-01_ce-gadolinium_T1w.nii.gz"),
        ("sub-01/anat/sub-01_ce-none_T1w.nii.gz", "sub-01_ce-gadolinium_T1w.nii.gz"),
        ("sub-01/dwi/sub-01_desc-MD.nii.gz", "sub-01_ADC.nii.gz"),
        ("sub-01/perf/sub-01_perf.nii.gz", "sub-01_dsc.nii.gz"),
        ("derivatives/m/sub-01/sub-01_cbv.nii", "sub-01_rcbv.nii.gz"),
    ],
)
def test_what_looks_like_a_kind_is_not_passed_over(tmp_path, name, right):
    with pytest.raises(DatasetError, match="move it out") as error:
        find_patient(make(tmp_path, name), "sub-01", [])
    assert Path(name).name in str(error.value)
    assert right in str(error.value)


def test_every_file_is_used_or_named(tmp_path):
    """With what other programs leave in a study that is whole."""
    make(
        tmp_path,
        *(RAW.format(name) for name in ("T1w", "ce-gadolinium_T1w", "FLAIR", "T2w", "foo")),
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/dwi/sub-01_ADC.nii.gz",
        "sub-01/dwi/sub-01_dwi.nii.gz",
        "sub-01/dwi/sub-01_dwi.bval",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/sub-01_scans.tsv",
        "sub-01/.DS_Store",
        "derivatives/fmriprep/sub-01/sub-01_desc-preproc_T1w.nii.gz",
        "derivatives/fmriprep/sub-01/sub-01_desc-brain_mask.nii.gz",
        "derivatives/fmriprep/sub-01/sub-01_space-MNI152NLin6Asym_desc-brain_mask.nii.gz",
        "derivatives/fmriprep/sub-01/sub-01_dseg.nii.gz",
        "derivatives/loose/sub-01_cpm.nii.gz",
        "derivatives/a/b/sub-01/sub-01_rcbv.nii.gz",
        "derivatives/qupath/sub-01/sample-9_annotations.tsv",
        "derivatives/qupath/sub-01/sample-1_annotations.tsv",
        "derivatives/qupath/sub-01/sample-1_he.png",
        "derivatives/qupath/sub-01/thumbnail.jpg",
    )
    files = find_patient(tmp_path, "sub-01", ["sample-1"])
    assert set(files.images) == {"T1w", "T1wGd", "FLAIR", "ADC", "mask", "CPM", "rCBV"}
    there = {p for p in tmp_path.rglob("*") if p.is_file() and not p.name.startswith(".")}
    unused = {one.path for one in files.unused}
    assert set(files.all()) | unused == there
    assert not set(files.all()) & unused
    why = {one.path.name: (one.what, one.reason) for one in files.unused}
    assert why["sub-01_dwi.bval"][1] == "the study has the apparent diffusion coefficient already"
    assert why["sub-01_T2w.nii.gz"][0] == "T2-weighted image"
    assert why["sub-01_foo.nii.gz"][0] == "image of an unknown kind"
    assert why["sample-9_annotations.tsv"][1] == "the table of samples has no such sample"
    assert why["sample-1_he.png"][1] == "no JSON beside it gives its pixel size"
    # What is said on pages tells no name.
    assert not any("sub-" in text or "sample-" in text for texts in why.values() for text in texts)


@pytest.mark.parametrize(
    "name",
    [
        "derivatives/mine/sub-01/sub-01_cpm.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "derivatives/qupath/sub-01/sample-1_annotations.tsv",
        "derivatives/mine/sub-01",
        "derivatives/mine",
        "derivatives",
        "sub-01/anat",
        "sub-01",
    ],
)
def test_a_link_to_nowhere_is_named(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(".git/annex/objects/ab/cd/MD5E-s1--0.nii.gz")
    assert has_images(tmp_path)
    with pytest.raises(
        DatasetError, match=rf"{name}: found a link to nowhere.*datalad get"
    ) as error:
        find_patient(tmp_path, "sub-01", ["sample-1"])
    assert len(error.value.problems) == 1


def test_what_was_not_fetched_is_named(tmp_path):
    """Where a file system has no links, git-annex and Git LFS leave texts in place of files."""
    make(tmp_path, RAW.format("T1w"), RAW.format("FLAIR"))
    texts = "/annex/objects/MD5E-s1--0.nii.gz\n", "version https://git-lfs.github.com/spec/v1\n"
    for name, text in zip(("T1w", "FLAIR"), texts, strict=True):
        (tmp_path / RAW.format(name)).write_text(text)
    with pytest.raises(DatasetError) as error:
        find_patient(tmp_path, "sub-01", [])
    assert str(error.value).count("content was not fetched") == 2


def test_links_are_followed_and_loops_end(tmp_path):
    make(tmp_path, "store/sub-01_T1w.nii.gz", "sub-01/note.txt", "derivatives/x/sub-01/a.txt")
    (tmp_path / "sub-01" / "anat").symlink_to(tmp_path / "store")
    (tmp_path / "sub-01" / "loop").symlink_to(tmp_path / "sub-01")
    (tmp_path / "derivatives" / "loop").symlink_to(tmp_path)
    assert kinds(tmp_path) == {"T1w": "sub-01_T1w.nii.gz"}


def test_samples_go_by_name_without_capitals_and_zeros(tmp_path):
    folder = "derivatives/qupath/sub-01"
    make(tmp_path, f"{folder}/Sample-01_Annotations.TSV", f"{folder}/sub-01_SAMPLE-2_HE.png")
    exports = find_patient(tmp_path, "sub-01", ["sample-01", "sample-02"]).exports
    assert set(exports["sample-01"]) == {"annotations"}
    assert set(exports["sample-02"]) == {"tile"}
    make(tmp_path, f"{folder}/sample-1_annotations.tsv")
    with pytest.raises(DatasetError, match="one file of annotations for a sample"):
        find_patient(tmp_path, "sub-01", ["sample-01"])


@pytest.mark.parametrize(
    "name", ["sample-1 annotations.txt", "sub-01_outline.geojson", "sample-9_detections.tsv"]
)
def test_what_looks_like_an_export_is_not_passed_over(tmp_path, name):
    make(tmp_path, f"derivatives/qupath/sub-01/{name}")
    with pytest.raises(DatasetError, match=r"none of sample-1; expected .*_annotations\.tsv"):
        find_patient(tmp_path, "sub-01", ["sample-1"])


def test_outlines_saved_as_json_are_outlines(tmp_path):
    make(tmp_path, "derivatives/qupath/sub-01/sample-1_detections.tsv")
    path = tmp_path / "derivatives" / "qupath" / "sub-01" / "sample-1_outline.json"
    for text, kind in (
        ('\n[{"type": "Feature"}]', "geojson"),
        ('{"type" : "FeatureCollection", "features": []}', "geojson"),
        ('{"PixelSize": 0.25, "PixelSizeUnits": "um"}', "geojson_sidecar"),
    ):
        path.write_text(text)
        exports = find_patient(tmp_path, "sub-01", ["sample-1"]).exports["sample-1"]
        assert exports[kind] == path
    make(tmp_path, "derivatives/qupath/sub-01/sample-1_outline.geojson")
    path.write_text("[]")
    with pytest.raises(DatasetError, match="one file of geojson"):
        find_patient(tmp_path, "sub-01", ["sample-1"])


def test_texts_are_inherited_from_any_folder_above(tmp_path):
    make(
        tmp_path,
        "sub-01/ses-1/dwi/sub-01_ses-1_acq-a_dwi.nii.gz",
        "sub-01/ses-1/dwi/sub-01_ses-1_acq-a_dwi.bvec",
        "sub-01/ses-1/sub-01_ses-1_dwi.bval",
        "sub-01/sub-01_dwi.json",
        "sub-01/sub-01_acq-b_dwi.json",
        "acq-a_dwi.JSON",
        "dwi.bval",
        "dsc.json",
    )
    files = find_patient(tmp_path, "sub-01", [])
    found = {end: [p.name for p in paths] for end, paths in files.texts["dwi"].items()}
    assert found == {
        "json": ["acq-a_dwi.JSON", "sub-01_dwi.json"],
        "bval": ["dwi.bval", "sub-01_ses-1_dwi.bval"],
        "bvec": ["sub-01_ses-1_acq-a_dwi.bvec"],
    }
    assert tmp_path / "dwi.bval" in files.all()
    make(tmp_path, "dwi.json")
    with pytest.raises(DatasetError, match=r"acq-a_dwi\.JSON, dwi\.json.*leave one in place"):
        find_patient(tmp_path, "sub-01", [])


def test_folders_that_are_not_looked_into_are_named(tmp_path):
    make(tmp_path, RAW.format("T1w"), "sub-99/a.nii", "cpms/sub-01_cpm.nii.gz")
    assert [one.path.name for one in unknown_patients(tmp_path, ["sub-01"])] == ["sub-99", "cpms"]
    make(tmp_path, "derivatives/mine/cpm_01.nii.gz")
    assert "whose" in unknown_patients(tmp_path, ["sub-01"])[-1].reason
    make(tmp_path, "cpm_01.nii.gz", "derivatives/qupath/sample-01_annotations.tsv", "README.md")
    named = {one.path.name: one.what for one in unknown_patients(tmp_path, ["sub-01"])[2:]}
    assert named["cpm_01.nii.gz"] == "image"
    assert named["sample-01_annotations.tsv"] == "table or outline"
    assert "README.md" not in named
    make(tmp_path, "derivatives/mine/Sub-1/sub-01_cpm.nii.gz", "DERIVATIVES/x/a.txt")
    with pytest.raises(DatasetError, match=r"Sub-1: .*expected sub-01") as error:
        unknown_patients(tmp_path, ["sub-01"])
    assert "DERIVATIVES: found this name; expected derivatives" in str(error.value)


def test_exports_of_an_excluded_sample_are_named_as_such(tmp_path):
    folder = tmp_path / "derivatives" / "qupath" / "sub-01"
    folder.mkdir(parents=True)
    for name in ("sub-01_sample-2_annotations.tsv", "sample-02_he.png", "sample-3_detections.tsv"):
        (folder / name).touch()
    (folder / "sample-1_annotations.tsv").touch()
    files = find_patient(tmp_path, "sub-01", ["sample-1"], excluded=["sample-02"])
    assert {one.path.name: one.reason for one in files.unused} == {
        "sub-01_sample-2_annotations.tsv": "its sample is excluded",
        "sample-02_he.png": "its sample is excluded",
        "sample-3_detections.tsv": "the table of samples has no such sample",
    }


def test_outlines_saved_as_json_under_a_free_name_are_not_passed_over(tmp_path):
    folder = tmp_path / "derivatives" / "qupath" / "sub-01"
    folder.mkdir(parents=True)
    (folder / "biopsy.json").write_text('{"type": "FeatureCollection", "features": []}')
    (folder / "about.json").write_text('{"type": "slide scanner"}')
    with pytest.raises(DatasetError, match=r"biopsy\.json: found what may be an export") as error:
        find_patient(tmp_path, "sub-01", ["sample-1"])
    assert len(error.value.problems) == 1
    (folder / "sample-1_annotations.tsv").touch()
    files = find_patient(tmp_path, "sub-01", ["sample-1"])
    assert {one.path.name: one.what for one in files.unused} == {
        "biopsy.json": "export",
        "about.json": "text of an image",
    }
