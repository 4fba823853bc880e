"""Tables of quality control: what was read at the targets, what tiles say, numbers of the maps.

``regions`` has a row for each sample, as `cpmlib.book.study_images.StudyImages.table` joins them;
``quality`` a row for each patient, as `cpmlib.book.study_images.StudyImages.quality` returns it;
``shown`` holds the cells as a reader sees them: texts, under short names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from cpmlib.study.options import MUCH_OUTSIDE
from cpmlib.study.schemas import NAMES

SPHERES: Mapping[str, str] = {
    "participant_id": "patient",
    "sample_id": "sample",
    "cpm_n_voxels": "voxels",
    "cpm_coverage": "coverage",
    "cpm_extrapolation": "extrapolation",
    "cpm_flag": "flag",
}
"""Column of the regions and how it is called where spheres are listed."""

TILES: Mapping[str, str] = {
    "participant_id": "patient",
    "sample_id": "sample",
    "he_tile_density": "tile",
    "he_cellularity": "exports",
}
"""The same where tiles are listed."""

ALIKE: Mapping[str, tuple[str, float]] = {
    "median_CPM": ("CPM", 2.0),
    "median_ADC": ("ADC", 1.5),
    "median_rCBV": ("rCBV", 2.0),
}
"""Median of a brain, the map, and by which factor a patient's may differ from the cohort's: more
than brains with a tumour do, less than units."""

FEWEST = 3
"""Patients that make a cohort."""

NUMBERS: Mapping[str, tuple[str, str, float]] = {
    "brain_ml": ("brain (ml)", "{:.0f}", 1),
    "median_CPM": ("median CPM (cells/mm²)", "{:.0f}", 1),
    "median_ADC": ("median ADC (10⁻⁶ mm²/s)", "{:.0f}", 1),
    "median_rCBV": ("median rCBV", "{:.2f}", 1),
    "raw_sd": ("raw SD (cells/mm²)", "{:.0f}", 1),
    "extrapolation_T1w": ("T1 outside (%)", "{:.2f}", 100),
    "extrapolation_T1wGd": ("T1+Gd outside (%)", "{:.2f}", 100),
    "extrapolation_FLAIR": ("FLAIR outside (%)", "{:.2f}", 100),
    "extrapolation_ADC": ("ADC outside (%)", "{:.2f}", 100),
    "extrapolation_any": ("any outside (%)", "{:.2f}", 100),
    "perfusion_r2": ("perfusion R²", "{:.2f}", 1),
    "perfusion_reference": ("perfusion reference (%)", "{:.0f}", 100),
    "perfusion_k_at_bound": ("return at bound (%)", "{:.0f}", 100),
}
"""Number of a patient's quality, its name, how it is written, and the factor to that unit."""


def unlike_the_others(numbers: pd.DataFrame) -> list[tuple[str, str]]:
    """Say whose maps do not look like those of the cohort: ``participant_id`` and note.

    Examples
    --------
    >>> table = {"participant_id": ["P01", "P02", "P03"], "median_CPM": [900.0, 1000, 3000]}
    >>> unlike_the_others(pd.DataFrame(table))
    [('P03', "CPM: the median of the brain is 3000, 3 times the cohort's")]
    """
    notes = []
    for column, (kind, factor) in ALIKE.items():
        known = numbers.dropna(subset=column) if column in numbers else numbers.iloc[:0]
        if len(known) < FEWEST:
            continue
        cohort = known[column].median()
        for who, value in zip(known["participant_id"], known[column], strict=True):
            if not cohort / factor <= value <= cohort * factor:
                said = f"{value:.4g}, {value / cohort:.2g} times the cohort's"
                notes.append((str(who), f"{kind}: the median of the brain is {said}"))
    return notes


