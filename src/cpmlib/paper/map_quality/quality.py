"""How far the map is off: what its error is made of, whether a line mends it, how well it agrees.

Vocabulary
----------
- *recalibrated map*: CPM corrected by the line of H&E on CPM of all other patients.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpmlib.paper.correlations import OUTCOME, Flagged, measured
from cpmlib.paper.feasibility import bounds
from cpmlib.paper.formatting import format_columns, format_estimates
from cpmlib.paper.subsets import SUBSETS, WHERE, subset
from cpmlib.statistics.agreement import concordance, limits_of_agreement
from cpmlib.statistics.correlation import linear_fit
from cpmlib.statistics.held_out import compare_errors, held_out_errors
from cpmlib.statistics.prediction_error import error_split
from cpmlib.statistics.two_error_lines import deming, passing_bablok
from cpmlib.study.options import AnalysisOptions
from cpmlib.study.published import parse_printed

LINES = {
    "constant": (),
    "cpm": ("cpm",),
    "adc": ("adc",),
    "both": ("cpm", "adc"),
}
"""What predicts H&E cellularity when a patient is held out, and the columns it uses."""

LINE_NAMES = {
    "map": "CPM as it is",
    "constant": "One constant",
    "cpm": "Line in CPM",
    "adc": "Line in ADC",
    "both": "CPM and ADC",
}

DIFFERENCES = (("cpm", "map"), ("cpm", "constant"), ("both", "adc"))
"""Pairs of predictions that are compared: the first less the second."""

AGREEMENT = {
    "bias": "Bias (cells/mm²)",
    "concordance": "Concordance",
    "Deming slope": "Deming slope",
    "Passing-Bablok slope": "Passing-Bablok slope",
    "slope": "Least-squares slope",
}

KEPT, ALL = "as in Table 2", "all samples"


def errors(flagged: Flagged, options: AnalysisOptions) -> pd.DataFrame:
    """Split the RMSE of CPM in each subset, over the samples of Table 2 and over all.

    ``flagged`` as `cpmlib.paper.correlations.flag_all` returns it; rows as `error_split` gives
    them, with ``subset`` and ``samples`` (`KEPT` or `ALL`).
    """
    rows = []
    for key in SUBSETS:
        part = flagged[key, "cpm"]
        kept = part[~(part["outlier"] & options.rmse_excludes_outliers)]
        for used, which in ((kept, KEPT), (part, ALL)):
            row = error_split(used["cpm"], used[OUTCOME])
            rows.append(row.assign(subset=key, samples=which))
    return pd.concat(rows, ignore_index=True)


def say_errors(table: pd.DataFrame) -> str:
    """Say of each subset what the error is made of, and whether a constant is better.

    Examples
    --------
    >>> row = {"subset": ["naive"], "samples": [KEPT], "estimate": [5.0], "bias": [4.0]}
    >>> more = {"bias_share": [0.64], "constant": [3.0], "skill": [-1.8]}
    >>> print(say_errors(pd.DataFrame(row | more)))
    In treatment-naïve tumours the map is 4 cells/mm² too low on average, which makes 64 % of the
    mean square error; a constant at the mean would have an RMSE of 3 in place of 5, which is less.
    """
    said = []
    for row in table[table["samples"] == KEPT].to_dict("records"):
        where = f"In {WHERE[row['subset']]}"
        if np.isnan(row["estimate"]):
            said.append(f"{where} the error is not estimable.")
            continue
        low = "low" if row["bias"] >= 0 else "high"
        less = "less" if row["constant"] < row["estimate"] else "not less"
        share = "no part" if np.isnan(row["bias_share"]) else f"{100 * row['bias_share']:.0f} %"
        said.append(
            f"{where} the map is {abs(row['bias']):.0f} cells/mm² too {low} on average, which "
            f"makes {share} of the mean square error; a constant at the mean would have an RMSE of "
            f"{row['constant']:.0f} in place of {row['estimate']:.0f}, which is {less}."
        )
    return " ".join(said)


def say_print(published: pd.DataFrame) -> str:
    """Say what the printed means and SDs alone tell of the printed RMSE of the whole cohort."""
    ids = ("desc.he_mean", "desc.cpm_mean", "desc.he_sd", "corr.whole.cpm.rmse")
    if not set(ids) <= set(published.index):
        return ""
    printed = published["printed"].astype(str)
    he, cpm, sd, rmse = (parse_printed(printed[id]).centre for id in ids)
    worse = "more than" if rmse > sd else "no more than"
    return (
        f"No data are needed for the first part of this. The paper prints mean H&E and CPM "
        f"cellularities of {he:.0f} and {cpm:.0f}: a bias of {he - cpm:.0f} in an RMSE of "
        f"{rmse:.0f} cells/mm², but for the outliers that the RMSE leaves out. It prints an SD of "
        f"H&E of {sd:.0f}, which is about the RMSE of a constant: the printed RMSE is {worse} that."
    )


def say_contested(published: pd.DataFrame, errors_: pd.DataFrame) -> str:
    """Say what is left of the Discussion's sentence on the RMSE of recurrent tumours."""
    id = "corr.recurrent.cpm.rmse"
    found = bounds(published).get(id)
    if found is None:
        return "The printed values do not bound the RMSE of recurrent tumours."
    printed = published["printed"].astype(str)
    text, naive = printed[id], printed.get("corr.naive.cpm.rmse", "one not printed")
    said = (
        f"The Discussion takes the RMSE of recurrent tumours, {text} against {naive} in "
        "treatment-naïve ones, for a greater error of the map. "
    )
    if not found.contradicted:
        return said + "The other printed values allow that number."
    said += (
        f"If the premises of the ledger's bound hold, {text} cannot hold together with the other "
        "printed values, and that sentence loses its number. What the paper says of the missing "
        "association in recurrent tumours does not rest on it."
    )
    row = errors_[(errors_["subset"] == "recurrent") & (errors_["samples"] == KEPT)].iloc[0]
    if not np.isnan(row["estimate"]):
        said += f" The RMSE of this dataset's recurrent tumours is {row['estimate']:.0f}."
    return said


