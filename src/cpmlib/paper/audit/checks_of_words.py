"""Checks of what is said of printed values, and of values that are printed in several places."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal

import numpy as np

from cpmlib.paper.audit.checks_of_statistics import size_of
from cpmlib.paper.audit.context import Context
from cpmlib.paper.audit.findings import (
    CONSISTENT,
    CONTRADICTION,
    EXAMPLE,
    INDICATION,
    PROOF,
    SLIP,
    TENSION,
    Finding,
    not_checked,
)
from cpmlib.paper.audit.printed import NotThere, Value, ends
from cpmlib.paper.audit.relations import Relation


def _sign(value: Value) -> int:
    return (value.low > 0) - (value.high < 0)


def check_signs(relation: Relation, context: Context) -> Iterator[Finding]:
    """Values of one association, which are expected to have one sign."""
    each = [context.values.number(id) for id in relation["ids"]]
    signs = [_sign(v) for v in each]
    good = len({s for s in signs if s}) <= 1
    positive = [v for v, s in zip(each, signs, strict=True) if s > 0]
    negative = [v for v, s in zip(each, signs, strict=True) if s < 0]
    yield Finding(
        "signs of one association", context.values.name(*relation["ids"]),
        ", ".join(v.text for v in each), "one sign", CONSISTENT if good else TENSION,
        EXAMPLE if relation.get("example") and not good else INDICATION,
        relation.get("said", "the values speak of one association"),
        () if good else (
            f"positive: {', '.join(f'{v.name} {v.text}' for v in positive)}",
            f"negative: {', '.join(f'{v.name} {v.text}' for v in negative)}",
        ), tuple(relation["ids"]),
    )  # fmt: skip


def check_order(relation: Relation, context: Context) -> Iterator[Finding]:
    """What is said to be lower against what is said to be higher."""
    low, high = ([context.values.number(id) for id in relation[k]] for k in ("lower", "higher"))
    size = abs if relation.get("absolute") else float

    def at(value: Value) -> float:
        return size(value.interval.centre)

    wrong = [(a, b) for a in low for b in high if at(a) >= at(b)]
    yield Finding(
        "what is said of an order", context.values.name(*relation["lower"], *relation["higher"]),
        ", ".join(f"{a.text} and {b.text}" for a, b in wrong)
        or f"{', '.join(v.text for v in low)} below {', '.join(v.text for v in high)}",
        relation.get("said", "the first below the second"),
        CONSISTENT if not wrong else TENSION if relation.get("loose") else CONTRADICTION,
        PROOF if not relation.get("loose") else INDICATION, "",
        tuple(f"{a.name} {a.text} is not below {b.name} {b.text}" for a, b in wrong),
        tuple(v.id for v in (*low, *high)),
    )  # fmt: skip


def check_ranking(relation: Relation, context: Context) -> Iterator[Finding]:
    """Several measures of the same two things, which are expected to rank them alike."""
    pairs = [[context.values.number(id) for id in pair] for pair in relation["pairs"]]

    def size(value: Value) -> float:
        return abs(value.interval.centre)

    ids = tuple(id for pair in relation["pairs"] for id in pair)
    order = [np.sign(size(a) - size(b)) for a, b in pairs]
    good = len({o for o in order if o}) <= 1
    yield Finding(
        "rankings by several measures", context.values.name(*ids),
        ", ".join(f"{a.text} and {b.text}" for a, b in pairs), "the same one first each time",
        CONSISTENT if good else TENSION,
        EXAMPLE if relation.get("example") and not good else INDICATION, relation.get("said", ""),
        tuple(
            f"{a.name} {a.text} {'<=>'[int(o) + 1]} {b.name} {b.text}"
            for (a, b), o in zip(pairs, order, strict=True)
        ), ids,
    )  # fmt: skip


def check_alike(relation: Relation, context: Context) -> Iterator[Finding]:
    """Columns of a table that repeat each other, apart from signs."""
    pairs = [[context.values.number(id) for id in pair] for pair in relation["pairs"]]
    sizes = [[size_of(v.interval) for v in pair] for pair in pairs]
    alike = all(a.low <= b.high and b.low <= a.high for a, b in sizes)
    yield Finding(
        "columns that repeat each other",
        context.values.name(*(id for pair in relation["pairs"] for id in pair)),
        ", ".join(f"{a.text} and {b.text}" for a, b in pairs),
        "values that differ, in different groups", TENSION if alike else CONSISTENT,
        EXAMPLE if relation.get("example") and alike else INDICATION, relation.get("said", ""),
        tuple(f"{a.name} {a.text}; {b.name} {b.text}" for a, b in pairs),
        tuple(id for pair in relation["pairs"] for id in pair),
    )  # fmt: skip


def check_places(context: Context) -> Iterator[Finding]:
    """Values that are printed in several places, text against table."""
    by_id: dict[str, list[Value]] = {}
    for place in context.values.places:
        by_id.setdefault(place.id, []).append(place)
    for id, places in by_id.items():
        try:
            first = context.values.any(id)
        except NotThere as reason:
            yield not_checked("printed in several places", context.values.name(id), str(reason))
            continue
        severity, words = CONSISTENT, "the same within rounding"
        for place in places:
            found, why = _compare(first, place)
            if found != CONSISTENT and severity != CONTRADICTION:
                severity, words = found, why
        texts = {value.text: value for value in (first, *places)}
        yield Finding(
            "printed in several places", first.name,
            "; ".join(f"{v.text} ({v.where})" for v in (first, *places)), words, severity, PROOF,
            "the places mean the same value",
            tuple(f"{text}: {ends(v.low, v.high, 6)}" for text, v in texts.items()),
            (id,),
        )  # fmt: skip


def _compare(a: Value, b: Value) -> tuple[str, str]:
    """Severity and words for two printings of one value."""
    if a.interval == b.interval:
        return CONSISTENT, ""
    alike = len(a.text.partition(".")[2]) == len(b.text.partition(".")[2])
    touching = a.low <= b.high and b.low <= a.high
    if touching and not (alike and not a.interval.is_bound and not b.interval.is_bound):
        return CONSISTENT, ""
    if a.text.lstrip("-+") == b.text.lstrip("-+"):
        return SLIP, "one sign; a minus was likely left out in typing or typesetting"
    if not (a.interval.is_bound or b.interval.is_bound):
        short, long = sorted((a.text, b.text), key=lambda text: len(text.partition(".")[2]))
        if Decimal(long).quantize(Decimal(short), rounding=ROUND_DOWN) == Decimal(short):
            return SLIP, "rounded, not cut off"
        if len(short) == len(long) > 2 and sorted(short) == sorted(long):
            return SLIP, "one order of the digits; likely a typing slip"
    if touching and not a.name.startswith("count of "):
        return SLIP, "one value; the last digit is one off, as where one is cut off"
    return CONTRADICTION, "one value; print alone does not say which"
