"""Write one invented sample as each version of QuPath exports it; see README.md."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

HERE = Path(__file__).parent
PIXEL = 0.5  # µm
TISSUE = [[0, 0], [1000, 0], [1000, 800], [0, 800]]
HOLE = [[100, 100], [100, 200], [200, 200], [200, 100]]
TUMOUR = [[300, 300], [700, 300], [700, 600], [300, 600]]
IGNORED = [[750, 50], [950, 50], [950, 150], [750, 150]]
IN_TISSUE = [[50, 50], [60, 400], [250, 700], [500, 100], [850, 400], [900, 700], [400, 750]]
IN_TUMOUR = [[350, 350], [400, 500], [500, 450], [600, 550], [680, 320]]
IN_IGNORED = [[800, 100], [900, 80]]
ELSEWHERE = [[1200, 300]]
CELLS = IN_TISSUE + IN_TUMOUR + IN_IGNORED + ELSEWHERE
ANNOTATIONS = [  # class, parent's class, rings, cells inside, px²
    ("Tissue", "", [TISSUE, HOLE], 14, 790_000),
    ("Tumor", "Tissue", [TUMOUR], 5, 120_000),
    ("Ignore*", "Tissue", [IGNORED], 2, 20_000),
]


def identity(i: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(i)))


def parent_name(kind: str, version: int) -> str:
    if not kind:
        return "Image" if version < 4 else "Root object (Image)"
    return kind if version < 4 else f"Annotation ({kind})"


def centre(rings: list) -> tuple[float, float]:
    return tuple(sum(p[k] for p in rings[0]) / len(rings[0]) * PIXEL for k in range(2))


def number(value: float, comma: bool) -> str:
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if comma else text


def annotations(version: int, *, pixels: bool = False, comma: bool = False) -> list[dict]:
    unit, scale = ("px", 1 / PIXEL) if pixels else ("µm", 1)
    rows = []
    for i, (kind, parent, rings, cells, area) in enumerate(ANNOTATIONS):
        row = {"Image": "case, 1.svs"}
        if version >= 4:
            row["Object ID"] = identity(i)
        if version >= 5:
            row["Object type"] = "Annotation"
        row["Name"] = ("" if version >= 5 else kind) if version != 4 else ""
        row["Classification" if version >= 5 else "Class"] = kind
        row["Parent"] = parent_name(parent, version)
        row["ROI"] = "Geometry" if len(rings) > 1 else "Polygon"
        for name, value in zip("XY", centre(rings), strict=True):
            row[f"Centroid {name} {unit}"] = number(value * scale + 0.25, comma)
        row["Num Detections"] = str(cells)
        row["Num Negative"] = str(cells)
        row[f"Area {unit}^2"] = number(area * PIXEL**2 * scale**2, comma)
        row[f"Perimeter {unit}"] = number(1800 * scale, comma)
        rows.append(row)
    return rows


def detections(version: int) -> list[dict]:
    rows = []
    for i, (x, y) in enumerate(CELLS):
        group = next(
            name
            for cells, name in (
                (IN_TISSUE, "Tissue"),
                (IN_TUMOUR, "Tumor"),
                (IN_IGNORED, "Ignore*"),
                (ELSEWHERE, ""),
            )
            if [x, y] in cells
        )
        row = {"Image": "case, 1.svs"}
        if version >= 4:
            row["Object ID"] = identity(100 + i)
        if version >= 5:
            row["Object type"] = "Cell"
        row["Name"] = "" if version >= 4 else "PathCellObject"
        row["Classification" if version >= 5 else "Class"] = "Negative"
        row["Parent"] = parent_name(group, version)
        row["ROI"] = "Polygon"
        row["Centroid X µm"], row["Centroid Y µm"] = (
            number(x * PIXEL, False),
            number(y * PIXEL, False),
        )
        area = "Nucleus: Area µm^2" if version >= 3 else "Nucleus: Area"
        row[area] = number(38.5 + i, False)
        rows.append(row)
    return rows


def table(name: str, rows: list[dict], separator: str = "\t") -> None:
    # As QuPath: quoted only where the separator stands in a value.
    def cell(text: str) -> str:
        return f'"{text}"' if separator in text else text

    lines = [separator.join(map(cell, r)) for r in (rows[0], *(row.values() for row in rows))]
    (HERE / name).write_bytes(("\n".join(lines) + "\n").encode())


def square(x: float, y: float) -> list:
    return [[x - 8, y - 8], [x + 8, y - 8], [x + 8, y + 8], [x - 8, y + 8]]


def close(rings: list) -> list:
    return [[*ring, ring[0]] for ring in rings]


def feature(version: int, i: int, type_: str, kind: str, rings: list) -> dict:
    geometry = {"type": "Polygon", "coordinates": close(rings)}
    legacy = {"annotation": "PathAnnotationObject", "cell": "PathCellObject"}
    out = {"type": "Feature", "id": legacy[type_] if version == 2 else identity(i)}
    if version == 3:
        del out["id"]
    out["geometry"] = geometry
    if type_ == "cell":
        out["nucleusGeometry"] = geometry
    properties = {}
    if version >= 3:
        properties["objectType" if version >= 4 else "object_type"] = type_
    colour = {"color": [200, 0, 0]} if version >= 4 else {"colorRGB": -3670016}
    properties["classification"] = {"name": kind, **colour}
    if version <= 3:
        properties["isLocked"] = False
    if type_ == "cell":
        value = 38.5 + i
        old, new = [{"name": "Nucleus: Area", "value": value}], {"Nucleus: Area µm^2": value}
        properties["measurements"] = new if version >= 4 else old
    out["properties"] = properties
    return out


def outline(name: str, version: int, *, nested: bool = False, collection: bool = True) -> None:
    regions = [feature(version, i, "annotation", a[0], a[2]) for i, a in enumerate(ANNOTATIONS)]
    cells = [
        feature(version, 100 + i, "cell", "Negative", [square(*c)]) for i, c in enumerate(CELLS)
    ]
    features = [*regions, *cells]
    if nested:
        regions[0]["properties"]["childObjects"] = [*regions[1:], *cells[:-1]]
        features = [regions[0], cells[-1]]
    content = {"type": "FeatureCollection", "features": features} if collection else features
    (HERE / name).write_bytes((json.dumps(content) + "\n").encode())


def main() -> None:
    table("v0.2-annotations.txt", annotations(2))
    table("v0.3-annotations-px.csv", annotations(3, pixels=True), ",")
    table("v0.4-annotations.tsv", annotations(4))
    table("v0.5-annotations-locale.csv", annotations(5, comma=True), ";")
    table("v0.5-annotations-locale.tsv", annotations(5, comma=True))
    table("v0.6-annotations.csv", annotations(6), ",")
    table("v0.2-detections.txt", detections(2))
    table("v0.6-detections.tsv", detections(6))
    outline("v0.2.json", 2, collection=False)
    outline("v0.3.geojson", 3, collection=False)
    outline("v0.4.geojson", 4)
    outline("v0.6-hierarchy.geojson", 6, nested=True)


if __name__ == "__main__":
    main()