def table_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `errors` out for the page, all text."""
    shown = pd.DataFrame(
        {
            "Subset": table["subset"].map(SUBSETS),
            "Samples": table["samples"],
            "n": table["n"].astype(str),
            "RMSE": table["estimate"].map("{:.0f}".format).mask(table["estimate"].isna(), "n/a"),
        }
    )
    numbers = {
        "bias": ("Bias", "{:.0f}"),
        "scatter": ("Scatter", "{:.0f}"),
        "bias_share": ("Bias² / MSE", "{:.2f}"),
        "constant": ("Constant", "{:.0f}"),
        "skill": ("Skill", "{:z.2f}"),
        "line_error": ("Best line", "{:.0f}"),
    }
    return shown.join(format_columns(table, numbers))


def held_out(samples: pd.DataFrame, options: AnalysisOptions) -> pd.DataFrame:
    """Compare predictions of held-out patients, in the samples with CPM, ADC and H&E.

    Rows as `compare_errors` returns them, for each subset and each pair of `DIFFERENCES`; with
    ``subset``, ``first``, ``second``.
    """
    rows = []
    for key in SUBSETS:
        part = measured(subset(samples, key), "cpm").dropna(subset=["adc"])
        y, patient = part[OUTCOME].to_numpy(float), part["participant_id"]
        found = {"map": y - part["cpm"].to_numpy(float)}
        for name, columns in LINES.items():
            design = np.column_stack([np.ones(len(part)), part[list(columns)].to_numpy(float)])
            found[name] = held_out_errors(design, y, patient) if len(part) else y
        for first, second in DIFFERENCES:
            rng = options.rng(f"held out {key} {first} {second}")
            row = compare_errors(found[first], found[second], patient, rng=rng)
            rows.append(row.assign(subset=key, first=first, second=second))
    return pd.concat(rows, ignore_index=True)


def table_held_out(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `held_out` out for the page, all text."""
    shown = pd.DataFrame(
        {
            "Subset": table["subset"].map(SUBSETS),
            "Prediction": table["first"].map(LINE_NAMES),
            "Against": table["second"].map(LINE_NAMES),
        }
    )
    names = {"rmse_first": ("RMSE", "{:.0f}"), "rmse_second": ("RMSE against", "{:.0f}")}
    shown = shown.join(format_columns(table, names))
    return shown.assign(**{"Difference (95 % interval)": format_estimates(table, 0)})


