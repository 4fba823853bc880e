"""Spheres against nilearn, against their analytic volume and means, and on turned copies."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from nilearn.maskers import NiftiSpheresMasker
from scipy.spatial.transform import Rotation

from cpmlib.roi.means import (
    EmptySphere,
    RoiValue,
    lps_to_ras,
    roi_mean,
    roi_table,
)
from cpmlib.roi.sphere import sphere_weights
from cpmlib.study.errors import DatasetError

WEIGHTINGS = ("voxel-centre", "partial-volume")
TURN = Rotation.from_euler("xyz", [12, -17, 25], degrees=True).as_matrix()
MOVE = np.array([7.3, -4.1, 11.9])
ORIENTATIONS = ("RAS", "LAS", "LPS", "PIR", "oblique")


def image_of(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(data, dtype=np.float32), affine)


@cache
def template() -> nib.Nifti1Image:
    return load_mni152_template(resolution=2)


@cache
def brain() -> nib.Nifti1Image:
    return load_mni152_brain_mask(resolution=2)


def turned(image: nib.Nifti1Image, orientation: str) -> nib.Nifti1Image:
    """The same anatomy in the same world with axes in another order; or all of it turned."""
    if orientation == "oblique":
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = TURN, MOVE
        return nib.Nifti1Image(np.asarray(image.dataobj), affine @ image.affine)
    ornt = ornt_transform(nib.io_orientation(image.affine), axcodes2ornt(orientation))
    copy = image.as_reoriented(ornt)
    assert nib.aff2axcodes(copy.affine) == tuple(orientation)
    return copy


def moved(points: np.ndarray, orientation: str) -> np.ndarray:
    return points @ TURN.T + MOVE if orientation == "oblique" else points


def in_brain(count: int, seed: int, shift: float = 0.5) -> np.ndarray:
    """World points in the template's brain, off the voxels' centres by up to `shift` voxels."""
    rng = np.random.default_rng(seed)
    voxels = np.argwhere(np.asarray(brain().dataobj) > 0)
    chosen = rng.choice(voxels, count) + rng.uniform(-shift, shift, (count, 3))
    return apply_affine(brain().affine, chosen)


def table_of(points: np.ndarray) -> pd.DataFrame:
    columns = ["target_x", "target_y", "target_z"]
    table = pd.DataFrame(points, columns=columns)
    table.insert(0, "sample_id", [f"sample-{i}" for i in range(len(points))])
    return table


def random_affine(seed: int, *, shear: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    linear = np.diag(rng.uniform(1, 3, 3) * rng.choice([-1, 1], 3))
    if shear:
        linear += np.triu(rng.uniform(-0.4, 0.4, (3, 3)), 1)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ linear
    affine[:3, 3] = rng.uniform(-80, 80, 3)
    return affine


SHAPE = (25, 25, 25)


def middle(affine: np.ndarray, seed: int) -> np.ndarray:
    """A world point in the middle voxel of a grid of `SHAPE`."""
    inside = np.random.default_rng([seed, 1]).uniform(-0.5, 0.5, 3)
    return apply_affine(affine, np.array(SHAPE) // 2 + inside)


def nilearns_means(image: nib.Nifti1Image, centres: np.ndarray, diameter: float) -> np.ndarray:
    masker = NiftiSpheresMasker(
        centres.tolist(), diameter / 2, allow_overlap=True, standardize=None, reports=False
    )
    return np.ravel(masker.fit_transform(image))


@pytest.mark.parametrize("diameter", [5.0, 8.0])
@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPS", "oblique"])
def test_voxel_centre_is_nilearns_sphere(orientation: str, diameter: float) -> None:
    """On real anatomy; one call of nilearn for all centres."""
    small = load_mni152_template(resolution=3).slicer[10:52, 10:60, 10:50]
    image = turned(image_of(small.dataobj, small.affine), orientation)
    voxels = np.random.default_rng(3).uniform(4, np.array(image.shape) - 5, (30, 3))
    centres = apply_affine(image.affine, voxels)
    expected = nilearns_means(image, centres, diameter)
    found = [roi_mean(image, centre, diameter).mean for centre in centres]
    # nilearn sums in single precision.
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_a_centre_on_the_surface_counts_as_in_nilearn(offset: float) -> None:
    """(1.5, 2, 0) lies exactly 2.5 from the origin."""
    affine = np.eye(4)
    affine[:3, 3] = -10 + offset
    data = np.random.default_rng(0).normal(1000, 100, (20, 20, 20))
    image = nib.Nifti1Image(data, affine)
    expected = nilearns_means(image, np.array([[0, 0, 0], [1, 0, 0]]), 5.0)
    found = [roi_mean(image, centre).mean for centre in ([0, 0, 0], [1, 0, 0])]
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # the same sum in double precision


def test_a_centre_just_outside_does_not_count() -> None:
    """Only rounding is forgiven; the radius is not widened."""
    for beyond, inside in ((5e-5, False), (1e-5, False), (1e-9, True), (-5e-5, True)):
        indices, _ = sphere_weights(np.eye(4), (20, 20, 20), [10 - 0.5 - beyond, 10, 10])
        assert ([12, 10, 10] in indices.tolist()) == inside


def test_the_voxel_of_the_target_counts_if_no_centre_is_inside() -> None:
    affine = np.diag([4.0, 4, 4, 1])
    data = np.random.default_rng(0).normal(1000, 100, (9, 9, 9))
    image = nib.Nifti1Image(data, affine)
    centre = [17.5, 14.2, 17.9]
    expected = nilearns_means(image, np.array([centre]), 2.0).item()
    value = roi_mean(image, centre, 2.0)
    assert value.n_voxels == 1
    assert value.mean == pytest.approx(expected, rel=1e-12)  # one voxel
    # Voxels that share the target equally all count, so that no orientation is preferred.
    indices, _ = sphere_weights(affine, (9, 9, 9), [18, 16, 16], 2.0)
    assert indices.tolist() == [[4, 4, 4], [5, 4, 4]]


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_does_not_matter(orientation: str, weighting: str) -> None:
    """Also for targets on voxel centres and edges, where many distances are exactly equal."""
    points = np.concatenate([in_brain(12, 1), in_brain(6, 2, 0.0), in_brain(6, 2, 0.0) + 1])
    options = {"weighting": weighting, "mask": brain()}
    expected = roi_table({"t1": template()}, table_of(points), **options)
    options["mask"] = turned(brain(), orientation)
    found = roi_table(
        {"t1": turned(template(), orientation)}, table_of(moved(points, orientation)), **options
    )
    # The same voxels and weights but for the rounding of the affines, summed in another order.
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), diameter=st.floats(3, 10), shear=st.booleans())
def test_partial_volumes_add_up_to_the_sphere(seed: int, diameter: float, shear: bool) -> None:
    affine = random_affine(seed, shear=shear)
    indices, weights = sphere_weights(
        affine, SHAPE, middle(affine, seed), diameter, "partial-volume"
    )
    assert (weights > 0).all()
    assert (weights <= 1 + 1e-12).all()
    volume = weights.sum() * abs(np.linalg.det(affine[:3, :3]))
    # What the docstring promises.
    assert volume == pytest.approx(np.pi / 6 * diameter**3, rel=1e-3)
    assert len(np.unique(indices, axis=0)) == len(indices)


def test_partial_volumes_are_those_of_many_points() -> None:
    """Each voxel's share, against a million random points of its neighbourhood."""
    affine = random_affine(5, shear=True)
    centre = middle(affine, 5)
    indices, weights = sphere_weights(affine, SHAPE, centre, 7.0, "partial-volume")
    rng = np.random.default_rng(0)
    low, high = indices.min(axis=0) - 1, indices.max(axis=0) + 1
    n = 1_000_000
    points = rng.uniform(low - 0.5, high + 0.5, (n, 3))
    hit = np.linalg.norm(apply_affine(affine, points) - centre, axis=1) <= 3.5
    counts = np.zeros(high - low + 1)
    np.add.at(counts, tuple((np.rint(points[hit]).astype(int) - low).T), 1)
    per_voxel = n / np.prod(high - low + 1)
    expected = np.zeros_like(counts)
    expected[tuple((indices - low).T)] = weights
    # Five standard deviations of a share from so many points.
    assert np.abs(counts / per_voxel - expected).max() < 5 * 0.5 / np.sqrt(per_voxel) + 0.005


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), diameter=st.floats(3, 10))
def test_mean_of_a_linear_field_is_its_value_at_the_centre(seed: int, diameter: float) -> None:
    affine = random_affine(seed)
    world = apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    slope = np.random.default_rng(seed).normal(size=3)
    image = nib.Nifti1Image(world @ slope, affine)
    centre = middle(affine, seed)
    value = roi_mean(image, centre, diameter, "partial-volume")
    # A voxel that the surface cuts counts with the value at its own centre. That leaves at most
    # 0.06 of the change over the longest edge in 800 random grids; the voxel-centre rule, 0.5.
    change = np.linalg.norm(slope) * np.linalg.norm(affine[:3, :3], axis=0).max()
    assert value.mean == pytest.approx(slope @ centre, abs=0.1 * change)
    symmetric = apply_affine(affine, np.array(SHAPE) // 2)
    for weighting in WEIGHTINGS:
        value = roi_mean(image, symmetric, diameter, weighting)
        # At the centre of a voxel the weights are symmetric, so that only rounding is left.
        assert value.mean == pytest.approx(slope @ symmetric, abs=1e-6)


def test_spread_of_a_linear_field_is_that_of_a_ball() -> None:
    """The SD of one coordinate over a ball of radius r is r / sqrt(5); a voxel adds none here."""
    shape = (41, 41, 41)
    affine = np.diag([0.5, 0.5, 0.5, 1])
    image = nib.Nifti1Image(np.indices(shape)[0] * 0.5, affine)
    value = roi_mean(image, [10, 10, 10], 10.0, "partial-volume")
    # Voxels cut by the surface count with their centre's value, on either side of the surface.
    assert value.sd == pytest.approx(5 / np.sqrt(5), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    weighting=st.sampled_from(WEIGHTINGS),
    scale=st.floats(0.1, 10),
    shift=st.floats(-100, 100),
    diameter=st.floats(1, 10),
)
def test_means_follow_the_unit_and_stay_in_range(
    seed: int, weighting: str, scale: float, shift: float, diameter: float
) -> None:
    affine = random_affine(seed)
    data = np.random.default_rng(seed).normal(0, 100, SHAPE)
    centre = middle(affine, seed)
    value = roi_mean(nib.Nifti1Image(data, affine), centre, diameter, weighting)
    indices, weights = sphere_weights(affine, SHAPE, centre, diameter, weighting)
    inside = data[tuple(indices.T)]
    assert inside.min() - 1e-9 <= value.mean <= inside.max() + 1e-9
    assert value.mean == pytest.approx(np.average(inside, weights=weights), abs=1e-9)
    assert (value.n_voxels, value.coverage, value.flag) == (len(weights), 1.0, "")
    other = roi_mean(nib.Nifti1Image(scale * data + shift, affine), centre, diameter, weighting)
    # Sums of at most thousands of numbers of up to 1e4, in double precision.
    assert other.mean == pytest.approx(scale * value.mean + shift, abs=1e-8)
    assert other.sd == pytest.approx(scale * value.sd, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    weighting=st.sampled_from(WEIGHTINGS),
    steps=st.tuples(*[st.integers(-4, 4)] * 3),
)
def test_moving_image_and_target_together_changes_nothing(
    seed: int, weighting: str, steps: tuple[int, int, int]
) -> None:
    affine = random_affine(seed)
    data = np.random.default_rng(seed).normal(0, 100, SHAPE)
    centre = middle(affine, seed)
    rolled = np.roll(data, steps, axis=(0, 1, 2))
    there = centre + affine[:3, :3] @ steps
    before = roi_mean(nib.Nifti1Image(data, affine), centre, 5.0, weighting)
    after = roi_mean(nib.Nifti1Image(rolled, affine), there, 5.0, weighting)
    assert after.n_voxels == pytest.approx(before.n_voxels, abs=1)  # slivers may round to nothing
    assert after.mean == pytest.approx(before.mean, abs=1e-8)  # rounding of the moved centre


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_coverage_of_a_half_sphere(weighting: str) -> None:
    """The plane between two voxels halves the sphere, so that half of its weight is left."""
    shape = (20, 20, 20)
    image = image_of(np.ones(shape), np.eye(4))
    cut = [-0.5, 10, 10]
    value = roi_mean(image, cut, weighting=weighting)
    assert value.flag == "partly outside the field of view"
    assert value.coverage == pytest.approx(0.5, abs=1e-9)  # symmetric
    left = np.zeros(shape)
    left[:10] = 1
    value = roi_mean(image, [9.5, 10, 10], weighting=weighting, mask=image_of(left, np.eye(4)))
    assert value.flag == "partly outside the brain"
    assert value.coverage == pytest.approx(0.5, abs=1e-9)
    with_nan = image_of(np.where(left, 3, np.nan), np.eye(4))
    value = roi_mean(with_nan, [9.5, 10, 10], weighting=weighting)
    assert value.flag == "partly without values"
    assert value.coverage == pytest.approx(0.5, abs=1e-9)
    assert (value.mean, value.sd) == pytest.approx((3, 0), abs=1e-12)  # rounding of the sums


def test_coverage_of_a_cap_is_its_analytic_volume() -> None:
    """A field of view that ends 1.5 mm beyond the centre cuts a cap of height 1 mm off."""
    image = image_of(np.ones((20, 20, 20)), np.eye(4))
    value = roi_mean(image, [18.0, 10, 10], weighting="partial-volume")
    cap = np.pi / 3 * (3 * 2.5 - 1) / (np.pi / 6 * 5**3)
    assert value.coverage == pytest.approx(1 - cap, abs=1e-3)  # what the docstring promises


def test_a_mask_of_another_grid_is_read_in_the_world() -> None:
    fine = image_of(np.ones((40, 40, 40)), np.eye(4))
    half = np.zeros((40, 40, 40))
    half[:20] = 1
    coarse = turned(image_of(half[::2, ::2, ::2], np.diag([2.0, 2, 2, 1])), "LPS")
    # A 2-mm voxel over 1-mm voxels 18 and 19 reaches from 17 to 19: voxels 20 and on are out.
    value = roi_mean(fine, [19.0, 20, 20], mask=coarse)
    assert value.flag == "partly outside the brain"
    assert 0.4 < value.coverage < 0.8
    assert roi_mean(fine, [10.0, 20, 20], mask=coarse).coverage == 1


def test_only_the_neighbourhood_is_read(tmp_path) -> None:
    """Of an image on disk: the rest of the file is never decoded."""
    data = np.random.default_rng(0).normal(size=(30, 30, 30)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "map.nii")
    image = nib.load(tmp_path / "map.nii")
    seen = []

    class Spy:
        shape, affine = image.shape, image.affine

        class dataobj:  # noqa: N801
            def __class_getitem__(cls, key: tuple[slice, ...]) -> np.ndarray:
                seen.append(key)
                return image.dataobj[key]

    found = roi_mean(Spy(), [15, 15, 15])
    assert found == roi_mean(nib.Nifti1Image(data, np.eye(4)), [15, 15, 15])
    assert [(s.start, s.stop) for key in seen for s in key] == [(13, 18)] * 3


def test_table_has_maps_on_their_own_grids() -> None:
    points = in_brain(4, 9)
    coarse = load_mni152_template(resolution=3)
    table = roi_table({"cpm": template(), "adc": coarse}, table_of(points))
    keys = ("mean", "sd", "n_voxels", "coverage", "flag")
    assert list(table) == ["sample_id", *(f"{m}_{k}" for m in ("cpm", "adc") for k in keys)]
    for row, point in zip(table.to_dict("records"), points, strict=True):
        for name, image in {"cpm": template(), "adc": coarse}.items():
            value = roi_mean(image, point)
            assert RoiValue(*(row[f"{name}_{k}"] for k in keys)) == value
    assert roi_table({"cpm": template()}, table_of(points[:0])).empty


def test_table_collects_every_problem() -> None:
    image = image_of(np.full((20, 20, 20), 5.0), np.eye(4))
    empty = image_of(np.full((20, 20, 20), np.nan), np.eye(4))
    flat = image_of(np.ones((4, 4, 4, 2)), np.eye(4))
    targets = table_of(np.array([[10, 10, 10], [90, 10, 10.0]]))
    with pytest.raises(DatasetError) as error:
        roi_table({"cpm": image, "adc": empty, "rcbv": flat}, targets)
    assert [(p.file, p.found.split(":")[0]) for p in error.value.problems] == [
        ("rcbv", "an image of shape (4, 4, 4, 2)"),
        ("adc", "sample-0"),
        ("cpm", "sample-1"),
        ("adc", "sample-1"),
    ]


def test_wholly_outside_says_where_and_what_to_do() -> None:
    affine = np.eye(4)
    affine[:3, 3] = [5, 5, 0]
    image = image_of(np.ones((20, 20, 20)), affine)
    with pytest.raises(EmptySphere) as error:
        roi_mean(image, [-14, -15, 10.0], name="CPM")
    (problem,) = error.value.problems
    assert problem.file == "CPM"
    assert problem.found == "a target at (-14.0, -15.0, 10.0) mm wholly outside the field of view"
    assert "x 4.5 to 24.5, y 4.5 to 24.5, z -0.5 to 19.5 mm" in problem.expected
    assert "LPS" in problem.remedy
    assert "(14.0, 15.0, 10.0)" in problem.remedy
    with pytest.raises(DatasetError) as error:
        roi_mean(image, [-14, 15, 10.0])
    assert "LPS" not in str(error.value)


def test_outside_the_brain_and_without_values_are_told_apart() -> None:
    image = image_of(np.ones((20, 20, 20)), np.eye(4))
    nothing = image_of(np.zeros((20, 20, 20)), np.eye(4))
    with pytest.raises(DatasetError, match="wholly outside the brain"):
        roi_mean(image, [10, 10, 10], mask=nothing)
    unknown = image_of(np.full((20, 20, 20), np.nan), np.eye(4))
    with pytest.raises(DatasetError, match="wholly outside the brain"):
        roi_mean(image, [10, 10, 10], mask=unknown)
    with pytest.raises(DatasetError, match="where there is no value"):
        roi_mean(unknown, [10, 10, 10])


def spoilt(kind: str) -> nib.Nifti1Image:
    data = np.ones((9, 9, 9), np.float32)
    if kind == "infinite":
        data[4, 4, 5] = np.inf
    if kind == "4-D":
        data = np.stack([data] * 2, axis=-1)
    image = nib.Nifti1Image(data, np.eye(4))
    if kind == "singular":
        image.affine[2, 2] = 0
    if kind == "tiny":
        image.affine[:3, :3] *= 1e-3
    return image


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("infinite", r"infinite value at voxel \(4, 4, 5\)"),
        ("4-D", "three dimensions"),
        ("singular", "inverted"),
        ("tiny", "voxels of 0.001 x 0.001 x 0.001 mm; expected an affine in mm"),
    ],
)
def test_images_that_cannot_be_read(kind: str, message: str) -> None:
    centre = [0.004] * 3 if kind == "tiny" else [4, 4, 4]
    with pytest.raises(DatasetError, match=message):
        roi_mean(spoilt(kind), centre)
    if kind in ("4-D", "singular"):
        good = image_of(np.ones((9, 9, 9)), np.eye(4))
        with pytest.raises(DatasetError, match=message):
            roi_mean(good, centre, mask=spoilt(kind))
        with pytest.raises(DatasetError, match=message):
            roi_table({"cpm": good}, table_of(np.array([[4, 4, 4.0]])), mask=spoilt(kind))


