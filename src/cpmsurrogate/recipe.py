"""What decides a surrogate cohort besides the printed values: a seed and a few free choices."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cpmsurrogate.calibration.equations import Plausibility
from cpmsurrogate.calibration.solve import Settings


@dataclass(frozen=True)
class Recipe:
    """The free choices.

    Parameters
    ----------
    seed
        Of the one stream of random numbers that everything is drawn from.
    attempts
        Skeletons to try at most.
    thorough
        How many of them, the last ones, are searched to the last iteration even if they look
        hopeless; what is best then is what an unreachable target leaves.
    further_outliers
        Group (``"naive"`` or ``"recurrent"``) and how many samples, besides the representative
        cases, are to be ROUT outliers of its lines.
    plausibility
        What makes the numbers look like measurements.
    search
        How the joint solve goes about it.

    Examples
    --------
    >>> Recipe.from_mapping({"seed": 3, "plausibility": {"rout_margin": 0.02}}).seed
    3
    """

    seed: int = 7
    attempts: int = 30
    thorough: int = 6
    further_outliers: Mapping[str, int] = field(default_factory=dict)
    plausibility: Plausibility = field(default_factory=Plausibility)
    search: Settings = field(default_factory=Settings)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Recipe:
        """Build from plain values, as in the recipe file.

        Raises
        ------
        ValueError
            For a name that is not known.
        """
        parts = {"plausibility": Plausibility, "search": Settings}
        values: dict[str, object] = {}
        _check_names(mapping, cls)
        for name, value in mapping.items():
            kind = parts.get(name)
            if kind is None:
                values[name] = value
                continue
            if not isinstance(value, Mapping):
                raise ValueError(f"recipe: {name} is {value!r}; expected names and values")
            _check_names(value, kind)
            values[name] = kind(**{key: _tuples(v) for key, v in value.items()})
        return cls(**values)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path | str) -> Recipe:
        """Read a recipe file (JSON)."""
        return cls.from_mapping(json.loads(Path(path).read_text(encoding="utf-8")))

    def to_json(self) -> str:
        """Return the recipe as the text of a recipe file, every choice spelled out."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def _check_names(mapping: Mapping[str, object], kind: type) -> None:
    names = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(mapping) - set(names))
    if unknown:
        raise ValueError(f"recipe: {unknown[0]!r} is not known; there are: {', '.join(names)}")


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
