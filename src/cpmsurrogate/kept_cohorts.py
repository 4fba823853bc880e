"""Calibrated cohorts of several seeds, kept in one file with the recipe that makes each again.

Only what the analysis reads is kept: no coordinates, nuclei or areas, and no names, which follow
from the order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.paper.subsets import WHERE
from cpmlib.study.dataset import Dataset
from cpmlib.study.schemas import CALIBRATED
from cpmsurrogate.calibration.cohort import LABEL
from cpmsurrogate.recipe import Recipe

OF_PATIENTS = (
    *("sex", "age", "treatment", "diagnosis_cns4", "diagnosis_cns5"),
    *("idh", "codeletion_1p19q", "grade_group"),
)
OF_SAMPLES = ("patient", "location", "enhancement", "cpm", "adc", "he_cellularity", "case")
"""Columns that are kept; ``patient`` is the number of the sample's patient, from 1."""


@dataclass(frozen=True)
class KeptCohorts:
    """What the file holds.

    Parameters
    ----------
    version
        Of the library that made the cohorts.
    recipe
        With which each of them was made, but for the seed.
    cohorts
        By seed.
    failed
        Seeds with which the search missed printed values, and the ids of these.
    """

    version: str
    recipe: Recipe
    cohorts: Mapping[int, Dataset]
    failed: Mapping[int, Sequence[str]]


def cohort_text(seed: int, participants: pd.DataFrame, samples: pd.DataFrame) -> str:
    """Write one cohort, tables as `cpmlib.study.schemas` says, as JSON with a line a column.

    Examples
    --------
    >>> people = pd.DataFrame({"participant_id": ["sub-01"], "sex": ["F"], "age": [51.0]})
    >>> samples = pd.DataFrame({"participant_id": ["sub-01"], "cpm": [910.4], "case": [None]})
    >>> print(cohort_text(3, people, samples))
    {"seed": 3,
    "sex": ["F"],
    "age": [51.0],
    "patient": [1],
    "cpm": [910.4],
    "case": [null]}
    """
    number = dict(zip(participants["participant_id"], range(1, len(participants) + 1), strict=True))
    samples = samples.assign(patient=samples["participant_id"].map(number))
    columns: dict[str, object] = {"seed": seed}
    for table, names in ((participants, OF_PATIENTS), (samples, OF_SAMPLES)):
        known = table[[name for name in names if name in table]].astype(object)
        columns |= {str(name): list(known[name].where(known[name].notna(), None)) for name in known}
    lines = (f"{json.dumps(name)}: {_compact(values)}" for name, values in columns.items())
    return "{" + ",\n".join(lines) + "}"


def _compact(values: object) -> str:
    return json.dumps(values, separators=(",", ":"))


def write_cohorts(
    path: Path,
    recipe: Recipe,
    version: str,
    cohorts: Mapping[int, tuple[pd.DataFrame, pd.DataFrame]],
    failed: Mapping[int, Sequence[str]],
) -> None:
    """Write what `read_cohorts` reads; a cohort is its participants and its samples, by seed."""
    choices = json.loads(recipe.to_json())
    del choices["seed"]
    head = {"version": version, "recipe": choices, "failed": failed}
    kept = ",\n\n".join(cohort_text(seed, *cohorts[seed]) for seed in sorted(cohorts))
    text = f'{json.dumps(head)[:-1]},\n"cohorts": [\n\n{kept}\n]}}\n'
    path.write_text(text, encoding="utf-8", newline="\n")


def read_cohorts(path: Path) -> KeptCohorts:
    """Read the kept cohorts; patients are P01, P02, ..., samples S01, S02, ..."""
    content = json.loads(path.read_text("utf-8"))
    return KeptCohorts(
        content["version"],
        Recipe.from_mapping(content["recipe"]),
        {one["seed"]: _dataset(one) for one in content["cohorts"]},
        {int(seed): missed for seed, missed in content["failed"].items()},
    )


def _dataset(columns: Mapping[str, Sequence[object]]) -> Dataset:
    participants = pd.DataFrame({name: columns[name] for name in OF_PATIENTS})
    samples = pd.DataFrame({name: columns[name] for name in OF_SAMPLES}).fillna(np.nan)
    names = [f"P{i:02d}" for i in range(1, len(participants) + 1)]
    participants.insert(0, "participant_id", names)
    samples.insert(0, "sample_id", [f"S{i:02d}" for i in range(1, len(samples) + 1)])
    samples["participant_id"] = [names[i - 1] for i in samples.pop("patient")]
    joined = samples.merge(participants, on="participant_id", validate="many_to_one")
    return Dataset(participants, joined, f"Seed {columns['seed']}", LABEL, CALIBRATED)


def say_failed(kept: KeptCohorts) -> str:
    """Say which seeds gave no cohort with the printed values."""
    tried = len(kept.cohorts) + len(kept.failed)
    if not kept.failed:
        return f"All {tried} seeds that were tried gave one."
    seeds = ", ".join(map(str, sorted(kept.failed)))
    return f"Of {tried} seeds that were tried, these gave none: {seeds}."


def say_conditions(recipe: Recipe) -> str:
    """Say what the search asks of a cohort besides the printed values."""
    low, high = recipe.plausibility.icc
    cpm, adc, he = recipe.plausibility.bounds
    further = ", ".join(f"{n} in {WHERE[group]}" for group, n in recipe.further_outliers.items())
    return (
        f"ICCs were to lie between {low:.1f} and {high:.1f}, CPM between {cpm[0]:.0f} and "
        f"{cpm[1]:.0f} and H&E between {he[0]:.0f} and {he[1]:.0f} cells/mm², ADC between "
        f"{adc[0]:.0f} and {adc[1]:.0f}·10⁻⁶ mm²/s (printed values of cases apart), and these "
        f"samples were to be outliers beside the representative cases: {further or 'none'}."
    )
