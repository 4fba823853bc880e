"""The workflow's job of one patient, on small folders: what it writes, notes and prints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine

import dependencies
import patient as job
import prepare
from cpmlib.book.patient_pictures import CASES, cut_pictures, read_pictures
from cpmlib.book.study_images import StudyImages
from cpmlib.cpm.patient_maps import PatientMaps, make_maps
from cpmlib.figures.quality import figure_quality
from cpmlib.mri.images import write_image
from cpmlib.mri.registration import AlignmentReport, RigidTransform
from cpmlib.mri.survey import find_study_files
from cpmlib.roi.extraction import EXTRAPOLATION, extract_regions
from cpmlib.study.errors import DatasetError
from cpmlib.study.files import find_patient
from cpmlib.study.options import AXES, ImageOptions

TARGET = (-30.0, 24.0, 12.0)
SHAPE, STEP = (40, 44, 40), 4.0
AFFINE = np.diag([STEP, STEP, STEP, 1.0])
AFFINE[:3, 3] = [-78, -86, -78]


def ball(value: float, radius: float = 70.0, centre: tuple[float, float, float] = (0, 0, 0)):
    """A ball in the grid, with noise of 2 %."""
    world = apply_affine(AFFINE, np.indices(SHAPE).reshape(3, -1).T).reshape(*SHAPE, 3)
    inside = np.linalg.norm(world - centre, axis=-1) < radius
    noise = np.random.default_rng(0).normal(1, 0.02, SHAPE)
    return np.where(inside, value * noise, 0).astype(np.float32)


@pytest.fixture
def build(tmp_path: Path, monkeypatch) -> Callable[..., Path]:
    """Lay out a build with one patient: anatomy, a finished map, a lesion at the target."""
    for module in (dependencies, job, prepare):
        monkeypatch.setattr(module, "BUILD", tmp_path)
    mine = tmp_path / "study" / "derivatives" / "mine" / "sub-01"
    lesion = ball(200, 12, TARGET)
    for name, data in (("T1w", ball(500)), ("ce-gadolinium_T1w", ball(550)), ("FLAIR", ball(300))):
        data = data + lesion if name == "FLAIR" else data
        path = tmp_path / "study" / "sub-01" / "anat" / f"sub-01_{name}.nii.gz"
        write_image(path, nib.Nifti1Image(data, AFFINE))
    write_image(mine / "sub-01_cpm.nii.gz", nib.Nifti1Image(ball(1300), AFFINE))
    brain = (ball(1) > 0).astype(np.float32)
    write_image(mine / "sub-01_desc-brain_mask.nii.gz", nib.Nifti1Image(brain, AFFINE))

    def lay(target=TARGET, table: Mapping[str, str] = MappingProxyType({}), **options) -> Path:
        chosen = ImageOptions(registration="never", **options)  # type: ignore[arg-type]
        (tmp_path / "image_options.json").write_text(json.dumps(dataclasses.asdict(chosen)))
        row = {"sample_id": ["sample-1"], "participant_id": ["sub-01"]}
        row |= dict(zip(("target_x", "target_y", "target_z"), [[t] for t in target], strict=True))
        row |= {column: [cell] for column, cell in table.items()}
        (tmp_path / "targets").mkdir(exist_ok=True)
        pd.DataFrame(row).to_csv(tmp_path / "targets" / "sub-01.tsv", sep="\t", index=False)
        return tmp_path

    return lay


def report(build: Path) -> dict:
    return json.loads((build / "patients" / "sub-01" / "report.json").read_text())


def samples(build: Path) -> pd.DataFrame:
    return pd.read_csv(build / "patients" / "sub-01" / "samples.tsv", sep="\t", na_values="n/a")


def qupath(build: Path, name: str, text: str) -> Path:
    path = build / "study" / "derivatives" / "qupath" / "sub-01" / f"sub-01_sample-1_{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_true_targets_raise_no_warning(build, capsys):
    folder = build()
    assert job.main("sub-01") == 0
    assert "warning" not in capsys.readouterr().out
    assert report(folder)["mirrored"] is False
    assert not any("LPS" in note for note in report(folder)["notes"])


def test_targets_opposite_to_the_lesion_are_noted_and_kept(build, capsys):
    folder = build(target=(-TARGET[0], -TARGET[1], TARGET[2]))
    assert job.main("sub-01") == 0
    assert "warning: targets look less like lesion on FLAIR" in capsys.readouterr().out
    assert report(folder)["mirrored"] is True
    assert any("LPS coordinates given as RAS+" in note for note in report(folder)["notes"])
    # A warning, no correction: the value is that of the target as it was given.
    assert samples(folder)["cpm"][0] == pytest.approx(1300, rel=0.05)


def test_without_a_target_nothing_is_judged(build):
    folder = build(target=("n/a", "n/a", "n/a"))
    assert job.main("sub-01") == 0
    assert report(folder)["mirrored"] is None


PIXELS = "Image\tNum Detections\tArea px^2\na.svs\t4000\t32000000\n"


def test_exports_in_pixels_need_a_pixel_size(build, capsys):
    folder = build()
    qupath(folder, "annotations.tsv", PIXELS)
    assert job.main("sub-01") == 2
    said = capsys.readouterr().out
    assert "sub-01_sample-1_annotations.json" in said
    assert "SET=histology_pixel_size_um=" in said
    assert not (folder / "patients").exists()


def test_the_pixel_size_of_the_study_and_that_of_a_sample(build):
    folder = build(histology_pixel_size_um=0.5)
    qupath(folder, "annotations.tsv", PIXELS)
    assert job.main("sub-01") == 0
    assert samples(folder)["he_cellularity"][0] == 500  # 4000 cells in 8 mm2
    # What stands beside the export goes before the option.
    qupath(folder, "annotations.json", '{"PixelSize": 0.25, "PixelSizeUnits": "um"}')
    assert job.main("sub-01") == 0
    assert samples(folder)["he_cellularity"][0] == 2000


def test_images_exports_and_tiles_are_told_at_once(build, capsys):
    folder = build()
    path = folder / "study" / "derivatives" / "mine" / "sub-01" / "sub-01_cpm.nii.gz"
    write_image(path, nib.Nifti1Image(ball(1.3), AFFINE))
    qupath(folder, "annotations.tsv", "spoilt")
    qupath(folder, "he.png", "spoilt")
    qupath(folder, "he.json", '{"PixelSize": 0.5, "PixelSizeUnits": "um"}')
    assert job.main("sub-01") == 2
    said = capsys.readouterr().out
    for name in ("sub-01_cpm.nii.gz", "sub-01_sample-1_annotations.tsv", "sub-01_sample-1_he.png"):
        assert name in said
    assert not (folder / "patients").exists()


def test_what_counting_noted_reaches_the_report(build):
    folder = build()
    rows = [
        "Image\tName\tClassification\tParent\tNum Detections\tArea µm^2",
        "a.svs\tWhole\tTissue\tImage\t4000\t2000000",
        "a.svs\tCore\tTumor\tWhole\t900\t300000",
    ]
    qupath(folder, "annotations.tsv", "\n".join(rows) + "\n")
    assert job.main("sub-01") == 0
    assert samples(folder)["he_cellularity"][0] == 2000
    (note,) = [note for note in report(folder)["notes"] if "Core" in note]
    assert "not added, it lies inside another annotation" in note
    assert "he_notes" not in samples(folder)


def test_the_report_says_where_maps_and_values_came_from(build):
    folder = build()
    qupath(folder, "annotations.tsv", "Image\tNum Detections\tArea µm^2\na.svs\t4000\t2000000\n")
    (folder / "study" / "sub-01" / "anat" / "sub-01_T2w.nii.gz").touch()
    (folder / "study" / "sub-01" / "anat" / "sub-01_T1w.json").write_text("{}")
    other = folder / "study" / "derivatives" / "qupath" / "sub-01" / "sample-2_annotations.tsv"
    other.touch()
    found = find_patient(folder / "study", "sub-01", ["sample-1"], excluded=["sample-02"])
    prepare._write_manifests(folder / "study", {"sub-01": found})
    assert job.main("sub-01") == 0
    assert report(folder)["origins"] == {"CPM": "map of the study"}
    assert samples(folder)["cpm_source"][0] == "map of the study"
    assert samples(folder)["he_cellularity_source"][0] == "exports: annotations"
    notes = [note for note in report(folder)["notes"] if note.startswith("not used")]
    # A page shows them: kinds of files, no names.
    assert notes == [
        "not used: export (1); its sample is excluded",
        "not used: T2-weighted image (1); nothing here needs it",
    ]


OUTSIDE = (-30.0, 24.0, 400.0)


@pytest.mark.parametrize("left_out", [{"cpm": "n/a"}, {"cpm_exclude_reason": "out of the slab"}])
def test_a_value_that_is_left_out_is_read_nowhere(build, left_out):
    """Not where there is no map, not in a figure, and not among the changes with the sphere."""
    folder = build(target=OUTSIDE)
    assert job.main("sub-01") == 2
    for target in (OUTSIDE, TARGET):
        folder = build(target=target, table=left_out)
        assert job.main("sub-01") == 0
        assert "cpm" not in samples(folder)
        patient = folder / "patients" / "sub-01"
        assert len((patient / "sensitivity.tsv").read_text().splitlines()) == 1
        assert read_pictures(patient / "pictures.npz", "P01", {"sample-1": "S01"})[1] == []


def test_an_export_of_a_density_that_is_left_out_is_not_read(build):
    folder = build()
    qupath(folder, "annotations.tsv", "spoilt")
    assert job.main("sub-01") == 2
    folder = build(table={"he_exclude_reason": "necrosis"})
    assert job.main("sub-01") == 0
    assert samples(folder)["cpm"].notna().all()
    assert not samples(folder)["he_cellularity"].notna().any()


@pytest.mark.parametrize(
    ("left_out", "why"),
    [
        ({"he_exclude_reason": "necrosis"}, "its sample's density is left out"),
        ({"he_cellularity": "n/a"}, "its sample's density is left out"),
        ({"exclude_reason": "core lost"}, "its sample is excluded"),
    ],
)
def test_spoilt_exports_of_what_is_left_out_stop_nothing_and_are_named(build, left_out, why):
    """Unreadable, twice, and a link to nowhere: nobody reads them."""
    folder = build(table=left_out)
    first = qupath(folder, "annotations.tsv", "")
    first.write_bytes(b"\xff\xfe\x00spoilt")
    first.with_name("sample-1_annotations.csv").write_bytes(b"\x00")
    first.with_name("sample-1_detections.tsv").symlink_to("nowhere.tsv")
    rows = pd.read_csv(
        folder / "targets" / "sub-01.tsv", sep="\t", na_values="n/a", keep_default_na=False
    )
    if "exclude_reason" in left_out:  # such a sample is no target; another keeps its patient in
        kept = rows.assign(sample_id="sample-2", exclude_reason=np.nan)
        kept.to_csv(folder / "targets" / "sub-01.tsv", sep="\t", index=False, na_rep="n/a")
        rows = pd.concat([rows, kept])
    files, _ = find_study_files(folder / "study", rows)
    prepare._write_manifests(folder / "study", files)
    assert job.main("sub-01") == 0
    notes = [note for note in report(folder)["notes"] if note.startswith("not used")]
    assert notes == [f"not used: export (3); {why}"]
    assert not any("sample-1" in path.name for path in dependencies.study_patient("sub-01").all())


def test_a_spoilt_tile_of_what_is_left_out_is_not_shown_either(build):
    folder = build()
    qupath(folder, "he.png", "spoilt")
    qupath(folder, "he.json", '{"PixelSize": 0.5, "PixelSizeUnits": "um"}')
    (folder / "dataset").mkdir()
    entry = {"folder": "sub-01", "samples": {"S01": "sample-1"}}
    for more, refused in (({}, True), ({"uncounted": ["sample-1"]}, False)):
        (folder / "dataset" / "images.json").write_text(json.dumps({"P01": entry | more}))
        if refused:
            with pytest.raises(DatasetError, match="no picture that can be read"):
                StudyImages(folder).tile("P01", "S01")
        else:
            assert StudyImages(folder).tile("P01", "S01") is None


def test_a_map_in_another_unit_gives_no_value(build, capsys):
    folder = build()
    path = folder / "study" / "derivatives" / "mine" / "sub-01" / "sub-01_cpm.nii.gz"
    write_image(path, nib.Nifti1Image(ball(1.3), AFFINE))
    assert job.main("sub-01") == 2
    assert "looks like 1000 cells/mm2" in capsys.readouterr().out
    assert not (folder / "patients").exists()


def test_share_of_a_sphere_in_which_the_model_extrapolates():
    affine = np.diag([2.0, 2, 2, 1])
    counts = np.zeros((20, 20, 20), np.float32)
    counts[10:] = 2  # two contrasts, from x = 20 mm on
    counts[:, :3] = np.nan
    maps = {
        "CPM": nib.Nifti1Image(np.where(np.isnan(counts), np.nan, 900).astype(np.float32), affine),
        "extrapolation": nib.Nifti1Image(counts, affine),
    }
    targets = pd.DataFrame(
        {
            "sample_id": ["in", "half", "out"],
            "target_x": [30.0, 19.0, 8.0],
            "target_y": 20.0,
            "target_z": 20.0,
        }
    )
    regions = extract_regions(PatientMaps(maps), targets, ImageOptions())
    # The border lies between two planes of voxels, the middle sphere's centre upon it.
    assert regions[EXTRAPOLATION].tolist() == [1.0, 0.5, 0.0]
    del maps["extrapolation"]
    assert EXTRAPOLATION not in extract_regions(PatientMaps(maps), targets, ImageOptions())


def test_only_a_representative_case_is_measured_and_packed(build):
    folder = build(table={"case": "fig3a"})
    assert job.main("sub-01") == 0
    made = json.loads((folder / "patients" / "sub-01" / CASES).read_text())["sample-1"]
    assert made["findings"]["right"] == pytest.approx(TARGET[0], abs=STEP)
    assert made["viewer"]["target"] == list(TARGET)
    assert list(made["viewer"]["volumes"]) == ["T1w", "T1wGd", "FLAIR", "CPM"]
    build(table={"case": "n/a"})
    assert job.main("sub-01") == 0
    assert (folder / "patients" / "sub-01" / CASES).read_text() == "{}"


@pytest.fixture
def index() -> dict[str, dict[str, object]]:
    """The patient and the sample under the book's names."""
    return {"P01": {"folder": "sub-01", "samples": {"S01": "sample-1"}}}


