"""The ledger on its page: the values that other notebooks handed over, and its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd
from IPython.display import Markdown, display

from cpmlib.book.captions import item
from cpmlib.book.markup import Mark, anchor_of, typeset
from cpmlib.book.page import Page
from cpmlib.paper.feasibility import Bound
from cpmlib.paper.ledger import PAGES, origin_of, parts, table_ledger


def collect(page: Page, notebooks: Sequence[str]) -> dict[str, float]:
    """Collect the regenerated values of other notebooks by id.

    Within the workflow they come from the files that the notebooks wrote (FileNotFoundError if one
    has not been executed); in a notebook run by hand the analysis is run anew.
    """
    if page.output is None:
        from cpmlib.paper.analysis import regenerate

        return regenerate(page.dataset, page.options)
    values: dict[str, float] = {}
    for name in notebooks:
        path = page.output / f"{name}_files" / "values.json"
        content = json.loads(path.read_text(encoding="utf-8"))["values"]
        values |= {id: float("nan") if v is None else float(v) for id, v in content.items()}
    return values


def show_bounds(page: Page, proofs: Mapping[str, Bound], published: pd.DataFrame) -> None:
    """Show what the other printed values say of one of them: sentence and arithmetic."""
    for i, proof in enumerate(proofs.values(), start=1):
        row = published.loc[proof.id]
        verdict = "contradicted by" if proof.contradicted else "compatible with"
        name = row["statistic"][:1].upper() + row["statistic"][1:]
        said = (
            f"**{name}, {row['subset']}: printed {row['printed']}, {verdict} the other values.** "
            f"{proof.explanation} Premises: {'; '.join(proof.premises)}."
        )
        display(Markdown(typeset(said)))
        steps = proof.steps.assign(value=proof.steps["value"].map("{:.4g}".format))
        more = typeset(f"{row['statistic']}, {row['subset']}.")
        page.table(f"table-proof-{i}", steps, proof.steps, more=more)


def show_ledger(page: Page, ledger: pd.DataFrame) -> None:
    """Show the parts of the ledger, each with a link to the notebook that computes it."""
    for i, (name, rows) in enumerate(parts(ledger).items(), start=1):
        notebook = rows["notebook"].iloc[0]
        display(Markdown(f"### {name}\n\nComputed in []({notebook}.ipynb)."))
        shown = table_ledger(rows, page.dataset.relation)
        marks = [Mark(anchor_of(id), origin_links(id)) for id in map(str, rows.index)]
        page.table(f"table-ledger-{i}", shown, rows.reset_index(), more=f"{name}.", marks=marks)


def origin_links(id: str) -> str:
    """Link a value to what shows it, the data of that, the cell that made it and the code."""
    key, function = origin_of(id)
    module, _, name = function.rpartition(".")
    source = f"../_modules/{module.replace('.', '/')}.html#{name}"
    links = (
        f"{{ref}}`{item(key).number} <{key}>`",
        f"{{download}}`data <{PAGES[key]}_files/{key}.csv>`",
        f"{{ref}}`cell <cell-{key}>`",
        f'<a href="{source}">{name}()</a>',
    )
    return " · ".join(links)
