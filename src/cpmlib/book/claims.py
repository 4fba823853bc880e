"""The paper's claims on the pages: each at the end of its chapter, all on a page of their own."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from IPython.display import Markdown, display

from cpmlib.book.captions import item
from cpmlib.book.markup import escape, typeset
from cpmlib.book.page import Page
from cpmlib.book.sheet import project_root
from cpmlib.paper.claims.run import judge, read_claims
from cpmlib.paper.ledger import PARTS
from cpmlib.paper.wording import claims_introduction

CLAIMS = "data/claims.tsv"

SHOWN_IN = {
    "02_groups": ("fig-1", "table-groups"),
    "03_correlations": ("fig-2", "table-2", "table-intervals"),
    "04_cpm_against_adc": ("table-meng",),
    "05_non_independence": ("table-s1", "fig-s1", "table-iterated", "fig-within", "table-within"),
    "06_hgg_non_enhancing": ("fig-s2", "table-hgg"),
    "07_cases": ("fig-3", "fig-4", "fig-cases", "table-cases", "table-findings"),
}
"""Figures and tables that show what the claims of a notebook are about."""


def judged(values: Mapping[str, object], published: pd.DataFrame) -> pd.DataFrame:
    """Return `cpmlib.paper.claims.run.judge` of all claims."""
    return judge(read_claims(project_root() / CLAIMS), values, published)


def show_claims(page: Page, values: Mapping[str, object], published: pd.DataFrame) -> None:
    """Show the claims that are about this page, tested on the values of its chapter."""
    table = judged(values, published)
    own = table[table["notebook"] == page.name]
    display(Markdown("\n".join([claims_introduction(page.dataset.relation), *items(own)])))


def show_all(page: Page, table: pd.DataFrame) -> None:
    """Show all claims in the paper's order, each part with a link to its chapter."""
    for name, (notebook, _) in PARTS.items():
        rows = table[table["notebook"] == notebook]
        if len(rows):
            shown = ", ".join(_link(page, key) for key in SHOWN_IN[notebook])
            where = f"Shown in []({notebook}.ipynb): {shown}."
            display(Markdown("\n".join([f"### {name}\n\n{where}\n", *items(rows)])))


def items(table: pd.DataFrame) -> list[str]:
    """Write the sentence of each claim as an item of a list, the verdict in bold."""
    said = []
    for row in table.to_dict("records"):
        head, verdict, rest = row["sentence"].partition(f": {row['verdict']}")
        head, rest = (escape(typeset(part)) for part in (head, rest))
        gap = "" if rest.startswith(",") else " "
        said.append(f"- {head}: **{verdict[2:]}**{gap}{rest}")
    return said


def _link(page: Page, key: str) -> str:
    number = item(key).number
    return number if page.output is None else f"{{ref}}`{number} <{key}>`"
