"""Sphinx extension: the reference is read once for each state of the library.

Reading it takes a third of the time of all pages, and it holds no number of a study. It is handed
over as Sphinx does with pages that other processes read: the page, and what the environment knows
of it. The other pages are read anew each time, and the pages of HTML are all written anew.

Vocabulary
----------
- *state*: hash of all that reading the reference depends on.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import sysconfig
from pathlib import Path
from typing import Any

import uses
from dependencies import BUILD, ROOT

REFERENCE = "book/reference"
KEPT = BUILD / "reference.pickle"
"""The state, and what was read in it: only from a build without warnings."""
_READ = ("src", "workflow", "tests", "_config.yml", "book/_toc.yml")


def state(page: Path) -> str:
    """Return the state, from the staged page and the files and packages that there are.

    Of notebooks, only which functions they use: their numbers and words are not read.
    """
    read = [path for name in _READ for path in (ROOT / name, *sorted((ROOT / name).rglob("*")))]
    hashed = hashlib.sha256()
    for path in (page, *read):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            hashed.update(f"{path}\n{len(content)}\n".encode() + content)
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*-info"))
    hashed.update(repr((sys.version, packages, uses.pages())).encode())
    return hashed.hexdigest()


def read(app: Any, env: Any, names: list[str]) -> None:
    """Take over what is kept if the state is the same; else read the page, before all others."""
    names.remove(REFERENCE)
    tree = Path(app.doctreedir, f"{REFERENCE}.doctree")
    now = state(Path(env.doc2path(REFERENCE))).encode()
    kept = KEPT.read_bytes() if KEPT.is_file() else b""
    if kept.startswith(now):
        # Beside it lies what Sphinx itself keeps, in the same form.
        known, page = pickle.loads(kept[len(now) :])  # noqa: S301
        tree.parent.mkdir(parents=True, exist_ok=True)
        tree.write_bytes(page)
        env.merge_info_from([REFERENCE], known, app)
    else:
        env.clear_doc(REFERENCE)
        app.builder.read_doc(REFERENCE, _cache=False)
        kept = now + pickle.dumps((env, tree.read_bytes()))
    Path(app.doctreedir, KEPT.name).write_bytes(kept)


def source(app: Any, module: str) -> tuple[str, dict[str, Any]] | None:
    """Return a module's code and places in it, if they were read before: it is not imported."""
    code = getattr(app.env, "_viewcode_modules", {}).get(module)
    return code[:2] if code else None


def setup(app: Any) -> dict[str, bool]:
    """Register; after what prepares for reading."""
    app.connect("env-before-read-docs", read, priority=900)
    app.connect("viewcode-find-source", source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
