"""*Sphere*: what its diameter, place and weighting do to the value read at one target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import matplotlib as mpl
import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.book.page import Page
from cpmlib.book.study_images import StudyImages
from cpmlib.book.widgets import button, plot, select, show_absence, show_widget, slider
from cpmlib.figures.slices import STYLES, take_slice
from cpmlib.figures.style import AXIS_LABEL, COLOUR
from cpmlib.paper.roi_sensitivity import DIAMETERS, SHIFTS
from cpmlib.paper.subsets import PREDICTORS
from cpmlib.roi.means import SphereReader
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import AXES, ImageOptions, RoiWeighting
from cpmlib.study.schemas import wanted

if TYPE_CHECKING:
    from bokeh.plotting import figure

TITLE = "Move and resize a sphere"
SEE = (
    "Where the map is even, a shift changes little; where the sphere crosses an edge, a few "
    "millimetres change the value much. A larger sphere takes in more tissue, and its curve is "
    "smoother. How voxels at the border count matters most for the smallest spheres."
)

DIRECTIONS = {"left": (-1.0, 0.0, 0.0), "front": (0.0, 1.0, 0.0)}
"""In the slice: to the patient's left, which is the right of the picture, and to the front."""

AGAINST = {"left": "right", "front": "back"}
"""Where a shift below 0 leads."""

PLACES = (*(-s for s in reversed(SHIFTS)), 0.0, *SHIFTS)
"""Shifts along a direction, mm."""

WEIGHTINGS: dict[RoiWeighting, tuple[str, str]] = {
    "voxel-centre": ("by its centre", "solid"),
    "partial-volume": ("by its part inside", "dashed"),
}
"""How a voxel counts, in the menu and the legend, and the line of its curve."""

SIDE, PIXEL, SHADES = 40.0, 0.5, 64
"""Side and pixel of the slice, mm, and the colours of its values."""

FRAME = 230
"""Side of the slice on the page, pixels: square, so that the sphere is a circle."""


def show_sphere(page: Page) -> None:
    """Show the widget for the first sample, the cases before others, with a target and a map."""
    found = _find(page.samples, StudyImages(page.build))
    if found is None:
        show_absence(page, TITLE, "the dataset has no map with a target")
        return
    row, maps, mask = found
    target, options = row[list(AXES)].to_numpy(dtype=float), page.image_options
    diameters = sorted({*DIAMETERS, options.roi_diameter})
    chosen = diameters.index(options.roi_diameter)
    data = {
        "sample": f"{row['sample_id']} ({row['participant_id']})",
        "diameters": diameters,
        "shifts": PLACES,
        "against": AGAINST,
        "start": {
            "diameter": chosen,
            "weighting": options.roi_weighting,
        },
        "maps": {key: _read(key, maps[key], mask, target, diameters) for key in maps},
    }
    controls = (
        select("map", "Map", [(key, PREDICTORS[key]) for key in maps])
        + slider("diameter", "Diameter", 0, len(diameters) - 1, 1, chosen)
        + select("direction", "Shift to the", [(key, key) for key in DIRECTIONS])
        + slider("shift", "by", PLACES[0], PLACES[-1], 1, 0)
        + select("weighting", "A voxel counts", [(k, text) for k, (text, _) in WEIGHTINGS.items()])
        + button("reset", "Reset")
    )
    plots = [_slice(maps, target), _curves(options)]
    show_widget(page, "sphere", TITLE, SEE, plots, data, controls=controls)


def _find(
    samples: pd.DataFrame, images: StudyImages
) -> tuple[pd.Series, dict[str, nib.Nifti1Image], nib.Nifti1Image | None] | None:
    """Return a sample, its patient's maps by column of the table, and the brain's mask."""
    placed = samples[samples["participant_id"].isin(images.patients)].dropna(subset=list(AXES))
    if "case" in placed:
        placed = placed.sort_values("case", na_position="last", kind="stable")
    usable = {key: wanted(placed, key) for key in PREDICTORS}
    for i, (_, row) in enumerate(placed.iterrows()):
        who = row["participant_id"]
        read = {k: images.image(who, name) for k, name in PREDICTORS.items() if usable[k].iloc[i]}
        if maps := {key: image for key, image in read.items() if image is not None}:
            return row, maps, images.image(who, "mask")
    return None


