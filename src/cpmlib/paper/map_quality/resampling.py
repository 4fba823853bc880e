"""How sure the numbers of Table 2 are, who decides them, and how many patients it would take.

ROUT is applied to each resample (`cpmlib.statistics.cluster_bootstrap`) anew.

Vocabulary
----------
- *decisive patient*: one without whom a p value crosses 0.05.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpmlib.paper.correlations import OUTCOME, Flagged, flag_outliers, measured
from cpmlib.paper.formatting import format_estimates
from cpmlib.paper.hgg import against_whole, non_enhancing
from cpmlib.paper.rmse import compare_rmse
from cpmlib.paper.subsets import PREDICTORS, SUBSETS, WHERE, subset
from cpmlib.statistics.cluster_bootstrap import (
    bca_interval,
    percentile_interval,
    resampled_patients,
)
from cpmlib.statistics.correlation import correlate, linear_fit
from cpmlib.statistics.influence import cooks_distance
from cpmlib.statistics.power import WANTED, power_of_comparison
from cpmlib.statistics.resampled_lines import STATISTICS, associations
from cpmlib.statistics.results import (
    ALPHA,
    MINIMUM_GROUP,
    not_estimable,
    one_row,
    why_not_estimable,
)
from cpmlib.study.options import AnalysisOptions

RESAMPLES = 10_000
SIMULATIONS = 1000
MOST_PATIENTS = 100_000

NAMES = {"slope": "b", "r2": "R²", "rho": "rho", "rmse": "RMSE (cells/mm²)"}


def bootstrap(
    samples: pd.DataFrame, options: AnalysisOptions, n_resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Resample the patients of each subset, and compute Table 2 each time.

    Returns
    -------
    pandas.DataFrame
        One row for each subset, predictor and statistic of `NAMES` (RMSE for CPM alone):
        ``estimate`` with the BCa interval, ``percentile_low`` and ``percentile_high``,
        ``n_patients``, ``n_known`` (resamples that have the statistic).
    """
    rows = []
    for key in SUBSETS:
        for predictor in PREDICTORS:
            part = measured(subset(samples, key), predictor)
            wanted = [name for name in STATISTICS if predictor == "cpm" or name != "rmse"]
            rng = options.rng(f"bootstrap {key} {predictor}")
            for row in _resample(part, predictor, wanted, options, n_resamples, rng):
                rows.append(row.assign(subset=key, predictor=predictor))
    return pd.concat(rows, ignore_index=True)


def _resample(
    part: pd.DataFrame,
    predictor: str,
    wanted: list[str],
    options: AnalysisOptions,
    n_resamples: int,
    rng: np.random.Generator,
) -> list[pd.DataFrame]:
    x, y = part[predictor].to_numpy(float), part[OUTCOME].to_numpy(float)
    patient = part["participant_id"].to_numpy()
    everyone = pd.unique(patient)
    absent = dict.fromkeys(("percentile_low", "percentile_high", "n_known"), np.nan)
    absent["n_patients"] = len(everyone)
    reason = why_not_estimable(x, y)
    if not reason and len(everyone) < MINIMUM_GROUP:
        reason = f"fewer than {MINIMUM_GROUP} patients ({len(everyone)})"
    if reason:
        return [not_estimable(name, reason, len(x), **absent) for name in wanted]

    def found(index: np.ndarray) -> dict[str, np.ndarray]:
        if index.shape[-1] < MINIMUM_GROUP:
            return {name: np.full(index.shape[:-1], np.nan) for name in STATISTICS}
        return associations(
            x[index],
            y[index],
            q=options.rout_q,
            rho_excludes=options.spearman_excludes_outliers,
            rmse_excludes=options.rmse_excludes_outliers,
        )

    whole = found(np.arange(len(x)))
    drawn = {name: np.full(n_resamples, np.nan) for name in wanted}
    for where, index in resampled_patients(patient, n_resamples, rng):
        for name, values in found(index).items():
            if name in drawn:
                drawn[name][where] = values
    without = [found(np.flatnonzero(patient != who)) for who in everyone]
    rows = []
    for name in wanted:
        left_out = np.array([float(one[name]) for one in without])
        estimate = float(whole[name])
        low, high = percentile_interval(drawn[name])
        rows.append(
            one_row(
                name,
                estimate,
                ci=bca_interval(drawn[name], estimate, left_out),
                n=len(x),
                percentile_low=low,
                percentile_high=high,
                n_known=int((~np.isnan(drawn[name])).sum()),
                n_patients=len(everyone),
            )
        )
    return rows


