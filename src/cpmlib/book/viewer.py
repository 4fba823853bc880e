"""An interactive viewer of one case that lives in a static page: no server, no network.

Vocabulary
----------
- *base*: the anatomical image that lies below in the viewer.
- *overlay*: a map that the viewer lays over the base, with some opacity.
- *viewer grid*: the viewer's own voxels, along the axes of the world (mm, RAS+), so that axial,
  coronal and sagittal slices are true ones; the target lies at the centre of one of them.
- *near the brain*: in it, or within a few millimetres. No other voxel is packed, so that no face
  can be put together from a published page.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from cpmlib.book.markup import safe_json
from cpmlib.book.packing import (
    LEVELS,
    LEVELS_OF_ARBITRARY_UNITS,
    compressed,
    decimals,
    pack_levels,
    short,
)
from cpmlib.figures.slices import (
    STYLES,
    DisplayStyle,
    box_of_brain,
    robust_window,
    world_point,
)
from cpmlib.figures.style import MARK
from cpmlib.mri.volume import as_volume, resample_to
from cpmlib.paper.cases import case_title
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.options import ROI_DIAMETER

BASES = ("T1w", "T1wGd", "FLAIR", "ADC")
OVERLAYS = ("CPM", "rCBV", "ADC")
"""What can lie underneath and on top, in the order of the menus."""

MAPS = ("CPM", "rCBV")
"""Shown in the brain only; they mean nothing elsewhere."""

FIRST_BASE, FIRST_OVERLAY = "T1wGd", "CPM"
"""Shown before the reader chooses."""

OVERLAY_COLOURS = {"ADC": "cividis"}
"""Colours that an image has as an overlay where grey would not tell it from the base."""

FIRST_OPACITY = 0.5
MARGIN = 4.0
"""Tissue kept around the brain, mm: the fluid about it, but neither skull nor face."""

MOST_VOXELS = 4_000_000
"""Voxels of the grid beyond which a page would become too heavy."""

_FOLDER = Path(__file__).parent


def viewer_grid(
    brain: nib.Nifti1Image, target: ArrayLike, voxel_size: float = 2.0
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Lay the viewer's grid around a brain, with the target at the centre of a voxel.

    Parameters
    ----------
    brain
        Mask, or map that is NaN outside the brain.
    target : (3,)
        mm, RAS+; where it lies outside the brain's box, the box grows to hold it.
    voxel_size
        mm.

    Returns
    -------
    affine : (4, 4)
        Voxel to world; its axes run to R, A, S.
    shape : (int, int, int)

    Raises
    ------
    ValueError
        If the voxel size is no length, or the grid would have more than `MOST_VOXELS`.

    Examples
    --------
    >>> mask = nib.Nifti1Image(np.ones((10, 10, 10), np.float32), np.diag([2.0, 2, 2, 1]))
    >>> affine, shape = viewer_grid(mask, (9.5, 9, 9))
    >>> shape, ((9.5 - affine[0, 3]) / 2).is_integer()
    ((16, 15, 15), True)
    """
    if not 0 < voxel_size < np.inf:
        raise ValueError(f"voxel_size is {voxel_size}; expected a size above 0 mm")
    target = world_point(target)
    low, high = box_of_brain(brain, MARGIN)
    below = np.maximum(np.ceil((target - low) / voxel_size), 1).astype(int)
    above = np.maximum(np.ceil((high - target) / voxel_size), 1).astype(int)
    count = below + above + 1
    if int(np.prod(count, dtype=object)) > MOST_VOXELS:
        raise ValueError(f"a grid of {count} voxels is too large; expected a larger voxel_size")
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = target - below * voxel_size
    return affine, (int(count[0]), int(count[1]), int(count[2]))


def has_base(images: Mapping[str, nib.Nifti1Image | None]) -> bool:
    """Whether there is an image to lay a map over.

    Examples
    --------
    >>> has_base({"CPM": None, "T1w": None})
    False
    """
    return any(images.get(name) is not None for name in BASES)


