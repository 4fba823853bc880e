"""Cells per mm2 of tissue, from what QuPath exports of a sample.

Vocabulary
----------
- *annotation*: a region drawn on the slide; here, tissue.
- *detection*: an object that QuPath found, here a nucleus or a cell.
- *annotation table*: a table with a row for each annotation, with ``Num Detections`` and ``Area
  µm^2``.
- *detection table*: a table with a row for each cell.
- *outline*: annotations (and sometimes cells) as GeoJSON, in pixels of the full-size image, origin
  at the upper left.
- *pixel size*: µm per pixel of the full-size image.

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

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.histology.pixel_size import advise_pixel_size
from cpmlib.histology.qupath_outlines import (
    MAX_PIXELS,
    feature_error,
    read_objects,
    without_crossings,
)
from cpmlib.histology.qupath_tables import AREA_COLUMNS, Table
from cpmlib.histology.tissue import (
    ROOTS,
    Region,
    cells_inside,
    is_ignored,
    labels_of,
    parents_by_name,
    parents_by_outline,
    refuse_misfit,
    refuse_shrunk,
    signs_of,
)
from cpmlib.study.errors import Problem, fault, own_words, told_together
from cpmlib.study.options import PIXEL_SIZE_RANGE_UM

AGREEMENT = 0.005
"""Largest relative difference between exports of one sample: rounding, cells on the border."""
DENSITY_RANGE = (1.0, 50_000.0)
AREA_RANGE_MM2 = (1e-4, 1e4)
"""As ``samples.tsv`` allows them; beyond lies a wrong unit or a wrong file."""
_CELLS = {"cell", "detection"}
CLASSES = frozenset(
    {"Tumor", "Stroma", "Immune cells", "Necrosis", "Other", "Region*", "Ignore*", "Positive"}
    | {"Negative", "Tissue"}
)
"""Classes that QuPath offers by itself."""


@dataclass(frozen=True)
class CellCount:
    """Cells in the tissue of one sample, and cells per mm2 of it.

    The source names the files of count and area; the notes tell what was left out, taken off or
    could not be compared.
    """

    n_cells: int
    tissue_area_mm2: float
    density: float
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Export:
    """What one file says: cells and mm2, None where it does not."""

    file: str
    cells: int | None
    area: float | None = None
    notes: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
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
    annotation, detections
        Tables; the second needs a tissue area from one of the others.
    geojson
        Outline; a FeatureCollection, a Feature or a list of Features.
    pixel_size_um
        Needed where an area is in pixels only.

    Raises a DatasetError if a file cannot be read, lacks area, count or pixel size, holds another
    image's rows, an object twice or a region that cuts another or itself, if exports disagree, if
    the cells do not fit the outline at this pixel size, or if the density is implausible.

    Examples
    --------
    >>> import tempfile
    >>> table = Path(tempfile.mkdtemp()) / "sample-01.tsv"
    >>> _ = table.write_text("Num Detections\tArea µm^2\n9101\t6313000\n", encoding="utf-8")
    >>> count = count_cells(annotation=table)
    >>> count.n_cells, count.tissue_area_mm2, round(count.density, 1)
    (9101, 6.313, 1441.6)
    """
    low, high = PIXEL_SIZE_RANGE_UM
    if pixel_size_um is not None and not low <= pixel_size_um <= high:
        raise ValueError(f"pixel size is {pixel_size_um}; expected {low} to {high} µm")
    exports: list[_Export] = []
    if annotation is not None:
        exports.append(_from_annotations(annotation, pixel_size_um))
    if geojson is not None:
        exports.append(_from_outline(geojson, pixel_size_um, needed=not exports))
    if detections is not None:
        outline = exports[-1] if geojson is not None else None
        # Areas in µm would disagree at a wrong pixel size.
        proven = bool(exports) and exports[0].in_um
        exports.append(_from_detections(detections, outline, pixel_size_um, proven=proven))
    if not exports:
        raise ValueError("no export given; expected an annotation table, a detection table, ...")
    return _agreed(exports)


