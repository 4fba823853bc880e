"""Cells per mm2 of tissue, from what QuPath exports.

Vocabulary
----------
- *annotation*: a region drawn on the slide; here, tissue. *Detection*: an object that QuPath found,
  here a nucleus or a cell.
- *annotation table*: one row an annotation, with ``Num Detections`` and ``Area µm^2``.
- *detection table*: one row a cell.
- *outline*: annotations (and sometimes cells) as GeoJSON, in **pixels** of the full-size image,
  origin at the upper left.
- *pixel size*: µm per pixel of the full-size image.
- *ignored*: of a class whose name ends in ``*``, such as ``Ignore*``. ``Region*`` is not ignored:
  QuPath offers it for a general region of interest.

What changed between versions of QuPath (read in its sources, tags v0.2.3 to v0.6.0)
-------------------------------------------------------------------------------------
- 0.2 to 0.4 call the class ``Class``, later versions ``Classification``; ``Object ID`` came with
  0.4, ``Object type`` with 0.5; ``Image`` can be masked (``ObservableMeasurementTableData``).
- Areas are ``Area µm^2`` with U+00B5, or ``Area px^2`` where the image has no pixel size.
  Spreadsheets and scripts turn the unit into ``Âµm^2``, U+03BC, ``um^2`` or ``(µm²)``.
- Numbers follow the computer's locale, so tab-separated tables can hold decimal commas
  (``GeneralTools.formatNumber``).
- GeoJSON: 0.2 kept the type of an object in ``id`` (``PathCellObject``), 0.3 in ``object_type``,
  0.4 and later in ``objectType``; measurements are a list of name and value until 0.3 and a map
  since 0.4 (https://github.com/qupath/qupath/pull/1099); ``childObjects`` can nest since 0.4.
- ``Num Detections`` counts all cells whose centroid lies in the region, those of nested regions
  included (``PathObjectHierarchy.getObjectsForROI``), so nested regions are not added.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import points_in_poly

from cpmlib.delimited import DELIMITERS, parse_number
from cpmlib.errors import DatasetError, Problem

MAXIMUM_BYTES = 200_000_000
"""A biopsy with its cells' outlines needs about a tenth; more is a mistake."""
AGREEMENT = 0.005
"""Largest relative difference between exports of one sample: rounding, cells on the border."""
DENSITY_RANGE = (1.0, 50_000.0)
AREA_RANGE_MM2 = (1e-4, 1e4)
"""As ``samples.tsv`` allows them; beyond lies a wrong unit or a wrong file."""
PIXEL_SIZE_RANGE_UM = (0.05, 20.0)
"""From oil immersion to an overview image."""

_ROOTS = {"", "image", "root object", "root object (image)", "pathrootobject"}
_LEGACY = {"pathcellobject": "cell", "pathdetectionobject": "detection", "pathtileobject": "tile"}
_CELLS = {"cell", "detection"}
_AREA_COLUMNS = {"area um2": 1e-6, "area mm2": 1.0, "area px2": None}

OUTSIDE_SHARE = 0.05
"""Largest share of cells outside every annotation that nothing explains: centroids on the border,
or a stray cell. A wrong pixel size or another image's outline leaves out more."""
LEAST_SPREAD = 0.6
"""Least SD of the cells' places, as a share of that of even tissue. Where it is less in x and in y,
the pixel size may be too large: a factor of 2 (20x for 40x) leaves 0.5."""
CELLS_TO_SPREAD = 50
"""Fewer cells may lie together by chance; the SD of so many is known to 10 %."""
CROSSED_SHARE = 0.01
"""Largest part of a region's area by which its rings may disagree with what lies inside them.
Freehand drawing leaves tiny loops; a ring that crosses itself in earnest gives a wrong density."""
LARGEST_PIXELS = 1e7
"""Coordinates lie nearer to the origin: slides have up to 1e6 pixels a side."""
SCAN_LEVELS = 1000
"""Heights between which a region is measured; with fewer vertices, it is measured exactly."""


@dataclass(frozen=True)
class CellCount:
    """Cells and tissue of one sample.

    Parameters
    ----------
    n_cells
        Cells in the tissue.
    tissue_area_mm2
        Tissue area in mm2.
    density
        Cells per mm2 of tissue.
    source
        The file that count and area were taken from, or both files.
    notes
        What was left out, taken off or could not be compared.
    """

    n_cells: int
    tissue_area_mm2: float
    density: float
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Region:
    """An annotation; ``rings`` holds polygons in pixels, if its outline is known."""

    area: float
    cells: int | None
    ignored: bool
    labels: frozenset[str]
    parent: str = ""
    polygons: tuple[tuple[np.ndarray, ...], ...] = ()


