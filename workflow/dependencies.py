"""Which files a notebook or script depends on: the library modules that it imports, and theirs."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "cpmlib"
TABLES = ("dataset_description.json", "participants.tsv", "samples.tsv")
"""The files of a BIDS folder that the workflow reads."""

_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CELL_OPTIONS = re.compile(r"\A(:[^\n]*\n|---\n.*?\n---\n)+", re.DOTALL)


def notebook_names() -> list[str]:
    """Return the notebooks, in reading order."""
    return sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.md"))


def book_files() -> list[str]:
    """Return everything under ``book/``."""
    paths = (ROOT / "book").rglob("*")
    return sorted(str(p.relative_to(ROOT)) for p in paths if p.is_file())


def source_files(dataset: str) -> list[str]:
    """Return the files that the workflow reads of a dataset, by its path from the project."""
    path = ROOT / dataset
    return [f"{dataset}/{name}" for name in TABLES] if path.is_dir() else [dataset]


def data_files(notebook: str) -> list[str]:
    """Return the files under ``data/`` that a notebook reads besides the dataset."""
    published = ["data/published-values.tsv"]
    if notebook in ("08_ledger", "09_sensitivity"):
        return published
    if notebook != "10_surrogate":
        return []
    paths = [p.relative_to(ROOT) for p in (ROOT / "data").rglob("*") if p.is_file()]
    measured = ["benchmarks/results/surrogate.json"]
    return published + measured + sorted(str(path) for path in paths if "surrogate" in str(path))


def library_files(script: str | None) -> list[str]:
    """Return the library modules that a notebook or script needs, directly or through others.

    Parameters
    ----------
    script
        Path from the project's folder, ``.py`` or MyST ``.md``; None for the whole library.

    Returns
    -------
    list of str
        Paths from the project's folder.
    """
    if script is None:
        return sorted(str(p.relative_to(ROOT)) for p in PACKAGE.rglob("*.py"))
    path = ROOT / script
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        source = "\n".join(_CELL_OPTIONS.sub("", cell) for cell in _CELL.findall(source))
    found: set[Path] = set()
    waiting = _imported(source)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting |= _imported_by(module) - found
    return sorted(str(p.relative_to(ROOT)) for p in found)


@cache
def _imported_by(module: Path) -> frozenset[Path]:
    return frozenset(_imported(module.read_text(encoding="utf-8")))


def _imported(source: str) -> set[Path]:
    """Library modules that a source text names in its imports, with their packages."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            found |= _files_of(name)
    return found


def _files_of(name: str) -> set[Path]:
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return set()
    found = set()
    for depth in range(1, len(parts) + 1):
        stem = PACKAGE.parent.joinpath(*parts[:depth])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                found.add(path)
    return found
