"""What is written beside the built pages: text for the search, a list of pages, a picture."""

from __future__ import annotations

import json
import textwrap
from html.parser import HTMLParser
from pathlib import Path
from xml.sax.saxutils import escape

from cpmlib.figures.style import INK, LABEL
from sphinx_extensions.page_head import CARD

TEXTS = "search_texts.js"
PARTS = ("book", "notebooks")
_SILENT = ("script", "style", "template", "noscript", "svg", "math")
_SIZE = (12.0, 6.3)
"""Inches of the picture; at 100 dots an inch what messages show, 1200 x 630."""


def write_beside(pages: Path, url: str, title: str, shown: str) -> None:
    """Write what belongs to the pages in a folder.

    Parameters
    ----------
    url
        Address at which they will stand; without one there is no list of pages and no picture.
    title, shown
        Of the book, and its dataset with its label.
    """
    names = sorted(
        str(path.relative_to(pages)) for part in PARTS for path in (pages / part).glob("*.html")
    )
    texts = {name: page_text((pages / name).read_text("utf-8")) for name in names}
    script = f"window.SEARCH_TEXTS = {json.dumps(texts, ensure_ascii=False)};\n"
    (pages / TEXTS).write_text(script, encoding="utf-8")
    if url:
        (pages / "sitemap.xml").write_text(sitemap(names, url), encoding="utf-8")
        draw_card(pages / CARD, title, shown)


def page_text(page: str) -> str:
    """Return the words of a page as the search reads them: sections with their names, and text."""
    words = _Article(page).words
    return f'<div role="main">{words}</div>' if words else ""


class _Article(HTMLParser):
    """The words of a page's article; a tree of the whole page takes five times as long."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words = ""
        self._open: list[tuple[str, list[str]]] = []  # article and sections: their ids and words
        self._silent: list[str] = []  # a tag that is not read, as often as it is open
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._silent:
            self._silent += [tag] * (tag == self._silent[0])
        elif (tag == "section" and self._open) or (tag == "article" and not self.words):
            self._open.append((given.get("id") or "", []))
        elif tag in _SILENT or "headerlink" in (given.get("class") or "").split():
            self._silent = [tag]

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            self._silent = self._silent[tag == self._silent[0] :]
        elif tag in ("article", "section") and self._open:
            name, parts = self._open.pop()
            words = " ".join(parts)
            if not self._open:
                self.words = words
            elif name or words:
                words = f'<section id="{escape(name)}">{words}</section>' if name else words
                self._open[-1][1].append(words)

    def handle_data(self, data: str) -> None:
        if self._open and not self._silent and (words := data.split()):
            self._open[-1][1].append(escape(" ".join(words)))


def sitemap(names: list[str], url: str) -> str:
    """Return the list of pages for search engines (sitemaps.org, protocol 0.9)."""
    rows = "\n".join(f"<url><loc>{escape(f'{url}/{name}')}</loc></url>" for name in names)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{rows}\n</urlset>\n'


def draw_card(target: Path, title: str, shown: str) -> None:
    """Draw the title of the book and its dataset, with the label, for previews of links."""
    import boxes  # matplotlib, for the few books that have an address

    figure, ax = boxes.blank(*_SIZE)
    texts = ((title, 0.72, 34, INK), (f"Dataset: {shown}", 0.2, 22, LABEL))
    for text, height, size, colour in texts:
        said = textwrap.fill(text, round(1500 / size))
        ax.text(0.06, height, said, size=size, color=colour, va="center", parse_math=False)
    figure.savefig(target, dpi=100, metadata={"Software": None})
