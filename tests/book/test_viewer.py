"""The viewer: its data against the images, its script in Deno, and the whole of it in Chromium."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import zlib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cpmlib.book.packing import BRIGHTEST, LEVELS, LEVELS_OF_ARBITRARY_UNITS, pack_levels
from cpmlib.book.viewer import (
    MARGIN,
    has_base,
    viewer_data,
    viewer_grid,
    viewer_html,
)
from cpmlib.study.errors import DatasetError

STUB = Path(__file__).with_name("viewer_stub.js")
SIZE = 3.0
TARGET = (-9.0, 12.0, 6.0)


def oblique(angle: float = 0.15) -> np.ndarray:
    """A grid of 3 mm that is turned about the vertical and not centred."""
    c, s = np.cos(angle), np.sin(angle)
    affine = np.diag([SIZE, SIZE, SIZE, 1.0])
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * SIZE
    affine[:3, 3] = -affine[:3, :3] @ np.array([13, 15, 12])
    return affine


@cache
def head() -> dict[str, nib.Nifti1Image]:
    """A ball of brain in a shell of scalp; each contrast is a ramp of the world's coordinates."""
    shape, affine = (27, 31, 25), oblique()
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    radius = np.linalg.norm(world, axis=-1)
    brain = radius < 27
    ramps = {
        "T1w": 500 + 3 * world[..., 0],
        "T1wGd": 500 + 3 * world[..., 1],
        "FLAIR": 400 + 4 * world[..., 2],
        "ADC": 1000 + 10 * world[..., 0] + 5 * world[..., 2],
        "CPM": 1500 + 20 * world[..., 0],
        "rCBV": 2 + 0.02 * world[..., 1],
    }
    result = {}
    for key, values in ramps.items():
        inside = brain if key in ("CPM", "rCBV", "ADC") else np.ones(shape, bool)
        data = np.where(inside, values, np.nan).astype(np.float32)
        result[key] = nib.Nifti1Image(data, affine)
    return result


def written(name, images, target, *, label: str, **chosen) -> str:
    return viewer_html(name, viewer_data(name, images, target, **chosen), label=label)


@cache
def page() -> str:
    return written("3a", head(), TARGET, label="synthetic data", voxel_size=2.0)


