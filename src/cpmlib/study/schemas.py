"""What a dataset's tables hold: the one definition of every column.

The book's data dictionary, the JSON sidecars, the reading of numbers and every check of a value
come from these schemas.

Vocabulary
----------
- *participants*, samples: the two tables of a BIDS dataset; a sample is one biopsy specimen.
- *target*: the coordinate of a sample in scanner space, mm, RAS+.
- *levels*: the categories that a column admits, with what they mean.
- *relation to the paper*: whether a dataset is that of the paper, calibrated to it, or another
  (`RELATIONS`), as its description says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
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


def _levels(names: str, meaning: str = "{}") -> dict[str, str]:
    return {name: meaning.format(name) for name in names.split(", ")}


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

LOCATION = _levels(
    "frontal, parietal, fronto-parietal, temporal, occipital, fronto-temporo-insular, multifocal,"
    " fronto-temporal, temporo-parietal, parieto-occipital, temporo-occipital, insular, thalamic,"
    " basal ganglia, corpus callosum, brainstem, cerebellar"
) | _levels("frontal, parietal, temporal, occipital", "{} lobe")
DIAGNOSIS_CNS4 = _levels(
    "oligoastrocytoma grade II, astrocytoma grade II, oligodendroglioma grade II,"
    " anaplastic oligoastrocytoma grade III, anaplastic oligodendroglioma grade III,"
    " anaplastic astrocytoma grade III, glioblastoma grade IV, high-grade glioma grade IV",
    "{}, WHO 2016",
)
DIAGNOSIS_CNS5 = _levels(
    "astrocytoma grade 2, oligodendroglioma grade 2, astrocytoma grade 3,"
    " oligodendroglioma grade 3, astrocytoma grade 4, glioblastoma grade 4",
    "{}, WHO 2021",
) | {"NOS": "not otherwise specified: molecular status incomplete"}

MAX_TEXT = 200
FIT_TO_SHOW = (
    f"one line of up to {MAX_TEXT} printable characters that begins with a letter or digit"
)
"""What `is_fit_to_show` accepts, in words."""
ADC_UNIT = "1e-6 mm2/s"
DENSITY_UNIT = "cells/mm2"


def is_fit_to_show(text: object) -> bool:
    """Whether a text may stand on pages, in figures and in the first cell of a spreadsheet.

    Examples
    --------
    >>> is_fit_to_show("necrosis on H&E"), is_fit_to_show("=1+1")
    (True, False)
    """
    fits = isinstance(text, str) and 0 < len(text) <= MAX_TEXT and text.isprintable()
    return fits and str(text)[0].isalnum()


def _column(
    description: str,
    expected: str,
    fits: Callable[[pd.Series], pd.Series],
    *,
    kind: type = str,
    metadata: Mapping[str, Any] | None = None,
    nullable: bool = True,
    **options: Any,
) -> pa.Column:
    expected += f", or {MISSING}" if nullable else ""
    options |= {"description": description, "metadata": {**(metadata or {}), "expected": expected}}
    return pa.Column(kind, pa.Check(fits), nullable=nullable, **options)


def _name(description: str, prefix: str, **options: Any) -> pa.Column:
    pattern, expected = rf"{prefix}[A-Za-z0-9]+", f"{prefix} and letters or digits"
    options["nullable"] = False
    return _column(description, expected, lambda v: v.str.fullmatch(pattern), **options)


def _reason(what: str) -> pa.Column:
    description = f"Why {what}. Shown in the book as it stands, without names of samples."
    return _column(description, FIT_TO_SHOW, lambda v: v.map(is_fit_to_show), required=False)


def _category(description: str, levels: Mapping[str, str], **options: Any) -> pa.Column:
    options["metadata"] = {"levels": dict(levels)}
    expected = "one of " + ", ".join(levels)
    return _column(description, expected, lambda v: v.isin(list(levels)), **options)


def _number(
    description: str, unit: str, low: float, high: float, *, whole: bool = False, **options: Any
) -> pa.Column:
    def fits(values: pd.Series) -> pd.Series:
        inside = values.between(low, high)
        return inside & (values % 1 == 0) if whole else inside

    expected = f"a {'whole ' * whole}number from {low:g} to {high:g} ({unit})"
    options |= {"kind": float, "metadata": {"unit": unit, "range": [low, high]}}
    return _column(description, expected, fits, **options)


PARTICIPANTS = pa.DataFrameSchema(
    {
        "participant_id": _name("Patient; one row each.", "sub-", unique=True),
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

_DENSITIES = (DENSITY_UNIT, 1, 50000)
_measured = partial(_number, required=False)

SAMPLES = pa.DataFrameSchema(
    {
        "sample_id": _name("Biopsy specimen; one row each.", "sample-"),
        "participant_id": _name("Whose sample it is.", "sub-"),
        "sample_type": _category(
            "BIDS type of the material.", {"tissue": "solid tissue"}, nullable=False
        ),
        "location": _category("Where in the brain.", LOCATION),
        "enhancement": _category("Radiological appearance at the target.", ENHANCEMENT),
        "target_x": _number("Target, left to right (RAS+).", "mm", -500, 500),
        "target_y": _number("Target, posterior to anterior (RAS+).", "mm", -500, 500),
        "target_z": _number("Target, inferior to superior (RAS+).", "mm", -500, 500),
        "cpm": _measured("Mean predicted cellularity in the 5-mm sphere.", *_DENSITIES),
        "adc": _measured(
            "Mean apparent diffusion coefficient in the 5-mm sphere.", ADC_UNIT, 50, 5000
        ),
        "he_cellularity": _measured("Nuclei counted on H&E per tissue area.", *_DENSITIES),
        "he_nuclei": _measured("Nuclei counted.", "count", 1, 1e8, whole=True),
        "he_tissue_area": _measured("Tissue area counted.", "mm2", 1e-4, 1e4),
        "case": _column(
            "Name of a representative case, for the samples that the paper shows.",
            "up to 20 small letters or digits",
            lambda v: v.str.fullmatch("[a-z0-9]{1,20}"),
            required=False,
        ),
        "exclude_reason": _reason("the sample is left out of the whole analysis"),
        "cpm_exclude_reason": _reason("the CPM is left out"),
        "adc_exclude_reason": _reason("the ADC is left out"),
        "he_exclude_reason": _reason("the H&E cellularity is left out"),
    },
    name="samples.tsv",
)

NAMES = {"cpm": "CPM", "adc": "ADC", "he_cellularity": "H&E cellularity"}
"""How pages call the measured columns."""
MEASURED = tuple(NAMES)
"""What a study measured, or what is extracted from its images and counts."""
EXCLUSIONS = {
    "cpm_exclude_reason": "cpm",
    "adc_exclude_reason": "adc",
    "he_exclude_reason": "he_cellularity",
}
"""Column with a reason, and the measured column that it leaves out."""
MINIMAL_REQUIRED = ("participant_id", "sample_id", "treatment", *MEASURED)
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
    reasons = [name for name, measured in EXCLUSIONS.items() if measured == column]
    return kept & samples.reindex(columns=reasons).isna().all(axis=1)


def is_number(column: pa.Column) -> bool:
    """Whether a column holds numbers."""
    return "range" in column.metadata


def data_dictionary(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """List a schema's columns for a reader: what they hold, and what is required."""
    rows = [
        {
            "column": name,
            "description": column.description,
            "unit": column.metadata.get("unit", ""),
            "values": ", ".join(column.metadata.get("levels", [column.metadata["expected"]])),
            "n/a allowed": "yes" if column.nullable else "no",
            "column required": "yes" if column.required else "no",
        }
        for name, column in schema.columns.items()
    ]
    return pd.DataFrame(rows)


def description_dictionary() -> pd.DataFrame:
    """List what the book reads of ``dataset_description.json``."""
    relations = "; ".join(f"{name}: {meaning}" for name, meaning in RELATIONS.items())
    what = "What the study is to the paper; decides what the ledger says."
    rows = [
        ("Name", "Name of the study; stands on every page.", "one line of text", "yes"),
        ("BIDSVersion", "Version of BIDS.", "such as 1.10.0", "yes"),
        ("DataLabel", "Shown with every page, figure and table.", "one line of text", "no"),
        (RELATION, what, relations, "no"),
    ]
    return pd.DataFrame(rows, columns=["key", "description", "values", "required"])


def sidecar(schema: pa.DataFrameSchema) -> dict[str, dict[str, object]]:
    """Return the BIDS JSON sidecar of a table."""
    keys = {"Units": "unit", "Levels": "levels"}
    return {
        name: {"Description": column.description}
        | {key: column.metadata[own] for key, own in keys.items() if own in column.metadata}
        for name, column in schema.columns.items()
    }
