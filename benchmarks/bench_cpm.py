"""Measure a whole-brain cellularity map beside scikit-learn with the same forest, in one run.

usage: python benchmarks/bench_cpm.py [OUTPUT.json]

The MNI152 brain at 1 mm with contrasts mixed from its tissue maps. Compared is all the way from
four images to one map: ours, and a table of 100 features to `RandomForestRegressor.predict`. Both
use two threads and take turns, so that what else the machine does falls on both alike; ratios are
of the medians of the runs and depend little on the machine.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets
from scipy import ndimage
from sklearn.ensemble import RandomForestRegressor

from cpmlib.cpm.card import ModelCard
from cpmlib.cpm.features import feature_offsets, padded_volumes
from cpmlib.cpm.forest import from_sklearn
from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.predict import predict_at, predict_map
from cpmlib.cpm.training import FEATURES_PER_SPLIT, N_TREES, PATCHES_PER_TREE
from cpmlib.mri.images import CONTRASTS
from machine import machine

SEED = 20250529
THREADS = 2
RUNS = 5
TRAINING_PATCHES = 18_900
LEAF = 10
"""Patches and smallest leaf of the forest that the project trains, so that this one is as large."""

FEW = 30
"""Voxels of a 5-mm sphere at 2 mm, roughly."""

TARGETS = {"ratio": 3.0, "largest_difference": 1e-3, "peak_mb": 2000.0}


def brain(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Contrasts (4, X, Y, Z), density, brain and affine."""
    grey, white = (
        np.asarray(load(resolution=1).dataobj, dtype=np.float32)
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    mask = datasets.load_mni152_brain_mask(resolution=1)
    fluid = np.clip(1 - grey - white, 0, 1)
    place = (
        np.indices(grey.shape, dtype=np.float32) - np.float32([130, 140, 100])[:, None, None, None]
    )
    lesion = np.exp(-(place**2).sum(axis=0) / (2 * 18**2))
    rough = ndimage.gaussian_filter(rng.standard_normal(grey.shape, dtype=np.float32), 3)
    rough /= rough.std()
    density = 1000 * white + 1200 * grey + 3000 * lesion * np.exp(0.4 * rough)
    signal = (
        600 * white + 450 * grey + 200 * fluid - 100 * lesion,
        600 * white + 450 * grey + 200 * fluid + 400 * lesion,
        350 * white + 420 * grey + 100 * fluid + 300 * lesion,
        750 * white + 850 * grey + 2800 * fluid + 900 * lesion - 0.15 * density,
    )
    noise = (rng.standard_normal(grey.shape, dtype=np.float32) for _ in signal)
    volumes = np.stack([s + 20 * n for s, n in zip(signal, noise, strict=True)])
    return volumes.astype(np.float32), density, np.asarray(mask.dataobj) > 0, mask.affine


class Table:
    """The usual way: a row of 100 features for each voxel, then `predict`."""

    def __init__(self, volumes: np.ndarray, inside: np.ndarray) -> None:
        self.volumes, self.inside = volumes, inside

    def features(self) -> np.ndarray:
        """Build the table, (n, 100)."""
        padded = padded_volumes(self.volumes)
        _, _, ny, nx = padded.shape
        z, y, x = np.nonzero(self.inside.T)
        starts, values = (z * ny + y) * nx + x, padded.reshape(-1)
        table = np.empty((len(starts), 100), dtype=np.float32)
        for column, offset in enumerate(feature_offsets(padded.shape)):
            table[:, column] = values[starts + offset]
        return table

    def predict(self, peer: RandomForestRegressor) -> np.ndarray:
        """Return the map, NaN outside the brain."""
        answer = np.full(self.inside.shape, np.nan)
        answer.T[self.inside.T] = peer.predict(self.features())
        return answer


def card() -> ModelCard:
    """What `predict_map` looks at is the voxel size."""
    pair = {"train": 1, "test": 1}
    return ModelCard(
        label="benchmark",
        synthetic=True,
        voxel_size=1.0,
        input_scaling="none",
        training_range=dict.fromkeys(CONTRASTS, (0.0, 1.0)),
        training_median=dict.fromkeys(CONTRASTS, 0.5),
        density_range=(0.0, 1.0),
        reference_sd=1.0,
        test_rmse=0.0,
        n_patients=pair,
        n_slices=pair,
        n_tiles=pair,
        seed=SEED,
        forest={},
        software={},
    )


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def main(output: Path) -> None:
    rng = np.random.default_rng(SEED)
    volumes, density, inside, affine = brain(rng)
    table = Table(volumes, inside)
    features = table.features()
    taught = rng.choice(len(features), TRAINING_PATCHES, replace=False)
    counted = density.T[inside.T][taught]
    peer = RandomForestRegressor(
        N_TREES,
        min_samples_leaf=LEAF,
        max_features=FEATURES_PER_SPLIT,
        max_samples=PATCHES_PER_TREE,
        random_state=0,
        n_jobs=THREADS,
    )
    peer.fit(features[taught], counted * np.exp(0.4 * rng.standard_normal(len(taught))))
    del features
    model = CpmModel(from_sklearn(peer), card())
    images = {n: nib.Nifti1Image(v, affine) for n, v in zip(CONTRASTS, volumes, strict=True)}
    mask = nib.Nifti1Image(inside.astype(np.uint8), affine)

    def ours() -> np.ndarray:
        return np.asarray(predict_map(model, images, mask, threads=THREADS).dataobj)

    difference = float(np.nanmax(np.abs(ours() - table.predict(peer))))
    pairs = [(timed(ours), timed(lambda: table.predict(peer))) for _ in range(RUNS)]
    (wall, cpu), (peer_wall, peer_cpu) = (
        [statistics.median(run[side][kind] for run in pairs) for kind in (0, 1)] for side in (0, 1)
    )
    tracemalloc.start()
    ours()
    above = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    voxels = np.argwhere(inside)[rng.integers(inside.sum()) :][:FEW]
    asked = [timed(lambda: predict_at(model, volumes, voxels))[0] for _ in range(300)]
    held = volumes.nbytes + inside.nbytes + model.forest.n_nodes * 16
    result = {
        "machine": machine("numpy", "numba", "scikit-learn"),
        "targets": TARGETS,
        "map": {
            "voxels": int(inside.sum()),
            "trees": model.forest.n_trees,
            "nodes": model.forest.n_nodes,
            "threads": THREADS,
            "seconds": wall,
            "scikit_learn_seconds": peer_wall,
            "ratio": statistics.median(b[0] / a[0] for a, b in pairs),
            "lowest_ratio": min(b[0] / a[0] for a, b in pairs),
            "ratio_of_processor_time": peer_cpu / cpu,
            "largest_difference": difference,
            "peak_mb": (above + held) / 1e6,
            "of_which_inputs_mb": held / 1e6,
        },
        "few_voxels": {"voxels": FEW, "microseconds": 1e6 * statistics.median(asked)},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for part in ("map", "few_voxels"):
        for name, value in result[part].items():
            print(f"  {part + ' ' + name:<36}{value:>12.5g}")


if __name__ == "__main__":
    default = Path(__file__).parent / "results" / "cpm.json"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
