"""All values of the paper from one dataset, in one call: for sensitivity and calibration."""

from __future__ import annotations

import pandas as pd

from cpmlib.paper import cases, cohort, comparison, correlations, groups, hgg, non_independence
from cpmlib.study.dataset import Dataset
from cpmlib.study.options import AnalysisOptions


def regenerate(
    dataset: Dataset,
    options: AnalysisOptions | None = None,
    iterated: pd.DataFrame | None = None,
) -> dict[str, float]:
    """Run the whole analysis, with the project's defaults if no options are given.

    Parameters
    ----------
    iterated
        What `cpmlib.paper.non_independence.one_per_patient` found with the same draws and seed.

    Returns
    -------
    dict
        Value of each id of the published table (and of those the paper does not print); NaN
        where the dataset does not have it.
    """
    options = options or AnalysisOptions()
    samples = dataset.samples
    flagged = correlations.flag_all(samples, options)
    non_enhancing = hgg.non_enhancing(flagged["whole", "cpm"], options)
    models = non_independence.mixed_models(flagged, options)
    if iterated is None:
        iterated, _ = non_independence.one_per_patient(samples, options)
    return (
        cohort.values(dataset)
        | groups.values(samples, options)
        | correlations.values(correlations.correlations(samples, flagged, options))
        | comparison.values(comparison.comparisons(samples, options))
        | non_independence.values(models, iterated)
        | hgg.patient_values(hgg.against_whole(flagged["whole", "cpm"], non_enhancing, options))
        | hgg.values(hgg.statistics(samples, non_enhancing, options))
        | cases.values(samples)
    )
