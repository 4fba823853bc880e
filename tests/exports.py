"""QuPath's exports in little, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

CENTROIDS = "Centroid X µm\tCentroid Y µm"


def table(folder: Path, *rows: str, name: str = "sample.tsv") -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def square(x: float, y: float, side: float) -> list[list[list[float]]]:
    return [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]


def feature(coordinates: object, kind: str = "Polygon", **properties: object) -> dict:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def outline(folder: Path, features: Iterable[dict], name: str = "sample.geojson") -> Path:
    path = folder / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def detections(
    folder: Path,
    points: Sequence[Sequence[float]],
    parents: Sequence[str] = (),
    header: str = CENTROIDS,
) -> Path:
    """Write a detection table with the parents that are given."""
    rows = [f"{x!r}\t{y!r}" for x, y in points]
    if parents:
        header += "\tParent"
        rows = [f"{row}\t{parent}" for row, parent in zip(rows, parents, strict=True)]
    return table(folder, header, *rows, name="detections.tsv")
