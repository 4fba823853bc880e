"""Checks of p, correlations, slopes and errors: relations in, findings out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pingouin

from cpmlib.paper.audit import agreement, correlations
from cpmlib.paper.audit.context import Context, listed
from cpmlib.paper.audit.findings import (
    BOUND,
    CONSISTENT,
    CONTRADICTION,
    INDICATION,
    PROOF,
    SEVERITIES,
    SLIP,
    TENSION,
    Finding,
)
from cpmlib.paper.audit.printed import NotThere, Value, ends
from cpmlib.paper.audit.probabilities import agree, decision_differs, p_interval
from cpmlib.paper.audit.relations import Relation
from cpmlib.study.published import PrintedValue

LIMITS = {"r": (-1.0, 1.0), "rho": (-1.0, 1.0), "r2": (0.0, 1.0)}
SYMBOLS = {"r2": "R²", "chi2": "chi²"}


def _outside(value: Value, low: float, high: float, what: str) -> Iterator[Finding]:
    if value.high < low or value.low > high:
        yield Finding(
            "ranges", value.name, value.text, f"{low:g} to {high:g}", CONTRADICTION, PROOF,
            f"it is a {what}", (), (value.id,),
        )  # fmt: skip


def check_p(relation: Relation, context: Context) -> Iterator[Finding]:
    """A printed p against its statistic, for every number of samples that it can have."""
    test = relation["test"]
    p, statistic = context.values.any(relation["p"]), context.values.number(relation["statistic"])
    wrong = [*_outside(p, 0.0, 1.0, "probability")]
    if test in LIMITS:
        wrong += _outside(statistic, *LIMITS[test], "correlation")
    if wrong:
        yield from wrong
        return
    trials = []
    for degrees in _degrees(relation, context):
        low, high = p_interval(test, statistic.interval, *degrees)
        if not math.isnan(low):
            trials.append((degrees, low, high))
    if not trials:
        raise NotThere(f"{statistic.name} = {statistic.text} has no p with these numbers")
    fitting = [trial for trial in trials if agree(p.interval, *trial[1:])]
    yield _finding_of_p(relation, context, p, statistic, trials, fitting)


def _degrees(relation: Relation, context: Context) -> Iterator[tuple[int, ...]]:
    test = relation["test"]
    if test in LIMITS:
        share, found = relation.get("left_out", 0.0), set()
        for n in context.sizes(relation["n"]):
            # A rule that tests the largest share of the distances, counted as ROUT counts, can
            # exclude one more than the share rounded up.
            most = math.ceil(round(share * n, 6)) + 1 if share else 0
            found |= {n - k for k in range(most + 1)}
        yield from ((n,) for n in sorted(found) if n > 2)
    else:
        keys = {"t": ("df",), "chi2": ("df",), "F": ("df", "df2"), "U": ("n", "n2")}.get(test, ())
        yield from itertools.product(*(context.sizes(relation[key]) for key in keys))


def _finding_of_p(
    relation: Relation, context: Context, p: Value, statistic: Value, trials: list, fitting: list
) -> Finding:
    symbol = SYMBOLS.get(relation["test"], relation["test"])
    low, high = min(t[1] for t in trials), max(t[2] for t in trials)
    several = len(trials) > 1
    unit = "n" if relation["test"] in LIMITS else "degrees of freedom"
    severity, more = CONSISTENT, ""
    if fitting and several and len(fitting) < len(trials):
        more = f", with {unit} = {listed([t[0][0] for t in fitting])}"
    if not fitting:
        severity = CONTRADICTION
        if any(agree(p.interval, a / 2, b / 2) for _, a, b in trials):
            severity, more = TENSION, "; half of it, as of a one-sided test, would fit"
        elif decision_differs(p.interval, low, high):
            more = "; the decision at 0.05 changes"
    elif not p.interval.is_bound and float(p.text) == 0:
        severity, more = SLIP, "; no p is 0, it is below half a unit of what is printed"
    shown = fitting or trials
    shown = shown if len(shown) <= 4 else [shown[0], shown[-1]]
    steps = [
        f"{symbol} = {statistic.text} is {ends(statistic.low, statistic.high)}",
        *(f"{f'{unit} = ' if d else ''}{', '.join(map(str, d))}{': ' if d else ''}p {ends(a, b)}"
          for d, a, b in shown),
    ]  # fmt: skip
    sizes = [relation.get(key) for key in ("n", "n2", "df", "df2")]
    used = [size for size in sizes if isinstance(size, str) and size in context.values]
    name = p.name if p.name == statistic.name else f"{p.name}; {statistic.name}"
    return Finding(
        "p and its statistic", name, f"p {p.text}", f"p {ends(low, high)}{more}", severity, PROOF,
        relation.get("assumes", "two-sided"), tuple(steps), (p.id, statistic.id, *used),
    )  # fmt: skip


def check_r2(relation: Relation, context: Context) -> Iterator[Finding]:
    """R2 against the correlation that it is the square of."""
    r2, r = (context.values.number(relation[key]) for key in ("r2", "r"))
    low = 0.0 if r.low <= 0 <= r.high else min(abs(r.low), abs(r.high)) ** 2
    high = max(abs(r.low), abs(r.high)) ** 2
    good = low <= r2.high and high >= r2.low
    yield Finding(
        "R² and r", f"{r2.name}; {r.name}", r2.text, ends(low, high),
        CONSISTENT if good else CONTRADICTION, PROOF, "both are of the same samples",
        (f"r = {r.text}: r² {ends(low, high)}",), (r2.id, r.id),
    )  # fmt: skip


def check_slope(relation: Relation, context: Context) -> Iterator[Finding]:
    """A slope against R2 and both SDs."""
    b, r2, y, x = (context.values.number(relation[key]) for key in ("b", "r2", "sd_y", "sd_x"))
    low, high = correlations.slope_interval(r2.interval, y.interval, x.interval)
    size = sorted((abs(b.low), abs(b.high)))
    good = low <= size[1] and high >= size[0]
    yield Finding(
        "slope, R² and SDs", f"{b.name}; {r2.name}", b.text, f"a size of {ends(low, high)}",
        CONSISTENT if good else TENSION, BOUND,
        relation.get("assumes", "slope, R² and SDs are of the same samples"),
        (f"|b| = √R² × s_y / s_x = √{r2.text} × {y.text} / {x.text}",),
        (b.id, r2.id, y.id, x.id),
    )  # fmt: skip


def size_of(value: PrintedValue) -> PrintedValue:
    """Return the interval of the value without its sign."""
    low, high = sorted((abs(value.low), abs(value.high)))
    return PrintedValue(0.0 if value.low < 0 < value.high else low, high)


def check_meng(relation: Relation, context: Context) -> Iterator[Finding]:
    """Meng's z against the two correlations that it compares."""
    z, r1, r2 = (context.values.number(relation[key]) for key in ("z", "r1", "r2"))
    sizes = (size_of(r1.interval), size_of(r2.interval))
    trials = [
        (n, correlations.meng_range(z.interval, *sizes, n)) for n in context.sizes(relation["n"])
    ]
    fitting = [trial for trial in trials if not math.isnan(trial[1][0])]
    n, (low, high) = (fitting or trials)[0]
    yield Finding(
        "Meng's z and its correlations", f"{z.name}; {r1.name}; {r2.name}", f"z {z.text}",
        f"a correlation of the predictors of {ends(low, high, 2)}" if fitting
        else "no correlation of the predictors gives this z",
        CONSISTENT if fitting else CONTRADICTION, BOUND,
        "sizes of these correlations are compared, signs turned to be positive",
        (f"z = (artanh {abs(float(r1.text)):g} − artanh {abs(float(r2.text)):g}) "
         f"√((n − 3) / (2 (1 − r) h)), n = {n}",), (z.id, r1.id, r2.id),
    )  # fmt: skip


