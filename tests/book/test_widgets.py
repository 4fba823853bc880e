"""Figures that move: what they carry, and the whole of them in Chromium, as files."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from cpmlib.book import widget_sphere
from cpmlib.book.page import Page
from cpmlib.book.widget_drag import show_drag
from cpmlib.book.widget_draws import SHOWN, show_draws
from cpmlib.book.widget_linked import show_linked
from cpmlib.book.widget_patients import show_patients
from cpmlib.book.widgets import script_files
from cpmlib.paper import correlations, non_independence, patient_effect
from cpmlib.paper.cases import cases
from cpmlib.roi.means import roi_mean
from cpmlib.statistics.correlation import correlate, linear_fit
from cpmlib.statistics.mixed_model import mixed_model_slope
from cpmlib.statistics.rout import rout_line
from studies import ROOT

HEAD = """<!doctype html><meta charset="utf-8"><title>test</title>
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="../_static/cpm.css">
"""
WIDTHS = {"desktop": 1280, "phone": 375}
LONGEST = 50
"""Milliseconds that an answer to the reader may take on a machine of today."""

FIXED = 20.0
"""Milliseconds that the fixed work beside the answers takes there."""


class Shown(Page):
    """A page of the default dataset that keeps its HTML."""

    def __init__(self) -> None:
        super().__init__("03_correlations", "data/surrogate")
        self.output, self.parts = Path(), []

    def html(self, content: str) -> None:
        self.parts.append(content)


def drag(change=lambda samples: samples) -> str:
    page = Shown()
    show_drag(page, correlations.flag_all(change(page.samples), page.options))
    return "".join(page.parts)


def data_of(text: str) -> dict:
    return json.loads(re.search(r'data-part="data">(.*?)</script>', text, re.S)[1])


def linked(change=lambda samples: samples) -> str:
    page = Shown()
    page.dataset = replace(page.dataset, samples=change(page.samples))
    show_linked(page, correlations.flag_all(page.samples, page.options))
    return "".join(page.parts)


def draws(change=lambda samples: samples) -> str:
    page = Shown()
    show_draws(page, *non_independence.one_per_patient(change(page.samples), page.options))
    return "".join(page.parts)


@cache
def patients() -> str:
    page = Shown()
    show_patients(page)
    return page.parts[0]


class Head:
    """Images of the first case's patient: CPM rises to the left, ADC to the front, inside a mask.

    They stand in for `StudyImages`; without a build, and the same for every machine.
    """

    def __init__(self, samples, kinds=("CPM", "ADC", "mask"), patients=None) -> None:
        first = cases(samples).iloc[0]
        self.target = first[["target_x", "target_y", "target_z"]].to_numpy(float)
        self.patients = [first["participant_id"]] if patients is None else patients
        x, y, z = np.indices((41, 41, 41)) - 20.0
        made = {"CPM": 1000 - 20 * x, "ADC": 900 + 10 * y, "mask": (abs(x) < 8.5) & (z < 99)}
        affine = np.eye(4)
        affine[:3, 3] = self.target - 20
        self.made = {k: nib.Nifti1Image(made[k].astype(np.float32), affine) for k in kinds}

    def image(self, who, kind):
        assert who in self.patients
        return self.made.get(kind)


def sphere(images=Head, change=lambda samples: samples, **options) -> str:
    page = Shown()
    page.dataset = replace(page.dataset, samples=change(page.samples))
    page.image_options = replace(page.image_options, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(widget_sphere, "StudyImages", lambda _: images(Shown().samples))
        widget_sphere.show_sphere(page)
    return page.parts[0]


WIDGETS = {
    "drag": drag,
    "linked": linked,
    "draws": draws,
    "patients": patients,
    "sphere": sphere,
}


@pytest.mark.parametrize("kind", WIDGETS)
def test_equal_widgets_are_equal_bytes_and_say_what_the_data_are(kind):
    text = WIDGETS[kind]()
    patients.cache_clear()
    assert text == WIDGETS[kind]()
    assert html.escape(Shown().dataset.label) in text or "Made-up data" in text
    assert 0 < len(text) < 200_000


def test_a_hostile_text_stays_text():
    hostile = '</script><img src=x onerror="alert(1)">'
    text = drag(lambda samples: samples.assign(sample_id=hostile))
    assert "<img" not in text
    assert data_of(text)["subsets"]["whole"]["sample"][0] == hostile


def test_a_subset_without_a_line_is_left_out_and_none_is_said():
    naive = drag(lambda samples: samples[samples["treatment"] == "treatment-naive"])
    assert set(data_of(naive)["subsets"]) == {"whole", "naive"}
    none = drag(lambda samples: samples.assign(cpm=np.nan))
    assert "not shown, since no subset" in none
    assert "<script" not in none
    assert "not shown, since no sample" in linked(lambda samples: samples.iloc[:0])
    assert "not shown" not in linked(lambda samples: samples.iloc[:2].assign(adc=np.nan))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The widgets, one a page, and their scripts where a book has them."""
    folder = tmp_path_factory.mktemp("a book")
    (folder / "_static").mkdir()
    for path in [*script_files(), ROOT / "book" / "_static" / "cpm.css"]:
        shutil.copy(path, folder / "_static")
    (folder / "notebooks").mkdir()
    for kind, make in WIDGETS.items():
        (folder / "notebooks" / f"{kind}.html").write_text(HEAD + make(), "utf-8")
    return folder


