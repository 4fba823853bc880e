from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from cpmlib.study.dataset import Dataset, read_dataset
from cpmlib.study.published import read_published
from studies import COHORT, ROOT, Project

# A busy machine is slow at times, which is no fault of what is tested.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

TOGETHER = {
    "test_book.py": "small books",
    "test_kills.py": "small books",
    "test_book_images.py": "default book",
    "test_claims.py": "claims",
    "test_pdf.py": "PDF",
    "test_r_scripts.py": "R",
    "test_solve_targets.py": "solution",
    "test_prose.py": "prose",
}
"""Files whose tests share what is costly to make, and what they share."""


class Together(LoadScopeScheduling):
    """Give the tests of some files to one process, in their order, and all others singly.

    What has most tests starts first: these files.
    """

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(Path(nodeid.split("::")[0]).name, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


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


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    """A copy of the project; the tests of books go on from what the one before them built.

    In a folder whose name holds a space, as those of many people do.
    """
    project = Project(tmp_path_factory.mktemp("book") / "the project")
    project.repeat_less()
    return project


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    from screenshots import chromium

    program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    assert Path(program).exists(), f"no {program}; install Chromium or set CHROMIUM"
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()
