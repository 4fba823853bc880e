"""Sphinx extension: numpydoc, its template compiled once, not twice for each docstring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpydoc.docscrape_sphinx as docstrings
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment
from numpydoc import numpydoc
from numpydoc.docscrape import get_doc_object

_FOLDER = Path(docstrings.__file__).with_name("templates")
_TEMPLATE = SandboxedEnvironment(loader=FileSystemLoader(_FOLDER)).get_template(
    "numpydoc_docstring.rst"
)


def read_docstring(
    described: Any,
    what: str | None = None,
    doc: str | None = None,
    config: dict[str, Any] | None = None,
    builder: Any = None,
) -> Any:
    """Read as numpydoc does."""
    return get_doc_object(
        described,
        what=what,
        doc=doc,
        config={**(config or {}), "template": _TEMPLATE},
        class_doc=docstrings.SphinxClassDoc,
        func_doc=docstrings.SphinxFunctionDoc,
        obj_doc=docstrings.SphinxObjDoc,
    )


def setup(app: Any) -> dict[str, Any]:
    """Register."""
    return numpydoc.setup(app, get_doc_object_=read_docstring)
