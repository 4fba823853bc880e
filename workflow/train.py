"""Train the forest on the synthetic autopsy cohort, or take over a model that a study brings.

    python workflow/train.py trained|given SCALING PROFILE

Writes build/private/model/SCALING: the model, the report of its training, and the patches of the
patients that it was tested on.
"""

from __future__ import annotations

import sys

import numpy as np

from cpmlib.cpm.model_file import read_model, write_model
from cpmlib.cpm.training import train
from cpmlib.study.errors import DatasetError
from cpmsurrogate.images.autopsy import autopsy_cohort
from cpmsurrogate.images.profiles import PROFILES
from dependencies import BUILD, GIVEN_MODEL

SEED = 93
"""Of the autopsy cohort and the forest."""
SCALINGS = {"none": "none", "whole-brain-SD": "whole-brain SD"}


def main(origin: str, scaling: str, profile: str) -> int:
    """Do it; return the exit status."""
    folder = BUILD / "model" / scaling
    folder.mkdir(parents=True, exist_ok=True)
    if origin == "given":
        try:
            model = read_model(GIVEN_MODEL)
        except DatasetError as error:
            print(error)
            return 2
        write_model(folder / "model.npz", model)
        return 0
    slices = autopsy_cohort(np.random.default_rng(SEED), PROFILES[profile].t1_voxel)
    model, report = train(slices, seed=SEED, input_scaling=SCALINGS[scaling])
    write_model(folder / "model.npz", model)
    report.held_out.to_csv(folder / "held_out.tsv", sep="\t", index=False, lineterminator="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
