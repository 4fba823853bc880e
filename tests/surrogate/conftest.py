"""The printed values of the paper and of an invented study, and a cohort to evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cpmlib.paper.feasibility import bounds
from cpmlib.study.published import read_published
from cpmsurrogate.calibration.targets import make_targets

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def published():
    return read_published(ROOT / "data" / "published-values.tsv")


@pytest.fixture(scope="session")
def targets(published):
    return make_targets(published)


@pytest.fixture(scope="session")
def sought(published, targets):
    impossible = {id for id, bound in bounds(published).items() if bound.contradicted}
    return {id: target for id, target in targets.items() if id not in impossible}


@pytest.fixture(scope="session")
def invented(tmp_path_factory):
    from invented_study import write_published

    return write_published(tmp_path_factory.mktemp("invented") / "values.tsv")


@pytest.fixture(scope="session")
def measured():
    """Patients of 40 samples, and two cohorts of CPM, ADC and H&E, (2, 3, 40)."""
    rng = np.random.default_rng(5)
    patient = np.sort(np.concatenate([np.arange(15), rng.integers(15, size=25)]))
    shared = rng.normal(size=(2, 3, 15))[:, :, patient]
    z = 0.6 * shared + 0.8 * rng.normal(size=(2, 3, 40))
    cohorts = np.array([[1300.0], [1300], [2700]]) + np.array([[300.0], [300], [1000]]) * z
    cohorts[:, 2] += 0.8 * (cohorts[:, 0] - 1300)
    return patient, np.round(cohorts, 1)
