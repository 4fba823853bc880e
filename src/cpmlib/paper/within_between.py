"""Why analyses that account for patients can differ in sign from those that do not.

Vocabulary
----------
- *rank of a sample*: that among all samples of its subset; so what is correlated within and between
  patients is what Spearman's rho correlates over all samples.
"""

from __future__ import annotations

import pandas as pd

from cpmlib.paper.correlations import OUTCOME, Flagged
from cpmlib.paper.formatting import format_estimates
from cpmlib.paper.subsets import PREDICTORS, SUBSETS, WHERE
from cpmlib.statistics.within_between import between_patients, within_patients


def ranked(part: pd.DataFrame, predictor: str) -> pd.DataFrame:
    """Return ``participant_id``, ``sample_id`` and the ranks ``x``, ``y`` of measured samples."""
    ranks = {"x": part[predictor].rank(), "y": part[OUTCOME].rank()}
    return part[["sample_id", "participant_id"]].assign(**ranks)


def associations(flagged: Flagged) -> tuple[pd.DataFrame, dict[tuple[str, str], pd.DataFrame]]:
    """Correlate ranks within and between patients, in each subset and for each predictor.

    ``flagged`` as `cpmlib.paper.correlations.flag_all` returns it; no outlier is left out, as rho
    leaves none out.

    Returns
    -------
    table : pandas.DataFrame
        Two rows for each subset and predictor, with ``kind`` ``within`` or ``between``.
    ranks : dict
        `ranked` samples for each (subset, predictor).
    """
    rows, ranks = [], {}
    for (key, predictor), part in flagged.items():
        ranks[key, predictor] = table = ranked(part, predictor)
        columns = table["x"], table["y"], table["participant_id"]
        for kind, row in (
            ("within", within_patients(*columns)),
            ("between", between_patients(*columns)),
        ):
            rows.append(row.assign(subset=key, predictor=predictor, kind=kind))
    return pd.concat(rows, ignore_index=True), ranks


def table_within(
    table: pd.DataFrame, correlations: pd.DataFrame, models: pd.DataFrame, iterated: pd.DataFrame
) -> pd.DataFrame:
    """Lay `associations` out for the page beside rho, the mean rho and the mixed model's slope."""
    by = ["subset", "predictor"]
    kinds = table.set_index("kind")
    drawn = iterated["estimate"].map("{:z.2f}".format)
    columns = {
        "Rho, all samples": correlations[correlations["statistic"] == "Spearman rho"],
        "Within patients": kinds.loc["within"],
        "Between patients": kinds.loc["between"],
    }
    shown = pd.DataFrame(
        {"Subset": models["subset"].map(SUBSETS), "Predictor": models["predictor"].map(PREDICTORS)}
    )
    for name, rows in columns.items():
        shown[name] = format_estimates(models[by].merge(rows, on=by), 2)
    shown["One per patient"] = drawn.mask(iterated["estimate"].isna(), iterated["note"])
    shown["Mixed model, b"] = format_estimates(models, 2)
    return shown


def opposed(table: pd.DataFrame) -> str:
    """Say where patients and the samples within them run against each other, in a sentence.

    Examples
    --------
    >>> rows = {"subset": "naive", "predictor": "cpm", "kind": ["within", "between"],
    ...         "estimate": [-0.4, 0.5]}
    >>> print(opposed(pd.DataFrame(rows)))
    The two have opposite signs for CPM in treatment-naïve tumours (within -0.40, between 0.50).
    """
    wide = table.pivot_table(index=["subset", "predictor"], columns="kind", values="estimate")
    wide = wide.reindex(columns=["within", "between"])
    differ = wide[wide["within"] * wide["between"] < 0]
    if differ.empty:
        return "In no subset of this dataset do the two have opposite signs."
    found = "; ".join(
        f"{PREDICTORS[predictor]} in {WHERE[subset]} (within {within:z.2f}, between {between:z.2f})"
        for (subset, predictor), within, between in differ.itertuples(name=None)
    )
    return f"The two have opposite signs for {found}."