CALLS: dict[str, tuple[Callable[[nib.Nifti1Image], object], str]] = {
    "NaN": (lambda im: roi_mean(im, [4, np.nan, 4]), "three finite coordinates"),
    "infinite": (lambda im: roi_mean(im, [4, np.inf, 4]), "three finite coordinates"),
    "two": (lambda im: roi_mean(im, [4, 4]), "expected three coordinates"),
    "diameter": (lambda im: roi_mean(im, [4, 4, 4], 0), "diameter is 0"),
    "NaN diameter": (lambda im: roi_mean(im, [4, 4, 4], np.nan), "diameter is nan"),
    "weighting": (lambda im: roi_mean(im, [4, 4, 4], 5, "equal"), "weighting is 'equal'"),
    "far": (lambda im: roi_mean(im, [1e300, 4, 4]), "outside the field of view"),
    "grid": (lambda im: sphere_weights(im.affine, (9, 9), [4, 4, 4]), "three axes"),
    "flat": (lambda im: sphere_weights(np.zeros((4, 4)), (9, 9, 9), [4, 4, 4]), "inverted"),
    "column": (lambda im: roi_table({"a": im}, pd.DataFrame({"sample_id": ["s"]})), "no column"),
    "twice": (
        lambda im: roi_table({"a": im}, table_of(np.full((2, 3), 4.0)).assign(sample_id="s")),
        "s twice",
    ),
    "missing": (
        lambda im: roi_table({"a": im}, table_of(np.array([[4, 4, np.nan]]))),
        "column 'target_z': found sample-0: nan",
    ),
    "text": (
        lambda im: roi_table({"a": im}, table_of(np.full((1, 3), 4.0)).assign(target_x="left")),
        "column 'target_x': found sample-0: left",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_sphere_or_target(name: str) -> None:
    call, message = CALLS[name]
    with pytest.raises(ValueError, match=message):
        call(image_of(np.ones((9, 9, 9)), np.eye(4)))


def test_a_sphere_off_the_grid_has_no_voxels() -> None:
    for weighting in WEIGHTINGS:
        indices, weights = sphere_weights(np.eye(4), (9, 9, 9), [50, 4, 4], 5, weighting)
        assert indices.shape == (0, 3)
        assert weights.shape == (0,)


def test_lps_to_ras_is_nibabels_flip() -> None:
    points = np.random.default_rng(0).normal(size=(5, 3))
    flip = inv_ornt_aff(axcodes2ornt("LPS"), (1, 1, 1))  # of a single voxel at the origin
    np.testing.assert_allclose(lps_to_ras(points), apply_affine(flip, points), atol=1e-12)
    np.testing.assert_array_equal(lps_to_ras(lps_to_ras(points)), points)