class Parts(HTMLParser):
    """The elements of the page that have a data-part, with text and chosen option."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.parts: list[dict[str, Any]] = []
        self.scripts: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._in = tag
        if tag == "option" and "selected" in attributes:
            self.parts[-1]["attributes"]["value"] = attributes["value"]
        if "data-part" in attributes:
            self.parts.append({"attributes": attributes, "text": ""})

    def handle_data(self, data):
        if self._in == "script":
            if self.tags[-1][1].get("data-part") == "data":
                self.parts[-1]["text"] += data
            else:
                self.scripts.append(data)

    def handle_endtag(self, tag):
        self._in = ""


def data_of(text: str) -> dict[str, Any]:
    return json.loads(next(p for p in Parts(text).parts if p["text"])["text"])


@cache
def page_levels(name: str) -> np.ndarray:
    return levels_of(data_of(page()), name)


def levels_of(data: dict[str, Any], key: str) -> np.ndarray:
    packed = zlib.decompress(base64.b64decode(data["volumes"][key]["levels"]))
    shape = data["shape"]
    difference = np.frombuffer(packed, np.uint8).reshape(shape, order="F")
    levels = np.zeros([n + 1 for n in shape], dtype=np.int64)
    # A plain decoder would take seconds; along a diagonal all voxels know their neighbours.
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3) + 1
    rank = index.sum(axis=1)
    order = np.argsort(rank, kind="stable")
    for part in np.split(index[order], np.flatnonzero(np.diff(rank[order])) + 1):
        i, j, k = part.T
        before = [levels[i - 1, j, k], levels[i, j - 1, k], levels[i, j, k - 1]]
        levels[i, j, k] = (difference[i - 1, j - 1, k - 1] + np.median(before, axis=0)) % 256
    return levels[1:, 1:, 1:]


def values_of(data: dict[str, Any], key: str) -> np.ndarray:
    volume, levels = data["volumes"][key], page_levels(key)
    step = (volume["high"] - volume["low"]) / (volume["top"] - 1)
    return np.where(levels == 0, np.nan, volume["low"] + (levels - 1.0) * step)


def play(text: str, *actions: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the viewer's script in Deno and do what a reader would."""
    deno = pytest.importorskip("deno")
    found = Parts(text)
    message = {"parts": found.parts, "script": found.scripts[-1], "actions": list(actions)}
    done = subprocess.run(
        [deno.find_deno_bin(), "run", "--no-config", "--no-lock", "--quiet", str(STUB)],
        input=json.dumps(message),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


READ = {"read": True}


def key(name: str, **more: Any) -> dict[str, Any]:
    return {"part": "canvas", "type": "keydown", "key": name, **more, **READ}


def choose(part: str, value: str) -> dict[str, Any]:
    return {"part": part, "type": "input", "value": value, **READ}


def spoken(values: str, title: str) -> float:
    found = re.search(re.escape(title) + r" (?:at least )?(-?[\d.]+)", values)
    assert found, values
    return float(found[1])


# --- levels ------------------------------------------------------------------------------------


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
        elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan")),
    ).filter(lambda a: np.isfinite(a).any()),
    st.sampled_from([LEVELS, LEVELS_OF_ARBITRARY_UNITS]),
)
@settings(max_examples=60, deadline=None)
def test_levels_hold_each_value_to_half_a_step(values: np.ndarray, top: int) -> None:
    packed = pack_levels(values, top)
    assert ((packed.levels == 0) == np.isnan(values)).all()
    back = packed.low + (packed.levels.astype(float) - 1) * packed.step
    within = np.isfinite(values) & (values <= packed.high)
    # Half a step, and the rounding of float32 limits.
    slack = packed.step / 2 * 1.001 + 1e-6 * np.nanmax(np.abs(values))
    assert (np.abs(back - values)[within] <= slack).all()
    above = np.isfinite(values) & (values > packed.high)
    assert (packed.levels[above] == top).all()
    assert packed.clipped == above.any()
    assert above.sum() <= np.isfinite(values).sum() * (1 - BRIGHTEST / 100)


def test_no_value_is_no_volume() -> None:
    with pytest.raises(ValueError, match="no finite value"):
        pack_levels(np.full((2, 2, 2), np.nan))


# --- grid and data -----------------------------------------------------------------------------


def test_grid_covers_the_brain_and_has_the_target_on_a_voxel() -> None:
    affine, shape = viewer_grid(head()["CPM"], TARGET, 2.0)
    index = (np.array(TARGET) - affine[:3, 3]) / 2.0
    assert np.allclose(index, np.rint(index))
    low, high = affine[:3, 3] - 1, affine[:3, 3] + 2 * np.array(shape) - 1
    # The ball has a radius of 27 mm; its outermost voxel centres lie up to one voxel further in.
    assert (low < -27 + SIZE).all()
    assert (high > 27 - SIZE).all()
    with pytest.raises(ValueError, match="too large"):
        viewer_grid(head()["CPM"], TARGET, 0.2)
    with pytest.raises(ValueError, match="voxel_size"):
        viewer_grid(head()["CPM"], TARGET, 0)


@pytest.mark.parametrize("name", ["T1w", "T1wGd", "FLAIR", "ADC", "CPM", "rCBV"])
def test_volumes_have_the_right_value_at_the_right_place(name: str) -> None:
    data = data_of(page())
    values = values_of(data, name)
    index = np.argwhere(np.isfinite(values))
    world = index * data["voxelSize"] + data["origin"]
    x, y, z = world[np.linalg.norm(world, axis=1) < 22].T  # away from the edge, where ramps end
    expected = {
        "T1w": 500 + 3 * x,
        "T1wGd": 500 + 3 * y,
        "FLAIR": 400 + 4 * z,
        "ADC": 1000 + 10 * x + 5 * z,
        "CPM": 1500 + 20 * x,
        "rCBV": 2 + 0.02 * y,
    }[name]
    found = values[tuple(index[np.linalg.norm(world, axis=1) < 22].T)]
    volume = data["volumes"][name]
    step = (volume["high"] - volume["low"]) / (volume["top"] - 1)
    low_enough = expected < volume["high"]
    # A ramp survives linear interpolation; what is left is the rounding to a level.
    assert np.abs(found - expected)[low_enough].max() <= step * 0.501
    assert low_enough.mean() > 0.98


