"""The pixel size of a slide, from the JSON files beside a sample's exports."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cpmlib.histology.qupath_outlines import read_json_export
from cpmlib.study.errors import fault
from cpmlib.study.options import PIXEL_SIZE_RANGE_UM

SAME_PIXEL = 1e-3
"""Relative difference of pixel sizes that are one: scanners write them to four digits."""


def read_pixel_size(sidecar: Path) -> float:
    """Read the pixel size, in µm, from the JSON file beside an image.

    ``PixelSize`` (one number, or equal numbers for x and y) in ``PixelSizeUnits`` ``um``, ``mm`` or
    ``nm``, as in BIDS microscopy; a DatasetError if it is absent, not square, or out of range.
    """
    return _pixel_size(sidecar, read_json_export(sidecar))


def _pixel_size(sidecar: Path, content: Any) -> float:
    content = content if isinstance(content, dict) else {}
    sizes, unit = content.get("PixelSize"), content.get("PixelSizeUnits")
    numbers = sizes[:2] if isinstance(sizes, list) else [sizes]
    scale = {"um": 1.0, "µm": 1.0, "mm": 1000.0, "nm": 0.001}.get(str(unit))
    low, high = PIXEL_SIZE_RANGE_UM
    if scale and numbers and all(type(n) in (int, float) for n in numbers):
        first, last = numbers[0] * scale, numbers[-1] * scale
        if math.isclose(first, last, rel_tol=SAME_PIXEL) and low <= first <= high:
            return float(first)
    found = f"PixelSize {sizes!r}, PixelSizeUnits {unit!r}"
    expected = f"one pixel size for x and y, {low} to {high} µm, with its unit"
    raise fault(sidecar.name, found, expected, "write it as in BIDS microscopy")


def pixel_size_of(sidecars: Iterable[Path]) -> float | None:
    """Read the pixel size, in µm, that the JSON files beside a sample's exports give, or None.

    Those without ``PixelSize`` and ``PixelSizeUnits`` say other things; two that disagree are a
    DatasetError.
    """
    first, size = "", None
    for path in sidecars:
        content = read_json_export(path)
        if not isinstance(content, dict) or not {"PixelSize", "PixelSizeUnits"} & set(content):
            continue
        other = _pixel_size(path, content)
        if size is None:
            first, size = path.name, other
        if not math.isclose(other, size, rel_tol=SAME_PIXEL):
            expected = f"{size:g} µm, as in {first}"
            remedy = "correct one: exports of a slide share its pixels"
            raise fault(path.name, f"a pixel size of {other:g} µm", expected, remedy)
    return size


def advise_pixel_size(export: Path) -> str:
    """Tell an author, who has the slide's pixel size, where to write it."""
    if export.suffix.lower() == ".json":
        other = advise_pixel_size(export.with_suffix(""))
        return f"rename it to {export.stem}.geojson, and {other}"
    return (
        f"write the pixel size beside it, into {export.stem}.json, such as"
        ' {"PixelSize": 0.25, "PixelSizeUnits": "um"}, or for all slides build with'
        " SET=histology_pixel_size_um=0.25"
    )
