"""Measure the leakage correction of a whole DSC series, and beside a loop over voxels, in one run.
Beside that, how near it comes to the known blood volume of a digital phantom.

usage: OMP_NUM_THREADS=1 python benchmarks/bench_perfusion.py [OUTPUT.json]

The series has 128 x 128 x 20 voxels and 60 volumes, all of them brain. The loop solves the two
normal equations at every rate that SciPy's bounded search asks for, one voxel after the other.
Times are processor time.
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
from scipy.optimize import minimize_scalar

from cpmlib.mri.leakage import MAX_RATE, convolve_exponential, fit_leakage
from cpmlib.mri.rcbv import relative_cbv
from cpmsurrogate.images.dsc import simulate_dsc, supply
from machine import machine

SEED = 20250529
SHAPE = (128, 128, 20)
STEP, ECHO_TIME, VOLUMES, SNR = 1.5, 0.03, 60, 50
LOOP_VOXELS = 400
REPEATS = 3
MISSED = 1e-4  # of the sum of squares; the loop's search stops 1e-5 1/s from the minimum
TARGETS = {"seconds": 10.0}
CORRECTIONS = ("bidirectional", "unidirectional", "none")

TISSUES = (
    # What, voxels, blood volume, K2 and k (1/s), delay and mean transit time of the bolus (s).
    ("white matter", 4000, 1.0, 0.0, 0.0, 0.0, 3.0),
    ("grey matter", 4000, 2.2, 0.0, 0.0, 0.0, 3.0),
    ("leaks, T1", 400, 3.0, 0.02, 0.0, 0.0, 3.0),
    ("leaks, T2*", 400, 3.0, -0.015, 0.0, 0.0, 3.0),
    ("leaks and returns, T1", 400, 3.0, 0.02, 0.015, 0.0, 3.0),
    ("leaks and returns, T2*", 400, 3.0, -0.015, 0.015, 0.0, 3.0),
    ("leaks twice as much and returns, T1", 400, 3.0, 0.04, 0.02, 0.0, 3.0),
    ("comes 1 s later", 400, 3.0, 0.0, 0.0, 1.0, 3.0),
    ("comes 2 s later", 400, 3.0, 0.0, 0.0, 2.0, 3.0),
    ("passes in 6 s instead of 3", 400, 3.0, 0.0, 0.0, 0.0, 6.0),
    ("leaks, T1, and comes 1 s later", 400, 3.0, 0.02, 0.0, 1.0, 3.0),
)
"""Of the digital phantom. White and grey matter make the reference curve."""

FINE = 0.05
"""Seconds; step at which the phantom's curves are made."""


def phantom(rng: np.random.Generator) -> tuple[nib.Nifti1Image, nib.Nifti1Image, nib.Nifti1Image]:
    """Return a series, its brain and its white matter; a tenth of the voxels leaks."""
    tissue = rng.choice(3, size=SHAPE, p=[0.5, 0.4, 0.1])
    cbv = np.choose(tissue, [1.0, 2.0, 3.0])
    k2 = np.where(tissue == 2, rng.choice([-0.02, 0.02], SHAPE), 0.0)
    ones = np.ones(SHAPE, np.float32)
    times = np.arange(VOLUMES) * STEP
    series = simulate_dsc(cbv, k2, ones, times, ECHO_TIME, 500 * ones, rng, SNR)
    white = (tissue == 0).astype(np.float32)
    return tuple(nib.Nifti1Image(values, np.eye(4)) for values in (series, ones, white))


def curve(volume: float, k2: float, k: float, delay: float, transit: float) -> np.ndarray:
    """Return dR2* (T,) at the volumes of the series: blood, and what of it has leaked."""
    fine = np.arange(0, VOLUMES * STEP + FINE, FINE)
    stays = np.exp(-fine / transit)
    blood = np.convolve(supply(fine - delay), stays / stays.sum())[: len(fine)]
    leaked = k2 * convolve_exponential(blood, FINE, [k])[0]
    return np.interp(np.arange(VOLUMES) * STEP, fine, volume * blood - leaked)


