"""The audit as a whole: every relation that can be checked, and what could not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cpmlib.paper.audit import checks_of_counts as of_counts
from cpmlib.paper.audit import checks_of_statistics as of_statistics
from cpmlib.paper.audit import checks_of_words as of_words
from cpmlib.paper.audit.context import Context
from cpmlib.paper.audit.findings import Finding, not_checked
from cpmlib.paper.audit.printed import NotThere, Values, read_values
from cpmlib.paper.audit.relations import Relation, read_relations

Check = Callable[[Relation, Context], Iterator[Finding]]

# Kind of relation: what its check is called, and the check.
CHECKS: dict[str, tuple[str, Check]] = {
    "sum": ("sums of counts", of_counts.check_sum),
    "percentages": ("percentages of counts", of_counts.check_percentages),
    "groups": ("group means and the mean of all", of_counts.check_groups),
    "share": ("percentages of derived sizes", of_counts.check_share),
    "integers": ("means of whole numbers (GRIM)", of_counts.check_integers),
    "binary": ("SDs of zeros and ones (DEBIT)", of_counts.check_binary),
    "parts": ("parts and whole", of_counts.check_parts),
    "known": ("single values and the SD of all", of_counts.check_known),
    "samples": ("samples and patients", of_counts.check_samples),
    "p": ("p and its statistic", of_statistics.check_p),
    "r2": ("R² and r", of_statistics.check_r2),
    "slope": ("slope, R² and SDs", of_statistics.check_slope),
    "signs": ("signs of one association", of_words.check_signs),
    "order": ("what is said of an order", of_words.check_order),
    "ranking": ("rankings by several measures", of_words.check_ranking),
    "alike": ("columns that repeat each other", of_words.check_alike),
    "meng": ("Meng's z and its correlations", of_statistics.check_meng),
    "correlations": ("sets of correlations", of_statistics.check_correlations),
    "rmse": ("RMSE of parts and whole", of_statistics.check_rmse),
}


def audit(values: Values, relations: Sequence[Relation]) -> list[Finding]:
    """Check every relation; one that lacks a value is named, and the rest goes on.

    Examples
    --------
    >>> values = Values.from_texts({"all": "27", "m": "17", "f": "11"})
    >>> relation = Relation("sum", "sum 1", {"total": "all", "parts": ["m", "f"]})
    >>> [(f.found, f.expected, f.severity) for f in audit(values, [relation])]
    [('27', '17 + 11 = 28', 'contradiction')]
    """
    context = Context(values, {r["name"]: r for r in relations if r.kind == "groups"})
    findings: list[Finding] = []
    for kind, (name, check) in CHECKS.items():
        for relation in (r for r in relations if r.kind == kind):
            findings += _tried(lambda r=relation, c=check: c(r, context), name, relation.place)  # type: ignore[misc]
    shares = [r for r in relations if r.kind == "percentages"]
    same = "equal counts, different percentages"
    findings += _tried(lambda: of_counts.check_equal_shares(shares, context), same, same)
    twice = "printed in several places"
    findings += _tried(lambda: of_words.check_places(context), twice, twice)
    findings += [not_checked(twice, "a printed text", why) for why in values.unread]
    return findings


def _tried(check: Callable[[], Iterator[Finding]], name: str, place: str) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check())
    except NotThere as why:
        found.append(not_checked(name, place, str(why)))
    except (ArithmeticError, ValueError):
        why_not = "with these values the arithmetic has no result"
        found.append(not_checked(name, place, why_not))
    return found


def audit_files(
    published: str | os.PathLike[str],
    relations: str | os.PathLike[str],
    places: str | os.PathLike[str] | None = None,
) -> list[Finding]:
    """Audit a paper from its files: values, relations and, if there are any, further places.

    Raises
    ------
    DatasetError
        If a file is no table or the relations are not as `relations.KINDS` lists them.
    """
    further = places if places is not None and Path(places).is_file() else None
    return audit(read_values(published, further), read_relations(relations))
