"""The main claims under every combination of the choices that each depends on.

A specification curve (Simonsohn, Simmons & Nelson 2020, Nat Hum Behav 4:1208): all defensible
analyses of one claim side by side. Every number comes from the statistic that the other pages use;
what is asked of the same values again is computed once.

A claim holds here with the sign that it says and p < 0.05; one of no association with p >= 0.05.
Estimates are in the unit of the statistic. A way is the choices of one statistic, and how it is
found in the units that are kept.

Vocabulary
----------
- *effect*: an estimate in a unit in which statistics can be compared: a slope in standard
  deviations (that of a line is then Pearson's r), all others as they are.
- *printed analysis*: the one with the options of the book, by default those closest to print.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cpmlib.paper.correlations import OUTCOME
from cpmlib.paper.image_variants import Variant
from cpmlib.paper.specifications.choices import CHOICES, FLIPPED, LINE, PATIENTS, all_levels
from cpmlib.paper.specifications.claims import CLAIMS, Claim, printed_analyses
from cpmlib.paper.subsets import GROUPINGS, subset
from cpmlib.statistics.correlation import correlate, linear_fit, root_mean_square
from cpmlib.statistics.group_comparison import mann_whitney
from cpmlib.statistics.meng import compare_independent, compare_strength, meng_z
from cpmlib.statistics.mixed_model import mixed_model_slopes
from cpmlib.statistics.results import (
    MINIMUM_GROUP,
    Row,
    no_row,
    row_of,
    rows_of,
    why_not_estimable,
)
from cpmlib.statistics.rout import outliers_at, rout_column, rout_line
from cpmlib.study.options import AnalysisOptions

Levels = Mapping[str, tuple[Any, ...]]
Units = dict[str, np.ndarray]
"""Columns of the measured units."""

Way = tuple[Row, Callable[..., Row]]


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
    claims, once = tuple(claims), _Once()
    own = {choice.column: "" for choice in CHOICES}
    rows: list[Row] = []
    for variant, unit in itertools.product(variants, levels["unit"]):
        analyses = _Analyses(variant.samples, unit == PATIENTS, levels, once)
        image = variant.choices | {"unit": unit, "draw": variant.draw}
        for claim in claims:
            if _is_default_again(claim, variant, variants[0]):
                continue
            printed = printed_analyses(claim.kind, options) if variant is variants[0] else []
            for choices, found in analyses.of(claim):
                made = image | choices
                is_printed = any(
                    all(made.get(key) == value for key, value in analysis.items())
                    for analysis in printed
                )
                holds = claim.holds(found["estimate"], found["p"])
                last = {"holds": holds, "printed_analysis": is_printed}
                rows.append({"claim": claim.key} | own | made | found | last)
    table = pd.DataFrame(rows, columns=["claim", *own, "draw", *_RESULT, *_LAST])
    return table.astype(dict.fromkeys(own, object) | {"holds": "boolean"})


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
PAIR = ("naive", "recurrent")


class _Once(dict[tuple[object, ...], Any]):
    """What statistics found in the same values before."""

    def __call__(self, find: Callable[..., Any], *given: Any, **how: Any) -> Any:
        values = (v.tobytes() if isinstance(v, np.ndarray) else v for v in given)
        key = (find, *values, *how.values())
        if key not in self:
            self[key] = rows_of(find)(*given, **how)
        return self[key]


def _rules(levels: Levels) -> list[tuple[float, str]]:
    """Return the ways to leave outliers out, "nobody" once."""
    rules = [(q, k) for q in levels["rout_q"] for k in levels["rout_k"] if q]
    return [*([(0.0, "")] if 0.0 in levels["rout_q"] else []), *rules]


def _mean_of_each(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    return pd.Series(values).groupby(who).mean().to_numpy()


def _line(x: np.ndarray, y: np.ndarray) -> Row:
    return rows_of(linear_fit)(x, y) | {"scale": _sd_ratio(x, y)}


def _models(*given: np.ndarray, **how: Any) -> list[Row]:
    scale = {"scale": _sd_ratio(*given[:2])}
    return [row | scale for row in rows_of(mixed_model_slopes)(*given, **how)]


def _sd_ratio(x: np.ndarray, y: np.ndarray) -> float:
    sd = y.std(ddof=1) if len(y) > 1 else 0.0
    return float(x.std(ddof=1) / sd) if sd > 0 else np.nan


def _result(found: Row, n_excluded: int = 0) -> Row:
    """Return what the table has of a row; a ``scale`` makes its estimate an effect."""
    row = {name: found[name] for name in _RESULT if name != "n_excluded"}
    scale = found.get("scale", 1.0)
    for end, column in (("", "estimate"), ("_low", "ci_low"), ("_high", "ci_high")):
        row[f"effect{end}"] = row[column] * scale
    return row | {"n_excluded": n_excluded}


class _Analyses:
    """The analyses of one variant, of samples or of the means of each patient's."""

    def __init__(self, samples: pd.DataFrame, means: bool, levels: Levels, once: _Once) -> None:
        self.samples, self.means, self.levels, self.once = samples, means, levels, once
        self._subsets: dict[str, pd.DataFrame] = {}
        self._units: dict[object, Units] = {}

    def of(self, claim: Claim) -> Iterator[tuple[Row, Row]]:
        """Yield the choices of each analysis of a claim, and what it finds."""
        if claim.kind == "groups":
            yield from self._groups(claim)
            return
        measured = ["cpm", "adc"] if claim.kind == "strength" else [claim.predictor]
        places = [claim.where] if claim.where else PAIR
        everybody = [self.units(where, *measured, OUTCOME) for where in places]
        n = sum(len(units[OUTCOME]) for units in everybody)
        ways = _WAYS[claim.kind](self, claim)
        for q, k in _rules(self.levels):
            rule: Row = {"rout_q": q, "rout_k": k}
            try:
                kept = [self.kept(units, measured, q, k) for units in everybody]
            except ValueError as error:  # the robust fit does not settle
                unknown = _result(no_row("", str(error), 0))
                yield from ((rule | way, unknown) for way, _ in ways)
                continue
            n_excluded = n - sum(len(units[OUTCOME]) for units in kept)
            for way, find in ways:
                yield rule | way, _result(find(*kept), n_excluded)

    def units(self, where: str, *columns: str) -> Units:
        """Return the measured units of a subset, ``who`` numbering the patients among them."""
        key = (where, *columns)
        if key not in self._units:
            if where not in self._subsets:
                self._subsets[where] = subset(self.samples, where)
            rows = self._subsets[where]
            values = {name: rows[name].to_numpy() for name in columns}
            known = np.logical_and.reduce([pd.notna(column) for column in values.values()])
            values["who"] = pd.factorize(rows["participant_id"], sort=True)[0]
            units = {name: column[known] for name, column in values.items()}
            self._units[key] = self._means(units) if self.means else units
        return self._units[key]

    def _means(self, units: Units) -> Units:
        """Return the means of each patient's samples, or of those that share a label."""
        who, labels = units["who"], [v for v in units.values() if v.dtype == object]
        for label in labels:
            who = who * len(label) + pd.factorize(label)[0]
        first = np.unique(who, return_index=True)[1]
        return {
            name: self.once(_mean_of_each, v, who) if v.dtype == float else v[first]
            for name, v in units.items()
        }

    def kept(self, units: Units, measured: Sequence[str], q: float, k: str) -> Units:
        """Return the units that are no outlier about the line of any predictor.

        Where there is nothing to fit nobody is an outlier, as on the other pages.
        """
        y = units[OUTCOME]
        out = np.zeros(len(y), dtype=bool)
        for x in (units[name] for name in measured if q):
            if not why_not_estimable(x, y):
                fit = self.once(rout_line, x, y) if k == LINE else self.once(rout_column, y)
                out |= outliers_at(fit, q)
        return {name: values[~out] for name, values in units.items()}

    def associations(self, claim: Claim) -> list[Way]:
        """Return the line, Spearman's rho and the mixed models."""
        name, tests = claim.predictor, self.levels["test"]

        def line(kept: Units) -> Row:
            return self.once(_line, kept[name], kept[OUTCOME])

        def ranks(kept: Units) -> Row:
            return self.once(correlate, kept[name], kept[OUTCOME], method="spearman")

        def model(kept: Units, estimation: str, place: int) -> Row:
            given = kept[name], kept[OUTCOME], kept["who"]
            return self.once(_models, *given, estimation=estimation, tests=tests)[place]

        ways: list[Way] = [({"statistic": "line"}, line), ({"statistic": "Spearman"}, ranks)]
        models = itertools.product(self.levels["estimation"], enumerate(tests))
        for estimation, (place, test) in () if self.means else models:
            way = {"statistic": "mixed model", "estimation": estimation, "test": test}
            ways.append((way, partial(model, estimation=estimation, place=place)))
        return ways

    def strengths(self, _claim: Claim) -> list[Way]:
        """Return Meng's tests of CPM against ADC."""

        def compare(kept: Units, correlation: str, sign: str) -> Row:
            columns = (kept[name] for name in (OUTCOME, "cpm", "adc"))
            row = self.once(compare_strength, *columns, correlation=correlation)
            if sign == FLIPPED or row["note"] or not row["flipped"]:
                return row
            first, second = (-1 if name in row["flipped"] else 1 for name in ("first", "second"))
            r1, r2, rx = first * row["r1"], second * row["r2"], first * second * row["rx"]
            return self.once(meng_z, r1, r2, rx, row["n"])

        return [
            ({"correlation": method, "sign": sign}, partial(compare, correlation=method, sign=sign))
            for method, sign in itertools.product(self.levels["correlation"], self.levels["sign"])
        ]

    def differences(self, claim: Claim) -> list[Way]:
        """Return the tests of a correlation in one group of patients against that in another."""

        def compare(*kept: Units, method: str) -> Row:
            given = []
            for units in kept:
                x, y = units[claim.predictor], units[OUTCOME]
                given += [self.once(correlate, x, y, method=method)["estimate"], len(y)]
            return self.once(compare_independent, *given)

        methods = self.levels["correlation"]
        return [({"correlation": m}, partial(compare, method=m)) for m in methods]

    def errors(self, claim: Claim) -> list[Way]:
        """Return the difference of the RMSE in one group of patients and in another."""

        def compare(*kept: Units) -> Row:
            name, sizes = "difference of RMSE", [len(units[OUTCOME]) for units in kept]
            if min(sizes) < MINIMUM_GROUP:
                reason = f"fewer than {MINIMUM_GROUP} samples ({min(sizes)})"
                return no_row(name, reason, sum(sizes))
            naive, recurrent = (root_mean_square(u[OUTCOME] - u[claim.predictor]) for u in kept)
            return row_of(name, float(recurrent - naive), n=sum(sizes))

        return [({}, compare)]

    def _groups(self, claim: Claim) -> Iterator[tuple[Row, Row]]:
        grouping = next(g for g in GROUPINGS if g.key == claim.where)
        units = self.units("whole", claim.predictor, grouping.column)
        labels, values = units[grouping.column], units[claim.predictor]
        a, b = (values[labels == level] for level in grouping.levels)
        for method in self.levels["method"]:
            yield {"method": method}, _result(self.once(mann_whitney, a, b, method=method))


_WAYS: dict[str, Callable[[_Analyses, Claim], list[Way]]] = {
    "association": _Analyses.associations,
    "strength": _Analyses.strengths,
    "difference": _Analyses.differences,
    "error": _Analyses.errors,
}
