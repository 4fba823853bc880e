"""Diffusion series as scanners export them: which volumes are used, and what is said of it.

The right value is that of the tensor or ADC that the signals were computed from.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpmlib.mri.diffusion import apparent_diffusion_coefficient
from cpmlib.mri.gradients import choose_volumes, read_gradients
from cpmlib.mri.patient import DiffusionSeries
from cpmlib.study.errors import DatasetError
from studies import ROOT

CASES = ROOT / "tests" / "data" / "dwi"
TENSOR = np.diag([1.2e-3, 0.7e-3, 0.5e-3])  # mean 800e-6 mm2/s
ZERO, AXES = np.zeros(3), np.eye(3)


def sphere(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def signal(b: np.ndarray, g: np.ndarray, tensor: np.ndarray = TENSOR) -> np.ndarray:
    """Of one voxel without noise; a gradient of zeros or NaN is an average over directions."""
    length = np.linalg.norm(np.nan_to_num(g), axis=1)
    unit = np.nan_to_num(g) / np.where(length > 0, length, 1)[:, None]
    along = np.einsum("vi,ij,vj->v", unit, tensor, unit)
    return 1000 * np.exp(-np.asarray(b) * np.where(length > 0, along, np.trace(tensor) / 3))


def adc_of(b: np.ndarray, g: np.ndarray, values: np.ndarray | None = None) -> float:
    values = signal(b, g) if values is None else values
    series = nib.Nifti1Image(values.astype(np.float32).reshape(1, 1, 1, -1), np.eye(4))
    return float(apparent_diffusion_coefficient(series, b, g).get_fdata().item())


def notes_of(b: np.ndarray, g: np.ndarray) -> str:
    return "\n".join(choose_volumes(b, g).notes)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("lowest_b_50", "no volume has b = 0; b = 50 is used as it is"),
        ("three_directions", "a trace, no tensor, from the mean over directions"),
        ("trace_weighted_zero_bvec", "gradients of zeros are taken for averages over directions"),
        ("shell_1500_rounded", "1 volume at b = 0, 30 at b = 1490 to 1510"),
    ],
)
def test_series_of_800_in_the_forms_that_scanners_export(case: str, said: str) -> None:
    stem = CASES / case / "sub-01_dwi"
    b, g = read_gradients(stem.with_suffix(".bval"), stem.with_suffix(".bvec"))
    series = nib.load(f"{stem}.nii.gz")
    adc = apparent_diffusion_coefficient(series, b, g).get_fdata()
    np.testing.assert_allclose(adc, 800, rtol=1e-5)  # float32 signals
    assert said in notes_of(b, g)


SCHEMES = {
    "b0 of 5": (np.r_[5, np.full(12, 1000)], np.vstack([AXES[0], sphere(12)])),
    "b0 of 5 without a direction": (np.r_[5, np.full(12, 1000)], np.vstack([ZERO, sphere(12)])),
    "b0 in the middle": (
        np.r_[np.full(6, 1000), 0, np.full(6, 1000)],
        np.vstack([sphere(6), ZERO, sphere(6, 1)]),
    ),
    "b0s of 0, 5 and 15": (np.r_[0, 5, 15, np.full(9, 700)], np.vstack([AXES, sphere(9)])),
    "two shells": (np.r_[0, np.full(8, 500), np.full(8, 1000)], np.vstack([ZERO, sphere(16)])),
    "no b0, shells of 500 and 1000": (
        np.r_[np.full(8, 500), np.full(8, 1000)],
        np.vstack([sphere(8), sphere(8, 1)]),
    ),
    "a shell just above 1500": (
        np.r_[0, 1490 + 5.0 * (np.arange(12) % 6)],
        np.vstack([ZERO, sphere(12)]),
    ),
    "lowest b of 100, as against perfusion": (
        np.r_[100, 100, 100, 1000, 1000, 1000],
        np.vstack([AXES, AXES]),
    ),
    "three directions, each repeated": (
        np.r_[0, np.full(7, 1000)],
        np.vstack([ZERO, AXES, AXES[[0, 0, 1, 0]]]),
    ),
    "three directions at two b-values": (
        np.r_[0, np.full(3, 500), np.full(3, 1000)],
        np.vstack([ZERO, AXES, AXES]),
    ),
    "four directions of a tetrahedron": (
        np.r_[0, np.full(4, 1000)],
        np.vstack([ZERO, np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 3**0.5]),
    ),
    "three directions of length 1.5": (
        np.r_[0, np.full(3, 1000)],
        np.vstack([ZERO, [[1, 1, -0.5], [1, -0.5, 1], [-0.5, 1, 1]]]),
    ),
    "trace images at several b": (np.array([0, 500, 1000]), np.zeros((3, 3))),
    "trace images without b = 0": (np.array([50, 400, 800]), np.zeros((3, 3))),
    "trace images, averages": (np.array([0, 0, 1000, 1000, 1000]), np.zeros((5, 3))),
    "three directions and their trace image": (
        np.r_[0, np.full(4, 1000)],
        np.vstack([ZERO, AXES, ZERO]),
    ),
    "one direction and a trace image": (np.r_[0, 1000, 1000], np.vstack([ZERO, AXES[0], ZERO])),
    "a trace image among 12 directions": (
        np.r_[0, np.full(13, 1000)],
        np.vstack([np.full(3, np.nan), sphere(12), ZERO]),
    ),
    "gradients of length 2": (np.r_[0, np.full(12, 1000)], np.vstack([ZERO, 2 * sphere(12)])),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_adc_is_that_of_the_tensor(scheme: str) -> None:
    b, g = SCHEMES[scheme]
    assert adc_of(b, g) == pytest.approx(800, rel=1e-4)  # float32 signals
    if len(b) != 3:
        assert adc_of(b, g.T, signal(b, g)) == pytest.approx(800, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), lowest=st.integers(0, 200), shells=st.integers(1, 2))
def test_rounded_b_values_change_nothing(seed: int, lowest: int, shells: int) -> None:
    """b-values 1 % about 750 and 1500, in any order: every volume is used."""
    rng = np.random.default_rng(seed)
    b = np.r_[lowest, *(np.full(9, 1500.0 / shells * (i + 1)) for i in range(shells))]
    b = np.r_[b[0], (b[1:] * rng.uniform(0.99, 1.01, len(b) - 1)).round()]
    g = np.vstack([ZERO, sphere(len(b) - 1, seed)])
    order = rng.permutation(len(b))
    scheme = choose_volumes(b[order], g[order])
    assert scheme.used.all()
    assert adc_of(b[order], g[order]) == pytest.approx(800, rel=1e-4)
    assert ("no volume has b = 0" in "\n".join(scheme.notes)) == (lowest > 0)


def test_what_is_left_out_is_said() -> None:
    b = np.r_[0, np.full(12, 1000), np.full(6, 2990), np.full(6, 3005)]
    g = np.vstack([ZERO, sphere(12), sphere(12, 1)])
    values = signal(b, g)
    values[13:] *= 2  # no longer exponential
    assert adc_of(b, g, values) == pytest.approx(800, rel=1e-4)
    assert "12 volumes at b = 2990 to 3005: left out, above 1600" in notes_of(b, g)
    assert "1 volume at b = 1000: left out, averages" in notes_of(
        *SCHEMES["a trace image among 12 directions"]
    )
    assert "1 volume at b = 1000: left out, too few or uneven directions" in notes_of(
        *SCHEMES["one direction and a trace image"]
    )
    assert "length 1.5" in notes_of(*SCHEMES["three directions of length 1.5"])


@pytest.mark.parametrize(
    ("b", "g", "found", "remedy"),
    [
        ([1000] * 13, np.vstack([AXES[0], sphere(12)]), "b up to 500", "_ADC.nii.gz"),
        ([0, 2000, 2000, 2000], np.vstack([ZERO, AXES]), "up to 1600", "_ADC.nii.gz"),
        ([0, 50], np.zeros((2, 3)), "b-values from 0 to 50", "_ADC.nii.gz"),
        ([0, 1000], np.vstack([ZERO, AXES[0]]), "1 directions, too few", "_ADC.nii.gz"),
        ([0, 1000, 1000], np.vstack([ZERO, AXES[:2]]), "2 directions, too few", "_ADC.nii.gz"),
        ([0, 1000, 1000], np.vstack([ZERO, AXES[0], 0.7 * AXES[1]]), "stand for b", "again"),
        ([0, 1000], np.vstack([ZERO, np.full(3, np.nan)]), "length nan for volume 2", "again"),
        ([400, 900], np.vstack([np.full(3, np.nan), ZERO]), "length nan for volume 1", "again"),
    ],
)
def test_series_that_give_no_adc(b: list, g: np.ndarray, found: str, remedy: str) -> None:
    with pytest.raises(DatasetError, match=found) as error:
        choose_volumes(b, g, name="sub-01_dwi")
    assert remedy in error.value.problems[0].remedy


def test_three_volumes_are_read_as_bids_writes_them(tmp_path: Path) -> None:
    """Two directions must not be read as one and an average."""
    (tmp_path / "a.bval").write_text("0 1000 1000")
    (tmp_path / "a.bvec").write_text("0 1 0\n0 0 1\n0 0 0\n")
    b, g = read_gradients(tmp_path / "a.bval", tmp_path / "a.bvec")
    np.testing.assert_array_equal(g, [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    with pytest.raises(DatasetError, match="2 directions"):
        choose_volumes(b, g)


def test_the_picture_to_register_is_of_the_lowest_b_values() -> None:
    image = nib.Nifti1Image(np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4), np.eye(4))
    series = DiffusionSeries(image, np.array([1000.0, 60, 50, 55]), np.zeros((4, 3)))
    assert series.head.get_fdata().item() == 2


def test_a_trace_of_uneven_directions_says_how_far_it_may_be_off() -> None:
    """Three directions, two of them 80 degrees apart: b-matrices 1 - sin 10 and 1 + sin 10."""
    sine, cosine = np.sin(np.radians(10)), np.cos(np.radians(10))
    directions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [sine, 0, cosine]])
    notes = choose_volumes([0, 1000, 1000, 1000], directions).notes
    # If all diffusion is along the axis between the two, the ADC is too high by sin 10 = 17 %.
    assert "off by up to 17 %" in notes[-1]
    assert "uneven" not in "".join(choose_volumes([0, 1000, 1000, 1000], np.eye(4, 3, -1)).notes)


def test_a_b_value_that_is_none_is_named_with_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "a.bval").write_text("0 nan")
    (tmp_path / "a.bvec").write_text("0 1\n0 0\n0 0\n")
    with pytest.raises(DatasetError, match=r"a\.bval: found a b-value of nan for volume 2"):
        read_gradients(tmp_path / "a.bval", tmp_path / "a.bvec")
