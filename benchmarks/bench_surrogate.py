"""How often a seed leads to a complete surrogate cohort, and how long it takes.

``python benchmarks/bench_surrogate.py --seeds 0 20 --out benchmarks/results/surrogate.json``
runs the command line once for each seed, one after the other, and writes what it measured. The
search itself never looks at a clock.
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

import numpy as np
import pandas as pd


def measure(seed: int, recipe: Path, published: Path) -> dict[str, object]:
    """Make one cohort and describe it."""
    with tempfile.TemporaryDirectory() as folder:
        out, report = Path(folder) / "dataset", Path(folder) / "report"
        command = [sys.executable, "-m", "cpmsurrogate", "--seed", str(seed)]
        command += ["--recipe", str(recipe), "--published", str(published), "--quiet"]
        command += ["--allow-misses", "--out", str(out), "--report", str(report)]
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - begin
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
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    runs = []
    for seed in range(*arguments.seeds):
        runs.append(measure(seed, arguments.recipe, arguments.published))
        print(json.dumps(runs[-1]), flush=True)
        complete = [run for run in runs if not run["missed"]]
        seconds = [float(str(run["seconds"])) for run in runs]
        result = {
            "seeds": len(runs),
            "complete": len(complete),
            "complete_with_all_conditions": sum(not run["conditions_missed"] for run in complete),
            "seconds_median": round(float(np.median(seconds)), 1),
            "seconds_longest": max(seconds),
            "skeletons_in_all": sum(int(str(run["skeletons"])) for run in runs),
            "machine": f"{platform.machine()}, one process, one thread",
            "runs": runs,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
