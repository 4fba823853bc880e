"""ADC against dipy's real 64-direction series, analytic tensors and the units in use."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.data import get_fnames
from dipy.reconst.dti import TensorModel
from hypothesis import given, settings
from hypothesis import strategies as st

from cpmlib.mri.adc import adc_in_units, recognise_adc_unit
from cpmlib.mri.diffusion import MAX_LOST, apparent_diffusion_coefficient
from cpmlib.mri.gradients import read_gradients
from cpmlib.study.errors import DatasetError

METHODS = ("WLS", "OLS", "trace-weighted")


@cache
def real() -> tuple[nib.Nifti1Image, np.ndarray, np.ndarray, nib.Nifti1Image]:
    """dipy's series (in its wheel), its gradients as we read them, and the mask b0 > 100."""
    file, bval, bvec = get_fnames(name="small_64D")
    image = nib.load(file)
    series = nib.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine)
    mask = (series.get_fdata()[..., 0] > 100).astype(np.uint8)
    return series, *read_gradients(Path(bval), Path(bvec)), nib.Nifti1Image(mask, image.affine)


def image(values: np.ndarray, affine: np.ndarray | None = None) -> nib.Nifti1Image:
    affine = np.eye(4) if affine is None else affine
    return nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine)


def sphere(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def simulate(tensor: np.ndarray, b: np.ndarray, g: np.ndarray, s0: float = 800) -> np.ndarray:
    """Noise-free signal of one voxel; tensor in mm2/s."""
    return s0 * np.exp(-b * np.einsum("vi,ij,vj->v", np.nan_to_num(g), tensor, np.nan_to_num(g)))


def scheme(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    b = np.r_[0.0, np.full(n, 1000.0)]
    return b, np.vstack([np.full(3, np.nan), sphere(n)])


def test_the_real_series_is_as_described() -> None:
    series, bvals, bvecs, mask = real()
    assert series.shape == (10, 10, 10, 65)
    assert bvals.shape == (65,)
    assert bvecs.shape == (65, 3)
    assert np.isnan(bvecs[0]).all()
    assert int(mask.get_fdata().sum()) == 987


def dipy_s(signal: np.ndarray, method: str) -> np.ndarray:
    """ADC of signals (N, 65) of the real series as dipy gives it."""
    _, bvals, bvecs, _ = real()
    table = gradient_table(bvals, bvecs=np.nan_to_num(bvecs))
    return 1e6 * TensorModel(table, fit_method=method).fit(signal).md


@pytest.mark.parametrize(("method", "published"), [("WLS", 1.28970), ("OLS", 1.29027)])
def test_mean_diffusivity_of_the_real_series(method: str, published: float) -> None:
    adc = apparent_diffusion_coefficient(*real(), method).get_fdata()
    inside = real()[3].get_fdata() > 0
    assert np.isfinite(adc[inside]).all()
    assert np.isnan(adc[~inside]).all()
    # The published means take a signal of 0, of which four voxels have one, as 1e-4.
    signal = real()[0].get_fdata()[inside]
    whole = (signal > 0).all(axis=1)
    assert (~whole).sum() == 4
    mean = np.where(whole, adc[inside], dipy_s(signal, method)).mean()
    # Half a unit of the last digit given, and float32.
    assert mean / 1000 == pytest.approx(published, abs=5.1e-6)


def test_trace_weighted_adc_of_the_real_series() -> None:
    series, bvals, bvecs, mask = real()
    adc = apparent_diffusion_coefficient(series, bvals, bvecs, mask, "trace-weighted").get_fdata()
    inside = mask.get_fdata() > 0
    signal = series.get_fdata()[inside]
    # The reference takes zeros as 1, as stored whole numbers allow; four voxels have one each.
    log = np.log(np.maximum(signal, 1))
    expected = 1e6 * (log[:, 0] - log[:, 1:].mean(axis=1)) / bvals[1:].mean()
    assert expected.mean() / 1000 == pytest.approx(1.28610, abs=5.1e-6)
    whole, falls = (signal > 0).all(axis=1), expected > 0
    assert (~whole).sum() == 4
    # One voxel's signal rises with b: it has no ADC.
    assert (np.isnan(adc[inside]) == ~falls).all()
    assert (~falls).sum() == 1
    np.testing.assert_allclose(adc[inside][whole & falls], expected[whole & falls], rtol=1e-6)
    # One zero among 64 volumes moves a voxel by ln(20) / 64 b at most.
    np.testing.assert_allclose(adc[inside][~whole], expected[~whole], atol=1e6 * 3 / 64 / 990)


@pytest.mark.parametrize("method", ["WLS", "OLS"])
def test_voxels_equal_those_of_dipy_called_directly(method: str) -> None:
    series, bvals, bvecs, mask = real()
    inside = mask.get_fdata() > 0
    signal = series.get_fdata()[inside]
    smallest = np.where(signal > 0, signal, np.inf).min(axis=1, keepdims=True)
    peer = dipy_s(np.where(signal > 0, signal, smallest), method)
    adc = apparent_diffusion_coefficient(series, bvals, bvecs, mask, method).get_fdata()
    # float32 has 7 digits.
    np.testing.assert_allclose(adc[inside], peer, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_lost_signal_does_not_outweigh_the_others(method: str) -> None:
    """One signal of 0 among directions of an isotropic voxel, whose smallest is the right one."""
    for n in (9, 12, 66):
        b = np.r_[0.0, np.full(n, 1000.0)]
        triads = np.linalg.qr(np.random.default_rng(n).normal(size=(22, 3, 3)))[0]
        g = np.vstack([np.zeros(3), triads.reshape(-1, 3)[:n]])
        rows = np.tile(simulate(np.diag([8e-4] * 3), b, g), (3, 1))
        rows[0, n // 2], rows[1, n // 2] = 0, -3
        series = image(rows[:, None, None])
        adc = apparent_diffusion_coefficient(series, b, g, method=method).get_fdata().ravel()
        assert adc[2] == pytest.approx(800, rel=1e-4)
        if 1 / n > MAX_LOST:
            assert np.isnan(adc[:2]).all()
        else:
            assert adc[:2] == pytest.approx(800, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_no_adc_is_above_what_water_can_have(method: str) -> None:
    b, g = scheme()
    if method == "trace-weighted":
        b, g = b[:4], np.vstack([np.zeros(3), np.eye(3)])
    rows = np.array([simulate(np.diag([d] * 3), b, g) for d in (3e-3, 4.9e-3, 5.1e-3, 8e-3)])
    adc = apparent_diffusion_coefficient(image(rows[:, None, None]), b, g, method=method)
    assert np.isfinite(adc.get_fdata().ravel()).tolist() == [True, True, False, False]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    method=st.sampled_from(METHODS),
    eigenvalues=st.lists(st.floats(1e-4, 3e-3), min_size=3, max_size=3),
)
def test_noise_free_tensor_gives_its_trace(seed: int, method: str, eigenvalues: list) -> None:
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    tensor = rotation @ np.diag(eigenvalues) @ rotation.T
    # Orthogonal triads: any one gives a plain mean that is a trace, three determine the tensor.
    triads = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(3, 3, 3)))[0]
    g = np.vstack([np.full(3, np.nan), triads.reshape(9, 3)])
    b = np.r_[0.0, np.full(9, 900.0)]
    series = image(simulate(tensor, b, g).reshape(1, 1, 1, -1))
    adc = apparent_diffusion_coefficient(series, b, g, method=method).get_fdata().item()
    # float32 signals: 1e-7 of ln S over b * MD of at least 0.09.
    assert adc == pytest.approx(1e6 * np.mean(eigenvalues), rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_may_be_turned_flipped_or_transposed(method: str) -> None:
    series, bvals, bvecs, mask = real()
    before = apparent_diffusion_coefficient(series, bvals, bvecs, mask, method).get_fdata()
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    signs = np.random.default_rng(4).choice([-1, 1], (65, 1))
    for other in (bvecs @ turn, signs * bvecs, bvecs.T, 1.01 * bvecs, np.nan_to_num(bvecs)):
        after = apparent_diffusion_coefficient(series, bvals, other, mask, method).get_fdata()
        # float32; the mask holds voxels whose tensor is near singular in the noise.
        np.testing.assert_allclose(after, before, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(1e-3, 1e3), method=st.sampled_from(METHODS))
def test_gain_of_the_scanner_does_not_matter(scale: float, method: str) -> None:
    b, g = scheme()
    rng = np.random.default_rng(0)
    signal = simulate(np.diag([1.7e-3, 3e-4, 3e-4]), b, g) * rng.uniform(0.9, 1.1, (4, 1, 1, 13))
    # Directions drawn at random are uneven for a plain mean; the trace needs an even set.
    if method == "trace-weighted":
        b, g, signal = b[:4], np.vstack([np.zeros(3), np.eye(3)]), signal[..., :4]
    one = apparent_diffusion_coefficient(image(signal), b, g, method=method)
    two = apparent_diffusion_coefficient(image(scale * signal), b, g, method=method)
    # float32 rounding of the scaled signals.
    np.testing.assert_allclose(two.get_fdata(), one.get_fdata(), rtol=1e-4)


def test_the_arguments_are_not_changed() -> None:
    series, bvals, bvecs, _ = real()
    other = 1.02 * bvecs
    kept = other.copy()
    apparent_diffusion_coefficient(series, bvals, other)
    np.testing.assert_array_equal(other, kept)


def test_high_b_values_are_left_out() -> None:
    b, g = scheme()
    tensor = np.diag([1e-3, 8e-4, 6e-4])
    low = simulate(tensor, b, g)
    kurtotic = np.full(6, low.min() * 0.9)  # far above what the tensor predicts at b = 3000
    series = image(np.r_[low, kurtotic].reshape(1, 1, 1, -1))
    bvals, bvecs = np.r_[b, np.full(6, 3000.0)], np.vstack([g, sphere(6, 9)])
    adc = apparent_diffusion_coefficient(series, bvals, bvecs).get_fdata().item()
    assert adc == pytest.approx(800, rel=1e-4)


def test_voxels_without_a_signal_have_no_adc() -> None:
    b, g = scheme()
    good = simulate(np.diag([1e-3] * 3), b, g)
    rows = np.array([good, good, good, good, good[::-1], 0 * good])
    rows[1, 0] = 0
    rows[2, 3] = np.nan
    rows[3, 1:] = -1
    rows[4] = np.r_[good[-1], np.full(12, good[0])]  # rises with b
    for method in ("WLS", "OLS"):
        adc = apparent_diffusion_coefficient(image(rows[:, None, None]), b, g, method=method)
        assert np.isfinite(adc.get_fdata().ravel()).tolist() == [True, *[False] * 5]


def test_the_map_keeps_the_place() -> None:
    affine = nib.affines.from_matvec([[-2, 0.1, 0], [0.1, 2, 0.2], [0, -0.2, 2]], [3, -4, 5])
    b, g = scheme()
    series = image(np.tile(simulate(np.diag([1e-3] * 3), b, g), (2, 3, 4, 1)), affine)
    adc = apparent_diffusion_coefficient(series, b, g)
    assert adc.shape == (2, 3, 4)
    assert adc.get_data_dtype() == np.float32
    np.testing.assert_allclose(adc.affine, affine)


def bad_series(fault: str) -> tuple:
    b, g = scheme()
    series = image(np.tile(simulate(np.diag([1e-3] * 3), b, g), (2, 2, 2, 1)))
    mask = None
    if fault == "3-D":
        series = image(np.ones((2, 2, 2)))
    elif fault == "count":
        b = b[:-1]
    elif fault == "vectors":
        g = g[:-1]
    elif fault == "no b0":
        b = b + 900.0
    elif fault == "all b0":
        b = 0 * b
    elif fault == "ms/um2":
        b = b / 1000
    elif fault == "negative b":
        b = np.r_[b[:-1], -5]
    elif fault == "nan b":
        b = np.r_[b[:-1], np.nan]
    elif fault == "five":
        g = np.vstack([g[0], np.resize(sphere(5), (12, 3))])
    elif fault == "opposite":
        g = np.vstack([g[0], sphere(5), -sphere(5), sphere(2)[:2]])
    elif fault == "plane":
        angle = np.linspace(0, 3, 12)
        g = np.vstack([g[0], np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])])
    elif fault == "long":
        g = np.vstack([g[0], 1.5 * g[1:2], g[2:]])
    elif fault == "nan vector":
        g = np.vstack([g[:5], np.full(3, np.nan), g[6:]])
    elif fault == "mask shape":
        mask = image(np.ones((2, 2, 3)))
    elif fault == "mask place":
        mask = image(np.ones((2, 2, 2)), np.diag([1, 1, 1.5, 1]))
    elif fault == "empty mask":
        mask = image(np.zeros((2, 2, 2)))
    elif fault == "dark":
        series = image(np.zeros((2, 2, 2, 13)))
    elif fault == "singular":
        series = image(
            series.get_fdata(), nib.affines.from_matvec([[1, 1, 0], [0, 0, 1], [0, 0, 1]])
        )
    return series, b, g, mask


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("3-D", r"image of shape \(2, 2, 2\)"),
        ("count", "13 volumes and 12 b-values"),
        ("vectors", r"gradients of shape \(12, 3\) for 13"),
        ("no b0", "with b up to 500, best 0"),
        ("all b0", "from 0 to 0 s/mm2"),
        ("ms/um2", "from 0 to 1 s/mm2"),
        ("negative b", "-5 for volume 13"),
        ("nan b", "nan for volume 13"),
        ("five", "5 directions"),
        ("opposite", "5 directions"),
        ("plane", "all in one plane"),
        ("long", r"length 1.5 \(volume 2\) and 1"),
        ("nan vector", "length nan for volume 6"),
        ("mask shape", r"mask of shape \(2, 2, 3\)"),
        ("mask place", "0.5 mm from the image"),
        ("empty mask", "no voxel inside"),
        ("dark", "no voxel with an ADC"),
        ("singular", "cannot be inverted"),
    ],
)
def test_bad_series_is_refused(fault: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        apparent_diffusion_coefficient(*bad_series(fault), name="sub-01_dwi")


def test_too_few_or_crowded_directions_for_a_trace() -> None:
    series = image(np.full((1, 1, 1, 4), [800, 300, 300, 300]))
    crowded = np.vstack(
        [np.zeros(3), [[1, 0, 0], [0.9, np.sqrt(0.19), 0], [0.9, 0, np.sqrt(0.19)]]]
    )
    b = [0, 1000, 1000, 1000]
    with pytest.raises(DatasetError, match="crowd"):
        apparent_diffusion_coefficient(series, b, crowded, method="trace-weighted")
    vectors = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0]])
    with pytest.raises(DatasetError, match="2 directions"):
        apparent_diffusion_coefficient(series, b, vectors, method="trace-weighted")
    with pytest.raises(DatasetError, match="3 directions, too few for a tensor"):
        apparent_diffusion_coefficient(series, b, np.vstack([np.zeros(3), np.eye(3)]), method="WLS")
    with pytest.raises(ValueError, match="method is 'NLLS'"):
        apparent_diffusion_coefficient(series, b, crowded, method="NLLS")  # type: ignore[arg-type]


