"""Figures as light SVG: what matplotlib writes, in fewer bytes and to the same picture.

Vocabulary
----------
- *point*: the unit of a figure's SVG, 1/72 inch.
- *picture*: an image of pixels inside an SVG, such as a slice.
"""

from __future__ import annotations

import base64
import io
import re
from functools import cache

import numpy as np
from PIL import Image

DECIMALS = 2
"""Of points; 0.01 of them is a hundredth of a screen's pixel."""

FEW_COLOURS = 64
"""Most colours of a picture that is kept to the last bit; one with more is a scan or a photograph,
of which nobody reads single pixels."""

QUALITY = 90
"""Of WebP; differences are not seen beside the noise of a scan."""

_PATH = re.compile(r'(?<= d=")[^"]*')
_STEP = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_PICTURE = re.compile(r'data:image/png;base64,([^"]*)')


def lighter_svg(text: str) -> str:
    """Shorten the paths and pack the pictures of an SVG that matplotlib wrote.

    Examples
    --------
    >>> lighter_svg('<path d="M 10.123456 20 L 10.5 21.25 z"/>')
    '<path d="m10.12 20l.38 1.25z"/>'
    """
    text = _PATH.sub(lambda found: _relative(found[0]), text)
    text = re.sub(r"<!--.*?-->\n?|(?m:^ +)", "", text, flags=re.DOTALL)
    return _PICTURE.sub(lambda found: _packed(found[1]), text)


def _relative(path: str) -> str:
    """Write a path from point to point; each point is rounded by itself, so that no error adds up.

    Paths with other steps than matplotlib's are left as they are.
    """
    steps = [(name, [float(n) for n in rest.split()]) for name, rest in _STEP.findall(path)]
    if {name for name, _ in steps} - set("MLQCz"):
        return path
    parts, at, start = [], (0, 0), (0, 0)
    for name, numbers in steps:
        if name == "z":
            parts.append("z")
            at = start
            continue
        whole = [round(number * 10**DECIMALS) for number in numbers]
        moved = [number - at[i % 2] for i, number in enumerate(whole)]
        at = (whole[-2], whole[-1])
        if name == "M":
            start = at
        shown = " ".join(_short(number) for number in moved)
        parts.append(name.lower() + shown.replace(" -", "-"))
    return "".join(parts)


@cache
def _short(number: int) -> str:
    text = f"{number / 10**DECIMALS:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return re.sub(r"^(-?)0\.", r"\1.", text)


def _packed(png: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    pixels = np.ascontiguousarray(picture).reshape(-1, 4).view(np.uint32).ravel()
    colours, which = np.unique(pixels, return_inverse=True)
    buffer = io.BytesIO()
    if len(colours) > FEW_COLOURS:
        kind = "webp"
        picture.save(buffer, "WEBP", quality=QUALITY)
    else:
        kind = "png"
        table = colours.view(np.uint8).reshape(-1, 4)
        indexed = Image.fromarray(which.reshape(picture.size[::-1]).astype(np.uint8), "P")
        indexed.putpalette(table[:, :3].tobytes())
        indexed.save(buffer, "PNG", optimize=True, transparency=table[:, 3].tobytes())
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