def check_correlations(relation: Relation, context: Context) -> Iterator[Finding]:
    """Correlations of several variables, which must be those of one data set."""
    known = [(a, b, context.values.number(id)) for a, b, id in relation["known"]]
    names = list(dict.fromkeys(name for a, b, _ in known for name in (a, b)))
    low, high = -np.ones((len(names),) * 2), np.ones((len(names),) * 2)
    for a, b, value in known:
        i, j = names.index(a), names.index(b)
        low[i, j] = low[j, i] = max(value.low, -1.0)
        high[i, j] = high[j, i] = min(value.high, 1.0)
    verdict = correlations.can_hold_together(low, high)
    asked = {(a, b) for a, b, _ in known} | {(b, a) for a, b, _ in known}
    absent = [pair for pair in itertools.combinations(names, 2) if pair not in asked]
    middle = (low + high) / 2
    np.fill_diagonal(middle, 1.0)
    severity = {correlations.POSSIBLE: CONSISTENT, correlations.UNDECIDED: TENSION}
    smallest = correlations.smallest_eigenvalue(middle)
    expected = f"no eigenvalue below 0; the smallest is {smallest:.3f} in the middle"
    if (
        len(names) == 3
        and len(known) == 2
        and len(absent) == 1
        and verdict == correlations.POSSIBLE
    ):
        left = correlations.range_of_third(known[0][2].interval, known[1][2].interval)
        expected = f"between {absent[0][0]} and {absent[0][1]}: {ends(*left, 2)}"
    yield Finding(
        "sets of correlations", context.values.name(*(v.id for *_, v in known)),
        ", ".join(v.text for *_, v in known), expected, severity.get(verdict, CONTRADICTION),
        PROOF, "all are of the same samples",
        tuple(f"{a}, {b}: {v.text}" for a, b, v in known)
        + tuple(f"{a}, {b}: not printed" for a, b in absent), tuple(v.id for *_, v in known),
    )  # fmt: skip