def several_origins(origins: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """Say whose cellularity map has another origin than most patients': scales may differ.

    ``origins`` by patient, of each map; returned are ``participant_id`` and note.

    Examples
    --------
    >>> several_origins({"P1": {"CPM": "a"}, "P2": {"CPM": "a"}, "P3": {"CPM": "b"}})
    [('P3', "CPM: b, while most patients' maps are: a; their scales may differ")]
    """
    known = {who: maps["CPM"] for who, maps in origins.items() if "CPM" in maps}
    if len(set(known.values())) < 2:
        return []
    usual = Counter(known.values()).most_common(1)[0][0]
    said = f"while most patients' maps are: {usual}; their scales may differ"
    return [(who, f"CPM: {origin}, {said}") for who, origin in known.items() if origin != usual]


def spheres(regions: pd.DataFrame) -> pd.DataFrame:
    """List the spheres on the cellularity map, those with most to look at first.

    Columns `SPHERES`; by falling share of extrapolation, then by rising coverage, then in the order
    of the regions. Samples without a map or a target are left out.

    Examples
    --------
    >>> regions = pd.DataFrame({"sample_id": ["S01", "S02"], "cpm_extrapolation": [0.0, 0.5]})
    >>> spheres(regions)["sample_id"].tolist()
    ['S02', 'S01']
    """
    table = regions.reindex(columns=list(SPHERES))
    table = table.dropna(subset=list(SPHERES)[2:], how="all")
    keys = ["cpm_extrapolation", "cpm_coverage"]
    order = table[keys].astype(float).fillna({"cpm_extrapolation": 0.0})
    order = order.sort_values(keys, ascending=[False, True], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def tiles(regions: pd.DataFrame) -> pd.DataFrame:
    """Compare the density that is counted on each tile with that of the sample's exports.

    Columns `TILES` (cells/mm2) and ``ratio``, tile to exports; samples with a tile only.

    Examples
    --------
    >>> columns = {"sample_id": ["S01"], "he_tile_density": [1900.0], "he_cellularity": [2000.0]}
    >>> tiles(pd.DataFrame(columns))["ratio"].tolist()
    [0.95]
    """
    table = regions.reindex(columns=list(TILES)).dropna(subset="he_tile_density")
    table = table.sort_values("sample_id").reset_index(drop=True)
    ratio = table["he_tile_density"].astype(float) / table["he_cellularity"].astype(float)
    return table.assign(ratio=ratio)


def format_spheres(table: pd.DataFrame) -> pd.DataFrame:
    """Return what `spheres` lists as a reader sees it.

    Examples
    --------
    >>> format_spheres(spheres(pd.DataFrame({"sample_id": ["S01"], "cpm_coverage": [1.0]})))
      patient sample voxels coverage extrapolation flag
    0     n/a    S01    n/a     1.00           n/a
    """
    flags = table["cpm_flag"].astype(object).where(table["cpm_flag"].notna(), "")
    patterns = {"cpm_n_voxels": "{:.0f}", "cpm_coverage": "{:.2f}", "cpm_extrapolation": "{:.2f}"}
    return _written(table, patterns).assign(cpm_flag=flags).rename(columns=SPHERES)


def format_origins(table: pd.DataFrame) -> pd.DataFrame:
    """Return rows of ``origins.tsv``, or their counts, as a reader sees them.

    Examples
    --------
    >>> format_origins(pd.DataFrame({"sample_id": ["S01"], "quantity": ["adc"], "given": [900.0]}))
      sample quantity  given
    0    S01      ADC  900.0
    """
    patterns = {name: "{:.1f}" for name in ("given", "extracted") if name in table.columns}
    shown = _written(table, patterns).replace({"quantity": NAMES})
    return shown.rename(columns={"sample_id": "sample"})


def format_regions(table: pd.DataFrame) -> pd.DataFrame:
    """Return the values and regions of samples as a reader sees them: no flags, no counts.

    Examples
    --------
    >>> columns = {"sample_id": ["S01"], "cpm": [1200.0], "cpm here": [1200.0], "cpm_flag": [""]}
    >>> format_regions(pd.DataFrame(columns)).columns.tolist()
    ['sample', 'CPM', 'CPM here']
    """
    kept = [name for name in table if not str(name).endswith(("_flag", "_n_voxels"))]
    return table[kept].round(2).rename(columns=_title)


def _title(column: str) -> str:
    """Write the name of a column of the regions as a reader sees it."""
    for name, said in NAMES.items():
        if column.startswith(name):
            return said + column.removeprefix(name).replace("_sd", " SD").replace("_", " ")
    return column.removesuffix("_id")


def format_tiles(table: pd.DataFrame) -> pd.DataFrame:
    """Return what `tiles` compares as a reader sees it."""
    patterns = {"he_tile_density": "{:.0f}", "he_cellularity": "{:.0f}", "ratio": "{:.2f}"}
    return _written(table, patterns).rename(columns=TILES)


def format_quality(table: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of the patients as a reader sees them: no powers of ten.

    Examples
    --------
    >>> format_quality(pd.DataFrame({"participant_id": ["P01"], "extrapolation_ADC": [0.000611]}))
      patient ADC outside (%)
    0     P01            0.06
    """
    known = {name: style for name, style in NUMBERS.items() if name in table.columns}
    scaled = table.assign(**{name: table[name] * style[2] for name, style in known.items()})
    shown = _written(scaled, {name: style[1] for name, style in known.items()})
    names = {name: style[0] for name, style in known.items()}
    return shown.rename(columns={"participant_id": "patient", **names})


def patients_by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """List which patients share each text of a column.

    Examples
    --------
    >>> patients_by(pd.DataFrame({"participant_id": ["P01", "P02"], "note": ["a", "a"]}), "note")
       patients note
    0  P01, P02    a
    """
    listed = table.groupby(column, sort=False)["participant_id"].agg(", ".join)
    return listed.rename("patients").reset_index()[["patients", column]]


def extrapolation_warning(table: pd.DataFrame) -> str | None:
    """Say in which patients `cpmlib.study.options.MUCH_OUTSIDE` of the map or more extrapolates.

    Examples
    --------
    >>> table = pd.DataFrame({"participant_id": ["P01", "P02"], "extrapolation_any": [0.0, 1.0]})
    >>> extrapolation_warning(table)
    'WARNING: in 1 of 2 patients (P02) 10 % or more of the cellularity map lies outside ...'
    """
    if "extrapolation_any" not in table.columns:
        return None
    concerned = table.loc[table["extrapolation_any"] >= MUCH_OUTSIDE, "participant_id"]
    if concerned.empty:
        return None
    return (
        f"WARNING: in {len(concerned)} of {len(table)} patients ({', '.join(concerned)})"
        f" {100 * MUCH_OUTSIDE:.0f} % or more of the cellularity map lies outside the range of the"
        " training data. The model was shown nothing like it, and its values there are not to be"
        " trusted. Check the units and scaling of the contrasts, or take a model that was trained"
        " on such images."
    )


def _written(table: pd.DataFrame, patterns: Mapping[str, str]) -> pd.DataFrame:
    shown = table.astype(object).where(table.notna(), "n/a")
    for column, pattern in patterns.items():
        cells = [pattern.format(cell) if pd.notna(cell) else "n/a" for cell in table[column]]
        shown[column] = pd.Series(cells, index=table.index, dtype=object)
    return shown
