"""LPS given as RAS+: told from the mask, from the lesion on FLAIR, and from the whole study."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

from cpmlib.book.study_images import StudyImages
from cpmlib.mri.volume import resample_to
from cpmlib.roi.lps import MIN_GAIN, detect_lps_targets, flair_gain, mirrored_cohort
from cpmlib.roi.means import lps_to_ras
from cpmlib.study.options import AXES
from studies import ROOT


def table_of(points: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(points, columns=["target_x", "target_y", "target_z"])
    table.insert(0, "sample_id", [f"sample-{i}" for i in range(len(points))])
    return table


def off_centre(data: np.ndarray) -> nib.Nifti1Image:
    """The template's grid, the head moved as patients lie: not about (0, 0, 0)."""
    affine = load_mni152_brain_mask(resolution=2).affine.copy()
    affine[:3, 3] += [10, -55, 30]
    return nib.Nifti1Image(data, affine)


@pytest.fixture(scope="module")
def mask() -> nib.Nifti1Image:
    return load_mni152_brain_mask(resolution=2)


def flair_of(mask: nib.Nifti1Image, *lesions: tuple[float, float, float]) -> nib.Nifti1Image:
    """Real anatomy, grey brighter than white as on FLAIR, with bright balls of 24 mm."""
    t1 = np.asarray(load_mni152_template(resolution=2).dataobj, dtype=np.float32)
    inside = np.asarray(mask.dataobj) > 0
    values = np.where(inside & (t1 > 0.4), 1.6 - t1, 0.2 * t1).astype(np.float32)
    spread = float(values[inside].std())
    grid = np.indices(values.shape).reshape(3, -1).T
    world = apply_affine(mask.affine, grid).reshape(*values.shape, 3)
    for lesion in lesions:
        values[inside & (np.linalg.norm(world - lesion, axis=-1) < 12)] += 3 * spread
    return nib.Nifti1Image(values, mask.affine)


def test_most_targets_outside_the_brain(mask):
    moved = off_centre(np.asarray(mask.dataobj))
    true = np.array([[30, -125, 45], [25, -130, 50.0]])
    assert detect_lps_targets(table_of(true), moved) == []
    (warning,) = detect_lps_targets(table_of(lps_to_ras(true)), moved)
    assert "2 of 2 targets outside the brain" in warning
    # Outside either way: another fault.
    assert detect_lps_targets(table_of(true + 500), moved) == []
    assert detect_lps_targets(table_of(true[:0]), moved) == []
    # Half of them outside is not most, though all would lie inside if turned.
    either = np.array([12, -5, 40.0])
    two_of_three = np.stack([*lps_to_ras(true), either])
    assert len(detect_lps_targets(table_of(two_of_three), moved)) == 1
    assert detect_lps_targets(table_of(two_of_three[1:]), moved) == []


@pytest.mark.parametrize("place", [(-34, 30, 20), (40, -20, 10), (-20, -60, 30), (25, 45, 0)])
def test_targets_in_the_brain_but_opposite_to_the_lesion(mask, place):
    """The mask alone cannot tell: the mirrored targets lie in the brain as well."""
    flair = flair_of(mask, place)
    true = np.add(place, [[0, 0, 0], [5, 3, 0], [-4, 0, 6.0]])
    assert detect_lps_targets(table_of(true), mask, flair) == []
    flipped = table_of(lps_to_ras(true))
    assert detect_lps_targets(flipped, mask) == []
    (warning,) = detect_lps_targets(flipped, mask, flair)
    assert "FLAIR" in warning
    assert "LPS coordinates given as RAS+" in warning
    gains = flair_gain(flipped, mask, flair), flair_gain(table_of(true), mask, flair)
    assert gains[0] == pytest.approx(-gains[1])


def test_brain_without_a_lesion_warns_nobody(mask):
    """Grey against white, ventricles, the border: 100 patients with one target anywhere."""
    flair = flair_of(mask)
    voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
    rng = np.random.default_rng(4)
    gains = []
    for _ in range(100):
        points = apply_affine(mask.affine, rng.choice(voxels, 1))
        gains.append(flair_gain(table_of(points), mask, flair))
    # Of a patient with several targets the mean is asked, and fewer still would reach it.
    assert sum(gain >= MIN_GAIN for gain in gains) <= 2


def test_a_lesion_on_both_sides_and_flat_images_say_nothing(mask):
    place = np.array([30.0, 20, 20])
    both = flair_of(mask, tuple(place), tuple(lps_to_ras(place)))
    assert detect_lps_targets(table_of(lps_to_ras(place)[None]), mask, both) == []
    flat = nib.Nifti1Image(np.ones(mask.shape, np.float32), mask.affine)
    assert flair_gain(table_of(place[None]), mask, flat) == 0
    nothing = nib.Nifti1Image(np.full(mask.shape, np.nan, np.float32), mask.affine)
    assert flair_gain(table_of(place[None]), mask, nothing) == 0


def test_one_answer_for_another_grid_of_flair(mask):
    """FLAIR may come in its own grid: turned axes, the same world."""
    flair = flair_of(mask, (40, -20, 10))
    turned = flair.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    points = table_of(lps_to_ras(np.array([[40, -20, 10.0], [36, -22, 14]])))
    # Equal but for rounding in sums of a few dozen float32 values.
    assert flair_gain(points, mask, turned) == pytest.approx(
        flair_gain(points, mask, flair), rel=1e-5
    )


def test_a_whole_study_that_looks_mirrored():
    assert mirrored_cohort([]) is None
    assert mirrored_cohort([True]) is None
    assert mirrored_cohort([True, False]) is None
    text = mirrored_cohort([True, True, False])
    assert text is not None
    assert "2 of 3 patients" in text
    assert "declare it in samples.json" in text


@pytest.mark.images
def test_rates_in_the_built_cohort():
    """Every patient once as it is and once with targets given in the wrong convention."""
    build = ROOT / "build" / "private"
    if not (build / "dataset" / "images.json").is_file():
        pytest.skip("run `make book` first")
    if json.loads((build / "settings.json").read_text("utf-8"))["surrogate"] is not True:
        pytest.skip("the last book was not that of the default dataset")
    images = StudyImages(build)
    samples = pd.read_csv(build / "dataset" / "samples.tsv", sep="\t", na_values="n/a")
    samples["participant_id"] = samples["participant_id"].str.removeprefix("sub-")
    false, missed = [], []
    for patient, rows in samples.groupby("participant_id"):
        mask, flair = images.image(patient, "mask"), images.image(patient, "FLAIR")
        assert mask is not None
        assert flair is not None
        flair = resample_to(flair, mask.affine, mask.shape, name="FLAIR")
        flipped = rows.copy()
        flipped[list(AXES)] = lps_to_ras(rows[list(AXES)])
        if detect_lps_targets(rows, mask, flair):
            false.append(patient)
        if not detect_lps_targets(flipped, mask, flair):
            missed.append(patient)
    total = samples["participant_id"].nunique()
    assert len(false) < 0.04 * total, false
    assert len(missed) < 0.2 * total, missed
