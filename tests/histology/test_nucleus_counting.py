"""Nuclei counted on tiles of known number, and on a real slide where they were marked by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy import ndimage
from skimage import data, io
from skimage.color import hed_from_rgb, rgb2hsv, separate_stains
from skimage.filters import gaussian

from cpmlib.figures.histology import NOT_COUNTED, OUTLINE, figure_counting
from cpmlib.histology.nucleus_counting import MARGIN_UM, NucleusCount, count_nuclei
from cpmlib.histology.pixel_size import read_pixel_size
from cpmsurrogate.images.histology import write_qupath_exports
from cpmsurrogate.images.stained_tile import he_tile

PIXEL_UM = 0.5

# On scikit-image's immunohistochemistry picture (colon, haematoxylin and DAB), in the stroma, where
# there is no DAB: centres of nuclei that stand alone, and places without any; marked by eye.
MARKED = np.array(
    [
        *([266, 173], [267, 198], [257, 220], [250, 239], [297, 209], [321, 241], [325, 193]),
        *([334, 206], [358, 189], [380, 195], [355, 223], [378, 226], [391, 229], [390, 239]),
        *([393, 181], [297, 228], [272, 245]),
    ]
)
UNMARKED = np.array([[312, 215], [312, 177], [352, 245], [364, 209], [345, 175], [330, 225]])


def framed(centroids: np.ndarray, corner: tuple[float, float], side: float) -> int:
    """Count the centres in a square whose upper left corner lies at a row and column."""
    low = np.array(corner) - 0.5
    return int(((centroids >= low) & (centroids < low + side)).all(axis=1).sum())


@pytest.mark.parametrize("density", [500, 2000, 4500, 7000])
def test_count_on_tiles_of_known_number(density: int) -> None:
    """Within 5 %, or 2 nuclei: some touch, some hardly stain."""
    rgb, centroids = he_tile(density, np.random.default_rng(density), size_um=200)
    count = count_nuclei(rgb, PIXEL_UM)
    assert count.margin == MARGIN_UM / PIXEL_UM == 12
    there = framed(centroids, (12, 12), 400 - 24)
    assert abs(count.n - there) <= max(2, 0.05 * there)
    assert count.density == pytest.approx(count.n / 0.188**2, rel=1e-12)
    seen = count.labels.max()
    assert (np.unique(count.labels) == np.arange(seen + 1)).all()
    assert abs(seen - len(centroids)) <= max(2, 0.05 * len(centroids))
    at = tuple(np.rint(centroids).astype(int).clip(0, len(rgb) - 1).T)
    assert (count.labels[at] > 0).mean() > 0.93


def test_crops_of_a_larger_field_have_its_density() -> None:
    """All that a tile shows over its area is too much by 2 %: nuclei that its border cuts. What is
    left is of the segmentation: below 1 % of 1,590 nuclei."""
    there = counted = shown = centres = 0
    for seed in range(2):
        rgb, centroids = he_tile(2500, np.random.default_rng(seed), size_um=600)
        for row, column in np.ndindex(3, 3):
            corner = (400 * row, 400 * column)
            crop = rgb[corner[0] : corner[0] + 400, corner[1] : corner[1] + 400]
            count = count_nuclei(np.ascontiguousarray(crop), PIXEL_UM)
            counted += count.n
            there += framed(centroids, (corner[0] + 12, corner[1] + 12), 376)
            shown += count.labels.max()
            centres += framed(centroids, corner, 400)
    assert counted == pytest.approx(there, rel=0.01)
    assert shown > 1.015 * centres


def count_quarters(rgb: np.ndarray, starts: tuple[int, int], side: int) -> list[NucleusCount]:
    corners = [(row, column) for row in starts for column in starts]
    crops = [rgb[row : row + side, column : column + side] for row, column in corners]
    return [count_nuclei(np.ascontiguousarray(crop), PIXEL_UM) for crop in crops]


@pytest.mark.parametrize(("stain", "apart"), [("H&E", 1), ("immunohistochemistry", 5)])
def test_neighbouring_frames_count_each_nucleus_once(
    stain: str, apart: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Gundersen asks of frames: four that tile a field count what the frame around them
    counts. Not so whole tiles: those that the cuts run through are counted twice.

    On the painted tile, equal but for one nucleus. On the real one (scikit-image carries no other
    slide) glands run together to more than the margin and part otherwise where they are cut: 2 %.
    """
    rgb = data.immunohistochemistry()
    if stain == "H&E":
        rgb, _ = he_tile(2500, np.random.default_rng(3), size_um=256)
    whole = count_nuclei(rgb, PIXEL_UM)
    # One threshold for all, since what is tested is the frame.
    monkeypatch.setattr(
        "cpmlib.histology.nucleus_counting.threshold_otsu", lambda _: whole.threshold
    )
    quarters = count_quarters(rgb, (0, 244), 268)  # they overlap by the margins
    assert abs(sum(quarter.n for quarter in quarters) - whole.n) <= apart
    cut = count_quarters(rgb, (0, 256), 256)
    assert sum(quarter.labels.max() for quarter in cut) >= 1.02 * whole.labels.max()