def test_gradients_are_read_in_both_layouts(tmp_path: Path) -> None:
    bvals, bvecs = np.array([0, 1000, 1000, 1000.0]), np.vstack([np.full(3, np.nan), np.eye(3)])
    np.savetxt(tmp_path / "row.bval", bvals[None])
    np.savetxt(tmp_path / "column.bval", bvals)
    np.savetxt(tmp_path / "three.bvec", bvecs.T)
    np.savetxt(tmp_path / "many.bvec", bvecs)
    for bval in ("row.bval", "column.bval"):
        for bvec in ("three.bvec", "many.bvec"):
            found = read_gradients(tmp_path / bval, tmp_path / bvec)
            np.testing.assert_array_equal(found[0], bvals)
            np.testing.assert_array_equal(found[1], bvecs)


BVAL, BVEC = b"0 1000 1000 1000", b"nan 1 0 0\nnan 0 1 0\nnan 0 0 1\n"


@pytest.mark.parametrize(
    ("bval", "bvec", "message"),
    [
        (None, BVEC, "a.bval.*no such file"),
        (BVAL, None, "a.bvec.*no such file"),
        (b"", BVEC, "an empty file"),
        (b"0 1000 x 1000", BVEC, "'x'"),
        (pickle.dumps([0, 1000]), BVEC, "a.bval: found bytes that are not UTF-8"),
        (b"\x93NUMPY" + bytes(100), BVEC, "not UTF-8"),
        (b"1 " * 600_000, BVEC, "1200000 bytes"),
        (b"0 1000\n1000 1000", BVEC, "2 rows"),
        (b"0 nan 1000 1000", BVEC, "nan for volume 2"),
        (b"0 -3 1000 1000", BVEC, "-3 for volume 2"),
        (b"0 1000 1000", BVEC, r"shape \(3, 4\) for 3"),
        (BVAL, b"0 1 0 0\n0 0 1\n0 0 0 1", "rows of "),
        (BVAL, b"0 1 0 0\n0 0 1 0", r"shape \(2, 4\)"),
    ],
)
def test_bad_texts_are_refused(
    tmp_path: Path, bval: bytes | None, bvec: bytes | None, message: str
) -> None:
    for name, content in (("a.bval", bval), ("a.bvec", bvec)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_gradients(tmp_path / "a.bval", tmp_path / "a.bvec")


@pytest.mark.parametrize(
    ("median", "factor", "unit"),
    [
        (0.0008, 1e6, "mm2/s"),
        (0.8, 1e3, "1e-3 mm2/s"),
        (800, 1, "1e-6 mm2/s"),
        (0.00045, 1e6, "mm2/s"),
        (1.9, 1e3, "um2/ms"),
        (1900, 1, "um2/s"),
    ],
)
def test_units_in_use_are_recognised(median: float, factor: float, unit: str) -> None:
    found, name = recognise_adc_unit(median)
    assert found == factor
    assert unit in name


@pytest.mark.parametrize(
    "median", [8e-10, 8e-5, 0.008, 0.08, 8, 80, 8000, 2500, 300, 0, -0.8, np.nan, np.inf]
)
def test_other_medians_are_refused(median: float) -> None:
    with pytest.raises(DatasetError, match=r"400 to 2000 \(1e-6 mm2/s"):
        recognise_adc_unit(median, "ADC")


@settings(max_examples=100, deadline=None)
@given(median=st.floats(1e-12, 1e9))
def test_no_median_has_two_units(median: float) -> None:
    try:
        factor, _ = recognise_adc_unit(median)
    except DatasetError:
        return
    assert 400 <= median * factor <= 2000


@pytest.mark.parametrize("factor", [1e6, 1e3, 1.0])
def test_maps_in_any_unit_become_one(factor: float) -> None:
    truth = apparent_diffusion_coefficient(*real())
    mask = real()[3]
    given = nib.Nifti1Image(truth.get_fdata().astype(np.float32) / np.float32(factor), truth.affine)
    found, (note,) = adc_in_units(given, mask, "sub-01_ADC")
    # float32, divided and multiplied.
    np.testing.assert_allclose(found.data, truth.get_fdata(), rtol=3e-7)
    assert "sub-01_ADC: unit taken as" in note
    np.testing.assert_allclose(found.affine, truth.affine)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.parametrize("b", [500, 700, 1000])
def test_an_exponential_adc_is_no_adc(b: int, scale: float) -> None:
    """exp(-b ADC), from 0 to 1: its median is that of an ADC in 1e-3 mm2/s, its fluid is dark."""
    adc = apparent_diffusion_coefficient(*real())
    exponential = np.exp(-b * 1e-6 * adc.get_fdata()) * scale
    assert 400 < np.nanmedian(exponential) * 1000 / scale < 2000
    with pytest.raises(DatasetError, match=r"sub-01_ADC: .*fluid is dark.*exp\(-b ADC\)"):
        adc_in_units(image(exponential, adc.affine), real()[3], "sub-01_ADC")


def test_a_diffusion_weighted_image_is_no_adc() -> None:
    series, _, _, mask = real()
    trace = np.exp(np.log(np.maximum(series.get_fdata()[..., 1:], 1)).mean(axis=-1))
    with pytest.raises(DatasetError, match="fluid is dark"):
        adc_in_units(image(10 * trace, series.affine), mask)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(350, 500, "low for a brain"), (750, 850, "no fluid stands out"), (1400, 1600, "high for")],
)
def test_an_adc_that_may_be_another_quantity_is_noted(low: float, high: float, said: str) -> None:
    values = np.linspace(low, high, 125).reshape(5, 5, 5)
    assert said in adc_in_units(image(values), image(np.ones((5, 5, 5))))[1][0]