def say_held_out(table: pd.DataFrame) -> str:
    """Say what recalibration mends, and what CPM adds to ADC, in held-out patients."""
    said = []
    for first, second, what in (
        ("cpm", "map", "A line of the other patients improves the map"),
        ("cpm", "constant", "That line is better than a constant of the other patients"),
        ("both", "adc", "CPM adds to ADC"),
    ):
        rows = table[(table["first"] == first) & (table["second"] == second)]
        known = rows.dropna(subset="estimate")
        sure = [WHERE[k] for k in known.loc[known["ci_high"] < 0, "subset"]]
        worse = [WHERE[k] for k in known.loc[known["estimate"] >= 0, "subset"]]
        if known.empty:
            said.append(f"{what}: not estimable.")
            continue
        text = f"{what}, with an interval below 0, in {_and(sure) or 'none of the subsets'}."
        if worse:
            text += f" Its RMSE is not smaller in {_and(worse)}."
        said.append(text)
    return " ".join(said)


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def calibration(samples: pd.DataFrame) -> pd.DataFrame:
    """Line of H&E on CPM in each subset, all samples: a calibrated map has slope 1, intercept 0."""
    rows = []
    for key in SUBSETS:
        part = measured(subset(samples, key), "cpm")
        rows.append(linear_fit(part["cpm"], part[OUTCOME]).assign(subset=key))
    return pd.concat(rows, ignore_index=True)


def say_calibration(table: pd.DataFrame) -> str:
    """Say where the interval of the calibration slope leaves out 1, and where it leaves out 0."""
    known = table.dropna(subset="estimate")
    if known.empty:
        return "No calibration line is estimable."
    parts = []
    for row in known.to_dict("records"):
        holds = [str(x) for x in (0, 1) if row["ci_low"] <= x <= row["ci_high"]]
        what = f"includes {' and '.join(holds)}" if holds else "includes neither 0 nor 1"
        parts.append(f"{row['estimate']:z.2f} in {WHERE[row['subset']]} (the 95 % interval {what})")
    return f"The calibration slope is {'; '.join(parts)}."


def agreement(samples: pd.DataFrame) -> pd.DataFrame:
    """Agreement of CPM with H&E in each subset, all samples.

    Rows of `AGREEMENT`: bias with the limits of agreement (H&E minus CPM), Lin's concordance, and
    the slopes of H&E on CPM by Deming (equal error variances), Passing & Bablok, least squares.
    """
    rows = []
    for key in SUBSETS:
        part = measured(subset(samples, key), "cpm")
        x, y, patient = part["cpm"], part[OUTCOME], part["participant_id"]
        found = [
            limits_of_agreement(x, y, patient),
            concordance(x, y),
            deming(x, y, patient),
            passing_bablok(x, y),
            linear_fit(x, y),
        ]
        rows += [row.assign(subset=key) for row in found]
    return pd.concat(rows, ignore_index=True)


def table_agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `agreement` out for the page, all text: one row a statistic, one column a subset."""
    digits = [0 if name == "bias" else 2 for name in table["statistic"]]
    cells = table.assign(cell=format_estimates(table, digits))
    found = cells.set_index(["statistic", "subset"])["cell"]
    rows = []
    for statistic, name in AGREEMENT.items():
        shown = {SUBSETS[key]: found[statistic, key] for key in SUBSETS}
        rows.append({"Statistic": name} | shown)
        if statistic == "bias":
            text = {
                SUBSETS[row["subset"]]: "n/a"
                if np.isnan(row["lower"])
                else f"{row['lower']:.0f} to {row['upper']:.0f}"
                for row in table[table["statistic"] == "bias"].to_dict("records")
            }
            rows.append({"Statistic": "Limits of agreement (cells/mm²)"} | text)
    return pd.DataFrame(rows)


def say_agreement(table: pd.DataFrame) -> str:
    """Say how wide the limits of agreement are in the whole cohort, and the concordance."""
    rows = {row["statistic"]: row for row in table.to_dict("records") if row["subset"] == "whole"}
    bias, lin = rows["bias"], rows["concordance"]
    if np.isnan(bias["estimate"]) or np.isnan(lin["estimate"]):
        return "Agreement in the whole cohort is not estimable."
    return (
        f"In the whole cohort H&E lies between {_signed(bias['lower'])} and "
        f"{_signed(bias['upper'])} cells/mm² from the map in 95 % of samples, if differences are "
        f"normal. Lin's concordance is {lin['estimate']:z.2f}, where 1 is perfect."
    )


def _signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "−")


def differences(samples: pd.DataFrame) -> pd.DataFrame:
    """Mean and difference of H&E and CPM of each sample, for the Bland-Altman plot."""
    part = measured(samples, "cpm")
    return part[["sample_id", "participant_id", "treatment"]].assign(
        mean=(part[OUTCOME] + part["cpm"]) / 2, difference=part[OUTCOME] - part["cpm"]
    )
