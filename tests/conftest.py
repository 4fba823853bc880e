from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cpmlib.dataset import Dataset, read_dataset
from cpmlib.published import read_published
from studies import COHORT, ROOT


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


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    assert Path(program).exists(), f"no {program}; install Chromium or set CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()
