"""The pixel size of a slide, from the JSON files beside a sample's exports."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from cpmlib.histology.geojson import read_json_export
from cpmlib.study.errors import fault
from cpmlib.study.options import PIXEL_SIZE_RANGE_UM

SAME_PIXEL = 1e-3
"""Relative difference of pixel sizes that are one: scanners write them to four digits."""


def read_pixel_size(sidecar: Path) -> float:
    """Read the pixel size, in µm, from the JSON file beside an image.

    ``PixelSize`` (one number, or equal numbers for x and y) in ``PixelSizeUnits`` ``um``, ``mm`` or
    ``nm``, as in BIDS microscopy.

    Raises
    ------
    DatasetError
        If it is absent, not square, or out of range.
    """
    content = read_json_export(sidecar)
    content = content if isinstance(content, dict) else {}
    sizes, unit = content.get("PixelSize"), content.get("PixelSizeUnits")
    numbers = sizes[:2] if isinstance(sizes, list) else [sizes]
    scale = {"um": 1.0, "µm": 1.0, "mm": 1000.0, "nm": 0.001}.get(str(unit))
    low, high = PIXEL_SIZE_RANGE_UM
    known = [n for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
    lengths = [n * scale for n in known] if scale else []
    square = bool(lengths) and math.isclose(lengths[0], lengths[-1], rel_tol=SAME_PIXEL)
    if square and len(lengths) == len(numbers) and low <= lengths[0] <= high:
        return float(lengths[0])
    found = f"PixelSize {sizes!r}, PixelSizeUnits {unit!r}"
    expected = f"one pixel size for x and y, {low} to {high} µm, with its unit"
    raise fault(sidecar.name, found, expected, "write it as in BIDS microscopy")


def pixel_size_of(sidecars: Iterable[Path]) -> float | None:
    """Read the pixel size, in µm, that the JSON files beside a sample's exports give, or None.

    Those without ``PixelSize`` and ``PixelSizeUnits`` say other things. Raises a DatasetError if
    one cannot be read, as `read_pixel_size`, or if two disagree.

    Examples
    --------
    >>> pixel_size_of([]) is None
    True
    """
    known: dict[str, float] = {}
    for path in sidecars:
        content = read_json_export(path)
        if isinstance(content, dict) and {"PixelSize", "PixelSizeUnits"} & set(content):
            known[path.name] = read_pixel_size(path)
    if not known:
        return None
    first, size = next(iter(known.items()))
    for name, other in known.items():
        if not math.isclose(other, size, rel_tol=SAME_PIXEL):
            expected = f"{size:g} µm, as in {first}"
            remedy = "correct one: exports of a slide share its pixels"
            raise fault(name, f"a pixel size of {other:g} µm", expected, remedy)
    return size


def advise_pixel_size(export: Path) -> str:
    """Tell an author, who has the slide's pixel size, where to write it."""
    if export.suffix.lower() == ".json":
        return (
            f"rename it to {export.stem}.geojson, and {advise_pixel_size(export.with_suffix(''))}"
        )
    return (
        f"write the pixel size beside it, into {export.stem}.json, such as"
        ' {"PixelSize": 0.25, "PixelSizeUnits": "um"}, or for all slides build with'
        " SET=histology_pixel_size_um=0.25"
    )
