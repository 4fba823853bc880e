"""Synthetic histology: exports as QuPath 0.5 writes them, with an H&E tile.

An outline is the edge of the tissue, in pixels of the full-size image.
"""

from __future__ import annotations

import json
import math
import uuid
from pathlib import Path
from typing import NamedTuple

import numpy as np
from shapely import Polygon
from skimage import io
from skimage.measure import points_in_poly

from cpmsurrogate.images.stained_tile import (
    NUCLEUS_RADIUS_LOG_SD,
    NUCLEUS_RADIUS_UM,
    PIXEL_SIZE_UM,
    he_tile,
)


class ExportPaths(NamedTuple):
    """What was written for a sample; the sidecar has the tile's pixel size."""

    annotation: Path
    detections: Path | None = None
    geojson: Path | None = None
    tile: Path | None = None
    sidecar: Path | None = None


def write_qupath_exports(
    folder: Path,
    stem: str,
    n_cells: int,
    tissue_area_mm2: float,
    rng: np.random.Generator,
    *,
    detailed: bool,
) -> ExportPaths:
    """Write a sample's histology as QuPath 0.5 exports it.

    Parameters
    ----------
    folder, stem
        Where to write, and the start of each file's name.
    n_cells, tissue_area_mm2
        What the exports say.
    detailed
        Whether to add the detection table, the outline, and a tile at the sample's density.

    Raises
    ------
    ValueError
        If the count is not positive or the area not above 0.

    Examples
    --------
    >>> import tempfile
    >>> from cpmlib.histology.qupath import count_cells
    >>> folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(1)
    >>> paths = write_qupath_exports(folder, "sample-01", 9101, 6.313, rng, detailed=False)
    >>> count = count_cells(annotation=paths.annotation)
    >>> count.n_cells, round(count.density, 1)
    (9101, 1441.6)
    """
    if n_cells < 1 or not (math.isfinite(tissue_area_mm2) and tissue_area_mm2 > 0):
        raise ValueError(f"{n_cells} cells in {tissue_area_mm2} mm2; expected both above 0")
    outline = _tissue_outline(tissue_area_mm2, rng)
    identity = _object_id(rng)
    annotation = folder / f"{stem}_annotations.tsv"
    _write_annotation(annotation, stem, identity, n_cells, tissue_area_mm2, outline)
    if not detailed:
        return ExportPaths(annotation)
    detections, geojson = folder / f"{stem}_detections.tsv", folder / f"{stem}_outline.geojson"
    tile, sidecar = folder / f"{stem}_he.png", folder / f"{stem}_he.json"
    _write_detections(detections, stem, n_cells, outline, rng)
    _write_outline(geojson, identity, outline)
    rgb, _ = he_tile(n_cells / tissue_area_mm2, rng)
    io.imsave(tile, rgb, check_contrast=False)
    size = {"PixelSize": [PIXEL_SIZE_UM, PIXEL_SIZE_UM], "PixelSizeUnits": "um"}
    for path in (sidecar, geojson.with_suffix(".json")):
        _write_text(path, json.dumps(size, indent=2) + "\n")
    return ExportPaths(annotation, detections, geojson, tile, sidecar)


def _tissue_outline(area_mm2: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Return a core's uneven outer ring and the ring of a tear in it, with the area wanted."""
    turn = np.linspace(0, 2 * math.pi, 241)[:-1]
    waves = [(k, rng.normal(0, 0.16 / k), rng.uniform(0, 2 * math.pi)) for k in range(2, 12)]
    radius = np.exp(sum(a * np.cos(k * turn + b) for k, a, b in waves))
    long = rng.uniform(1.2, 2.0)
    outer = np.column_stack([long * radius * np.cos(turn), radius * np.sin(turn) / long])
    inner = radius.min() * rng.uniform(0.1, 0.2)
    tear = np.column_stack([inner * np.cos(turn[::-8]), 0.5 * inner * np.sin(turn[::-8]) / long])
    rings = [np.vstack([ring, ring[:1]]) for ring in (outer, tear)]
    area = Polygon(rings[0], rings[1:]).area
    scale = math.sqrt(area_mm2 * 1e6 / PIXEL_SIZE_UM**2 / area)
    margin = rings[0].min(axis=0) * scale - rng.uniform(200, 2000, 2)
    # QuPath writes two decimals.
    return [np.round(ring * scale - margin, 2) for ring in rings]


def _write_annotation(
    path: Path, stem: str, identity: str, n_cells: int, area_mm2: float, outline: list[np.ndarray]
) -> None:
    centre = outline[0][:-1].mean(axis=0) * PIXEL_SIZE_UM
    steps = [np.diff(ring, axis=0) for ring in outline]
    perimeter = sum(float(np.hypot(*step.T).sum()) for step in steps) * PIXEL_SIZE_UM
    row = {
        "Image": f"{stem}.svs",
        "Object ID": identity,
        "Object type": "Annotation",
        "Name": "",
        "Classification": "Tumor",
        "Parent": "Root object (Image)",
        "ROI": "Geometry",
        "Centroid X µm": f"{centre[0]:.1f}",
        "Centroid Y µm": f"{centre[1]:.1f}",
        "Num Detections": str(n_cells),
        "Area µm^2": f"{area_mm2 * 1e6:.1f}",
        "Perimeter µm": f"{perimeter:.1f}",
    }
    _write_text(path, "\t".join(row) + "\n" + "\t".join(row.values()) + "\n")


def _write_detections(
    path: Path, stem: str, n_cells: int, outline: list[np.ndarray], rng: np.random.Generator
) -> None:
    header = "Image\tObject ID\tObject type\tName\tClassification\tParent\tROI\t"
    header += "Centroid X µm\tCentroid Y µm\tNucleus: Area µm^2\tNucleus: Circularity"
    centroid = _points_in(outline, n_cells, rng) * PIXEL_SIZE_UM
    radius = NUCLEUS_RADIUS_UM * np.exp(rng.normal(0, NUCLEUS_RADIUS_LOG_SD, n_cells))
    circularity = rng.beta(18, 3, n_cells)
    lines = [header]
    for i in range(n_cells):
        x, y = centroid[i]
        fixed = f"{stem}.svs\t{_object_id(rng)}\tDetection\t\t\tAnnotation (Tumor)\tPolygon"
        area = math.pi * radius[i] ** 2
        lines.append(f"{fixed}\t{x:.2f}\t{y:.2f}\t{area:.2f}\t{circularity[i]:.4f}")
    _write_text(path, "\n".join(lines) + "\n")


def _points_in(outline: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Scatter points, (count, 2) x and y in pixels, over the tissue."""
    low, high = outline[0].min(axis=0), outline[0].max(axis=0)
    found = np.empty((0, 2))
    while len(found) < count:
        points = rng.uniform(low, high, (2 * count, 2))
        inside = points_in_poly(points, outline[0]) & ~points_in_poly(points, outline[1])
        found = np.vstack([found, points[inside]])
    return found[:count]


def _write_outline(path: Path, identity: str, outline: list[np.ndarray]) -> None:
    feature = {
        "type": "Feature",
        "id": identity,
        "geometry": {"type": "Polygon", "coordinates": [ring.tolist() for ring in outline]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": "Tumor", "color": [200, 0, 0]},
        },
    }
    collection = {"type": "FeatureCollection", "features": [feature]}
    _write_text(path, json.dumps(collection) + "\n")


def _object_id(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def _write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))
