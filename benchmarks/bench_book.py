"""How long `make book` takes from images, and how much memory its largest job.

    python benchmarks/bench_book.py

Times: from nothing, with nothing changed, with one sample changed, with one patient more, and of a
study of few patients from nothing. Works in copies of the project, with the environment it is
called from, for a quarter of an hour. Writes benchmarks/results/book.json: seconds, the limits
that the project set itself, each time as a share of the first, and the peak memory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    *("_config.yml", "CITATION.cff", "requirements.lock"),
    *("book", "data", "notebooks", "src", "workflow", "benchmarks"),
)
LIMITS = {"from nothing": 180.0, "nothing changed": 2.5, "one sample changed": 45.0}
"""Seconds on two cores."""

FEW = 3
"""Patients of the small study."""

Rows = list[list[str]]


def copy_project(target: Path) -> Path:
    """Copy what a build needs."""
    target.mkdir()
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    return target


def build(project: Path) -> tuple[float, float]:
    """Build the book of a project; return the seconds, and the MB of its largest process."""
    environment = os.environ | {"PYTHONPATH": str(project / "src")}
    command = [sys.executable, "workflow/build.py", "--cores", "2"]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.DEVNULL)
    # The usage of a process that has ended counts those that it started and waited for.
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the build failed in {project}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes, or kilobytes
    return time.perf_counter() - started, usage.ru_maxrss * unit / 2**20


def rewrite(project: Path, name: str, change: Callable[[Rows], Rows]) -> None:
    """Change the rows of a table of the default dataset, the first being its header."""
    path = project / "data" / "surrogate" / name
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join("\t".join(row) + "\n" for row in change(rows)), encoding="utf-8")


def one_sample_changed(project: Path) -> None:
    """Add 10 cells/mm2 to the CPM of the first sample, whose patient's images are made anew."""

    def change(rows: Rows) -> Rows:
        column = rows[0].index("cpm")
        rows[1][column] = f"{float(rows[1][column]) + 10:.1f}"
        return rows

    rewrite(project, "samples.tsv", change)


def one_patient_more(project: Path) -> None:
    """Add a patient with the targets and values of an earlier one."""

    def people(rows: Rows) -> Rows:
        return [*rows, ["sub-99", *rows[12][1:]]]

    def samples(rows: Rows) -> Rows:
        column = rows[0].index("participant_id")
        taken = [row for row in rows if row[column] == "sub-12"]
        new = [["sample-" + str(900 + i), *row[1:]] for i, row in enumerate(taken)]
        for row in new:
            row[column] = "sub-99"
        return [*rows, *new]

    rewrite(project, "participants.tsv", people)
    rewrite(project, "samples.tsv", samples)


def few_patients(project: Path) -> None:
    """Leave the first patients alone."""
    wanted = {"participant_id", *(f"sub-{i:02d}" for i in range(1, FEW + 1))}
    for name in ("participants.tsv", "samples.tsv"):
        rewrite(project, name, lambda rows: [row for row in rows if wanted & set(row[:2])])


def main() -> None:
    """Measure, print and write."""
    measured: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder) / "project")
        measured["from nothing"] = build(project)
        measured["nothing changed"] = build(project)
        one_sample_changed(project)
        measured["one sample changed"] = build(project)
        one_patient_more(project)
        measured["one patient more"] = build(project)
        small = copy_project(Path(folder) / "small")
        few_patients(small)
        measured[f"from nothing, {FEW} patients"] = build(small)
    cold = measured["from nothing"][0]
    rows = [
        {
            "what": what,
            "seconds": round(seconds, 1),
            "limit": LIMITS.get(what, ""),
            "share of the first": round(seconds / cold, 3),
            "largest process (MB)": round(memory),
        }
        for what, (seconds, memory) in measured.items()
    ]
    result = {
        "rows": rows,
        "machine": machine(),
    }
    for row in rows:
        print(*(f"{name}: {value}" for name, value in row.items()), sep="; ")
    target = ROOT / "benchmarks" / "results" / "book.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
