"""Sphinx extension: give the entries of the literature a role that their list may hold.

Docutils makes a list of entries, each with the role of a bibliography's entry, which a list may not
hold; a screen reader then reads no list.
"""

from __future__ import annotations

from typing import Any


def make_items(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Make each entry of one page an item of its list."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Any) -> dict[str, bool]:
    """Register."""
    app.connect("html-page-context", make_items)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
