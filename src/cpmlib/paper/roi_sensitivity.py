"""What the choice of the region of interest does to the value of a sample.

The sphere of 5 mm is moved, resized and weighted otherwise, one choice at a time; the rest stays
as in the options. A shift stands for what makes a coordinate wrong, such as brain shift after the
skull is opened; since its direction is not known, it is tried in all.

In the tables, ``varied`` is ``diameter`` (mm), ``shift`` (mm) or ``weighting``, and ``direction``
the number of a unit vector of the world, 0 without shift.

Vocabulary
----------
- *default ROI*: the sphere with the diameter and weighting of the options, without shift.
- *change from the default*: absolute difference from the value of the default ROI; a relative one
  is a share of that value's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple, get_args

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.paper.subsets import PREDICTORS
from cpmlib.roi.means import EmptySphere, SphereReader, roi_table
from cpmlib.statistics.results import why_not_estimable
from cpmlib.study.options import AXES, ImageOptions, RoiWeighting
from cpmlib.study.schemas import wanted

DIAMETERS = tuple(float(d) for d in range(3, 11))
SHIFTS = tuple(float(s) for s in range(1, 11))
"""What is tried beside the default, mm."""

N_DIRECTIONS = 24
"""Directions of a shift: about 30 degrees from one to the next."""

DECIMALS = 3
"""Values are kept to this many digits, far below what can be measured, so that all machines agree;
a coverage, a share of 1, to twice as many."""

SETTING = ["map", "varied", "diameter", "shift", "weighting"]
"""Columns that say how a value was taken."""

COLUMNS = ["sample_id", *SETTING, "direction", "value", "coverage", "default"]


def directions(count: int = N_DIRECTIONS) -> np.ndarray:
    """Return unit vectors, (count, 3), that are spread evenly: a Fibonacci lattice on the sphere.

    Heights are the midpoints of `count` equal slices, which all have one area, and each vector is
    turned by the golden angle from the one before (Swinbank & Purser 2006, Q J R Meteorol Soc
    132:1769). A count below 1 raises ValueError.

    Examples
    --------
    >>> np.abs(directions(24).mean(axis=0)).max() < 0.02
    np.True_
    """
    if count < 1:
        raise ValueError(f"count is {count}; expected at least one direction")
    i = np.arange(count)
    z = 1 - (2 * i + 1) / count
    angle = i * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - z**2)
    return np.column_stack([across * np.cos(angle), across * np.sin(angle), z])


def sensitivity(
    maps: Mapping[str, nib.Nifti1Image],
    targets: pd.DataFrame,
    options: ImageOptions | None = None,
) -> pd.DataFrame:
    """Read a patient's CPM and ADC in every sphere that is tried at each target.

    Parameters
    ----------
    maps
        ``"CPM"``, ``"ADC"`` and the brain's ``"mask"``, each on its own grid, as far as there is.
    targets
        ``sample_id``, ``target_x``, ``target_y``, ``target_z`` (world, mm, RAS+); samples without
        a target are left out, and single values that `cpmlib.study.schemas.wanted` names.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, one row a sample, map, setting and direction; ``value`` in the unit of the map,
        NaN where the sphere lies wholly outside. Tables of several patients can be put together.

    Raises
    ------
    DatasetError
        If a default cannot be read (see `cpmlib.roi.means.roi_table`).

    Examples
    --------
    >>> image = nib.Nifti1Image(np.full((30, 30, 30), 800, np.float32), np.eye(4))
    >>> targets = pd.DataFrame({"sample_id": ["a"], "target_x": 15, "target_y": 15, "target_z": 15})
    >>> table = sensitivity({"ADC": image}, targets)
    >>> table.groupby("varied")["value"].agg(["size", "min", "max"])
               size    min    max
    varied
    diameter      8  800.0  800.0
    shift       241  800.0  800.0
    weighting     2  800.0  800.0
    """
    options = options or ImageOptions()
    placed = targets.dropna(subset=list(AXES)).reset_index(drop=True)
    images = {key: maps[name] for key, name in PREDICTORS.items() if name in maps}
    mask = maps.get("mask")
    defaults = {key: _defaults(key, image, placed, options, mask) for key, image in images.items()}
    rows: list[dict[str, object]] = []

    @cache
    def reader(key: str, diameter: float, weighting: RoiWeighting) -> SphereReader:
        return SphereReader(images[key], diameter, weighting, mask, key)

    for sample, *place in placed[["sample_id", *AXES]].itertuples(index=False):
        point = np.array(place, dtype=float)
        for key in [key for key in images if sample in defaults[key].index]:
            default = float(defaults[key][sample])
            for setting, centre in _settings(point, options):
                sphere = reader(key, setting.diameter, setting.weighting)
                value, coverage = _read(sphere, centre)
                read = {"value": value, "coverage": coverage, "default": default}
                rows.append({"sample_id": sample, "map": key} | setting._asdict() | read)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.round({"value": DECIMALS, "default": DECIMALS, "coverage": 2 * DECIMALS})


def _defaults(
    key: str,
    image: nib.Nifti1Image,
    placed: pd.DataFrame,
    options: ImageOptions,
    mask: nib.Nifti1Image | None,
) -> pd.Series:
    """Mean of the sphere that the analysis takes, of each sample of which it wants this value."""
    size = options.roi_diameter, options.roi_weighting
    regions = roi_table({key: image}, placed[wanted(placed, key)], *size, mask)
    return regions.set_index("sample_id")[f"{key}_mean"]


def by_sample(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise the directions of each shift; other rows stay one by one.

    Parameters
    ----------
    table
        As `sensitivity` returns it, of one or many patients; without columns, of none.

    Returns
    -------
    pandas.DataFrame
        One row a sample and setting: ``mean`` and ``sd`` (root mean square) of the values over
        directions, ``mean_change`` and ``largest_change``, all in the unit of the map; ``relative``
        (``mean_change`` by the size of the default; NaN if that is 0), ``default``,
        ``n_directions`` with a value, and ``n_outside`` without.

    Examples
    --------
    >>> row = {"sample_id": "a", "map": "adc", "varied": "shift", "diameter": 5.0, "shift": 2.0,
    ...        "weighting": "voxel-centre", "coverage": 1.0, "default": 100.0}
    >>> table = pd.DataFrame([row | {"direction": 1, "value": 90.0},
    ...                       row | {"direction": 2, "value": 130.0}])
    >>> by_sample(table)[["mean", "sd", "mean_change", "largest_change", "relative"]]
        mean    sd  mean_change  largest_change  relative
    0  110.0  20.0         20.0            30.0       0.2
    """
    if "map" not in table:
        return pd.DataFrame(columns=["sample_id", *SETTING])
    table = table.assign(change=(table["value"] - table["default"]).abs())
    groups = table.groupby(["sample_id", *SETTING], sort=False)
    result = groups.agg(
        mean=("value", "mean"),
        mean_change=("change", "mean"),
        largest_change=("change", "max"),
        default=("default", "first"),
        n_directions=("value", "count"),
    )
    result["sd"] = groups["value"].std(ddof=0)
    result["n_outside"] = groups.size() - result["n_directions"]
    result = result.reset_index()
    size = result["default"].abs()
    result["relative"] = result["mean_change"] / size.where(size > 0)
    return result


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise over samples what each setting does.

    Returns
    -------
    pandas.DataFrame
        One row a map and setting: ``n`` samples with a value, ``median_relative`` and
        ``largest_relative`` (over samples, of the change relative to the default; of a shift, of
        its mean over directions), ``correlation`` (Spearman's rho of the values with the defaults
        over samples; of a shift, the mean of the rho of each direction; NaN for fewer than three
        samples or a constant), and ``n_outside``, spheres without a value.
    """
    if "map" not in table:
        return pd.DataFrame({"map": []})
    samples = by_sample(table)
    groups = samples.groupby(SETTING, sort=False)
    result = groups.agg(
        n=("mean", "count"),
        median_relative=("relative", "median"),
        largest_relative=("relative", "max"),
        n_outside=("n_outside", "sum"),
    )
    by_direction = {
        key: [_rank_correlation(group) for _, group in rows.groupby("direction")]
        for key, rows in table.groupby(SETTING, sort=False)
    }
    result["correlation"] = [_mean(by_direction[key]) for key in result.index]
    return result.reset_index()


def table_regions(overall: pd.DataFrame) -> pd.DataFrame:
    """Lay `summary` out for the page."""
    names = {
        "median_relative": "median change",
        "largest_relative": "largest change",
        "correlation": "rank correlation",
        "diameter": "diameter (mm)",
        "shift": "shift (mm)",
        "n_outside": "outside",
    }
    shown = overall.replace({"map": PREDICTORS})
    for column in shown.columns.intersection(["median_relative", "largest_relative"]):
        shown[column] = (100 * shown[column]).map("{:.1f} %".format)
    if "correlation" in shown:
        shown["correlation"] = shown["correlation"].map("{:.3f}".format)
    return shown.rename(columns=names)


class _Setting(NamedTuple):
    varied: str
    diameter: float
    shift: float
    weighting: RoiWeighting
    direction: int


def _settings(point: np.ndarray, options: ImageOptions) -> Iterator[tuple[_Setting, np.ndarray]]:
    """Yield each setting and the centre of its sphere."""
    base = _Setting("diameter", options.roi_diameter, 0.0, options.roi_weighting, 0)
    for diameter in sorted({*DIAMETERS, options.roi_diameter}):
        yield base._replace(diameter=diameter), point
    yield base._replace(varied="shift"), point
    for shift in SHIFTS:
        for number, vector in enumerate(directions(), start=1):
            setting = base._replace(varied="shift", shift=shift, direction=number)
            yield setting, point + shift * vector
    for weighting in get_args(RoiWeighting):
        yield base._replace(varied="weighting", weighting=weighting), point


def _read(sphere: SphereReader, centre: np.ndarray) -> tuple[float, float]:
    """Return value and coverage; NaN and 0 where the sphere has left the image or the brain."""
    try:
        found = sphere.value(centre)
    except EmptySphere:
        return np.nan, 0.0
    return found.mean, found.coverage


def _rank_correlation(rows: pd.DataFrame) -> float:
    values, defaults = rows[["value", "default"]].dropna().to_numpy(dtype=float).T
    if why_not_estimable(values, defaults):
        return np.nan
    from scipy import stats

    return float(stats.spearmanr(values, defaults).statistic)


def _mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan
