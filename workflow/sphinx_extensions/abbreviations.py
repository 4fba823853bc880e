"""Sphinx extension: a page's first use of an abbreviation is a link to the glossary.

The link shows the meaning under a pointer; a tap leads to the glossary. All come from one list,
``book/abbreviations.tsv``, from which the glossary is made too.

Vocabulary
----------
- *entry*: a row of the list. form: one way in which an entry is written, such as ``R²`` or ``R2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from sphinx import addnodes

LIST = Path(__file__).resolve().parents[2] / "book" / "abbreviations.tsv"
GLOSSARY = "book/glossary"

_CLOSED = (
    *(nodes.title, nodes.rubric, nodes.reference, nodes.target, nodes.citation, nodes.raw),
    *(nodes.literal, nodes.literal_block, nodes.doctest_block, nodes.math, nodes.math_block),
    *(addnodes.desc_signature, addnodes.download_reference, addnodes.toctree),
)
"""What holds no link: headings, other links, code, formulas, names of functions."""


class Entry(NamedTuple):
    """An abbreviation or symbol: its forms, its name in full (may be empty), its meaning."""

    forms: tuple[str, ...]
    name: str
    meaning: str

    @property
    def anchor(self) -> str:
        """Its place on the page of the glossary."""
        said = "".join({"²": "2", "&": " and "}.get(sign, sign) for sign in self.forms[0])
        return "short-" + re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")

    @property
    def hover(self) -> str:
        """What stands under a pointer."""
        return f"{self.name}: {self.meaning}" if self.name else self.meaning


@cache
def entries() -> tuple[Entry, ...]:
    """Return the list, in its order."""
    rows = (line.split("\t") for line in LIST.read_text("utf-8").splitlines()[1:])
    return tuple(Entry(tuple(short.split(", ")), name, said) for short, name, said in rows)


@cache
def _forms() -> tuple[re.Pattern[str], dict[str, Entry]]:
    """Return the pattern of all forms that are looked for, the longest first, and their entries.

    A small letter alone is not: it names too many things.
    """
    by_form = {form: entry for entry in entries() for form in entry.forms}
    by_form = {form: entry for form, entry in by_form.items() if not re.fullmatch("[a-z]", form)}
    longest = sorted(by_form, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?!\w)"), by_form


def link_first_uses(app: Any, doctree: nodes.document, page: str) -> None:
    """Make the first use of each entry on one page a link."""
    if page == GLOSSARY or GLOSSARY not in app.env.all_docs:
        return
    uri = app.builder.get_relative_uri(page, GLOSSARY)
    waiting = set(entries())
    for text in list(_open_texts(doctree)):
        pieces = _with_links(str(text), uri, waiting)
        if len(pieces) > 1:
            text.parent.replace(text, pieces)


def _open_texts(node: nodes.Node) -> Iterable[nodes.Text]:
    """Return the texts that may hold a link, in reading order."""
    for child in node.children:
        if isinstance(child, nodes.Text):
            yield child
        elif not isinstance(child, _CLOSED):
            yield from _open_texts(child)


def _with_links(text: str, uri: str, waiting: set[Entry]) -> list[nodes.Node]:
    """Split a text at the entries that wait for their first use, which are then found."""
    pattern, by_form = _forms()
    pieces: list[nodes.Node] = []
    done = 0
    for found in pattern.finditer(text):
        entry = by_form[found[0]]
        if entry in waiting:
            waiting.remove(entry)
            link = nodes.reference("", found[0], internal=True, refuri=f"{uri}#{entry.anchor}")
            link.update_all_atts({"reftitle": entry.hover, "classes": ["short"]})
            pieces += [nodes.Text(text[done : found.start()]), link]
            done = found.end()
    return [*pieces, nodes.Text(text[done:])]


def setup(app: Any) -> dict[str, bool]:
    """Register."""
    app.connect("doctree-resolved", link_first_uses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
