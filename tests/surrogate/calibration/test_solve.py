"""The search on small systems, the grid, the counts and the places."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpmsurrogate.calibration.rounding import count_nuclei, to_grid
from cpmsurrogate.calibration.rows import Frame, Quantity, Row
from cpmsurrogate.calibration.solve import Search, Settings
from cpmsurrogate.calibration.system import System
from cpmsurrogate.images.coordinates import (
    APART,
    DEPTH,
    FOCI,
    MULTIFOCAL,
    REGIONS,
    depth,
    inside_region,
    place_targets,
)

BOUNDS = ((480.0, 2250.0), (560.0, 2240.0), (380.0, 7400.0))


def make_search(measured, wanted, seed=0, settings=None):
    patient, cohorts = measured
    n = len(patient)
    frame = Frame(patient, {"whole": np.ones(n, bool), "a": np.arange(n) % 2 == 0}, {})
    rows = [Row(Quantity(*q), v - h, v + h, h) for q, v, h in wanted]
    free = np.ones(cohorts[0].shape, bool)
    free[:, 3] = False
    rng = np.random.default_rng(seed)
    return Search(System(frame, rows), free, BOUNDS, rng, settings or Settings()), cohorts[0]


REACHABLE = [
    (("mean", "whole", "cpm"), 1400.0, 0.5),
    (("sd", "whole", "cpm"), 350.0, 0.5),
    (("rho", "whole", "cpm"), 0.5, 0.005),
    (("rho", "a", "adc"), -0.3, 0.005),
    (("slope", "whole", "adc"), -0.8, 0.005),
    (("one_per_patient", "whole", "cpm"), 0.42, 0.005),
    (("mixed_slope", "whole", "cpm"), 1.5, 0.05),
    (("mixed_z", "whole", "cpm"), 3.0, 0.05),
]


def test_all_rows_are_met_on_the_grid(measured):
    search, start = make_search(measured, REACHABLE)
    found = search.run(start)
    assert not found.violated.any()
    assert np.array_equal(found.cohort, np.round(found.cohort, 1))
    assert found.cohort[:, 3].tolist() == start[:, 3].tolist()
    for row, (low, high) in zip(found.cohort, BOUNDS, strict=True):
        assert low < np.delete(row, 3).min()
        assert np.delete(row, 3).max() < high
        assert len(np.unique(row)) == len(row)
    assert [p.iteration for p in found.trace] == list(range(len(found.trace)))


def test_same_seed_same_search(measured):
    first, second, other = (
        search.run(start).cohort
        for search, start in (make_search(measured, REACHABLE, seed) for seed in (1, 1, 2))
    )
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_unreachable_row_leaves_the_others_met(measured):
    wanted = [*REACHABLE[:3], (("rho", "whole", "cpm"), 0.9, 0.005)]
    search, start = make_search(measured, wanted, settings=Settings(iterations=120))
    found = search.run(start, thorough=True)
    assert len(found.trace) == 120
    assert 1 <= found.violated.sum() <= 2
    assert not found.violated[:2].any()


def test_hopeless_start_is_given_up(measured):
    wanted = [(("rho", "whole", "cpm"), 0.5, 0.001), (("rho", "whole", "cpm"), -0.5, 0.001)]
    search, start = make_search(measured, wanted, settings=Settings(warm_merit=1e-6))
    assert len(search.run(start).trace) == Settings().warm_iterations


def test_ties_are_moved_apart_but_given_values_stay():
    values = np.array([[5.0, 5.04, 5.0, 7.0], [1.0, 2.0, 3.0, 4.0]])
    free = np.array([[True, True, False, True], [True] * 4])
    found = to_grid(values, free)
    assert found[0, 2] == 5.0
    assert len(set(found[0])) == 4
    assert np.abs(found[0] - values[0]).max() < 0.25


@given(st.integers(3000, 90000), st.integers(0, 2**32 - 1))
def test_every_density_follows_from_a_count(tenths, seed):
    density = tenths / 10
    nuclei, area = count_nuclei(density, np.random.default_rng(seed))
    assert round(nuclei / area, 1) == density
    assert 1 < area < 11
    assert area == round(area, 3)


@pytest.mark.parametrize("location", [*REGIONS, MULTIFOCAL])
@pytest.mark.parametrize("side", ["left", "right"])
def test_targets_lie_in_their_region(location, side):
    points = place_targets(location, side, 4, np.random.default_rng(1))
    assert depth(points).min() >= DEPTH
    regions = FOCI if location == MULTIFOCAL else (location,)
    assert np.array([inside_region(points, region, side) for region in regions]).any(0).all()
    gaps = [math.dist(p, q) for i, p in enumerate(points) for q in points[:i]]
    assert min(gaps) >= APART - 1e-9


def test_unknown_location_is_named():
    with pytest.raises(ValueError, match="'cheek' has no region"):
        place_targets("cheek", "left", 1, np.random.default_rng(0))
