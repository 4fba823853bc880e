"""Sphinx extension: list the chapters beside each page from their titles alone.

For every page, Sphinx copies the headings of all chapters before the theme drops them. Those of the
reference are more than a thousand, and each module has a page of code: it took half of the time.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes


def only_title(contents: nodes.Element) -> nodes.Element:
    """Return a copy of a chapter's contents: its title, and the chapters below it."""
    copy = contents.deepcopy()
    for item in copy.children:
        for below in item.children[1:]:
            chapters = list(below.findall(addnodes.toctree))
            below[:] = chapters
            if not chapters:
                item.remove(below)
    return copy


def setup(app: Any) -> dict[str, bool]:
    """Register."""
    titles: dict[str, nodes.Element] = {}

    def read_titles(app: Any, env: Any) -> None:
        titles.update({name: only_title(contents) for name, contents in env.tocs.items()})

    def use_titles(
        app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
    ) -> None:
        listed = context["toctree"]

        def list_chapters(**options: Any) -> str:
            whole, app.env.tocs = app.env.tocs, titles
            try:
                return str(listed(**options))
            finally:
                app.env.tocs = whole

        context["toctree"] = list_chapters

    app.connect("env-check-consistency", read_titles)
    app.connect("html-page-context", use_titles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
