"""Supplementary Table 1 and Fig. 1: the same associations, samples of a patient taken together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cpmlib.paper import formatting
from cpmlib.paper.correlations import OUTCOME, Flagged, measured
from cpmlib.paper.formatting import format_columns, format_estimates, format_p
from cpmlib.paper.subsets import PREDICTORS, SUBSETS, WHERE, subset
from cpmlib.statistics.mixed_model import mixed_model_slope
from cpmlib.statistics.one_per_patient import enumerate_all, exact_mean, monte_carlo
from cpmlib.statistics.results import not_estimable, one_row, with_interval
from cpmlib.study.options import AnalysisOptions

TESTS = {
    "satterthwaite": "Satterthwaite's degrees of freedom",
    "wald-t": "a t distribution of n - 2 degrees of freedom (wald-t)",
    "wald-z": "a normal distribution (wald-z)",
}
"""How the slope's p is found, in words."""


def model_used(options: AnalysisOptions) -> str:
    """Say how the mixed model is fitted and tested.

    Examples
    --------
    >>> model_used(AnalysisOptions())
    "REML with Satterthwaite's degrees of freedom"
    """
    return f"{options.mixed_model_estimation} with {TESTS[options.mixed_model_test]}"


def signs(models: pd.DataFrame, iterated: pd.DataFrame) -> str:
    """Say where the mixed model's slope and the mean rho have different signs, in sentences.

    Examples
    --------
    >>> at = {"subset": ["whole"], "predictor": ["cpm"]}
    >>> slope = {"estimate": [0.2], "ci_low": [-0.1], "ci_high": [0.5]}
    >>> print(signs(pd.DataFrame(at | slope), pd.DataFrame(at | {"estimate": [-0.1]})))
    The slope of the mixed model and the mean rho differ in sign for CPM in the whole cohort (0.20
    and -0.10). A slope weighs distances in all samples, rho the order alone in one sample of each
    patient, so that both can hold. The 95 % interval of each of these slopes includes 0: its sign
    is not settled.
    """
    both = models.merge(iterated, on=["subset", "predictor"], suffixes=("", "_rho"))
    differ = both[both["estimate"] * both["estimate_rho"] < 0]
    if differ.empty:
        return ""
    cases = "; ".join(
        f"{PREDICTORS[row['predictor']]} in {WHERE[row['subset']]}"
        f" ({row['estimate']:.2f} and {row['estimate_rho']:.2f})"
        for row in differ.to_dict("records")
    )
    said = (
        f"The slope of the mixed model and the mean rho differ in sign for {cases}. A slope weighs"
        " distances in all samples, rho the order alone in one sample of each patient, so that both"
        " can hold."
    )
    if ((differ["ci_low"] < 0) & (differ["ci_high"] > 0)).all():
        said += " The 95 % interval of each of these slopes includes 0: its sign is not settled."
    return said


def mixed_models(flagged: Flagged, options: AnalysisOptions) -> pd.DataFrame:
    """Mixed-model slope of H&E cellularity on each predictor, in each subset.

    ``flagged`` as `cpmlib.paper.correlations.flag_all` returns it; one row each, as
    `mixed_model_slope` returns them.
    """
    rows = []
    for (key, predictor), part in flagged.items():
        leave_out = part["outlier"] & options.mixed_model_excludes_outliers
        used, names = part[~leave_out], " ".join(part.loc[leave_out, "sample_id"])
        row = mixed_model_slope(
            used[predictor],
            used[OUTCOME],
            used["participant_id"],
            estimation=options.mixed_model_estimation,
            test=options.mixed_model_test,
        )
        rows.append(row.assign(subset=key, predictor=predictor, excluded=names))
    return pd.concat(rows, ignore_index=True)


def one_per_patient(
    samples: pd.DataFrame, options: AnalysisOptions
) -> tuple[pd.DataFrame, dict[tuple[str, str], np.ndarray]]:
    """Spearman's rho over draws of one sample per patient, in each subset.

    Returns
    -------
    table : pandas.DataFrame
        One row for each subset and predictor: ``estimate`` is the exact mean (the Monte Carlo
        mean where there is none, as ``note`` says), ``ci_low`` and ``ci_high`` hold 95 % of the
        draws, ``monte_carlo_mean`` with ``monte_carlo_se``, ``n_combinations``, and
        ``enumerated_mean`` where all combinations were gone through.
    draws : dict
        The drawn rho for each (subset, predictor).
    """
    rows, draws = [], {}
    for key, predictor, used, rng in _each(samples, options):
        row, rho = _distribution(used, predictor, options.n_draws, rng)
        rows.append(row.assign(subset=key, predictor=predictor))
        draws[key, predictor] = rho
    return pd.concat(rows, ignore_index=True), draws


def _each(
    samples: pd.DataFrame, options: AnalysisOptions
) -> Iterator[tuple[str, str, pd.DataFrame, np.random.Generator]]:
    """Give subset, predictor, the samples that have both values, and what draws among them."""
    for key in SUBSETS:
        for predictor in PREDICTORS:
            used = measured(subset(samples, key), predictor)
            yield key, predictor, used, options.rng(f"one per patient {key} {predictor}")


