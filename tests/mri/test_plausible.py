"""Finished maps and contrasts that are not what they are taken for."""

from __future__ import annotations

from functools import cache

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template
from test_patient_images import head

from cpmlib.cpm.patient_maps import PatientMaps, make_maps
from cpmlib.mri.checks import check_contrasts, check_provided
from cpmlib.mri.patient import PatientImages
from cpmlib.roi.extraction import extract_regions
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import AXES, ImageOptions
from phantoms import template

BRAIN = nib.Nifti1Image((np.asarray(head().dataobj) > 0).astype(np.uint8), head().affine)


def scaled(factor: float, offset: float = 0.0) -> nib.Nifti1Image:
    """A density of 1300 cells/mm2, in another unit or shifted; 0 outside."""
    values = np.asarray(head(1300).dataobj) * factor + offset
    return nib.Nifti1Image(
        np.where(np.asarray(BRAIN.dataobj), values, 0).astype("f4"), head().affine
    )


@pytest.mark.parametrize(
    ("factor", "offset", "found"),
    [
        (
            1e-3,
            0,
            r"a median of \S+ in the brain, which looks like 1000 cells/mm2.*by 1000",
        ),
        (1e-6, 0, r"looks like cells/um2"),
        (100, 0, r"looks like cells/cm2.*multiply the map by 0\.01"),
        (1e-1 / 26, 0, r"looks like 1000"),
        (0.04, 0, r"a median of \S+ in the brain; expected 300 to 6000"),
        (-1, 0, r"100 % of the brain below 0"),
        (1, -1300, r"% of the brain below 0"),
        (0, 0, r"no value other than 0"),
    ],
)
def test_a_density_in_another_unit_is_refused(factor, offset, found):
    with pytest.raises(DatasetError, match=found):
        check_provided("CPM", scaled(factor, offset), BRAIN, "sub-01_cpm.nii.gz")


@pytest.mark.parametrize("median", [105, 150, 290, 6100, 9900])
def test_a_density_that_no_brain_has_is_refused(median):
    """Sections of normal brain hold many hundreds of nuclei per mm2."""
    with pytest.raises(DatasetError, match="expected 300 to 6000 cells/mm2"):
        check_provided("CPM", scaled(median / 1300), BRAIN, "x")


@pytest.mark.parametrize(
    ("kind", "median", "size"),
    [
        *(("CPM", 400, "low"), ("CPM", 1000, ""), ("CPM", 2500, ""), ("CPM", 3500, "high")),
        *(("rCBV", 0.4, "low"), ("rCBV", 1.4, ""), ("rCBV", 4, "high")),
    ],
)
def test_an_unusual_median_is_noted(kind, median, size):
    notes = check_provided(kind, scaled(median / 1300), BRAIN, "x")[1]
    assert [note for note in notes if "usual" in note] == [
        note for note in notes if size and f"{kind}: that is {size}" in note
    ]
    assert len(notes) == (2 if size else 1)


def test_contrasts_that_could_not_be_judged_are_said_to_be_so():
    """Without fluid in the ADC, an inverted or T2-weighted image cannot be told from a FLAIR."""
    dry = mixed(800, 700, 1800)
    (note,) = check_contrasts({"FLAIR": mixed(450, 350, 1100), "ADC": dry}, template()[1], {})
    assert note == "ADC: hardly any fluid, so that no other contrast was judged by it"


def test_what_a_density_was_taken_for_is_said():
    assert "taken as cells/mm2" in check_provided("CPM", scaled(1), BRAIN, "x")[1][0]
    values = np.asarray(scaled(1).dataobj).copy()
    values[tuple(np.argwhere(values > 0)[:3].T)] = -2  # as a spline makes them at an edge
    image, notes = check_provided("CPM", nib.Nifti1Image(values, head().affine), BRAIN, "x")
    assert "3 voxels of the brain are not above 0" in notes[1]
    left_out = np.isnan(image.data) & (np.asarray(BRAIN.dataobj) > 0)
    assert left_out.sum() == 3


def test_a_part_of_the_brain_that_was_not_predicted_is_no_density_of_0():
    """A map that was cut off beside the target: half of the sphere holds 0, not the tissue."""
    values = np.asarray(scaled(1).dataobj).copy()
    voxel = np.argwhere(values > 0).mean(axis=0).round().astype(int)
    values[: voxel[0]] = 0
    target = nib.affines.apply_affine(BRAIN.affine, voxel - np.array([0.5, 0, 0]))
    row = pd.DataFrame([["s1", *target]], columns=["sample_id", *AXES])
    images = PatientImages({"CPM": nib.Nifti1Image(values, BRAIN.affine), "mask": BRAIN})
    found = extract_regions(make_maps(images, None), row, ImageOptions()).iloc[0]
    assert found["cpm"] == pytest.approx(values[tuple(voxel)], rel=0.3)  # tissue varies by so much
    assert found["cpm_coverage"] < 1
    assert found["cpm_flag"] == "partly without values"


