"""What is written beside the built pages: text for the search, a list of pages, a picture."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

from bs4 import BeautifulSoup, NavigableString, Tag

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
    main = BeautifulSoup(page, "html.parser").find("article")
    for part in main.select(", ".join((*_SILENT, ".headerlink"))) if main else ():
        part.decompose()
    return f'<div role="main">{_words(main)}</div>' if isinstance(main, Tag) else ""


def _words(node: Tag) -> str:
    parts = []
    for child in node.children:
        if isinstance(child, Tag):
            words = _words(child)
            if child.name == "section" and child.get("id"):
                words = f'<section id="{escape(str(child["id"]))}">{words}</section>'
            parts.append(words)
        elif type(child) is NavigableString:
            parts.append(escape(" ".join(child.split())))
    return " ".join(part for part in parts if part)


def sitemap(names: list[str], url: str) -> str:
    """Return the list of pages for search engines (sitemaps.org, protocol 0.9)."""
    rows = "\n".join(f"<url><loc>{escape(f'{url}/{name}')}</loc></url>" for name in names)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{rows}\n</urlset>\n'


def draw_card(target: Path, title: str, shown: str) -> None:
    """Draw the title of the book and its dataset, with the label, for previews of links."""
    import boxes  # matplotlib, for the few books that have an address

    figure, ax = boxes.blank(*_SIZE)
    texts = ((title, 0.72, 34, "#1b1f3b"), (f"Dataset: {shown}", 0.2, 22, "#b00020"))
    for text, height, size, colour in texts:
        said = textwrap.fill(text, round(1500 / size))
        ax.text(0.06, height, said, size=size, color=colour, va="center", parse_math=False)
    figure.savefig(target, dpi=100, metadata={"Software": None})
