"""The synthetic susceptibility series: its noise-free curve by quadrature, its noise by theory."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import i0e, i1e

from cpmlib.mri.bolus import find_bolus
from cpmlib.mri.rcbv import relative_cbv
from cpmsurrogate.images.dsc import ARRIVAL, PEAK, SCALE, SHAPE, simulate_dsc, supply

TIMES = np.arange(90) * 1.5
TE = 0.03
ONE = np.ones((1, 1, 1))


@settings(max_examples=10, deadline=None)
@given(
    cbv=st.floats(0, 6),
    k2=st.sampled_from([-0.03, -0.01, 0.0, 0.012, 0.04]),
    k=st.floats(0, 0.08),
    s0=st.floats(50, 2000),
)
def test_signal_follows_the_equation(cbv: float, k2: float, k: float, s0: float) -> None:
    series = simulate_dsc(cbv * ONE, k2 * ONE, ONE, TIMES, TE, s0 * ONE, None, 50, k)[0, 0, 0]
    for i in (5, 18, 25, 50, 89):
        t = TIMES[i]
        outside = quad(
            lambda u, t=t: float(supply(u) * np.exp(-k * (t - u))), 0, t, limit=200,
            points=[min(ARRIVAL, t), min(ARRIVAL + 5, t), min(ARRIVAL + 14, t)],
        )[0]  # fmt: skip
        expected = s0 * np.exp(-TE * (cbv * supply(t) - k2 * outside))
        # Steps of 0.05 s by the midpoint rule, and float32.
        assert series[i] == pytest.approx(float(expected), rel=1e-5)


def test_the_bolus_is_one_of_the_clinic() -> None:
    fine = np.arange(0, 135, 0.01)
    curve = supply(fine)
    assert (curve >= 0).all()
    assert (curve[fine < ARRIVAL] == 0).all()
    assert fine[curve.argmax()] == pytest.approx(ARRIVAL + SHAPE * SCALE, abs=0.3)
    # First pass, second pass and mixed agent add to no more than a tenth above the first.
    assert PEAK <= curve.max() < 1.1 * PEAK
    above = fine[curve > curve.max() / 2]
    assert 6 < above[-1] - above[0] < 10
    # What circulates two minutes later is a few percent of the peak.
    assert 0.02 < curve[-1] / curve.max() < 0.1


def test_leakage_of_both_kinds_shows_at_the_end() -> None:
    k2 = np.array([0.012, 0.0, -0.012]).reshape(3, 1, 1)
    ones = np.ones((3, 1, 1))
    end = simulate_dsc(ones, k2, ones, TIMES, TE, 500 * ones, None, 50)[:, 0, 0, -1]
    assert end[0] > 500 > end[1] > end[2]


def test_noise_is_rician() -> None:
    shape = (40, 40, 10)
    ones = np.ones(shape)
    mask = np.zeros(shape)
    mask[:, :, :5] = 1
    s0 = np.where(mask > 0, 100.0, 0.0)
    times = TIMES[:4]
    series = simulate_dsc(ones, 0 * ones, mask, times, TE, s0, np.random.default_rng(0), 5)
    sigma = 100 / 5
    air, tissue = series[..., 5:, :].ravel(), series[..., :5, :].ravel()
    # Rayleigh and Rice: means of 32,000 values, four standard errors.
    chance = 4 * sigma / np.sqrt(air.size)
    assert air.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), abs=chance)
    x = (100 / sigma) ** 2 / 4
    laguerre = (1 + 2 * x) * i0e(x) + 2 * x * i1e(x)
    assert tissue.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2) * laguerre, abs=chance)
    second = (tissue.astype(float) ** 2).mean()
    assert second == pytest.approx(100**2 + 2 * sigma**2, rel=0.01)


def test_series_is_that_of_its_seed_and_has_the_clinics_type() -> None:
    shape = (4, 3, 2)
    given = (np.ones(shape), np.zeros(shape), np.ones(shape), TIMES, TE, np.full(shape, 400.0))
    one = simulate_dsc(*given, np.random.default_rng(7), 60)
    two = simulate_dsc(*given, np.random.default_rng(7), 60)
    other = simulate_dsc(*given, np.random.default_rng(8), 60)
    assert one.tobytes() == two.tobytes() != other.tobytes()
    assert one.shape == (4, 3, 2, 90)
    assert one.dtype == np.float32
    assert (one > 0).all()


def test_outside_the_brain_nothing_passes() -> None:
    mask = np.array([1.0, 0.0]).reshape(2, 1, 1)
    ones = np.ones((2, 1, 1))
    series = simulate_dsc(2 * ones, 0.01 * ones, mask, TIMES, TE, 300 * ones, None, 50)
    assert (series[1] == 300).all()
    assert series[0].min() < 250


def test_perfusion_finds_what_was_put_in() -> None:
    rng = np.random.default_rng(3)
    shape = (24, 24, 6)
    tissue = rng.choice(3, size=shape, p=[0.55, 0.4, 0.05])
    cbv = np.choose(tissue, [1.0, 2.0, 4.0])
    k2 = np.where(tissue == 2, 0.012, 0.0)
    s0 = np.choose(tissue, [400.0, 500.0, 600.0])
    values = simulate_dsc(cbv, k2, np.ones(shape), TIMES, TE, s0, rng, 60)
    signal, ones, white = (
        nib.Nifti1Image(np.asarray(v, dtype=np.float32), np.eye(4))
        for v in (values, np.ones(shape), tissue == 0)
    )
    assert find_bolus(values.mean(axis=(0, 1, 2)), 1.5).drop > 0.15
    fit = relative_cbv(signal, 1.5, TE, ones, white)
    found = fit.rcbv.get_fdata()
    # 3 %: noise, and what the reference rule and the logarithm of noise do.
    for i, expected in enumerate((1, 2, 4)):
        assert found[tissue == i].mean() == pytest.approx(expected, rel=0.03)
    raw = fit.rcbv_uncorrected.get_fdata()[tissue == 2].mean()
    assert raw < 4 * 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k2": np.ones((2, 1, 1))}, "shapes"),
        ({"mask": 0 * ONE}, "empty"),
        ({"times": TIMES[::-1]}, "rise"),
        ({"times": TIMES - 5}, "rise"),
        ({"te": 0.0}, "above 0"),
        ({"snr": -1.0}, "above 0"),
    ],
)
def test_wrong_arguments_are_refused(change: dict, message: str) -> None:
    given = {
        "cbv": ONE, "k2": 0 * ONE, "mask": ONE, "times": TIMES, "te": TE, "s0": ONE,
        "rng": None, "snr": 50.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        simulate_dsc(**(given | change))
