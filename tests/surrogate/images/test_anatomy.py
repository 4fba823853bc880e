"""Heads: the template's tissue, and a map that never folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial.transform import Rotation

from cpmsurrogate.images.anatomy import (
    BOX,
    _from_nilearn,
    _values,
    make_anatomy,
    rotation,
    sample,
    template,
)

SEEDS = st.integers(0, 2**32 - 1)
PLACES = st.lists(
    st.tuples(st.floats(-55, 55), st.floats(-90, 50), st.floats(-40, 60)), min_size=1, max_size=6
)


@pytest.mark.slow
def test_the_files_are_what_nilearn_loads() -> None:
    datasets = pytest.importorskip("nilearn.datasets")
    for name, load in (
        ("t1", datasets.load_mni152_template),
        ("gm", datasets.load_mni152_gm_template),
        ("wm", datasets.load_mni152_wm_template),
    ):
        theirs = load(resolution=1)
        np.testing.assert_array_equal(_values(_from_nilearn(name)), np.asarray(theirs.dataobj))
        np.testing.assert_array_equal(_from_nilearn(name).affine, theirs.affine)


def test_shares_of_tissue_sum_to_one_in_the_brain() -> None:
    maps = template()
    total = maps.grey + maps.white + maps.fluid
    # Rounding of float32.
    assert np.abs(total[total > 0] - 1).max() < 1e-5
    assert min(maps.grey.min(), maps.white.min(), maps.fluid.min()) > -1e-5
    # An adult's brain with ventricles has 1.2 to 2 litres; the MNI template is large.
    assert 1.2e6 < (total > 0).sum() < 2.0e6


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((-25, -20, 30), "white"),  # corona radiata
        ((27, 5, 0), "grey"),  # putamen
        ((8, 0, 18), "fluid"),  # lateral ventricle
    ],
)
def test_known_places_have_their_tissue(place: tuple[int, int, int], name: str) -> None:
    maps = template()
    index = tuple((np.array(place) - maps.origin).astype(int))
    shares = {kind: getattr(maps, kind)[index] for kind in ("grey", "white", "fluid")}
    assert max(shares, key=shares.__getitem__) == name


def test_reading_is_linear_interpolation() -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=(5, 6, 7)).astype(np.float32)
    points = rng.uniform([-3, -3, -3], [5, 7, 9], (200, 3))
    axes = [-3 + 2.0 * np.arange(n) for n in array.shape]
    theirs = RegularGridInterpolator(axes, array)(np.clip(points, -3, [a[-1] for a in axes]))
    # Rounding of float32.
    np.testing.assert_allclose(sample(array, points, (-3, -3, -3), 2.0), theirs, atol=2e-6)


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_rotations_are_those_of_scipy(degrees: tuple[float, float, float]) -> None:
    theirs = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    np.testing.assert_allclose(rotation(degrees), theirs, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, places=PLACES)
def test_no_head_folds(seed: int, places: list[tuple[float, float, float]]) -> None:
    """The map's Jacobian is positive everywhere, and heads keep within an adult's sizes."""
    targets = np.array(places)
    head = make_anatomy(np.random.default_rng(seed), _apart(targets))
    axes = [np.arange(lower, upper, 6.0) for lower, upper in BOX]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    mapped = head.to_template(grid.reshape(-1, 3)).reshape(grid.shape)
    columns = [np.gradient(mapped, 6.0, axis=k) for k in range(3)]
    jacobian = np.linalg.det(np.stack(columns, axis=-1))
    assert jacobian.min() > 0.3
    assert jacobian.max() < 2.5
    assert np.linalg.norm(mapped - grid, axis=-1).max() < 25


def _apart(targets: np.ndarray) -> np.ndarray:
    """Keep those of the targets that are 9 mm from the ones before, as a patient's are."""
    kept: list[np.ndarray] = []
    for target in targets:
        if all(np.linalg.norm(target - other) >= 9 for other in kept):
            kept.append(target)
    return np.array(kept)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, places=PLACES)
def test_targets_stay_where_they_are(seed: int, places: list[tuple[float, float, float]]) -> None:
    targets = _apart(np.array(places))
    head = make_anatomy(np.random.default_rng(seed), targets)
    # A tenth of the least depth of a target in the parenchyma.
    assert np.linalg.norm(head.to_template(targets) - targets, axis=1).max() < 0.4


def test_heads_differ_and_can_be_made_again() -> None:
    place = np.array([[20.0, -30, 40]])
    first, again, other = (
        make_anatomy(np.random.default_rng(seed)).to_template(place) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.linalg.norm(first - other) > 0.1


def test_tissue_does_not_depend_on_the_company() -> None:
    head = make_anatomy(np.random.default_rng(3))
    points = np.random.default_rng(4).uniform(BOX[:, 0], BOX[:, 1], (500, 3))
    together = head.tissue(points)
    alone = head.tissue(points[7:8])
    assert alone.grey[0] == together.grey[7]
    assert alone.outside[0] == together.outside[7]
    assert (together.brain[together.outside > 4] == 0).all()
