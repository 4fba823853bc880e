"""The MNI152 anatomy from files to the sample table, step by step against other libraries."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.processing import resample_from_to
from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template
from nilearn.maskers import NiftiSpheresMasker
from scipy import ndimage
from sklearn.ensemble import RandomForestRegressor

from cpm.toy import patches_by_numpy, trained
from cpmlib.cpm.forest import from_sklearn
from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.patient_maps import make_maps
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.patient import read_patient
from cpmlib.roi.extraction import extract_regions
from cpmlib.study.files import find_patient
from cpmlib.study.options import ImageOptions
from orientations import reoriented, turned
from phantoms import template

FILES = {
    "T1w": "anat/sub-01_T1w",
    "T1wGd": "anat/sub-01_ce-gadolinium_T1w",
    "FLAIR": "anat/sub-01_FLAIR",
    "ADC": "dwi/sub-01_ADC",
}


def anatomy() -> dict[str, nib.Nifti1Image]:
    """Contrasts mixed of the template and its tissue maps, in one grid of 2 mm."""
    t1, mask, _ = template()
    brain = np.asarray(mask.dataobj) > 0
    d = np.asarray(t1.dataobj)
    grey, white = (
        np.asarray(load(resolution=2).dataobj)
        for load in (load_mni152_gm_template, load_mni152_wm_template)
    )
    fluid = np.clip(1 - grey - white, 0, 1)
    noise = np.random.default_rng(0).normal(0, 1, (4, *d.shape))
    mixed = {
        "T1w": 600 * d,
        "T1wGd": 600 * d + 80 * grey,
        "FLAIR": 420 * grey + 300 * white + 60 * fluid + 20,
        # mm2/s, and exactly 0 in air
        "ADC": 800 * grey + 700 * white + 2800 * fluid,
    }
    made = {k: v + 5 * n for (k, v), n in zip(mixed.items(), noise, strict=True)}
    made["ADC"] = np.where(brain, 1e-6 * np.maximum(made["ADC"], 100), 0)
    return {k: nib.Nifti1Image(v.astype("f4"), t1.affine) for k, v in made.items()}


def native(images: dict[str, nib.Nifti1Image]) -> dict[str, nib.Nifti1Image]:
    """Each contrast in a grid of its own, made by nibabel; none is that of the template."""
    t1 = images["T1w"]
    oblique = turned(t1) @ t1.affine
    thick = t1.affine @ np.diag([1, 1, 1.5, 1])
    wide = t1.affine @ np.diag([1.2, 1.2, 1.2, 1])
    wide[:3, 3] += [0.7, -0.4, 0.3]
    x, y, z = t1.shape
    slices = x, y, z * 2 // 3
    size = tuple(int(n / 1.2) for n in t1.shape)
    return {
        "T1w": resample_from_to(images["T1w"], (t1.shape, oblique), order=1),
        "T1wGd": reoriented(images["T1wGd"], "LPS"),
        "FLAIR": reoriented(resample_from_to(images["FLAIR"], (slices, thick), order=1), "PIR"),
        "ADC": reoriented(resample_from_to(images["ADC"], (size, wide), order=0), "LAS"),
    }


def read_by_scipy(image: nib.Nifti1Image, affine: np.ndarray, shape: tuple) -> np.ndarray:
    """Trilinear interpolation at the voxels of a grid."""
    at = np.linalg.inv(image.affine) @ affine
    places = np.moveaxis(np.indices(shape), 0, -1) @ at[:3, :3].T + at[:3, 3]
    return ndimage.map_coordinates(
        np.asarray(image.dataobj, dtype=float), np.moveaxis(places, -1, 0), order=1, mode="nearest"
    )


@pytest.mark.slow
def test_the_mni152_anatomy_through_the_whole_chain(tmp_path: Path) -> None:
    images = native(anatomy())
    for kind, stem in FILES.items():
        path = tmp_path / "sub-01" / f"{stem}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(images[kind], path)

    # What the analysis should see, on the template's own grid, whose axes are R, A, S.
    t1, truth, _ = template()
    grid = t1.affine, t1.shape
    seen = np.stack([read_by_scipy(images[kind], *grid) for kind in CONTRASTS])
    adc, value = images["ADC"], np.asarray(images["ADC"].dataobj) > 0
    weight = read_by_scipy(nib.Nifti1Image(value.astype("f4"), adc.affine), *grid)
    # Half of the weight must lie on values; exactly half is common, and must not hang on rounding.
    seen[3] = np.where(weight > 0.4999, 1e6 * seen[3] / np.maximum(weight, 0.1), 0)
    patches = patches_by_numpy(seen.astype(np.float32))
    inner = ndimage.binary_erosion(np.asarray(truth.dataobj) > 0, iterations=2)
    taught = np.random.default_rng(1).choice(np.flatnonzero(inner), 3000, replace=False)
    known = patches.reshape(-1, 100)[taught]
    peer = RandomForestRegressor(10, min_samples_leaf=5, max_features=0.2, random_state=0)
    peer.fit(known, 1000 + 0.8 * known[:, 62] - 0.3 * known[:, 87] + known[:, 37])
    card = trained()[0].card
    model = CpmModel(from_sklearn(peer), card)

    made = make_maps(read_patient(find_patient(tmp_path, "sub-01", ["sample-1"])), model)
    assert made.alignment is not None
    assert made.alignment.registered == ()
    cpm = made.maps["CPM"]
    np.testing.assert_allclose(cpm.affine, t1.affine, atol=1e-4)
    assert cpm.shape == t1.shape
    there = np.isfinite(np.asarray(cpm.dataobj))
    raw = peer.predict(patches[there])
    expected = raw * card.reference_sd / raw.std()
    found = np.asarray(cpm.dataobj)[there]
    # Both sides interpolate, in single and double precision: in a few of 100,000 voxels a value
    # falls on the other side of a tree's threshold.
    off = np.abs(found / expected - 1)
    assert np.mean(off > 1e-5) < 5e-4
    assert off.max() < 0.05
    ours = np.asarray(made.maps["ADC"].dataobj)
    np.testing.assert_allclose(ours[there], seen[3][there], rtol=1e-4)

    rng = np.random.default_rng(2)
    voxels = rng.choice(np.argwhere(ndimage.binary_erosion(there, iterations=3)), 40)
    centres = nib.affines.apply_affine(t1.affine, voxels + rng.uniform(-0.5, 0.5, (40, 3)))
    targets = pd.DataFrame(centres, columns=["target_x", "target_y", "target_z"])
    regions = extract_regions(
        made, targets.assign(sample_id=[f"s{i}" for i in range(40)]), ImageOptions()
    )
    masker = NiftiSpheresMasker(
        centres.tolist(), 2.5, allow_overlap=True, standardize=None, reports=False
    )
    for column, values in (("cpm", _fill(cpm, there, expected)), ("adc", seen[3])):
        theirs = np.ravel(masker.fit_transform(nib.Nifti1Image(values, t1.affine)))
        # Kept to a tenth; single precision, and the mean of a few voxels that may differ as above.
        np.testing.assert_allclose(regions[column], theirs, rtol=1e-4, atol=0.06)


def _fill(like: nib.Nifti1Image, where: np.ndarray, values: np.ndarray) -> np.ndarray:
    whole = np.zeros(like.shape)
    whole[where] = values
    return whole
