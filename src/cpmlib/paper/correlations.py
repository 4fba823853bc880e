"""Table 2 and Fig. 2: CPM and ADC against H&E cellularity, samples taken as independent.

Vocabulary
----------
- *outlier*: a sample that ROUT flags about the line of its own subset and predictor; the line, its
  Pearson p and R2, and the RMSE leave it out, Spearman's rho does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from cpmlib.paper import formatting
from cpmlib.paper.formatting import format_both, format_columns, format_estimates, format_p
from cpmlib.paper.subsets import PREDICTORS, SUBSETS, subset
from cpmlib.statistics.correlation import correlate, linear_fit, root_mean_square_error
from cpmlib.statistics.results import CONFIDENCE, why_not_estimable, with_interval
from cpmlib.statistics.rout import RoutResult, rout_line
from cpmlib.study.options import AnalysisOptions

OUTCOME = "he_cellularity"

Flagged = Mapping[tuple[str, str], pd.DataFrame]
"""The samples of each subset and predictor as `flag_outliers` returns them."""

_OUTLIER_COLUMNS = {
    OUTCOME: ("H&E", "{:.0f}"),
    "cpm": ("CPM", "{:.0f}"),
    "adc": ("ADC", "{:.0f}"),
    "residual": ("Residual", "{:+.0f}"),
    "t": ("Residual / RSDR", "{:.1f}"),
}
"""Numbers of an excluded sample, and how the page writes them."""


def measured(samples: pd.DataFrame, predictor: str) -> pd.DataFrame:
    """Return the samples that have both the predictor and the outcome."""
    return samples.dropna(subset=[predictor, OUTCOME])


def flag_outliers(samples: pd.DataFrame, predictor: str, options: AnalysisOptions) -> pd.DataFrame:
    """Apply ROUT to H&E cellularity of one subset about its line on a predictor.

    Returns
    -------
    pandas.DataFrame
        The measured samples, with ``outlier``, ``residual`` (cells/mm2), ``t``, ``rout_p`` and
        ``threshold``. Where ROUT cannot be applied (fewer than three samples, constant
        predictor) none is an outlier.
    """
    samples = measured(samples, predictor)
    x, y = samples[predictor].to_numpy(float), samples[OUTCOME].to_numpy(float)
    if why_not_estimable(x, y) or options.rout_q == 0:
        empty = np.full(len(samples), np.nan)
        nobody = np.zeros(len(samples), dtype=bool)
        result = RoutResult(nobody, np.full(2, np.nan), empty, np.nan, empty, empty, empty, 2)
    else:
        result = rout_line(x, y, options.rout_q)
    return samples.assign(
        outlier=result.outlier,
        residual=result.residual,
        t=result.t,
        rout_p=result.p,
        threshold=result.threshold,
    )


def flag_all(samples: pd.DataFrame, options: AnalysisOptions) -> Flagged:
    """Apply ROUT to every subset and predictor, once for all that need it (`flag_outliers`)."""
    return {
        (key, predictor): flag_outliers(subset(samples, key), predictor, options)
        for key in SUBSETS
        for predictor in PREDICTORS
    }


def excluded_samples(flagged: Flagged) -> pd.DataFrame:
    """List who was excluded where, and why; ``flagged`` as `flag_all` returns it."""
    parts = [
        part[part["outlier"]].assign(subset=SUBSETS[key], predictor=PREDICTORS[predictor])
        for (key, predictor), part in flagged.items()
    ]
    columns = ["subset", "predictor", "sample_id", OUTCOME, "cpm", "adc", "residual", "t", "rout_p"]
    return pd.concat(parts, ignore_index=True)[[*columns, "threshold"]]


def table_outliers(excluded: pd.DataFrame) -> pd.DataFrame:
    """Lay `excluded_samples` out for the page, all text."""
    tested = list(map(format_both, excluded["rout_p"], excluded["threshold"]))
    shown = excluded[["subset", "predictor", "sample_id"]].set_axis(
        ["Subset", "Predictor", "Sample"], axis=1
    )
    shown = shown.join(format_columns(excluded, _OUTLIER_COLUMNS))
    return shown.assign(p=[p for p, _ in tested], Needed=[needed for _, needed in tested])


def correlations(samples: pd.DataFrame, flagged: Flagged, options: AnalysisOptions) -> pd.DataFrame:
    """Line, Pearson, Spearman and RMSE of each subset and predictor.

    ``flagged`` as `flag_all` returns it. Rows ``slope``, ``Pearson r``, ``Spearman rho`` and (CPM
    only, since ADC has another unit) ``RMSE``, with ``subset``, ``predictor`` and ``n_missing``.
    """
    rows = []
    for (key, predictor), part in flagged.items():
        missing = len(subset(samples, key)) - len(part)
        for row in _statistics(part, predictor, f"{key}.{predictor}", options):
            rows.append(row.assign(subset=key, predictor=predictor, n_missing=missing))
    return pd.concat(rows, ignore_index=True)


def _statistics(
    flagged: pd.DataFrame, predictor: str, purpose: str, options: AnalysisOptions
) -> list[pd.DataFrame]:
    kept = flagged[~flagged["outlier"]]
    names = " ".join(flagged.loc[flagged["outlier"], "sample_id"])

    def chosen(leave_out: bool) -> tuple[pd.DataFrame, str]:
        return (kept, names) if leave_out else (flagged, "")

    rows = [
        linear_fit(kept[predictor], kept[OUTCOME]).assign(excluded=names),
        correlate(kept[predictor], kept[OUTCOME], method="pearson").assign(excluded=names),
    ]
    used, without = chosen(options.spearman_excludes_outliers)
    rows.append(correlate(used[predictor], used[OUTCOME]).assign(excluded=without))
    if predictor == "cpm":
        used, without = chosen(options.rmse_excludes_outliers)
        rng = options.rng(f"RMSE {purpose}")
        row = root_mean_square_error(used[predictor], used[OUTCOME], rng=rng)
        rows.append(row.assign(excluded=without))
    return rows


def line_with_band(
    kept: pd.DataFrame, predictor: str, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the least-squares line at x, and half the width of its 95 % confidence band.

    None where the samples have no line.
    """
    fit = linear_fit(kept[predictor], kept[OUTCOME]).iloc[0]
    if pd.isna(fit["estimate"]):
        return None
    values = kept[predictor].to_numpy(float)
    spread = ((values - values.mean()) ** 2).sum()
    error = fit["se"] * np.sqrt(spread / len(values) + (x - values.mean()) ** 2)
    half = stats.t.isf((1 - CONFIDENCE) / 2, fit["df"]) * error
    return fit["intercept"] + fit["estimate"] * x, half