def _agreed(exports: list[_Export]) -> CellCount:
    """Take count and area from the first export that has them; the others must say the same."""
    counted = [(e.file, e.cells) for e in exports if e.cells is not None]
    measured = [(e.file, e.area) for e in exports if e.area is not None]
    files = " and ".join(e.file for e in exports)
    if not counted:
        remedy = "detect the cells in QuPath and export again, or add the detection table"
        raise fault(files, "no count of cells", "'Num Detections'", remedy)
    if not measured:
        remedy = "add the annotation table, or the tissue outline with a pixel size"
        raise fault(files, "no tissue area", "an area", remedy)
    (first, cells), (other, area) = counted[0], measured[0]
    again = "export all tables of the sample again, together"
    low, high = AREA_RANGE_MM2
    with told_together() as problems:
        problems += [
            Problem(file, f"{number} cells", f"{cells}, as in {first}", again)
            for file, number in counted
            if abs(number - cells) > max(1, AGREEMENT * cells)
        ]
        problems += [
            Problem(file, f"{size:g} mm2 of tissue", f"{area:g} mm2, as in {other}", again)
            for file, size in measured
            if abs(size - area) > AGREEMENT * area
        ]
        if not low <= area <= high:
            expected = f"{low:g} to {high:g} mm2 of tissue"
            remedy = "check the unit of the area and the pixel size"
            problems.append(Problem(other, f"{area:g} mm2", expected, remedy))
        elif not DENSITY_RANGE[0] <= cells / area <= DENSITY_RANGE[1]:
            found = f"{cells} cells in {area:g} mm2, {cells / area:g} cells/mm2"
            expected = f"{DENSITY_RANGE[0]:g} to {DENSITY_RANGE[1]:g} cells/mm2"
            remedy = "check the cell detection and the unit of the area"
            problems.append(Problem(files, found, expected, remedy))
    source = " and ".join(dict.fromkeys((first, other)))
    notes = tuple(note for export in exports for note in export.notes)
    return CellCount(cells, area, cells / area, source, notes)


def _from_annotations(path: Path, pixel_size_um: float | None) -> _Export:
    table = Table(path)
    column = next((name for name in AREA_COLUMNS if name in table.cells), None)
    if column is None:
        raise table.error("no area", "a column 'Area µm^2'", "export the annotations with areas", 1)
    scale = AREA_COLUMNS[column]
    if scale is None:
        if pixel_size_um is None:
            remedy = f"{advise_pixel_size(path)}, or set it in QuPath and export again"
            found = "areas in pixels, and no pixel size"
            raise table.error(found, "a pixel size in µm, or 'Area µm^2'", remedy, 1)
        scale = pixel_size_um**2 * 1e-6
    name, type_, parent, kind = map(table.text, ("name", "object type", "parent", "classification"))
    kind = kind.mask(kind == "", table.text("class"))
    _refuse_types(
        table, {"annotation"} | ROOTS, "annotations", "; cells go into the detection table"
    )
    table.refuse_other_images()
    table.refuse_twice(["object id"], list(table.cells.columns.drop("object id", errors="ignore")))
    whole = type_.mask((type_ == "") & (parent == ""), name).str.lower().isin(ROOTS - {""})
    kept = ~whole & ~table.text("roi").str.lower().isin(["points", "point", "line", "polyline"])
    left_out = whole[~kept].map({True: "the whole image", False: "no area"})
    notes = [f"{path.name}, row {row}: {what}, left out" for row, what in left_out.items()]
    rows = table.cells.index[kept]
    areas, cells = table.numbers(column, rows, above_zero=True) * scale, None
    if "num detections" in table.cells:
        cells = table.numbers("num detections", rows, whole=True)
    with told_together() as problems:
        problems += table.problems
    places = [table.text(f"centroid {axis} {unit}") for axis in "xy" for unit in ("um", "px", "mm")]
    regions = [
        Region(
            *(float(areas[row]), None if cells is None else int(cells[row]), is_ignored(kind[row])),
            *(labels_of(name[row], kind[row]), parent[row], None),
            tuple(place[row] for place in places),
        )
        for row in rows
    ]
    if "parent" not in table.cells and len(regions) > 1:
        notes.append(f"{path.name}: no column 'Parent', so that nested annotations count twice")
    sign = signs_of(regions, parents_by_name(regions))
    return replace(_total(path.name, regions, sign, notes), in_um=column != "area px2")


def _refuse_types(table: Table, known: set[str], expected: str, more: str = "") -> None:
    wrong = sorted(set(table.text("object type").str.lower()) - known)
    if wrong:
        remedy = f"export the {expected} only{more}"
        raise table.error(f"objects of type {', '.join(wrong)}", expected, remedy)


