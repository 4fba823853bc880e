"""The finished cohort as the two tables of a dataset."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpmlib.study.options import AXES
from cpmsurrogate.calibration.rounding import count_nuclei
from cpmsurrogate.calibration.rows import VARIABLES
from cpmsurrogate.calibration.skeleton import Skeleton
from cpmsurrogate.images.coordinates import place_targets


def make_tables(
    skeleton: Skeleton, cohort: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write skeleton and measurements as the two tables of a dataset.

    ``cohort`` (3, N) is CPM, ADC and H&E, on the grid; the tables, participants and samples, are as
    `cpmlib.study.schemas` says.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> from cpmsurrogate.calibration.skeleton import draw_skeleton
    >>> from cpmsurrogate.calibration.targets import Target
    >>> texts = {"t1.n_patients": "2", "t1.n_samples": "3"}
    >>> targets = {k: Target(k, "", v, "", parse_printed(v)) for k, v in texts.items()}
    >>> rng = np.random.default_rng(0)
    >>> cohort = np.array([[900.0, 1000, 1100], [1300, 1200, 1000], [2000, 2500, 3000]])
    >>> participants, samples = make_tables(draw_skeleton(targets, rng), cohort, rng)
    >>> samples[["sample_id", "cpm", "he_cellularity"]].head(2)
       sample_id     cpm  he_cellularity
    0  sample-01   900.0          2000.0
    1  sample-02  1000.0          2500.0
    """
    n = len(skeleton.diagnosis)
    names = [f"sub-{i + 1:02d}" for i in range(n)]
    participants = pd.DataFrame(
        {
            "participant_id": names,
            "sex": skeleton.sex,
            "age": [float(age) for age in skeleton.age],
            "treatment": skeleton.treatment,
            "diagnosis_cns4": [d.cns4 for d in skeleton.diagnosis],
            "diagnosis_cns5": [d.cns5 for d in skeleton.diagnosis],
            "idh": [d.idh for d in skeleton.diagnosis],
            "codeletion_1p19q": [d.codeletion for d in skeleton.diagnosis],
            "grade_group": [d.grade_group for d in skeleton.diagnosis],
        }
    )
    size = np.bincount(skeleton.patient)
    points = np.concatenate(
        [place_targets(skeleton.location[i], skeleton.side[i], int(size[i]), rng) for i in range(n)]
    )
    counted = [count_nuclei(float(density), rng) for density in cohort[2]]
    samples = pd.DataFrame(
        {
            "sample_id": [f"sample-{i + 1:02d}" for i in range(len(skeleton.patient))],
            "participant_id": [names[i] for i in skeleton.patient],
            "sample_type": "tissue",
            "location": [skeleton.location[i] for i in skeleton.patient],
            "enhancement": skeleton.enhancement,
            **dict(zip(AXES, points.T, strict=True)),
            **{VARIABLES[v]: cohort[v] for v in (0, 1)},
            "he_cellularity": cohort[2],
            "he_nuclei": [float(nuclei) for nuclei, _ in counted],
            "he_tissue_area": [area for _, area in counted],
            "case": skeleton.case,
        }
    )
    return participants, samples
