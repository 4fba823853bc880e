"""QuPath's GeoJSON: its objects, their class and type, and their outlines in pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cpmlib.histology.exports import read_export
from cpmlib.histology.outlines import Polygon
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.text import parse_json

MAX_PIXELS = 1e7
"""Coordinates lie nearer to the origin: slides have up to 1e6 pixels a side."""
_LEGACY = {"pathcellobject": "cell", "pathdetectionobject": "detection", "pathtileobject": "tile"}


def read_features(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each GeoJSON feature, children after their parents."""
    content = read_json_export(path)
    if isinstance(content, dict):
        is_collection = content.get("type") == "FeatureCollection"
        content = content.get("features") if is_collection else [content]
    waiting = list(reversed(content)) if isinstance(content, list) else []
    if not waiting:
        raise DatasetError(
            Problem(path.name, "no GeoJSON feature", "a FeatureCollection", "export it again")
        )
    number = 0
    while waiting:
        feature, number = waiting.pop(), number + 1
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise feature_error(path, number, "something else", "a GeoJSON Feature")
        if not isinstance(feature.get("properties") or {}, dict):
            raise feature_error(path, number, "properties that are no object", "an object")
        yield feature
        children = (feature.get("properties") or {}).get("childObjects", [])
        waiting += reversed(children) if isinstance(children, list) else []


def read_json_export(path: Path) -> Any:
    """Read JSON; raise a DatasetError if it is none."""
    return parse_json(read_export(path), path.name, "JSON", "export it again")


def feature_error(path: Path, number: int, found: str, expected: str) -> DatasetError:
    """Say what is wrong with a feature, counted from 1."""
    remedy = "mend it in QuPath and export again"
    return DatasetError(Problem(path.name, f"feature {number}: {found}", expected, remedy))


def read_properties(feature: dict[str, Any]) -> tuple[str, str, str]:
    """Return class, name and type, however the version wrote them."""
    properties = feature.get("properties") or {}
    kind = properties.get("classification")
    if isinstance(kind, dict):
        names = kind.get("names")
        kind = ": ".join(map(str, names)) if isinstance(names, list) else kind.get("name")
    legacy = str(feature.get("id", "")).lower()
    given = (properties.get(key) for key in ("objectType", "object_type", "type"))
    type_ = next((str(t).lower() for t in given if t), _LEGACY.get(legacy, legacy))
    return str(kind or ""), str(properties.get("name") or ""), type_


def refuse_second(path: Path, number: int, feature: dict[str, Any], seen: set[str]) -> None:
    """Refuse an object that is among those ``seen``, and add it to them."""
    kind, _, type_ = read_properties(feature)
    keys = {json.dumps([kind, type_, feature.get("geometry")])}
    if "-" in str(feature.get("id", "")):  # a UUID, since 0.4; before, the type stood there
        keys.add(str(feature["id"]))
    if keys & seen:
        raise feature_error(path, number, "the same object a second time", "each object once")
    seen |= keys


def read_polygons(path: Path, number: int, geometry: Any) -> tuple[Polygon, ...]:
    """Return polygons: an outer ring and its holes, (N, 2) in pixels; a point is one vertex."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    geometries = geometry.get("geometries") if kind == "GeometryCollection" else None
    if isinstance(geometries, list):
        if any(isinstance(part, dict) and part.get("type") == kind for part in geometries):
            raise feature_error(path, number, "a collection in a collection", "polygons")
        parts = [read_polygons(path, number, part) for part in geometries]
        return tuple(polygon for part in parts for polygon in part)
    # Everything is brought to the depth of a MultiPolygon; points and lines become open rings.
    depth = {"MultiPolygon": 0, "Polygon": 1, "MultiLineString": 1, "LineString": 2}
    depth |= {"MultiPoint": 2, "Point": 3}
    if not isinstance(kind, str) or kind not in depth:
        raise feature_error(path, number, f"geometry {kind!r}", "a Polygon or MultiPolygon")
    nested = geometry.get("coordinates")
    for _ in range(depth[kind]):
        nested = [nested]
    try:
        rings = tuple(tuple(_ring(vertices) for vertices in polygon) for polygon in nested)
    except (TypeError, ValueError, OverflowError, KeyError):  # as whatever stands there raises
        rings = ()
    if not rings or not all(rings):
        expected = f"[x, y] in pixels, up to {MAX_PIXELS:g}"
        raise feature_error(path, number, "coordinates that are no numbers", expected)
    if "Line" in kind or kind == "MultiPoint":
        rings = tuple((ring[0][:1],) for ring in rings)
    return rings


def _ring(vertices: Any) -> np.ndarray:
    """Return (N, 2) vertices; raise a ValueError, or what numpy raises, if they are none."""
    pairs = [vertex[:2] for vertex in vertices]
    ring = np.array(pairs, dtype=float)
    # NumPy also takes "1" and true for a number.
    numbers = all(type(number) in (int, float) for pair in pairs for number in pair)
    if not numbers or ring.shape != (len(pairs), 2) or not (np.abs(ring) <= MAX_PIXELS).all():
        raise ValueError("no vertices")
    return ring
