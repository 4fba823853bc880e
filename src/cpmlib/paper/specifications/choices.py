"""Every choice that the paper leaves open and that is varied, with what speaks for a level.

Vocabulary
----------
- *specification*: one way through all choices that a claim depends on.
- *principled choice*: one with a reason, stated before any result is seen, to prefer one level.
- *arbitrary choice*: one without such a reason: by convention, or by the default of a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from cpmlib.study.options import AnalysisOptions

Kind = Literal["arbitrary", "principled"]

LINE, COLUMN = "line", "column"
SAMPLES, PATIENTS = "samples", "patients"
FLIPPED, MEASURED = "flipped", "as measured"


@dataclass(frozen=True)
class Choice:
    """One choice: the columns of a specification that hold it, its name, and why it is open.

    ``decision`` is the row of the book's page of decisions that it belongs to, if any.
    """

    column: str
    name: str
    kind: Kind
    reason: str
    decision: str = ""


CHOICES = (
    Choice(
        "statistic",
        "Statistic",
        "principled",
        "the paper reports all three; a line asks for proportion, ranks for order, and only the "
        "mixed model allows for patients",
    ),
    Choice(
        "unit",
        "Unit",
        "principled",
        "samples of a patient are not independent; their mean has fewer, but independent, values",
    ),
    Choice(
        "rout_q",
        "ROUT's Q",
        "arbitrary",
        "1 % is the default of the common software; 0 leaves no sample out",
        "Which ROUT",
    ),
    Choice(
        "rout_k",
        "Outlier of what",
        "principled",
        "of the line (K = 2): a sample far from the mean of H&E (K = 1) may lie on the line",
        "Which ROUT",
    ),
    Choice(
        "estimation",
        "Mixed model's likelihood",
        "principled",
        "ML takes the variances for too small where patients are few",
        "Mixed model",
    ),
    Choice(
        "test",
        "Mixed model's degrees of freedom",
        "principled",
        "a normal test promises too much with so few patients",
        "Mixed model",
    ),
    Choice(
        "correlation",
        "Correlation compared",
        "arbitrary",
        "the paper reports both and does not say which it compares",
        "Meng's test {cite:p}`meng1992`",
    ),
    Choice(
        "sign",
        "Sign of a falling predictor",
        "principled",
        "flipped, strengths are compared; as measured, directions, which differ by design",
        "Meng's test {cite:p}`meng1992`",
    ),
    Choice(
        "method",
        "Mann-Whitney's p",
        "arbitrary",
        "exact, or the normal approximation, which is used above eight samples",
        "Mann-Whitney test",
    ),
    Choice(
        "normalisation",
        "Map divided by its SD",
        "principled",
        "the paper says so; undivided, patients stand on different scales",
        'What "divided by the whole-brain SD" divides',
    ),
    Choice(
        "weighting",
        "Voxels of the sphere",
        "arbitrary",
        "those whose centre lies in it, or each by the part that does",
        "Which voxels the sphere has",
    ),
    Choice("diameter", "Diameter (mm)", "arbitrary", "a convention; the paper took 5 mm"),
    Choice(
        "shift",
        "Shift of the targets (mm)",
        "principled",
        "none, as planned; the others show what a wrong target does, each patient's in its own "
        "direction, which is drawn",
    ),
)
"""In the order of the analysis; those of the images, which need other spheres or maps, are last."""

IMAGE_COLUMNS = ("normalisation", "weighting", "diameter", "shift")
"""Varied one at a time: that is how the spheres were read."""

LEVELS: dict[str, tuple[object, ...]] = {
    "unit": (SAMPLES, PATIENTS),
    "rout_q": (0.0, 0.001, 0.01, 0.02, 0.05),
    "rout_k": (LINE, COLUMN),
    "estimation": ("REML", "ML"),
    "test": ("satterthwaite", "wald-t", "wald-z"),
    "correlation": ("spearman", "pearson"),
    "sign": (FLIPPED, MEASURED),
    # "asymptotic" is what "auto" means for groups of more than eight samples
    "method": ("auto", "exact"),
}

DIAMETERS = (3.0, 4.0, 6.0, 8.0)
SHIFTS = (1.0, 2.0, 3.0, 5.0)
DRAWS = 3
"""Spheres that are carried through besides the default: what region-of-interest software offers,
and errors of navigation up to that of brain shift. ``DRAWS`` directions of each shift."""


def all_levels(options: AnalysisOptions) -> dict[str, tuple[object, ...]]:
    """Return `LEVELS` with those that the options have besides.

    Examples
    --------
    >>> all_levels(AnalysisOptions(rout_q=0.1))["rout_q"]
    (0.0, 0.001, 0.01, 0.02, 0.05, 0.1)
    """
    used = {"rout_q": options.rout_q, "method": options.mann_whitney_method}
    return LEVELS | {
        key: (*LEVELS[key], *({value} - set(LEVELS[key]))) for key, value in used.items()
    }


def few_levels(options: AnalysisOptions) -> dict[str, tuple[object, ...]]:
    """Return the levels that null cohorts are analysed with: outliers in or out, one test each."""
    return LEVELS | {
        "rout_q": tuple(dict.fromkeys([0.0, options.rout_q])),
        "rout_k": (LINE,),
        "estimation": (options.mixed_model_estimation,),
        "test": (options.mixed_model_test,),
        "method": (options.mann_whitney_method,),
    }


def table_choices(specified: pd.DataFrame) -> pd.DataFrame:
    """Lay the choices out for the page, with the levels that the specifications have."""
    rows = []
    for choice in CHOICES:
        found = [level for level in specified[choice.column].unique() if level != ""]
        rows.append(
            {
                "Choice": choice.name,
                "Levels": ", ".join(map(level_name, sorted(found, key=str)))
                if len(found) > 1
                else "not varied: no images with it",
                "Kind": choice.kind,
                "Why": choice.reason,
            }
        )
    return pd.DataFrame(rows)


_NAMES = {
    "REML": "REML",
    "ML": "ML",
    "satterthwaite": "Satterthwaite",
    "wald-t": "n - 2",
    "wald-z": "normal",
    LINE: "line",
    COLUMN: "column of H&E",
    PATIENTS: "patients' means",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "auto": "by size",
    "voxel-centre": "centres",
    "partial-volume": "parts",
    "output": "divided",
    "input": "inputs divided",
    "none": "undivided",
}


def level_name(level: object) -> str:
    """Write a level for readers.

    Examples
    --------
    >>> level_name("wald-z"), level_name(5.0), level_name(0.01)
    ('normal', '5', '0.01')
    """
    return f"{level:g}" if isinstance(level, float) else _NAMES.get(str(level), str(level))