@dataclass(frozen=True)
class _Export:
    """What one file says: cells and mm2, None where it does not."""

    file: str
    cells: int | None
    area: float | None
    notes: tuple[str, ...] = ()
    regions: tuple[_Region, ...] = ()
    in_um: bool = False


def count_cells(
    *,
    annotation: Path | None = None,
    detections: Path | None = None,
    geojson: Path | None = None,
    pixel_size_um: float | None = None,
) -> CellCount:
    r"""Count the cells of a sample and divide by its tissue area.

    Where annotations lie inside one another, the innermost says what is there: tissue, counted
    once, or something ignored, taken off the tissue around it. All exports of the sample that are
    given must agree.

    Parameters
    ----------
    annotation
        Annotation table, separated by tabs, commas or semicolons.
    detections
        Detection table; needs a tissue area from one of the others.
    geojson
        Outline; a FeatureCollection, a Feature or a list of Features.
    pixel_size_um
        µm per pixel; needed where an area is in pixels only.

    Raises
    ------
    DatasetError
        If a file cannot be read, gives no area or no count, has an area in pixels and no pixel
        size is known, holds another image's rows, the same object twice or a region that cuts
        another or itself, if exports disagree, if the cells do not fit the outline at this pixel
        size, or if the density is implausible.
    ValueError
        If no file is given, or the pixel size is out of range.

    Examples
    --------
    >>> import tempfile
    >>> table = Path(tempfile.mkdtemp()) / "sample-01.tsv"
    >>> _ = table.write_text("Num Detections\tArea µm^2\n9101\t6313000\n", encoding="utf-8")
    >>> count = count_cells(annotation=table)
    >>> count.n_cells, count.tissue_area_mm2, round(count.density, 1)
    (9101, 6.313, 1441.6)
    """
    if annotation is None and detections is None and geojson is None:
        raise ValueError("no export given; expected an annotation table, a detection table, ...")
    if pixel_size_um is not None:
        low, high = PIXEL_SIZE_RANGE_UM
        if not low <= pixel_size_um <= high:
            raise ValueError(f"pixel size is {pixel_size_um}; expected {low} to {high} µm")
    exports: list[_Export] = []
    if annotation is not None:
        exports.append(_from_annotations(annotation, pixel_size_um))
    if geojson is not None:
        exports.append(_from_outline(geojson, pixel_size_um, needed=not exports))
    if detections is not None:
        outline = exports[-1] if geojson is not None else None
        proven = (
            bool(exports) and exports[0].in_um
        )  # then the areas would disagree at a wrong pixel size
        exports.append(_from_detections(detections, outline, pixel_size_um, proven=proven))
    return _agreed(exports)


