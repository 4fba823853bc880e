"""Tiles: read, refused, and counted as a check of the exports."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from skimage import io

from cpmlib.histology.cellularity import count_cells
from cpmlib.histology.tiles import count_tiles, read_tile
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