def accuracy(rng: np.random.Generator) -> dict[str, object]:
    """Fit the digital phantom: bias (mean minus truth) and error (root mean square) of each."""
    which = np.repeat(np.arange(len(TISSUES)), [tissue[1] for tissue in TISSUES])
    pure = np.array([curve(*tissue[2:]) for tissue in TISSUES])
    real, imaginary = rng.normal(0, 500 / SNR, (2, len(which), VOLUMES))
    signal = np.hypot(500 * np.exp(-ECHO_TIME * pure)[which] + real, imaginary)
    columns = (signal, np.ones(len(which)), which == 0)
    images = [
        nib.Nifti1Image(
            values.astype(np.float32).reshape(len(which), 1, 1, *values.shape[1:]), np.eye(4)
        )
        for values in columns
    ]
    series, brain, white = images
    rows = [{"tissue": what, "truth": truth} for what, _, truth, *_ in TISSUES]
    for leakage in CORRECTIONS:
        fit = relative_cbv(series, STEP, ECHO_TIME, brain, white, leakage)
        found = fit.rcbv.get_fdata().ravel()
        for i, row in enumerate(rows):
            wrong = found[which == i] - row["truth"]
            row[leakage] = {
                "bias": float(wrong.mean()),
                "error": float(np.sqrt((wrong**2).mean())),
            }
    return {"snr": SNR, "volumes": VOLUMES, "step_s": STEP, "rows": rows}


def loop(curves: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Fit one voxel after the other; return sums of squares."""
    result = []
    for curve in curves:

        def squares(k: float, curve: np.ndarray = curve) -> float:
            design = np.column_stack([reference, -convolve_exponential(reference, STEP, [k])[0]])
            solution = np.linalg.solve(design.T @ design, design.T @ curve)
            return float(((curve - design @ solution) ** 2).sum())

        result.append(minimize_scalar(squares, bounds=(0, MAX_RATE), method="bounded").fun)
    return np.array(result)


def seconds(function: Callable[[], object]) -> float:
    """Processor time of a call: what one core takes, whatever else the machine does."""
    start = time.process_time()
    function()
    return time.process_time() - start


def main(output: Path) -> None:
    rng = np.random.default_rng(SEED)
    series, brain, white = phantom(rng)
    arguments = (series, STEP, ECHO_TIME, brain, white)
    times = {
        leakage: statistics.median(
            seconds(lambda leakage=leakage: relative_cbv(*arguments, leakage))
            for _ in range(REPEATS)
        )
        for leakage in CORRECTIONS
    }
    tracemalloc.start()
    fit = relative_cbv(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    first = fit.baseline[1] - 1
    signal = np.asarray(series.dataobj).reshape(-1, VOLUMES)[:LOOP_VOXELS].astype(float)
    base = signal[:, fit.baseline[0] : fit.baseline[1]].mean(axis=1)
    curves = -np.log(signal[:, first:] / base[:, None]) / ECHO_TIME
    reference = fit.reference[first:]
    slow = statistics.median(seconds(lambda: loop(curves, reference)) for _ in range(REPEATS))
    voxels = int(np.prod(SHAPE))
    theirs = loop(curves, reference)
    ours = fit_leakage(curves, reference, STEP).sum_of_squares
    result = {
        "machine": machine("numpy", "scipy", "nibabel"),
        "targets": TARGETS,
        "series": {"shape": [*SHAPE, VOLUMES], "megabytes": series.dataobj.nbytes / 1e6},
        "whole_series_cpu_seconds": times,
        "peak_megabytes_beside_the_series": peak / 1e6,
        "us_per_voxel": 1e6 * times["bidirectional"] / voxels,
        "loop_us_per_voxel": 1e6 * slow / LOOP_VOXELS,
        "ratio": slow / LOOP_VOXELS / (times["bidirectional"] / voxels),
        # The loop's search may stop in a local minimum; ours starts from a grid.
        "largest_excess_of_our_sum_of_squares": float((ours / theirs - 1).max()),
        "voxels_where_the_loop_missed_the_minimum": int((theirs > ours * (1 + MISSED)).sum()),
        "loop_voxels": LOOP_VOXELS,
        "phantom": accuracy(np.random.default_rng(SEED)),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    default = Path(__file__).parent / "results" / "perfusion.json"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
