"""How often a seed leads to a complete surrogate cohort, and how long it takes.

``python benchmarks/bench_surrogate.py --seeds 0 20 --out benchmarks/results/surrogate.json``
runs the command line once for each seed, one after the other, and writes what it measured. The
search itself never looks at a clock. ``--keep data/cohorts.json`` keeps the cohorts, and names the
seeds that gave none.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import cpmlib
from cpmlib.study.dataset import read_tables
from cpmsurrogate.kept_cohorts import write_cohorts
from cpmsurrogate.recipe import Recipe

Tables = tuple[pd.DataFrame, pd.DataFrame]


def measure(seed: int, recipe: Path, published: Path) -> tuple[dict[str, Any], Tables]:
    """Make one cohort and describe it; return its participants and samples too."""
    with tempfile.TemporaryDirectory() as folder:
        out, report = Path(folder) / "dataset", Path(folder) / "report"
        command = [sys.executable, "-m", "cpmsurrogate", "--seed", str(seed)]
        command += ["--recipe", str(recipe), "--published", str(published), "--quiet"]
        command += ["--allow-misses", "--out", str(out), "--report", str(report)]
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - begin
        return describe(seed, seconds, report), read_tables(out)[:2]


def describe(seed: int, seconds: float, report: Path) -> dict[str, Any]:
    """Describe a cohort by the tables of its report."""
    trace = pd.read_csv(report / "trace.tsv", sep="\t")
    checks = pd.read_csv(report / "checks.tsv", sep="\t")
    conditions = pd.read_csv(report / "conditions.tsv", sep="\t")
    inside = conditions[conditions["condition"] == "rout_inside"]["value"].max()
    outside = conditions[conditions["condition"] == "rout_outside"]["value"].min()
    icc = conditions[conditions["condition"] == "icc"].set_index("variable")["value"]
    held = conditions["value"].between(conditions["low"], conditions["high"])
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "skeletons": int(trace["attempt"].max()),
        "iterations": len(trace),
        "met": int((checks["miss"] == 0).sum()),
        "missed": checks.loc[checks["sought"] & (checks["miss"] > 0), "id"].tolist(),
        "conditions_missed": int((~held).sum()),
        "icc": {name: float(value) for name, value in icc.items()},
        "rout_inside_at_most": float(inside),
        "rout_outside_at_least": float(outside),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 20), metavar=("FIRST", "END"))
    parser.add_argument("--recipe", type=Path, default=Path("data/surrogate_recipe.json"))
    parser.add_argument("--published", type=Path, default=Path("data/published-values.tsv"))
    parser.add_argument("--keep", type=Path, help="file for the cohorts")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    runs, cohorts = [], {}
    for seed in range(*arguments.seeds):
        run, tables = measure(seed, arguments.recipe, arguments.published)
        runs.append(run)
        if not run["missed"]:
            cohorts[seed] = tables
        print(json.dumps(run), flush=True)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(summarise(runs), indent=2) + "\n", encoding="utf-8")
    if arguments.keep:
        failed = {run["seed"]: run["missed"] for run in runs if run["missed"]}
        recipe = Recipe.read(arguments.recipe)
        write_cohorts(arguments.keep, recipe, cpmlib.__version__, cohorts, failed)


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise what was measured, with the runs behind it."""
    complete = [run for run in runs if not run["missed"]]
    seconds = [run["seconds"] for run in runs]
    return {
        "seeds": len(runs),
        "complete": len(complete),
        "complete_with_all_conditions": sum(not run["conditions_missed"] for run in complete),
        "seconds_median": round(float(np.median(seconds)), 1),
        "seconds_longest": max(seconds),
        "seconds_in_all": round(sum(seconds), 1),
        "skeletons_in_all": sum(run["skeletons"] for run in runs),
        "machine": f"{platform.machine()}, one process, one thread",
        "runs": runs,
    }


if __name__ == "__main__":
    main()
