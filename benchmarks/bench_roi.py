"""Measure the reading of spheres beside nilearn, in one run on one machine.

usage: python benchmarks/bench_roi.py [OUTPUT.json]

66 targets in a 1-mm volume of a whole head, by `cpmlib.roi.means` and by nilearn's
NiftiSpheresMasker. nilearn is timed once, for it takes about a minute; a call for one target would
take nearly as long as one for all. Times are the processor's, which other work on the machine
disturbs less than wall time; set OMP_NUM_THREADS=1, so that each uses one core. The ratio depends
little on the machine, the times do.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.maskers import NiftiSpheresMasker

from cpmlib.roi.means import roi_table
from cpmlib.study.options import ROI_DIAMETER
from machine import machine

SEED = 20250529
SHAPE = (197, 233, 189)
N_TARGETS = 66
MARGIN = 20  # voxels from the edge of the volume
REPEATS = 21
TARGETS = {"ratio": 1000}


def volume(rng: np.random.Generator) -> nib.Nifti1Image:
    """A whole head of the template's size; what is in it does not matter for the time."""
    affine = np.eye(4)
    affine[:3, 3] = -98.0, -134.0, -72.0
    return nib.Nifti1Image(rng.normal(1500, 500, SHAPE).astype(np.float32), affine)


def targets(image: nib.Nifti1Image, rng: np.random.Generator) -> pd.DataFrame:
    voxels = rng.uniform(MARGIN, np.array(SHAPE) - MARGIN, (N_TARGETS, 3))
    points = nib.affines.apply_affine(image.affine, voxels)
    table = pd.DataFrame(points, columns=["target_x", "target_y", "target_z"])
    table.insert(0, "sample_id", [f"sample-{i}" for i in range(N_TARGETS)])
    return table


def ours(image: nib.Nifti1Image, table: pd.DataFrame, weighting: str) -> tuple[np.ndarray, float]:
    """Means, and the median processor time in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        result = roi_table({"map": image}, table, weighting=weighting)
        times.append(time.process_time() - start)
    return result["map_mean"].to_numpy(), statistics.median(times)


def nilearns(image: nib.Nifti1Image, table: pd.DataFrame) -> tuple[np.ndarray, float]:
    """Means, and the processor time in seconds."""
    centres = table[["target_x", "target_y", "target_z"]].to_numpy().tolist()
    masker = NiftiSpheresMasker(
        centres, ROI_DIAMETER / 2, allow_overlap=True, standardize=None, reports=False
    )
    start = time.process_time()
    means = np.ravel(masker.fit_transform(image))
    return means, time.process_time() - start


def main(output: Path) -> None:
    rng = np.random.default_rng(SEED)
    image = volume(rng)
    table = targets(image, rng)
    theirs, slow = nilearns(image, table)
    means, fast = ours(image, table, "voxel-centre")
    partial = ours(image, table, "partial-volume")[1]
    measured = {
        "targets": N_TARGETS,
        "ours_ms": 1e3 * fast,
        "nilearn_ms": 1e3 * slow,
        "ratio": slow / fast,
        "largest_relative_difference": float(np.abs(means / theirs - 1).max()),
        "partial_volume_ms": 1e3 * partial,
        "ratio_of_partial_volume": slow / partial,
    }
    result = {
        "machine": machine("numpy", "nibabel", "nilearn", "pandas", "scikit-learn"),
        "targets": TARGETS,
        "roi": measured,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"roi (ratio wanted: at least {TARGETS['ratio']})")
    for name, value in measured.items():
        print(f"  {name:<36}{value:>12.4g}")


if __name__ == "__main__":
    default = Path(__file__).parent / "results" / "roi.json"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