def check_rmse(relation: Relation, context: Context) -> Iterator[Finding]:
    """RMSE of the whole against its parts, and against means and SDs of what is compared."""
    values = context.values
    whole, n = values.number(relation["whole"]), context.size(relation["n"])
    rmses = [values.number(p["rmse"]) for p in relation["parts"]]
    moments = [values.number(relation[v][k]) for v in ("x", "y") for k in ("mean", "sd")]
    pair = agreement.Pair(n, *(m.interval for m in moments))
    correlation = (
        values.number(relation["correlation"]) if "correlation" in relation.fields else None
    )
    ways = context.parts(n, [p["n"] for p in relation["parts"]])
    if not ways:
        raise NotThere(f"no sizes of the parts add up to {n}")
    # Of several sizes the one that accuses least is shown; the first fits its means best.
    parts = [list(zip(way, rmses, strict=True)) for way in ways]
    # Where samples are known to be left out, the next check but one decides.
    severity = TENSION if relation.get("left_out", []) else CONTRADICTION
    yield max((_rmse_of_parts(whole, p, severity) for p in parts), key=_mildness)
    yield _rmse_and_moments(whole, pair, moments, correlation)
    left_out = (_rmse_left_out(relation, context, pair, p, whole, correlation) for p in parts)
    yield max(left_out, key=_mildness)


