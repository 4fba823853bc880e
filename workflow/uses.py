"""Which functions of the library the notebooks and the tests use, read from their source.

Vocabulary
----------
- *written*: how a source names a function, such as ``groups.descriptives``. Full name: with its
  module, ``cpmlib.paper.groups.descriptives``.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dependencies import PACKAGES, ROOT, code_of

Uses = dict[str, list[str]]
"""Full name to the notebooks' names, or the paths of tests from the project, that use it."""


def written_names(source: str) -> dict[str, str]:
    """Return what a source uses of the library: as it is written there, with the full name."""
    tree = ast.parse(source)
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
            known |= {alias.name: alias.name for alias in node.names if not alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    known = {short: name for short, name in known.items() if name.split(".")[0] in PACKAGES}
    found = dict(known)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            written = ast.unparse(node)
            module, _, name = written.rpartition(".")
            if module in known:
                found[written] = f"{known[module]}.{name}"
    return found


def _used_by(sources: Iterable[tuple[str, str]]) -> Uses:
    uses: Uses = defaultdict(list)
    for user, source in sources:
        for name in set(written_names(source).values()):
            uses[name].append(user)
    return dict(uses)


@cache
def pages() -> Uses:
    """Return the notebooks that use each function, in reading order."""
    paths = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))
    return _used_by((path.stem, code_of(path)) for path in paths)


@cache
def tests() -> Uses:
    """Return the files of tests that use each function."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return _used_by((str(path.relative_to(ROOT)), code_of(path)) for path in paths)


@cache
def written_on(page: Path) -> dict[str, str]:
    """Return `written_names` of a notebook."""
    return written_names(code_of(page))
