"""QuPath's GeoJSON: its objects, their class and type, and their outlines in pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpmlib.histology.exports import read_export
from cpmlib.study.errors import DatasetError, fault
from cpmlib.study.text import parse_json

if TYPE_CHECKING:
    from shapely import Geometry

MAX_PIXELS = 1e7
"""Coordinates lie nearer to the origin: slides have up to 1e6 pixels a side."""
_KINDS = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}
_LEGACY = {"pathcellobject": "cell", "pathdetectionobject": "detection", "pathtileobject": "tile"}


def read_json_export(path: Path) -> Any:
    """Read JSON; raise a DatasetError if it is none."""
    return parse_json(read_export(path), path.name, "JSON", "export it again")


def read_features(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each GeoJSON feature, children after their parents."""
    content = read_json_export(path)
    if isinstance(content, dict):
        is_collection = content.get("type") == "FeatureCollection"
        content = content.get("features") if is_collection else [content]
    waiting = list(reversed(content)) if isinstance(content, list) else []
    if not waiting:
        raise fault(path.name, "no GeoJSON feature", "a FeatureCollection", "export it again")
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


def feature_error(path: Path, number: int, found: str, expected: str) -> DatasetError:
    """Return the error of a feature, counted from 1."""
    remedy = "correct it in QuPath and export again"
    return fault(path.name, f"feature {number}: {found}", expected, remedy)


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


def read_outline(path: Path, number: int, geometry: Any) -> Geometry:
    """Return the polygons of a feature as one MultiPolygon, in pixels; points and lines if none.

    Examples
    --------
    >>> ring = [[0, 0], [4, 0], [4, 3], [0, 3], [0, 0]]
    >>> read_outline(Path("a.geojson"), 1, {"type": "Polygon", "coordinates": [ring]}).area
    12.0
    """
    import shapely

    whole: dict[str, Any] = geometry if isinstance(geometry, dict) else {}
    given = whole.get("geometries") if whole.get("type") == "GeometryCollection" else [whole]
    shapes = []
    for part in given if isinstance(given, list) else [given]:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or not isinstance(kind, str) or kind not in _KINDS:
            raise feature_error(path, number, f"geometry {kind!r}", "a Polygon or MultiPolygon")
        try:
            _check_vertices(part["coordinates"])
            shapes.append(shapely.geometry.shape(part))
        # Whatever stands there, in whatever depth.
        except (TypeError, ValueError, LookupError, RecursionError, shapely.errors.ShapelyError):
            found = "coordinates that are no numbers, or too few"
            expected = f"[x, y] in pixels, up to {MAX_PIXELS:g}, three or more in a ring"
            raise feature_error(path, number, found, expected) from None
    if not shapes:
        raise feature_error(path, number, "an empty collection", "a Polygon or MultiPolygon")
    parts = shapely.get_parts(shapes)
    polygons = parts[shapely.get_dimensions(parts) == 2]
    return shapely.multipolygons(polygons) if len(polygons) else shapely.geometrycollections(parts)


def _check_vertices(nested: Any) -> None:
    """Raise an error unless all lists hold lists, and the innermost ones x and y."""
    if isinstance(nested[0], list):
        for inner in nested:
            _check_vertices(inner)
    # Shapely also takes "1" and true for a number.
    elif len(nested) < 2 or not all(
        type(n) in (int, float) and abs(n) <= MAX_PIXELS for n in nested
    ):
        raise ValueError("no vertex")
