"""The flat forest against the scikit-learn forest that it was taken from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from toy import trained

from cpmlib.cpm.forest import Forest, from_sklearn

# Leaves are rounded to float32: by at most 2.5e-4 for densities up to 4096 cells/mm2.
CLOSE = 3e-4


def fitted(patches: np.ndarray, y: np.ndarray, **options: object) -> RandomForestRegressor:
    return RandomForestRegressor(6, random_state=0, max_features=0.3, **options).fit(patches, y)


@pytest.mark.parametrize("leaf", [1, 7, 200])
@pytest.mark.parametrize("n", [1, 8, 1027])
def test_predicts_as_scikit_learn(leaf: int, n: int) -> None:
    """Trees of many sizes, down to a single leaf; numbers of patches that fill no lanes."""
    rng = np.random.default_rng(leaf)
    patches = rng.normal(size=(300, 100)).astype(np.float32)
    peer = fitted(patches, 1500 + 900 * patches[:, 3] * patches[:, 60], min_samples_leaf=leaf)
    asked = rng.normal(size=(n, 100)).astype(np.float32)
    np.testing.assert_allclose(
        from_sklearn(peer).predict(asked), peer.predict(asked), rtol=0, atol=CLOSE
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), base=st.floats(-1000, 1000, width=32))
def test_neighbouring_float32_numbers_fall_on_the_same_side(seed: int, base: float) -> None:
    """Thresholds lie halfway between numbers with no float32 between them."""
    rng = np.random.default_rng(seed)
    ladder = [np.float32(base)]
    for _ in range(5):
        ladder.append(np.nextafter(ladder[-1], np.float32(np.inf)))
    patches = rng.choice(np.array(ladder), size=(60, 100))
    peer = fitted(patches, rng.uniform(0, 3000, 60))
    np.testing.assert_allclose(
        from_sklearn(peer).predict(patches), peer.predict(patches), rtol=0, atol=CLOSE
    )


def test_thresholds_that_float32_would_round_up() -> None:
    """A threshold just below a feature: its nearest float32 is the feature itself."""
    rng = np.random.default_rng(0)
    patches = rng.integers(1, 4, size=(80, 100)).astype(np.float32)
    peer = fitted(patches, rng.uniform(0, 3000, 80))
    for estimator in peer.estimators_:
        tree = estimator.tree_
        asks = tree.feature >= 0
        tree.threshold[asks] = np.ceil(tree.threshold[asks]) - 1e-12
        assert (tree.threshold[asks].astype(np.float32) > tree.threshold[asks]).all()
    np.testing.assert_allclose(
        from_sklearn(peer).predict(patches), peer.predict(patches), rtol=0, atol=CLOSE
    )


def test_no_value_gives_no_number() -> None:
    forest = trained()[0].forest
    patches = np.ones((10, 100), dtype=np.float32)
    patches[3, 99], patches[5, 0], patches[7, 50] = np.nan, np.inf, -np.inf
    answer = forest.predict(patches)
    assert np.isnan(answer).nonzero()[0].tolist() == [3, 5, 7]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_and_company_do_not_matter(seed: int) -> None:
    forest = trained()[0].forest
    rng = np.random.default_rng(seed)
    patches = rng.uniform(300, 1500, (50, 100)).astype(np.float32)
    whole, order = forest.predict(patches), rng.permutation(50)
    np.testing.assert_array_equal(forest.predict(patches[order]), whole[order])
    np.testing.assert_array_equal(forest.predict(patches[:3]), whole[:3])


def small() -> Forest:
    """Two trees: a question with two leaves, and a leaf."""
    return Forest(
        feature=np.array([7, -1, -1, -1], np.int16),
        threshold=np.array([0.5, 0, 0, 0], np.float32),
        child=np.array([1, 0, 0, 0], np.int32),
        value=np.array([0, 1000, 2000, 600], np.float32),
        root=np.array([0, 3], np.int32),
    )


def test_a_forest_by_hand() -> None:
    patches = np.zeros((3, 100), dtype=np.float32)
    patches[:, 7] = 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 9
    assert small().predict(patches).tolist() == [800, 1300, 1300]
    assert small().predict(patches[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("child", [0, 0, 0, 0], "follow"),
        ("child", [2, 0, 0, 0], "follow"),
        ("child", [-1, 0, 0, 0], "follow"),
        ("child", [2**31 - 2, 0, 0, 0], "follow"),
        ("child", [1, 1, 0, 0], "leaf"),
        ("feature", [100, -1, -1, -1], "between"),
        ("feature", [-2, -1, -1, -1], "between"),
        ("feature", [7, 7, -1, -1], "question with a value"),
        ("threshold", [np.nan, 0, 0, 0], "finite"),
        ("threshold", [0.5, 1, 0, 0], "leaf"),
        ("value", [0, np.inf, 0, 0], "finite"),
        ("value", [5, 1000, 2000, 600], "leaf"),
        ("root", [0], "child of none"),
        ("root", [3, 0], "ascend"),
        ("root", [1, 3], "ascend"),
        ("root", [0, 4], "ascend"),
        ("root", [0, 2], "follow"),
        ("root", [], "0 trees"),
        ("child", [1, 0, 0], "nodes"),
    ],
)
def test_refuses_what_is_no_forest(name: str, values: list[float], message: str) -> None:
    good = small()
    array = np.array(values, dtype=getattr(good, name).dtype)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(good, **{name: array})


def test_refuses_other_types() -> None:
    good = small()
    with pytest.raises(ValueError, match="expected int16"):
        dataclasses.replace(good, feature=good.feature.astype(np.int64))
    with pytest.raises(ValueError, match="one dimension"):
        dataclasses.replace(good, value=good.value[:, None])
    with pytest.raises(ValueError, match="patches are"):
        good.predict(np.zeros((3, 100)))
    with pytest.raises(ValueError, match="patches are"):
        good.predict(np.zeros((3, 99), np.float32))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_passes_the_checks_can_be_asked(data: st.DataObject) -> None:
    """Each accepted forest ends every walk at a leaf of the same tree."""
    n = data.draw(st.integers(1, 7))
    leaf = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    child = data.draw(st.lists(st.integers(-1, n + 1), min_size=n, max_size=n))
    root = data.draw(st.lists(st.integers(0, n), min_size=1, max_size=3))
    try:
        forest = Forest(
            feature=np.array([-1 if x else 5 for x in leaf], np.int16),
            threshold=np.zeros(n, np.float32),
            child=np.array([0 if x else c for x, c in zip(leaf, child, strict=True)], np.int32),
            value=np.array([100.0 + i if x else 0 for i, x in enumerate(leaf)], np.float32),
            root=np.array(root, np.int32),
        )
    except ValueError:
        return
    patches = np.zeros((2, 100), np.float32)
    patches[1, 5] = 1
    for answer, yes in zip(forest.predict(patches), (0, 1), strict=True):
        walked = 0.0
        for start in forest.root:
            node = int(start)
            while forest.feature[node] >= 0:
                node = int(forest.child[node]) + yes
            walked += float(forest.value[node])
        assert answer == walked / forest.n_trees
