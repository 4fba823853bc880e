"""The representative cases are what the paper says of them, before any image is solved.

``data/claims.tsv`` holds the statements. What the images of a built book hold is checked with that
book.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from cpmsurrogate.images.contrasts import SIGNALS
from cpmsurrogate.images.coordinates import inside_region
from cpmsurrogate.images.patient import SyntheticPatient
from cpmsurrogate.images.profiles import Profile
from cpmsurrogate.images.write import draw_patient
from studies import ROOT

COARSE = Profile("coarse", (6.0, 6.0, 6.0), (6.0, 6.0, 6.0), (6.0, 6.0, 6.0), (6.0, 6.0, 6.0))
PLACES = {
    "fig3a": ("right", "temporal"),
    "fig3b": ("left", "fronto-parietal"),
    "fig4a": ("left", "frontal"),
    "fig4b": ("right", "fronto-temporo-insular"),
}
WITHOUT_ENHANCEMENT = ("fig3b", "fig4b")
"""Cases of whom the paper says that the tumour, not only the sample, does not enhance."""


@cache
def table() -> pd.DataFrame:
    folder = ROOT / "data" / "surrogate"
    samples, people = (
        pd.read_csv(folder / f"{name}.tsv", sep="\t", na_values="n/a", keep_default_na=False)
        for name in ("samples", "participants")
    )
    return samples.merge(people, on="participant_id")


@cache
def drawn(case: str) -> tuple[pd.Series, np.ndarray, SyntheticPatient]:
    rows = table()
    row = rows[rows["case"] == case].iloc[0]
    own = rows[rows["participant_id"] == row["participant_id"]].reset_index(drop=True)
    target = row[["target_x", "target_y", "target_z"]].to_numpy(dtype=float)
    return row, target, draw_patient(own, np.random.default_rng(11), COARSE)


def sphere(target: np.ndarray) -> np.ndarray:
    offsets = np.stack(np.meshgrid(*[np.arange(-2.5, 3, 0.5)] * 3), axis=-1).reshape(-1, 3)
    return target + offsets[np.linalg.norm(offsets, axis=1) <= 2.5]


def claims() -> list[str]:
    listed = pd.read_csv(ROOT / "data" / "claims.tsv", sep="\t")["id"]
    return [id for id in listed if id.startswith("case.")]


def agrees(row: pd.Series, name: str) -> bool:
    """Whether the table says what the text says of the case's CPM and H&E cellularity."""
    cpm, he = (table()[column] for column in ("cpm", "he_cellularity"))
    low, middle, high = cpm.quantile([0.25, 0.5, 0.75])
    return {
        "fig3a": row["cpm"] < middle and row["he_cellularity"] < he.median(),
        "fig3b": row["cpm"] > high and row["he_cellularity"] > he.quantile(0.75),
        "fig4a": low <= row["cpm"] <= high and row["he_cellularity"] == he.max(),
        "fig4b": row["cpm"] <= high and row["he_cellularity"] > he.quantile(0.75),
    }[name]


def enhances_as_said(case: str, target: np.ndarray, patient: SyntheticPatient) -> bool:
    at = patient.lesion.at(sphere(target)).enhancement
    anywhere = patient.lesion.arrays["enhancement"].max()
    if case == "fig3a":
        return bool(at.mean() > 0.4)
    if case in WITHOUT_ENHANCEMENT:
        return bool(anywhere == 0)
    return bool(at.max() < 0.05 and anywhere > 0.5)  # 4a: a glioblastoma, which enhances elsewhere


def perfused_as_said(case: str, target: np.ndarray, patient: SyntheticPatient) -> bool:
    found = patient.signal("rCBV", sphere(target)).mean()
    grey = SIGNALS["rCBV"].grey
    return bool(found > 1.5 * grey if case == "fig3b" else found < 0.8 * grey)


@pytest.mark.parametrize("claim", claims())
def test_a_case_is_what_the_paper_says(claim: str) -> None:
    _, case, what = claim.split(".")
    row, target, patient = drawn(case)
    if what in ("agreement", "disagreement"):
        assert agrees(row, case)
    elif what == "side":
        side, location = PLACES[case]
        assert row["location"] == location
        assert inside_region(target, location, side)
    elif what == "enhancement":
        assert enhances_as_said(case, target, patient)
    elif what == "rcbv":
        assert perfused_as_said(case, target, patient)
    else:
        pytest.fail(f"no test for {claim}")


def test_no_sample_of_a_tumour_that_does_not_enhance_does() -> None:
    for case in WITHOUT_ENHANCEMENT:
        who = drawn(case)[0]["participant_id"]
        assert set(table().loc[table()["participant_id"] == who, "enhancement"]) == {"nCET"}
