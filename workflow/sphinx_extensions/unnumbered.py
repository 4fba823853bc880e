"""Sphinx extension: figures and tables keep the numbers that they have in the paper.

The extension for exercises has Sphinx number everything, whatever the configuration says. It also
gives all exercises of a page one anchor.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes


def number_nothing(app: Any, config: Any) -> None:
    """Undo it."""
    config.numfig = False


def drop_repeated_anchors(app: Any, doctree: nodes.document, docname: str) -> None:
    """Leave each exercise the anchor of its own name."""
    for section in doctree.findall(nodes.section):
        if section["ids"] in (["exercise-content"], ["solution-content"]):
            section["ids"] = []


def setup(app: Any) -> dict[str, bool]:
    """Register; after the extension for exercises."""
    app.connect("config-inited", number_nothing, priority=900)
    app.connect("doctree-resolved", drop_repeated_anchors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
