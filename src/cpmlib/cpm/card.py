"""The training card: what a model was made from, what it expects, and how well it did.

Vocabulary
----------
- *input scaling*: ``"none"`` if the model saw images in their own units, ``"whole-brain SD"`` if
  each was divided by its standard deviation over the brain.
- *training range*: smallest and largest value of a contrast in the training patches.
- *reference SD*: mean over the training patients of the standard deviation of their predictions,
  each made by a forest that had not seen the patient; cells/mm2.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from cpmlib.cpm.features import PATCH
from cpmlib.mri.images import CONTRASTS

FORMAT_VERSION = 1
UNITS: Mapping[str, str] = {
    "T1w": "arbitrary",
    "T1wGd": "arbitrary",
    "FLAIR": "arbitrary",
    "ADC": "1e-6 mm2/s",
}
InputScaling = Literal["none", "whole-brain SD"]
INPUT_SCALINGS: tuple[InputScaling, ...] = get_args(InputScaling)
SIDES = ("train", "test")
MAX_TEXT = 1000

_Check = Callable[[Any], bool]


def _number(value: Any) -> bool:
    # A larger number, or one that is not finite, is none that a model could use.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _range(value: Any) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2 and all(map(_number, value))
    return pair and value[0] <= value[1]


def _map(check: _Check, names: Collection[str] | None = None) -> _Check:
    def checked(value: Any) -> bool:
        if not isinstance(value, Mapping) or len(value) > 100:
            return False
        named = names is None or set(value) == set(names)
        return named and all(_text(name) and check(item) for name, item in value.items())

    return checked


def _entry(shown: str, check: _Check, expected: str = "") -> Any:
    """Describe an entry: how a reader sees it, what is right, and how to say what is."""
    return dataclasses.field(metadata={"shown": shown, "check": check, "expected": expected})


def _fixed(shown: str, value: Any, expected: str = "") -> Any:
    """Describe an entry that has one value in every model of this library."""

    def same(found: Any) -> bool:
        return bool(found == value) and type(found) is type(value)

    metadata = {"shown": shown, "check": same, "expected": expected or str(value)}
    return dataclasses.field(default_factory=lambda: value, metadata=metadata)


@dataclass(frozen=True)
class ModelCard:
    """What is known of a forest; the names of the entries are those of the file.

    Lengths are in mm, densities in cells/mm2, ranges and medians in the unit of the (scaled) input;
    the medians are those of the patches' centres.

    Raises
    ------
    ValueError
        For a value of another type, out of range, or not finite.
    """

    label: str = _entry("model", _text)
    synthetic: bool = _entry("trained on synthetic data", lambda value: isinstance(value, bool))
    voxel_size: float = _entry("voxel in the plane (mm)", lambda v: _number(v) and 0 < v < 100)
    input_scaling: InputScaling = _entry(  # noqa: RUF009
        "inputs divided by", lambda v: v in INPUT_SCALINGS, " or ".join(INPUT_SCALINGS)
    )
    training_range: Mapping[str, tuple[float, float]] = _entry(
        "range of each contrast in training", _map(_range, CONTRASTS)
    )
    training_median: Mapping[str, float] = _entry(
        "median of each contrast in training", _map(_number, CONTRASTS)
    )
    density_range: tuple[float, float] = _entry(
        "range of the counted density (cells/mm²)", lambda v: _range(v) and v[0] >= 0
    )
    reference_sd: float = _entry(
        "reference SD, by which maps are scaled (cells/mm²)", lambda v: _number(v) and v > 0
    )
    test_rmse: float = _entry(
        "RMSE on the patients held out (cells/mm²)", lambda v: _number(v) and v >= 0
    )
    n_patients: Mapping[str, int] = _entry("patients", _map(_count, SIDES))
    n_slices: Mapping[str, int] = _entry("slices", _map(_count, SIDES))
    n_tiles: Mapping[str, int] = _entry("patches", _map(_count, SIDES))
    seed: int = _entry("seed of the random numbers", _count)
    forest: Mapping[str, float] = _entry("forest", _map(_number))
    software: Mapping[str, str] = _entry("software", _map(_text))
    inputs: tuple[str, ...] = _fixed("contrasts", CONTRASTS, ", ".join(CONTRASTS))
    units: Mapping[str, str] = _fixed(
        "units of the contrasts", UNITS, ", ".join(f"{name} in {u}" for name, u in UNITS.items())
    )
    tile_size: int = _fixed("patch (voxels along an edge)", PATCH)
    density_unit: str = _fixed("unit of the density", "cells/mm2")
    format_version: int = _fixed(
        "version of the file's format", FORMAT_VERSION, f"at most {FORMAT_VERSION}"
    )

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not field.metadata["check"](value):
                text, expected = str(value), field.metadata["expected"]
                found = text if len(text) <= 60 else f"{text[:60]}..."
                remark = f"; this library uses {expected}" if expected else ""
                raise ValueError(f"the card's {field.name} is {found}{remark}")

    def to_json(self) -> str:
        """Write the card as JSON; equal cards give equal text."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card; raise a ValueError for text that is no JSON, repeats a name, or is no card.

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
        known = {field.name for field in fields(cls)}
        if lacking := sorted(known - set(content)):
            raise ValueError(f"the card lacks {', '.join(map(repr, lacking))}")
        if unknown := sorted(set(content) - known):
            raise ValueError(f"the card has an unknown entry {unknown[0]!r}")
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
