"""Checks of counts, percentages, group sizes, means and SDs: relations in, findings out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from scipy import stats

from cpmlib.paper.audit import counts, means
from cpmlib.paper.audit.context import Context, listed
from cpmlib.paper.audit.findings import (
    CONSISTENT,
    CONTRADICTION,
    INDICATION,
    PROOF,
    SLIP,
    TENSION,
    Finding,
    not_checked,
)
from cpmlib.paper.audit.printed import NotThere, ends
from cpmlib.paper.audit.probabilities import decision_differs
from cpmlib.paper.audit.relations import Relation


def check_sum(relation: Relation, context: Context) -> Iterator[Finding]:
    """A total and what adds up to it."""
    values = context.values
    parts = [values.count(id) for id in relation["parts"]]
    times = relation.get("times") or [1] * len(parts)
    factors = [context.size(factor) for factor in times]
    total = values.count(relation["total"])
    terms = [
        f"{k} × {f}" if relation.get("times") else str(k)
        for k, f in zip(parts, factors, strict=True)
    ]
    found = sum(k * f for k, f in zip(parts, factors, strict=True))
    yield Finding(
        "sums of counts", f"{values.name(relation['total'])}, from "
        f"{values.name(relation['parts'][0])} to {values.name(relation['parts'][-1])}", str(total),
        f"{' + '.join(terms)} = {found}",
        CONSISTENT if found == total else CONTRADICTION, PROOF,
        "every one is counted once",
        tuple(f"{values.name(id)}: {k}" for id, k in zip(relation["parts"], parts, strict=True)),
        (relation["total"], *relation["parts"]),
    )  # fmt: skip


_HOW = {
    counts.ROUNDED: (CONSISTENT, "rounded"),
    counts.TRUNCATED: (SLIP, "cut off instead of rounded"),
    counts.WRONG: (CONTRADICTION, "neither rounded nor cut off"),
}


def check_percentages(relation: Relation, context: Context) -> Iterator[Finding]:
    """Percentages of printed counts, and if they are all of a whole, their sum."""
    values, suffix = context.values, relation.get("suffix", ".percent")
    total = values.count(relation["of"])
    if not total:
        return
    texts, numbers = [], []
    for id in relation["counts"]:
        try:
            count, printed = values.count(id), values.number(id + suffix)
        except NotThere as why:
            yield not_checked("percentages of counts", values.name(id), str(why))
            continue
        share = 100 * count / total
        severity, words = _HOW[counts.how_printed(printed.text, count, total)]
        digits = len(printed.text.partition(".")[2])
        texts.append(printed)
        numbers.append(count)
        yield Finding(
            "percentages of counts", printed.name, f"{printed.text} %",
            f"{share:.{digits}f} %", severity, PROOF, "the total is the printed one",
            (f"100 × {count} / {total} = {share:.{digits + 2}f}; {printed.text} is that {words}",),
            (id + suffix, id, relation["of"]),
        )  # fmt: skip
    if relation.get("complete") and sum(numbers) == total:
        yield _sum_of_percentages([t.text for t in texts], numbers, total, relation, context)


def _sum_of_percentages(
    texts: Sequence[str], numbers: Sequence[int], total: int, relation: Relation, context: Context
) -> Finding:
    digits = max(len(text.partition(".")[2]) for text in texts)
    printed = sum(map(float, texts))
    rounded = sum(round(100 * k / total, digits) for k in numbers)
    # Each is off by half a unit at most.
    fits = abs(printed - 100) <= 0.5 * 10.0**-digits * len(texts) + 1e-9
    adjusted = abs(printed - 100) < 1e-9 < abs(printed - rounded)
    how = "; as printed some were perhaps changed to reach 100" if adjusted else ""
    return Finding(
        "sums of percentages", f"{context.values.name(relation['counts'][0])} to "
        f"{context.values.name(relation['counts'][-1])}",
        f"{printed:.{digits}f} %", f"{rounded:.{digits}f} % if each is rounded",
        TENSION if adjusted or not fits else CONSISTENT, INDICATION,
        "the categories are all there are",
        (f"{' + '.join(texts)} = {printed:.{digits}f}",
         f"rounded one by one: {rounded:.{digits}f}{how}"),
        tuple(id + relation.get("suffix", ".percent") for id in relation["counts"]),
    )  # fmt: skip


def check_equal_shares(relations: Sequence[Relation], context: Context) -> Iterator[Finding]:
    """Equal counts of one total that are printed as different percentages."""
    values, found = context.values, defaultdict(list)
    for relation in relations:
        for id in relation["counts"]:
            percent = id + relation.get("suffix", ".percent")
            try:
                key = values.count(id), values.count(relation["of"])
                found[key].append(values.number(percent))
            except NotThere:
                continue  # which is said where the percentage itself is checked
    for (count, total), shares in found.items():
        texts = sorted({share.text for share in shares})
        ways = {counts.how_printed(text, count, total) for text in texts}
        if len(texts) > 1 and ways != {counts.ROUNDED}:
            yield Finding(
                "equal counts, different percentages", "; ".join(s.name for s in shares),
                f"{count} of {total} as {' % and as '.join(texts)} %", "one percentage",
                SLIP, PROOF, "the total is the same",
                (f"100 × {count} / {total} = {100 * count / total:.2f}",),
                tuple(share.id for share in shares),
            )  # fmt: skip


def check_groups(relation: Relation, context: Context) -> Iterator[Finding]:
    """Sizes that the means leave; then what the SD of all says of the means' difference."""
    values = context.values
    whole = values.number(relation["whole"])
    found = context.splits(relation, printed=False)
    texts = [values.number(id).text for id in relation["means"]]
    sizes = [tuple(context.size(s) for s in relation["sizes"])] if relation.get("sizes") else []
    good = bool(found) and (not sizes or sizes[0] in found)
    shown = "; ".join(" + ".join(map(str, split)) for split in found[:6])
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    n = context.size(relation["n"])
    steps = [f"(k₁ × {texts[0]} + … + k × {texts[-1]}) / {n} must round to {whole.text}"]
    if found:
        mean = sum(k * float(t) for k, t in zip(found[0], texts, strict=True)) / n
        terms = " + ".join(f"{k} × {t}" for k, t in zip(found[0], texts, strict=True))
        steps.append(f"({terms}) / {n} = {mean:.2f}")
    yield Finding(
        "group means and the mean of all", f"{whole.name}; {values.name(*relation['means'])}",
        f"sizes {' + '.join(map(str, sizes[0]))}" if sizes else f"means {', '.join(texts)}",
        f"sizes {shown}{more}" if found else f"no whole numbers of {n} give {whole.text}",
        CONSISTENT if good else CONTRADICTION, PROOF,
        relation.get("assumes", "every sample belongs to one of the groups"), tuple(steps),
        (relation["whole"], *relation["means"],
         *(spec for spec in relation.get("sizes", []) if isinstance(spec, str))),
    )  # fmt: skip
    if good and relation.get("sd"):
        yield from _difference(relation, context, sizes or found)