def test_the_steps_that_a_page_shows_are_those_that_were_kept(build, index, monkeypatch):
    """The job's own maps and regions, not computed again; without them there is nothing to show."""
    folder = build()
    made = []
    monkeypatch.setattr(job, "make_maps", lambda *args: made.append(make_maps(*args)) or made[0])
    assert job.main("sub-01", "--keep-steps") == 0
    (folder / "dataset").mkdir()
    (folder / "dataset" / "images.json").write_text(json.dumps(index))
    rows = pd.DataFrame({"sample_id": ["S01", "S02"], "participant_id": ["P01", "P02"]})
    one = StudyImages(folder).walkthrough(rows, ImageOptions())
    assert one.patient == "P01"
    assert one.samples["sample_id"].tolist() == ["S01"]
    assert one.regions["sample_id"].tolist() == ["S01"]
    assert one.regions["cpm"].tolist() == samples(folder)["cpm"].tolist()
    assert set(one.images.volumes) == {"T1w", "T1wGd", "FLAIR", "CPM", "mask"}
    for own, kept in ((made[0].maps, one.maps.maps), (made[0].contrasts, one.maps.contrasts)):
        assert list(own) == list(kept)
        for kind, image in own.items():
            np.testing.assert_array_equal(kept[kind].get_fdata(), image.get_fdata())
            np.testing.assert_array_equal(kept[kind].affine, image.affine)
    assert job.main("sub-01") == 0
    assert StudyImages(folder).walkthrough(rows, ImageOptions()).patient is None