class Reader:
    """A browser's page with one widget, started; what went wrong is in `errors`."""

    def __init__(self, browser, site: Path, kind: str, **context) -> None:
        self.page = browser.new_context(**context).new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto((site / "notebooks" / f"{kind}.html").as_uri())
        assert not self.page.evaluate("'Bokeh' in window"), "Bokeh must wait to be asked for"
        self.page.get_by_role("button", name="Make it move").focus()
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("[data-state=ready]", timeout=20_000)
        self.page.evaluate(DRAWN)

    def _listen(self, message) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def part(self, name: str):
        return self.page.locator(f"[data-part={name}]")

    def rows(self) -> dict[str, str]:
        """The last column of what the widget tells, by the first."""
        cells = self.page.locator(".cpmw-read tr").all()
        texts = [row.locator("th, td").all_inner_texts() for row in cells]
        return {row[0]: row[-1] for row in texts[1:]}

    def dot(self, name: str, x: str = "x", y: str = "y") -> tuple[float, float]:
        """Where a sample is on the screen, from the columns that the first plot shows."""
        return tuple(self.page.evaluate(PLACE, [name, x, y]))

    def close(self) -> None:
        assert self.errors == []
        self.page.context.close()


DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

TIMED = """async ([part, type, init]) => {
  const times = [], fixed = [];
  for (let i = 0; i < 12; i++) {
    const began = performance.now();
    for (let n = 0, sum = 0; n < 3e6; n++) sum += Math.sqrt(n + sum);
    fixed.push(performance.now() - began);
    const start = performance.now();
    const element = document.querySelector(`[data-part=${part}]`);
    element.dispatchEvent(new (type === 'keydown' ? KeyboardEvent : Event)(type, init));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - start);
  }
  return [times, fixed].map(all => Math.min(...all));
}"""
"""Milliseconds from what a reader does until the page has been drawn again, and of a fixed work:
the shortest of a dozen, since what else runs on the machine slows single ones."""


def fastest(reader, *action) -> float:
    """Return the shortest answer, ms, less what a slow or busy machine adds to it."""
    answer, fixed = reader.page.evaluate(TIMED, list(action))
    return answer / max(1.0, fixed / FIXED)


PLACE = """([name, x, y]) => {
  const view = [...Bokeh.index.roots].find(v => v.canvas_view), plot = view.model;
  const { data } = plot.document.get_model_by_name('samples'), i = data.sample.indexOf(name);
  const { left, top } = view.canvas_view.el.getBoundingClientRect();
  const { x_scale, y_scale } = view.frame;
  return [left + x_scale.compute(data[x][i]), top + y_scale.compute(data[y][i])];
}"""


