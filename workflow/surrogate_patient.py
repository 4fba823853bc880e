"""Make the images and exports of one synthetic patient.

    python workflow/surrogate_patient.py PATIENT PROFILE

Below build/private, reads calibrated/PATIENT.tsv and the trained model; writes surrogate/PATIENT
and surrogate/derivatives/qupath/PATIENT, each as a whole or not at all.
"""

from __future__ import annotations

import shutil
import sys

from cpmlib.cpm.model_file import read_model
from cpmsurrogate.images.write import write_patient
from dependencies import BUILD, read_calibrated


def main(patient: str, profile: str) -> int:
    """Do it; return the exit status."""
    model = read_model(BUILD / "model" / "none" / "model.npz")
    part = BUILD / "surrogate" / f".{patient}.part"
    shutil.rmtree(part, ignore_errors=True)
    write_patient(part, patient, read_calibrated(patient), model, profile)
    for name in (patient, f"derivatives/qupath/{patient}"):
        target = BUILD / "surrogate" / name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        (part / name).rename(target)
    shutil.rmtree(part)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
