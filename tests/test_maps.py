"""From a patient's images to maps: what is missing, moved or padded must not become a number."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from cpmlib.errors import DatasetError
from cpmlib.extraction import extract_regions
from cpmlib.maps import make_maps
from cpmlib.options import ImageOptions
from cpmlib.patient import DiffusionSeries, PatientImages, PerfusionSeries
from cpmlib.preprocessing.grid import resample_to
from heads import template

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
        {"CPM": cpm, "FLAIR": cpm},
        DiffusionSeries(series, np.zeros(7), np.zeros((7, 3))),
        PerfusionSeries(series, 1.5, 0.03),
        {"dsc": "sub-01_dsc.nii.gz"},
    )
    notes = " ".join(make_maps(images, None).notes)
    for name in ("FLAIR", "dwi", "sub-01_dsc.nii.gz"):
        assert f"{name}: not used; no T1-weighted image" in notes