@pytest.mark.browser
def test_dragging_a_sample(browser, site):
    reader = Reader(browser, site, "drag", viewport={"width": 1280, "height": 900})
    page = Shown()
    samples = correlations.measured(page.samples, "cpm")
    x, y = (samples[c].to_numpy(float, copy=True) for c in ("cpm", correlations.OUTCOME))
    rout = rout_line(x, y, page.options.rout_q)
    rows = reader.rows()
    names = samples.loc[rout.outlier, "sample_id"]
    assert rows["Outliers"] == (", ".join(names) or "none")
    fit = linear_fit(x[~rout.outlier], y[~rout.outlier]).iloc[0]
    assert rows["Slope b"] == f"{fit['estimate']:.2f}"

    name = samples["sample_id"].iloc[int(np.argsort(x)[len(x) // 2])]
    assert name not in list(names)
    at = reader.dot(name)
    box = reader.part("plot").bounding_box()
    reader.page.mouse.move(*at)
    reader.page.mouse.down()
    for step in range(1, 11):
        reader.page.mouse.move(at[0], at[1] - step * (at[1] - box["y"] - 12) / 10)
        reader.page.evaluate(DRAWN)
    reader.page.mouse.up()
    after = reader.rows()
    moved = reader.page.evaluate(
        "name => { const { data } = [...Bokeh.index.roots].find(v => v.canvas_view).model.document"
        ".get_model_by_name('samples'), i = data.sample.indexOf(name);"
        " return [data.x[i], data.y[i]]; }",
        name,
    )
    i = samples["sample_id"].tolist().index(name)
    assert abs(moved[0] - x[i]) < 40
    assert moved[1] > y[i] + 1000
    x[i], y[i] = moved
    rout = rout_line(x, y, page.options.rout_q)
    assert rout.outlier[i]
    assert set(after["Outliers"].split(", ")) == set(samples.loc[rout.outlier, "sample_id"])
    assert after["rho"] == f"{correlate(x, y).iloc[0]['estimate']:.2f}"
    assert "an outlier" in reader.part("said").inner_text()

    reader.part("reset").click()
    assert reader.rows() == rows
    reader.close()


@pytest.mark.browser
def test_dragging_by_keyboard(browser, site):
    reader = Reader(browser, site, "drag", viewport={"width": 1280, "height": 900})
    assert reader.page.evaluate("document.activeElement.dataset.part") == "subset"
    reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("ArrowDown")  # another sample
    for name in ("q", "reset", "plot"):
        reader.page.keyboard.press("Tab")
        assert reader.page.evaluate("document.activeElement.dataset.part") == name
    assert fastest(reader, "plot", "keydown", {"key": "ArrowLeft"}) < LONGEST
    before, said = reader.rows(), reader.part("said").inner_text()
    for _ in range(9):
        reader.page.keyboard.press("Shift+ArrowUp")
    assert reader.rows() != before
    assert reader.part("said").inner_text() != said
    found = reader.rows()["Outliers"]
    reader.part("q").focus()
    reader.page.keyboard.press("Home")  # Q = 0 finds nobody
    assert found != "none"
    assert reader.rows()["Outliers"] == "none"
    reader.part("subset").select_option("naive")
    assert reader.part("sample").locator("option").count() < len(Shown().samples)
    reader.close()


@pytest.mark.browser
def test_dragging_by_touch(browser, site):
    """A finger on a sample moves it; elsewhere it scrolls the page."""
    phone = {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}
    reader = Reader(browser, site, "drag", **phone)
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 375
    reader.part("plot").scroll_into_view_if_needed()
    name = Shown().samples.sort_values("cpm")["sample_id"].iloc[-1]
    before, (x, y) = reader.rows(), reader.dot(name)
    touch = reader.page.context.new_cdp_session(reader.page)

    def finger(kind: str, *points: tuple[float, float]) -> None:
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]},
        )

    scrolled = reader.page.evaluate("scrollY")
    finger("touchStart", (x, y))
    for step in range(1, 6):
        finger("touchMove", (x - 8 * step, y + 14 * step))
    finger("touchEnd")
    assert reader.rows() != before
    assert reader.page.evaluate("scrollY") == scrolled
    reader.close()


