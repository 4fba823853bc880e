"""What changes when patients, not samples, are counted; and when all tests are counted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests

from cpmlib.paper.correlations import OUTCOME, Flagged, measured
from cpmlib.paper.formatting import format_columns, format_estimates, format_p
from cpmlib.paper.groups import COLUMN, MEASUREMENTS
from cpmlib.paper.subsets import GROUPINGS, PREDICTORS, SUBSETS, WHERE, subset, with_grade_grouping
from cpmlib.statistics.group_comparison import mann_whitney
from cpmlib.statistics.mixed_model import mixed_model_effect
from cpmlib.statistics.results import ALPHA, not_estimable
from cpmlib.statistics.variance_components import intraclass_correlation
from cpmlib.statistics.within_between import between_patients, within_patients
from cpmlib.study.options import AnalysisOptions

MEASURED = {"cpm": "CPM", "adc": "ADC", OUTCOME: "H&E"}


def within_and_between(samples: pd.DataFrame) -> pd.DataFrame:
    """Correlation of each predictor with H&E within patients and between patients' means.

    Rows of `within_patients` and `between_patients` with ``subset``, ``predictor``, ``level``
    (``within`` or ``between``).
    """
    rows = []
    for key in SUBSETS:
        for predictor in PREDICTORS:
            part = measured(subset(samples, key), predictor)
            columns = part[predictor], part[OUTCOME], part["participant_id"]
            found = {"within": within_patients(*columns), "between": between_patients(*columns)}
            for level, row in found.items():
                rows.append(row.assign(subset=key, predictor=predictor, level=level))
    return pd.concat(rows, ignore_index=True)


def table_within(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `within_and_between` out for the page, all text."""
    names = {"within": "within patients", "between": "between patients' means"}
    return pd.DataFrame(
        {
            "Subset": table["subset"].map(SUBSETS),
            "Predictor": table["predictor"].map(PREDICTORS),
            "Level": table["level"].map(names),
            "r (95 % interval)": format_estimates(table, 2),
            "p": table["p"].map(format_p),
            "n": table["n"].astype(str),
        }
    )


def clustering(samples: pd.DataFrame) -> pd.DataFrame:
    """ICC of CPM, ADC and H&E in each subset, as `intraclass_correlation` gives them."""
    rows = []
    for key in SUBSETS:
        for column in MEASURED:
            part = subset(samples, key)
            row = intraclass_correlation(part[column], part["participant_id"])
            rows.append(row.assign(subset=key, measurement=column))
    return pd.concat(rows, ignore_index=True)


