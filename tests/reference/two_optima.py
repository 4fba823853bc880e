"""Designs whose likelihood has two local optima, where an optimiser can end in the worse one.

usage: python two_optima.py OUTPUT_FOLDER; writes two_optima.csv there.

Few patients with very unequal scatter give such likelihoods now and then. This search only
chooses data; what the right fit is, R decides (``mixed_model.R``, from several starts).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.statistics.profiled_deviance import RATIOS, ProfiledDeviance

SEED = 20250529
WANTED = 40


def candidate(rng: np.random.Generator) -> pd.DataFrame:
    """A design of few patients, each with a scatter of its own."""
    n_patients = int(rng.integers(4, 9))
    patient = np.repeat(np.arange(n_patients), rng.integers(1, 9, n_patients))
    x = rng.normal(size=len(patient)) + rng.choice([0, 1, 3]) * rng.normal(size=n_patients)[patient]
    between = rng.choice([0.3, 1, 3]) * rng.normal(size=n_patients)
    scatter = np.exp(rng.normal(size=n_patients))
    y = between[patient] + scatter[patient] * rng.normal(size=len(patient))
    return pd.DataFrame({"patient": patient, "x": x.round(3), "y": y.round(3)})


def count_optima(data: pd.DataFrame, *, reml: bool) -> int:
    """How many local minima the profiled deviance has."""
    design = np.column_stack([np.ones(len(data)), data["x"]])
    profile = ProfiledDeviance(design, data["y"].to_numpy(), data["patient"].to_numpy(), reml)
    slopes = profile.slope(RATIOS)
    if slopes[-1] < 0:
        return 0
    return int(slopes[0] >= 0) + int(((slopes[:-1] < 0) & (slopes[1:] >= 0)).sum())


def main(output: Path) -> None:
    rng = np.random.default_rng(SEED)
    found: list[pd.DataFrame] = []
    while len(found) < WANTED:
        data = candidate(rng)
        if len(data) >= 12 and max(count_optima(data, reml=reml) for reml in (True, False)) > 1:
            found.append(data.assign(design=len(found) + 1))
    columns = ["design", "patient", "x", "y"]
    pd.concat(found)[columns].to_csv(output / "two_optima.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