def _total(file: str, regions: list[Region], signs: list[int], notes: list[str]) -> _Export:
    if 1 not in signs:
        remedy = "annotate the tissue, and export it"
        found = f"{len(regions)} annotations, none of tissue"
        raise fault(file, found, "an annotation with an area", remedy)
    pairs = list(zip(regions, signs, strict=True))
    for region, sign in pairs:
        usual = sorted(region.labels & CLASSES)
        # Its own name stands in the quotes that pages leave out.
        name = usual[0] if usual else "an annotation " + own_words(min(region.labels, key=len))
        if region.ignored:
            notes.append(f"{file}: {name} {'taken off' if sign else 'left out'}, it is ignored")
        elif not sign:
            notes.append(f"{file}: {name} not added, it lies inside another annotation")
    counts = [sign * region.cells for region, sign in pairs if sign and region.cells is not None]
    cells = sum(counts) if len(counts) == np.count_nonzero(signs) else None
    area = sum(sign * region.area for region, sign in pairs if sign)
    return _Export(file, cells, area, tuple(notes), tuple(regions))


def _from_detections(
    path: Path, outline: _Export | None, pixel_size_um: float | None, *, proven: bool
) -> _Export:
    """Count the cells in the tissue: by centroid if the outline is known, else by parent."""
    table = Table(path)
    unit = "px" if "centroid x px" in table.cells else "um"
    axes = [f"centroid x {unit}", f"centroid y {unit}"]
    if axes[0] not in table.cells and "object id" not in table.cells:
        remedy = "give QuPath's detection table"
        raise table.error("neither centroids nor object IDs", "one row a cell", remedy, 1)
    _refuse_types(table, _CELLS | {"", "tile"}, "detections or cells")
    table.refuse_other_images()
    table.refuse_twice(["object id"], axes)
    cell = (table.text("object type").str.lower() != "tile").to_numpy()
    scale = 1.0 if unit == "px" else pixel_size_um
    parents = table.text("parent")
    rooted = parents.str.lower().isin(ROOTS).to_numpy()
    rooted = rooted & (not rooted.all())  # if all are, the hierarchy is not resolved
    classes = parents.str.removesuffix(")").str.split("(").str[-1]
    ignored = classes.map(is_ignored).to_numpy(dtype=bool)
    kept = cell & ~ignored & ~rooted
    if outline and outline.regions and scale and set(axes) <= set(table.cells):
        columns = [table.numbers(axis, table.cells.index) for axis in axes]
        with told_together() as problems:
            problems += table.problems
        centroids = pd.concat(columns, axis=1).to_numpy()
        if np.abs(centroids).max() > MAX_PIXELS * scale:
            found, remedy = "a centroid that lies on no slide", "export the cells again"
            raise table.error(found, f"up to {MAX_PIXELS:g} pixels", remedy)
        within, tissue = cells_inside(centroids / scale, outline.regions)
        refuse_misfit(path.name, kept, within, outline.file)
        kept = cell & tissue
        if not proven and unit == "um":
            refuse_shrunk(path.name, centroids[kept] / scale, outline.regions, outline.file)
    rows = "1 row" if (~kept).sum() == 1 else f"{(~kept).sum()} rows"
    left_out = f"{path.name}: {rows} left out: tiles, ignored or outside the tissue"
    return _Export(path.name, int(kept.sum()), notes=() if kept.all() else (left_out,))


def _from_outline(path: Path, pixel_size_um: float | None, *, needed: bool) -> _Export:
    regions: list[Region] = []
    centroids: list[tuple[float, float]] = []
    notes: list[str] = []
    for drawn in read_objects(path):
        if drawn.type in _CELLS:
            centroids.append((drawn.outline.centroid.x, drawn.outline.centroid.y))
        elif drawn.outline.geom_type != "MultiPolygon":
            notes.append(f"{path.name}, feature {drawn.number}: no area, left out")
        else:
            labels = labels_of(drawn.name, drawn.class_)
            valid = without_crossings(path, drawn.number, min(labels, key=len), drawn.outline)
            if drawn.area <= 0:
                expected = "a closed polygon"
                raise feature_error(path, drawn.number, "a polygon without area", expected)
            ignored = is_ignored(drawn.class_)
            regions.append(Region(drawn.area, None, ignored, labels, outline=valid))
    if not regions and centroids:
        return _Export(path.name, len(centroids))
    total = _total(path.name, regions, signs_of(regions, parents_by_outline(path, regions)), notes)
    cells = int(cells_inside(np.array(centroids), regions)[1].sum()) if centroids else None
    if pixel_size_um is not None:
        return replace(total, cells=cells, area=(total.area or 0.0) * pixel_size_um**2 * 1e-6)
    if needed:
        found = "an outline in pixels, and no pixel size"
        remedy = f"{advise_pixel_size(path)}, or add the annotation table with areas in µm^2"
        raise fault(path.name, found, "a pixel size in µm", remedy)
    note = f"{path.name}: area not compared, no pixel size is given"
    return replace(total, cells=cells, area=None, notes=(*total.notes, note))