@pytest.mark.parametrize(("place", "n"), [(12.5, 9), (10.5, 1)])
def test_a_nucleus_is_counted_where_its_centroid_lies(place: float, n: int) -> None:
    """Discs of 8 µm across; the outer ones are centred 6.5 or 5.5 µm from the tile's border."""
    rows, columns = np.mgrid[:100, :100]
    middle = [place, 49.5, 99 - place]
    near = [np.hypot(rows - r, columns - c) < 8 for r in middle for c in middle]
    disc = np.any(near, axis=0)[..., None]
    rgb = np.where(disc, [90, 60, 140], [240, 240, 240]).astype(np.uint8)
    count = count_nuclei(rgb, PIXEL_UM)
    assert (count.n, count.labels.max()) == (n, 9)
    assert 1 <= count.labels[50, 50] <= n
    assert count.density == pytest.approx(n / 0.038**2, rel=1e-12)


@pytest.mark.parametrize("density", [2112, 7449])
def test_tiles_beside_the_exports_have_their_density(density: int, tmp_path: Path) -> None:
    """The least and the most dense representative case. To 5 %: at the border the painter crowds a
    per cent of the nuclei, and one or two in a hundred run together."""
    rng = np.random.default_rng(density)
    paths = write_qupath_exports(tmp_path, "sample-01", density, 1.0, rng, detailed=True)
    count = count_nuclei(io.imread(paths.tile), read_pixel_size(paths.sidecar))
    assert count.density == pytest.approx(density, rel=0.05)


def test_tile_without_nuclei() -> None:
    rgb, centroids = he_tile(0, np.random.default_rng(1), size_um=150)
    assert centroids.shape == (0, 2)
    assert count_nuclei(rgb, PIXEL_UM).n == 0


def test_blank_tiles() -> None:
    noise = np.random.default_rng(0).normal(240, 3, (100, 100, 3)).clip(0, 255)
    for rgb in (np.full((50, 70, 3), 255), np.full((50, 70, 3), 200), noise):
        count = count_nuclei(rgb.astype(np.uint8), PIXEL_UM)
        assert (count.n, count.density) == (0, 0)
        assert not count.labels.any()


