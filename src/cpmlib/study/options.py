"""The choices the paper leaves open, named, with the project's defaults.

Each field is one choice; the sensitivity chapter shows what each does to the results.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_type_hints

import numpy as np

RoiWeighting = Literal["voxel-centre", "partial-volume"]
LeakageCorrection = Literal["bidirectional", "unidirectional", "none"]
ReferenceRule = Literal["baseline", "circulation"]

AXES = ("target_x", "target_y", "target_z")
"""Columns of a target: mm, RAS+."""
ROI_DIAMETER = 5.0
"""Of the sphere over which a map is averaged at a target, mm (the paper's methods)."""
PIXEL_SIZE_RANGE_UM = (0.05, 20.0)
"""Pixels of a slide: from oil immersion to an overview image."""
MUCH_OUTSIDE = 0.1
"""Share of a map's voxels outside the model's training range from which it is said that the map is
not to be trusted: single bright or dark voxels are always there, a tenth of the brain is not."""

MAX_DRAWS = 1_000_000
"""Of one sample per patient; more take memory and time and change no digit that is printed."""
MAX_SEED = 2**63 - 1

_RANGES: dict[str, tuple[float, float, str]] = {
    "roi_diameter": (1, 50, "1 to 50 mm"),
    "histology_pixel_size_um": (*PIXEL_SIZE_RANGE_UM, "{0} to {1} µm, or 0"),
    "rout_q": (0, math.nextafter(1, 0), "0 <= Q < 1"),
    "n_draws": (1, MAX_DRAWS, "{0} to {1}"),
    "seed": (0, MAX_SEED, "{0} to {1}"),
}
"""Lowest and highest value of an option, and how a message says it."""
_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}


class Options:
    """What the two sets of choices share; a value that a field does not admit is a ValueError."""

    def __post_init__(self) -> None:
        for name, kind in self.types().items():
            value, choices = getattr(self, name), get_args(kind)
            fits = value in choices if choices else type(value) is kind
            expected = f"one of {choices}" if choices else _IN_WORDS[kind]
            if fits and name in _RANGES:
                low, high, words = _RANGES[name]
                unknown = name == "histology_pixel_size_um" and value == 0
                fits, expected = low <= value <= high or unknown, words.format(low, high)
            if not fits:
                raise ValueError(f"option {name}: found {value!r:.80}; expected {expected}")

    @classmethod
    def types(cls) -> dict[str, Any]:
        """Return the names of the choices and their types."""
        hints = get_type_hints(cls)
        return {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Build from plain values or texts; raise a ValueError for an unknown name or a misfit.

        Examples
        --------
        >>> AnalysisOptions.from_mapping({"rout_q": "0.05"}).rout_q
        0.05
        """
        types = cls.types()
        _refuse_unknown(mapping, types)
        return cls(**{name: _convert(value, types[name]) for name, value in mapping.items()})


def _refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"unknown option {unknown[0]!r}; the options are {', '.join(known)}")


def _convert(value: object, kind: type) -> object:
    text = str(value).strip()
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


@dataclass(frozen=True)
class ImageOptions(Options):
    """How images become the values of the sample table.

    Parameters
    ----------
    cpm_normalise
        What is divided by the whole-brain standard deviation: the finished map (as the paper
        says), the input images, or nothing.
    roi_diameter
        Of the sphere at a target, mm.
    roi_weighting
        Whether a voxel counts if its centre lies in the sphere, or by the part of it that does.
    registration
        Whether contrasts are registered rigidly to the T1-weighted image after gadolinium.
    bias_correction
        Whether T1w, T1wGd and FLAIR are freed of their bias field.
    leakage_correction, perfusion_reference
        Of the perfusion series, and by which rule the voxels are chosen whose mean is the reference
        curve of the correction: their signal returns to its baseline, or to what the circulating
        agent leaves.
    histology_pixel_size_um
        µm per pixel of the slides, for exports in pixels whose own JSON file does not say it; 0
        where it is not known.
    """

    cpm_normalise: Literal["output", "input", "none"] = "output"
    roi_diameter: float = ROI_DIAMETER
    roi_weighting: RoiWeighting = "voxel-centre"
    registration: Literal["auto", "always", "never"] = "auto"
    bias_correction: bool = False
    leakage_correction: LeakageCorrection = "bidirectional"
    perfusion_reference: ReferenceRule = "baseline"
    histology_pixel_size_um: float = 0.0


@dataclass(frozen=True)
class AnalysisOptions(Options):
    """How the paper's analysis is carried out.

    Parameters
    ----------
    rout_q
        False discovery rate of ROUT, between 0 and 1; 0 switches the exclusion off.
    spearman_excludes_outliers, rmse_excludes_outliers, mixed_model_excludes_outliers
        Whether samples that ROUT flags in the same subset are left out of that statistic.
    mixed_model_test
        Reference distribution of the slope: t with Satterthwaite degrees of freedom, t with
        n - 2, or normal.
    meng_correlation
        Which coefficient Meng's z compares.
    mann_whitney_method
        As in `cpmlib.statistics.group_comparison.mann_whitney`.
    grade_grouping
        ``"all"`` uses the grade group of every patient; ``"cns5"`` leaves out of the grade
        groups the patients whose WHO CNS5 diagnosis is NOS.
    n_draws, seed
        Draws of one sample per patient, and the seed of all random numbers.
    """

    rout_q: float = 0.01
    spearman_excludes_outliers: bool = False
    rmse_excludes_outliers: bool = True
    mixed_model_excludes_outliers: bool = False
    mixed_model_estimation: Literal["REML", "ML"] = "REML"
    mixed_model_test: Literal["satterthwaite", "wald-t", "wald-z"] = "satterthwaite"
    meng_correlation: Literal["spearman", "pearson"] = "spearman"
    mann_whitney_method: Literal["auto", "exact", "asymptotic"] = "auto"
    grade_grouping: Literal["all", "cns5"] = "all"
    n_draws: int = 1000
    seed: int = 20250529

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random numbers of one purpose, the same whatever else was drawn before."""
        return np.random.default_rng([self.seed, *purpose.encode()])


def chosen_options(pairs: Sequence[str]) -> tuple[AnalysisOptions, ImageOptions]:
    """Build both sets of choices from ``NAME=VALUE`` texts; raise a ValueError for any misfit.

    Examples
    --------
    >>> chosen_options(["rout_q=0.05", "roi_diameter=4"])[1].roi_diameter
    4.0
    """
    chosen: dict[str, str] = {}
    for pair in pairs:
        name, mark, value = pair.partition("=")
        if not mark:
            raise ValueError(f"found {pair[:80]!r}; expected NAME=VALUE")
        if name in chosen:
            raise ValueError(f"option {name} is given twice")
        chosen[name] = value
    analysis, images = AnalysisOptions.types(), ImageOptions.types()
    _refuse_unknown(chosen, analysis | images)
    return (
        AnalysisOptions.from_mapping({k: v for k, v in chosen.items() if k in analysis}),
        ImageOptions.from_mapping({k: v for k, v in chosen.items() if k in images}),
    )