def test_blood_volume_in_per_cent_is_refused():
    with pytest.raises(DatasetError, match=r"looks like per cent.*multiply the map by 0\.01"):
        check_provided("rCBV", scaled(150 / 1300), BRAIN, "x")
    notes = check_provided("rCBV", scaled(1.5 / 1300), BRAIN, "x")[1]
    assert notes[0].startswith("rCBV: taken as multiples of normal-appearing white matter")


def test_one_image_under_two_names_is_refused():
    twice = {"T1w": scaled(0.4), "T1wGd": scaled(0.4), "FLAIR": scaled(0.2)}
    with pytest.raises(DatasetError, match=r"T1wGd: found the same values as in T1w"):
        make_maps(PatientImages(twice), None)


def test_all_that_images_show_to_be_wrong_is_told_at_once():
    """Two images that are one, a contrast that is inverted, a map in another unit."""
    inside = np.asarray(BRAIN.dataobj) > 0
    inverted = nib.Nifti1Image(np.where(inside, 40, 900).astype(np.float32), BRAIN.affine)
    volumes = {"T1w": scaled(0.4), "T1wGd": scaled(0.4), "FLAIR": inverted, "mask": BRAIN}
    images = PatientImages(volumes | {"CPM": scaled(1e-3), "ADC": scaled(1e4)})
    with pytest.raises(DatasetError) as error:
        make_maps(images, None, ImageOptions(registration="never"))
    assert {p.file for p in error.value.problems} == {"T1wGd", "FLAIR", "CPM", "ADC"}


def test_both_finished_maps_are_told_at_once():
    images = PatientImages({"CPM": scaled(1e-3), "rCBV": scaled(1), "mask": BRAIN})
    with pytest.raises(DatasetError) as error:
        make_maps(images, None)
    assert len(error.value.problems) == 2


@cache
def mixed(grey: float, white: float, fluid: float) -> nib.Nifti1Image:
    """A contrast on the anatomy of the MNI152 template, 0 around the brain."""
    _, mask, _ = template()
    shares = [
        np.asarray(load(resolution=2).dataobj)
        for load in (load_mni152_gm_template, load_mni152_wm_template)
    ]
    rest = np.clip(1 - sum(shares), 0, 1)
    values = grey * shares[0] + white * shares[1] + fluid * rest
    return nib.Nifti1Image((values * (np.asarray(mask.dataobj) > 0)).astype("f4"), mask.affine)


ADC = {"ADC": mixed(800, 700, 2800)}
USUAL = {"T1w": (400, 600, 150), "T1wGd": (450, 650, 150), "FLAIR": (420, 300, 60)}


def test_usual_contrasts_pass():
    contrasts = {kind: mixed(*values) for kind, values in USUAL.items()}
    assert check_contrasts(contrasts | ADC, template()[1], {}) == []


@pytest.mark.parametrize("kind", USUAL)
@pytest.mark.parametrize("around", [True, False])
def test_an_inverted_contrast_is_refused(kind, around):
    """With the air around it or without, as tools for the brain alone leave it."""
    _, mask, _ = template()
    values = np.asarray(mixed(*USUAL[kind]).dataobj)
    inverted = values.max() - values
    if not around:
        inverted = np.where(np.asarray(mask.dataobj) > 0, inverted, 0)
    contrasts = {k: mixed(*v) for k, v in USUAL.items()} | ADC
    contrasts[kind] = nib.Nifti1Image(inverted.astype("f4"), mask.affine)
    with pytest.raises(DatasetError, match=f"{kind}.nii: found .*inverted") as error:
        check_contrasts(contrasts, mask, {kind: f"{kind}.nii"})
    assert len(error.value.problems) == 1


def test_a_t2_weighted_image_is_no_flair():
    with pytest.raises(DatasetError, match=r"FLAIR: found fluid .* times as bright"):
        check_contrasts({"FLAIR": mixed(450, 350, 1100)} | ADC, template()[1], {})


def test_fluid_that_is_badly_suppressed_is_noted():
    (note,) = check_contrasts({"FLAIR": mixed(400, 300, 400)} | ADC, template()[1], {})
    assert "look at the image" in note


def test_a_mean_that_no_sample_can_have_is_no_value():
    targets = pd.DataFrame(
        {"sample_id": ["sample-1"], "target_x": [0.0], "target_y": [0.0], "target_z": [0.0]}
    )
    dark = nib.Nifti1Image(np.full((20, 20, 20), 0.2, "f4"), np.diag([2.0, 2, 2, 1]))
    dark.affine[:3, 3] = -19
    with pytest.raises(
        DatasetError, match=r"sample-1: found a mean CPM of 0\.2.*expected a number from 1"
    ):
        extract_regions(PatientMaps({"CPM": dark}), targets, ImageOptions())
