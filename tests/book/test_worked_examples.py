"""What the notebooks compute step by step, in the open, is what the library computes.

The library's own results are held against R, Prism and nilearn in its tests.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cpmlib.paper import correlations
from cpmlib.statistics.meng import compare_strength
from cpmlib.study.dataset import read_dataset
from cpmlib.study.options import AnalysisOptions
from page_text import run_page
from studies import COHORT


def one_group(folder, values):
    """Write treatment-naive samples, one a patient: CPM, ADC and H&E cellularity."""
    rows = [f"{i},{i}a,treatment-naive,{c},{a},{h}\n" for i, (c, a, h) in enumerate(values)]
    path = folder / "study.csv"
    path.write_text("participant_id,sample_id,treatment,cpm,adc,he_cellularity\n" + "".join(rows))
    return path


def made(kind: str) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(3)
    h = np.linspace(1000, 5000, 15)
    c, a = 2000 - 0.2 * h + rng.normal(0, 30, 15), 900 + 0.1 * h + rng.normal(0, 90, 15)
    if kind == "one outlier":
        h[7] += 9000
    return list(zip(c.round(), a.round(), h.round(), strict=True))[: 3 if kind == "three" else 15]


@pytest.fixture(params=["cohort", "no outlier", "one outlier", "three"])
def study(request, tmp_path):
    return COHORT if request.param == "cohort" else one_group(tmp_path, made(request.param))


def test_rout_step_by_step(study, monkeypatch):
    _, names = run_page("03_correlations", study, monkeypatch)
    steps = names["steps"]
    # As the library has it: `rout_p` and `threshold`, and which samples are outliers.
    flagged = correlations.flag_all(read_dataset(study).samples, AnalysisOptions())
    expected = flagged[names["chosen"]]
    assert steps["outlier"].tolist() == expected["outlier"].tolist()
    assert expected["outlier"].sum() == max(part["outlier"].sum() for part in flagged.values())
    np.testing.assert_allclose(steps["p"], expected["rout_p"], rtol=1e-9)
    np.testing.assert_allclose(steps["needed"], expected["threshold"], rtol=1e-12)


def test_meng_step_by_step(study, monkeypatch):
    _, names = run_page("04_cpm_against_adc", study, monkeypatch)
    naive = read_dataset(study).samples.query("treatment == 'treatment-naive'")
    row = compare_strength(naive["he_cellularity"], naive["cpm"], naive["adc"]).iloc[0]
    assert names["n"] == row["n"]
    np.testing.assert_allclose(names["z"], row.get("z", np.nan), rtol=1e-9)
    np.testing.assert_allclose(names["p"], row["p"], rtol=1e-9)


def test_a_sphere_voxel_by_voxel():
    """The visible cell of the page on one patient, with a map and a target in place of its own."""
    import jupytext

    from cpmlib.book import one_patient
    from cpmlib.cpm.patient_maps import PatientMaps
    from cpmlib.roi.extraction import extract_regions
    from cpmlib.roi.walkthrough import Walkthrough
    from cpmlib.study.options import ImageOptions
    from studies import ROOT

    rng = np.random.default_rng(5)
    data = rng.normal(1500, 300, (20, 24, 16)).astype(np.float32)
    data[:2] = np.nan
    cpm = nib.Nifti1Image(data, nib.affines.from_matvec(np.diag([-1.2, 1.1, 1.5]), [10, -9, 3]))
    target = {"target_x": -2.0, "target_y": 4.0, "target_z": 14.0}
    rows = pd.DataFrame([{"sample_id": "S01", "participant_id": "P01", "cpm": 1.0} | target])
    maps = PatientMaps({"CPM": cpm})
    one = Walkthrough("P01", rows, maps=maps, regions=extract_regions(maps, rows, ImageOptions()))
    shown = []
    names = {"one": one, "options": ImageOptions(), "one_patient": one_patient}
    names["page"] = type("Page", (), {"table": lambda self, key, table: shown.append(table)})()
    cells = jupytext.read(ROOT / "notebooks" / "08_one_patient.md").cells
    (cell,) = [cell for cell in cells if "table-mean" in cell.source]
    exec(compile(cell.source, "cell", "exec"), names)
    assert len(names["values"]) > 20
    # The regions are kept to one digit.
    np.testing.assert_allclose(names["values"].mean(), one.regions["cpm"], atol=0.05)
    assert shown[0].iloc[0, 2] == shown[0].iloc[0, 3]