def viewer_data(
    case_name: str,
    images: Mapping[str, nib.Nifti1Image | None],
    target: ArrayLike,
    *,
    voxel_size: float = 2.0,
    mask: nib.Nifti1Image | None = None,
    diameter: float = ROI_DIAMETER,
) -> dict[str, Any]:
    """Pack the images of one case for its viewer.

    Parameters
    ----------
    images
        3-D, by the names in `BASES` and `OVERLAYS`, on any grids of one world; absent or None
        where there is none.
    target : (3,)
        mm, RAS+.
    voxel_size, diameter
        Of the viewer's grid, and of the sphere at the target, mm.
    mask
        Brain mask; where None, the brain is where CPM has a value.

    Returns
    -------
    dict
        For JSON; equal arguments give equal ones. Holds the values near the brain, the names above
        and the target; no file name and no header.

    Raises
    ------
    DatasetError
        If there is no base image, an image cannot be read, or nothing says where the brain is.
    ValueError
        If the target or the voxel size is none.
    """
    present = {key: image for key in STYLES if (image := images.get(key)) is not None}
    if not has_base(present):
        expected = f"at least one of {', '.join(BASES)}"
        raise DatasetError(Problem(case_name, "no base image", expected, "add one"))
    brain = _brain(case_name, mask, present.get("CPM"))
    return _content(present, brain, target, voxel_size) | {"diameter": float(diameter)}


def viewer_html(case_name: str, data: Mapping[str, Any], *, label: str) -> str:
    """Write the viewer of one case, to be put into a page as it is.

    Parameters
    ----------
    data
        What `viewer_data` packed.
    label
        What must be said of the data, such as that they are synthetic; may be empty.

    Returns
    -------
    str
        HTML with style, script and data; equal arguments give equal bytes.
    """
    bases, overlays = (
        [key for key in keys if key in data["volumes"]] for keys in (BASES, OVERLAYS)
    )
    first = FIRST_BASE if FIRST_BASE in bases else bases[0]
    over = FIRST_OVERLAY if FIRST_OVERLAY in overlays else ""
    parts = {
        "STYLE": (_FOLDER / "viewer.css").read_text(encoding="utf-8"),
        "SCRIPT": (_FOLDER / "viewer.js").read_text(encoding="utf-8"),
        "CASE": html.escape(case_title(case_name)),
        "LABEL": f'<p class="cpmv-label">{html.escape(label)}</p>' if label else "",
        "BASES": _options([(key, STYLES[key].title) for key in bases], first),
        "OVERLAYS": _options([("", "none"), *((k, STYLES[k].title) for k in overlays)], over),
        "OPACITY": f"{100 * FIRST_OPACITY:.0f}",
        "DATA": safe_json(data),
    }
    return _fill((_FOLDER / "viewer.html").read_text(encoding="utf-8"), parts)


def apart(viewer: str, source: str) -> tuple[str, str]:
    r"""Take the images out of a viewer, into a file that it loads when a reader comes near.

    Parameters
    ----------
    viewer
        What `viewer_html` wrote.
    source
        The file's place, from the page.

    Returns
    -------
    viewer, script
        The rest, and what to write into the file. A script, since a page on a disk may load
        scripts, but no data.

    Examples
    --------
    >>> apart('<script type="application/json" data-part="data">[1]</script>', "a.js")
    ... # doctest: +NORMALIZE_WHITESPACE
    ('<script type="application/json" data-part="data" data-source="a.js"></script>',
     '(window.cpmViewerData ||= {})["a.js"] = [1];\n')
    """
    start = '<script type="application/json" data-part="data"'
    before, _, rest = viewer.partition(f"{start}>")
    data, _, after = rest.partition("</script>")
    named = f'{before}{start} data-source="{html.escape(source)}"></script>{after}'
    return named, f"(window.cpmViewerData ||= {{}})[{safe_json(source)}] = {data};\n"


