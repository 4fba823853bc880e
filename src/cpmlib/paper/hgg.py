"""Supplementary Fig. 2: high-grade gliomas sampled outside the enhancing tumour."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpmlib.paper.correlations import OUTCOME
from cpmlib.paper.subsets import with_grade_grouping
from cpmlib.statistics.correlation import BOOTSTRAP_SAMPLES, correlate, root_mean_square_error
from cpmlib.statistics.results import MINIMUM_GROUP, not_estimable, one_row, with_interval
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

    ``flagged`` and ``group`` as `non_enhancing` takes and returns them. Rows ``RMSE`` and ``RMSE
    below whole``; their 95 % intervals come from resampling patients (percentiles), since samples
    of one patient are not independent. Who is an outlier is not decided anew in each draw.
    """
    sums = pd.concat(
        [_squares(part, options).add_prefix(name) for name, part in _named(flagged, group)], axis=1
    ).fillna(0.0)
    n = int(sums.get("group_n", pd.Series(dtype=float)).sum())
    names = ("RMSE", "RMSE below whole")
    if n < MINIMUM_GROUP:
        reason = f"fewer than {MINIMUM_GROUP} samples ({n})"
        return pd.concat([not_estimable(name, reason, n) for name in names], ignore_index=True)
    found = _rmse_and_difference(sums.to_numpy().sum(axis=0, keepdims=True))[:, 0]
    draws = _rmse_and_difference(_resampled(sums, options.rng("RMSE of patients")))
    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=1)
    rows = [one_row(name, found[i], ci=(low[i], high[i]), n=n) for i, name in enumerate(names)]
    return pd.concat(rows, ignore_index=True)


def whole_rmse(flagged: pd.DataFrame, options: AnalysisOptions) -> float:
    """RMSE of CPM in the whole cohort, as in Table 2; NaN where it is not estimable."""
    sums = _squares(flagged, options).sum()
    return float(np.sqrt(sums["squares"] / sums["n"])) if sums["n"] >= MINIMUM_GROUP else np.nan


def _named(flagged: pd.DataFrame, group: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [("whole_", flagged), ("group_", group)]


def _squares(part: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Sum of squared errors and number of samples of each patient."""
    kept = part[~(part["outlier"] & options.rmse_excludes_outliers)]
    squares = (kept[OUTCOME] - kept["cpm"]) ** 2
    groups = squares.groupby(kept["participant_id"])
    return pd.DataFrame({"squares": groups.sum(), "n": groups.count()})


def _resampled(sums: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Total the patients' sums over draws of as many patients as there are."""
    patients = len(sums)
    drawn = rng.multinomial(patients, np.full(patients, 1 / patients), size=BOOTSTRAP_SAMPLES)
    return drawn @ sums.sort_index().to_numpy()


def _rmse_and_difference(totals: np.ndarray) -> np.ndarray:
    """RMSE of the group and the whole's less it, (2, draws); NaN where a draw has no sample."""
    squares, n = totals[:, ::2], totals[:, 1::2]
    whole, group = np.sqrt(np.divide(squares, n, out=np.full(n.shape, np.nan), where=n > 0)).T
    return np.stack([group, whole - group])


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
    rmse, below = rows.loc["RMSE"], rows.loc["RMSE below whole"]
    return {
        "patients_low": rmse["ci_low"],
        "patients_high": rmse["ci_high"],
        "below": below["estimate"],
        "below_low": below["ci_low"],
        "below_high": below["ci_high"],
    }


def patient_values(table: pd.DataFrame) -> dict[str, float]:
    """Return `against_whole` by ids like those of the ledger."""
    rows = table.set_index("statistic").to_dict("index")
    return with_interval(f"{_RMSE}_of_patients", rows["RMSE"]) | with_interval(
        f"{_RMSE}_below_whole", rows["RMSE below whole"]
    )


def values(table: pd.DataFrame) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``hgg.``."""
    rows = table.set_index("statistic").to_dict("index")
    return {
        "hgg.share_non_enhancing": rows["share"]["estimate"],
        **with_interval(_RMSE, rows["RMSE"]),
    }
