"""Tiles: read, refused, and counted as a check of the exports."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import io

from cpmlib.histology.he_tiles import count_tiles, read_tile
from cpmlib.histology.qupath import count_cells
from cpmlib.study.errors import DatasetError
from cpmlib.study.files import PatientFiles
from cpmsurrogate.images.histology import write_qupath_exports


def exports(folder: Path, density: float = 2000.0) -> dict[str, Path]:
    rng = np.random.default_rng(5)
    paths = write_qupath_exports(folder, "sample-1", round(density), 1.0, rng, detailed=True)
    tile = next(folder.glob("*.png"))
    assert paths.sidecar is not None
    return {"tile": tile, "tile_sidecar": paths.sidecar, "annotations": paths.annotation}


def files(found: dict[str, Path]) -> PatientFiles:
    return PatientFiles("sub-01", {}, {"sample-1": found, "sample-2": {}})


def test_the_tile_agrees_with_the_export(tmp_path):
    found = exports(tmp_path)
    counted = count_tiles(files(found))
    assert counted["sample_id"].tolist() == ["sample-1"]
    wanted = count_cells(annotation=found["annotations"]).density
    # Painted nuclei touch and overlap; a count on a tile of 0.16 mm2 is good to about a tenth.
    assert counted["he_tile_density"][0] == pytest.approx(wanted, rel=0.1)


def half_black(rgb: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(rgb))[:, None, None] < len(rgb) // 2, 3, rgb)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (np.zeros_like, "one colour everywhere"),
        (lambda rgb: np.full_like(rgb, 255), "one colour everywhere"),
        (lambda rgb: np.full_like(rgb, [150, 90, 160]), "one colour everywhere"),
        (lambda rgb: rgb[..., :1].repeat(3, axis=2), "shades of grey"),
        (half_black, "50 % of the picture black"),
        (lambda rgb: rgb % 9, "100 % of the picture black"),
        (lambda rgb: np.dstack([rgb, np.where(rgb[..., 0] < 120, 254, 255)]), "transparent"),
        (lambda rgb: np.dstack([rgb, 0 * rgb[..., 0]]), "100.0 % of the picture transparent"),
    ],
)
def test_a_picture_that_is_no_stained_section_is_refused(tmp_path, change, expected):
    """Each of them was counted, as nuclei or as none."""
    found = exports(tmp_path)
    changed = change(io.imread(found["tile"])).astype(np.uint8)
    Image.fromarray(changed).save(found["tile"])
    with pytest.raises(DatasetError, match=f"sample-1.*{expected}.*Remedy: export the tile"):
        count_tiles(files(found))


def test_a_transparent_colour_is_found_in_a_picture_without_alpha(tmp_path):
    """PNG may call one colour of RGB, or of a palette, transparent."""
    found = exports(tmp_path)
    rgb = io.imread(found["tile"])
    for picture in (Image.fromarray(rgb), Image.fromarray(rgb).quantize(64)):
        clear = 0 if picture.mode == "P" else tuple(map(int, rgb[0, 0]))
        picture.save(found["tile"], transparency=clear)
        with pytest.raises(DatasetError, match="transparent"):
            count_tiles(files(found))


def test_an_opaque_alpha_changes_nothing(tmp_path):
    found = exports(tmp_path)
    before = count_tiles(files(found))
    rgb = io.imread(found["tile"])
    Image.fromarray(np.dstack([rgb, np.full_like(rgb[..., 0], 255)])).save(found["tile"])
    pd.testing.assert_frame_equal(count_tiles(files(found)), before)


def test_without_a_pixel_size_there_is_no_check(tmp_path):
    found = exports(tmp_path)
    del found["tile_sidecar"]
    assert read_tile(found) is None
    assert count_tiles(files(found)).empty


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(tmp_path, side):
    found = exports(tmp_path)
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    found["tile"].write_bytes(b"\x89PNG\r\n\x1a\n" + chunks + found["tile"].read_bytes()[33:])
    with pytest.raises(DatasetError, match=r"a picture of more than 89 megapixels; expected"):
        count_tiles(files(found))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda found: found["tile"].write_bytes(b"no picture"), "no picture that can be read"),
        (lambda found: found["tile"].write_bytes(found["tile"].read_bytes()[:200]), "no picture"),
        (
            lambda found: io.imsave(
                found["tile"], np.full((64, 64), 9, np.uint8), check_contrast=False
            ),
            "RGB of 8 bits",
        ),
        (
            lambda found: found["tile_sidecar"].write_text(
                json.dumps({"PixelSize": 3, "PixelSizeUnits": "um"})
            ),
            "pixel size is 3",
        ),
        (lambda found: found["tile_sidecar"].write_text("{}"), "PixelSize None"),
    ],
)
def test_a_tile_that_cannot_be_counted_is_named(tmp_path, spoil, expected):
    found = exports(tmp_path)
    spoil(found)
    with pytest.raises(DatasetError, match=expected) as error:
        count_tiles(files(found))
    assert error.value.problems[0].file.startswith("sample-1")
