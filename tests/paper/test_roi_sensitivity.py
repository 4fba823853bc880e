"""Sensitivity of the ROI mean on fields whose means are known, and on real anatomy."""

from __future__ import annotations

from functools import cache

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from scipy.spatial.distance import pdist

from cpmlib.book.page import NARROW
from cpmlib.figures.roi import RoiPanel, figure_rois, figure_sensitivity, roi_panel
from cpmlib.figures.slices import STYLES
from cpmlib.figures.style import NO_IMAGES
from cpmlib.paper.roi_sensitivity import (
    COLUMNS,
    DIAMETERS,
    N_DIRECTIONS,
    SETTING,
    SHIFTS,
    by_sample,
    directions,
    sensitivity,
    summary,
)
from cpmlib.roi.means import roi_mean, roi_table
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import ImageOptions

PARTIAL = ImageOptions(roi_weighting="partial-volume")


def targets_at(*points: tuple[float, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(points, columns=["target_x", "target_y", "target_z"])
    table.insert(0, "sample_id", [f"sample-{i}" for i in range(len(points))])
    return table


def field(function, size: int = 48) -> nib.Nifti1Image:
    """A 1-mm image of a function of the world, its origin in the middle."""
    affine = np.eye(4)
    affine[:3, 3] = -(size // 2)
    x, y, z = (axis - size // 2 for axis in np.indices((size, size, size)).astype(float))
    return nib.Nifti1Image(function(x, y, z), affine)


@cache
def anatomy() -> tuple[dict[str, nib.Nifti1Image], pd.DataFrame]:
    """The template as two maps, and targets inside its brain."""
    template, mask = load_mni152_template(resolution=2), load_mni152_brain_mask(resolution=2)
    cpm = nib.Nifti1Image(1000 + 2000 * np.asarray(template.dataobj, float), template.affine)
    adc = nib.Nifti1Image(2000 - 1000 * np.asarray(template.dataobj, float), template.affine)
    points = [(30, -20, 20), (-25, 30, 10), (40, -50, 5), (-40, -10, -10), (0, 60, 10)]
    return {"CPM": cpm, "ADC": adc, "mask": mask, "rCBV": adc}, targets_at(*points)


@cache
def real() -> pd.DataFrame:
    return sensitivity(*anatomy())


@pytest.mark.parametrize("count", [1, 2, 12, N_DIRECTIONS, 200])
def test_directions_are_spread_over_the_sphere(count: int) -> None:
    vectors = directions(count)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-12)
    if count < 12:
        return
    # For N points on a sphere the least distance is at most sqrt(8 pi / (sqrt(3) N)) (Fejes Toth);
    # random points come far below half of it.
    assert pdist(vectors).min() > 0.7 * np.sqrt(8 * np.pi / (np.sqrt(3) * count))
    # Second moments of an even spread: a third along each axis.
    np.testing.assert_allclose(vectors.T @ vectors / count, np.eye(3) / 3, atol=0.02)


def test_no_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        directions(0)


def test_linear_field_changes_as_its_slope_says() -> None:
    """Over a sphere a linear field has the mean of its centre, whatever the diameter."""
    slope = np.array([3.0, -2.0, 1.0])
    image = field(lambda x, y, z: 1000 + 3 * x - 2 * y + z)
    table = sensitivity({"ADC": image}, targets_at((1, 2, 3)), PARTIAL)
    default = 1000 + slope @ [1, 2, 3]
    # On a voxel's centre weights are symmetric: what is left is the third decimal that is kept.
    np.testing.assert_allclose(table["default"], default, atol=6e-4)
    sizes = table[table["varied"] != "shift"]
    np.testing.assert_allclose(sizes["value"], default, atol=6e-4)
    moved = table[table["varied"] == "shift"]
    vectors = np.vstack([np.zeros(3), directions()])[moved["direction"]]
    expected = default + moved["shift"].to_numpy() * (vectors @ slope)
    # Off the voxels' centres, a tenth of a voxel's change (see test_roi).
    np.testing.assert_allclose(moved["value"], expected, atol=0.1 * np.linalg.norm(slope))
    at_five = by_sample(table).query("varied == 'shift' and shift == 5").iloc[0]
    change = 5 * np.abs(directions() @ slope)
    assert at_five["n_directions"] == N_DIRECTIONS
    assert at_five["largest_change"] == pytest.approx(change.max(), abs=0.4)
    assert at_five["mean_change"] == pytest.approx(change.mean(), abs=0.4)
    # The mean square of a direction's cosine is a third.
    assert at_five["sd"] == pytest.approx(5 * np.linalg.norm(slope) / np.sqrt(3), rel=0.05)


def test_square_of_the_distance_has_its_analytic_mean() -> None:
    """The mean of r^2 over a ball of radius R is 3 R^2 / 5."""
    image = field(lambda x, y, z: 100 * (x**2 + y**2 + z**2))
    table = sensitivity({"CPM": image}, targets_at((0, 0, 0)), PARTIAL)
    sizes = table[table["varied"] == "diameter"].set_index("diameter")["value"]
    assert sizes.index.tolist() == list(DIAMETERS)
    expected = 100 * 0.6 * (sizes.index.to_numpy() / 2) ** 2
    # The mean of x^2 over a 1-mm voxel is that of its centre plus 1/12: a quarter in three axes,
    # and voxels slice_ by the surface count with their centre's value.
    assert np.abs(sizes - expected).max() < 100 * 0.5


def test_rows_are_those_of_single_spheres() -> None:
    maps, targets = anatomy()
    table = real()
    assert list(table) == COLUMNS
    per_map = len(DIAMETERS) + 1 + len(SHIFTS) * N_DIRECTIONS + 2
    assert len(table) == len(targets) * 2 * per_map
    assert set(table["map"]) == {"cpm", "adc"}
    assert not table.duplicated(["sample_id", *SETTING, "direction"]).any()
    vectors = np.vstack([np.zeros(3), directions()])
    points = targets.set_index("sample_id")
    for row in table.sample(60, random_state=1).to_dict("records"):
        centre = points.loc[row["sample_id"]].to_numpy(float)
        centre = centre + row["shift"] * vectors[row["direction"]]
        image = maps[row["map"].upper()]
        value = roi_mean(image, centre, row["diameter"], row["weighting"], maps["mask"])
        assert row["value"] == pytest.approx(value.mean, abs=5.1e-4)  # the third decimal is kept
        assert row["coverage"] == pytest.approx(value.coverage, abs=5.1e-7)
    expected = roi_table({"cpm": maps["CPM"]}, targets, mask=maps["mask"])["cpm_mean"]
    found = table[table["map"] == "cpm"].groupby("sample_id")["default"].first()
    np.testing.assert_allclose(found, expected, atol=5.1e-4)


def test_settings_equal_to_the_default_change_nothing() -> None:
    table = real()
    same = table.query("shift == 0 and diameter == 5 and weighting == 'voxel-centre'")
    assert set(same["varied"]) == {"diameter", "shift", "weighting"}
    assert (same["value"] == same["default"]).all()
    overall = summary(table).query("shift == 0 and diameter == 5 and weighting == 'voxel-centre'")
    assert len(overall) == 6
    assert (overall["largest_relative"] == 0).all()
    np.testing.assert_allclose(overall["correlation"], 1, atol=1e-12)


def test_larger_shifts_change_more_on_real_anatomy() -> None:
    moved = summary(real()).query("varied == 'shift' and map == 'cpm'").set_index("shift")
    assert moved["median_relative"].is_monotonic_increasing or (
        moved["median_relative"].loc[10.0] > 2 * moved["median_relative"].loc[1.0]
    )
    assert moved["correlation"].loc[1.0] > moved["correlation"].loc[10.0]
    assert (moved["n"] == 5).all()


def test_summary_is_that_of_the_samples() -> None:
    table, samples = real(), by_sample(real())
    row = summary(table).query("map == 'adc' and varied == 'shift' and shift == 7").iloc[0]
    part = table.query("map == 'adc' and varied == 'shift' and shift == 7")
    change = (part["value"] - part["default"]).abs() / part["default"]
    per_sample = change.groupby(part["sample_id"]).mean()
    assert row["median_relative"] == pytest.approx(per_sample.median(), rel=1e-12)
    assert row["largest_relative"] == pytest.approx(per_sample.max(), rel=1e-12)
    rho = [g["value"].corr(g["default"], method="spearman") for _, g in part.groupby("direction")]
    assert row["correlation"] == pytest.approx(np.mean(rho), rel=1e-9)
    assert len(samples) == 5 * 2 * (len(DIAMETERS) + 1 + len(SHIFTS) + 2)


def test_patients_are_put_together_by_rows() -> None:
    maps, targets = anatomy()
    parts = [sensitivity(maps, targets.iloc[rows]) for rows in (slice(0, 2), slice(2, 5))]
    together = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(together, real())


def test_a_sphere_that_leaves_the_brain_has_no_value() -> None:
    image = field(lambda x, y, z: np.where(np.abs(x) + np.abs(y) + np.abs(z) <= 1, 500, np.nan))
    table = sensitivity({"ADC": image}, targets_at((0, 0, 0)))
    assert table.query("shift == 10")["value"].isna().all()
    assert (table.query("shift == 10")["coverage"] == 0).all()
    row = by_sample(table).query("shift == 10").iloc[0]
    assert (row["n_directions"], row["n_outside"]) == (0, N_DIRECTIONS)
    assert np.isnan(row["mean_change"])
    overall = summary(table).query("shift == 10").iloc[0]
    assert (overall["n"], overall["n_outside"]) == (0, N_DIRECTIONS)
    assert np.isnan(overall["correlation"])


def test_what_cannot_be_read_is_said() -> None:
    image = field(lambda x, y, z: np.where(x == 6, np.inf, 500))
    with pytest.raises(DatasetError, match="infinite"):
        sensitivity({"ADC": image}, targets_at((0, 0, 0)))
    good = field(lambda x, y, z: 0 * x + 500)
    with pytest.raises(DatasetError, match="field of view"):
        sensitivity({"ADC": good}, targets_at((0, 0, 0), (90, 0, 0)))


@pytest.mark.parametrize("case", ["no map", "no target", "target n/a"])
def test_nothing_to_read_gives_an_empty_table(case: str) -> None:
    image = field(lambda x, y, z: 0 * x + 500)
    maps = {"rCBV": image} if case == "no map" else {"CPM": image}
    targets = targets_at((0, 0, 0))
    targets = targets.iloc[:0] if case == "no target" else targets
    if case == "target n/a":
        targets["target_y"] = np.nan
    table = sensitivity(maps, targets)
    assert list(table) == COLUMNS
    assert table.empty
    assert by_sample(table).empty
    assert summary(table).empty
    texts = [text.get_text() for ax in figure_sensitivity(table).axes for text in ax.texts]
    assert texts.count("no map with a target") == 6


def test_a_default_of_zero_has_no_relative_change() -> None:
    table = sensitivity({"CPM": field(lambda x, y, z: x)}, targets_at((0, 0, 0)))
    assert by_sample(table)["relative"].isna().all()
    assert by_sample(table)["mean_change"].notna().all()
    assert summary(table)["median_relative"].isna().all()
    texts = [text.get_text() for ax in figure_sensitivity(table).axes for text in ax.texts]
    assert texts.count("no change in per cent of 0") == 2


def test_options_decide_the_default() -> None:
    maps, targets = anatomy()
    options = ImageOptions(roi_diameter=6.5, roi_weighting="partial-volume")
    table = sensitivity(maps, targets.iloc[:1], options)
    sizes = table.query("varied == 'diameter' and map == 'adc'")["diameter"]
    assert sizes.tolist() == sorted({*DIAMETERS, 6.5})
    image, point = maps["ADC"], targets.iloc[0, 1:].to_numpy(float)
    default = roi_mean(image, point, 6.5, "partial-volume", maps["mask"]).mean
    assert table.query("map == 'adc'")["default"].iloc[0] == pytest.approx(default, abs=5.1e-4)


def test_figure_shows_every_sample_and_the_medians() -> None:
    figure = figure_sensitivity(real())
    axes = [ax for ax in figure.axes if ax.get_title()]
    assert len(axes) == 6
    overall = summary(real())
    for i, key in enumerate(("cpm", "adc")):
        ax = axes[3 * i]
        lines = [line for line in ax.lines if len(line.get_xdata()) == len(DIAMETERS)]
        assert len(lines) == 5 + 1
        sizes = real().query(f"map == '{key}' and varied == 'diameter'")
        change = 100 * (sizes["value"] / sizes["default"] - 1)
        expected = change.groupby(sizes["diameter"]).median()
        np.testing.assert_allclose(lines[-1].get_ydata(), expected, atol=1e-9)
        medians = overall.query(f"map == '{key}' and varied == 'shift'")["median_relative"]
        np.testing.assert_allclose(axes[3 * i + 1].lines[-1].get_ydata(), 100 * medians, atol=1e-9)
    figure.draw_without_rendering()


def panels(count: int) -> list[RoiPanel]:
    maps, targets = anatomy()
    result = []
    for i in range(count):
        row = targets.iloc[i % len(targets)]
        point = row.iloc[1:].to_numpy(float)
        flag = "partly outside the brain" if i == 1 else ""
        result.append(roi_panel(maps["CPM"], point, f"sample-{i}", flag))
    return result


def test_every_roi_is_drawn_where_it_is() -> None:
    shown = panels(66)
    figure = figure_rois(shown, "CPM")
    width = figure.get_size_inches()[0]
    assert width <= 8.3  # a page
    *used, bar = figure.axes
    assert len(used) == 66
    assert bar.get_xlabel() == "CPM (cells/mm²)"
    assert tuple(bar.get_xlim()) == STYLES["CPM"].limits
    assert bar.get_position().y1 < min(ax.get_position().y0 for ax in used)
    for ax, panel in zip(used, shown, strict=True):
        assert panel.sample_id in ax.get_title()
        (circle,) = ax.patches
        assert circle.center == pytest.approx(tuple(panel.target[:2]))
        assert circle.radius == 2.5
        left, right = ax.get_xlim()
        assert left > right  # the patient's right on the left of the picture
        # A circle of 5 mm of at least 2 points can be seen in print.
        box = ax.get_position()
        assert 5 / (left - right) * box.width * width * 72 >= 2
    assert "partly outside the brain" in used[1].get_title()
    assert "partly" not in used[0].get_title()
    # Below the last row is room for the line that says what the data are.
    height = figure.get_size_inches()[1]
    assert min(ax.get_position().y0 for ax in used) * height > 0.2


def test_a_single_roi_stands_in_the_middle_of_a_page() -> None:
    figure = figure_rois(panels(1), "CPM", size=3)
    ax, _ = figure.axes
    box = ax.get_position()
    assert box.x0 == pytest.approx(1 - box.x1)
    # Pages stretch a figure to their width; the panel takes no more than two thirds of it.
    assert box.width < 0.67
    assert figure.get_size_inches()[0] < NARROW


def test_slice_of_a_panel_passes_through_the_target() -> None:
    spot = field(lambda x, y, z: ((x == 9) & (y == -4) & (z == 6)).astype(np.float32))
    panel = roi_panel(spot, (9, -4, 6), "sample-a", "", width=21, spacing=1.0)
    picture = panel.slice.values  # noqa: PD011
    ((row, column),) = np.argwhere(picture > 0.5)
    left, right, bottom, top = panel.slice.edges
    assert panel.slice.position == 6
    assert left + (column + 0.5) * (right - left) / picture.shape[1] == pytest.approx(9)
    assert top + (row + 0.5) * (bottom - top) / picture.shape[0] == pytest.approx(-4)


def test_figures_say_what_is_wrong() -> None:
    assert figure_rois([], "CPM").get_label() == NO_IMAGES
    with pytest.raises(ValueError, match="expected one of"):
        figure_rois(panels(1), "PET")
    image = field(lambda x, y, z: 0 * x)
    with pytest.raises(ValueError, match="three finite"):
        roi_panel(image, (0, np.nan, 0), "a", "")
    with pytest.raises(ValueError, match="width is 0"):
        roi_panel(image, (0, 0, 0), "a", "", width=0)


def test_values_that_are_left_out_are_not_read():
    image = field(lambda x, y, z: x)
    targets = targets_at((0, 0, 0), (400, 0, 0)).assign(adc=[800.0, np.nan])
    whole = sensitivity({"ADC": image}, targets.iloc[:1])
    pd.testing.assert_frame_equal(sensitivity({"ADC": image}, targets), whole)
