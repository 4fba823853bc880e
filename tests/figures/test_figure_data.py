"""What figures of images offer as data is what they draw."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cpmlib.figures import walkthrough as figures
from cpmlib.figures.registration import figure_registration, pixels_of_registration
from cpmlib.figures.slices import PLANES, pixels, take_slice
from cpmlib.mri.patient import PatientImages
from cpmlib.roi.walkthrough import Walkthrough

AFFINE = np.diag([3.0, 3, 3, 1])


def image(factor: float) -> nib.Nifti1Image:
    x, y, z = np.indices((20, 24, 16), dtype=np.float32)
    return nib.Nifti1Image(factor * (x + 100 * y + 10_000 * z), AFFINE)


@pytest.mark.parametrize("plane", PLANES)
def test_pixels_are_those_of_the_image_at_their_coordinates(plane):
    slice_ = take_slice(image(1.0), (30, 33, 24), plane, spacing=3.0)
    table = pixels({"T1w": slice_, "absent": None})
    assert table.columns.tolist() == ["plane", "x", "y", "z", "T1w"]
    assert set(table["plane"]) == {plane}
    x, y, z = (table[axis] / 3 for axis in "xyz")
    # Linear between voxels, as the image is; beyond the outermost centres it does not go on.
    inner = x.between(0, 19) & y.between(0, 23) & z.between(0, 15)
    assert inner.sum() > 200
    wanted = x + 100 * y + 10_000 * z
    np.testing.assert_allclose(table["T1w"][inner], wanted[inner], atol=0.05)


def test_a_patient_s_slices_are_offered_as_drawn():
    images = PatientImages({"T1w": image(1.0), "FLAIR": image(2.0)})
    samples = pd.DataFrame({"target_x": [30.0], "target_y": [33.0], "target_z": [24.0]})
    walk = Walkthrough("P01", samples, images)
    figure, table = figures.figure_native(walk)
    drawn = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(drawn) == 2
    for name, picture in zip(("T1w", "FLAIR"), drawn, strict=True):
        np.testing.assert_allclose(
            np.sort(table[name].dropna()), np.sort(np.ma.compressed(picture)), atol=0.01
        )
    nothing = Walkthrough()
    for draw in (figures.figure_native, figures.figure_alignment, figures.figure_leakage):
        figure, empty = draw(nothing)
        assert figure.get_label()
        assert empty.empty
        assert len(empty.columns) > 0, "a file without a header is no table"


def test_the_alignment_is_offered_in_the_three_planes():
    aligned = {"FLAIR": image(2.0)}
    table = pixels_of_registration(image(1.0), aligned)
    assert set(table["plane"]) == set(PLANES)
    both = table.dropna()
    np.testing.assert_allclose(both["FLAIR"], 2 * both["T1wGd"], rtol=1e-3, atol=0.1)
    assert len(figure_registration(image(1.0), aligned).axes) == 4