def table_2(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `correlations` out as the paper's Table 2, all text; p in brackets."""
    rows = []
    for predictor, name in PREDICTORS.items():
        for statistic, label in (
            ("slope", "b (p)"),
            ("r2", "R²"),
            ("Spearman rho", "rho (p)"),
            ("RMSE", "RMSE (cells/mm²)"),
        ):
            cells = {
                shown: _cell(table, key, predictor, statistic) for key, shown in SUBSETS.items()
            }
            if any(cells.values()):
                rows.append({"Predictor": name, "Statistic": label} | cells)
    return pd.DataFrame(rows)


def _cell(table: pd.DataFrame, key: str, predictor: str, statistic: str) -> str:
    wanted = "slope" if statistic == "r2" else statistic
    found = table[
        (table["subset"] == key)
        & (table["predictor"] == predictor)
        & (table["statistic"] == wanted)
    ]
    if found.empty:
        return ""
    row = found.iloc[0]
    if pd.isna(row["estimate"]):
        return str(row["note"])
    if statistic == "r2":
        return f"{row['r2']:.3f}"
    if statistic == "RMSE":
        return f"{row['estimate']:.0f}"
    return f"{row['estimate']:z.2f} ({format_p(row['p'])})"


def table_rout(steps: pd.DataFrame) -> pd.DataFrame:
    """Lay the steps of ROUT, as the page computes them, out for the page."""
    tested = list(map(format_both, steps["p"], steps["needed"]))
    return pd.DataFrame(
        {
            "Rank": steps["rank"].map("{:.0f}".format),
            "Sample": steps["sample_id"],
            "Residual": steps["residual"].map("{:+.0f}".format),
            "Residual / RSDR": steps["t"].map("{:.1f}".format),
            "p": [p for p, _ in tested],
            "Needed": [needed for _, needed in tested],
            "Outlier": steps["outlier"].map({True: "yes", False: "no"}),
        }
    )


def table_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `correlations` out with the 95 % interval of each statistic, all text."""
    is_rmse = table["statistic"] == "RMSE"
    return pd.DataFrame(
        {
            "Subset": table["subset"].map(SUBSETS),
            "Predictor": table["predictor"].map(PREDICTORS),
            "Statistic": table["statistic"].replace("RMSE", "RMSE (cells/mm²)"),
            "Estimate (95 % interval)": format_estimates(table, [0 if r else 2 for r in is_rmse]),
            "p": table["p"].map(format_p).where(~is_rmse, ""),
            "n": table["n"].astype(str),
            "Left out": table["excluded"],
        }
    )


def quoted(table: pd.DataFrame) -> dict[str, object]:
    """Return the numbers of `correlations` that the page's sentences quote."""
    named = table.replace({"statistic": {"slope": "b", "Spearman rho": "rho"}})
    return formatting.quoted(
        named, {"": "estimate", "_p": "p"}, by=("subset", "predictor", "statistic")
    )


def values(table: pd.DataFrame) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``corr.``."""
    found: dict[str, float] = {}
    for row in table.to_dict("records"):
        prefix = f"corr.{row['subset']}.{row['predictor']}"
        if row["statistic"] == "slope":
            found |= with_interval(f"{prefix}.b", row)
            found[f"{prefix}.b_p"] = row["p"]
            found[f"{prefix}.r2"] = row.get("r2", np.nan)
        elif row["statistic"] == "Spearman rho":
            found |= with_interval(f"{prefix}.rho", row)
            found[f"{prefix}.rho_p"] = row["p"]
        elif row["statistic"] == "RMSE":
            found |= with_interval(f"{prefix}.rmse", row)
    return found
