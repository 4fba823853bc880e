"""Supplementary Fig. 2: high-grade gliomas sampled outside the enhancing tumour."""

from __future__ import annotations

import pandas as pd

from cpmlib.paper.correlations import OUTCOME
from cpmlib.paper.rmse import compare_rmse
from cpmlib.paper.subsets import with_grade_grouping
from cpmlib.statistics.correlation import correlate, root_mean_square_error
from cpmlib.statistics.results import not_estimable, one_row, with_interval
from cpmlib.study.options import AnalysisOptions

_RMSE = "hgg.non_enhancing.rmse"


def non_enhancing(flagged: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Return the non-enhancing HGG samples among those that ROUT judged by CPM.

    ``flagged`` is the whole cohort as `cpmlib.paper.correlations.flag_outliers` returns it.
    """
    samples = with_grade_grouping(flagged, options)
    return samples[(samples["grade_group"] == "HGG") & (samples["enhancement"] == "nCET")]


def statistics(
    samples: pd.DataFrame, group: pd.DataFrame, options: AnalysisOptions
) -> pd.DataFrame:
    """Share of HGG samples that are non-enhancing; RMSE and rho of CPM in them.

    ``group`` as `non_enhancing` returns it. Rows ``share`` (percent, of HGG samples whose
    appearance is known), ``RMSE``, ``Spearman rho``.
    """
    graded = with_grade_grouping(samples, options)
    seen = graded[(graded["grade_group"] == "HGG") & graded["enhancement"].notna()]
    if len(seen):
        share = one_row("share", 100 * (seen["enhancement"] == "nCET").mean(), n=len(seen))
    else:
        share = not_estimable("share", "no HGG sample", 0)
    leave_out = group["outlier"] & options.rmse_excludes_outliers
    kept = group[~leave_out]
    rmse = root_mean_square_error(kept["cpm"], kept[OUTCOME], rng=options.rng("RMSE HGG nCET"))
    rmse["excluded"] = " ".join(group.loc[leave_out, "sample_id"])
    rho = correlate(group["cpm"], group[OUTCOME])
    return pd.concat([share, rmse, rho], ignore_index=True)


def against_whole(
    flagged: pd.DataFrame, group: pd.DataFrame, options: AnalysisOptions
) -> pd.DataFrame:
    """RMSE of the group, and by how much it lies below that of the whole cohort.

    ``flagged`` and ``group`` as `non_enhancing` takes and returns them. Rows as `compare_rmse`
    returns them: the group's, the whole cohort's, and the difference.
    """
    return compare_rmse(group, flagged, options, options.rng("RMSE of patients"))


def table_hgg(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `statistics` out for the page, all text."""
    names = {"share": "Non-enhancing, % of HGG samples", "RMSE": "RMSE (cells/mm²)"}
    return pd.DataFrame(
        {
            "Statistic": table["statistic"].replace(names),
            "Estimate": table["estimate"]
            .map("{:.2f}".format)
            .mask(table["estimate"].isna(), table["note"]),
            "n": table["n"],
            "Left out": table["excluded"],
        }
    )


def title(table: pd.DataFrame) -> str:
    """Write the RMSE of `statistics` above the figure, or why there is none."""
    rmse = table.set_index("statistic").loc["RMSE"]
    return rmse["note"] or f"RMSE = {rmse['estimate']:.0f} cells/mm², n = {rmse['n']}"


def quoted(table: pd.DataFrame) -> dict[str, object]:
    """Return the numbers of `statistics` that the page's sentences quote."""
    rows = table.set_index("statistic")
    rmse = rows.loc["RMSE"]
    return {
        "share": rows.loc["share", "estimate"],
        "rmse": rmse["estimate"],
        "low": rmse["ci_low"],
        "high": rmse["ci_high"],
        "n": rmse["n"],
        "rho": rows.loc["Spearman rho", "estimate"],
    }


def quoted_errors(table: pd.DataFrame) -> dict[str, object]:
    """Return the numbers of `against_whole` that the page's sentences quote."""
    rows = table.set_index("statistic")
    rmse, below = rows.loc["first"], rows.loc["second less first"]
    return {
        "whole": rows.loc["second", "estimate"],
        "patients_low": rmse["ci_low"],
        "patients_high": rmse["ci_high"],
        "below": below["estimate"],
        "below_low": below["ci_low"],
        "below_high": below["ci_high"],
    }


def patient_values(table: pd.DataFrame) -> dict[str, float]:
    """Return `against_whole` by ids like those of the ledger."""
    rows = table.set_index("statistic").to_dict("index")
    return with_interval(f"{_RMSE}_of_patients", rows["first"]) | with_interval(
        f"{_RMSE}_below_whole", rows["second less first"]
    )


def values(table: pd.DataFrame) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``hgg.``."""
    rows = table.set_index("statistic").to_dict("index")
    return {
        "hgg.share_non_enhancing": rows["share"]["estimate"],
        **with_interval(_RMSE, rows["RMSE"]),
    }
