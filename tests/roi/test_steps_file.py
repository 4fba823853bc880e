"""Maps and regions of a patient come back from their file as they were."""

from __future__ import annotations

from dataclasses import fields

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cpmlib.cpm.patient_maps import PatientMaps
from cpmlib.mri.rcbv import PerfusionFit
from cpmlib.mri.registration import AlignmentReport, RigidTransform
from cpmlib.mri.volume import make_image
from cpmlib.roi.steps_file import read_steps, write_steps

AFFINE = np.array([[-1 / 3, 0.1, 0, 7], [0.1, 1 / 7, 0, -2], [0, 0, 3, 1 / 9], [0, 0, 0, 1]])


def image(seed: int, dtype: type = np.float32) -> nib.Nifti1Image:
    values = np.random.default_rng(seed).normal(900, 200, (4, 5, 6)).astype(dtype)
    if dtype is np.float32:
        values[0] = np.nan
    return make_image(values, AFFINE)


def patient() -> PatientMaps:
    names = [field.name for field in fields(PerfusionFit)][:8]
    curves = np.linspace(-1, 2, 7) / 3, np.array([np.nan, 0.1, 0.3, np.inf, 1e-300, 2, 1 / 7])
    drawn = {name: image(i) for i, name in enumerate(names)}
    fit = PerfusionFit(
        **drawn, times=curves[0], reference=curves[1], baseline=(1, 4), leakage="unidirectional"
    )
    moved = RigidTransform(AFFINE, 1.02, 1.1, 3.3, 1 / 3, 4.0)
    return PatientMaps(
        {"CPM": image(20), "mask": image(21, np.uint8)},
        {"T1w": image(22), "FLAIR": image(23)},
        ("a note", "“quoted” µm²"),
        {"raw_sd": 1 / 3, "perfusion_r2": np.nan, "median_ADC": float(np.float32(0.1))},
        perfusion=fit,
        alignment=AlignmentReport({"FLAIR": moved}, ("FLAIR",), {"FLAIR": 0.1 + 0.2}),
        origins={"CPM": "map of the study"},
    )


def same(one: object, other: object) -> None:
    """Values and types, down to the last bit."""
    if isinstance(one, nib.Nifti1Image):
        assert np.asarray(one.dataobj).dtype == np.asarray(other.dataobj).dtype
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))
        np.testing.assert_array_equal(one.affine, other.affine)
    elif hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    else:
        assert type(one) is type(other)
        np.testing.assert_array_equal(one, other)


REGIONS = pd.DataFrame(
    {"sample_id": ["s-1", "ü 2"], "cpm": [1 / 3, np.nan], "cpm_n_voxels": [81, 80]}
)


@pytest.mark.parametrize("maps", [patient(), PatientMaps({"ADC": image(1)})])
@pytest.mark.parametrize("regions", [REGIONS, REGIONS[["sample_id"]].head(0)])
def test_what_is_read_is_what_was_written(tmp_path, maps, regions):
    write_steps(tmp_path / "steps.npz", maps, regions)
    read, found = read_steps(tmp_path / "steps.npz")
    same(maps, read)
    assert list(found.columns) == list(regions.columns)
    pd.testing.assert_frame_equal(found, regions, check_dtype=len(regions) > 0)
