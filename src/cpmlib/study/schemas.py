"""What a dataset's tables hold: the one definition of every column.

The book's data dictionary, the JSON sidecars, the reading of numbers and every check of a value
come from these schemas.

Vocabulary
----------
- *participants, samples*: the two tables of a BIDS dataset; a sample is one biopsy specimen.
- *target*: the coordinate of a sample in scanner space, mm, RAS+.
- *levels*: the categories that a column admits, with what they mean.
- *relation*: what a dataset is to the paper (`RELATIONS`), as its description says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pandera.pandas as pa

MISSING = "n/a"
"""How BIDS tables write a missing value."""

RELATION = "RelationToPaper"
"""Key of the relation in ``dataset_description.json``."""

SAME_STUDY = "same study"
CALIBRATED = "calibrated"
OTHER_STUDY = "another study"
RELATIONS = {
    SAME_STUDY: "the paper's own study, as it was or with patients added",
    CALIBRATED: "data made so that the analysis gives the paper's printed values",
    OTHER_STUDY: "any other study; so is one that does not say",
}

TREATMENT = {
    "treatment-naive": "no treatment before the scan (TN)",
    "recurrent": "recurrence after treatment (R)",
}
ENHANCEMENT = {
    "CET": "taken from contrast-enhancing tumour",
    "nCET": "taken from non-enhancing tumour",
}
GRADE_GROUP = {"HGG": "WHO grade 3 or 4", "LGG": "WHO grade 2"}
IDH = {"wild-type": "IDH wild-type", "mutant": "IDH mutant"}
CODELETION = {"codeleted": "1p and 19q lost", "intact": "not codeleted"}
SEX = {"M": "male", "F": "female"}
SPELT_OUT = SEX | {
    "CET": "contrast-enhancing tumour (CET)",
    "nCET": "non-enhancing tumour (nCET)",
    "NOS": "not otherwise specified (NOS)",
}
"""Levels that are abbreviations, as a page says them at first."""

LOCATION = {
    name: f"{name} lobe" if name in ("frontal", "parietal", "temporal", "occipital") else name
    for name in (
        "frontal",
        "parietal",
        "fronto-parietal",
        "temporal",
        "occipital",
        "fronto-temporo-insular",
        "multifocal",
        "fronto-temporal",
        "temporo-parietal",
        "parieto-occipital",
        "temporo-occipital",
        "insular",
        "thalamic",
        "basal ganglia",
        "corpus callosum",
        "brainstem",
        "cerebellar",
    )
}
DIAGNOSIS_CNS4 = {
    name: f"{name}, WHO 2016"
    for name in (
        "oligoastrocytoma grade II",
        "astrocytoma grade II",
        "oligodendroglioma grade II",
        "anaplastic oligoastrocytoma grade III",
        "anaplastic oligodendroglioma grade III",
        "anaplastic astrocytoma grade III",
        "glioblastoma grade IV",
        "high-grade glioma grade IV",
    )
}
DIAGNOSIS_CNS5 = {
    name: f"{name}, WHO 2021"
    for name in (
        "astrocytoma grade 2",
        "oligodendroglioma grade 2",
        "astrocytoma grade 3",
        "oligodendroglioma grade 3",
        "astrocytoma grade 4",
        "glioblastoma grade 4",
    )
} | {"NOS": "not otherwise specified: molecular status incomplete"}

LONGEST_TEXT = 200
"""Most characters of a text that a study wants shown."""

FIT_TO_SHOW = (
    f"one line of up to {LONGEST_TEXT} printable characters that begins with a letter or digit"
)
"""What `is_fit_to_show` accepts, in words."""

ADC_UNIT = "1e-6 mm2/s"
DENSITY_UNIT = "cells/mm2"


def _text(description: str, pattern: str, expected: str, **options: Any) -> pa.Column:
    check = pa.Check.str_matches(pattern, error=expected)
    return pa.Column(
        str, check, description=description, metadata={"expected": expected}, **options
    )


def _reason(description: str) -> pa.Column:
    expected = f"{FIT_TO_SHOW}, or {MISSING}"
    return pa.Column(
        str,
        pa.Check(lambda texts: texts.map(is_fit_to_show), error=expected),
        nullable=True,
        required=False,
        description=description + " Shown in the book as it stands, without names of samples.",
        metadata={"expected": expected},
    )


def is_fit_to_show(text: object) -> bool:
    """Whether a text may stand on pages, in figures and in the first cell of a spreadsheet.

    Examples
    --------
    >>> is_fit_to_show("necrosis on H&E"), is_fit_to_show("=1+1")
    (True, False)
    """
    return (
        isinstance(text, str)
        and 0 < len(text) <= LONGEST_TEXT
        and text.isprintable()
        and text[0].isalnum()
    )


def _category(
    description: str, levels: Mapping[str, str], *, nullable: bool = True, required: bool = True
) -> pa.Column:
    expected = "one of " + ", ".join(levels) + (f", or {MISSING}" if nullable else "")
    return pa.Column(
        str,
        pa.Check.isin(list(levels), error=expected),
        nullable=nullable,
        required=required,
        description=description,
        metadata={"levels": dict(levels), "expected": expected},
    )


def _number(
    description: str,
    unit: str,
    low: float,
    high: float,
    *,
    nullable: bool = True,
    required: bool = True,
    whole: bool = False,
) -> pa.Column:
    kind = "a whole number" if whole else "a number"
    expected = f"{kind} from {low:g} to {high:g} ({unit})" + (f", or {MISSING}" if nullable else "")
    checks = [pa.Check.in_range(low, high, error=expected)]
    if whole:
        checks.append(pa.Check(lambda values: values % 1 == 0, error=expected))
    return pa.Column(
        float,
        checks,
        nullable=nullable,
        required=required,
        description=description,
        metadata={"unit": unit, "expected": expected, "range": [low, high]},
    )


PARTICIPANTS = pa.DataFrameSchema(
    {
        "participant_id": _text(
            "Patient; one row each.",
            r"^sub-[A-Za-z0-9]+$",
            "sub- and letters or digits",
            unique=True,
        ),
        "sex": _category("Sex.", SEX),
        "age": _number("Age at the scan.", "years", 10, 110),
        "treatment": _category("Treatment status at the scan.", TREATMENT, nullable=False),
        "diagnosis_cns4": _category("Diagnosis, WHO CNS4 (2016).", DIAGNOSIS_CNS4),
        "diagnosis_cns5": _category("Diagnosis, WHO CNS5 (2021).", DIAGNOSIS_CNS5),
        "idh": _category("IDH status.", IDH),
        "codeletion_1p19q": _category("1p/19q status.", CODELETION),
        "grade_group": _category("High- or low-grade glioma.", GRADE_GROUP),
    },
    name="participants.tsv",
)
"""Schema of ``participants.tsv``: one row a patient."""

SAMPLES = pa.DataFrameSchema(
    {
        "sample_id": _text(
            "Biopsy specimen; one row each.",
            r"^sample-[A-Za-z0-9]+$",
            "sample- and letters or digits",
        ),
        "participant_id": _text(
            "Whose sample it is.", r"^sub-[A-Za-z0-9]+$", "sub- and letters or digits"
        ),
        "sample_type": _category(
            "BIDS type of the material.", {"tissue": "solid tissue"}, nullable=False
        ),
        "location": _category("Where in the brain.", LOCATION),
        "enhancement": _category("Radiological appearance at the target.", ENHANCEMENT),
        "target_x": _number("Target, left to right (RAS+).", "mm", -500, 500),
        "target_y": _number("Target, posterior to anterior (RAS+).", "mm", -500, 500),
        "target_z": _number("Target, inferior to superior (RAS+).", "mm", -500, 500),
        "cpm": _number(
            "Mean predicted cellularity in the 5-mm sphere.", DENSITY_UNIT, 1, 50000, required=False
        ),
        "adc": _number(
            "Mean apparent diffusion coefficient in the 5-mm sphere.",
            ADC_UNIT,
            50,
            5000,
            required=False,
        ),
        "he_cellularity": _number(
            "Nuclei counted on H&E per tissue area.", DENSITY_UNIT, 1, 50000, required=False
        ),
        "he_nuclei": _number("Nuclei counted.", "count", 1, 1e8, required=False, whole=True),
        "he_tissue_area": _number("Tissue area counted.", "mm2", 1e-4, 1e4, required=False),
        "case": _text(
            "Name of a representative case, for the samples that the paper shows.",
            r"^[a-z0-9]{1,20}$",
            f"up to 20 small letters or digits, or {MISSING}",
            nullable=True,
            required=False,
        ),
        "exclude_reason": _reason("Why the sample is left out of the whole analysis."),
        "cpm_exclude_reason": _reason("Why the CPM is left out."),
        "adc_exclude_reason": _reason("Why the ADC is left out."),
        "he_exclude_reason": _reason("Why the H&E cellularity is left out."),
    },
    name="samples.tsv",
)
"""Schema of ``samples.tsv``: one row a biopsy sample."""

MEASURED = ("cpm", "adc", "he_cellularity")
"""What a study measured, or what is extracted from its images and counts."""

NAMES = {"cpm": "CPM", "adc": "ADC", "he_cellularity": "H&E cellularity"}
"""How pages call the measured columns."""

EXCLUSIONS = {
    "cpm_exclude_reason": "cpm",
    "adc_exclude_reason": "adc",
    "he_exclude_reason": "he_cellularity",
}
"""Column with a reason, and the measured column that it leaves out."""

MINIMAL_REQUIRED = (
    "participant_id",
    "sample_id",
    "treatment",
    *MEASURED,
)
"""Columns that a study in one table must have; every other column of both schemas may follow."""


def wanted(samples: pd.DataFrame, column: str) -> pd.Series:
    """Return for each sample whether a measured column is not left out.

    It is left out where the table has the column without a value, or a reason against it.

    Examples
    --------
    >>> samples = pd.DataFrame({"cpm": [900.0, None], "adc_exclude_reason": ["artefact", None]})
    >>> [wanted(samples, column).tolist() for column in MEASURED]
    [[True, False], [False, True], [True, True]]
    """
    kept = pd.Series(data=True, index=samples.index)
    if column in samples.columns:
        kept &= samples[column].notna()
    for reason in (name for name, measured in EXCLUSIONS.items() if measured == column):
        if reason in samples.columns:
            kept &= samples[reason].isna()
    return kept


def is_number(column: pa.Column) -> bool:
    """Whether a column holds numbers."""
    return "range" in (column.metadata or {})


def data_dictionary(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """List a schema's columns for a reader.

    Returns
    -------
    pandas.DataFrame
        Columns ``column``, ``description``, ``unit``, ``values`` (levels or range), ``required``.

    Examples
    --------
    >>> data_dictionary(PARTICIPANTS).set_index("column").loc["age", "unit"]
    'years'
    """
    rows = []
    for name, column in schema.columns.items():
        metadata = column.metadata or {}
        levels = metadata.get("levels")
        rows.append(
            {
                "column": name,
                "description": column.description,
                "unit": metadata.get("unit", ""),
                "values": ", ".join(levels) if levels else metadata.get("expected", ""),
                "n/a allowed": "yes" if column.nullable else "no",
                "column required": "yes" if column.required else "no",
            }
        )
    return pd.DataFrame(rows)


def description_dictionary() -> pd.DataFrame:
    """List what the book reads of ``dataset_description.json``.

    Returns
    -------
    pandas.DataFrame
        Columns ``key``, ``description``, ``values``, ``required``.

    Examples
    --------
    >>> description_dictionary()["key"].tolist()
    ['Name', 'BIDSVersion', 'DataLabel', 'RelationToPaper']
    """
    relations = "; ".join(f"{name}: {meaning}" for name, meaning in RELATIONS.items())
    rows = [
        ("Name", "Name of the study; stands on every page.", "one line of text", "yes"),
        ("BIDSVersion", "Version of BIDS.", "such as 1.10.0", "yes"),
        ("DataLabel", "Shown with every page, figure and table.", "one line of text", "no"),
        (
            RELATION,
            "What the study is to the paper; decides what the ledger says.",
            relations,
            "no",
        ),
    ]
    return pd.DataFrame(rows, columns=["key", "description", "values", "required"])


def sidecar(schema: pa.DataFrameSchema) -> dict[str, dict[str, object]]:
    """Return the BIDS JSON sidecar of a table.

    Examples
    --------
    >>> sidecar(SAMPLES)["adc"]["Units"]
    '1e-6 mm2/s'
    """
    result: dict[str, dict[str, object]] = {}
    for name, column in schema.columns.items():
        entry: dict[str, object] = {"Description": column.description}
        metadata = column.metadata or {}
        if "unit" in metadata:
            entry["Units"] = metadata["unit"]
        if "levels" in metadata:
            entry["Levels"] = metadata["levels"]
        result[name] = entry
    return result
