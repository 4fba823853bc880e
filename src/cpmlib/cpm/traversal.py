"""How a forest is asked about many patches quickly.

scikit-learn copies the features of each voxel into a table and follows one patch down one tree at a
time, each step waiting for the last. Here the features are read where they lie in the images, and
eight patches go down a tree side by side, so that their memory accesses overlap; a tree is asked
about a block of neighbouring voxels before the next one, so that it stays in the processor's cache.

Images or patches lie as one long row, ``values``: a patch begins at ``start``, and ``offset`` leads
from there to a feature.

Vocabulary
----------
- *lane*: one of the eight patches that are followed together.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit, uint32

from cpmlib.cpm.processors import usable_processors

NODE = np.dtype([("threshold", "<f4"), ("offset", "<u4"), ("child", "<u4"), ("value", "<f4")])
"""A node: 16 bytes, so that it never straddles two cache lines. A leaf leads to itself."""

LANES = 8
BLOCK = 1024
"""Voxels for which a tree is asked before the next tree; a multiple of the lanes."""

FIRST_STEPS = 8
MORE_STEPS = 4
"""Steps down a tree before, and between, looking which patches have come to a leaf."""

PIECE = 16 * BLOCK
"""Voxels that a thread takes at a time."""

MAX_INDEX = 2**32 - 1


def sum_leaves(
    values: np.ndarray,
    starts: np.ndarray,
    nodes: np.ndarray,
    roots: np.ndarray,
    threads: int | None = 1,
) -> np.ndarray:
    """Sum the leaves of all trees for each patch, in the order of the trees.

    Values are float32, starts (n,) uint32, roots (trees,) the first node of each tree; neighbours
    in the list of starts should be neighbours in the image. Nodes, (k,) `NODE`, are not checked: a
    wrong index reads foreign memory. Threads are all processors that this process may use if None;
    the result, (n,) float64, is the same.
    """
    n = len(starts)
    total = np.zeros(n)
    first = roots.astype(np.uint32)
    pieces = [slice(a, a + PIECE) for a in range(0, n, PIECE)]

    def work(piece: slice) -> None:
        _sum_leaves(values, starts[piece], nodes, first, total[piece])

    workers = min(usable_processors() if threads is None else threads, len(pieces))
    if workers <= 1:
        for piece in pieces:
            work(piece)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, pieces))
    return total


@njit(nogil=True, cache=True, inline="always")
def _step(values, start, nodes, i):  # type: ignore[no-untyped-def]
    # Unsigned, so that no index is taken as counted from the end; the comparison is the step, so
    # that there is no branch for the processor to guess.
    node = nodes[i]
    return uint32(node.child + uint32(values[uint32(start + node.offset)] > node.threshold))


@njit(nogil=True, cache=True)
def _sum_leaves(values, starts, nodes, roots, total):  # type: ignore[no-untyped-def]
    place = np.zeros(BLOCK, dtype=np.uint32)
    start = np.full(BLOCK, starts[0], dtype=np.uint32)
    voxel = np.zeros(BLOCK, dtype=np.uint32)
    for begin in range(0, len(starts), BLOCK):
        there = starts[begin : begin + BLOCK]
        here = total[begin : begin + BLOCK]
        for root in roots:
            left = len(there)
            for v in range(left):
                place[v], start[v], voxel[v] = root, there[v], v
            steps = FIRST_STEPS
            while left > 0:
                # Lanes beyond those left hold what was there before: of no use and no harm.
                for v in range(0, left, LANES):
                    _walk(values, start[v : v + LANES], nodes, place[v : v + LANES], steps)
                kept = uint32(0)
                for v in range(left):
                    i, w, s = place[v], voxel[v], start[v]
                    node = nodes[i]
                    here[w] += node.value  # 0 unless it is a leaf
                    place[kept], voxel[kept], start[kept] = i, w, s
                    kept += uint32(node.child != i)
                left = int(kept)
                steps = MORE_STEPS


@njit(nogil=True, cache=True, inline="always")
def _walk(values, start, nodes, place, steps):  # type: ignore[no-untyped-def]
    # Written out, since eight local variables stay in registers and an array of eight does not.
    s0, s1, s2, s3 = start[0], start[1], start[2], start[3]
    s4, s5, s6, s7 = start[4], start[5], start[6], start[7]
    i0, i1, i2, i3 = place[0], place[1], place[2], place[3]
    i4, i5, i6, i7 = place[4], place[5], place[6], place[7]
    for _ in range(steps):
        i0 = _step(values, s0, nodes, i0)
        i1 = _step(values, s1, nodes, i1)
        i2 = _step(values, s2, nodes, i2)
        i3 = _step(values, s3, nodes, i3)
        i4 = _step(values, s4, nodes, i4)
        i5 = _step(values, s5, nodes, i5)
        i6 = _step(values, s6, nodes, i6)
        i7 = _step(values, s7, nodes, i7)
    place[0], place[1], place[2], place[3] = i0, i1, i2, i3
    place[4], place[5], place[6], place[7] = i4, i5, i6, i7
