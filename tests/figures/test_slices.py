"""Pictures of slices: geometry on four orientations of one image, windows, marks, figures."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from cpmlib.book.cases import case_caption, case_findings
from cpmlib.figures.quality import PIXEL, SHADES, figure_quality, quality_row
from cpmlib.figures.quality import SHOWN as QUALITY_SHOWN
from cpmlib.figures.representative import (
    SHOWN,
    CaseImages,
    figure_representative,
)
from cpmlib.figures.slice_marks import (
    ROI_DIAMETER,
    add_colour_bar,
    draw_outline,
    draw_scale_bar,
    draw_target,
)
from cpmlib.figures.slices import (
    PLANES,
    STYLES,
    Plane,
    box_of_brain,
    draw_slice,
    field_of_view,
    robust_window,
    take_slice,
)
from cpmlib.figures.style import NO_IMAGES
from cpmlib.paper.cases import case_title
from cpmlib.roi.means import roi_mean
from cpmlib.study.errors import DatasetError

SHAPE = (20, 24, 16)
SLOPE = np.array([3.0, 5.0, 7.0])
ORIENTATIONS = ("RAS", "LAS", "LPS", "PIR", "oblique")


def world_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def ramp_image(orientation: str) -> nib.Nifti1Image:
    """An image whose value is 1000 + 3x + 5y + 7z wherever it is, stored in some orientation."""
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    if orientation == "oblique":
        a, b = 0.2, 0.1
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        affine[:3, :3] = turn @ tilt @ affine[:3, :3]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    values = 1000 + world_of(affine, SHAPE) @ SLOPE
    image = nib.Nifti1Image(values.astype(np.float32), affine)
    if orientation in ("RAS", "oblique"):
        return image
    wanted = axcodes2ornt(tuple(orientation))
    return image.as_reoriented(ornt_transform(io_orientation(affine), wanted))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("plane", PLANES)
def test_a_pixel_has_the_value_of_its_place_in_the_world(orientation: str, plane: Plane) -> None:
    point = np.array([2.5, -3.0, 4.0])
    box = np.array([[-8.0, -10.0, -9.0], [8.0, 10.0, 9.0]])
    slice_ = take_slice(ramp_image(orientation), point, plane, box=box, spacing=1.0)
    across, up, through = PLANES[plane]
    left, right, bottom, top = slice_.edges
    rows, columns = slice_.values.shape
    assert (left, right, bottom, top) == (box[1, across], box[0, across], box[0, up], box[1, up])
    place = np.zeros((rows, columns, 3))
    place[..., across] = left - 0.5 - np.arange(columns)
    place[..., up] = (top - 0.5 - np.arange(rows))[:, None]
    place[..., through] = slice_.position
    assert slice_.position == point[through]
    # Linear interpolation keeps a ramp; float32 holds about 7 digits of 1000.
    np.testing.assert_allclose(slice_.values, 1000 + place @ SLOPE, atol=2e-3)


def test_right_is_left_front_is_up() -> None:
    data = np.zeros((9, 9, 9), np.float32)
    affine = np.eye(4)
    affine[:3, 3] = -4
    data[7, 4, 4], data[4, 7, 4], data[4, 4, 7] = 1, 2, 3  # right, front, top
    image = nib.Nifti1Image(data, affine)
    axial, coronal, sagittal = (take_slice(image, (0, 0, 0), p).values for p in PLANES)
    assert axial[4, 1] == 1
    assert axial[1, 4] == 2
    assert coronal[4, 1] == 1
    assert coronal[1, 4] == 3
    assert sagittal[4, 1] == 2
    assert sagittal[1, 4] == 3


def test_no_value_stays_no_value_and_outside_is_none() -> None:
    data = np.ones((9, 9, 9), np.float32)
    data[:4] = np.nan
    image = nib.Nifti1Image(data, np.eye(4))
    slice_ = take_slice(image, (4, 4, 4))
    assert (np.isnan(slice_.values) == (np.arange(9)[::-1] < 4)).all()
    assert np.isnan(take_slice(image, (4, 4, 40)).values).all()


def test_wrong_arguments() -> None:
    image = ramp_image("RAS")
    with pytest.raises(ValueError, match="plane"):
        take_slice(image, (0, 0, 0), "oblique")  # type: ignore[arg-type]
    for point in ((0, 0), (0, 0, np.nan)):
        with pytest.raises(ValueError, match="point"):
            take_slice(image, point)
    with pytest.raises(ValueError, match="spacing"):
        take_slice(image, (0, 0, 0), spacing=-1)
    with pytest.raises(ValueError, match="box"):
        take_slice(image, (0, 0, 0), box=np.zeros((2, 3)))
    series = nib.Nifti1Image(np.zeros((3, 3, 3, 2), np.float32), np.eye(4))
    with pytest.raises(DatasetError, match=r"FLAIR.*shape"):
        take_slice(series, (0, 0, 0), name="FLAIR")
    infinite = nib.Nifti1Image(np.full((3, 3, 3), np.inf, np.float32), np.eye(4))
    with pytest.raises(DatasetError, match="infinite"):
        take_slice(infinite, (1, 1, 1))


@pytest.mark.parametrize("orientation", ORIENTATIONS[:4])
def test_field_of_view_does_not_depend_on_storage(orientation: str) -> None:
    box = field_of_view(ramp_image(orientation))
    np.testing.assert_allclose(box[1], np.array(SHAPE) * [2, 2, 3] / 2)
    np.testing.assert_allclose(box[0], -box[1])


def test_box_of_an_empty_brain_is_the_field_of_view() -> None:
    empty = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4))
    np.testing.assert_array_equal(box_of_brain(empty), field_of_view(empty))


# --- windows -----------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=40), st.floats(0.1, 100))
@settings(max_examples=100, deadline=None)
def test_a_window_rises_and_scales_with_the_image(values: list[float], gain: float) -> None:
    array = np.array(values)
    inside = np.ones(array.shape, bool)
    low, high = robust_window(array, inside)
    assert array.min() <= low < high
    low2, high2 = robust_window(array * gain, inside)
    assert low2 == pytest.approx(low * gain, rel=1e-9, abs=1e-25)
    # A window that was widened to the least step is not wider than rounding.
    assert high2 == pytest.approx(high * gain, rel=1e-5, abs=1e-25)


def test_scalp_does_not_darken_the_brain() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.uniform(200, 700, 1000), np.full(200, 5000.0), np.zeros(5000)])
    brain = np.arange(values.size) < 1000
    low, high = robust_window(values, brain)
    assert 200 <= low < 210
    assert 690 < high <= 700
    # Without a mask air is left out, but the scalp cannot be known.
    assert robust_window(values)[0] > 0


def test_no_value_no_window() -> None:
    with pytest.raises(ValueError, match="finite"):
        robust_window(np.full(3, np.nan))


# --- drawing -----------------------------------------------------------------------------------


def rendered(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=figure.dpi)
    width, height = (int(n) for n in figure.canvas.get_width_height())
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)


def full_panel(pixels: int = 160) -> tuple[Figure, Any]:
    figure = Figure(figsize=(1, 1), dpi=pixels)
    return figure, figure.add_axes((0, 0, 1, 1))


def test_the_picture_on_paper_has_right_on_the_left() -> None:
    data = np.full((16, 16, 16), 10, np.float32)
    data[13, 8, 8] = 100
    image = nib.Nifti1Image(data, np.eye(4))
    figure, ax = full_panel()
    draw_slice(ax, take_slice(image, (8, 8, 8)), STYLES["T1w"], limits=(0, 100))
    grey = rendered(figure)[..., 0]
    rows, columns = np.nonzero(grey > 200)
    assert columns.max() < 80
    assert 60 < rows.mean() < 100


def test_outside_the_brain_is_background_and_colours_follow_the_window() -> None:
    data = np.full((8, 8, 8), np.nan, np.float32)
    data[4:] = 3000
    figure, ax = full_panel()
    style = STYLES["CPM"]
    draw_slice(ax, take_slice(nib.Nifti1Image(data, np.eye(4)), (4, 4, 4)), style)
    colours = rendered(figure)[80, :, :3]
    assert (colours[120:] == 0).all()
    assert tuple(colours[40]) == (253, 231, 36)  # the bright end of viridis


def test_an_overlay_mixes_by_its_opacity() -> None:
    base = nib.Nifti1Image(np.full((8, 8, 8), 100, np.float32), np.eye(4))
    over = nib.Nifti1Image(np.full((8, 8, 8), 3000, np.float32), np.eye(4))
    figure, ax = full_panel()
    draw_slice(ax, take_slice(base, (4, 4, 4)), STYLES["T1w"], limits=(100, 200))
    draw_slice(ax, take_slice(over, (4, 4, 4)), STYLES["CPM"], opacity=0.5)
    # Half of viridis' bright end over black; 8-bit opacity and colour are rounded twice.
    assert np.abs(rendered(figure)[80, 80, :3] - np.array([253, 231, 36]) / 2).max() <= 2
    with pytest.raises(ValueError, match="opacity"):
        draw_slice(ax, take_slice(over, (4, 4, 4)), STYLES["CPM"], opacity=2)


def test_an_empty_slice_says_so() -> None:
    _, ax = full_panel()
    assert draw_slice(ax, take_slice(ramp_image("RAS"), (0, 0, 500)), STYLES["ADC"]) is None
    assert [text.get_text() for text in ax.texts] == ["no image here"]


def test_target_is_true_to_scale_and_not_covered() -> None:
    data = np.full((60, 60, 60), 100, np.float32)
    image = nib.Nifti1Image(data, np.eye(4))
    target = (25.0, 40.0, 30.0)
    figure, ax = full_panel(600)
    slice_ = take_slice(image, target)
    draw_slice(ax, slice_, STYLES["T1w"], limits=(0, 100))
    draw_target(ax, target, slice_)
    (circle,) = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert circle.get_center() == (25.0, 40.0)
    assert circle.get_radius() == ROI_DIAMETER / 2
    shown = rendered(figure)[..., :3].astype(int)
    coloured = np.argwhere(np.ptp(shown, axis=2) > 40)
    # 10 pixels a mm; x falls from 59.5 at the left, y from 59.5 at the top.
    distance = np.hypot(coloured[:, 0] - 195, coloured[:, 1] - 345) / 10
    # Nothing inside the sphere's outline but half the line's width (0.9 pt = 0.75 mm here) + rim.
    assert distance.min() > 2.5 - 0.8
    assert 2.4 < np.median(distance[distance < 4]) < 2.6
    assert distance.max() > 12


@pytest.mark.parametrize(("away", "style"), [(0, "-"), (2.4, "-"), (2.6, ":"), (-9, ":")])
def test_a_target_beside_the_slice_is_dotted(away: float, style: str) -> None:
    _, ax = full_panel()
    image = ramp_image("RAS")
    draw_target(ax, (0, 0, away), take_slice(image, (0, 0, 0)), ticks=False)
    assert ax.patches[0].get_linestyle() == style
    assert not ax.lines


def test_outline_runs_along_the_mask() -> None:
    mask = np.zeros((20, 20, 5), np.float32)
    mask[5:12, 3:9] = 1
    image = nib.Nifti1Image(mask, np.eye(4))
    figure, ax = full_panel()
    slice_ = take_slice(image, (0, 0, 2), interpolation="nearest")
    draw_slice(ax, slice_, STYLES["T1w"], limits=(0, 1))
    draw_outline(ax, slice_)
    (line,) = ax.lines
    points = np.column_stack(line.get_data())
    assert points.min(axis=0) == pytest.approx([4.5, 2.5])
    assert points.max(axis=0) == pytest.approx([11.5, 8.5])
    np.testing.assert_array_equal(points[0], points[-1])
    del figure


def test_scale_bar_is_as_long_as_it_says() -> None:
    _, ax = full_panel()
    slice_ = take_slice(ramp_image("RAS"), (0, 0, 0))
    draw_slice(ax, slice_, STYLES["T1w"])
    draw_scale_bar(ax, 10, "1 cm")
    ends = ax.transAxes.transform(np.column_stack(ax.lines[0].get_data()))
    in_mm = ax.transData.inverted().transform(ends)
    assert abs(np.diff(in_mm[:, 0])[0]) == pytest.approx(10)


@pytest.mark.parametrize(
    ("values", "ends"),
    [((10, 20), "neither"), ((-5, 20), "min"), ((10, 9999), "max"), ((-5, 9999), "both")],
)
def test_colour_bar_points_to_what_lies_beyond(values: tuple[float, float], ends: str) -> None:
    data = np.full((4, 4, 4), values[0], np.float32)
    data[0] = values[1]
    figure = Figure()
    axes = figure.subplots(2, 1)
    slice_ = take_slice(nib.Nifti1Image(data, np.eye(4)), (2, 2, 2))
    drawn = draw_slice(axes[0], slice_, STYLES["ADC"])
    assert drawn is not None
    assert add_colour_bar(axes[1], drawn, STYLES["ADC"]).extend == ends


# --- figures -----------------------------------------------------------------------------------


@cache
def patient() -> dict[str, nib.Nifti1Image]:
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -38
    world = world_of(affine, (20, 20, 20))
    brain = np.linalg.norm(world, axis=-1) < 32
    rng = np.random.default_rng(5)
    images = {}
    for name in ("T1w", "T1wGd", "FLAIR", "ADC", "CPM", "rCBV"):
        values = rng.uniform(0.5, 1, brain.shape) * {"rCBV": 3}.get(name, 1500)
        if name in ("ADC", "CPM", "rCBV"):
            values = np.where(brain, values, np.nan)
        images[name] = nib.Nifti1Image(values.astype(np.float32), affine)
    images["mask"] = nib.Nifti1Image(brain.astype(np.float32), affine)
    return images


def svg(figure: Figure) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "test"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def texts(figure: Figure) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_figure_of_cases_shows_all_and_says_what_is_missing() -> None:
    tile = np.full((60, 60, 3), 200, np.uint8)
    cases = [
        CaseImages("fig3a", (5, 6, 7), patient(), tile, 5.0),
        CaseImages("fig3b", (0, 0, 0), {**patient(), "rCBV": None}),
    ]
    figure = figure_representative(cases)
    shown = texts(figure)
    assert {"Fig. 3a", "Fig. 3b", "100 µm", "3 cm", "1 cm", "R", "L"} <= set(shown)
    assert shown.count("not\navailable") == 2
    assert all(shown.count(STYLES[name].title) == 2 for name in SHOWN)
    circles = figure.findobj(Circle)
    assert len(circles) == 2 * (len(SHOWN) + len(SHOWN) - 1)
    drawn = svg(figure)
    assert len(drawn) < 1.5e6
    assert drawn == svg(figure_representative(cases)), "equal cases give equal files"


def test_a_case_without_any_image_still_has_its_row() -> None:
    figure = figure_representative([CaseImages("x", (0, 0, 0), {})])
    assert texts(figure).count("not\navailable") == len(SHOWN) + 1
    svg(figure)


def test_wrong_cases() -> None:
    with pytest.raises(ValueError, match="no case"):
        figure_representative([])
    with pytest.raises(ValueError, match="tile"):
        figure_representative([CaseImages("x", (0, 0, 0), {}, np.zeros((4, 4)))])
    tile = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="pixel"):
        figure_representative([CaseImages("x", (0, 0, 0), {}, tile, 0.0)])
    with pytest.raises(ValueError, match="point"):
        figure_representative([CaseImages("x", (0, 0, np.inf), patient())])


def test_caption_holds_the_row_and_nothing_else() -> None:
    row = {
        "case": "fig3a",
        "sex": "M",
        "age": 44.0,
        "diagnosis_cns5": "<b>astrocytoma</b> grade 3",
        "treatment": "treatment-naive",
        "location": "fronto-parietal",
        "enhancement": "nCET",
        "cpm": 1499.6,
        "adc": 1127.2,
        "he_cellularity": 4749.0,
    }
    assert case_caption(row) == (
        r"**Fig\. 3a**: male, 44 years, \<b\>astrocytoma\</b\> grade 3 (treatment-naïve), "
        r"fronto\-parietal; sample from non-enhancing tumour. CPM 1500 cells/mm², "
        "ADC 1127 × 10⁻⁶ mm²/s, H&E 4749 cells/mm²."
    )


def test_caption_names_side_idh_and_blood_volume_where_they_are_known() -> None:
    head = patient()
    target = np.array([20.0, 6, 7])
    found = case_findings(CaseImages("x", target, head))
    expected = roi_mean(head["rCBV"], target).mean
    assert found == {"side": "right", "rcbv": expected}
    row = {"case": "x", "idh": "mutant", "diagnosis_cns5": "glioma", "location": "frontal"}
    text = case_caption(row | found)
    assert "glioma, IDH mutant" in text
    assert "right frontal" in text
    assert f"rCBV {expected:.1f} times white matter" in text
    assert "left left" not in case_caption(row | {"location": "left frontal", "side": "left"})
    near = case_findings(CaseImages("x", (1, 6, 7), {"mask": head["mask"], "rCBV": None}))
    assert near == {}, "no side at the midline, no value without a map"
    assert case_findings(CaseImages("x", target, {})) == {}


def test_caption_of_an_empty_row_invents_nothing() -> None:
    text = case_caption({"case": "x", "cpm": None, "age": float("nan")})
    assert not any(character.isdigit() for character in text.replace("10⁻⁶", ""))
    assert text.count("n/a") == 9


def test_names_that_are_no_figures_stay() -> None:
    assert case_title("fig10") == "Fig. 10"
    assert case_title("figure3") == "Case figure3"


def unmoved() -> dict[str, nib.Nifti1Image]:
    """A patient whose perfusion series was not moved far: quality control draws no rCBV."""
    return {kind: image for kind, image in patient().items() if kind != "rCBV"}


def test_quality_figure_has_a_row_a_patient() -> None:
    targets = [[0.0, 0, -9], [3, 3, 2], [9, 9, 30]]
    whole = quality_row("sub-01", unmoved(), unmoved()["mask"], targets)
    assert whole.slices["CPM"].position == 2
    part = quality_row("sub-02", {"T1w": unmoved()["T1w"], "CPM": None}, None, [])
    assert part.slices["T1w"].position == pytest.approx(0)
    figure = figure_quality(iter([whole, part]))
    shown = texts(figure)
    assert {"sub-01\nz = 2 mm", "sub-02\nz = 0 mm"} <= set(shown)
    assert shown.count("not available") == len(QUALITY_SHOWN) - 1
    styles = [circle.get_linestyle() for circle in figure.findobj(Circle)]
    assert styles.count("-") == len(QUALITY_SHOWN)
    assert styles.count(":") == 2 * len(QUALITY_SHOWN)
    drawn = svg(figure)
    assert drawn == svg(figure_quality([whole, part]))
    # Each panel drawn as pixels would keep a picture of the whole figure while a PDF is written.
    assert {ax.get_rasterization_zorder() for ax in figure.axes} == {None}
    # 27 patients stay small even of noise, which compresses worst.
    one = len(svg(figure_quality([whole, whole]))) - len(svg(figure_quality([whole])))
    assert 27 * one < 1.6e6
    assert SHADES < 256
    assert PIXEL < 2


def test_extrapolation_is_a_last_column_over_the_anatomy() -> None:
    images = dict(unmoved())
    counts = np.zeros(images["T1w"].shape, np.float32)
    counts[5:9, 5:9] = 1
    counts[9:12, 5:9] = 3
    counts[:3] = np.nan
    images["extrapolation"] = nib.Nifti1Image(counts, images["T1w"].affine)
    with_, without = (
        quality_row("sub-01", chosen, images["mask"], []) for chosen in (images, unmoved())
    )
    figure = figure_quality([with_, without])
    assert len(figure.axes) == 2 * (len(QUALITY_SHOWN) + 1) + len(UNITS)
    last = figure.axes[len(QUALITY_SHOWN)]
    assert last.get_title() == "outside training"
    _, overlay = last.images
    drawn = overlay.get_array()
    # Nothing is laid over what the model knows; one contrast and more differ in colour.
    assert set(np.ma.compressed(drawn)) == {1.0, 3.0}
    assert drawn.mask.sum() > 0
    one, more = overlay.cmap(overlay.norm(1)), overlay.cmap(overlay.norm(3))
    assert one != more
    # A patient whose map was brought has no such slice, and the panel says so.
    panels = [ax for ax in figure.axes if ax.get_xlabel() not in UNITS]
    assert "not available" in panels[-1].texts[0].get_text()
    assert len(figure_quality([without]).axes) == len(QUALITY_SHOWN) + len(UNITS)


UNITS = [style.unit for key, style in STYLES.items() if key in QUALITY_SHOWN and style.unit]


def test_colours_of_values_have_a_bar_and_what_no_patient_has_no_panel() -> None:
    whole = quality_row("sub-01", unmoved(), unmoved()["mask"], [])
    figure = figure_quality([whole, whole])
    bars = [ax for ax in figure.axes if ax.get_xlabel()]
    assert [bar.get_xlabel() for bar in bars] == UNITS
    for bar, key in zip(bars, ("ADC", "CPM"), strict=True):
        assert tuple(bar.get_xlim()) == STYLES[key].limits
        above = figure.axes[len(QUALITY_SHOWN) + QUALITY_SHOWN.index(key)].get_position()
        assert above.x0 < bar.get_position().x0 < bar.get_position().x1 < above.x1
        assert 0 < bar.get_position().y0 < bar.get_position().y1 < above.y0
    some = {kind: unmoved()[kind] for kind in ("T1w", "FLAIR")}
    assert len(figure_quality([quality_row("sub-01", some, None, [])]).axes) == 2
    assert "not available" not in texts(figure_quality([quality_row("sub-01", some, None, [])]))


def test_wrong_quality_rows() -> None:
    with pytest.raises(ValueError, match="no image"):
        quality_row("sub-01", {"T1w": None}, None, [])
    with pytest.raises(ValueError, match="finite"):
        quality_row("sub-01", unmoved(), None, [[0, 0, np.nan]])
    assert figure_quality([]).get_label() == NO_IMAGES


def test_the_sphere_is_drawn_in_the_size_that_was_averaged():
    from matplotlib.patches import Circle

    from cpmlib.figures.quality import figure_quality, quality_row

    image = nib.Nifti1Image(np.full((40, 40, 20), 1000, np.float32), np.diag([3.0, 3, 3, 1]))
    row = quality_row("P01", {"T1wGd": image}, None, [[60.0, 60, 30]])
    for diameter in (5.0, 9.0):
        circles = [
            patch
            for ax in figure_quality([row], diameter).axes
            for patch in ax.patches
            if isinstance(patch, Circle)
        ]
        assert circles
        assert {2 * circle.radius for circle in circles} == {diameter}
