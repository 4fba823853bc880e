"""Several cohorts with the same printed values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cpmlib.paper.analysis import regenerate
from cpmlib.study.dataset import Dataset, read_dataset
from cpmlib.study.options import AnalysisOptions
from cpmlib.study.published import agreeing, agrees_if_truncated


def read_cohorts(folder: str | os.PathLike[str]) -> dict[str, Dataset]:
    """Read every dataset in a folder, by the name of its subfolder.

    Raises
    ------
    cpmlib.study.errors.DatasetError
        If one of them is not in order.
    """
    return {path.name: read_dataset(path) for path in sorted(Path(folder).iterdir())}


def compare(
    cohorts: Mapping[str, Dataset], published: pd.DataFrame, options: AnalysisOptions
) -> pd.DataFrame:
    """Say for each cohort which printed values it gives, and how it differs from the first.

    Parameters
    ----------
    cohorts
        By name; the first is the one that the others are held against.
    published
        As `cpmlib.study.published.read_published` returns it.

    Returns
    -------
    pandas.DataFrame
        One row a cohort: ``cohort``, ``met``, ``if_truncated`` (counts: printed values met, and
        percentages met if truncated), ``missed`` (ids), range of H&E and ADC,
        ``shared_values`` (measured values that the first cohort also holds, the representative
        cases left out; missing for the first itself).
    """
    first = next(iter(cohorts.values()))
    known = _measured(first)
    rows = []
    for name, dataset in cohorts.items():
        values = regenerate(dataset, options)
        met = agreeing(published, values)
        truncated = [
            str(id)
            for id, row in published.drop(index=met).iterrows()
            if agrees_if_truncated(row["printed"], row["statistic"], values.get(str(id), np.nan))
        ]
        missed = [str(id) for id in published.index if id not in {*met, *truncated}]
        own = _measured(dataset)
        rows.append(
            {
                "cohort": name,
                "met": len(met),
                "if_truncated": len(truncated),
                "missed": " ".join(missed),
                "he_min": dataset.samples["he_cellularity"].min(),
                "he_max": dataset.samples["he_cellularity"].max(),
                "adc_min": dataset.samples["adc"].min(),
                "adc_max": dataset.samples["adc"].max(),
                "shared_values": len(np.intersect1d(known, own)) if dataset is not first else None,
            }
        )
    return pd.DataFrame(rows)


def _measured(dataset: Dataset) -> np.ndarray:
    free = dataset.samples[dataset.samples["case"].isna()]
    return free[["cpm", "adc", "he_cellularity"]].to_numpy(float).ravel()
