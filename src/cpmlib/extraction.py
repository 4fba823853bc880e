"""Maps and counts -> the measured columns of the sample table.

Vocabulary
----------
- *measured columns*: ``cpm``, ``adc``, ``he_cellularity`` (`cpmlib.schemas.MEASURED`).
- *given*: a value that the study's own table holds; it is used as it is.
- *extracted*: a mean over the sphere at the target, or a density from counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.errors import DatasetError
from cpmlib.histology import CellCount, count_cells
from cpmlib.options import ImageOptions
from cpmlib.preprocessing.grid import resample_to
from cpmlib.qupath.pixel_size import pixel_size_of
from cpmlib.roi import roi_table
from cpmlib.schemas import MEASURED
from cpmlib.study_files import SIDECARS, PatientFiles

if TYPE_CHECKING:
    from cpmlib.maps import PatientMaps

DECIMALS = 1
"""Extracted values are kept to a tenth of their unit: far below what can be measured, and the same
on every machine."""

AGREEMENT = 0.02
"""Relative difference between a given and an extracted value from which a note is made."""

MAPS = {"cpm": "CPM", "adc": "ADC"}
"""Measured column and the map that it is read from."""

ROI_COLUMNS = ("sd", "n_voxels", "coverage", "flag")

EXTRAPOLATION = "cpm_extrapolation"
"""Column: share of a sphere's weight on voxels whose tile leaves the training range, 0 to 1."""


def extract_regions(
    maps: PatientMaps, targets: pd.DataFrame, options: ImageOptions
) -> pd.DataFrame:
    """Average a patient's maps over the sphere at each target.

    Parameters
    ----------
    maps
        The patient's.
    targets
        ``sample_id``, ``target_x``, ``target_y``, ``target_z`` (mm, RAS+); samples without a
        target are left out.
    options
        Diameter and weighting.

    Returns
    -------
    pandas.DataFrame
        One row a sample: for ``cpm`` and ``adc`` the mean, ``_sd``, ``_n_voxels``, ``_coverage``
        and ``_flag``; only what there is a map for. For a predicted map also `EXTRAPOLATION`.

    Raises
    ------
    DatasetError
        For targets outside the map or the brain, all of them named.
    """
    placed = targets.dropna(subset=["target_x", "target_y", "target_z"])
    columns = ["sample_id", "target_x", "target_y", "target_z"]
    placed = placed[columns].reset_index(drop=True)
    tables = []
    for column, kind in MAPS.items():
        if kind in maps.maps and len(placed):
            image = maps.maps[kind]
            mask = maps.maps.get("mask")
            if mask is not None:
                mask = resample_to(mask, image.affine, image.shape, "nearest", "mask")
            table = roi_table(
                {column: image},
                placed,
                diameter=options.roi_diameter,
                weighting=options.roi_weighting,
                mask=mask,
            )
            tables.append(table.set_index("sample_id").rename(columns={f"{column}_mean": column}))
    if tables and "extrapolation" in maps.maps:
        tables.append(_extrapolation(maps.maps["extrapolation"], placed, options))
    if not tables:
        return pd.DataFrame({"sample_id": pd.Series(dtype=object)})
    joined = pd.concat(tables, axis=1)
    for column in MAPS:
        if column in joined:
            joined[column] = joined[column].round(DECIMALS)
    return joined.reset_index()


def _extrapolation(
    counts: nib.Nifti1Image, placed: pd.DataFrame, options: ImageOptions
) -> pd.DataFrame:
    """Return the share of each sphere in which the model extrapolates; NaN is no part of it."""
    values = np.asarray(counts.dataobj)
    outside = np.where(np.isnan(values), np.nan, values > 0).astype(np.float32)
    table = roi_table(
        {EXTRAPOLATION: nib.Nifti1Image(outside, counts.affine)},
        placed,
        diameter=options.roi_diameter,
        weighting=options.roi_weighting,
    )
    share = table.set_index("sample_id")[[f"{EXTRAPOLATION}_mean"]]
    return share.set_axis([EXTRAPOLATION], axis=1).round(4)


