"""A volume is checked when it is made, and knows what nibabel and nilearn know of its place."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nilearn.image import resample_to_img

from cpmlib.mri.volume import Grid, Volume, as_volume
from cpmlib.study.errors import DatasetError
from orientations import same_image_in_orientations

COLLAPSED = np.array([[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
ONES = np.ones((4, 5, 6))


def image() -> nib.Nifti1Image:
    data = np.random.default_rng(0).normal(size=(12, 9, 7)).astype(np.float32)
    return nib.Nifti1Image(data, np.diag([2.0, 3, 4, 1]))


@pytest.mark.parametrize(
    ("data", "affine", "found"),
    [
        (np.ones((4, 5)), np.eye(4), r"an image of shape \(4, 5\)"),
        (np.ones((4, 0, 5)), np.eye(4), r"an image of shape \(4, 0, 5\)"),
        (ONES, COLLAPSED, "an affine that cannot be inverted"),
        (ONES, np.full((4, 4), np.nan), "an affine that cannot be inverted"),
        (np.where(ONES.cumsum().reshape(4, 5, 6) == 2, np.inf, 1), np.eye(4), r"voxel \(0, 0, 1\)"),
    ],
)
def test_what_is_no_volume_is_refused_by_name(
    data: np.ndarray, affine: np.ndarray, found: str
) -> None:
    with pytest.raises(DatasetError, match=rf"flair\.nii: found .*{found}"):
        Volume(data, affine, "flair.nii")
    if not np.isfinite(affine).all():
        return  # no header can be made of it
    with pytest.raises(DatasetError, match=rf"flair\.nii: found .*{found}"):
        as_volume(nib.Nifti1Image(data.astype(np.float32), affine), "flair.nii")


@pytest.mark.parametrize("copy", ["RAS", "LAS", "PIR", "oblique"])
def test_place_is_that_of_nibabel(copy: str) -> None:
    other = same_image_in_orientations(image())[copy]
    volume = as_volume(other)
    np.testing.assert_allclose(volume.grid.voxel_sizes, nib.affines.voxel_sizes(other.affine))
    ends = np.indices((2, 2, 2)).reshape(3, -1).T * other.shape - 0.5
    corners = nib.affines.apply_affine(other.affine, ends)
    np.testing.assert_allclose(volume.grid.bounds, [corners.min(axis=0), corners.max(axis=0)])
    assert volume.grid.extent.prod() == pytest.approx(1000 * volume.voxel_ml * volume.data.size)


def test_resampling_is_that_of_nilearn() -> None:
    target = nib.Nifti1Image(np.zeros((5, 6, 5), np.float32), np.diag([2.5, 2.5, 2.5, 1]))
    own = as_volume(image()).resampled(Grid(target.affine, (5, 6, 5))).to_image()
    peer = resample_to_img(image(), target, "linear", copy_header=True, force_resample=True)
    # float32 against float64 of values near 1.
    np.testing.assert_allclose(own.get_fdata(), peer.get_fdata(), atol=1e-5)
    np.testing.assert_array_equal(own.affine, target.affine)
