"""Side, enhancement and blood volume at a target, of a head whose tissue is known."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from cpmlib.roi.findings import findings_at

AFFINE = nib.affines.from_matvec(np.diag([2.0, 2.0, 2.0]), [-52.0, -50.0, -50.0])
TARGET = np.array([20.0, 0.0, 0.0])


def head(*, rise: float = 1.5, blood: float = 4.0) -> dict[str, nib.Nifti1Image | None]:
    """White matter under grey, fluid inside, and a lesion of 10 mm about the target."""
    points = nib.affines.apply_affine(AFFINE, np.moveaxis(np.indices((50, 50, 50)), 0, -1))
    r = np.linalg.norm(points - [-2.0, 0, 0], axis=-1)
    lesion = np.linalg.norm(points - TARGET, axis=-1) < 10
    noise = np.random.default_rng(1).normal(1, 0.01, r.shape)
    tissue = [r < 8, r < 36, r < 46]
    t1 = np.select(tissue, [150.0, 600.0, 450.0], 0) * noise
    flair = np.select(tissue, [60.0, 100.0, 125.0], 0) * noise
    rcbv = np.select(tissue, [0.1, 1.0, 1.9], 0) * noise
    after = 1.1 * t1  # another gain
    after[lesion] *= rise
    flair[lesion], rcbv[lesion] = 190.0, blood
    values = {"T1w": t1, "T1wGd": after, "FLAIR": flair, "rCBV": rcbv, "mask": 1.0 * (r < 46)}
    return {k: nib.Nifti1Image(v.astype(np.float32), AFFINE) for k, v in values.items()}


@pytest.mark.parametrize("rise", [1.0, 1.5])
def test_what_is_measured_is_what_was_drawn(rise):
    found = findings_at(head(rise=rise), TARGET, 5.0)
    assert found["right"] == pytest.approx(22, abs=0.5)
    # 33 or so voxels of 1 % noise each in the sphere
    assert found["rise"] == pytest.approx(rise, abs=0.01)
    # The 99th percentile, after smoothing that mixes in what lies beside a lesion
    assert found["lesion_rise"] == pytest.approx(rise, abs=0.05)
    assert found["rcbv"] == pytest.approx(4.0, rel=0.02)
    assert found["grey_rcbv"] == pytest.approx(1.9, rel=0.02)


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        ("rCBV", {"rcbv", "grey_rcbv"}),
        ("T1w", {"rise", "lesion_rise", "grey_rcbv"}),
        ("FLAIR", {"rise", "lesion_rise", "grey_rcbv"}),
        ("mask", {"right", "rise", "lesion_rise", "grey_rcbv"}),
    ],
)
def test_what_an_image_is_missing_for_is_unknown_and_the_rest_is_there(absent, unknown):
    found = findings_at(head() | {absent: None}, TARGET, 5.0)
    assert {name for name, value in found.items() if np.isnan(value)} == unknown


def test_a_target_outside_the_perfusion_series_has_no_blood_volume():
    images = head()
    blood = images["rCBV"]
    images["rCBV"] = blood.slicer[:20]
    found = findings_at(images, TARGET, 5.0)
    assert np.isnan(found["rcbv"])
    assert found["rise"] > 1.4
