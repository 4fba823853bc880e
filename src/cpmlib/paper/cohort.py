"""Table 1: who was studied, and what was sampled."""

from __future__ import annotations

import pandas as pd

from cpmlib.statistics.descriptives import count_with_share, describe
from cpmlib.statistics.results import with_interval
from cpmlib.study.dataset import Dataset
from cpmlib.study.schemas import (
    DIAGNOSIS_CNS4,
    DIAGNOSIS_CNS5,
    ENHANCEMENT,
    LOCATION,
    NAMES,
    SEX,
    SPELT_OUT,
    TREATMENT,
)

SECTIONS = (
    ("Sex", "participants", "sex", SEX),
    ("Prior treatment", "participants", "treatment", TREATMENT),
    ("WHO CNS4 (2016)", "participants", "diagnosis_cns4", DIAGNOSIS_CNS4),
    ("WHO CNS5 (2021)", "participants", "diagnosis_cns5", DIAGNOSIS_CNS5),
    ("Location", "samples", "location", LOCATION),
    ("Appearance", "samples", "enhancement", ENHANCEMENT),
)
"""Heading, table, column and levels of each block of counts."""


def counts(dataset: Dataset) -> pd.DataFrame:
    """Count patients and samples by each characteristic of Table 1.

    ``section``, ``unit`` (patients or samples), ``column``, ``category``, ``count``, ``percent``;
    categories that do not occur are left out.
    """
    parts = []
    for heading, table, column, levels in SECTIONS:
        values = getattr(dataset, table)[column]
        part = count_with_share(pd.Series(pd.Categorical(values, list(levels))))
        part = part[part["count"] > 0]
        unit = "patients" if table == "participants" else "samples"
        parts.append(part.assign(section=heading, unit=unit, column=column))
    per_patient = dataset.samples.groupby("participant_id").size().sort_values().astype(str)
    part = count_with_share(per_patient)
    parts.append(part.assign(section="Samples per patient", unit="patients", column="n_samples"))
    order = ["section", "unit", "column", "category", "count", "percent"]
    return pd.concat(parts, ignore_index=True)[order]


def measurements(dataset: Dataset) -> pd.DataFrame:
    """Describe age, over patients, and the three measurements, over samples."""
    rows = [describe(dataset.participants["age"], "Age (years)")]
    rows += [
        describe(dataset.samples[column], name)
        for column, name in (
            ("he_cellularity", "H&E cellularity (cells/mm²)"),
            ("cpm", "CPM cellularity (cells/mm²)"),
            ("adc", "ADC (10⁻⁶ mm²/s)"),
        )
    ]
    return pd.concat(rows, ignore_index=True)


def table_1(dataset: Dataset) -> pd.DataFrame:
    """Lay the counts and measurements out as the paper's Table 1, all text."""
    rows = [("Patients", "", str(len(dataset.participants)))]
    described = measurements(dataset).set_index("statistic")
    table = counts(dataset)

    def block(section: str) -> list[tuple[str, str, str]]:
        part = table[table["section"] == section]
        shown = zip(part["category"], part["count"], part["percent"], strict=True)
        return [
            (section, SPELT_OUT.get(name, name), f"{count} ({percent:.0f}\u00a0%)")
            for name, count, percent in shown
        ]

    def mean_sd(name: str) -> tuple[str, str, str]:
        row = described.loc[name]
        digits = 1 if name.startswith("Age") else 0
        if pd.isna(row["estimate"]):
            return name, "mean ± SD", row["note"]
        return name, "mean ± SD", f"{row['estimate']:.{digits}f} ± {row['sd']:.{digits}f}"

    rows += block("Sex")
    rows.append(mean_sd("Age (years)"))
    for section in ("Prior treatment", "WHO CNS4 (2016)", "WHO CNS5 (2021)"):
        rows += block(section)
    rows.append(("Samples", "", str(len(dataset.samples))))
    for section in ("Location", "Samples per patient", "Appearance"):
        rows += block(section)
    rows += [mean_sd(name) for name in described.index[1:]]
    return pd.DataFrame(rows, columns=["Characteristic", "Level", "Value"])


def table_excluded(dataset: Dataset) -> pd.DataFrame:
    """Lay out the samples and values that the study excludes."""
    named = dataset.excluded.replace({"quantity": NAMES})
    return named.rename(columns={"sample_id": "sample", "participant_id": "patient"})


def quoted(dataset: Dataset) -> dict[str, int]:
    """Count what the page's sentences say of the cohort."""
    treatment = dataset.participants["treatment"]
    per_patient = dataset.samples.groupby("participant_id").size()
    whole = dataset.excluded["quantity"] == "sample"
    return {
        "n_patients": len(dataset.participants),
        "n_samples": len(dataset.samples),
        "n_naive": int((treatment == "treatment-naive").sum()),
        "n_recurrent": int((treatment == "recurrent").sum()),
        "n_several": int((per_patient > 1).sum()),
        "most_samples": int(per_patient.max()),
        "n_excluded": int(whole.sum()),
        "n_excluded_values": int((~whole).sum()),
        "n_unused": len(dataset.notes),
    }


def values(dataset: Dataset) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``t1.``.

    A category that does not occur is counted as 0, unless the whole column has no value. Each count
    has its share among the patients or samples whose value is known, under ``.percent``.
    """
    table = counts(dataset)
    age = describe(dataset.participants["age"]).iloc[0]
    found: dict[str, float] = {
        "t1.n_patients": len(dataset.participants),
        "t1.n_samples": len(dataset.samples),
        **with_interval("t1.age_mean", age),
        "t1.age_sd": age.get("sd", float("nan")),
    }
    known = set(table["column"])
    rows = {(r["column"], r["category"]): r for r in table.to_dict("records")}
    for key, column, category in _COUNTED:
        empty = dict.fromkeys(("count", "percent"), 0 if column in known else float("nan"))
        row = rows.get((column, category), empty)
        found[key], found[f"{key}.percent"] = row["count"], row["percent"]
    return {key: float(value) for key, value in found.items()}


def _counted() -> list[tuple[str, str, str]]:
    listed = [
        ("t1.sex_m", "sex", "M"),
        ("t1.sex_f", "sex", "F"),
        ("t1.naive", "treatment", "treatment-naive"),
        ("t1.recurrent", "treatment", "recurrent"),
        ("t1.enhancing", "enhancement", "CET"),
        ("t1.non_enhancing", "enhancement", "nCET"),
    ]
    listed += [(f"t1.patients_with_{i}_samples", "n_samples", str(i)) for i in range(1, 5)]
    for prefix, column, levels in (
        ("t1.cns4.", "diagnosis_cns4", DIAGNOSIS_CNS4),
        ("t1.cns5.", "diagnosis_cns5", DIAGNOSIS_CNS5),
        ("t1.location.", "location", LOCATION),
    ):
        listed += [(prefix + level.replace(" ", "_"), column, level) for level in levels]
    return listed


_COUNTED = _counted()
