"""A whole patient: images that show what they should, where they should."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import nibabel as nib
import numpy as np
import pytest

from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.volume import reference_grid, resample_to
from cpmsurrogate.images.contrasts import density
from cpmsurrogate.images.patient import SyntheticPatient, make_patient
from cpmsurrogate.images.profiles import FULL, LIGHT, PROFILES, Profile

COARSE = Profile("coarse", (4.0, 4.0, 4.0), (4.0, 4.0, 5.0), (5.0, 5.0, 5.0), (6.0, 6.0, 6.0))
MIDDLE = Profile("middle", (3.0, 3.0, 3.0), (2.5, 2.5, 4.0), (3.0, 3.0, 3.0), (6.0, 6.0, 6.0))
TARGETS = np.array([[32.0, 25, 24], [28.0, 38, 18], [21.0, 20, 33]])
ENHANCING = [True, True, False]


def patient(seed: int = 0, profile: Profile = COARSE) -> SyntheticPatient:
    rng = np.random.default_rng(seed)
    return make_patient(TARGETS, ["frontal"] * 3, ENHANCING, "HGG", "treatment-naive", rng, profile)


@cache
def one() -> SyntheticPatient:
    return patient()


@cache
def aligned() -> tuple[SyntheticPatient, dict[str, np.ndarray], nib.Nifti1Image]:
    """Give a patient, its contrasts on one grid as the pipeline brings them there."""
    made = patient(profile=MIDDLE)
    affine, shape = reference_grid(made.images["T1wGd"], MIDDLE.t1_voxel)
    images = {c: resample_to(i, affine, shape) for c, i in made.images.items()}
    values = {c: np.asarray(image.dataobj) for c, image in images.items()}
    return made, values, images["T1wGd"]


def test_images_are_native_and_whole() -> None:
    made = aligned()[0]
    assert tuple(made.images) == CONTRASTS
    affines = []
    for contrast, image in made.images.items():
        data = np.asarray(image.dataobj)
        assert data.dtype == np.float32
        assert (data == data.astype(np.int16)).all()
        sizes = nib.affines.voxel_sizes(image.affine)
        assert sorted(sizes) == pytest.approx(sorted(MIDDLE.voxel(contrast)))
        affines.append(image.affine[:3, :3] / sizes)
    # No two contrasts share an orientation.
    assert min(np.abs(a - b).max() for a in affines for b in affines if a is not b) > 1e-3


def test_contrasts_agree_with_the_latent_tissue() -> None:
    """Medians in pure tissue, far from the lesion, are in a radiologist's order."""
    made, values, reference = aligned()
    index = np.indices(reference.shape).reshape(3, -1).T
    points = nib.affines.apply_affine(reference.affine, index)
    tissue, lesion = made.latents(points)
    healthy = (lesion.solid + lesion.infiltration + lesion.cavity) < 1e-3
    medians = {
        contrast: [
            float(np.nanmedian(value.ravel()[healthy & (share > 0.95)]))
            for share in (tissue.white, tissue.grey, tissue.fluid)
        ]
        for contrast, value in values.items()
    }
    white, grey, fluid = medians["T1w"]
    assert 800 > white > grey > fluid > 100
    white, grey, fluid = medians["FLAIR"]
    assert grey > white > fluid
    white, grey, fluid = medians["ADC"]
    # Mean diffusivities of the adult brain; at 3-mm voxels some fluid is left in grey matter.
    assert 650 < white < 850
    assert white < grey < 1050
    assert fluid > 2000


