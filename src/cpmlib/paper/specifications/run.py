"""The main claims under every combination of the choices that each depends on.

A specification curve (Simonsohn, Simmons & Nelson 2020, Nat Hum Behav 4:1208): all defensible
analyses of one claim side by side. Every number comes from the statistic that the other pages use;
outliers are looked for once for each set of values, and what leaves the same samples is computed
once.

Vocabulary
----------
- *estimate*: in the unit of the statistic. *effect*: the same where statistics can be compared,
  a slope in standard deviations (that of a line is then Pearson's r), all others as they are.
- *holds*: what the claim says is found: a sign with p < 0.05, or p >= 0.05 for no association.
- *printed analysis*: with the options of the book, by default those closest to print.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from cpmlib.paper.correlations import OUTCOME
from cpmlib.paper.image_variants import Variant
from cpmlib.paper.specifications.choices import (
    CHOICES,
    FLIPPED,
    LINE,
    PATIENTS,
    all_levels,
)
from cpmlib.paper.specifications.claims import CLAIMS, Claim, printed_analyses
from cpmlib.paper.subsets import GROUPINGS, subset
from cpmlib.statistics.correlation import (
    correlate,
    correlation_matrix,
    linear_fit,
    root_mean_square,
)
from cpmlib.statistics.group_comparison import mann_whitney
from cpmlib.statistics.meng import compare_independent, compare_strength, meng_z
from cpmlib.statistics.mixed_model import mixed_model_slopes
from cpmlib.statistics.results import MINIMUM_GROUP, not_estimable, one_row, why_not_estimable
from cpmlib.statistics.rout import RoutResult, outliers_at, rout_column, rout_line
from cpmlib.study.options import AnalysisOptions

Levels = Mapping[str, tuple[Any, ...]]
Row = dict[str, Any]


def specifications(
    variants: Sequence[Variant],
    options: AnalysisOptions,
    claims: Iterable[Claim] = CLAIMS,
    levels: Levels | None = None,
) -> pd.DataFrame:
    """Analyse every claim under every combination of the choices that it depends on.

    Parameters
    ----------
    variants
        As `cpmlib.paper.image_variants.image_variants` returns them; the first is the table as it
        is, and the only one whose analyses can be printed ones.
    levels
        Of the choices of the statistics; `all_levels` if None.

    Returns
    -------
    pandas.DataFrame
        One row a claim and specification: ``claim``, the column of each choice ("" where it does
        not bear on the analysis), ``draw`` of a shift, ``estimate``, ``ci_low``, ``ci_high``,
        ``p``, ``n``, ``n_excluded``, ``note``, ``effect`` with its interval, ``holds`` and
        ``printed_analysis``.
    """
    levels = all_levels(options) if levels is None else levels
    claims = tuple(claims)
    rows: list[Row] = []
    for variant, unit in itertools.product(variants, levels["unit"]):
        values = _Values(variant.samples, unit == PATIENTS)
        image = variant.choices | {"unit": unit, "draw": variant.draw}
        for claim in claims:
            if _is_default_again(claim, variant, variants[0]):
                continue
            printed = printed_analyses(claim.kind, options) if variant is variants[0] else []
            for choices, found in _WAYS[claim.kind](values, claim, levels):
                made = image | choices
                is_printed = any(
                    all(made.get(key) == value for key, value in analysis.items())
                    for analysis in printed
                )
                holds = claim.holds(found["estimate"], found["p"])
                last = {"holds": holds, "printed_analysis": is_printed}
                rows.append({"claim": claim.key} | made | found | last)
    columns = ["claim", *(choice.column for choice in CHOICES), "draw", *_RESULT, *_LAST]
    table = pd.DataFrame(rows, columns=columns)
    own = [choice.column for choice in CHOICES]
    table[own] = table[own].astype(object).where(table[own].notna(), "")
    return table.astype({"holds": "boolean"})


def _is_default_again(claim: Claim, variant: Variant, default: Variant) -> bool:
    """Whether a variant leaves what a claim is about as it is, as scaling of the CPM does ADC."""
    name = claim.predictor
    return (
        variant is not default
        and name in variant.samples
        and claim.kind != "strength"
        and variant.samples[name].equals(default.samples[name])
    )


_RESULT = ["estimate", "ci_low", "ci_high", "p", "n", "n_excluded", "note"]
_LAST = ["effect", "effect_low", "effect_high", "holds", "printed_analysis"]


class _Values:
    """The units of one variant, with outliers and statistics that were found before."""

    def __init__(self, samples: pd.DataFrame, means: bool) -> None:
        self.samples, self.means = samples, means
        self._parts: dict[object, pd.DataFrame] = {}
        self._fits: dict[object, RoutResult | str] = {}
        self._found: dict[object, list[Row]] = {}

    def part(self, where: str, *measured: str, by: Sequence[str] = ()) -> pd.DataFrame:
        """Return the measured units of a subset: samples, or means of each patient's."""
        key = (where, measured, tuple(by))
        if key not in self._parts:
            rows = subset(self.samples, where).dropna(subset=[*measured, *by])
            if self.means:
                rows = rows.groupby(["participant_id", *by], as_index=False)[list(measured)].mean()
            self._parts[key] = rows.reset_index(drop=True)
        return self._parts[key]

    def kept(self, where: str, measured: Sequence[str], q: float, k: str) -> np.ndarray | str:
        """Return who is no outlier about the line of any predictor, or why that is not known."""
        rows = self.part(where, *measured, OUTCOME)
        out = np.zeros(len(rows), dtype=bool)
        for predictor in measured if q else ():
            key = (where, tuple(measured), predictor if k == LINE else k)
            if key not in self._fits:
                x, y = rows[predictor].to_numpy(float), rows[OUTCOME].to_numpy(float)
                self._fits[key] = _rout(x, y, k)
            fit = self._fits[key]
            if isinstance(fit, str):
                return fit
            out |= outliers_at(fit, q)
        return ~out

    def once(
        self,
        key: tuple[object, ...],
        kept: np.ndarray,
        find: Callable[..., list[Row]],
        *given: Any,
    ) -> list[Row]:
        """Return what was found for the same units before, or find it."""
        whole = (*key, kept.tobytes())
        if whole not in self._found:
            self._found[whole] = find(*given)
        return self._found[whole]