def test_nothing_far_from_the_brain_is_in_the_page() -> None:
    data = data_of(page())
    for name in ("T1w", "T1wGd", "FLAIR"):
        index = np.argwhere(page_levels(name))
        radius = np.linalg.norm(index * data["voxelSize"] + data["origin"], axis=1)
        # Brain, margin, and a voxel's diagonal of the 3-mm and of the 2-mm grid.
        assert radius.max() <= 27 + MARGIN + (SIZE / 2 + 1) * np.sqrt(3)
        assert radius.max() > 27


def test_without_a_brain_nothing_is_published() -> None:
    images = {"T1wGd": head()["T1wGd"]}
    with pytest.raises(DatasetError, match="brain mask"):
        written("3a", images, TARGET, label="")
    whole = nib.Nifti1Image(np.ones((27, 31, 25), np.float32), oblique())
    with pytest.raises(DatasetError, match="brain mask"):
        written("3a", {**images, "CPM": whole}, TARGET, label="")
    empty = nib.Nifti1Image(np.zeros((27, 31, 25), np.float32), oblique())
    with pytest.raises(DatasetError, match="empty brain"):
        written("3a", images, TARGET, label="", mask=empty)
    brain = nib.Nifti1Image(np.isfinite(head()["CPM"].get_fdata()).astype(np.float32), oblique())
    text = written("3a", images, TARGET, label="", mask=brain)
    assert list(data_of(text)["volumes"]) == ["T1wGd"]
    assert 'cpmv-label"' not in text


def test_refusals() -> None:
    assert has_base(head())
    assert not has_base({"CPM": head()["CPM"], "T1w": None})
    with pytest.raises(DatasetError, match="no base image"):
        written("3a", {"CPM": head()["CPM"], "T1w": None}, TARGET, label="")
    with pytest.raises(ValueError, match="point"):
        written("3a", head(), (1, 2, np.nan), label="")
    far = oblique()
    far[:3, 3] += 500
    elsewhere = nib.Nifti1Image(head()["FLAIR"].get_fdata().astype(np.float32), far)
    with pytest.raises(DatasetError, match=r"FLAIR.*no value in the brain"):
        written("3a", {**head(), "FLAIR": elsewhere}, TARGET, label="")


# --- the page's text ---------------------------------------------------------------------------


def test_equal_images_give_equal_bytes() -> None:
    assert page() == written("3a", head(), TARGET, label="synthetic data", voxel_size=2.0)


NASTY = '</script><script>alert(1)</script>" onclick="x" <!-- @@DATA@@ & \u2028'


def test_no_text_breaks_out() -> None:
    text = written(NASTY, head(), TARGET, label=NASTY)
    found = Parts(text)
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert "alert(1)</script>" not in text
    assert "<!--" not in text
    assert found.tags[0][1]["aria-label"] == f"Image viewer: Case {NASTY}"
    assert data_of(text)["shape"] == data_of(page())["shape"]


def test_nothing_in_line_and_nothing_from_elsewhere() -> None:
    tags = Parts(page()).tags
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert not {"src", "href", "id", "style"} & set(attributes), tag
    for word in ("http", "//cdn", "import(", "fetch(", "url(", "/home/", "/tmp/"):
        assert word not in page(), word


def test_every_control_has_a_name() -> None:
    found = Parts(page())
    named = 0
    for tag, _ in found.tags:
        named += tag == "label"
    controls = [tag for tag, _ in found.tags if tag in ("select", "input")]
    assert len(controls) == named == 5
    canvas = next(attributes for tag, attributes in found.tags if tag == "canvas")
    assert (canvas["tabindex"], canvas["role"]) == ("0", "img")


