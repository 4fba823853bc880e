"""From a patient's images to maps: what is missing, moved or padded must not become a number."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from cpm import toy
from cpmlib.cpm.patient_maps import PatientMaps, make_maps
from cpmlib.mri.images import read_image
from cpmlib.mri.patient import DiffusionSeries, PatientImages, PerfusionSeries
from cpmlib.mri.volume import resample_to
from cpmlib.roi.extraction import extract_regions
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import ImageOptions
from phantoms import bolus, diffusion, examination, template

AS_THEY_ARE = ImageOptions(registration="never")


def inside(image: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(image.dataobj) > 0


def near_the_edge(count: int = 60) -> pd.DataFrame:
    """Targets 2 to 4 mm deep in the template's brain."""
    t1, mask, _ = template()
    depth = 2 * ndimage.distance_transform_edt(inside(mask))
    places = np.argwhere((depth >= 2) & (depth <= 4))
    chosen = places[np.random.default_rng(0).choice(len(places), count)]
    points = nib.affines.apply_affine(t1.affine, chosen)
    table = pd.DataFrame(points, columns=["target_x", "target_y", "target_z"])
    return table.assign(sample_id=[f"s{i}" for i in range(count)])


def oblique_grid() -> tuple[np.ndarray, tuple[int, int, int]]:
    """A 2-mm grid around the template, turned by 6 degrees: its voxels fall between the others."""
    t1 = template()[0]
    affine, shape = np.eye(4), (100, 118, 100)
    affine[:3, :3] = 2 * Rotation.from_euler("z", 6, degrees=True).as_matrix()
    centre = nib.affines.apply_affine(t1.affine, (np.array(t1.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine, shape


def test_the_background_of_an_adc_map_does_not_lower_the_brains_edge() -> None:
    t1, mask, _ = template()
    affine, shape = oblique_grid()
    brain = inside(resample_to(mask, affine, shape, "nearest"))
    noise = np.random.default_rng(0).normal(1, 1e-4, shape)
    for background in (0.0, -5e-6, np.nan):
        adc = nib.Nifti1Image(np.where(brain, 800e-6 * noise, background).astype("f4"), affine)
        images = PatientImages({"T1wGd": t1, "mask": mask, "ADC": adc})
        made = make_maps(images, None, AS_THEY_ARE)
        # 800 with a noise of 0.08; a tenth is less than any voxel of background would take.
        values = np.asarray(made.maps["ADC"].dataobj)[inside(mask)]
        np.testing.assert_allclose(values[np.isfinite(values)], 800, atol=0.5)
        assert np.isfinite(values).mean() > 0.98
        regions = extract_regions(made, near_the_edge(), AS_THEY_ARE)
        np.testing.assert_allclose(regions["adc"], 800, atol=0.2)


def finished(value: float, seed: int) -> nib.Nifti1Image:
    """A map with a value in the brain, and 0 around it."""
    t1, mask, _ = template()
    noise = np.random.default_rng(seed).normal(1, 1e-4, mask.shape)
    return nib.Nifti1Image(np.where(inside(mask), value * noise, 0).astype("f4"), t1.affine)


def test_zeros_around_a_finished_map_are_no_values() -> None:
    mask = template()[1]
    images = PatientImages({"CPM": finished(1500, 0), "ADC": finished(0.0008, 1)})
    made = make_maps(images, None)
    assert any("no brain mask" in note and "CPM" in note for note in made.notes)
    np.testing.assert_array_equal(inside(made.maps["mask"]), inside(mask))
    regions = extract_regions(made, near_the_edge(), ImageOptions())
    # The noise of one voxel, six standard deviations.
    np.testing.assert_allclose(regions["cpm"], 1500, rtol=6e-4)
    np.testing.assert_allclose(regions["adc"], 800, rtol=6e-4)
    assert set(regions["cpm_flag"]) == {"", "partly outside the brain"}
    air = near_the_edge(1).assign(target_x=mask.affine[0, 3] + 6, target_z=mask.affine[2, 3] + 6)
    with pytest.raises(DatasetError, match="wholly outside the brain"):
        extract_regions(made, air, ImageOptions())


def test_a_zero_within_a_finished_map_is_a_value() -> None:
    values = np.asarray(finished(1500, 0).dataobj).copy()
    values[48:51, 57:60, 48:51] = 0
    made = make_maps(PatientImages({"CPM": nib.Nifti1Image(values, template()[0].affine)}), None)
    np.testing.assert_array_equal(inside(made.maps["mask"]), inside(template()[1]))


def elsewhere(image: nib.Nifti1Image) -> nib.Nifti1Image:
    affine = image.affine.copy()
    affine[:3, 3] += [150, 0, 60]
    return nib.Nifti1Image(np.asarray(image.dataobj), affine)


@pytest.mark.parametrize("kind", ["CPM", "rCBV"])
def test_a_finished_map_of_another_patient_is_refused(kind: str) -> None:
    t1, mask, _ = template()
    images = PatientImages({"T1wGd": t1, "mask": mask, kind: elsewhere(finished(1500, 0))})
    with pytest.raises(DatasetError, match=rf"{kind}: found a field of view with 5 %"):
        make_maps(images, None, AS_THEY_ARE)


@pytest.mark.parametrize("kind", ["ADC", "mask"])
def test_finished_maps_must_lie_in_one_place(kind: str) -> None:
    other = elsewhere(finished(800, 0) if kind == "ADC" else template()[1])
    with pytest.raises(DatasetError, match=rf"{kind}: found a field of view with 5 %"):
        make_maps(PatientImages({"CPM": finished(1500, 0), kind: other}), None)


def test_what_is_not_used_without_a_t1_is_said() -> None:
    cpm = finished(1500, 0)
    series = nib.Nifti1Image(np.zeros((2, 2, 2, 7), np.float32), np.eye(4))
    images = PatientImages(
        {"CPM": cpm, "FLAIR": finished(400, 0)},
        DiffusionSeries(series, np.zeros(7), np.zeros((7, 3))),
        PerfusionSeries(series, 1.5, 0.03),
        {"dsc": "sub-01_dsc.nii.gz"},
    )
    notes = " ".join(make_maps(images, None).notes)
    for name in ("FLAIR", "dwi", "sub-01_dsc.nii.gz"):
        assert f"{name}: not used; no T1-weighted image" in notes


def shifted(image: nib.Nifti1Image, by: tuple[float, float, float]) -> nib.Nifti1Image:
    affine = image.affine.copy()
    affine[:3, 3] += by
    return nib.Nifti1Image(np.asarray(image.dataobj), affine)


def with_series(
    by: tuple[float, float, float], kinds: tuple[str, ...] = ("dwi", "dsc")
) -> PatientImages:
    contrasts, mask = examination()
    series, bvals, bvecs = diffusion()
    return PatientImages(
        {"T1w": contrasts["T1w"], "T1wGd": contrasts["T1wGd"], "mask": mask},
        DiffusionSeries(shifted(series, by), bvals, bvecs) if "dwi" in kinds else None,
        PerfusionSeries(shifted(bolus(), by), 1.5, 0.03) if "dsc" in kinds else None,
    )


def grey_over_white(made: PatientMaps) -> float:
    """Mean rCBV of grey matter where the template has it."""
    _, mask, white = template()
    rcbv = made.maps["rCBV"]
    share = np.asarray(resample_to(white, rcbv.affine, rcbv.shape).dataobj)
    there = np.asarray(resample_to(mask, rcbv.affine, rcbv.shape, "nearest").dataobj) > 0
    return float(np.nanmean(np.asarray(rcbv.dataobj)[there & (share < 0.1)]))


def test_series_that_are_in_place_stay() -> None:
    made = make_maps(with_series((0, 0, 0)), None)
    assert made.alignment is not None
    assert made.alignment.registered == ()
    assert set(made.alignment.transforms) == {"T1w", "dwi", "dsc"}
    assert set(made.contrasts) == {"T1w", "T1wGd", "ADC"}
    brain = inside(made.maps["mask"])
    true = np.asarray(examination()[0]["ADC"].dataobj)[brain]
    # float32 signals of a hundred thousandth
    np.testing.assert_allclose(np.asarray(made.maps["ADC"].dataobj)[brain], true, rtol=1e-3)


@pytest.mark.parametrize(
    ("registration", "kind"),
    [
        ("auto", "dsc"),
        pytest.param("auto", "dwi", marks=pytest.mark.slow),
        pytest.param("always", "dsc", marks=pytest.mark.slow),
        pytest.param("always", "dwi", marks=pytest.mark.slow),
    ],
)
def test_series_that_moved_are_brought_back(registration: str, kind: str) -> None:
    images = with_series((6, 8, -5), (kind,))
    made = make_maps(images, None, ImageOptions(registration=registration))
    assert made.alignment is not None
    assert "T1w" not in made.alignment.registered  # in place, which no search betters
    assert any(note.startswith(f"{kind} was registered: ") for note in made.notes)
    if kind == "dsc":
        # What the series gives in place; unmoved it is far lower.
        in_place = grey_over_white(make_maps(with_series((0, 0, 0), (kind,)), None, AS_THEY_ARE))
        assert grey_over_white(made) == pytest.approx(in_place, rel=0.03)
    else:
        brain = inside(made.maps["mask"])
        found = np.asarray(made.maps["ADC"].dataobj)[brain]
        true = np.asarray(examination()[0]["ADC"].dataobj)[brain]
        # A tenth of a voxel times the steps between tissues; unmoved the mean error is over 60.
        assert np.nanmean(np.abs(found - true)) < 8


def test_series_stay_where_they_are_if_so_wanted() -> None:
    made = make_maps(with_series((6, 8, -5), ("dwi",)), None, AS_THEY_ARE)
    assert made.alignment is not None
    assert made.alignment.transforms == {}
    assert not any("registered" in note for note in made.notes)
    brain = inside(made.maps["mask"])
    true = np.asarray(examination()[0]["ADC"].dataobj)[brain]
    assert np.nanmean(np.abs(np.asarray(made.maps["ADC"].dataobj)[brain] - true)) > 30


@pytest.mark.parametrize("only", ["T1w", "T1wGd"])
def test_one_t1_is_enough_for_perfusion(only: str) -> None:
    contrasts, mask = examination()
    volumes = {only: contrasts["T1w"], "mask": mask}
    images = PatientImages(volumes, None, PerfusionSeries(bolus(), 1.5, 0.03))
    made = make_maps(images, None)
    assert made.alignment is not None
    assert set(made.alignment.transforms) == {"dsc"}  # not the reference to itself
    assert grey_over_white(made) > 1.5


def padded(image: nib.Nifti1Image, slices: int, value: float) -> nib.Nifti1Image:
    """The image with a value instead of its uppermost slices."""
    values = np.asarray(image.dataobj).copy()
    values[:, :, -slices:] = value
    return nib.Nifti1Image(values, image.affine)


def test_a_slab_padded_with_zeros_is_a_slab() -> None:
    contrasts, mask = examination()
    model = toy.trained()[0]
    affine, shape = oblique_grid()
    flair = resample_to(contrasts["FLAIR"], affine, shape)
    made = {}
    filled = padded(flair, 45, 0)
    content = ndimage.binary_fill_holes(np.asarray(filled.dataobj) != 0)
    cut = np.where(content, np.asarray(filled.dataobj), np.float32(np.nan))
    for name, image in (
        ("whole", flair),
        ("padded", filled),
        ("cut", nib.Nifti1Image(cut, flair.affine)),
    ):
        images = PatientImages({**contrasts, "mask": mask, "FLAIR": image})
        made[name] = make_maps(images, model, AS_THEY_ARE)
    (note,) = (n for n in made["padded"].notes if n.startswith("FLAIR"))
    assert note.startswith("FLAIR covers ")
    assert not any(n.startswith("FLAIR") for n in made["whole"].notes)
    assert made["padded"].notes == made["cut"].notes
    for kind in ("CPM", "mask"):
        first, second = (np.asarray(made[name].maps[kind].dataobj) for name in ("padded", "cut"))
        np.testing.assert_array_equal(first, second)
    assert np.isnan(np.asarray(made["padded"].maps["CPM"].dataobj)[:, :, 60:]).all()


def test_zeros_within_the_brain_are_values() -> None:
    contrasts, mask = examination()
    hole = np.asarray(contrasts["FLAIR"].dataobj).copy()
    hole[44:52, 54:62, 44:52] = 0  # as fluid may be, to the last unit
    affine = contrasts["FLAIR"].affine
    images = PatientImages({**contrasts, "mask": mask, "FLAIR": nib.Nifti1Image(hole, affine)})
    made = make_maps(images, toy.trained()[0], AS_THEY_ARE)
    assert not any(note.startswith("FLAIR") for note in made.notes)
    assert np.isfinite(np.asarray(made.maps["CPM"].dataobj)[44:52, 54:62, 44:52]).all()


def test_a_header_that_contradicts_itself_is_mentioned(tmp_path: Path) -> None:
    """From the file to the note: nothing on the way may drop half of the header."""
    contrasts, mask = examination()
    series, bvals, bvecs = diffusion()
    torn = {}
    for kind, image in (("T1wGd", contrasts["T1wGd"]), ("dwi", series)):
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
        qform = image.affine.copy()
        qform[2, 3] += 7
        image.set_sform(image.affine, 1)
        image.set_qform(qform, 1)
        nib.save(image, tmp_path / f"{kind}.nii.gz")
        torn[kind] = read_image(tmp_path / f"{kind}.nii.gz", len(image.shape))
    images = PatientImages(
        {"T1wGd": torn["T1wGd"], "mask": mask}, DiffusionSeries(torn["dwi"], bvals, bvecs)
    )
    notes = " ".join(make_maps(images, None, AS_THEY_ARE).notes)
    for kind in torn:
        assert f"{kind}: the header's sform and qform put its corners up to 7.0 mm" in notes


def test_bias_correction_frees_the_contrasts_of_shading_and_leaves_the_adc() -> None:
    contrasts, mask = examination()
    x, _, z = (np.linspace(-1, 1, n) for n in mask.shape)
    field = np.exp(0.4 * (x[:, None, None] - 0.5 * z**2)).astype("f4")
    volumes = dict(contrasts)
    for kind in ("T1wGd", "FLAIR"):
        values = np.asarray(contrasts[kind].dataobj) * field
        volumes[kind] = nib.Nifti1Image(values, mask.affine)
    del volumes["T1w"]
    images = PatientImages({**volumes, "mask": mask})
    plain = make_maps(images, None, AS_THEY_ARE)
    mended = make_maps(images, None, ImageOptions(registration="never", bias_correction=True))
    brain = inside(mask)
    for kind in ("T1wGd", "FLAIR"):
        true = np.asarray(contrasts[kind].dataobj)[brain]
        before, after = (
            np.asarray(made.contrasts[kind].dataobj)[brain] / true for made in (plain, mended)
        )
        # Relative shading: N4 leaves a few hundredths, since it knows nothing of the tissue.
        assert before.std() / before.mean() > 0.1
        assert after.std() / after.mean() < 0.4 * before.std() / before.mean()
    first, second = (np.asarray(made.maps["ADC"].dataobj) for made in (plain, mended))
    np.testing.assert_array_equal(first, second)


def test_a_brain_outside_the_training_range_is_said_loudly() -> None:
    """The same images in other units: as brightness from 0 to 1, or ten times as bright."""
    contrasts, mask = examination()
    model = toy.trained()[0]
    known = {
        kind: nib.Nifti1Image(np.clip(i.dataobj, *model.card.training_range[kind]), i.affine)
        for kind, i in contrasts.items()
    }
    made = make_maps(as_read(known, mask), model, AS_THEY_ARE)
    assert not any("WARNING" in note for note in made.notes)
    for factor in (1 / 1000, 10):
        other = {
            kind: nib.Nifti1Image(np.asarray(i.dataobj) * np.float32(factor), i.affine)
            for kind, i in contrasts.items()
            if kind != "ADC"
        }
        made = make_maps(as_read({**contrasts, **other}, mask), model, AS_THEY_ARE)
        assert made.quality["extrapolation_any"] == 1
        (note,) = (n for n in made.notes if "WARNING" in n)
        assert note.startswith("WARNING: 100 % of the cellularity map lies outside the range of")
        assert "T1w 100 %, T1wGd 100 %, FLAIR 100 %" in note


def as_read(contrasts: dict[str, nib.Nifti1Image], mask: nib.Nifti1Image) -> PatientImages:
    return PatientImages({**contrasts, "mask": mask})
