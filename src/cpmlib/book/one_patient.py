"""Tables of the page that follows one patient; what the patient has nothing of gives no row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cpmlib.book.quality import format_quality
from cpmlib.study.options import AXES

if TYPE_CHECKING:
    from cpmlib.histology.nucleus_counting import NucleusCount
    from cpmlib.roi.walkthrough import Walkthrough


def table_quality(one: Walkthrough) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what was measured on the way, as a reader sees it and at full precision."""
    shown = format_quality(pd.DataFrame([one.maps.quality])).melt(var_name="quantity")
    rows = list(one.maps.quality.items())
    return shown, pd.DataFrame(rows, columns=["quantity", "value"])


def table_mean(one: Walkthrough, values: np.ndarray) -> pd.DataFrame:
    """Compare the mean of the voxels of one sphere with what else is known of its sample.

    Parameters
    ----------
    values
        Of the cellularity map, cells/mm2; empty without a sphere.
    """
    names = ["sample", "voxels", "mean here", "mean of the workflow", "value in the table"]
    if not len(values):
        return pd.DataFrame(columns=names)
    at_target = (one.samples[list(AXES)].to_numpy(float) == one.target).all(axis=1)
    row = one.samples[at_target].iloc[0]
    extracted = one.regions.set_index("sample_id").loc[row["sample_id"], "cpm"]
    means = [f"{value:.1f}" for value in (values.mean(), extracted, row["cpm"])]
    return pd.DataFrame([[row["sample_id"], len(values), *means]], columns=names)


def table_count(one: Walkthrough, counted: NucleusCount | None) -> pd.DataFrame:
    """Hold the density of the patient's tile against that of the whole section, cells/mm2."""
    case = case_of(one)
    if case is None or counted is None:
        return pd.DataFrame(columns=["sample", "density on the tile", "density in the table"])
    return pd.DataFrame(
        {
            "sample": [case["sample_id"]],
            "density on the tile": [counted.density],
            "density in the table": [case["he_cellularity"]],
        }
    )


def case_of(one: Walkthrough) -> pd.Series | None:
    """Return the row of the patient's first representative case; None without one."""
    if not one.patient or "case" not in one.samples:
        return None
    cases = one.samples.dropna(subset="case").sort_values("case")
    return cases.iloc[0] if len(cases) else None


def rows_of_table(one: Walkthrough) -> pd.DataFrame:
    """Return the patient's samples, and what the steps gave for the same spheres."""
    columns = ["sample_id", "cpm", "adc", "he_cellularity"]
    rows = one.samples[columns] if len(one.samples) else pd.DataFrame(columns=columns)
    regions = one.regions if len(one.regions) else pd.DataFrame(columns=["sample_id"])
    return rows.merge(regions, on="sample_id", how="left", suffixes=("", " here"))