@pytest.mark.slow
def test_weight_of_a_case() -> None:
    """Real anatomy with as much noise as a scanner's, at 2 mm: below 1.5 MB."""
    from nilearn.datasets import load_mni152_template
    from scipy import ndimage

    template = load_mni152_template(1)
    anatomy = np.asarray(template.dataobj, dtype=np.float32)[::2, ::2, ::2]
    affine = template.affine @ np.diag([2, 2, 2, 1])
    brain = ndimage.binary_fill_holes(anatomy > 0.1)
    rng = np.random.default_rng(7)
    images = {}
    for name in ("T1w", "T1wGd", "FLAIR", "ADC", "CPM", "rCBV"):
        values = anatomy + rng.normal(0, 0.02, brain.shape)
        if name in ("ADC", "CPM", "rCBV"):
            # Diffusion and perfusion come from voxels of about 3 mm, a map from patches of 25.
            values = np.where(brain, ndimage.gaussian_filter(values, 0.8), np.nan)
        values = values * (5 if name == "rCBV" else 1500)
        images[name] = nib.Nifti1Image(values.astype(np.float32), affine)
    mask = nib.Nifti1Image(brain.astype(np.float32), affine)
    text = written("3a", images, (-28, 30, 26), label="synthetic", mask=mask)
    assert 0.5e6 < len(text.encode()) < 1.5e6


# --- the script --------------------------------------------------------------------------------


def test_opens_at_the_target_and_says_the_values_there() -> None:
    (first,) = play(page(), READ)
    assert first["ready"] == "yes"
    assert first["values"].startswith("Target (x -9.0, y 12.0, z 6.0 mm): ")
    assert first["position"] == "z = 6.0 mm"
    assert first["label"] == (
        "axial slice, z = 6.0 mm, T1+Gd with CPM; the target is on this slice"
    )
    x, y, z = TARGET
    expected = {
        "T1": 500 + 3 * x,
        "T1+Gd": 500 + 3 * y,
        "FLAIR": 400 + 4 * z,
        "ADC": 1000 + 10 * x + 5 * z,
        "CPM": 1500 + 20 * x,
        "rCBV": 2 + 0.02 * y,
    }
    volumes = data_of(page())["volumes"].values()
    for volume in volumes:
        step = (volume["high"] - volume["low"]) / (volume["top"] - 1)
        assert abs(spoken(first["values"], volume["title"]) - expected[volume["title"]]) <= step
    assert "cells/mm²" in first["values"]
    assert first["scale"] == "CPM 0 ≥ 3000 cells/mm²"


def test_keys_go_through_slices_and_move_the_cross() -> None:
    up, right, home, end, back = play(
        page(),
        key("ArrowUp"),
        key("ArrowRight", shiftKey=True),
        key("Home"),
        key("End"),
        key("t"),
    )
    assert up["position"] == "z = 8.0 mm"
    assert up["prevented"]
    assert up["values"].startswith("Cross (x -9.0, y 12.0, z 8.0 mm)")
    # To the right of the picture is to the patient's left.
    assert right["values"].startswith("Cross (x -11.0, y 12.0, z 8.0 mm)")
    assert home["slice"][0] == 0
    assert end["slice"][0] == end["slice"][1] == data_of(page())["shape"][2] - 1
    assert back["values"].startswith("Target")


def test_the_pointer_reads_what_is_under_it() -> None:
    data = data_of(page())
    columns, rows, _ = data["shape"]
    (first,) = play(page(), READ)
    width, height = first["size"]
    # One voxel to the right in the picture and one down: patient's left, posterior.
    i, j, _ = np.rint((np.array(TARGET) - data["origin"]) / 2).astype(int)
    x = (columns - 0.5 - (i - 1)) / columns * width
    y = (rows - 0.5 - (j - 1)) / rows * height
    over = {"part": "canvas", "type": "pointermove", "clientX": x, "clientY": y, **READ}
    left = {"part": "canvas", "type": "pointerleave", **READ}
    hovered, gone = play(page(), over, left)
    assert hovered["values"].startswith("Pointer (x -11.0, y 10.0, z 6.0 mm)")
    assert hovered["live"] == "off", "a screen reader must not be told of every pixel"
    assert gone["values"].startswith("Target")
    volume = data["volumes"]["CPM"]
    step = (volume["high"] - volume["low"]) / (volume["top"] - 1)
    assert abs(spoken(hovered["values"], "CPM") - (1500 + 20 * -11)) <= step