def _mildness(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _rmse_of_parts(whole: Value, parts: list[tuple[int, Value]], severity: str) -> Finding:
    found = agreement.rmse_of_parts([(k, v.interval) for k, v in parts])
    good = found[0] <= whole.high and found[1] >= whole.low
    terms = " + ".join(f"{k} × {v.text}²" for k, v in parts)
    return Finding(
        "RMSE of parts and whole", "; ".join(v.name for v in (whole, *(v for _, v in parts))),
        whole.text, ends(*found), CONSISTENT if good else severity, PROOF,
        "every RMSE is over all samples of its group; see the next check if some are left out",
        (f"√(({terms}) / {sum(k for k, _ in parts)}) = {ends(*found)}",),
        (whole.id, *(v.id for _, v in parts)),
    )  # fmt: skip


def _rmse_and_moments(
    whole: Value, pair: agreement.Pair, moments: list[Value], correlation: Value | None
) -> Finding:
    r = pair.r_for(whole.interval)
    severity, evidence, expected = CONSISTENT, BOUND, f"a correlation of {ends(*r, 2)}"
    steps = [
        "n RMSE² = n (difference of means)² + (n − 1)(s₁² + s₂² − 2 r s₁ s₂)",
        f"with {pair.n} samples: r = {ends(*r, 3)}",
    ]
    if r[0] > 1 or r[1] < -1:
        severity, evidence, expected = CONTRADICTION, PROOF, f"{expected}, which is none"
    elif correlation is not None:
        ci = pingouin.compute_esci(
            stat=correlation.interval.centre, nx=pair.n, eftype="r", decimals=12
        )
        interval = ends(float(ci[0]), float(ci[1]), 2)
        steps.append(f"printed {correlation.text}, 95 % interval {interval}")
        expected += f"; printed {correlation.text}"
        if r[1] < ci[0] or r[0] > ci[1]:
            severity, evidence = TENSION, INDICATION
    return Finding(
        "RMSE, means and SDs", f"{whole.name}; {'; '.join(m.name for m in moments)}", whole.text,
        expected, severity, evidence,
        "the RMSE is over all samples; one that leaves out outliers needs no such correlation",
        tuple(steps), (whole.id, *(m.id for m in moments)),
    )  # fmt: skip


def _rmse_left_out(
    relation: Relation, context: Context, pair: agreement.Pair, parts: list[tuple[int, Value]],
    whole: Value, correlation: Value | None,
) -> Finding:  # fmt: skip
    values = context.values
    worst = max(range(len(parts)), key=lambda i: parts[i][1].high)
    k, rmse = parts[worst]
    left_out = [s for s in relation.get("left_out", []) if s["part"] != worst + 1]
    errors = 0.0
    for sample in left_out:
        x, y = values.number(sample["x"]), values.number(sample["y"])
        errors += max(abs(y.interval.centre - x.interval.centre) - 1.0, 0.0) ** 2
    others, implied = errors, (pair.n - len(left_out)) * whole.interval.centre**2
    for i, (size, value) in enumerate(parts):
        if i != worst:
            kept = size - sum(s["part"] == i + 1 for s in left_out)
            others += kept * max(value.low, 0.0) ** 2
            implied -= kept * value.interval.centre**2
    found = agreement.exclusions(pair, others, k, rmse.interval)
    positive = correlation is not None and correlation.low > 0
    needed = found.at_zero if positive else found.at_minus_1
    good = needed <= found.removable
    proof = found.at_minus_1 > found.removable
    premises = [
        *(["r is not negative, as the printed correlation is positive"] if positive else []),
        *(f"{values.name(s['y'])} {values.number(s['y']).text} is the one left out of its group"
          for s in left_out),
        "means and SDs are over all samples; an RMSE may leave out as many as ROUT can, "
        f"{found.removable} of {k}",
    ]  # fmt: skip
    about = f"; about {math.sqrt(implied / k):.0f} would fit the others" if implied > 0 else ""
    return Finding(
        "RMSE with samples left out", f"{rmse.name}; {whole.name}", rmse.text,
        f"at least {needed} of {k} left out, where {found.removable} can be{about}",
        CONSISTENT if good else CONTRADICTION, PROOF if proof or good else BOUND,
        "; ".join(premises),
        (f"greatest sum of squared errors: {found.total_at_zero / 1e6:.4g}e6 at r = 0, "
         f"{found.total_at_minus_1 / 1e6:.4g}e6 at r = −1",
         f"the other groups need {found.others / 1e6:.4g}e6",
         f"each sample kept here needs {rmse.text}² = {found.per_sample / 1e6:.4g}e6",
         f"to leave out: {found.at_zero} at r = 0, {found.at_minus_1} at r = −1; r = "
         f"{found.r_needed:.2f} for {found.removable}",
         f"with none left out here, the RMSE of all implies √({implied / 1e6:.4g}e6 / {k})"),
        (rmse.id, whole.id, *(v.id for i, (_, v) in enumerate(parts) if i != worst)),
    )  # fmt: skip
