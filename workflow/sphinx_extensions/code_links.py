"""Sphinx extension: code on the pages leads to the reference, and the reference back to the pages.

Under each function of the reference stand the chapters whose code uses it, and the tests that do.
"""

from __future__ import annotations

import re
from typing import Any

import uses
from dependencies import ROOT

REFERENCE = "book/reference"
_BLOCK = re.compile(r'<div class="highlight-ipython3.*?</pre>', re.DOTALL)
_DOT = '<span class="o">.</span>'


def add_uses(app: Any, what: str, name: str, it: Any, options: Any, lines: list[str]) -> None:
    """Write under one function or class which pages and tests use it, in reStructuredText."""
    if what not in ("function", "class"):
        return
    pages = ", ".join(f":doc:`/notebooks/{page}`" for page in uses.pages().get(name, ()))
    tests = ", ".join(f"``{path}``" for path in uses.tests().get(name, ()))
    fields = {"Used on": pages, "Tested in": tests}
    if said := [f":{field}: {text}" for field, text in fields.items() if text]:
        lines += ["", *said, ""]


def link_code(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Make the library's functions in the code of one page links to the reference."""
    notebook = ROOT / f"{pagename}.md"
    if not pagename.startswith("notebooks/") or "body" not in context or not notebook.is_file():
        return
    listed = app.env.get_domain("py").get_objects()
    anchors = {name: anchor for name, _, _, page, anchor, _ in listed if page == REFERENCE}
    uri = app.builder.get_relative_uri(pagename, REFERENCE)
    links = {
        written: f"{uri}#{anchors[name]}"
        for written, name in uses.written_on(notebook).items()
        if name in anchors
    }
    if links:
        context["body"] = with_links(context["body"], links)


def with_links(body: str, links: dict[str, str]) -> str:
    """Return HTML in which each of these names is a link, wherever code writes it."""
    marked = {
        _DOT.join(f'<span class="n">{part}</span>' for part in written.split(".")): uri
        for written, uri in links.items()
    }
    longest = sorted(marked, key=len, reverse=True)
    # After a dot, the name is that of something else's part.
    name = re.compile(rf"(?<!{re.escape(_DOT)})(?:{'|'.join(map(re.escape, longest))})")

    def linked(block: re.Match[str]) -> str:
        return name.sub(
            lambda code: f'<a class="code" href="{marked[code[0]]}">{code[0]}</a>', block[0]
        )

    return _BLOCK.sub(linked, body)


def setup(app: Any) -> dict[str, bool]:
    """Register; docstrings after numpydoc, which writes them anew."""
    app.connect("autodoc-process-docstring", add_uses, priority=900)
    app.connect("html-page-context", link_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
