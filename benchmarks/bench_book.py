"""How long `make book` takes: from nothing, with nothing changed, with one sample changed.

    python benchmarks/bench_book.py

Works in a copy of the project, with the environment it is called from. Writes
benchmarks/results/book.json: seconds, the limits that the project set itself, and each time as a
share of the first.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("_config.yml", "book", "data", "notebooks", "src", "workflow", "benchmarks")
LIMITS = {"cold": 180.0, "nothing changed": 10.0, "one sample changed": 90.0}
"""Seconds on two cores."""


def build(project: Path) -> float:
    """Build the book of a project; return the seconds it took."""
    environment = os.environ | {"PYTHONPATH": str(project / "src")}
    command = [sys.executable, "workflow/build.py", "--cores", "2"]
    started = time.perf_counter()
    subprocess.run(command, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def change_one_sample(project: Path) -> None:
    """Add 10 cells/mm2 to the CPM of the first sample."""
    path = project / "data" / "surrogate" / "samples.tsv"
    lines = path.read_text("utf-8").splitlines()
    cells = lines[1].split("\t")
    column = lines[0].split("\t").index("cpm")
    cells[column] = f"{float(cells[column]) + 10:.1f}"
    lines[1] = "\t".join(cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        for name in PARTS:
            source = ROOT / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, project / name, ignore=ignore)
            else:
                project.mkdir(exist_ok=True)
                shutil.copy(source, project / name)
        seconds = {"cold": build(project), "nothing changed": build(project)}
        change_one_sample(project)
        seconds["one sample changed"] = build(project)
    rows = [
        {
            "what": what,
            "seconds": round(value, 1),
            "limit": LIMITS[what],
            "share of cold": round(value / seconds["cold"], 3),
        }
        for what, value in seconds.items()
    ]
    result = {
        "rows": rows,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }
    for row in rows:
        print(f"{row['what']:20} {row['seconds']:6.1f} s (limit {row['limit']:.0f} s)")
    target = ROOT / "benchmarks" / "results" / "book.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
