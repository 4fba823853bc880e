"""A second, invented study with 10 patients: what it prints, and the cohort behind the print."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.paper.analysis import regenerate
from cpmlib.study.dataset import Dataset
from cpmlib.study.options import AnalysisOptions

COLUMNS = ("id", "where", "statistic", "subset", "printed", "note")

PRINTED = {
    "t1.n_patients": 0,
    "t1.n_samples": 0,
    "t1.naive": 0,
    "t1.recurrent": 0,
    "t1.sex_m": 0,
    "t1.sex_f": 0,
    "t1.age_mean": 1,
    "t1.enhancing": 0,
    "t1.non_enhancing": 0,
    "t1.patients_with_2_samples": 0,
    "t1.patients_with_3_samples": 0,
    "t1.cns5.astrocytoma_grade_2": 0,
    "t1.cns5.glioblastoma_grade_4": 0,
    "desc.he_mean": 0,
    "desc.he_sd": 0,
    "desc.cpm_mean": 0,
    "desc.cpm_sd": 1,
    "group.enhancement.cpm_mean_a": 0,
    "group.enhancement.cpm_mean_b": 0,
    "group.enhancement.cpm_p": 3,
    "group.treatment.cpm_mean_a": 0,
    "group.treatment.cpm_mean_b": 0,
    "corr.whole.cpm.b": 2,
    "corr.whole.cpm.r2": 2,
    "corr.whole.cpm.rho": 2,
    "corr.whole.cpm.rho_p": 3,
    "corr.whole.cpm.rmse": 0,
    "corr.naive.adc.b": 2,
    "corr.naive.adc.r2": 2,
    "lmm.whole.cpm.b": 2,
    "lmm.whole.cpm.p": 3,
    "iter.whole.cpm.mean_rho": 2,
}
"""Printed values and their decimals."""

SUBSET = {
    "group.enhancement.cpm_mean_a": "CET",
    "group.enhancement.cpm_mean_b": "nCET",
    "group.treatment.cpm_mean_a": "treatment-naive",
    "group.treatment.cpm_mean_b": "recurrent",
}


def invented_cohort() -> Dataset:
    """Ten patients drawn at random."""
    rng = np.random.default_rng(57)
    size = np.array([3, 2, 3, 2, 3, 2, 3, 3, 2, 2])
    patient = np.repeat(np.arange(10), size)
    n = len(patient)
    names = [f"sub-{i + 1:02d}" for i in range(10)]
    low = np.arange(10) % 3 == 0
    participants = pd.DataFrame(
        {
            "participant_id": names,
            "sex": ["M", "F"] * 5,
            "age": rng.integers(30, 70, 10).astype(float),
            "treatment": ["treatment-naive"] * 5 + ["recurrent"] * 5,
            "diagnosis_cns4": np.where(low, "astrocytoma grade II", "glioblastoma grade IV"),
            "diagnosis_cns5": np.where(low, "astrocytoma grade 2", "glioblastoma grade 4"),
            "idh": np.where(low, "mutant", "wild-type"),
            "codeletion_1p19q": "intact",
            "grade_group": np.where(low, "LGG", "HGG"),
        }
    )
    shared = rng.normal(size=(2, 10))[:, patient]
    cpm = 1300 + 180 * shared[0] + 220 * rng.normal(size=n)
    he = 2600 + 1.1 * (cpm - 1300) + 450 * shared[1] + 600 * rng.normal(size=n)
    adc = 1300 - 0.15 * (he - 2600) + 110 * rng.normal(size=n)
    samples = pd.DataFrame(
        {
            "sample_id": [f"sample-{i + 1:02d}" for i in range(n)],
            "participant_id": [names[i] for i in patient],
            "sample_type": "tissue",
            "location": "frontal",
            "enhancement": np.where(cpm + rng.normal(0, 200, n) > 1300, "CET", "nCET"),
            "target_x": np.nan,
            "target_y": np.nan,
            "target_z": np.nan,
            "cpm": cpm,
            "adc": adc,
            "he_cellularity": he,
            "case": None,
        }
    )
    return Dataset(participants, samples.merge(participants, on="participant_id"), "", "")


def write_published(path: Path, changes: dict[str, str] | None = None) -> Path:
    """Write what the invented study prints; ``changes`` replaces or adds printed values."""
    values = regenerate(invented_cohort(), AnalysisOptions(n_draws=10))
    texts = {
        id: str(round(Decimal(values[id]), digits) if digits else round(values[id]))
        for id, digits in PRINTED.items()
    } | (changes or {})
    rows = [[id, "", "", SUBSET.get(id, ""), text, ""] for id, text in texts.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.to_csv(path, sep="\t", index=False, lineterminator="\n")
    return path