def _read(
    key: str,
    image: nib.Nifti1Image,
    mask: nib.Nifti1Image | None,
    target: np.ndarray,
    diameters: list[float],
) -> dict[str, Any]:
    """Return a map's values and the parts of the spheres with a value, for every choice."""
    values: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for weighting in get_args(RoiWeighting):
        readers = [SphereReader(image, size, weighting, mask, key) for size in diameters]
        for name, direction in DIRECTIONS.items():
            points = [target + shift * np.array(direction) for shift in PLACES]
            found = [[_value(reader, point) for point in points] for reader in readers]
            values.setdefault(weighting, {})[name] = [[v for v, _ in line] for line in found]
            parts.setdefault(weighting, {})[name] = [[p for _, p in line] for line in found]
    unit = STYLES[PREDICTORS[key]].unit
    return {"axis": AXIS_LABEL[key], "unit": unit, "values": values, "parts": parts}


def _value(reader: SphereReader, point: np.ndarray) -> tuple[float | None, float]:
    try:
        found = reader.value(point)
    except DatasetError:  # wholly outside, or a voxel there is no number
        return None, 0.0
    return round(found.mean, 3), round(found.coverage, 4)


def _slice(maps: Mapping[str, nib.Nifti1Image], target: np.ndarray) -> figure:
    from bokeh.models import ColumnDataSource, LinearColorMapper

    half = SIDE / 2
    drawn = plot(
        "to the patient's left (mm)", "to the front (mm)", (-half, half), (-half, half),
        title="Axial slice through the target", sizing_mode="fixed", height=None,
        frame_width=FRAME, frame_height=FRAME, background_fill_color="black",
    )  # fmt: skip
    drawn.grid.visible = False
    box = np.stack([target - half, target + half])
    for key, image in maps.items():
        style = STYLES[PREDICTORS[key]]
        assert style.limits is not None
        colours = mpl.colormaps[style.colours].resampled(SHADES)
        mapper = LinearColorMapper(
            palette=[mpl.colors.to_hex(colours(i)) for i in range(SHADES)],
            low=style.limits[0], high=style.limits[1], nan_color="black",
        )  # fmt: skip
        # Its own voxels, as the sphere takes them in; Bokeh begins with the lowest row.
        cut = take_slice(image, target, box=box, spacing=PIXEL, interpolation="nearest")
        rows = np.ascontiguousarray(np.flipud(cut.values))
        drawn.image(
            image=[rows], x=-half, y=-half, dw=SIDE, dh=SIDE,
            color_mapper=mapper, name=f"slice_{key}",  # type: ignore[call-arg]
        )  # fmt: skip
    drawn.scatter([0], [0], marker="cross", size=9, line_color="white", line_width=1.5)
    sphere = ColumnDataSource({"x": [0.0], "y": [0.0], "radius": [1.0]}, name="sphere")
    for width, colour in ((4, "black"), (2, "white")):  # seen on dark and on light
        drawn.circle(
            "x", "y", radius="radius", source=sphere,
            fill_color=None, line_color=colour, line_width=width,
        )  # fmt: skip
    return drawn


def _curves(options: ImageOptions) -> figure:
    from bokeh.models import ColumnDataSource
    from bokeh.models.annotations import Span

    span = (PLACES[0] - 1, PLACES[-1] + 1)
    drawn = plot("shift (mm)", "", span, (0, 1), title="Value by shift", name="curves")
    for name, (text, dash) in WEIGHTINGS.items():
        line = ColumnDataSource({"x": [], "y": []}, name=name)
        drawn.line(
            "x", "y", source=line, line_width=2, line_dash=dash,
            color=COLOUR["CET" if name == options.roi_weighting else "HGG"], legend_label=text,
        )  # fmt: skip
    here = ColumnDataSource({"x": [], "y": []}, name="here")
    drawn.scatter("x", "y", source=here, size=11, fill_color="white", line_color="black")
    drawn.add_layout(Span(location=0, dimension="height", line_dash="dotted"))
    drawn.add_layout(drawn.legend[0], "above")
    drawn.legend.update(
        orientation="horizontal", label_text_font_size="8pt", border_line_color=None
    )
    return drawn