MARKED = """() => [...Bokeh.index.roots].filter(v => v.canvas_view).map(v => {
  const source = v.model.document.get_model_by_name('samples');
  return source.selected.indices.map(i => source.data.sample[i]);
})"""
"""Samples that each panel shows as marked: they share their source."""


@pytest.mark.browser
def test_brushing_marks_samples_in_all_panels(browser, site):
    reader = Reader(browser, site, "linked", viewport={"width": 1280, "height": 1200})
    page = Shown()
    samples = page.samples.dropna(subset=[correlations.OUTCOME])
    panels = reader.page.evaluate(
        "[...Bokeh.index.roots].filter(v => v.canvas_view).map(v => { const { left, top } ="
        " v.canvas_view.el.getBoundingClientRect(), b = v.frame.bbox;"
        " return [left + b.left, top + b.top, b.width, b.height]; })"
    )
    assert len(panels) == 6
    left, top, width, height = panels[0]
    reader.page.mouse.move(left + 2, top + 2)
    reader.page.mouse.down()
    reader.page.mouse.move(left + width / 2, top + height - 2, steps=5)
    reader.page.mouse.up()
    reader.page.evaluate(DRAWN)
    low, high = samples["cpm"].min(), samples["cpm"].max()
    expected = set(samples.loc[samples["cpm"] < (low + high) / 2, "sample_id"])
    marked = reader.page.evaluate(MARKED)
    assert set(marked[0]) == expected
    assert all(one == marked[0] for one in marked)
    assert f"Marked: {len(expected)} of" in reader.part("said").inner_text()

    reader.part("clear").click()
    assert "No sample" in reader.part("said").inner_text()
    name = samples["sample_id"].iloc[0]
    reader.page.mouse.click(*reader.dot(name, "cpm", "he_cellularity"))
    assert name in reader.page.evaluate(MARKED)[0]
    reader.close()


@pytest.mark.browser
def test_marking_by_keyboard_tells_of_a_patient_and_where_its_images_are(browser, site):
    reader = Reader(browser, site, "linked", viewport={"width": 1280, "height": 1200})
    page = Shown()
    who = cases(page.samples)["participant_id"].iloc[0]
    assert reader.page.evaluate("document.activeElement.dataset.part") == "sample"
    reader.page.keyboard.press("ArrowDown")
    assert reader.page.evaluate(MARKED)[0] == [page.samples["sample_id"].iloc[0]]
    reader.part("patient").select_option(who)
    mine = page.samples[page.samples["participant_id"] == who]
    assert set(reader.page.evaluate(MARKED)[0]) == set(mine["sample_id"])
    assert set(reader.rows()) == set(mine["sample_id"])
    links = reader.part("said").locator("a")
    assert links.count() == 1
    assert links.get_attribute("href") == "07_cases.html"
    assert fastest(reader, "patient", "input", {}) < LONGEST
    reader.close()


@pytest.mark.browser
def test_draws_grow_towards_the_exact_mean(browser, site):
    reader = Reader(browser, site, "draws", viewport={"width": 1280, "height": 900})
    page = Shown()
    table, rhos = non_independence.one_per_patient(page.samples, page.options)
    exact = table.set_index(["subset", "predictor"]).loc[("naive", "cpm"), "estimate"]
    reader.part("set").select_option("naive_cpm")

    def told() -> list[str]:
        return reader.page.locator(".cpmw-read tr").last.locator("th, td").all_inner_texts()

    reader.part("one").focus()
    for _ in range(3):
        reader.page.keyboard.press("Enter")
    first = rhos["naive", "cpm"][:3]
    assert told() == ["3", f"{first[-1]:.2f}", f"{first.mean():.3f}", f"{exact:.3f}"]
    assert reader.page.evaluate(COUNT) == 3
    reader.part("speed").fill(reader.part("speed").get_attribute("max"))
    reader.part("play").click()
    reader.page.wait_for_function(f"{COUNT} === {SHOWN}", timeout=20_000)
    assert abs(float(told()[2]) - exact) < 4 * rhos["naive", "cpm"].std() / SHOWN**0.5
    assert reader.part("play").inner_text() == "Go on drawing"
    assert fastest(reader, "reset", "click", {}) < LONGEST
    assert reader.page.evaluate(COUNT) == 0
    reader.close()


