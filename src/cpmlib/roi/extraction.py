"""Maps and counts -> the measured columns of the sample table.

A value that the study's own table holds is *given* and used as it is; a mean over the sphere at the
target, or a density from counts, is *extracted*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.histology.pixel_size import pixel_size_of
from cpmlib.histology.qupath import count_cells
from cpmlib.roi.means import roi_table
from cpmlib.study.errors import Problem, collected, told_together
from cpmlib.study.files import PatientFiles
from cpmlib.study.names import COUNTED, SIDECARS
from cpmlib.study.options import AXES, ImageOptions
from cpmlib.study.schemas import EXCLUSIONS, MEASURED, SAMPLES, wanted

if TYPE_CHECKING:
    from cpmlib.cpm.patient_maps import PatientMaps

DECIMALS = 1
"""Of extracted values: far below what can be measured, and the same on every machine."""

AGREEMENT = 0.02
"""Relative difference between a given and an extracted value from which a note is made."""

MAPS = {"cpm": "CPM", "adc": "ADC"}
"""Measured column and the map that it is read from."""

HISTOLOGY = ["sample_id", "he_cellularity", "he_nuclei", "he_tissue_area", "he_source"]
HISTOLOGY += ["he_cellularity_source", "he_notes"]
"""Columns of what is counted."""

EXTRAPOLATION = "cpm_extrapolation"
"""Column: share of a sphere's weight on voxels whose patch leaves the training range, 0 to 1."""


def extract_regions(
    maps: PatientMaps, targets: pd.DataFrame, options: ImageOptions
) -> pd.DataFrame:
    """Average a patient's maps over the sphere at each target.

    Samples without a target are left out, and values that their table says are not to be read
    (`cpmlib.study.schemas.wanted`). Returns a row a sample: for ``cpm`` and ``adc``, where there is
    a map, the mean, ``_sd``, ``_n_voxels``, ``_coverage``, ``_flag`` and ``_source``; for a
    predicted map also `EXTRAPOLATION`. Raises DatasetError for targets outside the map or the
    brain, and means that no sample can have.
    """
    placed = targets.dropna(subset=list(AXES))
    tables = []
    for column, kind in MAPS.items():
        image, read = maps.maps.get(kind), placed[wanted(placed, column)]
        if image is None or read.empty:
            continue
        table = _read(image, read, options, column, maps.maps.get("mask"))
        table = table.rename(columns={f"{column}_mean": column})
        table[column] = table[column].round(DECIMALS)
        tables.append(table.assign(**{f"{column}_source": maps.origins.get(kind, kind)}))
    counts, read = maps.maps.get("extrapolation"), placed[wanted(placed, "cpm")]
    if counts is not None and len(read):
        values = np.asarray(counts.dataobj)
        outside = np.where(np.isnan(values), np.nan, values > 0).astype(np.float32)
        share = nib.Nifti1Image(outside, counts.affine)
        table = _read(share, read, options, EXTRAPOLATION)[[f"{EXTRAPOLATION}_mean"]]
        tables.append(table.set_axis([EXTRAPOLATION], axis=1).round(4))
    if not tables:
        return pd.DataFrame({"sample_id": pd.Series(dtype=object)})
    joined = pd.concat(tables, axis=1).reset_index()
    _refuse_impossible(joined)
    return joined


def _read(
    image: nib.Nifti1Image,
    targets: pd.DataFrame,
    options: ImageOptions,
    name: str,
    mask: nib.Nifti1Image | None = None,
) -> pd.DataFrame:
    diameter, weighting = options.roi_diameter, options.roi_weighting
    return roi_table({name: image}, targets, diameter, weighting, mask).set_index("sample_id")


def _refuse_impossible(table: pd.DataFrame) -> None:
    """Refuse values that the schema of samples does not admit."""
    with told_together() as problems:
        for column in [name for name in MAPS if name in table]:
            said = SAMPLES.columns[column].metadata or {}
            low, high = said["range"]
            for sample, value in table.set_index("sample_id")[column].items():
                if value < low or value > high:
                    found = f"a mean {MAPS[column]} of {value:g}"
                    remedy = "correct the map or the target"
                    problems.append(Problem(str(sample), found, said["expected"], remedy))


