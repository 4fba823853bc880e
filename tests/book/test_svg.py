"""Light SVG against what matplotlib wrote."""

from __future__ import annotations

import base64
import io
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cpmlib.book.svg import FEW_COLOURS, lighter_svg


@pytest.fixture(scope="module")
def written() -> str:
    """A figure with curves, text, a picture of few colours and one of many, half of it masked."""
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots(1, 3)
    noise = np.random.default_rng(1).normal(size=(60, 80)).cumsum(axis=0).cumsum(axis=1)
    axes[0].imshow(
        noise, cmap=mpl.colormaps["viridis"].resampled(FEW_COLOURS // 2), interpolation="nearest"
    )
    masked = np.ma.masked_less(noise, 0)
    axes[1].imshow(masked, cmap=mpl.colormaps["gray"].with_extremes(bad=(0, 0, 0, 0)))
    axes[2].contour(noise, levels=12)
    axes[2].set_title("α = 0.05")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "test"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def pictures(svg: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/\w+;base64,([^\"]*)", svg)
    opened = (Image.open(io.BytesIO(base64.b64decode(code))) for code in found)
    return [np.asarray(picture.convert("RGBA")).astype(int) for picture in opened]


def test_it_is_much_lighter_and_the_same_each_time(written):
    light = lighter_svg(written)
    assert len(light) < 0.6 * len(written)
    assert lighter_svg(written) == light


def test_few_colours_are_kept_and_many_nearly(written):
    few, many = pictures(lighter_svg(written))
    true_few, true_many = pictures(written)
    np.testing.assert_array_equal(few, true_few)
    np.testing.assert_array_equal(many[..., 3], true_many[..., 3])
    seen = true_many[..., 3] > 0
    assert 0 < np.abs(many - true_many)[seen].mean() < 4  # of 255


@pytest.mark.browser
def test_a_browser_draws_the_same(browser, written):
    """Every pixel within what half a hundredth of a point, or WebP, changes at an edge."""
    page = browser.new_page(viewport={"width": 600, "height": 450}, device_scale_factor=2)
    drawn = []
    for svg in (written, lighter_svg(written)):
        page.set_content(svg[svg.index("<svg") :])
        drawn.append(np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"), float))
    page.close()
    assert drawn[0].std() > 10, "nothing was drawn"
    difference = np.abs(drawn[0] - drawn[1])
    assert difference.mean() < 0.5
    assert (difference > 32).mean() < 1e-3


def test_other_paths_stay_as_they_are():
    for path in ("M 0 0 A 1 1 0 0 1 2 2", "m 1.2345 2 l 3 4"):
        assert lighter_svg(f'<path d="{path}"/>') == f'<path d="{path}"/>'
