"""What a patient effect does to two analyses, on made-up samples without any association.

Vocabulary
----------
- *analysis of samples*: the least-squares line, as if every sample were a patient of its own.
- *analysis with patients*: the mixed model with a random intercept for each patient.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpmlib.statistics.correlation import linear_fit
from cpmlib.statistics.mixed_model import mixed_model_slopes
from cpmlib.statistics.results import rows_of

N_PATIENTS, SAMPLES_EACH = 15, 4
N_SETS = 100
"""Made-up data sets; about 1 s of a processor for every thousand fits."""

ICCS = tuple(round(0.1 * i, 1) for i in range(10))


def made_up_parts(seed: int = 1, n_sets: int = N_SETS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw what patients have in common and what samples have of their own.

    Returns
    -------
    shared, own : (n_sets, 2, n)
        Standard normal; predictor and outcome are drawn apart, so that they are not associated.
    patient : (n,) int
        Whose sample each is.
    """
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(N_PATIENTS), SAMPLES_EACH)
    shared = rng.normal(size=(n_sets, 2, N_PATIENTS))[..., patient]
    return shared, rng.normal(size=(n_sets, 2, len(patient))), patient


def mixed(shared: np.ndarray, own: np.ndarray, icc: float) -> np.ndarray:
    r"""Mix both parts to values of variance 1 with this ICC.

    .. math:: \sqrt{\mathrm{ICC}} \, u_i + \sqrt{1 - \mathrm{ICC}} \, e_{ij}

    Examples
    --------
    >>> mixed(np.array([1.0]), np.array([3.0]), 0.0).item()
    3.0
    """
    return np.sqrt(icc) * shared + np.sqrt(1 - icc) * own


def p_values(shared: np.ndarray, own: np.ndarray, patient: np.ndarray) -> pd.DataFrame:
    """Analyse each data set at each of the `ICCS`: ``icc``, ``set``, ``naive``, ``with_patients``.

    The last two are p values of the slope.
    """
    rows = []
    of_samples, with_patients = rows_of(linear_fit), rows_of(mixed_model_slopes)
    for icc in ICCS:
        for number, (x, y) in enumerate(mixed(shared, own, icc)):
            (model,) = with_patients(x, y, patient, tests=("satterthwaite",))
            found = {"naive": of_samples(x, y)["p"], "with_patients": model["p"]}
            rows.append({"icc": icc, "set": number} | found)
    return pd.DataFrame(rows)
