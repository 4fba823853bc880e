"""NIfTI files, good and bad."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from nilearn.datasets import load_mni152_template

from cpmlib.mri.images import check_file, quantised, read_image, write_image
from cpmlib.study.errors import DatasetError

OBLIQUE = np.array([[1.8, 0.3, 0, -40], [-0.3, 1.8, 0.2, -50], [0, -0.2, 3, -30], [0, 0, 0, 1.0]])


@pytest.fixture
def image() -> nib.Nifti1Image:
    values = np.random.default_rng(1).normal(500, 100, (9, 8, 7)).astype(np.float32)
    return nib.Nifti1Image(values, OBLIQUE)


def problem(path: Path, dimensions: int = 3) -> str:
    with pytest.raises(DatasetError) as error:
        read_image(path, dimensions)
    assert path.name in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nibabel_reads_what_we_write(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, image)
    theirs = nib.load(path)
    np.testing.assert_array_equal(theirs.get_fdata(dtype=np.float32), image.get_fdata())
    # The header holds the affine in single precision.
    np.testing.assert_allclose(theirs.affine, OBLIQUE, atol=1e-5)
    assert theirs.header.get_xyzt_units() == ("mm", "sec")


def test_we_read_what_nibabel_writes(tmp_path, image):
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").get_fdata(), image.get_fdata())


def test_slope_and_intercept_of_a_scanner_are_applied(tmp_path):
    header = nib.Nifti1Header()
    stored = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4), header)
    stored.header.set_slope_inter(2.5, 10)
    nib.save(stored, tmp_path / "a.nii")
    expected = nib.load(tmp_path / "a.nii").get_fdata()
    np.testing.assert_allclose(read_image(tmp_path / "a.nii").get_fdata(), expected)


def test_equal_images_are_equal_bytes(tmp_path, image):
    for name in ("a", "b"):
        write_image(tmp_path / name / "x.nii.gz", image)
    contents = [(tmp_path / name / "x.nii.gz").read_bytes() for name in ("a", "b")]
    assert contents[0] == contents[1]


@given(stn.arrays(np.float32, (2, 2, 3), elements=st.floats(-4000, 4000, width=32)))
def test_whole_grains_survive_the_file(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("grain") / "a.nii.gz"
    write_image(path, nib.Nifti1Image(values, np.eye(4)), slope=0.125)
    np.testing.assert_array_equal(read_image(path).get_fdata(), quantised(values, 0.125) * 0.125)


def test_nan_means_no_value_and_cannot_be_a_whole_number(tmp_path, image):
    image.get_fdata()
    values = np.asarray(image.dataobj).copy()
    values[0, 0, 0] = np.nan
    holey = nib.Nifti1Image(values, np.eye(4))
    write_image(tmp_path / "a.nii", holey)
    assert np.isnan(read_image(tmp_path / "a.nii").get_fdata()).sum() == 1
    with pytest.raises(ValueError, match="NaN"):
        write_image(tmp_path / "b.nii", holey, slope=1.0)
    assert not (tmp_path / "b.nii").exists()


def test_a_real_template_passes_unchanged(tmp_path):
    template = load_mni152_template(resolution=4)
    nib.save(template, tmp_path / "t.nii.gz")
    read = read_image(tmp_path / "t.nii.gz")
    theirs = nib.load(tmp_path / "t.nii.gz")
    np.testing.assert_array_equal(read.get_fdata(), theirs.get_fdata(dtype=np.float32))
    np.testing.assert_array_equal(read.affine, theirs.affine)


def test_a_series_of_one_volume_is_a_volume(tmp_path):
    write_image(tmp_path / "a.nii", nib.Nifti1Image(np.ones((3, 3, 3, 1), np.float32), np.eye(4)))
    assert read_image(tmp_path / "a.nii").shape == (3, 3, 3)


def test_dimensions_that_are_not_expected(tmp_path, image):
    write_image(tmp_path / "s.nii", nib.Nifti1Image(np.ones((3, 3, 3, 5), np.float32), np.eye(4)))
    assert "4 dimensions (3 x 3 x 3 x 5)" in problem(tmp_path / "s.nii")
    write_image(tmp_path / "v.nii", image)
    assert "a series (4 dimensions)" in problem(tmp_path / "v.nii", 4)


@pytest.mark.parametrize("keep", [0, 10, 200, 352, 700, 1500])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_truncated(tmp_path, image, suffix, keep):
    path = tmp_path / f"a{suffix}"
    write_image(path, image)
    content = path.read_bytes()
    path.write_bytes(content[: min(keep, len(content) - 8)])
    problem(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_longer_than_its_header_says(tmp_path, image, suffix):
    """As of a series whose header was cut to one volume; little may follow, as padding does."""
    path = tmp_path / f"a{suffix}"
    write_image(path, image)
    opened = gzip.open if suffix == ".nii.gz" else open
    for more, fits in ((2**20, True), (1, False)):
        with opened(path, "ab") as stream:
            stream.write(bytes(more))
        if fits:
            read_image(path)
    with pytest.raises(DatasetError, match="more data than the header says"):
        read_image(path)


def test_corrupt_compression(tmp_path, image):
    path = tmp_path / "a.nii.gz"
    write_image(path, image)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(bytes(content))
    problem(path)


@given(st.integers(0, 347), st.integers(0, 255))
def test_any_byte_of_the_header_may_be_wrong(tmp_path_factory, place, byte):
    """Whatever stands in the header, the answer is an image or a problem, never a crash."""
    path = tmp_path_factory.mktemp("fuzz") / "a.nii"
    values = np.ones((4, 4, 4), np.float32)
    write_image(path, nib.Nifti1Image(values, np.eye(4)))
    content = bytearray(path.read_bytes())
    content[place] = byte
    path.write_bytes(bytes(content))
    try:
        found = read_image(path)
    except DatasetError as error:
        assert "a.nii" in str(error)  # noqa: PT017
    else:
        assert len(found.shape) == 3
        assert not np.isinf(found.get_fdata()).any()


def edit_header(path: Path, image: nib.Nifti1Image, **fields: object) -> Path:
    write_image(path, image)
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + bytes(content[348:]))
    return path


def test_absurd_dimensions(tmp_path, image):
    dims = [3, 30000, 30000, 30000, 1, 1, 1, 1]
    path = edit_header(tmp_path / "a.nii", image, dim=dims)
    assert "30000 x 30000 x 30000" in problem(path)
    with pytest.raises(DatasetError, match="30000"):
        check_file(path)
    small = gzip.compress(path.read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(small)
    assert "30000" in problem(tmp_path / "b.nii.gz")


def test_affines_that_lead_nowhere(tmp_path, image):
    path = edit_header(tmp_path / "a.nii", image, srow_x=[0, 0, 0, 5])
    assert "singular affine" in problem(path)
    path = edit_header(tmp_path / "b.nii", image, srow_y=[np.nan, 1, 0, 5])
    assert "not finite" in problem(path)
    path = edit_header(tmp_path / "c.nii", image, sform_code=0, qform_code=0)
    assert "no scanner coordinates" in problem(path)


def test_values_that_are_none(tmp_path, image):
    values = np.asarray(image.dataobj).copy()
    values[2, 3, 4] = np.inf
    write_image(tmp_path / "a.nii", nib.Nifti1Image(values, np.eye(4)))
    assert "1 infinite values, the first at voxel (2, 3, 4)" in problem(tmp_path / "a.nii")
    nothing = nib.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), np.eye(4))
    write_image(tmp_path / "b.nii", nothing)
    assert "no finite value" in problem(tmp_path / "b.nii")


def test_other_files(tmp_path):
    (tmp_path / "a.nii").write_text("participant_id\tsex\n")
    problem(tmp_path / "a.nii")
    problem(tmp_path / "b.nii.gz")
    (tmp_path / "c.mgz").write_bytes(b"x")
    problem(tmp_path / "c.mgz")
    (tmp_path / "d.nii").mkdir()
    problem(tmp_path / "d.nii")


def test_messages_hold_no_path(tmp_path):
    (tmp_path / "a.nii").write_text("nothing")
    assert str(tmp_path) not in problem(tmp_path / "a.nii")


def test_both_descriptions_of_the_orientation_are_kept(tmp_path, image):
    """So that `check_inputs` can compare them."""
    shifted = OBLIQUE.copy()
    shifted[2, 3] += 7
    image.set_sform(OBLIQUE, 1)
    image.set_qform(shifted, 2)
    nib.save(image, tmp_path / "a.nii.gz")
    theirs, ours = nib.load(tmp_path / "a.nii.gz"), read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(ours.affine, theirs.affine)
    for form in ("get_sform", "get_qform"):
        kept, code = getattr(ours.header, form)(coded=True)
        expected, expected_code = getattr(theirs.header, form)(coded=True)
        np.testing.assert_allclose(kept, expected, atol=1e-5)  # single precision
        assert code == expected_code


def test_a_qform_that_is_no_rotation_does_no_harm_beside_an_sform(tmp_path, image):
    image.set_qform(OBLIQUE, 1)
    image.set_sform(OBLIQUE, 1)
    nib.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[256:268] = np.array([9, 9, 9], "<f4").tobytes()  # the quaternion
    (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_allclose(read_image(tmp_path / "a.nii").affine, OBLIQUE, atol=1e-5)


@pytest.mark.parametrize(
    ("unit", "worth", "name"), [("meter", 1e-3, "metres"), ("micron", 1e3, "micrometres")]
)
def test_another_unit_is_named(tmp_path, image, unit, worth, name):
    other = nib.Nifti1Image(image.get_fdata(dtype=np.float32), np.diag([worth] * 3 + [1]) @ OBLIQUE)
    other.header.set_xyzt_units(unit, "sec")
    nib.save(other, tmp_path / "a.nii.gz")
    assert f"coordinates in {name}" in problem(tmp_path / "a.nii.gz")
    other.header["xyzt_units"] = 0
    other = nib.Nifti1Image(image.get_fdata(dtype=np.float32), OBLIQUE, other.header)
    nib.save(other, tmp_path / "a.nii.gz")
    assert read_image(tmp_path / "a.nii.gz").shape == image.shape


@pytest.mark.parametrize(
    ("sform", "qform", "found"),
    [
        (4, 0, "MNI152 space"),
        (4, 1, "MNI152 space"),  # nibabel, and so everyone, takes the sform
        (3, 3, "Talairach's space"),
        (0, 4, "MNI152 space"),
        (5, 0, "a template's space"),
    ],
)
def test_coordinates_of_a_template_are_refused(tmp_path, image, sform, qform, found):
    path = tmp_path / "a.nii.gz"
    image.header.set_sform(np.diag([2.0, 2, 2, 1]), sform)
    image.header.set_qform(np.diag([2.0, 2, 2, 1]), qform)
    nib.save(nib.Nifti1Image(image.get_fdata(), None, image.header), path)
    assert f"found coordinates in {found}" in problem(path)
    with pytest.raises(DatasetError, match="the scanner, where the targets are"):
        check_file(path)


def test_capitals_in_a_suffix(tmp_path, image):
    path = tmp_path / "a.NII.GZ"
    write_image(tmp_path / "a.nii.gz", image)
    (tmp_path / "a.nii.gz").rename(path)
    np.testing.assert_array_equal(read_image(path).get_fdata(), image.get_fdata())
    path.write_bytes(path.read_bytes()[:-9])  # the checksum is looked at as well
    assert "cannot be read to its end" in problem(path)