def _difference(
    relation: Relation, context: Context, splits: Sequence[tuple[int, ...]]
) -> Iterator[Finding]:
    values = context.values
    sd, n = values.number(relation["sd"]), context.size(relation["n"])
    group = [values.number(id) for id in relation["means"]]
    between = min(
        means.least_between(list(zip(split, (g.interval for g in group), strict=True)))
        for split in splits
    )
    total = (n - 1) * sd.high**2
    fits = between <= total
    concerned = f"{sd.name}; {values.name(*relation['means'])}"
    sums = f"between groups at least {between:.0f}, in all at most {total:.0f} = {n - 1} × SD²"
    if not fits:
        yield Finding(
            "group means and the SD of all", concerned, f"SD {sd.text}",
            f"at least {math.sqrt(between / (n - 1)):.4g}", CONTRADICTION, PROOF,
            "the SD is over all samples", (f"sums of squares: {sums}",),
            (relation["sd"], *relation["means"]),
        )  # fmt: skip
    elif relation.get("p") and len(group) == 2:
        p, (a, b) = values.any(relation["p"]), splits[0]
        difference = group[0].interval.centre - group[1].interval.centre
        within = (n - 1) * sd.interval.centre**2 - a * b / n * difference**2
        error = math.sqrt(max(within, 0.0) / (n - 2) * (1 / a + 1 / b))
        t = abs(difference) / error if error else math.inf
        implied = float(2 * stats.t.sf(t, n - 2))
        differs = decision_differs(p.interval, implied, implied)
        yield Finding(
            "p of a group difference", p.name, p.text, f"about {implied:.2g} by a t test",
            TENSION if differs else CONSISTENT, INDICATION,
            "a rank test and a t test usually fall on the same side of 0.05",
            (f"sums of squares: {sums}",
             f"t = {abs(difference):g} / {error:.4g} = {t:.3g} with {n - 2} degrees of freedom"),
            (relation["p"], relation["sd"], *relation["means"]),
        )  # fmt: skip


