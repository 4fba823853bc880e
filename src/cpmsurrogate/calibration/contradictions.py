"""Printed values that contradict each other or cannot be, found before any search.

Every finding names the identifiers and shows the arithmetic. What takes a longer proof is in
`cpmlib.paper.feasibility`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cpmlib.paper.audit.counts import WRONG, how_printed
from cpmlib.paper.audit.probabilities import r2_of_p, z_of_p
from cpmsurrogate.calibration.group_sizes import possible_sizes
from cpmsurrogate.calibration.targets import (
    PREDICTORS,
    SUBSETS,
    Target,
    counts,
    select,
    whole_number,
)

POSSIBLE = {"cpm": (1.0, 20000.0), "adc": (50.0, 5000.0), "he": (1.0, 50000.0)}
"""Values that tissue can have: cells/mm2, 1e-6 mm2/s, cells/mm2."""

COUNTS = (
    ("t1.n_patients", ("t1.sex_m", "t1.sex_f")),
    ("t1.n_patients", ("t1.naive", "t1.recurrent")),
    ("t1.n_samples", ("t1.enhancing", "t1.non_enhancing")),
)
"""Totals and the counts that add up to them."""

_UNIT = re.compile(r"percent of (patients|samples)\b")

MOST_EXCLUDED = 0.3
"""ROUT never excludes more."""


@dataclass(frozen=True)
class Contradiction:
    """Printed values that no cohort can have, and why, with the numbers.

    Examples
    --------
    >>> print(Contradiction(("a", "b"), "1 + 1 = 2, not 3"))
    a, b: 1 + 1 = 2, not 3
    """

    ids: tuple[str, ...]
    arithmetic: str

    def __str__(self) -> str:
        return f"{', '.join(self.ids)}: {self.arithmetic}"


def find_contradictions(targets: Mapping[str, Target]) -> list[Contradiction]:
    """Check the printed values against each other.

    That none is found does not prove that a cohort exists.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> target = Target("desc.cpm_mean", "whole", "99999", "", parse_printed("99999"))
    >>> print(*find_contradictions({target.id: target}))
    desc.cpm_mean: a mean of 99999 lies outside 1 to 20000, where all its values must be
    """
    return [
        *_ranges(targets),
        *_totals(targets),
        *_percentages(targets),
        *_probabilities(targets),
        *_lines(targets),
        *_correlations(targets),
        *_meng(targets),
        *_groups(targets),
    ]


def _ranges(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    means = select(targets, "desc", "*") + select(targets, "group", "*", "*")
    for target in means:
        variable, _, kind = target.parts[-1].partition("_")
        if variable not in POSSIBLE or not kind.startswith(("mean", "sd")):
            continue
        low, high = POSSIBLE[variable]
        value = target.interval
        if kind.startswith("mean") and (value.high < low or value.low > high):
            text = f"a mean of {target.printed} lies outside {low:g} to {high:g}, where all its"
            yield Contradiction((target.id,), f"{text} values must be")
        mean = targets.get(f"desc.{variable}_mean")
        if kind == "sd" and mean is not None:
            m = mean.value.centre
            # Popoviciu's inequality, in Bhatia and Davis' sharper form for a known mean.
            largest = math.sqrt(max((high - m) * (m - low), 0.0)) * math.sqrt(2)
            if value.low > largest:
                text = f"values between {low:g} and {high:g} with mean {m:g} have an SD of at most"
                yield Contradiction((target.id, mean.id), f"{text} {largest:.0f}")
    for target in select(targets, "case", "*", "*"):
        low, high = POSSIBLE.get(target.parts[2], (-math.inf, math.inf))
        if not low <= target.value.centre <= high:
            text = f"{target.printed} lies outside {low:g} to {high:g}"
            yield Contradiction((target.id,), text)


def _totals(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    checks = [
        (total, {id: whole_number(targets, id) for id in parts if id in targets}, len(parts))
        for total, parts in COUNTS
    ]
    for prefix, total in (
        ("t1.cns4", "t1.n_patients"),
        ("t1.cns5", "t1.n_patients"),
        ("t1.location", "t1.n_samples"),
    ):
        found = {
            f"{prefix}.{name.replace(' ', '_')}": count
            for name, count in counts(targets, prefix).items()
        }
        checks.append((total, dict(found), max(len(found), 1)))
    for total, parts, expected in checks:
        whole = whole_number(targets, total)
        if whole is None or len(parts) < expected:
            continue
        values = [value for value in parts.values() if value is not None]
        if sum(values) != whole:
            arithmetic = f"{' + '.join(map(str, values))} = {sum(values)}, but {total} is {whole}"
            yield Contradiction((total, *parts), arithmetic)
    histogram = [t for t in targets.values() if t.id.startswith("t1.patients_with_")]
    if histogram:
        times = {int(t.parts[1].split("_")[2]): round(t.value.centre) for t in histogram}
        terms = " + ".join(f"{often} x {size}" for size, often in times.items())
        for id, count in (
            ("t1.n_patients", sum(times.values())),
            ("t1.n_samples", sum(size * count for size, count in times.items())),
        ):
            whole = whole_number(targets, id)
            if whole is not None and whole != count:
                text = f"{terms}: {count} in all, but {id} is {whole}"
                yield Contradiction((id, *(t.id for t in histogram)), text)


def _percentages(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    """A printed percentage is its printed count by the printed total, rounded or truncated."""
    for target in targets.values():
        count_id, mark, _ = target.id.rpartition(".percent")
        found = _UNIT.match(target.statistic)
        if not mark or found is None:
            continue
        total_id = f"t1.n_{found[1]}"
        count, total = whole_number(targets, count_id), whole_number(targets, total_id)
        if count is None or not total:
            continue
        if how_printed(target.printed, count, total) == WRONG:
            share = 100 * count / total
            text = f"{count} of {total} are {share:.4g} %, which is not printed {target.printed}"
            yield Contradiction((target.id, count_id, total_id), text)


def _probabilities(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    for target in targets.values():
        last = target.parts[-1]
        if (last == "p" or last.endswith("_p")) and target.parts[0] != "t1":
            limits, word = (0.0, 1.0), "a probability"
        elif last in ("rho", "mean_rho"):
            limits, word = (-1.0, 1.0), "a correlation"
        elif last == "r2":
            limits, word = (0.0, 1.0), "a squared correlation"
        else:
            continue
        low, high = limits
        if target.interval.high < low or target.interval.low > high:
            text = f"{target.printed} is no {word.removeprefix('a ')}: it lies outside"
            yield Contradiction((target.id,), f"{text} {low:g} to {high:g}")


def _sizes(targets: Mapping[str, Target], word: str) -> list[int]:
    """Numbers of samples that a subset can have."""
    total = whole_number(targets, "t1.n_samples")
    if total is None:
        return []
    if word == "whole":
        return [total]
    sizes = possible_sizes(targets, "treatment", total, correlations=False)
    if sizes is None:
        return list(range(4, total))
    first = targets["group.treatment.cpm_mean_a"].subset == SUBSETS[word]
    return [size if first else total - size for size in sizes]


def _agree(sizes: list[int], low: float, high: float, p: Target, power: float) -> tuple[bool, str]:
    """Whether |r| ** power between the ends can have the printed p for one of the sizes."""
    shown = ""
    for n in sizes:
        if n < 4:
            continue
        weakest = r2_of_p(min(p.interval.high, 1.0), n) ** (power / 2)
        strongest = r2_of_p(max(p.interval.low, 1e-300), n) ** (power / 2)
        if high >= weakest and low <= strongest:
            return True, ""
        shown = f"with n = {n}, p = {p.printed} needs {weakest:.4f} to {strongest:.4f}"
    return not shown, shown


def _pairs(
    targets: Mapping[str, Target], name: str, p_name: str
) -> Iterator[tuple[str, Target, Target]]:
    """Subset's word, coefficient and p of each line that prints both."""
    for word in SUBSETS:
        for predictor in PREDICTORS:
            stem = f"corr.{word}.{predictor}"
            if f"{stem}.{name}" in targets and f"{stem}.{p_name}" in targets:
                yield word, targets[f"{stem}.{name}"], targets[f"{stem}.{p_name}"]


