"""Numbers, captions and alternative texts of all figures and tables.

They stand in ``captions.toml`` beside this module, in reading order. An item of the paper has the
paper's number; the book's own are numbered here, figures and tables apart: B1, B2, ...
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """A figure or table: its number, such as ``Fig. B3``, its caption and alternative text."""

    number: str
    caption: str = ""
    alt: str = ""


@cache
def read_items() -> Mapping[str, Item]:
    """Return all items by key, in reading order."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    own: Counter[str] = Counter()
    items = {}
    for key, entry in listed.items():
        if "number" not in entry:
            kind = "Fig." if key.startswith("fig-") else "Table"
            own[kind] += 1
            entry["number"] = f"{kind} B{own[kind]}"
        items[key] = Item(**entry)
    return items


def item(key: str) -> Item:
    """Return one item; of several of a kind, such as ``table-ledger-2``, with its part.

    Raises
    ------
    KeyError
        If the list has no such item.

    Examples
    --------
    >>> item("fig-2").number
    'Fig. 2'
    >>> item("table-ledger-2").number.removeprefix(item("table-ledger").number)
    '.2'
    """
    items = read_items()
    kind, _, part = key.rpartition("-")
    if key not in items and kind in items and part.isdigit():
        return replace(items[kind], number=f"{items[kind].number}.{part}")
    return items[key]


def with_numbers(text: str) -> str:
    """Write the number of an item where a page names its key in double braces.

    Examples
    --------
    >>> with_numbers("as in {{ fig-2 }}")
    'as in Fig. 2'
    """
    return re.sub(r"\{\{ ((?:fig|table)-[a-z0-9-]+) \}\}", lambda key: item(key[1]).number, text)