COUNT = """[...Bokeh.index.roots].find(v => v.canvas_view).model.document
  .get_model_by_name('bars').data.top.reduce((sum, count) => sum + count, 0)"""
"""Draws in the histogram."""


def test_draws_of_one_group_of_single_samples():
    alone = draws(lambda samples: samples.drop_duplicates("participant_id").iloc[:5])
    assert all(part["draws"] for part in data_of(alone)["sets"].values())
    none = draws(lambda samples: samples.iloc[:0])
    assert "not shown, since no subset" in none


@pytest.mark.browser
def test_a_patient_effect(browser, site):
    reader = Reader(browser, site, "patients", viewport={"width": 1280, "height": 900})
    shared, own, patient = patient_effect.made_up_parts()
    reader.part("icc").focus()
    for _ in range(6):
        reader.page.keyboard.press("ArrowRight")
    reader.part("next").click()
    x, y = patient_effect.mixed(shared[1], own[1], 0.6)
    drawn = reader.page.evaluate(
        "(({ data }) => [data.x, data.y])([...Bokeh.index.roots].find(v => v.canvas_view)"
        ".model.document.get_model_by_name('samples'))"
    )
    # The page carries four decimals of each part.
    np.testing.assert_allclose(drawn, [x, y], atol=2e-4)
    row = reader.page.locator(".cpmw-read tr").nth(1).locator("th, td").all_inner_texts()
    naive = stats.linregress(x, y).pvalue
    model = mixed_model_slope(x, y, patient)["p"].item()
    assert row[1:] == [f"{p:.3f}" if p >= 0.001 else "< 0.001" for p in (naive, model)]
    assert fastest(reader, "icc", "input", {}) < LONGEST
    reader.close()


def test_naive_analyses_find_too_much_where_samples_of_a_patient_resemble_each_other():
    share = data_of(patients())["share"]
    # Of a hundred sets five are expected; more than 12 have a chance below 0.001.
    assert share["naive"][0] <= 0.12
    assert max(share["with_patients"]) <= 0.12
    assert share["naive"][-1] > 0.2


def test_a_sphere_on_a_ramp_has_the_value_of_its_middle():
    """Whatever its size and weighting: a sphere is symmetrical; so the shifts go the right way."""
    found = data_of(sphere(partial(Head, kinds=("CPM", "ADC"))))
    shifts, maps = np.array(found["shifts"]), found["maps"]
    for weighting in ("voxel-centre", "partial-volume"):
        cpm, adc = (maps[key]["values"][weighting] for key in ("cpm", "adc"))
        size = len(found["diameters"])
        np.testing.assert_allclose(cpm["left"], np.tile(1000 + 20 * shifts, (size, 1)), atol=1e-3)
        np.testing.assert_allclose(adc["front"], np.tile(900 + 10 * shifts, (size, 1)), atol=1e-3)
        np.testing.assert_allclose(cpm["front"], 1000, atol=1e-3)
    parts = np.array(maps["cpm"]["parts"]["partial-volume"]["left"])
    assert (parts == 1).all()


def test_a_sphere_that_leaves_the_brain_has_no_value():
    found = data_of(sphere())
    values = np.array(found["maps"]["cpm"]["values"]["voxel-centre"]["left"][0], float)
    parts = np.array(found["maps"]["cpm"]["parts"]["voxel-centre"]["left"][0])
    shifts = np.array(found["shifts"])
    # Of 3 mm about a voxel's centre: its neighbours, and the brain ends at 8 voxels.
    assert (np.isnan(values) == (abs(shifts) > 9)).all()
    assert ((parts == 1) == (abs(shifts) <= 7)).all()
    assert ((parts == 0) == np.isnan(values)).all()