def check_share(relation: Relation, context: Context) -> Iterator[Finding]:
    """A percentage of a group whose size is known: some whole number must give it."""
    printed, sizes = context.values.number(relation["percent"]), context.sizes(relation["of"])
    trials = [(*counts.how_any_printed(printed.text, n), n) for n in sizes]
    order = (counts.ROUNDED, counts.TRUNCATED, counts.WRONG)
    how, k, n = min(trials, key=lambda trial: order.index(trial[0]))
    severity, words = _HOW[how]
    share = 100 * k / n
    digits = len(printed.text.partition(".")[2])
    yield Finding(
        "percentages of derived sizes", printed.name, f"{printed.text} %",
        f"{share:.{digits}f} % ({k} of {n})", severity, PROOF,
        relation.get("assumes", "the size of the group follows from the printed means"),
        (f"{context.named(relation['of'])}: {listed(sizes)}",
         f"nearest: 100 × {k} / {n} = {share:.2f}; {printed.text} is that {words}"),
        (relation["percent"],),
    )  # fmt: skip


def check_integers(relation: Relation, context: Context) -> Iterator[Finding]:
    """GRIM, and GRIMMER where an SD is printed."""
    values = context.values
    mean, n, items = (
        values.number(relation["mean"]),
        context.size(relation["n"]),
        relation.get("items"),
    )
    items = context.size(items) if items else 1
    assumption = relation.get("assumes", "each value is a whole number")
    total = float(mean.text) * n * items
    nearest = round(total)
    good = means.grim(mean.text, n, items=items)
    yield Finding(
        "means of whole numbers (GRIM)", mean.name, mean.text,
        f"a whole number by {n * items}, such as {nearest / (n * items):.4f}",
        CONSISTENT if good else CONTRADICTION, PROOF, assumption,
        (f"{mean.text} × {n * items} = {total:.2f}; nearest {nearest} / {n * items} = "
         f"{nearest / (n * items):.4f}",), (relation["mean"],),
    )  # fmt: skip
    if good and relation.get("sd"):
        sd = values.number(relation["sd"])
        fits = means.grimmer(mean.text, sd.text, n, items=items)
        yield Finding(
            "SDs of whole numbers (GRIMMER)", f"{mean.name}; {sd.name}", f"{mean.text}, {sd.text}",
            "a sum of squares that whole numbers can have",
            CONSISTENT if fits else CONTRADICTION, PROOF, assumption,
            ("(n − 1) SD² + total² / n is a whole number, even or odd as the total is",
             f"SD {sd.text}: {(n - 1) * max(sd.low, 0) ** 2:.1f} to {(n - 1) * sd.high ** 2:.1f} "
             "about the mean"), (relation["mean"], relation["sd"]),
        )  # fmt: skip


