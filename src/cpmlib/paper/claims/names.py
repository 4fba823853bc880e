"""What readers call the values that claims are about, by id, and how their numbers are written."""

from __future__ import annotations

import numpy as np

from cpmlib.paper.cases import case_title
from cpmlib.paper.formatting import format_p
from cpmlib.paper.subsets import GROUPINGS, PREDICTORS, WHERE

_GROUPS = {
    g.key: [name.replace("Tre", "tre").replace("Rec", "rec") for name in g.names] for g in GROUPINGS
}
_STATISTICS = {
    ("corr", "b"): "slope",
    ("corr", "rho"): "rho",
    ("corr", "rmse"): "RMSE",
    ("lmm", "b"): "mixed-model slope",
    ("iter", "mean_rho"): "one-per-patient mean rho",
}
_QUARTILES = {
    "q25": "lower quartile of",
    "q50": "median",
    "q75": "upper quartile of",
    "max": "highest",
}
_MEASURED = {"cpm": "CPM", "he": "H&E cellularity"}
_OF_CASE = {
    "cpm": "CPM of {}",
    "adc": "ADC of {}",
    "he": "H&E cellularity of {}",
    "right": "distance of {} to the right of the middle of the brain (mm)",
    "rise": "rise of T1 after gadolinium at {}, relative to white matter",
    "lesion_rise": "highest such rise in the lesion of {}",
    "rcbv": "rCBV at {}",
    "grey_rcbv": "rCBV of normal grey matter beside {}",
    "location": "location of {}",
}
_FIXED = {
    "hgg.non_enhancing.rmse": "RMSE of CPM in non-enhancing HGG",
    "hgg.non_enhancing.rmse_below_whole": "RMSE of the whole cohort less that of non-enhancing HGG",
    "meng.naive.z": "Meng's z in treatment-naïve tumours",
}
_P = {"b_p": "b", "rho_p": "rho", "p": "b"}


def base_of_p(id: str) -> str | None:
    """Return the id of the statistic whose p this is; None for any other value.

    Examples
    --------
    >>> base_of_p("corr.naive.cpm.rho_p"), base_of_p("corr.naive.cpm.rho")
    ('corr.naive.cpm.rho', None)
    """
    before, _, last = id.rpartition(".")
    if id == "meng.naive.p":
        return "meng.naive.z"
    if id.startswith(("corr.", "lmm.")) and last in _P:
        return f"{before}.{_P[last]}"
    return None


def name_of(id: str) -> str:
    """Name a value for a reader.

    Examples
    --------
    >>> name_of("corr.naive.cpm.rho_p")
    'p of the rho of CPM in treatment-naïve tumours'
    >>> name_of("group.idh.cpm_mean_b"), name_of("case.fig3a.he"), name_of("cohort.cpm.q50")
    ('mean CPM of IDH mutant', 'H&E cellularity of Fig. 3a', 'median CPM of all samples')
    """
    if id in _FIXED:
        return _FIXED[id]
    if base := base_of_p(id):
        return f"p of {name_of(base)}" if base in _FIXED else f"p of the {name_of(base)}"
    kind, first, second, *last = id.split(".")
    if kind == "group":
        a, b = _GROUPS[first]
        return {
            "cpm_mean_a": f"mean CPM of {a}",
            "cpm_mean_b": f"mean CPM of {b}",
            "cpm_p": f"p of CPM, {a} against {b}",
        }[second]
    if kind == "case":
        return _OF_CASE[second].format(case_title(first))
    if kind == "cohort":
        return f"{_QUARTILES[second]} {_MEASURED[first]} of all samples"
    return f"{_STATISTICS[kind, last[0]]} of {PREDICTORS[second]} in {WHERE[first]}"


def shown_number(id: str, value: float, low: float = np.nan, high: float = np.nan) -> str:
    """Write a number as pages write its kind, with its 95 % interval if it has one.

    Examples
    --------
    >>> shown_number("corr.naive.cpm.rmse", 1503.4, 1180.2, 1801.0)
    '1503 (1180 to 1801)'
    >>> shown_number("corr.naive.cpm.rho_p", 0.0161)
    '0.016'
    """
    last = id.rpartition(".")[2]
    if last.endswith("_p") or last == "p":
        return format_p(value)
    whole = id.startswith(("group.", "hgg.", "cohort.")) or last in ("rmse", "right", "cpm", "he")
    digits = 0 if whole else 2
    text = f"{value:z.{digits}f}"
    if np.isnan(low) or np.isnan(high):
        return text
    return f"{text} ({low:z.{digits}f} to {high:z.{digits}f})"
