from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cpmlib.dataset import Dataset, read_dataset
from cpmlib.published import read_published

ROOT = Path(__file__).resolve().parents[1]
COHORT = Path(__file__).parent / "data" / "cohort"


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def cohort() -> Dataset:
    """A synthetic study of the paper's size."""
    return read_dataset(COHORT)


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    return read_published(ROOT / "data" / "published-values.tsv")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A copy of the study's folder that a test may spoil."""
    folder = tmp_path / "study"
    shutil.copytree(COHORT, folder)
    return folder


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