def read_pixel_size(sidecar: Path) -> float:
    """Read the pixel size, in µm, from the JSON file beside an image.

    ``PixelSize`` (one number, or equal numbers for x and y) in ``PixelSizeUnits`` ``um``, ``mm`` or
    ``nm``, as in BIDS microscopy.

    Raises
    ------
    DatasetError
        If it is absent, not square, or out of range.
    """
    content = _parse_json(sidecar)
    content = content if isinstance(content, dict) else {}
    sizes, unit = content.get("PixelSize"), content.get("PixelSizeUnits")
    numbers = sizes[:2] if isinstance(sizes, list) else [sizes]
    scale = {"um": 1.0, "µm": 1.0, "mm": 1000.0, "nm": 0.001}.get(str(unit))
    low, high = PIXEL_SIZE_RANGE_UM
    known = [n for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
    lengths = [n * scale for n in known] if scale else []
    square = bool(lengths) and math.isclose(lengths[0], lengths[-1], rel_tol=1e-3)
    if square and len(lengths) == len(numbers) and low <= lengths[0] <= high:
        return float(lengths[0])
    found = f"PixelSize {sizes!r}, PixelSizeUnits {unit!r}"
    expected = f"one pixel size for x and y, {low} to {high} µm, with its unit"
    raise DatasetError(Problem(sidecar.name, found, expected, "write it as in BIDS microscopy"))


def _agreed(exports: list[_Export]) -> CellCount:
    """Take count and area from the first export that has them; the others must say the same."""
    counted = [e for e in exports if e.cells is not None]
    measured = [e for e in exports if e.area is not None]
    files = " and ".join(e.file for e in exports)
    if not counted:
        remedy = "detect the cells in QuPath and export again, or add the detection table"
        raise DatasetError(Problem(files, "no count of cells", "'Num Detections'", remedy))
    if not measured:
        remedy = "add the annotation table, or the tissue outline with a pixel size"
        raise DatasetError(Problem(files, "no tissue area", "an area", remedy))
    cells, area = counted[0].cells or 0, measured[0].area or 0.0
    problems = []
    for other in counted[1:]:
        if abs((other.cells or 0) - cells) > max(1, AGREEMENT * cells):
            expected = f"{cells}, as in {counted[0].file}"
            problems.append(_stale(other.file, f"{other.cells} cells", expected))
    for other in measured[1:]:
        if abs((other.area or 0) - area) > AGREEMENT * area:
            expected = f"{area:g} mm2, as in {measured[0].file}"
            problems.append(_stale(other.file, f"{other.area:g} mm2 of tissue", expected))
    low, high = AREA_RANGE_MM2
    if not low <= area <= high:
        expected = f"{low:g} to {high:g} mm2 of tissue"
        remedy = "check the unit of the area and the pixel size"
        problems.append(Problem(measured[0].file, f"{area:g} mm2", expected, remedy))
    elif not DENSITY_RANGE[0] <= cells / area <= DENSITY_RANGE[1]:
        found = f"{cells} cells in {area:g} mm2, {cells / area:g} cells/mm2"
        expected = f"{DENSITY_RANGE[0]:g} to {DENSITY_RANGE[1]:g} cells/mm2"
        remedy = "check the cell detection and the unit of the area"
        problems.append(Problem(files, found, expected, remedy))
    if problems:
        raise DatasetError(problems)
    source = " and ".join(dict.fromkeys((counted[0].file, measured[0].file)))
    notes = tuple(note for export in exports for note in export.notes)
    return CellCount(cells, area, cells / area, source, notes)


def _stale(file: str, found: str, expected: str) -> Problem:
    return Problem(file, found, expected, "export all tables of the sample again, together")


def _from_annotations(path: Path, pixel_size_um: float | None) -> _Export:
    table = _Table(path)
    column = next((name for name in _AREA_COLUMNS if name in table.columns), None)
    if column is None:
        raise table.error("no area", "a column 'Area µm^2'", "export the annotations with areas", 1)
    scale = _AREA_COLUMNS[column]
    if scale is None:
        if pixel_size_um is None:
            remedy = "give the pixel size, or set it in QuPath and export again"
            found = "areas in pixels, and no pixel size"
            raise table.error(found, "a pixel size in µm, or 'Area µm^2'", remedy, 1)
        scale = pixel_size_um**2 * 1e-6
    kinds = {kind.lower() for kind in table.text("object type")}
    others = sorted(kinds - {"annotation"} - _ROOTS)
    if others:
        remedy = "export the annotations only; cells go into the detection table"
        raise table.error(f"objects of type {', '.join(others)}", "annotations", remedy)
    table.refuse_other_images()
    table.refuse_twice(("object id",), ("name", "centroid x um", "centroid y um", column))
    regions, notes = [], []
    for i, number in enumerate(table.numbers):
        if table.value(i, "object type").lower() in _ROOTS - {""}:
            continue
        if table.value(i, "roi").lower() in ("points", "point", "line", "polyline"):
            notes.append(f"{path.name}, row {number}: no area, left out")
            continue
        area = table.number(i, column, above_zero=True) * scale
        cells = table.whole(i, "num detections") if "num detections" in table.columns else None
        kind = table.value(i, "classification") or table.value(i, "class")
        labels = _labels(table.value(i, "name"), kind)
        regions.append(_Region(area, cells, _ignored(kind), labels, table.value(i, "parent")))
    if table.problems:
        raise DatasetError(table.problems)
    sign = _signs(regions, [_parent_by_name(r, regions) for r in regions])
    return replace(_total(path.name, regions, sign, notes), in_um=column != "area px2")


def _labels(name: str, kind: str) -> frozenset[str]:
    """How QuPath names a region in the column ``Parent`` (0.2 to 0.4, and later versions)."""
    if name:
        return frozenset({name})
    return frozenset(
        {kind, f"Annotation ({kind})"} if kind else {"Annotation", "PathAnnotationObject"}
    )


def _ignored(kind: str) -> bool:
    base = kind.split(":")[0].strip()
    return base.endswith("*") and base.lower() != "region*"


def _parent_by_name(region: _Region, regions: list[_Region]) -> int | None:
    """Find the region that a table means; the smallest of that name that is larger."""
    if region.parent.lower() in _ROOTS:
        return None
    named = [
        (other.area, j)
        for j, other in enumerate(regions)
        if region.parent in other.labels and other.area > region.area
    ]
    return min(named)[1] if named else None


def _signs(regions: list[_Region], parents: list[int | None]) -> list[int]:
    """Say which regions are added (1), taken off (-1) or neither (0).

    What a region is, less what lies around it: tissue in something ignored is added, too.
    """
    tissue = [not region.ignored for region in regions]
    around = [above is not None and tissue[above] for above in parents]
    return [int(here) - int(there) for here, there in zip(tissue, around, strict=True)]


def _total(file: str, regions: list[_Region], signs: list[int], notes: list[str]) -> _Export:
    if 1 not in signs:
        remedy = "annotate the tissue, and export it"
        found = f"{len(regions)} annotations, none of tissue"
        raise DatasetError(Problem(file, found, "an annotation with an area", remedy))
    for region, sign in zip(regions, signs, strict=True):
        name = sorted(region.labels)[-1]
        if region.ignored:
            notes.append(f"{file}: {name} {'taken off' if sign else 'left out'}, it is ignored")
        elif not sign:
            notes.append(f"{file}: {name} not added, it lies inside another annotation")
    area = sum(sign * region.area for region, sign in zip(regions, signs, strict=True))
    counts = [s * r.cells for r, s in zip(regions, signs, strict=True) if s and r.cells is not None]
    complete = len(counts) == sum(1 for sign in signs if sign)
    cells = sum(counts) if complete else None
    return _Export(file, cells, area, tuple(notes), tuple(regions))


def _from_detections(
    path: Path, outline: _Export | None, pixel_size_um: float | None, *, proven: bool
) -> _Export:
    """Count the cells in the tissue: by centroid if the outline is known, else by parent."""
    table = _Table(path)
    unit = "px" if "centroid x px" in table.columns else "um"
    axes = (f"centroid x {unit}", f"centroid y {unit}")
    if axes[0] not in table.columns and "object id" not in table.columns:
        remedy = "give QuPath's detection table"
        raise table.error("neither centroids nor object IDs", "one row a cell", remedy, 1)
    kinds = [kind.lower() for kind in table.text("object type")]
    wrong = set(kinds) - _CELLS - {"", "tile"}
    if wrong:
        found = f"objects of type {', '.join(sorted(wrong))}"
        raise table.error(found, "detections or cells", "export the detections only")
    table.refuse_other_images()
    table.refuse_twice(("object id",), axes)
    cell = np.array([kind != "tile" for kind in kinds])
    scale = 1.0 if unit == "px" else pixel_size_um
    parents = table.text("parent")
    rooted = np.array([parent.lower() in _ROOTS for parent in parents])
    rooted &= not rooted.all()  # if all are, the hierarchy is not resolved
    ignored = np.array([_ignored(parent.removesuffix(")").split("(")[-1]) for parent in parents])
    if outline and outline.regions and scale and set(axes) <= set(table.columns):
        centroids = np.array([[table.number(i, a) for a in axes] for i in range(len(table.rows))])
        if table.problems:
            raise DatasetError(table.problems)
        if np.abs(centroids).max() > LARGEST_PIXELS * scale:
            found, remedy = "a centroid that lies on no slide", "export the cells again"
            raise table.error(found, f"up to {LARGEST_PIXELS:g} pixels", remedy)
        within, tissue = _inside(centroids / scale, outline.regions)
        kept = cell & tissue
        _refuse_misfit(table, cell & ~rooted & ~ignored, within, outline)
        if not proven and unit == "um":
            _refuse_shrunk(table, centroids[kept] / scale, outline)
    else:
        kept = cell & ~ignored & ~rooted
    left_out = f"{path.name}: {(~kept).sum()} rows left out: tiles, ignored or outside the tissue"
    return _Export(path.name, int(kept.sum()), None, () if kept.all() else (left_out,))


def _refuse_misfit(
    table: _Table, expected: np.ndarray, within: np.ndarray, outline: _Export
) -> None:
    """Refuse cells that lie outside every annotation, though their parents say otherwise."""
    outside = int((expected & ~within).sum())
    if outside > OUTSIDE_SHARE * expected.sum():
        found = f"{outside} of {expected.sum()} cells outside every annotation of {outline.file}"
        within_share = f"at most {100 * OUTSIDE_SHARE:g} %"
        remedy = "check the pixel size; if it is right, resolve the hierarchy in QuPath and export "
        remedy += "all annotations and the cells again"
        raise table.error(found, within_share, remedy)


def _refuse_shrunk(table: _Table, points: np.ndarray, outline: _Export) -> None:
    """Refuse cells, (N, 2) in pixels, that keep to a corner of the tissue, as if it were larger."""
    if len(points) < CELLS_TO_SPREAD:
        return
    tissue = [region for region in outline.regions if not region.ignored]
    grids = [_points_inside(region) for region in tissue]
    weights = [np.full(len(g), r.area / len(g)) for g, r in zip(grids, tissue, strict=True)]
    even = np.cov(np.concatenate(grids).T, aweights=np.concatenate(weights)).diagonal()
    share = math.sqrt((points.var(axis=0) / even).max())
    if share < LEAST_SPREAD:
        found = f"cells that spread {100 * share:.0f} % as far as the tissue in {outline.file}"
        remedy = "check the pixel size, and that cells were detected in all annotations; if both "
        remedy += "are right, add the annotation table with 'Area µm^2'"
        raise table.error(found, f"{100 * LEAST_SPREAD:g} % or more", remedy)


def _from_outline(path: Path, pixel_size_um: float | None, *, needed: bool) -> _Export:
    regions: list[_Region] = []
    centroids: list[np.ndarray] = []
    notes: list[str] = []
    seen: set[str] = set()
    for number, feature in enumerate(_features(path), start=1):
        _refuse_second(path, number, feature, seen)
        kind, name, type_ = _read_properties(feature)
        if type_ in ("tile", "root", "tmacore", "tma_core", "pathrootobject"):
            continue
        polygons = _polygons(path, number, feature.get("geometry"))
        if type_ in _CELLS:
            centroids.append(_centroid(polygons))
        elif all(len(rings[0]) < 3 for rings in polygons):
            notes.append(f"{path.name}, feature {number}: no area, left out")
        else:
            # QuPath stores an ellipse as a polygon inside it.
            oval = feature["geometry"].get("isEllipse")
            area = _ellipse_area(polygons) if oval else _area(polygons)
            regions.append(_Region(area, None, _ignored(kind), _labels(name, kind), "", polygons))
            _refuse_crossed(path, number, regions[-1])
            if area <= 0:
                raise _feature_error(path, number, "a polygon without area", "a closed polygon")
    if not regions and centroids:
        return _Export(path.name, len(centroids), None, ())
    signs = _signs(regions, _parents_by_outline(path, regions))
    total = _total(path.name, regions, signs, notes)
    cells = int(_inside(np.array(centroids), regions)[1].sum()) if centroids else None
    if pixel_size_um is None:
        if needed:
            found = "an outline in pixels, and no pixel size"
            raise DatasetError(
                Problem(path.name, found, "a pixel size in µm", "give the pixel size")
            )
        note = f"{path.name}: area not compared, there is no pixel size"
        return replace(total, cells=cells, area=None, notes=(*total.notes, note))
    area_mm2 = (total.area or 0.0) * pixel_size_um**2 * 1e-6
    return replace(total, cells=cells, area=area_mm2)


def _features(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each GeoJSON feature, children after their parents."""
    content = _parse_json(path)
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
            raise _feature_error(path, number, "something else", "a GeoJSON Feature")
        if not isinstance(feature.get("properties") or {}, dict):
            raise _feature_error(path, number, "properties that are no object", "an object")
        yield feature
        children = (feature.get("properties") or {}).get("childObjects", [])
        waiting += reversed(children) if isinstance(children, list) else []


def _parse_json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DatasetError):
            raise
        found = f"no JSON ({getattr(error, 'msg', 'nested too deeply')})"
        row = getattr(error, "lineno", None)
        raise DatasetError(Problem(path.name, found, "JSON", "export it again", row)) from None


def _feature_error(path: Path, number: int, found: str, expected: str) -> DatasetError:
    remedy = "mend it in QuPath and export again"
    return DatasetError(Problem(path.name, f"feature {number}: {found}", expected, remedy))


def _read_properties(feature: dict[str, Any]) -> tuple[str, str, str]:
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


def _refuse_second(path: Path, number: int, feature: dict[str, Any], seen: set[str]) -> None:
    kind, _, type_ = _read_properties(feature)
    keys = {json.dumps([kind, type_, feature.get("geometry")])}
    if "-" in str(feature.get("id", "")):  # a UUID, since 0.4; before, the type stood there
        keys.add(str(feature["id"]))
    if keys & seen:
        raise _feature_error(path, number, "the same object a second time", "each object once")
    seen |= keys


def _polygons(path: Path, number: int, geometry: Any) -> tuple[tuple[np.ndarray, ...], ...]:
    """Return polygons: an outer ring and its holes, (N, 2) in pixels; a point is one vertex."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    geometries = geometry.get("geometries") if kind == "GeometryCollection" else None
    if isinstance(geometries, list):
        if any(isinstance(part, dict) and part.get("type") == kind for part in geometries):
            raise _feature_error(path, number, "a collection in a collection", "polygons")
        parts = [_polygons(path, number, part) for part in geometries]
        return tuple(polygon for part in parts for polygon in part)
    # Everything is brought to the depth of a MultiPolygon; points and lines become open rings.
    depth = {"MultiPolygon": 0, "Polygon": 1, "MultiLineString": 1, "LineString": 2}
    depth |= {"MultiPoint": 2, "Point": 3}
    if not isinstance(kind, str) or kind not in depth:
        raise _feature_error(path, number, f"geometry {kind!r}", "a Polygon or MultiPolygon")
    nested = geometry.get("coordinates")
    for _ in range(depth[kind]):
        nested = [nested]
    try:
        rings = tuple(tuple(_ring(vertices) for vertices in polygon) for polygon in nested)
    except (TypeError, ValueError, OverflowError, KeyError):  # as whatever stands there raises
        rings = ()
    if not rings or not all(rings):
        expected = f"[x, y] in pixels, up to {LARGEST_PIXELS:g}"
        raise _feature_error(path, number, "coordinates that are no numbers", expected)
    if "Line" in kind or kind == "MultiPoint":
        rings = tuple((ring[0][:1],) for ring in rings)
    return rings


def _ring(vertices: Any) -> np.ndarray:
    """Return (N, 2) vertices; raise a ValueError, or what numpy raises, if they are none."""
    pairs = [vertex[:2] for vertex in vertices]
    ring = np.array(pairs, dtype=float)
    # NumPy also takes "1" and true for a number.
    numbers = all(type(number) in (int, float) for pair in pairs for number in pair)
    if not numbers or ring.shape != (len(pairs), 2) or not (np.abs(ring) <= LARGEST_PIXELS).all():
        raise ValueError("no vertices")
    return ring


def ring_area(ring: np.ndarray) -> float:
    """Area inside a ring of (N, 2) vertices, in its squared unit: the shoelace formula.

    Examples
    --------
    >>> ring_area(np.array([[0, 0], [4, 0], [4, 3], [0, 3], [0, 0]]))
    12.0
    """
    x, y = (ring - ring[0]).T  # near the origin, no digits are lost
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _area(polygons: tuple[tuple[np.ndarray, ...], ...]) -> float:
    return sum(ring_area(outer) - sum(map(ring_area, holes)) for outer, *holes in polygons)


def _ellipse_area(polygons: tuple[tuple[np.ndarray, ...], ...]) -> float:
    return float(np.pi / 4 * np.prod(np.ptp(polygons[0][0], axis=0)))


def filled_area(rings: Sequence[np.ndarray]) -> float:
    """Area of the points with an odd number of rings around them, by lines across the rings.

    Equal to the outer ring's area less that of its holes, unless rings cross.

    Parameters
    ----------
    rings
        (N, 2) vertices each, closed or not.

    Examples
    --------
    >>> bow_tie = np.array([[0, 0], [2, 2], [2, 0], [0, 2]])
    >>> round(filled_area([bow_tie]), 3), ring_area(bow_tie)
    (2.0, 0.0)
    """
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    levels = np.unique(start[:, 1])
    if len(levels) > SCAN_LEVELS:
        levels = np.quantile(levels, np.linspace(0, 1, SCAN_LEVELS))
    # Between two vertices widths change evenly, so two lines a quarter from the ends give the
    # area; the one in the middle would miss a ring that crosses itself there.
    height = np.repeat(np.diff(levels) / 2, 2)
    lines = np.repeat(levels[:-1], 2) + height * np.tile([0.5, 1.5], len(levels) - 1)
    low, high = (f(start[:, 1], end[:, 1]) for f in (np.minimum, np.maximum))
    first, last = np.searchsorted(lines, low), np.searchsorted(lines, high)
    edge = np.repeat(np.arange(len(start)), last - first)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    part = (lines[line] - start[edge, 1]) / (end - start)[edge, 1]
    x = start[edge, 0] + part * (end - start)[edge, 0]
    order = np.lexsort((x, line))
    widths = np.diff(x[order])[::2]  # each line is crossed an even number of times
    return float(widths @ height[line[order][::2]])


def _refuse_crossed(path: Path, number: int, region: _Region) -> None:
    """Refuse a region whose rings cross themselves or each other: their area is a difference."""
    filled = filled_area([ring for polygon in region.polygons for ring in polygon])
    expected = _area(region.polygons)
    if abs(filled - expected) > CROSSED_SHARE * max(filled, abs(expected)):
        name = sorted(region.labels)[-1]
        found = f"feature {number} ({name}): an outline that crosses itself"
        remedy = "draw it again in QuPath, or make the polygon valid, and export again"
        raise DatasetError(Problem(path.name, found, "a simple polygon", remedy))


def _centroid(polygons: tuple[tuple[np.ndarray, ...], ...]) -> np.ndarray:
    ring = polygons[0][0]
    x, y = (ring - ring[0]).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    if abs(cross.sum()) < 1e-9:
        return ring.mean(axis=0)
    sums = [((v + np.roll(v, -1)) * cross).sum() for v in (x, y)]
    return ring[0] + np.array(sums) / (3 * cross.sum())


def _contains(region: _Region, points: np.ndarray) -> np.ndarray:
    inside = np.zeros(len(points), dtype=bool)
    for outer, *holes in region.polygons:
        within = points_in_poly(points, outer)
        for hole in holes:
            within &= ~points_in_poly(points, hole)
        inside |= within
    return inside


def _inside(points: np.ndarray, regions: Sequence[_Region]) -> tuple[np.ndarray, np.ndarray]:
    """Say which points lie in a region, and which in tissue; the innermost region decides."""
    within, tissue = (np.zeros(len(points), dtype=bool) for _ in range(2))
    for region in sorted(regions, key=lambda region: -region.area):
        here = _contains(region, points)
        within |= here
        tissue[here] = not region.ignored
    return within, tissue


def _parents_by_outline(path: Path, regions: list[_Region]) -> list[int | None]:
    """Find the smallest region around each; refuse regions that overlap in part."""
    parents: list[int | None] = []
    order = [(region.area, j) for j, region in enumerate(regions)]
    for i, region in enumerate(regions):
        points = _points_inside(region)
        around = []
        for j, other in enumerate(regions):
            share = _contains(other, points).mean() if order[j] > order[i] else 0.0
            if 0.01 < share < 0.99:
                found = f"annotations {j + 1} and {i + 1} that overlap in part"
                remedy = "merge or separate them in QuPath and export again"
                raise DatasetError(Problem(path.name, found, "apart or nested", remedy))
            if share >= 0.99:
                around.append(order[j])
        parents.append(min(around)[1] if around else None)
    return parents


def _points_inside(region: _Region, side: int = 48) -> np.ndarray:
    """Lay a grid over a region and keep the points in it."""
    vertices = np.concatenate([polygon[0] for polygon in region.polygons])
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    steps = (np.arange(side) + 0.5) / side
    grid = np.stack(np.meshgrid(*(low + steps[:, None] * (high - low)).T), axis=-1).reshape(-1, 2)
    inside = grid[_contains(region, grid)]
    return inside if len(inside) else vertices


class _Table:
    """A QuPath table as text, its columns under one spelling."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self.problems: list[Problem] = []
        self._commas: dict[str, bool] = {}
        text = _read(path)
        header = text.split("\n", 1)[0]
        delimiter = max(DELIMITERS, key=header.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        except csv.Error as error:
            found = f"broken quoting ({error})"
            raise self.error(found, "a table", "export it again", reader.line_num) from None
        names = [spell(name) for name in rows[0][1]] if rows else []
        self.columns = {name: i for i, name in reversed(list(enumerate(names))) if name}
        self._title = dict(zip(names, rows[0][1], strict=True)) if rows else {}
        known = {*_AREA_COLUMNS, "num detections", "object id", "parent", "image"}
        twice = sorted({name for name in names if names.count(name) > 1} & known)
        if twice:
            found = f"the column '{self._title[twice[0]]}' twice"
            raise self.error(found, "each column once", "remove one", 1)
        filled = [(number, row) for number, row in rows[1:] if any(row)]
        if not filled:
            raise self.error("no rows", "one row or more", "export it again")
        for number, row in filled:
            if len(row) != len(names):
                found = f"{len(row)} cells"
                expected = f"{len(names)}, as in the header"
                raise self.error(found, expected, "export it again, separated by tabs", number)
        self.numbers = [number for number, _ in filled]
        self.rows = [row for _, row in filled]

    def error(self, found: str, expected: str, remedy: str, row: int | None = None) -> DatasetError:
        return DatasetError(Problem(self.file, found, expected, remedy, row))

    def value(self, i: int, name: str) -> str:
        return self.rows[i][self.columns[name]] if name in self.columns else ""

    def text(self, name: str) -> list[str]:
        return [self.value(i, name) for i in range(len(self.rows))]

    def number(self, i: int, name: str, *, above_zero: bool = False) -> float:
        """Return a number; note a problem and return NaN for anything else."""
        if name not in self._commas:  # the computer's locale decides, for a whole column
            self._commas[name] = any("," in cell for cell in self.text(name))
        text = self.value(i, name)
        value = parse_number(text, decimal_comma=self._commas[name])
        if isinstance(value, float) and (value > 0 or not above_zero):
            return value
        expected = "a number above 0" if above_zero else "a number"
        remedy = value if isinstance(value, str) else "correct the annotation and export again"
        problem = Problem(self.file, text or "an empty cell", expected, remedy)
        self.problems.append(replace(problem, row=self.numbers[i], column=self._title[name]))
        return math.nan

    def whole(self, i: int, name: str) -> int:
        value = self.number(i, name)
        if value >= 0 and value.is_integer():
            return int(value)
        if not math.isnan(value):
            problem = Problem(self.file, f"{value:g}", "a whole number", "export it again")
            self.problems.append(replace(problem, row=self.numbers[i], column=self._title[name]))
        return 0

    def refuse_other_images(self) -> None:
        images = list(dict.fromkeys(self.text("image")))
        if len(images) > 1:
            found = f"rows of {len(images)} images ({', '.join(images[:3])})"
            raise self.error(found, "one image, this sample's", "export each image by itself")

    def refuse_twice(self, *identities: tuple[str, ...]) -> None:
        """Refuse two rows that agree in the first of these sets of columns that the table has."""
        for names in identities:
            if not set(names) <= set(self.columns):
                continue
            seen: dict[tuple[str, ...], int] = {}
            for i, number in enumerate(self.numbers):
                key = tuple(self.value(i, name) for name in names)
                if key in seen and any(key):
                    found = f"the same object as in row {seen[key]}"
                    raise self.error(found, "each object once", "delete it, export again", number)
                seen[key] = number
            return


def spell(name: str) -> str:
    """Bring a column's name to one spelling, whatever became of its unit on the way.

    Examples
    --------
    >>> {spell(name) for name in ("Area µm^2", "Area μm^2", "Area (µm²)", "Area Âµm^2")}
    {'area um2'}
    """
    text = re.sub("Âµ|Î¼|Â?[\u00b5\u03bc]|\ufffd+(?=m)|[?](?=m)", "u", name)
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"[^a-z0-9:%*]+", " ", text).strip()
    return re.sub(r"\b(um|mm|px) 2$", r"\g<1>2", text)


def _read(path: Path) -> str:
    """Read a file as UTF-8, as UTF-16 if it says so, or as an old spreadsheet writes (cp1252)."""
    try:
        size = path.stat().st_size
        if size > MAXIMUM_BYTES:
            expected = f"at most {MAXIMUM_BYTES} bytes"
            remedy = "check that this is the export of one sample"
            raise DatasetError(Problem(path.name, f"{size} bytes", expected, remedy))
        raw = path.read_bytes()
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise DatasetError(
            Problem(path.name, found, "a readable file", "check the file and its permissions")
        ) from None
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "cp1252"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text and text.strip():
            return text
        break
    found = "an empty file" if not raw.strip() else "something that is no text"
    raise DatasetError(Problem(path.name, found, "text in UTF-8", "export it again"))
