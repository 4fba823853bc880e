"""Build the book from a dataset: `make book`.

    python workflow/build.py [--dataset PATH] [--set NAME=VALUE ...] [--cores N]

Prints a line for each step and, last, the totals of the ledger. A step that fails prints why.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from cpmlib.dataset import read_tables
from cpmlib.errors import DatasetError, Problem
from cpmlib.options import AnalysisOptions
from dependencies import ROOT, TABLES

BUILD = ROOT / "build"
DEFAULT_DATASET = "data/surrogate"
_RULE = re.compile(r"^(?:local)?rule (\w+):")
_NAME = re.compile(r"^\s+wildcards: name=(\w+)")
_LOG = re.compile(r"^\s+log: (\S+)")


def main() -> int:
    """Do it; return the exit status."""
    arguments = _arguments()
    try:
        chosen = _chosen(arguments.set)
        options = AnalysisOptions.from_mapping(chosen)
    except ValueError as error:
        print(f"--set: {error}", file=sys.stderr)
        return 2
    try:
        source = _source(arguments.dataset)
        read_tables(source)
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 2
    BUILD.mkdir(exist_ok=True)
    lock = (BUILD / ".lock").open("w")
    try:
        # Held until this process ends, however it ends, so that a killed build blocks no other.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another build of this project is running; wait for it to end", file=sys.stderr)
        return 2
    _write_if_changed(BUILD / "options.json", json.dumps(dataclasses.asdict(options), indent=1))
    staged = _stage(source)
    if not (BUILD / "html" / "index.html").is_file():
        (BUILD / "pages.done").unlink(missing_ok=True)
    started = time.monotonic()
    status, failed = _snakemake(staged, arguments.cores)
    if status:
        for log in failed:
            print(
                f"\n{log}:\n" + (ROOT / log).read_text("utf-8", "replace").strip(), file=sys.stderr
            )
        return status
    print(
        f"built in {time.monotonic() - started:.0f} s: {(BUILD / 'html' / 'index.html').as_uri()}"
    )
    print(_totals())
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the book from a dataset.")
    parser.add_argument("--dataset", default=os.environ.get("DATASET") or DEFAULT_DATASET)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _chosen(pairs: list[str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for pair in pairs:
        name, mark, value = pair.partition("=")
        if not mark:
            raise ValueError(f"found {pair[:80]!r}; expected NAME=VALUE")
        if name in chosen:
            raise ValueError(f"option {name} is given twice")
        chosen[name] = value
    return chosen


def _source(given: str) -> Path:
    """Return the dataset's full path; raise a DatasetError for one that cannot be a path."""
    try:
        return Path(given).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such folder or table"
        expected = "a BIDS folder, or a table ending in .csv or .xlsx"
        shown = Path(given).name or given or "DATASET"
        raise DatasetError(Problem(shown, reason, expected, "correct DATASET")) from None


def _stage(source: Path) -> str:
    """Copy the dataset's tables into build/source, touching only what differs.

    The workflow then sees fixed names, whatever the dataset's own path is called, and a file
    that is written anew with the same content runs nothing again.
    """
    folder = BUILD / "source"
    if source.is_dir():
        wanted = {name: (source / name).read_bytes() for name in TABLES}
        staged = "build/source"
    else:
        name = f"study{source.suffix.lower()}"
        wanted = {name: source.read_bytes()}
        staged = f"build/source/{name}"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
    return staged


def _write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _snakemake(source: str, cores: int) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"]
    command += ["--cores", str(cores), "--rerun-incomplete", "--nolock"]
    command += ["--config", f"dataset={source}"]
    full_log = BUILD / "snakemake.log"
    failed: list[str] = []
    with full_log.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        rule, in_error = "", False
        for line in process.stdout:
            log.write(line)
            if match := _RULE.match(line):
                rule, in_error = match[1], False
                if rule not in ("notebook", "all"):
                    print(_SAID[rule], flush=True)
            elif match := _NAME.match(line):
                if rule == "notebook" and not in_error:
                    print(f"executing notebooks/{match[1]}", flush=True)
            elif line.startswith("Error in rule"):
                in_error = True
            elif in_error and (match := _LOG.match(line)):
                failed.append(match[1])
                in_error = False
        status = process.wait()
    if status and not failed:
        failed.append(str(full_log.relative_to(ROOT)))
    return status, [path for path in dict.fromkeys(failed) if (ROOT / path).is_file()]


_SAID = {
    "dataset": "checking the dataset",
    "values": "collecting the values",
    "graph": "drawing the workflow",
    "html": "building the pages",
}


def _totals() -> str:
    """Summarise the ledger that was just built."""
    import pandas as pd

    from cpmlib.ledger import summary

    path = BUILD / "site" / "notebooks" / "08_ledger_files" / "values.json"
    return summary(pd.DataFrame(json.loads(path.read_text("utf-8"))["tables"]["ledger"]))


if __name__ == "__main__":
    sys.exit(main())