def test_rim_enhances_and_oedema_is_bright() -> None:
    made, values, reference = aligned()
    index = np.indices(reference.shape).reshape(3, -1).T
    points = nib.affines.apply_affine(reference.affine, index)
    tissue, lesion = made.latents(points)
    gain = (values["T1wGd"] - values["T1w"]).ravel()
    healthy = (tissue.white > 0.9) & (lesion.infiltration < 0.01) & (lesion.solid < 0.01)
    rim, wet = lesion.enhancement > 0.7, (lesion.water > 0.5) & (lesion.solid < 0.05)
    assert rim.sum() > 50
    assert wet.sum() > 50
    assert np.nanmedian(gain[rim]) > np.nanmedian(gain[healthy]) + 150
    flair = values["FLAIR"].ravel()
    assert np.nanmedian(flair[wet]) > 1.4 * np.nanmedian(flair[healthy])
    diffusivity = values["ADC"].ravel()
    assert np.nanmedian(diffusivity[wet]) > 1.2 * np.nanmedian(diffusivity[healthy])


def test_the_brain_mask_is_the_brain() -> None:
    made = aligned()[0]
    mask = made.brain_mask(made.images["T1w"])
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 1}
    volume = np.asarray(mask.dataobj).sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    assert 1500 < volume < 2300  # ml; the template has 1887, sizes vary by 4 % an axis
    for target in TARGETS:
        voxel = np.round(nib.affines.apply_affine(np.linalg.inv(mask.affine), target)).astype(int)
        assert np.asarray(mask.dataobj)[tuple(voxel)] == 1


def test_signals_at_points_are_those_of_the_images() -> None:
    """Images minus noise-free signal at the voxel centres: noise, bias and gain, no shift."""
    made = one()
    image = made.images["T1w"]
    grid = made.grids["T1w"]
    clean = made.map("T1w", grid)
    np.testing.assert_allclose(clean.affine, image.affine, atol=1e-4)  # a header's float32
    ratio = np.corrcoef(np.asarray(image.dataobj).ravel(), np.asarray(clean.dataobj).ravel())[0, 1]
    assert ratio > 0.99
    for contrast in ("b0", "rCBV", "leakage"):
        values = np.asarray(made.map(contrast, made.grids["DSC"]).dataobj)
        assert values.min() >= 0
        assert values.max() > 0


def test_blood_volume_is_what_is_asked_for_around_a_target_alone() -> None:
    rng = np.random.default_rng(0)
    made = make_patient(
        TARGETS, ["frontal"] * 3, ENHANCING, "HGG", "treatment-naive", rng, COARSE,
        rcbv={0: 1.2, 2: 4.0},
    )  # fmt: skip
    asked, plain = made.signal("rCBV", TARGETS), one().signal("rCBV", TARGETS)
    # The neighbours' own levels reach a little into each other, 11 mm away.
    assert asked[0] < 1.8 < plain[0]
    assert asked[2] > 3.3
    far = TARGETS - np.array([0, 70, 0])
    np.testing.assert_array_equal(made.signal("rCBV", far), one().signal("rCBV", far))
    for contrast in CONTRASTS:
        np.testing.assert_array_equal(
            made.signal(contrast, TARGETS), one().signal(contrast, TARGETS)
        )


def test_the_head_does_not_depend_on_the_profile() -> None:
    finer = patient(profile=replace(COARSE, t1=(3.5, 3.5, 3.5)))
    points = np.random.default_rng(0).uniform(-60, 60, (300, 3))
    np.testing.assert_array_equal(density(*one().latents(points)), density(*finer.latents(points)))


def test_the_same_seed_makes_the_same_bytes() -> None:
    first, again, other = one(), patient(0), patient(2)
    for contrast in CONTRASTS:
        same = [np.asarray(p.images[contrast].dataobj) for p in (first, again)]
        np.testing.assert_array_equal(*same)
        np.testing.assert_array_equal(first.images[contrast].affine, again.images[contrast].affine)
    assert not np.allclose(first.images["T1w"].affine, other.images["T1w"].affine)


def test_a_target_without_location_is_refused() -> None:
    with pytest.raises(ValueError, match="1 targets and 0 locations"):
        make_patient([[30, 20, 10]], [], [True], "HGG", "recurrent", np.random.default_rng(0))


def test_profiles() -> None:
    assert set(PROFILES) == {"light", "full"}
    assert FULL.t1_voxel == 1
    with pytest.raises(ValueError, match="'PD'"):
        LIGHT.voxel("PD")