def _rout(x: np.ndarray, y: np.ndarray, k: str) -> RoutResult | str:
    """Fit ROUT; where there is nothing to fit nobody is an outlier, as on the other pages."""
    if why_not_estimable(x, y):
        empty = np.full(len(x), np.nan)
        return RoutResult(empty > 0, np.full(2, np.nan), empty, np.nan, empty, empty, empty, 2)
    try:
        return rout_line(x, y) if k == LINE else rout_column(y)
    except ValueError as error:
        return str(error)


def _rules(levels: Levels) -> list[tuple[float, str]]:
    """Return the ways to leave outliers out, "nobody" once."""
    rules = [(q, k) for q in levels["rout_q"] for k in levels["rout_k"] if q]
    return [*([(0.0, "")] if 0.0 in levels["rout_q"] else []), *rules]


def _result(row: pd.DataFrame, n_excluded: int = 0, scale: float = 1.0) -> Row:
    return _results(row, n_excluded, scale)[0]


def _results(rows: pd.DataFrame, n_excluded: int = 0, scale: float = 1.0) -> list[Row]:
    columns = {name: rows[name].tolist() for name in _RESULT if name != "n_excluded"}
    found: list[Row] = [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    for row in found:
        row["n_excluded"] = n_excluded
        for end, column in (("", "estimate"), ("_low", "ci_low"), ("_high", "ci_high")):
            row[f"effect{end}"] = row[column] * scale
    return found


def _each_rule(
    values: _Values, where: str, measured: Sequence[str], levels: Levels
) -> Iterator[tuple[dict[str, object], np.ndarray | Row]]:
    """Yield each rule for outliers with who is kept, or with the row that says why not."""
    for q, k in _rules(levels):
        kept = values.kept(where, measured, q, k)
        choice: dict[str, object] = {"rout_q": q, "rout_k": k}
        yield choice, _result(not_estimable("", kept, 0)) if isinstance(kept, str) else kept


def _associations(
    values: _Values, claim: Claim, levels: Levels
) -> Iterator[tuple[dict[str, object], Row]]:
    tests = levels["test"]
    ways: list[dict[str, object]] = [{"statistic": "line"}, {"statistic": "Spearman"}]
    if not values.means:
        ways += [{"statistic": "mixed model", "estimation": e} for e in levels["estimation"]]
    part = values.part(claim.where, claim.predictor, OUTCOME)
    for rule, kept in _each_rule(values, claim.where, [claim.predictor], levels):
        for way in ways:
            several = [{"test": test} for test in tests] if "estimation" in way else [{}]
            if isinstance(kept, dict):
                found = [kept] * len(several)
            else:
                key = (claim.where, claim.predictor, *way.values())
                found = values.once(key, kept, _association, part, kept, claim, way, tests)
            for test, row in zip(several, found, strict=True):
                yield rule | way | test, row


def _association(
    part: pd.DataFrame,
    kept: np.ndarray,
    claim: Claim,
    way: Mapping[str, object],
    tests: Sequence[str],
) -> list[Row]:
    used, n_excluded = part[kept], int((~kept).sum())
    x, y = used[claim.predictor], used[OUTCOME]
    if way["statistic"] == "Spearman":
        return _results(correlate(x, y), n_excluded)
    scale = float(x.std() / y.std()) if len(used) > 1 and y.std() > 0 else np.nan
    if way["statistic"] == "line":
        return _results(linear_fit(x, y), n_excluded, scale)
    people, estimation = used["participant_id"], str(way["estimation"])
    fitted = mixed_model_slopes(x, y, people, estimation=estimation, tests=tests)
    return _results(fitted, n_excluded, scale)


def _strengths(
    values: _Values, claim: Claim, levels: Levels
) -> Iterator[tuple[dict[str, object], Row]]:
    measured = ["cpm", "adc"]
    part = values.part(claim.where, *measured, OUTCOME)
    for rule, kept in _each_rule(values, claim.where, measured, levels):
        for method, sign in itertools.product(levels["correlation"], levels["sign"]):
            way: dict[str, object] = {"correlation": method, "sign": sign}
            if isinstance(kept, dict):
                yield rule | way, kept
                continue
            used = part.loc[kept, [OUTCOME, *measured]]
            key, out = (claim.key, method, sign), int((~kept).sum())
            (found,) = values.once(key, kept, _strength, used, method, sign, out)
            yield rule | way, found


def _strength(used: pd.DataFrame, method: str, sign: str, n_excluded: int) -> list[Row]:
    columns = used.to_numpy(float)
    row = compare_strength(*columns.T, correlation=method)
    if sign == FLIPPED or row["note"].item():
        return _results(row, n_excluded)
    r = correlation_matrix((stats.rankdata(columns, axis=0) if method == "spearman" else columns).T)
    return _results(meng_z(r[0, 1], r[0, 2], r[1, 2], len(columns)), n_excluded)


PAIR = ("naive", "recurrent")


def _pairs(
    values: _Values, claim: Claim, levels: Levels
) -> Iterator[tuple[dict[str, object], list[np.ndarray] | Row]]:
    """Yield each rule with who is kept of treatment-naive and of recurrent tumours."""
    naive, recurrent = (_each_rule(values, key, [claim.predictor], levels) for key in PAIR)
    for (rule, first), (_, second) in zip(naive, recurrent, strict=True):
        if isinstance(first, dict):
            yield rule, first
        elif isinstance(second, dict):
            yield rule, second
        else:
            yield rule, [first, second]


def _differences(
    values: _Values, claim: Claim, levels: Levels
) -> Iterator[tuple[dict[str, object], Row]]:
    parts = [values.part(key, claim.predictor, OUTCOME) for key in PAIR]
    for rule, both in _pairs(values, claim, levels):
        for method in levels["correlation"]:
            way: dict[str, object] = {"correlation": method}
            if isinstance(both, dict):
                yield rule | way, both
                continue
            r, n = [], []
            for where, part, kept in zip(PAIR, parts, both, strict=True):
                columns = part.loc[kept, claim.predictor], part.loc[kept, OUTCOME]
                name = ("correlation", where, claim.predictor, method)
                (found,) = values.once(name, kept, _correlation, *columns, method)
                r.append(found["estimate"])
                n.append(int(kept.sum()))
            out = sum(map(len, parts)) - sum(n)
            (found,) = values.once(
                (claim.key, method), np.concatenate(both), _difference, *r, *n, out
            )
            yield rule | way, found


def _correlation(x: pd.Series, y: pd.Series, method: str) -> list[Row]:
    return _results(correlate(x, y, method=method))


def _difference(r1: float, r2: float, n1: int, n2: int, n_excluded: int) -> list[Row]:
    return _results(compare_independent(r1, n1, r2, n2), n_excluded)


def _errors(
    values: _Values, claim: Claim, levels: Levels
) -> Iterator[tuple[dict[str, object], Row]]:
    name, parts = "difference of RMSE", [values.part(k, claim.predictor, OUTCOME) for k in PAIR]
    for rule, both in _pairs(values, claim, levels):
        if isinstance(both, dict):
            yield rule, both
            continue
        n = [int(kept.sum()) for kept in both]
        if min(n) < MINIMUM_GROUP:
            reason = f"fewer than {MINIMUM_GROUP} samples ({min(n)})"
            yield rule, _result(not_estimable(name, reason, sum(n)))
            continue
        naive, recurrent = (
            root_mean_square((part[OUTCOME] - part[claim.predictor]).to_numpy(float)[kept])
            for part, kept in zip(parts, both, strict=True)
        )
        row = one_row(name, float(recurrent - naive), n=sum(n))
        yield rule, _result(row, sum(map(len, parts)) - sum(n))


def _groups(
    values: _Values, claim: Claim, levels: Levels
) -> Iterator[tuple[dict[str, object], Row]]:
    grouping = next(g for g in GROUPINGS if g.key == claim.where)
    part = values.part("whole", claim.predictor, by=[grouping.column])
    a, b = (part.loc[part[grouping.column] == level, claim.predictor] for level in grouping.levels)
    for method in levels["method"]:
        yield {"method": method}, _result(mann_whitney(a, b, method=method))


_WAYS: dict[str, Callable[..., Iterator[tuple[dict[str, object], Row]]]] = {
    "association": _associations,
    "strength": _strengths,
    "difference": _differences,
    "error": _errors,
    "groups": _groups,
}