def test_nuclei_of_a_real_slide() -> None:
    count = count_nuclei(data.immunohistochemistry(), PIXEL_UM)
    found = count.labels[tuple(MARKED.T)]
    assert (found > 0).all()
    assert len(np.unique(found)) == len(MARKED)  # and each for itself
    assert (count.labels[tuple(UNMARKED.T)] == 0).all()


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_pale_nuclei_are_counted(share: float) -> None:
    """Discs on a ground of neuropil, some with a third of the others' stain: fewer than Otsu's
    threshold lets through. Of haematoxylin as much as on the painted tiles."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:400, :400]
    places = [(row, column) for row in range(20, 400, 30) for column in range(20, 400, 30)]
    stain = 0.04 + 0.012 * ndimage.gaussian_filter(rng.normal(size=(400, 400)), 1)
    for row, column in places:
        disc = 1 / (1 + np.exp(np.hypot(rows - row, columns - column) - 7))
        stain += (0.24 if rng.random() < share else 0.7) * disc
    density = stain[..., None] * [0.60, 0.71, 0.31] + 0.35 * np.array([0.12, 0.50, 0.25])
    light = 246 * 10**-density + rng.normal(0, 1.6, (400, 400, 3))
    count = count_nuclei(light.clip(0, 255).round().astype(np.uint8), PIXEL_UM)
    assert count.labels.max() == len(places)
    assert len(np.unique(count.labels[tuple(np.transpose(places))])) == len(places)


def test_turned_tile_has_the_same_nuclei() -> None:
    rgb, _ = he_tile(2500, np.random.default_rng(4), size_um=150)
    before = count_nuclei(rgb, PIXEL_UM)
    for turned in (np.rot90(rgb), rgb[::-1], rgb.transpose(1, 0, 2)):
        after = count_nuclei(np.ascontiguousarray(turned), PIXEL_UM)
        # The threshold is of the histogram; where flat tops make ties, one nucleus may part.
        assert after.threshold == pytest.approx(before.threshold, rel=1e-6)
        assert abs(after.n - before.n) <= 1


def test_finer_pixels_show_the_same_nuclei() -> None:
    rgb, _ = he_tile(2500, np.random.default_rng(5), size_um=150)
    fine = np.repeat(np.repeat(rgb, 2, axis=0), 2, axis=1)
    before, after = count_nuclei(rgb, PIXEL_UM), count_nuclei(fine, PIXEL_UM / 2)
    # Enlarged pixels smooth differently at the edge.
    assert after.n == pytest.approx(before.n, rel=0.05)
    assert after.density == pytest.approx(before.density, rel=0.05)


def test_haematoxylin_is_that_of_ruifrok_and_johnston() -> None:
    rgb, _ = he_tile(2500, np.random.default_rng(6), size_um=100)
    stain = separate_stains(rgb, hed_from_rgb)[..., 0]
    found = count_nuclei(rgb, PIXEL_UM).haematoxylin
    np.testing.assert_array_equal(found, gaussian(stain, 0.5 / PIXEL_UM))


@pytest.mark.parametrize(
    ("shape", "kind", "size", "message"),
    [
        ((50, 50), np.uint8, 0.5, "shape"),
        ((50, 50, 4), np.uint8, 0.5, "shape"),
        ((50, 50, 3), float, 0.5, "float64"),
        ((47, 50, 3), np.uint8, 0.5, "23.5 µm; expected a side of at least 24 µm"),
        ((50, 50, 3), np.uint8, 0, "pixel size"),
        ((50, 50, 3), np.uint8, 5, "pixel size"),
        ((50, 50, 3), np.uint8, np.nan, "pixel size"),
    ],
)
def test_arguments(shape: tuple[int, ...], kind: type, size: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_nuclei(np.zeros(shape, dtype=kind), size)


@pytest.mark.parametrize("density", [500, 1441.6, 3333.3, 12_000])
@pytest.mark.parametrize(("size_um", "pixel_um"), [(100, 0.5), (120, 0.25)])
def test_tile_holds_its_density(density: float, size_um: float, pixel_um: float) -> None:
    rgb, centroids = he_tile(density, np.random.default_rng(2), size_um, pixel_um)
    side = round(size_um / pixel_um)
    assert rgb.shape == (side, side, 3)
    assert len(centroids) == round(density * size_um**2 / 1e6)
    assert centroids.min() >= -0.5
    assert centroids.max() <= side - 0.5
    again, _ = he_tile(density, np.random.default_rng(2), size_um, pixel_um)
    np.testing.assert_array_equal(rgb, again)


def test_tile_has_the_colours_of_haematoxylin_and_eosin() -> None:
    """Hues as on slides: the ground pink (300 to 350 degrees), nuclei blue to violet."""
    rgb, centroids = he_tile(1500, np.random.default_rng(8), size_um=300)
    hsv = rgb2hsv(rgb)
    at = tuple(np.rint(centroids).astype(int).clip(0, len(rgb) - 1).T)
    assert 230 < 360 * np.median(hsv[at][:, 0]) < 280
    assert 300 < 360 * np.median(hsv[..., 0]) < 350
    light = rgb.mean(axis=2)
    assert np.median(light[at]) < 0.75 * np.median(light)


@pytest.mark.parametrize(
    ("density", "size", "pixel", "message"),
    [
        (-1, 100, 0.5, "density"),
        (1e6, 100, 0.5, "density"),
        (np.nan, 100, 0.5, "density"),
        (1000, 10, 0.5, "tile of"),
        (1000, 100, 0, "tile of"),
    ],
)
def test_tile_arguments(density: float, size: float, pixel: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        he_tile(density, np.random.default_rng(0), size, pixel)


def test_figures(tmp_path: object) -> None:
    rgb, _ = he_tile(2500, np.random.default_rng(9), size_um=100)
    count = count_nuclei(rgb, PIXEL_UM)
    figure = figure_counting(rgb, count, PIXEL_UM)
    figure.savefig(f"{tmp_path}/counting.png")
    found = figure.axes[2]
    frame = [patch for patch in found.patches if patch.get_linestyle() == "--"]
    assert [patch.get_bbox().bounds for patch in frame] == [(11.5, 11.5, 176, 176)]
    colours = {to_hex(c) for drawn in found.collections for c in drawn.get_facecolor()}
    assert colours == {OUTLINE.lower(), NOT_COUNTED.lower()}
    titles = [ax.get_title() for ax in figure.axes]
    assert f"{count.n} nuclei, {count.density:.0f} per mm²" in titles
    # 50 µm would fill half of 100 µm, so the bar is of 25 µm and 50 pixels.
    tile = figure.axes[0]
    assert "25 µm" in [text.get_text() for text in tile.texts]
    assert any(patch.get_width() == 50 for patch in tile.patches)
    with pytest.raises(ValueError, match="labels are"):
        figure_counting(rgb[:50], count, PIXEL_UM)
