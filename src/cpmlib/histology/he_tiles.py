"""H&E tiles beside the exports: read, and counted as a check of the density that the exports give.

A tile is a PNG file with its pixel size in a JSON file beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cpmlib.histology.pixel_size import read_pixel_size
from cpmlib.study.errors import collected, fault, told_together
from cpmlib.study.files import PatientFiles

MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 2**26
"""Of more, the reader of pictures warns: they would fill the memory. They are refused."""
MODES = ("RGB", "RGBA", "P")
"""Of the reader of pictures: colours of 8 bits."""
BLACK = 15
"""No stain takes up all light; a channel up to this is fluorescence, padding or a lost part."""
MAX_BLACK = 0.05
"""Share of a tile that ink or dust may make black."""
DECIMALS = 1
"""Of densities, as of those of the exports."""


def read_tile(exports: Mapping[str, Path]) -> tuple[np.ndarray, float] | None:
    """Read the tile among a sample's exports: (rows, columns, 3) uint8, and µm per pixel.

    Returns None without a tile or its JSON file; a DatasetError is raised if the picture cannot be
    read, is not RGB of 8 bits, is transparent, of one colour, grey or partly black, or its pixel
    size is not given.
    """
    if "tile" not in exports or "tile_sidecar" not in exports:
        return None
    path = exports["tile"]
    pixel_size = read_pixel_size(exports["tile_sidecar"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                mode, frames = picture.mode, getattr(picture, "n_frames", 1)
                rgba = np.asarray(picture.convert("RGBA"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        size = f"{MAX_PIXELS / 1e6:.0f} megapixels"
        remedy = "export a smaller part of the section, or with larger pixels"
        raise fault(
            path.name, f"a picture of more than {size}", f"at most {size}", remedy
        ) from None
    # The readers of pictures have no common error for a damaged file.
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        found = f"no picture that can be read ({type(error).__name__})"
        raise fault(path.name, found, "a PNG file", "export it again") from None
    if mode not in MODES or frames > 1:
        found = f"{frames} x a picture of mode {mode}"
        raise fault(path.name, found, "RGB of 8 bits, once", "export it as RGB")
    if found := _no_section(rgba):
        expected = "a stained section in colour that fills the picture"
        remedy = "export the tile again, as RGB from the slide itself, or take it out"
        raise fault(path.name, found, expected, remedy)
    return rgba[..., :3], pixel_size


def _no_section(rgba: np.ndarray) -> str:
    """Say what shows that a picture (H, W, 4) is no section under a bright-field microscope."""
    rgb = rgba[..., :3]
    if clear := (rgba[..., 3] < 255).mean():
        share = max(100 * clear, 0.1)
        return f"{share:.1f} % of the picture transparent, where there is no colour to count"
    if (rgb == rgb[0, 0]).all():
        return "one colour everywhere"
    if (rgb == rgb[..., :1]).all():
        return "a picture in shades of grey"
    if (black := (rgb <= BLACK).all(axis=-1).mean()) > MAX_BLACK:
        return f"{100 * black:.0f} % of the picture black, where no light passes"
    return ""


def count_tiles(files: PatientFiles) -> pd.DataFrame:
    """Count the nuclei on each of a patient's tiles; tell what is wrong with every one.

    Returns ``sample_id`` and ``he_tile_density`` (nuclei per mm2 of tile) of samples with a tile.
    """
    from cpmlib.histology.nucleus_counting import count_nuclei

    rows: list[tuple[str, float]] = []
    with told_together() as problems:
        for sample, exports in files.exports.items():
            with collected(problems):
                if (tile := read_tile(exports)) is None:
                    continue
                try:
                    rows.append((sample, round(count_nuclei(*tile).density, DECIMALS)))
                except ValueError as error:
                    found, _, expected = str(error).partition("; expected ")
                    remedy = "export the tile at 0.1 to 1 µm per pixel, or leave it out"
                    raise fault(exports["tile"].name, found, expected, remedy) from None
    return pd.DataFrame(rows, columns=["sample_id", "he_tile_density"])