def _distribution(
    used: pd.DataFrame, predictor: str, n_draws: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    name, n = "mean Spearman rho", len(used)
    columns = used[predictor], used[OUTCOME], used["participant_id"]
    try:
        rho = monte_carlo(*columns, n_draws=n_draws, rng=rng)
    except ValueError as error:
        return not_estimable(name, str(error), n), np.zeros(0)
    defined = rho[~np.isnan(rho)]
    if len(defined) == 0:
        return not_estimable(name, "all values are equal", n), rho
    mean = exact_mean(*columns)
    all_rho = enumerate_all(*columns)
    note = ""
    if mean is None:
        mean, note = float(defined.mean()), "Monte Carlo mean; the exact one is out of reach"
    low, high = np.percentile(defined, [2.5, 97.5])
    row = one_row(
        name,
        mean,
        ci=(low, high),
        n=n,
        note=note,
        n_patients=used["participant_id"].nunique(),
        n_combinations=np.prod(used.groupby("participant_id").size().to_numpy(float)),
        monte_carlo_mean=defined.mean(),
        monte_carlo_sd=defined.std(ddof=1) if len(defined) > 1 else np.nan,
        monte_carlo_se=defined.std(ddof=1) / np.sqrt(len(defined)) if len(defined) > 1 else np.nan,
        enumerated_mean=np.nan if all_rho is None else all_rho.mean(),
        share_positive=float((defined > 0).mean()),
    )
    return row, rho


def mean_rhos(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Find ``subset``, ``predictor`` and ``estimate`` of `one_per_patient` alone.

    What the draws and the combinations look like takes most of its time.
    """
    rows = []
    for key, predictor, used, rng in _each(samples, options):
        columns = used[predictor], used[OUTCOME], used["participant_id"]
        try:
            mean = exact_mean(*columns)
            if mean is None:
                rho = monte_carlo(*columns, n_draws=options.n_draws, rng=rng)
                defined = rho[~np.isnan(rho)]
                mean = float(defined.mean()) if len(defined) else np.nan
        except ValueError:
            mean = np.nan
        rows.append({"subset": key, "predictor": predictor, "estimate": mean})
    return pd.DataFrame(rows)


def table_s1(models: pd.DataFrame) -> pd.DataFrame:
    """Lay `mixed_models` out as the paper's Supplementary Table 1, all text."""
    shown = pd.DataFrame(
        {
            "Subset": models["subset"].map(SUBSETS),
            "Predictor": models["predictor"].map(PREDICTORS),
            "n": models["n"],
            "b (95 % interval)": format_estimates(models, 2),
            "p": models["p"].map(format_p),
        }
    )
    names = {"n_patients": ("Patients", "{:.0f}"), "df": ("df", "{:.1f}"), "icc": ("ICC", "{:.2f}")}
    return shown.join(format_columns(models, names))


def table_iterated(iterated: pd.DataFrame) -> pd.DataFrame:
    """Lay `one_per_patient` out for the page, all text."""
    rho, unknown = iterated["estimate"], iterated["estimate"].isna()
    shown = pd.DataFrame(
        {
            "Subset": iterated["subset"].map(SUBSETS),
            "Predictor": iterated["predictor"].map(PREDICTORS),
            "Mean rho": rho.map("{:.3f}".format).mask(unknown, iterated["note"]),
        }
    )
    if "monte_carlo_mean" not in iterated:
        return shown
    drawn, error = (iterated[f"monte_carlo_{key}"].map("{:.3f}".format) for key in ("mean", "se"))
    low, high = (iterated[f"ci_{end}"].map("{:.2f}".format) for end in ("low", "high"))
    mean = iterated["enumerated_mean"]
    return shown.assign(
        **{
            "Mean of draws (SE)": drawn + " (" + error + ")",
            "95 % of draws": low + " to " + high,
            "Combinations": iterated["n_combinations"].map("{:,.0f}".format),
            "Mean of all": mean.map("{:.3f}".format)
            .mask(mean.isna(), "too many")
            .mask(unknown, "n/a"),
        }
    )


def quoted(models: pd.DataFrame, iterated: pd.DataFrame) -> dict[str, object]:
    """Return the numbers that the page's sentences quote, and what they say of the signs."""
    return {
        "signs": signs(models, iterated),
        **formatting.quoted(models, {"_b": "estimate", "_p": "p"}),
        **formatting.quoted(iterated, {"_rho": "estimate"}),
    }


def values(models: pd.DataFrame, iterated: pd.DataFrame) -> dict[str, float]:
    """Regenerate the values that the ledger lists under ``lmm.`` and ``iter.``."""
    found: dict[str, float] = {}
    for row in models.to_dict("records"):
        prefix = f"lmm.{row['subset']}.{row['predictor']}"
        found |= with_interval(f"{prefix}.b", row)
        found[f"{prefix}.p"] = row["p"]
    for row in iterated.to_dict("records"):
        found[f"iter.{row['subset']}.{row['predictor']}.mean_rho"] = row["estimate"]
    return found