def _content(
    present: Mapping[str, nib.Nifti1Image],
    brain: nib.Nifti1Image,
    target: ArrayLike,
    voxel_size: float,
) -> dict[str, Any]:
    """Return what the script draws, by the names that it knows."""
    affine, shape = viewer_grid(brain, target, voxel_size)
    inside = _inside(brain, affine, shape, 0.0)
    near = _inside(brain, affine, shape, MARGIN)
    volumes = {
        key: _volume(key, image, affine, shape, inside, inside if key in MAPS else near)
        for key, image in present.items()
    }
    return {
        "shape": shape,
        "origin": [round(float(x), 4) for x in affine[:3, 3]],
        "voxelSize": float(voxel_size),
        "target": [round(float(x), 4) for x in world_point(target)],
        "mark": MARK,
        "volumes": volumes,
        "overlays": {key: _colours(key) for key in OVERLAYS if key in present},
    }


def _brain(
    case_name: str, mask: nib.Nifti1Image | None, cpm: nib.Nifti1Image | None
) -> nib.Nifti1Image:
    if mask is not None:
        brain = mask
    elif cpm is not None and np.isnan(as_volume(cpm, "CPM").data).any():
        brain = cpm
    else:
        # Without a brain the whole head, face included, would go into the page.
        found = "neither a brain mask nor a CPM that is NaN outside the brain"
        raise DatasetError(Problem(case_name, found, "one of them", "compute the brain mask"))
    data = as_volume(brain, "brain mask").data
    inside = np.isfinite(data) & (data != 0)
    if not inside.any():
        raise DatasetError(Problem(case_name, "an empty brain", "a brain", "check the mask"))
    return nib.Nifti1Image(inside.astype(np.float32), brain.affine)


def _inside(
    brain: nib.Nifti1Image, affine: np.ndarray, shape: tuple[int, int, int], margin: float
) -> np.ndarray:
    grid = resample_to(brain, affine, shape, "nearest", "brain mask")
    inside = np.nan_to_num(np.asarray(grid.dataobj)) != 0
    if not margin or not inside.any():
        return inside
    return ndimage.distance_transform_edt(~inside) * affine[0, 0] <= margin


def _volume(
    key: str,
    image: nib.Nifti1Image,
    affine: np.ndarray,
    shape: tuple[int, int, int],
    inside: np.ndarray,
    kept: np.ndarray,
) -> dict[str, object]:
    values = np.asarray(resample_to(image, affine, shape, name=key).dataobj, dtype=np.float32)
    values = np.where(kept, values, np.nan)
    style = STYLES[key]
    if not np.isfinite(values).any():
        raise DatasetError(
            Problem(key, "no value in the brain", "an image of the brain", "check its alignment")
        )
    packed = pack_levels(values, LEVELS if style.unit else LEVELS_OF_ARBITRARY_UNITS)
    window = style.limits or robust_window(values, inside)
    return {
        "title": style.title,
        "unit": f"× {style.unit}" if style.unit.startswith("10") else style.unit,
        "low": short(packed.low),
        "high": short(packed.high),
        "top": packed.top,
        "clipped": packed.clipped,
        "window": [short(limit) for limit in window],
        "decimals": decimals(packed.step),
        "levels": compressed(packed.levels),
    }


def _colours(key: str) -> dict[str, object]:
    import matplotlib as mpl

    style: DisplayStyle = STYLES[key]
    assert style.limits is not None
    table = mpl.colormaps[OVERLAY_COLOURS.get(key, style.colours)](np.arange(256), bytes=True)
    return {
        "limits": list(style.limits),
        "colours": base64.b64encode(np.ascontiguousarray(table[:, :3]).tobytes()).decode("ascii"),
    }


def _options(choices: list[tuple[str, str]], chosen: str) -> str:
    return "".join(
        f'<option value="{html.escape(key)}"{" selected" if key == chosen else ""}>'
        f"{html.escape(title)}</option>"
        for key, title in choices
    )


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """Fill the template in one pass, so that no part is searched for the next one's place."""
    pieces = template.split("@@")
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces)).rstrip("\n")
