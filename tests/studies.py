"""Where the tests' study lies, ways to spoil a copy of it, and a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
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


PARTS = [
    "_config.yml",
    "CITATION.cff",
    "requirements.lock",
    "benchmarks",
    "book",
    "data",
    "notebooks",
    "src",
    "workflow",
]
"""What of the project a build reads."""
VALUES = "build/values.json"
"""What to build of a book whose pages no test looks at."""


class Project:
    """A copy of the project with a study beside it, and what is built in it."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder = folder
        self.study = folder.parent / "study"
        self.html = folder / "build" / "html"
        folder.mkdir()
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for source in (ROOT / name for name in (*PARTS, *more)):
            if source.is_dir():
                shutil.copytree(source, folder / source.name, ignore=ignore, symlinks=True)
            elif source.exists():
                shutil.copy2(source, folder / source.name)
        self._leave_lessons_out()

    def _leave_lessons_out(self) -> None:
        """Drop what is the same in every book, and in the default one that `make book` builds."""
        for lesson in (self.folder / "notebooks").glob("*_learn_*"):
            lesson.unlink()
        contents = self.folder / "book" / "_toc.yml"
        text = contents.read_text("utf-8")
        learn = r"  - caption: Learn\n    chapters:\n(?:      - .*\n)+"
        contents.write_text(re.sub(learn, "", text), encoding="utf-8")
        there = r"\[([^\]]*)\]\([^)]*(?:_learn_\w+\.ipynb|\bcourse\.md|\bteachers\.md)[^)]*\)"
        for page in [*self.folder.glob("book/*.md"), *self.folder.glob("notebooks/*.md")]:
            page.write_text(re.sub(there, r"\1", page.read_text("utf-8")), encoding="utf-8")

    def repeat_less(self) -> None:
        """Draw less often, and write less of what is the same in every book."""
        less = {
            "src/cpmlib/paper/map_quality/resampling.py": [
                ("RESAMPLES = 10_000", "RESAMPLES = 200"),
                ("SIMULATIONS = 1000", "SIMULATIONS = 20"),
            ],
            "workflow/library_pages.py": [
                ("for room in ROOMS:\n        parts", "for room in ROOMS[:1]:\n        parts"),
            ],
        }
        for name, changes in less.items():
            path = self.folder / name
            text = path.read_text("utf-8")
            for old, new in changes:
                assert text.count(old) == 1, (name, old)
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        path = self.folder / "data" / "cohorts.json"
        content = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(content | {"cohorts": content["cohorts"][:2]}))

    def start(self, *arguments: str, **how: object) -> subprocess.Popen[str]:
        """Start a build; what it says can be read."""
        environment = os.environ | {"PYTHONPATH": str(self.folder / "src")}
        environment.pop("DATASET", None)
        return subprocess.Popen(
            [sys.executable, "workflow/build.py", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **how,  # type: ignore[call-overload]
        )

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            said, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said, errors)

    def build_study(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.build(*self.of_study, *arguments)

    @property
    def of_study(self) -> tuple[str, ...]:
        """Arguments of all builds of the study; each build with others would begin anew."""
        return "--dataset", str(self.study), "--set", "mixed_model_test=wald-z"

    def page(self, name: str) -> str:
        return (self.html / name).read_text("utf-8")

    def pages(self) -> dict[str, str]:
        return {
            str(p.relative_to(self.html)): p.read_text("utf-8") for p in self.html.rglob("*.html")
        }

    @property
    def content(self) -> dict:
        return json.loads((self.folder / VALUES).read_text("utf-8"))


def executed(run: subprocess.CompletedProcess[str]) -> set[str]:
    """Return the notebooks that a build executed."""
    return set(re.findall(r"executing notebooks/(\w+)", run.stdout))
