"""Brains have the volume of people of their age and sex."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate

from cpmsurrogate.images.anatomy import BOX, make_anatomy, parenchyma_volume
from cpmsurrogate.images.head_size import (
    PARENCHYMA,
    draw_parenchyma,
    expected_parenchyma,
)
from studies import ROOT


@pytest.mark.parametrize(("start", "end"), [(20, 35), (35, 60), (50, 86), (60, 90)])
def test_the_loss_is_that_of_the_rates(start: float, end: float) -> None:
    """Hedman et al. 2012: none up to 35, 0.2 % a year there, 0.5 % from 60 on."""
    lost, _ = integrate.quad(
        lambda age: np.interp(age, [35, 60], [0.002, 0.005]) * (age > 35), start, end, points=[35.0]
    )
    found = np.log(expected_parenchyma("M", start) / expected_parenchyma("M", end))
    assert found == pytest.approx(lost, rel=1e-6)


def test_people_differ_and_may_be_unknown() -> None:
    assert expected_parenchyma("F", 50) == PARENCHYMA["F"]
    assert PARENCHYMA["F"] < expected_parenchyma("n/a", float("nan")) < PARENCHYMA["M"]
    rng = np.random.default_rng(0)
    drawn = np.array([draw_parenchyma("M", 50, rng) for _ in range(500)])
    # Matsumae et al. 1996: 1302 with a standard deviation of 112 ml, the ages included.
    assert 1290 < drawn.mean() < 1315
    assert 30 < drawn.std() < 112
    assert drawn.min() > 1302 - 2 * 112


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    folder = ROOT / "data" / "surrogate"
    samples, people = (
        pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in ("samples", "participants")
    )
    return samples.merge(people, on="participant_id")


@pytest.mark.parametrize("age", ["max", "min"])
def test_a_head_has_the_volume_asked_for(people: pd.DataFrame, age: str) -> None:
    """For the oldest and the youngest patient, whose scales are most and least, and their targets.

    Two corrections leave 1 % where most is asked of them, and finer points differ by some tenths.
    """
    rows = people[people["age"] == getattr(people["age"], age)()]
    targets = rows[["target_x", "target_y", "target_z"]].to_numpy()
    wanted = expected_parenchyma(rows["sex"].iloc[0], rows["age"].iloc[0])
    head = make_anatomy(np.random.default_rng(3), targets, wanted)
    assert parenchyma_volume(head) == pytest.approx(wanted, rel=0.011)
    points = np.stack(
        np.meshgrid(*[np.arange(low, high, 3.0) for low, high in BOX], indexing="ij"), axis=-1
    ).reshape(-1, 3)
    tissue = head.tissue(points)
    found = float((tissue.grey + tissue.white).sum(dtype=float)) * 27 / 1000
    assert found == pytest.approx(wanted, rel=0.015)
    # With ventricles and sulci: an adult's intracranial volume, ml.
    assert 950 < (tissue.brain > 0.5).sum() * 27 / 1000 < 1750
    assert np.linalg.norm(head.to_template(targets) - targets, axis=1).max() < 0.4
