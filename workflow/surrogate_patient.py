"""Make the images and exports of one synthetic patient.

    python workflow/surrogate_patient.py PATIENT PROFILE

Below build/private, reads calibrated/PATIENT.tsv and the trained model; writes surrogate/PATIENT
and surrogate/derivatives/qupath/PATIENT, each as a whole or not at all. Starts from how the images
of the default cohort were solved, which data/surrogate_solution.json holds.
"""

from __future__ import annotations

import shutil
import sys

from cpmlib.cpm.model_file import read_model
from cpmsurrogate.images.kept import PROFILE, read_kept
from cpmsurrogate.images.write import write_patient
from dependencies import BUILD, SOLUTION, read_calibrated


def main(patient: str, profile: str) -> int:
    """Make one patient; return the exit status."""
    model = read_model(BUILD / "model" / "none" / "model.npz")
    part = BUILD / "surrogate" / f".{patient}.part"
    shutil.rmtree(part, ignore_errors=True)
    kept = read_kept(SOLUTION).get(patient) if profile == PROFILE else None
    write_patient(part, patient, read_calibrated(patient), model, profile, kept)
    for name in (patient, f"derivatives/qupath/{patient}"):
        target = BUILD / "surrogate" / name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        (part / name).rename(target)
    shutil.rmtree(part)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
