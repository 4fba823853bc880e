"""Values that the notebooks handed over, collected for the ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cpmlib.book.page import Page


def collect(page: Page, notebooks: Sequence[str]) -> dict[str, float]:
    """Collect the regenerated values of other notebooks.

    Parameters
    ----------
    page
        The page that asks.
    notebooks
        Names of the notebooks.

    Returns
    -------
    dict
        Value of each id. Within the workflow they come from the files that the notebooks wrote;
        in a notebook run by hand the analysis is run anew.

    Raises
    ------
    FileNotFoundError
        If a notebook has not been executed.
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
