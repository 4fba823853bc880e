"""Sphinx extension: a number that does not exist reads "not estimable" in the text.

A notebook hands such a number over as NaN, and its format turns it into ``nan``.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes


def name_missing_numbers(app: Any, doctree: nodes.document) -> None:
    """Replace the text of one page's missing numbers."""
    for node in doctree.findall(nodes.inline):
        if "pasted-text" in node.get("classes", []) and node.astext() == "nan":
            node.children = [nodes.Text("not estimable")]


def setup(app: Any) -> dict[str, bool]:
    """Register."""
    app.connect("doctree-read", name_missing_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