def test_a_real_adc_is_taken_without_a_doubt() -> None:
    (note,) = adc_in_units(apparent_diffusion_coefficient(*real()), real()[3])[1]
    assert note == (
        "ADC: unit taken as 1e-6 mm2/s (um2/s), since the median of the brain is "
        f"{np.nanmedian(apparent_diffusion_coefficient(*real()).get_fdata()):.4g}"
    )


def test_voxels_of_the_brain_without_a_value() -> None:
    values = np.full((3, 3, 3), 0.8)
    values[0, 0, 0], values[1, 0, 0], values[2, 0, 0], values[0, 1, 0] = 0, -0.1, np.nan, 0
    mask = np.ones((3, 3, 3))
    mask[0, 1, 0] = 0
    found, (note,) = adc_in_units(image(values), image(mask))
    result = found.data
    assert np.isnan(result[:, 0, 0]).all()
    assert result[0, 1, 0] == 0
    assert result[2, 2, 2] == pytest.approx(800)
    assert "3 voxels of the brain" in note


@pytest.mark.parametrize(
    ("values", "mask", "message"),
    [
        (np.zeros((2, 2, 2)), np.ones((2, 2, 2)), "no value above 0"),
        (np.full((2, 2, 2), np.nan), np.ones((2, 2, 2)), "no value above 0"),
        (np.ones((2, 2, 2, 2)), np.ones((2, 2, 2)), "one volume"),
        (np.ones((2, 2, 2)), np.ones((3, 2, 2)), "mask of shape"),
        (np.ones((2, 2, 2)), np.full((2, 2, 2), np.nan), "no voxel inside"),
        (np.full((2, 2, 2), 80.0), np.ones((2, 2, 2)), "a median of 80"),
    ],
)
def test_bad_maps_are_refused(values: np.ndarray, mask: np.ndarray, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        adc_in_units(image(values), image(mask))