def _lines(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    for word, r2, p in _pairs(targets, "r2", "b_p"):
        sizes = {n - k for n in _sizes(targets, word) for k in range(int(MOST_EXCLUDED * n) + 1)}
        fine, shown = _agree(sorted(sizes), r2.interval.low, r2.interval.high, p, 2)
        if not fine:
            text = f"R2 = {r2.printed} cannot go with its p: {shown}"
            yield Contradiction((r2.id, p.id), text)


def _correlations(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    for word, rho, p in _pairs(targets, "rho", "rho_p"):
        ends = abs(rho.interval.low), abs(rho.interval.high)
        crosses = rho.interval.low <= 0 <= rho.interval.high
        low, high = (0.0 if crosses else min(ends)), max(ends)
        fine, shown = _agree(_sizes(targets, word), low, high, p, 1)
        if not fine:
            text = f"|rho| = {rho.printed.lstrip('-')} cannot go with its p: {shown}"
            yield Contradiction((rho.id, p.id), text)


def _meng(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    for z in select(targets, "meng", "*", "z"):
        p = targets.get(z.id.removesuffix("z") + "p")
        if p is None:
            continue
        weakest = z_of_p(min(p.interval.high, 1.0))
        strongest = z_of_p(max(p.interval.low, 1e-300))
        ends = abs(z.interval.low), abs(z.interval.high)
        if max(ends) < weakest or min(ends) > strongest:
            text = f"|z| = {z.printed.lstrip('-')}, but p = {p.printed} needs"
            yield Contradiction((z.id, p.id), f"{text} {weakest:.3f} to {strongest:.3f}")


def _groups(targets: Mapping[str, Target]) -> Iterator[Contradiction]:
    total = whole_number(targets, "t1.n_samples")
    if total is None:
        return
    for first in select(targets, "group", "*", "cpm_mean_a"):
        if possible_sizes(targets, first.parts[1], total, correlations=False) == []:
            second = targets[first.id[:-1] + "b"]
            whole = targets["desc.cpm_mean"]
            text = (
                f"no whole number k of {total} samples gives (k {first.printed} + "
                f"({total} - k) {second.printed}) / {total} = {whole.printed}, rounding and the "
                f"printed numbers of samples allowed for"
            )
            yield Contradiction((first.id, second.id, whole.id), text)