def check_binary(relation: Relation, context: Context) -> Iterator[Finding]:
    """DEBIT."""
    mean, sd = (context.values.number(relation[key]) for key in ("mean", "sd"))
    n, m = context.size(relation["n"]), float(mean.text)
    if n < 2 or mean.high < 0 or mean.low > 1:
        expected, good = "a mean between 0 and 1", False
    else:
        implied = math.sqrt(max(m * (1 - m), 0) * n / (n - 1))
        expected, good = f"about {implied:.4f}", means.debit(mean.text, sd.text, n)
    yield Finding(
        "SDs of zeros and ones (DEBIT)", f"{mean.name}; {sd.name}", sd.text, expected,
        CONSISTENT if good else CONTRADICTION, PROOF, "each value is 0 or 1",
        (f"SD² = m (1 − m) n / (n − 1) with m = {mean.text}, n = {n}",),
        (relation["mean"], relation["sd"]),
    )  # fmt: skip


def check_parts(relation: Relation, context: Context) -> Iterator[Finding]:
    """Number, mean and SD of parts put together."""
    values, whole = context.values, relation["whole"]
    parts = relation["parts"]
    mean = values.number(whole["mean"])
    sd = values.number(whole["sd"]) if "sd" in whole else None
    each = [(values.number(p["mean"]).interval, values.number(p["sd"]).interval) for p in parts]
    ids = (whole["mean"], *(p["mean"] for p in parts))
    total = context.size(whole["n"])
    splits = context.parts(total, [p["n"] for p in parts])
    shown: tuple[str, str] = ("parts that add up to n", "")
    good = False
    for split in splits:
        found, sds = means.combined_intervals([(k, *m) for k, m in zip(split, each, strict=True)])
        good = found[0] <= mean.high and found[1] >= mean.low
        good = good and (sd is None or (sds[0] <= sd.high and sds[1] >= sd.low))
        shown = (f"mean {ends(*found, 6)}, SD {ends(*sds, 6)}", " + ".join(map(str, split)))
        if good:
            break
    yield Finding(
        "parts and whole", values.name(*ids),
        f"mean {mean.text}" + (f", SD {sd.text}" if sd else ""),
        shown[0], CONSISTENT if good else CONTRADICTION, PROOF,
        "the parts are all there is; SDs divide by n − 1",
        (f"n: {shown[1] or 'no sizes fit'} = {total}",
         "(N − 1) SD² = Σ (n − 1) SD² + Σ n (mean − mean of all)²"),
        (*ids, *(p["n"] for p in (whole, *parts) if isinstance(p["n"], str))),
    )  # fmt: skip


def check_known(relation: Relation, context: Context) -> Iterator[Finding]:
    """Single printed values against the mean and SD of all."""
    values = context.values
    mean, sd = values.number(relation["mean"]), values.number(relation["sd"])
    known = [values.number(id) for id in relation["values"]]
    n = context.size(relation["n"])
    needed = means.squares_needed(n, mean.interval, [v.interval for v in known])
    allowed = (n - 1) * sd.high**2
    good = needed <= allowed and len(known) <= n
    yield Finding(
        "single values and the SD of all", f"{sd.name}; {values.name(*relation['values'])}",
        sd.text,
        f"at least {math.sqrt(needed / max(n - 1, 1)):.4g}", CONSISTENT if good else CONTRADICTION,
        PROOF, "the single values are among those of the mean and SD",
        (f"squares about the mean: at least {needed:.0f} for {', '.join(v.text for v in known)}; "
         f"at most {n - 1} × {sd.high:g}² = {allowed:.0f} in all",),
        (relation["mean"], relation["sd"], *relation["values"]),
    )  # fmt: skip


def check_samples(relation: Relation, context: Context) -> Iterator[Finding]:
    """Samples of some patients against how many samples patients have."""
    values = context.values
    members = {int(size): values.count(id) for size, id in relation["members"].items()}
    patients, sizes = values.count(relation["patients"]), context.sizes(relation["samples"])
    least, most = counts.fewest_and_most(members, patients)
    good = any(least <= n <= most for n in sizes)
    yield Finding(
        "samples and patients", f"{context.named(relation['samples'])}; "
        f"{values.name(relation['patients'])}", f"{listed(sizes)} samples",
        f"{least} to {most} samples of {patients} patients",
        CONSISTENT if good else CONTRADICTION, PROOF, "each patient belongs to one group",
        (", ".join(f"{k} patients with {size}" for size, k in members.items()),),
        (relation["patients"], *relation["members"].values()),
    )  # fmt: skip
