"""How the images of the default cohort were solved, kept beside its recipe.

Of each patient a few numbers are kept, no images: with them solving is little more than checking.
Where a value of the table has changed since, they are where solving starts. Another cohort, profile
or model is solved from the beginning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cpmsurrogate.images.levels import Drawing
from cpmsurrogate.images.solve import Round

PROFILE = "light"
"""Profile for which solutions are kept."""

COLUMNS = (
    *("target_x", "target_y", "target_z", "location", "enhancement", "case"),
    *("grade_group", "treatment", "idh", "sex", "age"),
)


@dataclass(frozen=True)
class Kept:
    """What is kept of one patient.

    That is the `digest` of its rows, the number of the head in which its values could be met, the
    scale of that head, and how its images were solved.
    """

    rows: str
    head: int
    scale: float
    rounds: Sequence[Round]


def digest(rows: pd.DataFrame) -> str:
    """Return a digest of what a patient is drawn from, before its images get their values."""
    text = rows[list(COLUMNS)].to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_kept(path: Path) -> dict[str, Kept]:
    """Read what `write_kept` wrote, by patient."""
    found = {}
    for name, one in json.loads(path.read_text("utf-8")).items():
        rounds = [_round(**part) for part in one["rounds"]]
        found[name] = Kept(one["rows"], one["head"], one["scale"], rounds)
    return found


def _round(drawn: list[dict[str, Any]], corrected: dict[str, dict[str, int]]) -> Round:
    drawings = []
    for part in drawn:
        towards = {kind: (share, level) for kind, (share, level) in part["towards"].items()}
        splits = {int(number): share for number, share in part["splits"].items()}
        drawings.append(Drawing(part["target"], towards, splits))
    grains = {k: {int(at): n for at, n in each.items()} for k, each in corrected.items()}
    return Round(drawings, grains)


def write_kept(path: Path, kept: Mapping[str, Kept]) -> None:
    """Write the solutions of some patients as JSON, one patient a line."""
    lines = (f"{json.dumps(name)}: {json.dumps(asdict(kept[name]))}" for name in sorted(kept))
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
