"""The training card: what a model was made from, what it expects, and how well it did.

Vocabulary
----------
- *input scaling*: ``"none"`` if the model saw images in their own units, ``"whole-brain SD"`` if
  each was divided by its standard deviation over the brain.
- *training range*: smallest and largest value of a contrast in the training tiles.
- *reference SD*: mean over the training patients of the standard deviation of their predictions,
  each made by a forest that had not seen the patient; cells/mm2.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from cpmlib.cpm.features import TILE
from cpmlib.mri.images import CONTRASTS

FORMAT_VERSION = 1
UNITS: Mapping[str, str] = {
    "T1w": "arbitrary",
    "T1wGd": "arbitrary",
    "FLAIR": "arbitrary",
    "ADC": "1e-6 mm2/s",
}
DENSITY_UNIT = "cells/mm2"

InputScaling = Literal["none", "whole-brain SD"]
INPUT_SCALINGS: tuple[InputScaling, ...] = ("none", "whole-brain SD")

LONGEST_TEXT = 1000


@dataclass(frozen=True)
class ModelCard:
    """What goes with a forest.

    Parameters
    ----------
    label
        Name of the model for people, such as on what it was trained.
    synthetic
        Whether the training data are synthetic.
    voxel_size
        In-plane, mm.
    input_scaling
        Whether inputs are divided by their whole-brain standard deviation.
    training_range, training_median
        Per contrast, in the unit of the (scaled) input: limits, and median of the tiles' centres.
    density_range
        Smallest and largest counted density of the training tiles, cells/mm2.
    reference_sd
        cells/mm2.
    test_rmse
        On the patients held out, cells/mm2.
    n_patients, n_slices, n_tiles
        ``{"train": ..., "test": ...}``.
    seed
        Of the split, the tiles drawn and the trees.
    forest
        Number of trees and how they were grown.
    software
        Package and version.
    inputs, units, tile_size, density_unit, format_version
        What every model of this library shares.

    Raises
    ------
    ValueError
        For a value of another type, out of range, or not finite.
    """

    label: str
    synthetic: bool
    voxel_size: float
    input_scaling: InputScaling
    training_range: Mapping[str, tuple[float, float]]
    training_median: Mapping[str, float]
    density_range: tuple[float, float]
    reference_sd: float
    test_rmse: float
    n_patients: Mapping[str, int]
    n_slices: Mapping[str, int]
    n_tiles: Mapping[str, int]
    seed: int
    forest: Mapping[str, float]
    software: Mapping[str, str]
    inputs: tuple[str, ...] = CONTRASTS
    units: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(UNITS))
    tile_size: int = TILE
    density_unit: str = DENSITY_UNIT
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(problem)

    def to_json(self) -> str:
        """Write the card as JSON; equal cards give equal text."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises
        ------
        ValueError
            For text that is no JSON, repeats a name, or is no such card.

        Examples
        --------
        >>> ModelCard.from_json("{}")
        Traceback (most recent call last):
            ...
        ValueError: the card lacks 'density_range'...
        """
        try:
            content = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("the card is nested too deeply") from None
        if not isinstance(content, dict):
            raise ValueError("the card is no JSON object")
        known = {field.name for field in dataclasses.fields(cls)}
        if sorted(known - set(content)):
            raise ValueError(f"the card lacks {', '.join(map(repr, sorted(known - set(content))))}")
        if sorted(set(content) - known):
            raise ValueError(f"the card has an unknown entry {sorted(set(content) - known)[0]!r}")
        for name in ("inputs", "density_range"):
            content[name] = _pair(content[name])
        if isinstance(content["training_range"], dict):
            ranges = content["training_range"].items()
            content["training_range"] = {name: _pair(limits) for name, limits in ranges}
        return cls(**content)


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("the card gives a name twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"the card holds {constant}")


def _problems(card: ModelCard) -> list[str]:
    """Say what is wrong with a card's entries."""
    checks = {
        "label": _is_text(card.label),
        "synthetic": isinstance(card.synthetic, bool),
        "voxel_size": _is_number(card.voxel_size) and 0 < card.voxel_size < 100,
        "input_scaling": card.input_scaling in INPUT_SCALINGS,
        "training_range": _is_map(card.training_range, _is_range, CONTRASTS),
        "training_median": _is_map(card.training_median, _is_number, CONTRASTS),
        "density_range": _is_range(card.density_range) and card.density_range[0] >= 0,
        "reference_sd": _is_number(card.reference_sd) and card.reference_sd > 0,
        "test_rmse": _is_number(card.test_rmse) and card.test_rmse >= 0,
        "n_patients": _is_map(card.n_patients, _is_count, ("train", "test")),
        "n_slices": _is_map(card.n_slices, _is_count, ("train", "test")),
        "n_tiles": _is_map(card.n_tiles, _is_count, ("train", "test")),
        "seed": _is_count(card.seed),
        "forest": _is_map(card.forest, _is_number),
        "software": _is_map(card.software, _is_text),
        "inputs": card.inputs == CONTRASTS,
        "units": card.units == UNITS,
        "tile_size": _is_count(card.tile_size) and card.tile_size == TILE,
        "density_unit": card.density_unit == DENSITY_UNIT,
        "format_version": _is_count(card.format_version) and card.format_version == FORMAT_VERSION,
    }
    wanted = {
        "inputs": ", ".join(CONTRASTS),
        "units": ", ".join(f"{name} in {unit}" for name, unit in UNITS.items()),
        "tile_size": str(TILE),
        "density_unit": DENSITY_UNIT,
        "input_scaling": " or ".join(INPUT_SCALINGS),
        "format_version": f"at most {FORMAT_VERSION}",
    }
    return [
        f"the card's {name} is {_shown(getattr(card, name))}"
        + (f"; this library uses {wanted[name]}" if name in wanted else "")
        for name, good in checks.items()
        if not good
    ]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _is_number(value: Any) -> bool:
    # A whole number too large for a float is none that a model could use.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (isinstance(value, float) and math.isfinite(value)) or (
        isinstance(value, int) and abs(value) < 2**53
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(map(_is_number, value))
        and value[0] <= value[1]
    )


