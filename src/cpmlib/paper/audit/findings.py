"""Findings of the audit: one row each, with severity, kind of evidence and arithmetic.

Vocabulary
----------
- *contradiction*: printed values cannot hold together under the assumption that is named.
- *likely slip*: values cannot hold together as printed, but can if one was written down carelessly:
  a sign left out, a percentage cut off.
- *tension*: printed values can hold together, but say different things, or need a rare case.
- *consistent*: printed values agree within rounding.
- *not checked*: a value that a check needs is not printed.
- *evidence*: what a finding rests on. A proof: arithmetic decides. A bound: an inequality does,
  with a premise. An example cohort: one that is made up and has all these values, so that they are
  possible. An indication: a comparison that decides nothing alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

CONTRADICTION = "contradiction"
SLIP = "likely slip"
TENSION = "tension"
CONSISTENT = "consistent"
NOT_CHECKED = "not checked"
SEVERITIES = (CONTRADICTION, SLIP, TENSION, CONSISTENT, NOT_CHECKED)

PROOF, BOUND, EXAMPLE, INDICATION = "proof", "bound", "example cohort", "indication"


@dataclass(frozen=True)
class Finding:
    """What one check says of some printed values; ``steps`` is the arithmetic, a line each."""

    check: str
    concerned: str
    found: str
    expected: str
    severity: str
    evidence: str
    assumption: str = ""
    steps: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


def not_checked(check: str, concerned: str, why: str) -> Finding:
    """Return the finding that a check could not be made; the reason stands as its assumption."""
    return Finding(check, concerned, "", "", NOT_CHECKED, PROOF, why)


COLUMNS = ("check", "concerned", "found", "expected", "severity", "evidence", "assumption", "steps")


def table(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row a finding, columns as in `COLUMNS`, the steps as one text.

    Examples
    --------
    >>> made = Finding("sum", "a, b", "3", "2", CONTRADICTION, PROOF, steps=("1 + 1 = 2",))
    >>> table([made])["steps"].item()
    '1 + 1 = 2'
    """
    rows = [[getattr(f, name) for name in COLUMNS[:-1]] + ["; ".join(f.steps)] for f in findings]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def by_severity(findings: Sequence[Finding], *severities: str) -> list[Finding]:
    """Return the findings of some severities, the gravest first, else in their order."""
    chosen = [f for f in findings if f.severity in severities]
    return sorted(chosen, key=lambda f: SEVERITIES.index(f.severity))


def counts(findings: Sequence[Finding]) -> pd.DataFrame:
    """Count findings by check and severity, with a last row for all.

    Examples
    --------
    >>> counts([Finding("sum", "", "", "", CONSISTENT, PROOF)])[["check", "consistent"]]
      check  consistent
    0   sum           1
    1   all           1
    """
    checks = list(dict.fromkeys(f.check for f in findings))
    rows = []
    for check in [*checks, None]:
        own = [f.severity for f in findings if check in (f.check, None)]
        rows.append({"check": check or "all"} | {name: own.count(name) for name in SEVERITIES})
    return pd.DataFrame(rows)