def test_a_map_without_its_values_below_0_is_what_the_book_shows(build, index):
    folder = build()
    path = folder / "study" / "derivatives" / "mine" / "sub-01" / "sub-01_cpm.nii.gz"
    made = folder / "derivatives" / "cpmlib" / "sub-01" / "anat" / "sub-01_space-T1wGd_cpm.nii.gz"
    data = ball(1300)
    data[20, 22, 20:22] = -40  # as interpolation leaves them, in the brain
    write_image(path, nib.Nifti1Image(data, AFFINE))
    assert job.main("sub-01") == 0
    (folder / "dataset").mkdir()
    (folder / "dataset" / "images.json").write_text(json.dumps(index))
    shown = np.asarray(StudyImages(folder).image("P01", "CPM").dataobj)
    np.testing.assert_array_equal(np.isnan(shown), data <= 0)
    np.testing.assert_array_equal(shown[data > 0], data[data > 0])
    said = json.loads(made.with_name(made.name.replace(".nii.gz", ".json")).read_text())
    assert said["Sources"] == ["bids:study:derivatives/mine/sub-01/sub-01_cpm.nii.gz"]
    assert "SkullStripped" not in said


@pytest.mark.parametrize("distance", [0.0, 5.0, 15.0])
def test_a_perfusion_map_is_drawn_where_its_series_was_moved_far(distance):
    whole = nib.Nifti1Image(ball(1.0), AFFINE)
    moved = RigidTransform(np.eye(4), 1, 1, 0, distance, distance)
    done = AlignmentReport({"dsc": moved}, ("dsc",) if distance else ())
    maps = PatientMaps({"mask": whole, "rCBV": whole}, {"T1w": whole}, alignment=done)
    targets = pd.DataFrame([["s", *TARGET]], columns=["sample_id", *AXES])
    row, _ = cut_pictures("sub-01", maps, targets, pd.DataFrame({"sample_id": []}))
    assert ("rCBV" in row.slices) == (distance > 10)
    titles = [ax.get_title() for ax in figure_quality([row]).axes]
    assert ("rCBV" in titles) == (distance > 10)
