"""Solve the images of the default cohort from the beginning, and keep how they were solved.

    python workflow/solve_images.py [PATIENT ...]

After `make book`, whose trained model it uses; writes data/surrogate_solution.json.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cpmlib.cpm.model_file import read_model
from cpmsurrogate.images.kept import PROFILE, Kept, read_kept, write_kept
from cpmsurrogate.images.write import write_patient
from dependencies import BUILD, SOLUTION, read_calibrated


def solve(patient: str) -> Kept:
    """Make a patient's images and forget them."""
    model = read_model(BUILD / "model" / "none" / "model.npz")
    with tempfile.TemporaryDirectory() as folder:
        return write_patient(Path(folder), patient, read_calibrated(patient), model, PROFILE)


def main(chosen: list[str]) -> int:
    """Solve all patients, or those that are named; return the exit status."""
    kept = read_kept(SOLUTION) if chosen and SOLUTION.is_file() else {}
    patients = chosen or sorted(path.stem for path in (BUILD / "calibrated").glob("sub-*.tsv"))
    with ProcessPoolExecutor() as pool:
        for patient, one in zip(patients, pool.map(solve, patients), strict=True):
            kept[patient] = one
            print(patient, f"{len(one.rounds)} rounds", flush=True)
            write_kept(SOLUTION, kept)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
