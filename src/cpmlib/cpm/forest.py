"""A forest of regression trees as flat arrays: safe to store, fast to ask.

A node is a question (is this feature larger than this threshold?) or a leaf with a value; it leads
to ``child`` if the answer is no, to ``child + 1`` if it is yes. The nodes of a tree lie together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from cpmlib.cpm.features import N_FEATURES
from cpmlib.cpm.traversal import MAX_INDEX, NODE, sum_leaves

LEAF = -1
"""Feature of a node that asks nothing."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees whose mean is the prediction; refused with a ValueError if they are none.

    Of each node (n,): ``feature`` (-1 for a leaf, which has 0 in all but ``value``), ``threshold``,
    ``child`` and ``value`` (cells/mm2; 0 for what is no leaf). ``root``, (trees,), has the index of
    each tree's first node, ascending from 0.
    """

    feature: np.ndarray
    threshold: np.ndarray
    child: np.ndarray
    value: np.ndarray
    root: np.ndarray

    TYPES: ClassVar[dict[str, np.dtype]] = {
        "feature": np.dtype("<i2"),
        "threshold": np.dtype("<f4"),
        "child": np.dtype("<i4"),
        "value": np.dtype("<f4"),
        "root": np.dtype("<i4"),
    }

    def __post_init__(self) -> None:
        for name, dtype in self.TYPES.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != 1:
                found = f"{array.dtype} of shape {array.shape}"
                raise ValueError(f"{name} is {found}; expected {dtype.name} of one dimension")
        lengths = {len(getattr(self, name)) for name in self.TYPES if name != "root"}
        if len(lengths) != 1 or not self.n_nodes or not self.n_trees:
            raise ValueError(f"arrays of {sorted(lengths)} nodes, {self.n_trees} trees")
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.value).all()):
            raise ValueError("a threshold or value is not finite")
        _check_trees(self)

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.root)

    @property
    def n_nodes(self) -> int:
        """Number of nodes of all trees."""
        return len(self.feature)

    @cached_property
    def _nodes_of_patches(self) -> np.ndarray:
        return self.packed(np.arange(N_FEATURES))

    def packed(self, offsets: np.ndarray) -> np.ndarray:
        """Return the nodes, (n,) `NODE`, for features at these offsets (100,) in the values."""
        leaf = self.feature == LEAF
        nodes = np.empty(self.n_nodes, dtype=NODE)
        nodes["threshold"] = np.where(leaf, np.inf, self.threshold)
        nodes["offset"] = np.where(leaf, 0, np.asarray(offsets)[np.where(leaf, 0, self.feature)])
        nodes["child"] = np.where(leaf, np.arange(self.n_nodes), self.child)
        nodes["value"] = self.value
        return nodes

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """Predict from features, (n, 100) float32, as `cpmlib.cpm.features.patches_at` reads them.

        Returns (n,) float64, cells/mm2; NaN for a patch with a number that is not finite.
        """
        if patches.ndim != 2 or patches.shape[1] != N_FEATURES or patches.dtype != np.float32:
            found = f"{patches.dtype} of shape {patches.shape}"
            raise ValueError(f"patches are {found}; expected float32 (n, {N_FEATURES})")
        if patches.size > MAX_INDEX:
            raise ValueError(f"{len(patches)} patches are too many at once; ask in parts")
        patches = np.ascontiguousarray(patches)
        starts = np.arange(len(patches), dtype=np.uint32) * np.uint32(N_FEATURES)
        total = sum_leaves(patches.reshape(-1), starts, self._nodes_of_patches, self.root)
        # The sum of 100 finite float32 numbers cannot overflow in float64, so that it tells.
        total[~np.isfinite(patches.sum(axis=1, dtype=np.float64))] = np.nan
        return total / self.n_trees


def from_sklearn(regressor: Any) -> Forest:
    """Take over a RandomForestRegressor of scikit-learn, fitted to 100 features and one output.

    The predictions are the same: scikit-learn compares float32 features with float64 thresholds,
    and ``x <= t`` holds for the same float32 x if t is rounded down to float32. Leaf values are
    rounded to float32 (by less than 2.5e-4 cells/mm2 for densities up to 4096).

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestRegressor
    >>> patches = np.random.default_rng(0).random((40, 100), np.float32)
    >>> peer = RandomForestRegressor(3, random_state=0).fit(patches, 1000 * patches[:, 7])
    >>> bool(np.abs(from_sklearn(peer).predict(patches) - peer.predict(patches)).max() < 1e-3)
    True
    """
    parts = [_flatten(estimator.tree_) for estimator in regressor.estimators_]
    sizes = [len(part["feature"]) for part in parts]
    root = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for part, start in zip(parts, root, strict=True):
        part["child"] = np.where(part["feature"] == LEAF, 0, part["child"] + start)
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    arrays["root"] = root
    return Forest(**{name: arrays[name].astype(dtype) for name, dtype in Forest.TYPES.items()})


def _flatten(tree: Any) -> dict[str, np.ndarray]:
    """Put the nodes of a tree into an order in which siblings are neighbours."""
    left, right = tree.children_left.tolist(), tree.children_right.tolist()
    order, child = [0], np.zeros(tree.node_count, dtype=np.int64)
    ahead = [0]
    while ahead:
        # Depth first: a pair stands close to the pair of its first child, often in one cache line.
        node = ahead.pop()
        if left[node] >= 0:
            child[node] = len(order)
            order += [left[node], right[node]]
            ahead += [right[node], left[node]]
    taken = np.array(order)
    leaf = tree.children_left[taken] < 0
    return {
        "feature": np.where(leaf, LEAF, tree.feature[taken]),
        "threshold": np.where(leaf, 0, _round_down(tree.threshold[taken])),
        "child": child[taken],
        "value": np.where(leaf, tree.value[taken, 0, 0], 0),
    }


def _round_down(threshold: np.ndarray) -> np.ndarray:
    """Return the largest float32 that is not above each float64."""
    nearest = threshold.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > threshold, below, nearest)


def _check_trees(forest: Forest) -> None:
    """Each node but the roots must be the child of exactly one earlier node of its own tree."""
    n, root, leaf = forest.n_nodes, forest.root, forest.feature == LEAF
    if root[0] != 0 or root[-1] >= n or (np.diff(root) <= 0).any():
        raise ValueError("the roots do not ascend from 0")
    if ((forest.feature < LEAF) | (forest.feature >= N_FEATURES)).any():
        raise ValueError(f"a feature is not between 0 and {N_FEATURES - 1}")
    if forest.child[leaf].any() or forest.threshold[leaf].any() or forest.value[~leaf].any():
        raise ValueError("a leaf that asks, or a question with a value")
    parent = np.flatnonzero(~leaf)
    child = forest.child[parent].astype(np.int64)
    end = np.append(root[1:], n)[np.searchsorted(root, parent, side="right") - 1]
    if (child <= parent).any() or (child + 1 >= end).any():
        raise ValueError("a child that does not follow its parent in its own tree")
    expected = np.ones(n, dtype=np.int64)
    expected[root] = 0
    if (np.bincount(np.concatenate([child, child + 1]), minlength=n) != expected).any():
        raise ValueError("a node that is the child of none, or of two")
