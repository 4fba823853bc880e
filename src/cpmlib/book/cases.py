"""The representative cases on their page: captions, pictures and viewers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cpmlib.book.markup import escape
from cpmlib.book.page import Page
from cpmlib.book.viewer import apart, viewer_html
from cpmlib.figures.cases import figure_case_images
from cpmlib.figures.representative import CaseImages
from cpmlib.paper.cases import case_title, cases
from cpmlib.paper.claims.statements import MIDLINE
from cpmlib.roi.findings import right_of_middle
from cpmlib.roi.means import EmptySphere, roi_mean
from cpmlib.study.schemas import SEX

TREATED = {"treatment-naive": "treatment-naïve", "recurrent": "recurrent"}
TISSUE = {"CET": "contrast-enhancing tumour", "nCET": "non-enhancing tumour"}
"""How captions say the levels of the tables."""


def show_cases(page: Page, key: str, pictures: Mapping[str, CaseImages | None]) -> None:
    """Show the figure of those cases whose name begins as its key does.

    Parameters
    ----------
    key
        ``"fig-3"`` or ``"fig-4"``.
    pictures
        Images of each case, by its name; None where there are none.
    """
    named = cases(page.samples)
    named = named[named["case"].str.startswith(key.replace("-", ""))]
    shown, captions = [], []
    for _, row in named.iterrows():
        known, picture = dict(row), pictures[row["case"]]
        if picture is not None:
            shown.append(picture)
            known |= case_findings(picture)
        captions.append(case_caption(known))
    more = " ".join(captions) or "There is none."
    page.figure(key, figure_case_images(shown), named, more=more)


def show_viewers(page: Page, packed: Mapping[str, Mapping[str, Any]]) -> None:
    """Show a viewer of each case that has anatomical images.

    ``packed`` by the case's name, as `cpmlib.book.study_images.StudyImages.packed_cases` reads it.
    """
    for number, (name, case) in enumerate(packed.items(), 1):
        if case.get("viewer"):
            viewer = viewer_html(name, case["viewer"], label=page.dataset.label)
            if page.output is not None:
                file = f"viewer-{number}.js"
                viewer, script = apart(viewer, page.link(file))
                page.write(file, script)
            page.html(viewer)


def case_findings(case: CaseImages) -> dict[str, Any]:
    """Read off a case's images what its caption names besides the sample table.

    ``side`` of the target, ``"left"`` or ``"right"`` of the middle of the brain, unless it is
    within `MIDLINE` of it; ``rcbv``, mean over the sphere, relative to white matter. What the
    images do not tell is absent.

    Examples
    --------
    >>> import nibabel as nib
    >>> brain = nib.Nifti1Image(np.ones((20, 20, 20), np.float32), np.diag([2.0, 2, 2, 1]))
    >>> case_findings(CaseImages("x1", (31.0, 20, 20), {"mask": brain, "rCBV": brain}))
    {'side': 'right', 'rcbv': 1.0}
    """
    found: dict[str, Any] = {}
    right = right_of_middle(case.images.get("mask"), case.target)
    if abs(right) > MIDLINE:
        found["side"] = "right" if right > 0 else "left"
    if (blood := case.images.get("rCBV")) is not None:
        # A perfusion series often leaves out the top or the bottom of the head.
        with contextlib.suppress(EmptySphere):
            found["rcbv"] = roi_mean(blood, case.target, case.diameter, name="rCBV").mean
    return found


def image_values(packed: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return what the images of the cases tell, by the ids that claims about cases read.

    ``packed`` as in `show_viewers`.

    Examples
    --------
    >>> image_values({"fig3a": {"findings": {"right": 12.0}}, "fig3b": {}})
    {'case.fig3a.right': 12.0}
    """
    return {
        f"case.{name}.{key}": value
        for name, case in packed.items()
        for key, value in case.get("findings", {}).items()
    }


def table_findings(values: Mapping[str, float]) -> pd.DataFrame:
    """Lay `image_values` out for the page, all text."""
    columns = {
        "right": ("Right of the middle (mm)", "{:.0f}"),
        "rise": ("T1 rise at the target", "{:.2f}"),
        "lesion_rise": ("highest in the lesion", "{:.2f}"),
        "rcbv": ("rCBV at the target", "{:.2f}"),
        "grey_rcbv": ("in grey matter", "{:.2f}"),
    }
    names = dict.fromkeys(id.split(".")[1] for id in values)
    rows = [
        {"Case": case_title(name)}
        | {
            shown: "n/a"
            if np.isnan(values[f"case.{name}.{key}"])
            else pattern.format(values[f"case.{name}.{key}"])
            for key, (shown, pattern) in columns.items()
        }
        for name in names
    ]
    return pd.DataFrame(rows, columns=["Case", *(shown for shown, _ in columns.values())])


def case_caption(row: Mapping[str, Any]) -> str:
    """Write the caption of a case from its row of the sample table, one line of MyST, escaped.

    Absent columns of `cpmlib.study.schemas` count as n/a. IDH and what `case_findings` gives are
    named if they are there.

    Examples
    --------
    >>> row = {"case": "x1", "sex": "F", "age": 61.0, "diagnosis_cns5": "glioblastoma grade 4",
    ...        "treatment": "recurrent", "location": "insular", "enhancement": "CET",
    ...        "cpm": 950.4, "adc": float("nan"), "he_cellularity": 2100.0}
    >>> print(case_caption(row))
    **Case x1**: female, 61 years, glioblastoma grade 4 (recurrent), insular; sample from
    contrast-enhancing tumour. CPM 950 cells/mm², ADC n/a, H&E 2100 cells/mm².
    """
    name, age = _text(row, "case"), _number(row, "age", " years")
    sex = SEX.get(_text(row, "sex"), "n/a")
    person = f"{_or_unknown('sex', sex)}, {_or_unknown('age', age)}"
    diagnosis = _or_unknown("diagnosis", escape(_text(row, "diagnosis_cns5")))
    treatment = TREATED.get(_text(row, "treatment"), "n/a")
    tissue = TISSUE.get(_text(row, "enhancement"), "tumour, enhancement n/a")
    location, side = escape(_text(row, "location")), _text(row, "side")
    says_side = re.search(r"\b(left|right|bilateral)\b", location, re.IGNORECASE)
    if "n/a" not in (location, side) and not says_side:
        location = f"{side} {location}"
    location = _or_unknown("location", location)
    if _text(row, "idh") != "n/a":
        diagnosis = f"{diagnosis}, IDH {escape(_text(row, 'idh'))}"
    values = (
        f"CPM {_number(row, 'cpm', ' cells/mm²')}, ADC {_number(row, 'adc', ' × 10⁻⁶ mm²/s')}, "
        f"H&E {_number(row, 'he_cellularity', ' cells/mm²')}"
    )
    if _number(row, "rcbv", "") != "n/a":
        values += f", rCBV {float(row['rcbv']):.1f} times white matter"
    treatment = _or_unknown("treatment", treatment)
    return (
        f"**{escape(case_title(name))}**: {person}, {diagnosis} ({treatment}), "
        f"{location}; sample from {tissue}. {values}."
    )


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return "n/a" if value is None or bool(pd.isna(value)) else str(value)


def _number(row: Mapping[str, Any], column: str, unit: str) -> str:
    value = row.get(column)
    if value is None or bool(pd.isna(value)):
        return "n/a"
    return f"{float(value):.0f}{unit}"


def _or_unknown(what: str, text: str) -> str:
    return f"{what} n/a" if text == "n/a" else text
