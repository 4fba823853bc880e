"""Division by the whole-brain standard deviation, and the scaling of a model's inputs.

Nocera et al. (2025): "The voxel-wise CPM values output by the algorithm were divided by the
whole-brain intensity SD at the single patient level". So that the unit stays cells/mm2 the quotient
is multiplied by the model's reference SD.

References
----------
Bobholz SA et al. (2022) AJNR Am J Neuroradiol 43:682 (inputs divided by their SD).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from cpmlib.cpm.card import InputScaling, ModelCard
from cpmlib.study.errors import fault

Normalisation = Literal["output", "input", "none"]
"""What is divided by its standard deviation over the whole brain: the finished map, each contrast
before the forest (which needs a model that was trained so), or nothing."""

NEEDS: Mapping[str, InputScaling] = {"output": "none", "none": "none", "input": "whole-brain SD"}
"""How the model's training inputs must have been scaled for each."""


def check_normalisation(card: ModelCard, normalise: str) -> None:
    """Raise a DatasetError if the model was trained for another normalisation."""
    if normalise not in get_args(Normalisation):
        raise ValueError(f"normalise is {normalise!r}; expected one of {get_args(Normalisation)}")
    if NEEDS[normalise] != card.input_scaling:
        raise fault(
            card.label,
            f"a model trained with input scaling '{card.input_scaling}'",
            f"input scaling '{NEEDS[normalise]}' for normalise = '{normalise}'",
            "choose the other normalisation, or a model trained for this one",
        )


def output_factor(raw: np.ndarray, reference_sd: float) -> tuple[float, float]:
    """Return what a raw map, by its values (n,) in the brain, is multiplied by, and their SD.

    That is the reference SD over the SD, cells/mm2 both.
    """
    sd = brain_sd(raw, "raw map")
    return reference_sd / sd, sd


def brain_sd(values: np.ndarray, name: str) -> float:
    """Return the standard deviation of values (n,) in the brain, called `name`; NaN are left out.

    Raises a DatasetError if there are fewer than two values or they do not vary.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    sd = float(known.std()) if len(known) > 1 else 0.0
    if not sd > 1e-9 * float(np.abs(known).max(initial=0)):
        found = f"{len(known)} values that do not vary within the brain"
        raise fault(name, found, "an image of a brain", "check image and brain mask")
    return sd