def test_the_wheel_moves_through_the_slices_while_the_picture_has_the_focus() -> None:
    wheel = {"part": "canvas", "type": "wheel", "deltaY": 40, "deltaMode": 0, **READ}
    over = {"part": "canvas", "type": "pointermove", "clientX": 5, "clientY": 5}
    focus, blur = ({"part": "canvas", "type": name} for name in ("focus", "blur"))
    before, after, left = play(page(), over, wheel, focus, wheel, blur, wheel)
    assert not before["prevented"], "a reader who scrolls past it is not held up"
    assert before["position"] == "z = 6.0 mm"
    assert after["prevented"]
    assert after["position"] == "z = 4.0 mm"
    assert not left["prevented"]
    assert left["position"] == "z = 4.0 mm"
    at_end = play(page(), focus, key("Home"), wheel)[-1]
    assert not at_end["prevented"], "beyond the last slice the page scrolls on"
    assert "the wheel after a click on the picture, until Escape" in page()


def test_a_swipe_goes_through_slices_and_a_tap_reads() -> None:
    def touch(kind: str, x: float) -> dict[str, Any]:
        return {
            "part": "canvas",
            "type": kind,
            "pointerType": "touch",
            "clientX": x,
            "clientY": 100,
            **READ,
        }

    swiped = play(page(), touch("pointerdown", 100), touch("pointermove", 120))[-1]
    assert swiped["position"] == "z = 14.0 mm"  # 20 pixels are 4 slices of 2 mm
    tapped = play(page(), touch("pointerdown", 100), touch("pointerup", 100))[-1]
    assert tapped["values"].startswith("Cross")
    assert tapped["position"] == "z = 6.0 mm"


def picture(read: dict[str, Any]) -> np.ndarray:
    shown = read["picture"]
    return np.array(shown["data"], np.uint8).reshape(shown["height"], shown["width"], 4)[..., :3]


@pytest.mark.parametrize(
    ("plane", "axis", "where"),
    [
        ("axial", 0, "left"),
        ("axial", 1, "top"),
        ("coronal", 0, "left"),
        ("coronal", 2, "top"),
        ("sagittal", 1, "left"),
        ("sagittal", 2, "top"),
    ],
)
def test_orientation_of_the_pictures(plane: str, axis: int, where: str) -> None:
    """A spot at the patient's right, front or top comes out left, left or up."""
    data = np.full((41, 41, 41), 100, np.float32)
    affine = np.diag([-2.0, 2, 2, 1])  # stored from right to left
    affine[:3, 3] = (40, -40, -40)
    spot = np.zeros(3)
    spot[axis] = 20
    i, j, k = np.rint(np.linalg.inv(affine) @ [*spot, 1])[:3].astype(int)
    data[i, j, k] = 1000
    image = nib.Nifti1Image(data, affine)
    brain = nib.Nifti1Image(np.pad(np.ones((37,) * 3, np.float32), 2), affine)
    text = written("x", {"T1w": image}, (0, 0, 0), label="", mask=brain)
    shown = picture(play(text, choose("plane", plane))[-1])[..., 0].astype(float)
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    middle = (np.array(shown.shape) - 1) / 2
    if where == "left":
        assert (row - middle[0], column - middle[1]) == (0, -10)
    else:
        assert (row - middle[0], column - middle[1]) == (-10, 0)


