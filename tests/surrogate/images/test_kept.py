"""The kept solution is that of the committed cohort, and does again what solving did."""

from __future__ import annotations

import pandas as pd
import pytest

from cpmsurrogate.images.kept import COLUMNS, Kept, digest, read_kept, write_kept
from cpmsurrogate.images.levels import Drawing
from cpmsurrogate.images.solve import Round
from studies import ROOT


def cohort() -> dict[str, pd.DataFrame]:
    folder = ROOT / "data" / "surrogate"
    samples, people = (
        pd.read_csv(folder / f"{name}.tsv", sep="\t", na_values="n/a", keep_default_na=False)
        for name in ("samples", "participants")
    )
    groups = samples.merge(people, on="participant_id").groupby("participant_id")
    return {str(name): rows for name, rows in groups}


def test_the_kept_solution_is_that_of_the_committed_cohort() -> None:
    kept, patients = read_kept(ROOT / "data" / "surrogate_solution.json"), cohort()
    assert sorted(kept) == sorted(patients)
    other = [name for name, rows in patients.items() if kept[name].rows != digest(rows)]
    assert not other, f"{other} have changed: run `make book`, then `make solution`, and commit"
    for name, rows in patients.items():
        drawn = {part.target for one in kept[name].rounds for part in one.drawn}
        assert drawn <= set(range(len(rows))), name


def test_it_is_a_few_numbers() -> None:
    assert (ROOT / "data" / "surrogate_solution.json").stat().st_size < 200_000


@pytest.mark.parametrize("column", COLUMNS)
def test_a_patient_who_changed_is_solved_from_the_beginning(column: str) -> None:
    rows = cohort()["sub-01"]
    value = "x" if rows[column].dtype == object else 1.5
    assert digest(rows.assign(**{column: value})) != digest(rows)


def test_what_is_kept_is_read_as_it_was(tmp_path) -> None:
    drawn = Drawing(1, {"ADC": (0.5, 1100.25), "T1w": (1.0, 400.0)}, {3: 0.25})
    rounds = [Round([drawn]), Round([], {"FLAIR": {155740: -3}, "T1wGd": {}})]
    kept = {"sub-01": Kept("0123", 1, 1.25, rounds), "sub-02": Kept("4567", 0, 0.5, [])}
    write_kept(tmp_path / "kept.json", kept)
    assert read_kept(tmp_path / "kept.json") == kept
