"""What the search of the pages finds: Sphinx's index, made safe and with the printed values."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pandas as pd

from cpmlib.book.markup import anchor_of

LEDGER = "_ledger"
"""End of the name of the page with every printed value."""


def improve(index: Path, printed: pd.Series) -> None:
    """Escape what the page of search shows as HTML, and let it find printed values.

    Sphinx keeps titles and captions as text, and looks for no number, but for one in a title.
    """
    start, content, end = re.fullmatch(
        r"(Search\.setIndex\()(.*)(\);?\s*)", index.read_text("utf-8"), re.DOTALL
    ).groups()  # type: ignore[union-attr]
    found = json.loads(content)
    for page, name in enumerate(found["docnames"]):
        if not name.endswith(LEDGER):
            continue
        for text, ids in printed.groupby(printed.str.lstrip("<>")).groups.items():
            # One row, or the filter of the page with the rows that there are.
            place = anchor_of(ids[0]) if len(ids) == 1 else f"q={text}"
            found["alltitles"].setdefault(text, []).append([page, place])
    for part in ("alltitles", "indexentries"):
        found[part] = {html.escape(text): places for text, places in found[part].items()}
    text = json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    index.write_text(start + text + end, encoding="utf-8")
