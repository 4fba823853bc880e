"""Where the tests' study lies, and ways to spoil a copy of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COHORT = Path(__file__).parent / "data" / "cohort"

Change = Callable[[list[list[str]]], None]


def rewrite(path: Path, change: Change) -> None:
    """Change the cells of a tab-separated file; row 0 is the header."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    change(rows)
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")


def set_cell(path: Path, row: int, column: str, value: str) -> None:
    """Write a cell; rows are counted as an editor does, the header being row 1."""

    def change(rows: list[list[str]]) -> None:
        rows[row - 1][rows[0].index(column)] = value

    rewrite(path, change)
