"""The audit of print on its page: its sentence, its table of findings, the arithmetic of each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

from cpmlib.book.markup import escape, typeset
from cpmlib.book.page import DEFAULT_PUBLISHED, PUBLISHED
from cpmlib.book.sheet import project_root
from cpmlib.paper.audit.findings import (
    CONSISTENT,
    CONTRADICTION,
    NOT_CHECKED,
    SLIP,
    TENSION,
    Finding,
    by_severity,
    table,
)
from cpmlib.paper.audit.run import audit_files

RELATIONS, PLACES = "published-relations.toml", "published-places.tsv"
"""Files beside the table of printed values."""


def read_findings() -> list[Finding]:
    """Audit the printed values of the book, with the two files beside them."""
    values = Path(os.environ.get(PUBLISHED) or project_root() / DEFAULT_PUBLISHED)
    return audit_files(values, values.parent / RELATIONS, values.parent / PLACES)


def summary(findings: Sequence[Finding]) -> str:
    """Say in a line what came out.

    Examples
    --------
    >>> summary([Finding("sum", "", "", "", CONSISTENT, "proof")])
    '1 check of printed values: 0 contradictions, 0 likely slips, 0 tensions, 1 consistent'
    """
    n = {name: len(by_severity(findings, name)) for name in (CONTRADICTION, SLIP, TENSION)}
    made = [f for f in findings if f.severity != NOT_CHECKED]
    parts = [f"{k} {name}{'' if k == 1 else 's'}" for name, k in n.items()]
    parts.append(f"{len(by_severity(findings, CONSISTENT))} consistent")
    left = len(findings) - len(made)
    more = f"; {left} could not be made" if left else ""
    checks = f"{len(made)} check{'' if len(made) == 1 else 's'} of printed values"
    return f"{checks}: {', '.join(parts)}{more}"


def shown(findings: Sequence[Finding]) -> pd.DataFrame:
    """Lay findings out for the page, numbered."""
    rows = table(findings)
    columns = ["severity", "check", "concerned", "found", "expected", "evidence"]
    laid = rows[columns].rename(columns=str.capitalize)
    laid.insert(0, "No.", [str(i) for i in range(1, len(rows) + 1)])
    return laid


def show_arithmetic(findings: Sequence[Finding]) -> None:
    """Show the assumption and the steps of each finding, to be opened by the reader."""
    for i, finding in enumerate(findings, start=1):
        title = f"{i}. {finding.check}: {finding.found}".replace("\n", " ")
        assumption = finding.assumption or "none"
        lines = [f"Rests on: {assumption}.", *(f"- {step}" for step in finding.steps)]
        said = [escape(typeset(line)) if not line.startswith("- ") else
                f"- {escape(typeset(line[2:]))}" for line in lines]  # fmt: skip
        body = "\n".join([said[0], "", *said[1:]])
        display(Markdown(f":::{{dropdown}} {escape(typeset(title))}\n{body}\n:::\n"))
