"""Each row is the statistic that the library gives, and its gradient goes with differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cpmlib.statistics.correlation import correlate, linear_fit, root_mean_square_error
from cpmlib.statistics.group_comparison import mann_whitney
from cpmlib.statistics.meng import compare_strength
from cpmlib.statistics.mixed_model import mixed_model_slope
from cpmlib.statistics.one_per_patient import exact_mean
from cpmlib.statistics.rout import rout_line
from cpmsurrogate.calibration.mixed_models import MixedModels
from cpmsurrogate.calibration.outlier_margin import OutlierMargins
from cpmsurrogate.calibration.rows import Frame, Quantity, Row
from cpmsurrogate.calibration.system import System

# Both sides do the same sums in another order.
TOLERANCE = 1e-9

KINDS = [
    ("mean", "whole", "cpm", ""),
    ("sd", "whole", "he", ""),
    ("slope", "a", "adc", ""),
    ("r2", "a", "adc", ""),
    ("rmse", "a", "cpm", ""),
    ("rho", "a", "cpm", ""),
    ("mann_whitney", "b", "cpm", "c"),
    ("one_per_patient", "a", "adc", ""),
    ("mixed_slope", "a", "cpm", ""),
    ("mixed_z", "a", "cpm", ""),
    ("meng_z", "a", "", ""),
    ("icc", "whole", "he", ""),
]
SMOOTH = {"mean", "sd", "slope", "r2", "rmse", "mixed_slope", "mixed_z", "icc"}


@pytest.fixture
def system(measured):
    patient, _ = measured
    n = len(patient)
    a = patient < 12
    b = np.arange(n) % 3 == 0
    kept = {("a", "adc"): a & (np.arange(n) != 4), ("a", "cpm"): a & (np.arange(n) != 7)}
    subsets = {"whole": np.ones(n, dtype=bool), "a": a, "b": b, "c": ~b}
    frame = Frame(patient, subsets, kept, rmse_masks={"a": kept["a", "cpm"]})
    rows = [Row(Quantity(*kind), 0.0, 1.0, 0.5) for kind in KINDS]
    return System(frame, rows)


def library_value(quantity, frame, cohort):
    kind, subset, variable, other = quantity
    columns = dict(zip(("cpm", "adc", "he"), cohort, strict=True))
    x, y = columns.get(variable), columns["he"]
    s = frame.subsets[subset]
    kept = frame.kept.get((subset, variable), s)
    rng = np.random.default_rng(0)
    if kind == "mean":
        return x[s].mean()
    if kind == "sd":
        return x[s].std(ddof=1)
    if kind == "slope":
        return linear_fit(x[kept], y[kept])["estimate"].item()
    if kind == "r2":
        return linear_fit(x[kept], y[kept])["r2"].item()
    if kind == "rmse":
        return root_mean_square_error(x[kept], y[kept], rng=rng)["estimate"].item()
    if kind == "rho":
        return correlate(x[s], y[s])["estimate"].item()
    if kind == "mann_whitney":
        o = frame.subsets[other]
        return mann_whitney(x[s], x[o])["u"].item() - s.sum() * o.sum() / 2
    if kind == "one_per_patient":
        return exact_mean(x[s], y[s], frame.patient[s])
    if kind.startswith("mixed"):
        row = mixed_model_slope(x[s], y[s], frame.patient[s]).iloc[0]
        if kind == "mixed_slope":
            return row["estimate"]
        return np.sign(row["estimate"]) * stats.norm.isf(row["p"] / 2)
    if kind == "meng_z":
        return compare_strength(y[s], columns["cpm"][s], columns["adc"][s])["z"].item()
    raise AssertionError(kind)


@pytest.mark.parametrize("index", [i for i, kind in enumerate(KINDS) if kind[0] != "icc"])
def test_value_equals_the_library(system, measured, index):
    cohorts = measured[1]
    found = system.values(cohorts)[:, index]
    for value, cohort in zip(found, cohorts, strict=True):
        expected = library_value(system.rows[index].quantity, system.frame, cohort)
        assert value == pytest.approx(expected, rel=TOLERANCE)


def test_icc_of_equal_groups_follows_from_the_variance_ratio():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(8, 1)) + rng.normal(size=(8, 3))
    f = stats.f_oneway(*values).statistic
    frame = Frame(np.repeat(np.arange(8), 3), {"whole": np.ones(24, dtype=bool)}, {})
    one = System(frame, [Row(Quantity("icc", "whole", "cpm"), 0.0, 1.0, 0.1)])
    cohort = np.stack([values.ravel()] * 3)
    # Shrout and Fleiss 1979, ICC(1, 1).
    assert one.values(cohort[None])[0, 0] == pytest.approx((f - 1) / (f + 2), rel=TOLERANCE)


@pytest.mark.parametrize("index", range(len(KINDS)))
def test_gradient_equals_differences(system, measured, index):
    cohort = measured[1][0]
    smooth = KINDS[index][0] in SMOOTH
    gradient = system.jacobian(cohort, np.arange(len(KINDS)) == index)[index]
    # Ranks move in steps: there the softened gradient has to go with coarse differences.
    step = np.array([0.01, 0.01, 0.03] if smooth else [60.0, 60.0, 180.0])
    moves = []
    for v in range(3):
        for i in range(cohort.shape[1]):
            move = np.zeros_like(cohort)
            move[v, i] = step[v]
            moves.append(move)
    moves = np.array(moves)
    change = system.values(cohort + moves)[:, index] - system.values(cohort - moves)[:, index]
    expected = 2 * (moves * gradient).sum((1, 2))
    if smooth:
        assert change == pytest.approx(expected, rel=1e-3, abs=1e-3 * np.abs(change).max())
    else:
        assert np.corrcoef(change, expected)[0, 1] > 0.9


def test_jacobian_leaves_inactive_rows_out(system, measured):
    none = np.zeros(len(KINDS), dtype=bool)
    assert not system.jacobian(measured[1][0], none).any()


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("test", ["satterthwaite", "wald-t", "wald-z"])
def test_mixed_models_equal_the_library(reml, test):
    rng = np.random.default_rng(11)
    patient = np.repeat(np.arange(9), [1, 2, 3, 4, 3, 2, 1, 4, 3])
    models = MixedModels(
        patient, [(0, np.ones(23, dtype=bool)), (0, patient > 2)], reml=reml, test=test
    )
    for spread in (0.0, 0.5, 3.0):
        x = rng.normal(1300, 300, (4, 23))
        shared = 900 * spread * rng.normal(size=(4, 9))[:, patient]
        y = 2000 + 1.2 * (x - 1300) + shared + rng.normal(0, 900, (4, 23))
        slope, z_of_p = models.fit(np.stack([x, x, y], axis=1))
        for k in range(4):
            for line, mask in enumerate((patient > -1, patient > 2)):
                row = mixed_model_slope(
                    x[k, mask],
                    y[k, mask],
                    patient[mask],
                    estimation="REML" if reml else "ML",
                    test=test,
                ).iloc[0]
                z = np.sign(row["estimate"]) * stats.norm.isf(row["p"] / 2)
                assert slope[k, line] == pytest.approx(row["estimate"], rel=1e-6)
                assert z_of_p[k, line] == pytest.approx(z, rel=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_outlier_ratios_agree_with_rout(seed):
    rng = np.random.default_rng(seed)
    n = 40
    x = rng.normal(1300, 300, n)
    y = 2000 + x + 700 * rng.standard_t(2.5, n)
    subset = np.arange(n) < 30 + seed
    found = rout_line(x[subset], y[subset])
    outliers = np.zeros(n, dtype=bool)
    outliers[subset] = found.outlier
    cohorts = np.stack([x, x, y])[None]
    inside, outside = OutlierMargins([(0, subset, outliers)], 0.01).values(cohorts)
    assert inside[0, 0] < 1
    assert outside[0, 0] > 1
    if outliers.any():
        wrong = outliers.copy()
        wrong[np.flatnonzero(outliers)[0]] = False
        inside, outside = OutlierMargins([(0, subset, wrong)], 0.01).values(cohorts)
        assert inside[0, 0] > 1 or outside[0, 0] < 1


def test_outlier_gradient_goes_with_differences():
    rng = np.random.default_rng(3)
    x, y = rng.normal(1300, 300, 60), rng.normal(2700, 900, 60)
    y[5] += 6000
    outliers = np.arange(60) == 5
    margins = OutlierMargins([(0, np.ones(60, dtype=bool), outliers)], 0.01)
    cohort = np.stack([x, x, y])
    inside, outside = margins.gradients(cohort)
    for gradient, which, sample in ((outside, 1, 5),):
        move = np.zeros_like(cohort)
        move[2, sample] = 1.0
        change = (
            margins.values((cohort + move)[None])[which]
            - margins.values((cohort - move)[None])[which]
        )
        assert change[0, 0] / 2 == pytest.approx(gradient[0, 2, sample], rel=0.05)
    assert inside.shape == outside.shape == (1, 3, 60)
