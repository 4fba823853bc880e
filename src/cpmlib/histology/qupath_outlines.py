"""QuPath's GeoJSON: its objects, their class and type, and their outlines in pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cpmlib.histology.qupath_tables import read_export
from cpmlib.study.errors import DatasetError, fault
from cpmlib.study.text import parse_json

if TYPE_CHECKING:
    from shapely import Geometry

MAX_PIXELS = 1e7
"""Coordinates lie nearer to the origin: slides have up to 1e6 pixels a side."""
CROSSED_SHARE = 0.01
"""Largest part of a region's area by which its rings may disagree with what lies inside them.
Freehand drawing leaves tiny loops; a ring that crosses itself in earnest gives a wrong density."""
_GEOMETRIES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}
_LEGACY = {"pathcellobject": "cell", "pathdetectionobject": "detection", "pathtileobject": "tile"}
_NO_TISSUE = {"tile", "root", "tmacore", "tma_core", "pathrootobject"}


class Drawn(NamedTuple):
    """An object: its number in the file from 1, class, name, type, and outline in pixels."""

    number: int
    class_: str
    name: str
    type: str
    outline: Geometry
    is_ellipse: bool

    @property
    def area(self) -> float:
        """In pixels^2; an ellipse is stored as a polygon inside it."""
        if not self.is_ellipse:
            return float(self.outline.area)
        left, low, right, high = self.outline.bounds
        return math.pi / 4 * (right - left) * (high - low)


def read_json_export(path: Path) -> Any:
    """Read JSON; raise a DatasetError if it is none."""
    return parse_json(read_export(path), path.name, "JSON", "export it again")


def read_objects(path: Path) -> Iterator[Drawn]:
    """Yield annotations and cells, children after their parents; refuse one that comes twice."""
    seen: set[str] = set()
    for number, feature in enumerate(_features(path), start=1):
        properties = feature.get("properties") or {}
        geometry: Any = feature.get("geometry")
        class_ = properties.get("classification")
        if isinstance(class_, dict):
            parts = class_.get("names")
            named = ": ".join(map(str, parts)) if isinstance(parts, list) else class_.get("name")
            class_ = named
        id = str(feature.get("id", ""))
        given = (properties.get(key) for key in ("objectType", "object_type", "type"))
        type_ = next((str(t) for t in given if t), _LEGACY.get(id.lower(), id)).lower()
        keys = {json.dumps([str(class_ or ""), type_, geometry])}
        if "-" in id:  # a UUID, since 0.4; before, the type stood there
            keys.add(id)
        if keys & seen:
            raise feature_error(path, number, "the same object a second time", "each object once")
        seen |= keys
        if type_ not in _NO_TISSUE:
            outline = read_outline(path, number, geometry)
            name, ellipse = str(properties.get("name") or ""), bool(geometry.get("isEllipse"))
            yield Drawn(number, str(class_ or ""), name, type_, outline, ellipse)


def _features(path: Path) -> Iterator[dict[str, Any]]:
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
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise feature_error(path, number, "properties that are no object", "an object")
        yield feature
        children = properties.get("childObjects", [])
        waiting += reversed(children) if isinstance(children, list) else []


def feature_error(path: Path, number: int, found: str, expected: str) -> DatasetError:
    """Return the error of a feature, counted from 1."""
    remedy = "correct it in QuPath and export again"
    return fault(path.name, f"feature {number}: {found}", expected, remedy)


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
        if not isinstance(part, dict) or not isinstance(kind, str) or kind not in _GEOMETRIES:
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


def without_crossings(path: Path, number: int, name: str, outline: Geometry) -> Geometry:
    """Return the polygons of the places with an odd number of rings around them.

    Rings that cross themselves or each other in earnest are refused: their area is a difference.
    """
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(outline)))
    valid = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    if abs(valid.area - outline.area) > CROSSED_SHARE * max(valid.area, abs(outline.area)):
        found = f"feature {number} ({name}): an outline that crosses itself"
        remedy = "draw it again in QuPath, or make the polygon valid, and export again"
        raise fault(path.name, found, "a simple polygon", remedy)
    return valid