def table_bootstrap(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `bootstrap` out for the page, all text."""
    digits = [0 if name == "rmse" else 2 for name in table["statistic"]]
    ends = zip(table["percentile_low"], table["percentile_high"], digits, strict=True)
    return pd.DataFrame(
        {
            "Subset": table["subset"].map(SUBSETS),
            "Predictor": table["predictor"].map(PREDICTORS),
            "Statistic": table["statistic"].map(NAMES),
            "Estimate (BCa interval)": format_estimates(table, digits),
            "Percentile interval": [
                "n/a" if np.isnan(low) else f"{low:z.{k}f} to {high:z.{k}f}"
                for low, high, k in ends
            ],
            "Patients": table["n_patients"].map("{:.0f}".format),
        }
    )


def say_bootstrap(table: pd.DataFrame) -> str:
    """Say which slopes and rank correlations have an interval that leaves 0 out."""
    said = []
    for name, words in (("slope", "slope"), ("rho", "rho")):
        rows = table[table["statistic"] == name].dropna(subset=["ci_low", "ci_high"])
        sure = rows[(rows["ci_low"] > 0) | (rows["ci_high"] < 0)]
        named = [
            f"{PREDICTORS[p]} in {WHERE[k]}"
            for k, p in zip(sure["subset"], sure["predictor"], strict=True)
        ]
        said.append(
            f"Of {len(rows)} intervals of {words}, those that leave out 0 are of "
            f"{'; '.join(named) or 'none'}."
            if len(rows)
            else f"No interval of {words} is estimable."
        )
    return " ".join(said)


def rmse_differences(
    samples: pd.DataFrame, flagged: Flagged, options: AnalysisOptions
) -> pd.DataFrame:
    """Compare RMSEs of CPM as the Discussion does, with intervals over patients.

    Rows of `compare_rmse`, with ``comparison``: ``recurrent``, treatment-naive and then recurrent
    tumours (each with its own outliers, as in Table 2); ``HGG nCET``, non-enhancing HGG samples and
    then all (outliers of the whole cohort).
    """
    whole = flagged["whole", "cpm"]
    recurrent = compare_rmse(
        flagged["naive", "cpm"],
        flagged["recurrent", "cpm"],
        options,
        options.rng("RMSE recurrent less naive"),
    )
    group = against_whole(whole, non_enhancing(whole, options), options)
    rows = [recurrent.assign(comparison="recurrent"), group.assign(comparison="HGG nCET")]
    return pd.concat(rows, ignore_index=True)


def say_differences(table: pd.DataFrame) -> str:
    """Say whether the RMSEs that the Discussion compares can be told apart."""
    words = {
        "recurrent": "The RMSE of recurrent less that of treatment-naïve tumours",
        "HGG nCET": "The RMSE of all samples less that of non-enhancing HGG samples",
    }
    said = []
    for row in table[table["statistic"] == "second less first"].to_dict("records"):
        if np.isnan(row["estimate"]) or np.isnan(row["ci_low"]):
            said.append(f"{words[row['comparison']]} is not estimable.")
            continue
        zero = "includes" if row["ci_low"] <= 0 <= row["ci_high"] else "leaves out"
        said.append(
            f"{words[row['comparison']]} is {row['estimate']:.0f} cells/mm², with a 95 % interval "
            f"of {row['ci_low']:.0f} to {row['ci_high']:.0f}, which {zero} 0."
        )
    return " ".join(said).replace(" -", " −")


def leave_one_out(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Repeat the slope and rho of Table 2 without each patient.

    One row for each subset, predictor and patient (``without``; "" for all patients): ``slope``,
    ``slope_p``, ``rho``, ``rho_p``.
    """
    rows = []
    for key in SUBSETS:
        part = subset(samples, key)
        for predictor in PREDICTORS:
            for who in ["", *pd.unique(part["participant_id"])]:
                used = flag_outliers(part[part["participant_id"] != who], predictor, options)
                kept = used[~used["outlier"]]
                line = linear_fit(kept[predictor], kept[OUTCOME]).iloc[0]
                ranked = kept if options.spearman_excludes_outliers else used
                rho = correlate(ranked[predictor], ranked[OUTCOME]).iloc[0]
                rows.append(
                    {
                        "subset": key,
                        "predictor": predictor,
                        "without": who,
                        "slope": line["estimate"],
                        "slope_p": line["p"],
                        "rho": rho["estimate"],
                        "rho_p": rho["p"],
                    }
                )
    return pd.DataFrame(rows)


def _split(table: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """Row of all patients, and those without one."""
    return table[table["without"] == ""].iloc[0], table[table["without"] != ""]


def decisive_patients(table: pd.DataFrame) -> pd.DataFrame:
    """Count the patients without whom a p of `leave_one_out` crosses 0.05, and give the ranges."""
    rows = []
    for (key, predictor), part in table.groupby(["subset", "predictor"], sort=False):
        everyone, without = _split(part)
        for name in ("slope", "rho"):
            p = everyone[f"{name}_p"]
            crossing = (without[f"{name}_p"] < ALPHA) != (p < ALPHA)
            rows.append(
                {
                    "subset": key,
                    "predictor": predictor,
                    "statistic": name,
                    "estimate": everyone[name],
                    "least": without[name].min(),
                    "greatest": without[name].max(),
                    "p": p,
                    "p_least": without[f"{name}_p"].min(),
                    "p_greatest": without[f"{name}_p"].max(),
                    "patients": len(without),
                    "decisive": int(crossing[without[f"{name}_p"].notna()].sum()),
                }
            )
    return pd.DataFrame(rows)


def say_decisive(table: pd.DataFrame) -> str:
    """Say how many significant results hang on one patient."""
    significant = table[table["p"] < ALPHA]
    if significant.empty:
        return "None of the slopes and rank correlations of Table 2 is significant here."
    hanging = significant[significant["decisive"] > 0]
    named = [
        f"{NAMES[row['statistic']]} of {PREDICTORS[row['predictor']]} in {WHERE[row['subset']]} "
        f"({row['decisive']} of {row['patients']} patients)"
        for row in hanging.to_dict("records")
    ]
    return (
        f"Significant slopes and rank correlations: {len(significant)}. Those that lose their "
        f"significance when one patient is left out: {'; '.join(named) or 'none'}."
    )


def influence(flagged: Flagged) -> pd.DataFrame:
    """Cook's distance of each sample from the line through all samples of its subset.

    ``distance``, with ``large`` where it is above 4 / n, and ``outlier`` where ROUT leaves it out.
    """
    rows = []
    for (key, predictor), part in flagged.items():
        distance = cooks_distance(part[predictor], part[OUTCOME])
        columns = part[["sample_id", "participant_id", "outlier"]]
        large = distance > 4 / max(len(part), 1)
        rows.append(columns.assign(distance=distance, large=large, subset=key, predictor=predictor))
    return pd.concat(rows, ignore_index=True)


def table_influence(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `influence` out for the page, all text: the sample that moves each line most."""
    rows = []
    for key, subset_name in SUBSETS.items():
        for predictor, name in PREDICTORS.items():
            part = table[(table["subset"] == key) & (table["predictor"] == predictor)]
            known = part.dropna(subset="distance").sort_values("distance", kind="stable")
            if known.empty:
                continue
            first = known.to_dict("records")[-1]
            rows.append(
                {
                    "Subset": subset_name,
                    "Predictor": name,
                    "Sample": first["sample_id"],
                    "Cook's distance": f"{first['distance']:.2f}",
                    "Left out by ROUT": "yes" if first["outlier"] else "no",
                    "Samples above 4 / n": str(int(known["large"].sum())),
                    "Of these left out": str(int((known["large"] & known["outlier"]).sum())),
                }
            )
    return pd.DataFrame(rows)


def power(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Simulate larger studies that compare CPM with ADC, as `power_of_comparison` does."""
    rows = []
    for key in SUBSETS:
        part = subset(samples, key)
        found = power_of_comparison(
            part[OUTCOME],
            part["cpm"],
            part["adc"],
            part["participant_id"],
            n_simulations=SIMULATIONS,
            most_patients=MOST_PATIENTS,
            rng=options.rng(f"power {key}"),
        )
        rows.append(found.assign(subset=key))
    return pd.concat(rows, ignore_index=True)


def say_power(table: pd.DataFrame) -> str:
    """Say how many patients reach a power of 0.8, and how the test does without a difference."""
    said = []
    for key in SUBSETS:
        part = table[table["subset"] == key]
        if part.empty:
            said.append(f"not estimable in {WHERE[key]}")
            continue
        last = part.iloc[-1]
        reached = last["power"] >= WANTED
        number = f"at most {last['n_patients']:,.0f}" if reached else f"more than {MOST_PATIENTS:,}"
        now, size = part.iloc[0]["power"], part.iloc[0]["size"]
        said.append(
            f"{number} in {WHERE[key]} (with as many patients as now the power is {now:.2f}, and a "
            f"test of two equally strong predictors would be significant in {size:.0%})".replace(
                "%", " %"
            )
        )
    return f"Patients for a power of {WANTED}: {'; '.join(said)}."
