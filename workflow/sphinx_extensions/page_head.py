"""Sphinx extension: what a page says of itself to other programs.

A page that is shared in a message shows its title and first sentences; its address and a picture
only where the address of the book is known (``BOOK_URL``).
"""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes

CARD = "card.png"
"""The picture of the book, beside the front page's folder."""
LONGEST = 200
"""Characters of a description; most programs show no more."""


def describe(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Write the head of one page."""
    if doctree is None:
        return
    said = {
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:title": app.env.titles[pagename].astext(),
    }
    if text := description(doctree):
        said |= {"og:description": text, "description": text}
    if url := app.config.html_baseurl.rstrip("/"):
        page = app.builder.get_target_uri(pagename)
        said |= {"og:url": f"{url}/{page}", "og:image": f"{url}/{CARD}"}
    tags = [
        f'<meta {"property" if ":" in key else "name"}="{key}" content="{html.escape(text)}" />'
        for key, text in said.items()
    ]
    context["metatags"] = "\n".join([context.get("metatags", ""), *tags])


def description(doctree: nodes.document) -> str:
    """Return the first paragraph of a page, cut between words if it is too long."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(paragraph.astext().split())
            cut = text if len(text) <= LONGEST else text[: LONGEST - 1].rpartition(" ")[0] + "…"
            if cut:
                return cut
    return ""


def setup(app: Any) -> dict[str, bool]:
    """Register."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