def test_overlay_opacity_and_colours() -> None:
    none, faint, full = play(
        page(), choose("overlay", ""), choose("opacity", "0"), choose("overlay", "CPM")
    )
    assert (picture(none) == picture(faint)).all()
    assert none["scale"] == ""
    assert (picture(full) == picture(none)).all(), "an opacity of 0 shows the base alone"
    solid = picture(play(page(), choose("opacity", "100"))[-1])
    data = data_of(page())
    i, j, _ = np.rint((np.array(TARGET) - data["origin"]) / 2).astype(int)
    found = solid[data["shape"][1] - 1 - j, data["shape"][0] - 1 - i]
    import matplotlib as mpl

    # CPM at the target over its limits of 0 to 3000; neighbouring colours differ by up to 3.
    expected = mpl.colormaps["viridis"]((1500 + 20 * TARGET[0]) / 3000, bytes=True)[:3]
    assert np.abs(found.astype(int) - np.array(expected, int)).max() <= 3


def test_the_target_is_drawn_true_to_scale_on_its_slices_only() -> None:
    def circles(read: dict[str, Any]) -> list[list[Any]]:
        return [call for call in read["drawn"] if call[0] == "arc"]

    again, beside, away = play(page(), key("t"), key("ArrowUp"), key("ArrowUp"))
    scale = again["size"][0] / data_of(page())["shape"][0] / 2.0  # CSS pixels a mm
    (circle,) = circles(again)
    # The canvas is rounded to whole pixels.
    assert circle[3] == pytest.approx(2.5 * scale, rel=0.02)
    assert len(circles(beside)) == 1, "2 mm away the sphere is still cut"
    assert circles(away) == [], "4 mm away it is not"


# --- the whole of it in a browser --------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_two_viewers_on_one_page(browser: Any, tmp_path: Path, width: int, height: int) -> None:
    second = written("3b", head(), (9, -6, 0), label="synthetic data")
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><body>{page()}{second}", encoding="utf-8")
    tab = browser.new_page(viewport={"width": width, "height": height})
    errors: list[str] = []
    outside: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda r: r.url.startswith("http") and outside.append(r.url))
    tab.goto(file.as_uri())
    viewers = tab.locator(".cpm-viewer")
    for i, place in enumerate(("x -9.0, y 12.0, z 6.0", "x 9.0, y -6.0, z 0.0")):
        viewer = viewers.nth(i)
        viewer.scroll_into_view_if_needed()
        viewer.locator("xpath=self::*[@data-ready='yes']").wait_for()
        assert place in viewer.locator("[data-part=values]").inner_text()
        box = viewer.locator("canvas").bounding_box()
        assert box["width"] > 150
        assert box["height"] > 150

    def shows(place: str) -> None:
        """Wait until the first viewer has drawn a slice; it draws with the next frame."""
        tab.wait_for_function(
            "n => document.querySelectorAll('[data-part=position]')[0].textContent.includes(n)",
            arg=place,
            timeout=10_000,
        )

    first = viewers.nth(0)
    first.get_by_label("Plane").select_option("coronal")
    shows("y = 12.0 mm")
    assert "z = 0.0 mm" in viewers.nth(1).locator("[data-part=position]").inner_text()
    canvas = first.locator("canvas")
    canvas.focus()
    canvas.press("ArrowUp")
    shows("y = 14.0 mm")
    first.get_by_role("button", name="Go to target").click()
    shows("y = 12.0 mm")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    tab.mouse.move(box["x"] + 50, box["y"] + 50)
    tab.mouse.move(box["x"] + 60, box["y"] + 60)
    y = tab.evaluate("canvas => (canvas.blur(), window.scrollY)", canvas.element_handle())
    tab.mouse.click(box["x"] + 60, box["y"] + 60)
    tab.mouse.wheel(0, 60)
    tab.wait_for_function(
        "n => document.querySelectorAll('[data-part=position]')[0].textContent != n",
        arg="y = 12.0 mm",
    )
    assert tab.evaluate("window.scrollY") == y, "a clicked viewer keeps the wheel"
    assert first.locator("[data-part=values]").inner_text().startswith("Pointer")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
    assert outside == []
    tab.close()