def test_a_sphere_needs_a_map_and_a_target():
    for text in (
        sphere(partial(Head, kinds=("mask",))),
        sphere(partial(Head, patients=[])),
        sphere(change=lambda samples: samples.assign(target_x=np.nan)),
        sphere(change=lambda samples: samples.assign(cpm=np.nan, adc=np.nan)),
    ):
        assert "not shown, since the dataset has no map with a target" in text
        assert "<script" not in text
    alone = data_of(sphere(change=lambda samples: samples.assign(cpm=np.nan)))
    assert set(alone["maps"]) == {"adc"}
    mine = data_of(sphere(roi_diameter=4.5, roi_weighting="partial-volume"))
    assert mine["diameters"][mine["start"]["diameter"]] == 4.5
    assert mine["start"]["weighting"] == "partial-volume"


@pytest.mark.browser
def test_a_sphere_moves_and_its_value_is_the_library_s(browser, site):
    reader = Reader(browser, site, "sphere", viewport={"width": 1280, "height": 900})
    head = Head(Shown().samples)
    images = head.made["CPM"], head.made["ADC"]

    def told() -> list[str]:
        return reader.page.locator(".cpmw-read tr").nth(1).locator("td").all_inner_texts()

    def at(image, place, diameter, weighting) -> str:
        value = roi_mean(image, head.target + place, diameter, weighting, head.made["mask"]).mean
        return f"{value:.0f}"

    usual = at(images[0], [0, 0, 0], 5, "voxel-centre")
    assert told()[0].split()[0] == usual
    reader.part("shift").focus()
    for _ in range(7):
        reader.page.keyboard.press("ArrowRight")
    reader.part("diameter").focus()
    for _ in range(3):
        reader.page.keyboard.press("ArrowRight")
    assert reader.part("diameter").get_attribute("aria-valuetext") == "8 mm"
    reader.part("weighting").select_option("partial-volume")
    assert told()[0].split()[0] == at(images[0], [-7, 0, 0], 8, "partial-volume") != usual
    assert reader.page.evaluate(SPHERE) == [7, 0, 4]
    reader.part("map").select_option("adc")
    reader.part("direction").select_option("front")
    assert told()[0].split()[0] == at(images[1], [0, 7, 0], 8, "partial-volume")
    assert reader.page.evaluate(SPHERE) == [0, 7, 4]
    assert "shifted by 7 mm to the front" in reader.part("said").inner_text()
    assert fastest(reader, "shift", "input", {}) < LONGEST

    reader.part("direction").select_option("left")
    reader.part("shift").press("Home")
    assert "shifted by 10 mm to the right" in reader.part("said").inner_text()
    reader.part("diameter").press("Home")
    reader.part("weighting").select_option("voxel-centre")
    assert told() == ["no value there"]
    reader.part("map").select_option("cpm")
    reader.part("reset").click()
    assert told()[0].split()[0] == usual
    reader.close()


SPHERE = """() => {
  const { data } = [...Bokeh.index.roots].find(v => v.canvas_view).model.document
    .get_model_by_name('sphere');
  return [data.x[0], data.y[0], data.radius[0]];
}"""
"""Where the sphere is drawn, and its radius, mm."""


@pytest.mark.browser
def test_a_finger_moves_the_sphere(browser, site):
    phone = {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}
    reader = Reader(browser, site, "sphere", **phone)
    box = reader.part("shift").bounding_box()
    reader.page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    assert reader.page.evaluate(SPHERE)[0] > 5
    reader.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("kind", WIDGETS)
def test_a_widget_fits_its_screen(browser, site, kind, width):
    reader = Reader(browser, site, kind, viewport={"width": width, "height": 800})
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = [part.bounding_box() for part in reader.page.locator(".bk-Canvas").all()]
    assert sizes
    assert all(size["height"] > 200 and 200 < size["width"] < width for size in sizes)
    reader.close()
