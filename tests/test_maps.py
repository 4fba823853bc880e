"""From a patient's images to maps: what is missing, moved or padded must not become a number."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial.transform import Rotation

from cpmlib.extraction import extract_regions
from cpmlib.maps import make_maps
from cpmlib.options import ImageOptions
from cpmlib.patient import PatientImages
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
    """A 2-mm grid around the template, turned by 6 degrees, whose voxels fall between the others."""
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
