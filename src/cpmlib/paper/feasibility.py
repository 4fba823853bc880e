"""Printed values that cannot hold together, given the premises that each bound names.

No sample is looked at here: each bound uses what the paper prints, rounding included, and a few
stated premises, so that a verdict *cannot hold together with the others* is a statement about
printed values.

Vocabulary
----------
- *bound*: a number that a value cannot pass; here the outermost one that the other printed values
  leave to it.
- *squared error*: (H&E - CPM)^2 of a sample; the RMSE is the root of its mean over the samples
  kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from cpmlib.paper.audit.agreement import Exclusions, Pair, exclusions
from cpmlib.paper.audit.counts import group_sizes
from cpmlib.study.published import PrintedValue, agrees_if_truncated, parse_printed


@dataclass(frozen=True)
class Bound:
    """What the other printed values say of one of them: argument in a sentence, and arithmetic.

    ``id`` is of the printed value, ``contradicted`` whether it lies outside the bound; ``steps``
    has one row a step: ``step`` and ``value``.
    """

    id: str
    contradicted: bool
    explanation: str
    premises: tuple[str, ...]
    steps: pd.DataFrame = field(compare=False)


class _Print:
    """Intervals of the printed values by id."""

    def __init__(self, published: pd.DataFrame) -> None:
        self.text = published["printed"]

    def has(self, *ids: str) -> bool:
        return all(id in self.text.index for id in ids)

    def __getitem__(self, id: str) -> PrintedValue:
        return parse_printed(self.text[id])


def bounds(published: pd.DataFrame, *, all_graded: bool = True) -> dict[str, Bound]:
    """Work out every bound that the printed values allow, by the id that it concerns.

    A bound whose ingredients are not printed is left out. Unless every sample belongs to a grade
    group (``all_graded``), nothing bounds the share of HGG samples.
    """
    printed = _Print(published)
    found = [_rmse_of_recurrent(printed)]
    if all_graded:
        found.insert(0, _share_of_non_enhancing(printed))
    return {bound.id: bound for bound in found if bound is not None}


def _share_of_non_enhancing(printed: _Print) -> Bound | None:
    target = "hgg.share_non_enhancing"
    means = ("desc.cpm_mean", "group.grade.cpm_mean_a", "group.grade.cpm_mean_b")
    if not printed.has(target, "t1.n_samples", *means):
        return None
    n = round(printed["t1.n_samples"].centre)
    sizes = group_sizes(n, *(printed[id] for id in means))
    share, text = printed[target], printed.text[target]
    shares = [100 * k / size for size in sizes for k in range(size + 1)]
    rounded = any(share.contains(value) for value in shares)
    truncated = any(agrees_if_truncated(text, "percent of HGG samples", value) for value in shares)
    rows = [("samples", float(n))]
    for size in sizes:
        nearest = min(range(size + 1), key=lambda k, s=size: abs(100 * k / s - share.centre))  # type: ignore[misc]
        rows += [
            ("HGG samples, from the three printed means", float(size)),
            ("nearest whole number of non-enhancing ones", float(nearest)),
            ("the share it gives, %", 100 * nearest / size),
        ]
    if not sizes:
        return None
    if rounded:
        conclusion = "a whole number of them rounds to the printed percentage"
    elif truncated:
        conclusion = (
            "no whole number of them rounds to the printed percentage, but one is truncated to it, "
            "as some percentages of the paper's Table 1 are"
        )
    else:
        conclusion = "no whole number of them is rounded or truncated to the printed percentage"
    explanation = (
        "If every sample is HGG or LGG, the printed means of all, HGG and LGG samples leave only "
        + ", ".join(f"{size} HGG samples" for size in sizes)
        + f"; {conclusion}."
    )
    premises = ("every sample belongs to HGG or LGG",)
    return Bound(target, not (rounded or truncated), explanation, premises, _steps(rows))


def _rmse_of_recurrent(printed: _Print) -> Bound | None:
    target = "corr.recurrent.cpm.rmse"
    needed = (
        "t1.n_samples",
        "desc.he_mean",
        "desc.he_sd",
        "desc.cpm_mean",
        "desc.cpm_sd",
        "group.treatment.cpm_mean_a",
        "group.treatment.cpm_mean_b",
        "corr.naive.cpm.rmse",
        "corr.naive.cpm.b",
    )
    if not printed.has(target, *needed):
        return None
    n = round(printed["t1.n_samples"].centre)
    naive = group_sizes(
        n,
        printed["desc.cpm_mean"],
        printed["group.treatment.cpm_mean_a"],
        printed["group.treatment.cpm_mean_b"],
    )
    if not naive:
        return None
    # Every group size that the means admit has to fail; the one closest to holding is shown.
    trials = [_exclusions(printed, n, size) for size in naive]
    shown = max(trials, key=lambda trial: trial.found.r_needed)
    found = shown.found
    contradicted = all(trial.found.at_zero > trial.found.removable for trial in trials)
    rows = [
        ("recurrent samples, from the three printed means", float(shown.recurrent)),
        ("most samples that ROUT can exclude", float(found.removable)),
        ("greatest sum of squared errors at r = -1, 1e6", found.total_at_minus_1 / 1e6),
        ("greatest sum at r = 0, 1e6", found.total_at_zero / 1e6),
        (
            f"treatment-naive part of it, {shown.furthest} being the one outlier, 1e6",
            found.others / 1e6,
        ),
        ("least squared error per recurrent sample kept, 1e6", found.per_sample / 1e6),
        ("exclusions needed at r = -1", float(found.at_minus_1)),
        ("exclusions needed at r = 0", float(found.at_zero)),
        ("r at which the most that ROUT can exclude would do", found.r_needed),
    ]
    explanation = (
        f"Means and SDs fix the sum of squared errors over all samples up to the correlation r. "
        f"If r is not negative and {shown.furthest} is the one outlier of the treatment-naive "
        f"group, at least {found.at_zero} of {shown.recurrent} recurrent samples would have to be "
        "excluded; "
        f"ROUT can exclude {found.removable}. Without the premise on r the bound is weaker: at "
        f"r = −1, {found.at_minus_1} exclusions would be enough; for {found.removable}, r must be "
        f"{found.r_needed:.2f} or less."
    )
    premises = (
        "the correlation of CPM and H&E over all samples is not negative (the printed rank "
        "correlation and the printed slope without outliers are both positive)",
        f"the treatment-naive group's one outlier is {shown.furthest}, the printed case furthest "
        "off",
        "means and SDs (n - 1) are over all samples; an RMSE leaves out its subset's outliers",
    )
    return Bound(target, contradicted, explanation, premises, _steps(rows))


@dataclass(frozen=True)
class _Trial:
    """How many recurrent samples must be excluded, for one size of the naive group."""

    recurrent: int
    furthest: str
    found: Exclusions


def _exclusions(printed: _Print, n: int, naive: int) -> _Trial:
    furthest, outlier_error = _furthest_case(printed)
    naive_error = (naive - 1) * printed["corr.naive.cpm.rmse"].low ** 2 + outlier_error
    names = ("desc.cpm_mean", "desc.cpm_sd", "desc.he_mean", "desc.he_sd")
    pair = Pair(n, *(printed[name] for name in names))
    rmse = printed["corr.recurrent.cpm.rmse"]
    return _Trial(n - naive, furthest, exclusions(pair, naive_error, n - naive, rmse))


def _furthest_case(printed: _Print) -> tuple[str, float]:
    """The printed naive sample furthest above any line of the printed slope; its squared error.

    Which sample ROUT left out of the naive group is not printed. If it left out any, it left out
    the one furthest from the line, and among the printed ones that does not depend on the line's
    intercept.
    """
    slope = printed["corr.naive.cpm.b"].centre
    cases = [
        case
        for case in ("fig3a", "fig3b", "fig4a", "fig4b")
        if printed.has(f"case.{case}.he", f"case.{case}.cpm")
    ]
    if not cases:
        return "no printed case", 0.0

    def height(case: str) -> float:
        return printed[f"case.{case}.he"].centre - slope * printed[f"case.{case}.cpm"].centre

    furthest = max(cases, key=height)
    error = printed[f"case.{furthest}.he"].low - printed[f"case.{furthest}.cpm"].high
    return furthest, max(error, 0.0) ** 2


def _steps(rows: list[tuple[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["step", "value"])