def count_samples(files: PatientFiles, pixel_size_um: float | None = None) -> pd.DataFrame:
    """Count the cells of each sample that has QuPath exports.

    Parameters
    ----------
    files
        A patient's.
    pixel_size_um
        Of every slide whose exports do not give their own; None where it is not known.

    Returns
    -------
    pandas.DataFrame
        ``sample_id``, ``he_cellularity`` (cells/mm2), ``he_nuclei``, ``he_tissue_area`` (mm2),
        ``he_source``, ``he_notes`` (what `cpmlib.histology.CellCount` notes, joined by ``"; "``).

    Raises
    ------
    DatasetError
        Listing what is wrong with every export.
    """
    rows, problems = [], []
    for sample, exports in files.exports.items():
        if not set(exports) & {"annotations", "detections", "geojson"}:
            continue
        beside = [exports[kind] for kind in SIDECARS if kind in exports]
        try:
            count: CellCount = count_cells(
                annotation=exports.get("annotations"),
                detections=exports.get("detections"),
                geojson=exports.get("geojson"),
                pixel_size_um=pixel_size_of(beside) or pixel_size_um,
            )
        except DatasetError as error:
            problems += error.problems
            continue
        rows.append(
            {
                "sample_id": sample,
                "he_cellularity": round(count.density, DECIMALS),
                "he_nuclei": float(count.n_cells),
                "he_tissue_area": count.tissue_area_mm2,
                "he_source": count.source,
                "he_notes": "; ".join(count.notes),
            }
        )
    if problems:
        raise DatasetError(problems)
    columns = ["he_cellularity", "he_nuclei", "he_tissue_area", "he_source", "he_notes"]
    return pd.DataFrame(rows, columns=["sample_id", *columns])


def fill_measured(
    samples: pd.DataFrame, extracted: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fill the measured columns of a sample table with what was extracted.

    Parameters
    ----------
    samples
        The study's own table; a value that it gives is kept.
    extracted
        One row a sample: ``sample_id`` and any measured columns.

    Returns
    -------
    samples : pandas.DataFrame
        With all measured columns.
    origins : pandas.DataFrame
        ``sample_id``, ``quantity``, ``used``, ``given``, ``extracted`` and ``note`` for each
        sample and measured column.

    Examples
    --------
    >>> samples = pd.DataFrame({"sample_id": ["a", "b"], "cpm": [1000.0, np.nan]})
    >>> extracted = pd.DataFrame({"sample_id": ["a", "b"], "cpm": [1100.0, 1200.0]})
    >>> filled, origins = fill_measured(samples, extracted)
    >>> filled["cpm"].tolist()
    [1000.0, 1200.0]
    >>> origins["note"][0]
    'given and extracted value differ by 10 %'
    """
    filled = samples.copy()
    found = extracted.set_index("sample_id").reindex(samples["sample_id"])
    rows: list[Mapping[str, object]] = []
    for column in (*MEASURED, "he_nuclei", "he_tissue_area"):
        given = _column(samples, column)
        new = _column(found, column)
        if column not in MEASURED and np.isnan(new).all() and column not in samples:
            continue
        if column not in MEASURED:  # count and area go together with the density that is used
            density = _column(samples, "he_cellularity")
            new = np.where(np.isnan(density), new, np.nan)
        filled[column] = np.where(np.isnan(given), new, given)
        if column in MEASURED:
            rows += _origins(samples["sample_id"], column, given, new)
    return filled, pd.DataFrame(rows)


def contradicted(origins: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``origins.tsv``, as read, in which the images contradict the table.

    Examples
    --------
    >>> origins = pd.DataFrame({"sample_id": ["a", "b"], "note": [np.nan, "differ by 10 %"]})
    >>> contradicted(origins)["sample_id"].tolist()
    ['b']
    """
    # A text that is empty is read as NaN, and a column of such texts as numbers.
    return origins[origins["note"].notna()].reset_index(drop=True)


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(dtype=float)


def _origins(
    names: pd.Series, column: str, given: np.ndarray, new: np.ndarray
) -> list[Mapping[str, object]]:
    rows: list[Mapping[str, object]] = []
    for name, old, extracted in zip(names, given, new, strict=True):
        used = "given" if not np.isnan(old) else "extracted" if not np.isnan(extracted) else "none"
        note = ""
        if not np.isnan(old) and not np.isnan(extracted):
            difference = abs(extracted / old - 1)
            if difference > AGREEMENT:
                note = f"given and extracted value differ by {100 * difference:.0f} %"
        rows.append(
            {
                "sample_id": name,
                "quantity": column,
                "used": used,
                "given": old,
                "extracted": extracted,
                "note": note,
            }
        )
    return rows