def table_clustering(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `clustering` out for the page, all text."""
    shown = pd.DataFrame(
        {
            "Subset": table["subset"].map(SUBSETS),
            "Measurement": table["measurement"].map(MEASURED),
            "ICC (95 % interval)": format_estimates(table, 2),
            "Samples": table["n"].astype(str),
        }
    )
    names = {"n_patients": ("Patients", "{:.0f}"), "n_effective": ("Effective number", "{:.0f}")}
    return shown.join(format_columns(table, names))


def say_clustering(table: pd.DataFrame) -> str:
    """Say how many independent samples those of the whole cohort are worth, for mean H&E."""
    row = table[(table["subset"] == "whole") & (table["measurement"] == OUTCOME)].iloc[0]
    if np.isnan(row["estimate"]):
        return f"The ICC of H&E is {row['note']}."
    return (
        f"The ICC of H&E in the whole cohort is {row['estimate']:z.2f}: for its mean, "
        f"{row['n']} samples count as {row['n_effective']:.0f} independent ones."
    )


def interactions(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """How much the slope in recurrent tumours differs from that in treatment-naive ones.

    One mixed model of all samples a predictor: H&E on predictor, treatment and their product, with
    a random intercept for the patient. Rows as `mixed_model_effect` returns them.
    """
    rows = []
    for predictor in PREDICTORS:
        part = measured(samples, predictor)
        part = part[part["treatment"].isin(("treatment-naive", "recurrent"))]
        recurrent = (part["treatment"] == "recurrent").to_numpy(float)
        x = part[predictor].to_numpy(float)
        x = x - x.mean() if len(x) else x
        name = "difference of slopes"
        if len(np.unique(recurrent)) < 2:
            row = not_estimable(name, "one of the treatment groups has no sample", len(part))
        else:
            design = np.column_stack([np.ones_like(x), x, recurrent, x * recurrent])
            row = _effect(design, part, 3, name, options)
        rows.append(row.assign(predictor=predictor))
    return pd.concat(rows, ignore_index=True)


def _effect(
    design: np.ndarray, part: pd.DataFrame, column: int, name: str, options: AnalysisOptions
) -> pd.DataFrame:
    return mixed_model_effect(
        design,
        part[OUTCOME].to_numpy(float),
        part["participant_id"],
        column,
        name,
        estimation=options.mixed_model_estimation,
        tests=(options.mixed_model_test,),
    )


def table_interactions(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `interactions` out for the page, all text."""
    return pd.DataFrame(
        {
            "Predictor": table["predictor"].map(PREDICTORS),
            "Slope in recurrent less treatment-naïve (95 % interval)": format_estimates(table, 2),
            "p": table["p"].map(format_p),
            "n": table["n"].astype(str),
        }
    )


def say_interactions(table: pd.DataFrame) -> str:
    """Say for which predictor the slopes of the two groups differ."""
    known = table.dropna(subset="p")
    if known.empty:
        return "Whether the slope differs between the two groups is not estimable."
    parts = []
    for row in known.to_dict("records"):
        differ = "differ" if row["p"] < ALPHA else "cannot be told apart"
        parts.append(f"the slopes of {PREDICTORS[row['predictor']]} {differ} ({_p(row['p'])})")
    said = "; ".join(parts) + "."
    return said[0].upper() + said[1:]


def _p(p: float) -> str:
    return f"p = {format_p(p)}".replace("= <", "< ")


def both_fits(flagged: Flagged, models: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Set statsmodels' fit of each mixed model beside that of the book.

    ``flagged`` and ``models`` as `flag_all` and `non_independence.mixed_models` return them; adds
    ``slope_statsmodels``, ``se_statsmodels`` and ``converged``.
    """
    rows = []
    for row in models.to_dict("records"):
        part = flagged[row["subset"], row["predictor"]]
        used = part[~(part["outlier"] & options.mixed_model_excludes_outliers)]
        slope, se = _fit_statsmodels(used, row["predictor"], options.mixed_model_estimation)
        converged = not np.isnan(slope)
        rows.append(
            {**row, "slope_statsmodels": slope, "se_statsmodels": se, "converged": converged}
        )
    return pd.DataFrame(rows)


def _fit_statsmodels(used: pd.DataFrame, predictor: str, estimation: str) -> tuple[float, float]:
    """Slope and standard error of MixedLM; NaN if it fails or does not converge."""
    x = used[predictor].to_numpy(float)
    if len(x) == 0:
        return np.nan, np.nan
    design = np.column_stack([np.ones_like(x), x - x.mean()])
    # Its warnings tell of what is counted here: a fit that has not converged or is singular.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = MixedLM(
                used[OUTCOME].to_numpy(float), design, used["participant_id"].to_numpy()
            )
            fit = model.fit(reml=estimation == "REML")
            slope, se = float(fit.fe_params[1]), float(fit.bse_fe[1])
        except (np.linalg.LinAlgError, ValueError):
            return np.nan, np.nan
    return (slope, se) if fit.converged and np.isfinite(se) else (np.nan, np.nan)


def table_both_fits(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `both_fits` out for the page, all text."""

    def pairs(slope: str, se: str, otherwise: pd.Series) -> list[str]:
        missing = pd.Series(np.nan, index=table.index)
        both = zip(table[slope], table.get(se, missing), otherwise, strict=True)
        return [why if pd.isna(b) else f"{b:z.3f} ({e:.3f})" for b, e, why in both]

    failed = pd.Series("did not converge", index=table.index).mask(
        table["estimate"].isna(), "not estimable"
    )
    return pd.DataFrame(
        {
            "Subset": table["subset"].map(SUBSETS),
            "Predictor": table["predictor"].map(PREDICTORS),
            "This book: slope (SE)": pairs("estimate", "se", table["note"]),
            "statsmodels: slope (SE)": pairs("slope_statsmodels", "se_statsmodels", failed),
        }
    )


def group_tests(
    samples: pd.DataFrame, compared: pd.DataFrame, options: AnalysisOptions
) -> pd.DataFrame:
    """Compare the groups of Fig. 1 by patient, beside the comparison by sample.

    ``compared`` as `cpmlib.paper.groups.comparisons` returns it. Where each patient belongs to one
    group: Mann-Whitney of the patients' means (``p_patients``). Always: the difference of the
    groups in a mixed model with a random intercept for the patient (``estimate``, ``p``).
    """
    samples = with_grade_grouping(samples, options)
    rows = []
    for by_sample in compared.to_dict("records"):
        grouping = next(g for g in GROUPINGS if g.key == by_sample["grouping"])
        column = COLUMN[by_sample["measurement"]]
        part = samples[samples[grouping.column].isin(grouping.levels)].dropna(subset=[column])
        first = (part[grouping.column] == grouping.levels[0]).to_numpy(float)
        design = np.column_stack([np.ones(len(part)), first])
        if len(np.unique(first)) < 2:
            row = not_estimable("difference", "one of the groups has no sample", len(part))
        else:
            part = part.assign(**{OUTCOME: part[column]})
            row = _effect(design, part, 1, "difference", options)
        each = part.groupby("participant_id", sort=False)[grouping.column].nunique()
        mixed = int((each > 1).sum())
        means = part.groupby(["participant_id", grouping.column], sort=False)[column].mean()
        by_level = [means[means.index.get_level_values(1) == level] for level in grouping.levels]
        tested = mann_whitney(*by_level, method=options.mann_whitney_method).iloc[0]
        rows.append(
            row.assign(
                measurement=by_sample["measurement"],
                grouping=grouping.key,
                groups=f"{by_sample['group_a']} / {by_sample['group_b']}",
                p_samples=by_sample["p"],
                p_patients=np.nan if mixed else tested["p"],
                patients=f"{len(by_level[0])} / {len(by_level[1])}",
                patients_in_both=mixed,
            )
        )
    return pd.concat(rows, ignore_index=True)


def table_group_tests(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `group_tests` out for the page, all text."""
    of_means = table["p_patients"].map(format_p)
    return pd.DataFrame(
        {
            "Measurement": table["measurement"].map(MEASUREMENTS),
            "Groups": table["groups"],
            "p by sample": table["p_samples"].map(format_p),
            "Patients": table["patients"],
            "p of patients' means": of_means.mask(
                table["patients_in_both"] > 0, "patients in both"
            ),
            "Difference in the mixed model (95 % interval)": format_estimates(table, 0),
            "p of the model": table["p"].map(format_p),
        }
    )


def say_group_tests(table: pd.DataFrame) -> str:
    """Say which differences are significant by sample and no longer so by patient."""
    if table["p_samples"].isna().all():
        return "No group difference is estimable."
    found = table[table["p_samples"] < ALPHA]
    if found.empty:
        return "No group difference is significant even by sample."
    kept: list[str] = []
    lost: list[str] = []
    for row in found.to_dict("records"):
        by_patient = [p for p in (row["p_patients"], row["p"]) if not np.isnan(p)]
        name = f"{MEASUREMENTS[row['measurement']]} of {row['groups']}"
        sure = bool(by_patient) and all(p < ALPHA for p in by_patient)
        (kept if sure else lost).append(name)
    said = f"Group differences that are significant by sample: {len(found)}."
    said += f" So by patient, too: {'; '.join(kept) or 'none'}."
    return said + (
        f" No longer, or not by each of the two ways: {'; '.join(lost)}." if lost else ""
    )


def multiplicity(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Adjust the p values of all tests for their number (Holm; Benjamini-Hochberg).

    ``tables`` hold ``p`` under a name each. Columns ``part``, ``what``, ``p``, ``holm``, ``bh``,
    by rising p; tests that are not estimable are not counted.
    """
    rows = [
        {"part": part, "what": _described(row), "p": row["p"]}
        for part, table in tables.items()
        for row in table.dropna(subset="p").to_dict("records")
    ]
    found = pd.DataFrame(rows, columns=["part", "what", "p"]).astype({"p": float})
    found = found.sort_values("p", kind="stable", ignore_index=True)
    for name, method in (("holm", "holm"), ("bh", "fdr_bh")):
        adjusted = multipletests(found["p"], method=method)[1] if len(found) else []
        found[name] = np.asarray(adjusted, float)
    return found


def _described(row: Mapping[Any, Any]) -> str:
    if "grouping" in row:
        return f"{MEASUREMENTS[str(row['measurement'])]}, {row['group_a']} / {row['group_b']}"
    where = SUBSETS[str(row["subset"])]
    if "predictor" not in row:
        return f"CPM against ADC, {where}"
    names = {"slope": "line", "Spearman rho": "rho", "mixed-model slope": "slope"}
    return f"{PREDICTORS[str(row['predictor'])]}, {where}, {names[str(row['statistic'])]}"


def table_multiplicity(table: pd.DataFrame) -> pd.DataFrame:
    """Lay the tests of `multiplicity` that are significant alone out for the page, all text."""
    shown = table[table["p"] < ALPHA]
    return pd.DataFrame(
        {
            "Part": shown["part"],
            "Test": shown["what"],
            "p": shown["p"].map(format_p),
            "Holm": shown["holm"].map(format_p),
            "Benjamini-Hochberg": shown["bh"].map(format_p),
        }
    )


def say_multiplicity(table: pd.DataFrame) -> str:
    """Say how many tests there are, and how many stay significant."""
    alone, holm, bh = ((table[c] < ALPHA).sum() for c in ("p", "holm", "bh"))
    return (
        f"Of {len(table)} tests {alone} are significant when each is looked at alone, {holm} after "
        f"Holm's and {bh} after Benjamini and Hochberg's adjustment. If no association existed, "
        f"{ALPHA * len(table):.1f} of so many tests would be expected to be significant."
    )


def say_within(table: pd.DataFrame) -> str:
    """Say in which subsets the association is there within patients."""
    parts = []
    for predictor, name in PREDICTORS.items():
        rows = table[(table["predictor"] == predictor) & (table["level"] == "within")]
        known = rows.dropna(subset="p")
        sure = [
            f"{WHERE[row['subset']]} (r = {row['estimate']:z.2f})"
            for row in known[known["p"] < ALPHA].to_dict("records")
        ]
        where = f"significant in {' and '.join(sure) or 'none of the subsets'}"
        parts.append(f"that of {name} is {'not estimable' if known.empty else where}")
    return f"Associations within patients: {'; '.join(parts)}."
