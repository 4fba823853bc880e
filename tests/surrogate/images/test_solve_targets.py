"""The images of a synthetic patient, changed until the analysis reads the calibrated values."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cpmlib.cpm.patient_maps import make_maps
from cpmlib.cpm.training import train
from cpmlib.mri.patient import PatientImages
from cpmlib.roi.extraction import extract_regions
from cpmlib.roi.means import roi_mean
from cpmlib.study.options import ImageOptions
from cpmsurrogate.images.autopsy import autopsy_cohort
from cpmsurrogate.images.coordinates import place_targets
from cpmsurrogate.images.levels import ENHANCEMENT, SLACK, UnreachableError
from cpmsurrogate.images.patient import make_patient
from cpmsurrogate.images.profiles import FULL, LIGHT
from cpmsurrogate.images.scene import REACH, Scene
from cpmsurrogate.images.solve import TOLERANCE, solve_targets

pytestmark = pytest.mark.slow

ENHANCING = ["CET", "nCET", "CET", "nCET"]
AXES = ["target_x", "target_y", "target_z"]


@pytest.fixture(scope="module")
def model():
    slices = autopsy_cohort(np.random.default_rng(5), 2.0, n_patients=12, n_slices=16)
    return train(slices, seed=5, n_trees=24, leaf_sizes=(10,))[0]


@pytest.fixture(scope="module")
def patient():
    rng = np.random.default_rng(8)
    targets = place_targets("frontal", "right", len(ENHANCING), rng)
    enhancing = np.array(ENHANCING) == "CET"
    places = ["frontal"] * len(targets)
    return targets, make_patient(targets, places, enhancing, "HGG", "treatment-naive", rng, LIGHT)


@pytest.fixture(scope="module")
def wanted(patient):
    targets, _ = patient
    return pd.DataFrame(targets, columns=AXES).assign(
        sample_id=["a", "b", "c", "d"],
        enhancement=ENHANCING,
        cpm=[1500.0, 900.3, 1200.7, 1100.2],
        adc=[1100.4, 1500.1, 1350.5, 1000.9],
    )


@pytest.fixture(scope="module")
def solution(patient, wanted, model):
    return solve_targets(patient[1].images, wanted, model, np.random.default_rng(3))


@pytest.fixture(scope="module")
def solved(solution):
    return solution[0]


def test_the_analysis_reads_the_calibrated_values(solved, wanted, model):
    images = PatientImages(solved, names={kind: kind for kind in solved})
    maps = make_maps(images, model, ImageOptions())
    found = extract_regions(maps, wanted, ImageOptions())
    # Extracted values are kept to a tenth.
    np.testing.assert_allclose(found["cpm"], wanted["cpm"], atol=1e-9)
    np.testing.assert_allclose(found["adc"], wanted["adc"], atol=1e-9)


def test_tissue_enhances_if_and_only_if_it_should(solved, wanted, model):
    gain = Scene(solved, wanted, model).gain
    for row in wanted.to_dict("records"):
        centre = [row[axis] for axis in AXES]
        ratio = roi_mean(solved["T1wGd"], centre).mean / roi_mean(solved["T1w"], centre).mean / gain
        least, most, _ = ENHANCEMENT[row["enhancement"]]
        # Single voxels, which the last correction changes, move the mean a little.
        allowed = 2 * SLACK
        if row["enhancement"] == "CET":
            assert ratio > least - allowed, row
        else:
            assert least - allowed < ratio < most + allowed, row


def test_nothing_changes_far_from_the_targets(patient, solved, wanted):
    for kind, image in solved.items():
        before = np.asarray(patient[1].images[kind].dataobj)
        moved = np.argwhere(np.abs(np.asarray(image.dataobj) - before) > 1)
        points = nib.affines.apply_affine(image.affine, moved)
        distance = np.linalg.norm(points[:, None] - wanted[AXES].to_numpy(), axis=2).min(axis=1)
        assert distance.max() < 10 * REACH + 0.1, kind


def test_what_cannot_be_reached_is_refused(patient, wanted, model):
    for column, value in (("cpm", 90_000.0), ("cpm", 1.0)):
        with pytest.raises(UnreachableError, match="target 2"):
            solve_targets(
                patient[1].images,
                wanted.assign(**{column: [1500.0, value, 1200.7, 1100.2]}),
                model,
                np.random.default_rng(3),
            )


def test_a_kept_solution_gives_the_same_images_and_is_only_checked(
    patient, wanted, model, solution, monkeypatch
):
    extractions = []
    extract = Scene.extract
    monkeypatch.setattr(Scene, "extract", lambda self: extractions.append(1) or extract(self))
    again = solve_targets(
        patient[1].images, wanted, model, np.random.default_rng(4), kept=solution[2]
    )
    assert len(extractions) == 1
    assert again[2] == solution[2]
    for kind, image in solution[0].items():
        np.testing.assert_array_equal(np.asarray(again[0][kind].dataobj), np.asarray(image.dataobj))


def test_a_kept_solution_of_other_values_is_left_aside(patient, wanted, model, solution):
    other = wanted.assign(cpm=[1300.0, 1000.3, 1400.7, 1200.2])
    images, _, rounds = solve_targets(
        patient[1].images, other, model, np.random.default_rng(3), kept=solution[2]
    )
    assert list(rounds[: len(solution[2])]) != list(solution[2])
    maps = make_maps(PatientImages(images, names=dict.fromkeys(images, "")), model, ImageOptions())
    found = extract_regions(maps, other, ImageOptions())
    np.testing.assert_allclose(found["cpm"], other["cpm"], atol=1e-9)


def test_equal_seeds_give_equal_images(patient, wanted, model, solved):
    again = solve_targets(patient[1].images, wanted, model, np.random.default_rng(3))[0]
    for kind, image in solved.items():
        np.testing.assert_array_equal(np.asarray(again[kind].dataobj), np.asarray(image.dataobj))


def test_a_solved_adc_is_within_its_tolerance_before_rounding(solved, wanted, model):
    images = PatientImages(solved, names={kind: kind for kind in solved})
    adc = make_maps(images, model, ImageOptions()).maps["ADC"]
    for row in wanted.to_dict("records"):
        found = roi_mean(adc, [row[axis] for axis in AXES]).mean
        assert abs(found - row["adc"]) < TOLERANCE["adc"]


def test_at_the_scanner_s_resolution(wanted):
    """One patient of the profile `full`, by a forest that looks at voxels of its size."""
    slices = autopsy_cohort(np.random.default_rng(5), FULL.t1_voxel, n_patients=6, n_slices=8)
    model = train(slices, seed=5, n_trees=12, leaf_sizes=(10,))[0]
    rng = np.random.default_rng(8)
    targets = place_targets("frontal", "right", 1, rng)
    drawn = make_patient(
        targets, ["frontal"], np.array([True]), "HGG", "treatment-naive", rng, FULL
    )
    table = wanted[:1].assign(**dict(zip(AXES, targets[0], strict=True)))
    images = solve_targets(drawn.images, table, model, rng)[0]
    maps = make_maps(PatientImages(images, names=dict.fromkeys(images, "")), model, ImageOptions())
    voxels = nib.affines.voxel_sizes(maps.maps["CPM"].affine)
    np.testing.assert_allclose(voxels, 1.0, rtol=1e-4)
    found = extract_regions(maps, table, ImageOptions())
    # Extracted values are kept to a tenth.
    np.testing.assert_allclose(found[["cpm", "adc"]], table[["cpm", "adc"]], atol=1e-9)