def _is_map(value: Any, is_good: Any, names: tuple[str, ...] | None = None) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) <= 100
        and (names is None or set(value) == set(names))
        and all(_is_text(name) and is_good(item) for name, item in value.items())
    )


_ENTRIES = {
    "label": "model",
    "synthetic": "trained on synthetic data",
    "voxel_size": "voxel in the plane (mm)",
    "input_scaling": "inputs divided by",
    "training_range": "range of each contrast in training",
    "training_median": "median of each contrast in training",
    "density_range": "range of the counted density (cells/mm²)",
    "reference_sd": "reference SD, by which maps are scaled (cells/mm²)",
    "test_rmse": "RMSE on the patients held out (cells/mm²)",
    "n_patients": "patients",
    "n_slices": "slices",
    "n_tiles": "tiles",
    "seed": "seed of the random numbers",
    "inputs": "contrasts",
    "units": "units of the contrasts",
    "tile_size": "tile (voxels along an edge)",
    "density_unit": "unit of the density",
    "format_version": "version of the file's format",
}
"""How a reader sees the entries of a card."""


def training_card(card: ModelCard | None) -> pd.DataFrame:
    """List a card for a reader; of None, nothing.

    Returns
    -------
    pandas.DataFrame
        ``entry`` and ``value``, both text.
    """
    rows = []
    for entry, value in (dataclasses.asdict(card) if card else {}).items():
        if isinstance(value, Mapping):
            named = ((name.replace("_", " "), _written(item)) for name, item in value.items())
            text = ", ".join(f"{name}: {item}" for name, item in named)
        else:
            text = _written(value)
        rows.append((_ENTRIES.get(entry, entry.replace("_", " ")), text))
    return pd.DataFrame(rows, columns=["entry", "value"])


def training_sentences(card: ModelCard | None, published_rmse: float) -> str:
    """Say on how many patients a model was trained and tested, and how it did.

    Parameters
    ----------
    card
        None if no map of the study was predicted here.
    published_rmse
        Test error of the published model, cells/mm2.

    Returns
    -------
    str
        Sentences for a page, in Markdown.

    Examples
    --------
    >>> training_sentences(None, 1015.0).startswith("No map of this study was predicted")
    True
    """
    if card is None:
        return (
            "No map of this study was predicted here: it brings its own values or its own maps."
            f" The published model's test error was **{published_rmse:.0f}** cells/mm²."
        )
    patients = card.n_patients
    text = (
        f"**{patients['train']}** patients trained this model and **{patients['test']}** tested it."
        f" The test error is **{card.test_rmse:.0f}** cells/mm²; the published model's was"
        f" **{published_rmse:.0f}**."
    )
    if card.synthetic:
        text += (
            " The two are not to be compared: synthetic tissue is as hard to predict as it is made."
        )
    return text


def _written(value: Any) -> str:
    if isinstance(value, tuple | list):
        return (
            " to ".join(_written(item) for item in value) if len(value) == 2 else ", ".join(value)
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)