def count_samples(files: PatientFiles, pixel_size_um: float | None = None) -> pd.DataFrame:
    """Count the cells of each of a patient's samples that has QuPath exports: a row, `HISTOLOGY`.

    Densities are in cells/mm2, areas in mm2; ``he_cellularity_source`` has the kinds of export. The
    pixel size is that of slides whose exports do not give their own. One DatasetError tells what is
    wrong with any export.
    """
    rows: list[tuple[object, ...]] = []
    with told_together() as problems:
        for sample, exports in files.exports.items():
            kinds = [kind for kind in COUNTED if kind in exports]
            if not kinds:
                continue
            beside = [exports[kind] for kind in SIDECARS if kind in exports]
            with collected(problems):
                count = count_cells(
                    annotation=exports.get("annotations"),
                    detections=exports.get("detections"),
                    geojson=exports.get("geojson"),
                    pixel_size_um=pixel_size_of(beside) or pixel_size_um,
                )
                density, cells = round(count.density, DECIMALS), float(count.n_cells)
                source, notes = f"exports: {', '.join(kinds)}", "; ".join(count.notes)
                area = count.tissue_area_mm2
                rows.append((sample, density, cells, area, count.source, source, notes))
    return pd.DataFrame(rows, columns=HISTOLOGY)


def fill_measured(
    samples: pd.DataFrame, extracted: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add the measured columns that a sample table does not have, from what was extracted.

    A column of the study's own table is kept as it is: a value that is missing there is left out on
    purpose. `extracted` has ``sample_id``, ``participant_id`` where two patients' samples may share
    a name, and any measured columns.

    Returns the samples and, for each measured column, their origins: ``sample_id``, ``quantity``,
    ``used`` (``given``, ``extracted``, ``left out`` where the table says n/a, ``excluded`` where it
    says why, or ``none``), ``source`` (``table``, where an extracted value was read, or ``none``),
    ``given``, ``extracted`` and ``note``.

    Examples
    --------
    >>> samples = pd.DataFrame({"sample_id": ["a", "b"], "cpm": [1000.0, np.nan]})
    >>> extracted = pd.DataFrame({"sample_id": ["a", "b"], "cpm": [1100.0, 1200.0], "adc": 900.0})
    >>> filled, origins = fill_measured(samples, extracted)
    >>> filled[["cpm", "adc"]].to_numpy().tolist()
    [[1000.0, 900.0], [nan, 900.0]]
    >>> origins["used"].tolist()
    ['given', 'left out', 'extracted', 'extracted', 'none', 'none']
    >>> origins["note"][0]
    'given and extracted value differ by 10 %'
    """
    filled = samples.copy()
    shared = set(samples.columns) & set(extracted.columns)
    keys = [name for name in ("participant_id", "sample_id") if name in shared]
    wanted = samples[keys[0]] if len(keys) == 1 else pd.MultiIndex.from_frame(samples[keys])
    found = extracted.set_index(keys).reindex(wanted)
    rows: list[pd.DataFrame] = []
    for column in (*MEASURED, "he_nuclei", "he_tissue_area"):
        given = _column(samples, column)
        new = _column(found, column)
        if column in MEASURED:
            sources = found.get(f"{column}_source", pd.Series(np.nan, found.index))
            rows.append(_origins(samples, column, given, new, sources))
        elif "he_cellularity" in samples.columns:  # count and area are those of the density used
            new = np.full(len(new), np.nan)
        if column in MEASURED or not np.isnan(new).all():
            filled[column] = given if column in samples.columns else new
    return filled, pd.concat(rows, ignore_index=True)


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
    samples: pd.DataFrame, column: str, given: np.ndarray, new: np.ndarray, sources: pd.Series
) -> pd.DataFrame:
    reasons = ["exclude_reason", *(name for name, kind in EXCLUSIONS.items() if kind == column)]
    excluded = samples.reindex(columns=reasons).notna().any(axis=1)
    if column in samples.columns:
        used = np.where(np.isnan(given), "left out", "given")
    else:
        used = np.where(np.isnan(new), "none", "extracted")
    used = np.where(excluded, "excluded", used)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.abs(new / given - 1)
    told_apart = (used == "given") & (difference > AGREEMENT)
    notes = [f"given and extracted value differ by {100 * share:.0f} %" for share in difference]
    return pd.DataFrame(
        {
            "sample_id": samples["sample_id"].to_numpy(),
            "quantity": column,
            "used": used,
            "source": np.select([used == "given", used == "extracted"], ["table", sources], "none"),
            "given": given,
            "extracted": new,
            "note": np.where(told_apart, notes, ""),
        }
    )
