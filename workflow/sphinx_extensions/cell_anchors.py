"""Sphinx extension: the code of each figure and table can be linked to, as ``cell-KEY``.

A cell whose code is folded away opens when a browser follows the link, since the anchor is inside.
The line under an item with that link ends with the version of the code, which no notebook knows: it
would have to be run again for each commit.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes

_ITEM = re.compile(r"(fig|table)-[a-z0-9-]+")


def name_cells(app: Any, doctree: nodes.document) -> None:
    """Name the cells of one page by the figures and tables that they made."""
    labels = app.env.get_domain("std")
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        made = [*cell.findall(nodes.figure), *cell.findall(nodes.table)]
        code = next((part for part in cell.children if "cell_input" in part["classes"]), cell)
        for key in (name for item in made for name in item["names"] if _ITEM.fullmatch(name)):
            code["ids"].append(f"cell-{key}")
            labels.note_hyperlink_target(f"cell-{key}", app.env.docname, f"cell-{key}")


def name_version(app: Any, doctree: nodes.document) -> None:
    """Write the version of the code into the line under each figure and table of one page."""
    for link in doctree.findall(addnodes.pending_xref):
        line = link.parent
        if link["reftarget"].startswith("cell-") and line.astext().startswith("Made by "):
            line += nodes.Text(f" · code version {app.config.code_version}")


def setup(app: Any) -> dict[str, bool]:
    """Register."""
    app.add_config_value("code_version", "", "env")
    app.connect("doctree-read", name_cells)
    app.connect("doctree-read", name_version)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
