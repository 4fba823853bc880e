"""Sphinx extension: leave Thebe's scripts out of the pages.

Jupyter Book adds them to every page although no page of this book runs code; declared twice, they
stop with an error, and they name a server that a reader's browser would ask.
"""

from __future__ import annotations

from typing import Any


def drop_thebe(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Remove the scripts from one page."""
    for kind in ("script_files", "css_files"):
        files = context.get(kind, [])
        context[kind] = [
            file
            for file in files
            if "thebe" not in str(getattr(file, "filename", file) or "").lower()
            and "thebe" not in str(getattr(file, "attributes", {}).get("body", "")).lower()
        ]


def setup(app: Any) -> dict[str, bool]:
    """Register; after the theme, which adds files too."""
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
