"""Build the book from a dataset: `make book`.

    python workflow/build.py [--dataset PATH] [--model FILE] [--profile light|full]
                             [--set NAME=VALUE ...] [--cores N] [FILE ...]

Without a dataset, the images of the synthetic cohort are made first and the book starts from them.
Prints a line for each step and, last, the totals of the ledger. A step that fails prints why.
With names of files, such as build/values.json, makes them and what they need, but no pages.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TypeVar

import child
from cpmlib.cpm.processors import available_processors
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.options import AnalysisOptions, ImageOptions, Options
from dependencies import BUILD, GIVEN_MODEL, ROOT, SHARED
from prepare import make_private_folder, prepare_study, prepare_surrogate, write_if_changed

LOCK_TRIES = 50
"""Times, a tenth of a second apart."""
NO_ROOM = 2**20
"""Bytes that are as good as none."""

_RULE = re.compile(r"^(?:local)?rule (\w+):")
_WILDCARD = re.compile(r"^\s+wildcards: \w+=([\w-]+)")
_LOG = re.compile(r"^\s+log: (\S+)")


def main() -> int:
    """Do it; return the exit status."""
    try:
        return _build()
    except OSError as error:
        if told := child.cannot_write(error):
            print(told, file=sys.stderr)
            return 2
        raise
    except KeyboardInterrupt:
        print("stopped; the same command takes the build up again", file=sys.stderr)
        return 130


def _build() -> int:
    arguments = _arguments()
    try:
        chosen = _chosen(arguments.set)
        options = _options(AnalysisOptions, chosen)
        image_options = _options(ImageOptions, chosen)
        _refuse_unknown(chosen)
    except ValueError as error:
        print(f"--set: {error}", file=sys.stderr)
        return 2
    make_private_folder()
    lock = _locked()
    if lock is None:
        print("another build of this project is running; wait for it to end", file=sys.stderr)
        return 2
    child.tie(lock.fileno())
    try:
        model = _source(arguments.model, "a model file") if arguments.model else None
        if model is not None:
            from cpmlib.cpm.model_file import read_model

            read_model(model)
        if arguments.dataset:
            study = prepare_study(_source(arguments.dataset, _DATASET))
        else:
            study = prepare_surrogate()
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 2
    for name, values in (("options", options), ("image_options", image_options)):
        text = json.dumps(dataclasses.asdict(values), indent=1)  # type: ignore[call-overload]
        write_if_changed(BUILD / f"{name}.json", text.encode())
    if not (SHARED / "html" / "index.html").is_file():
        (BUILD / "pages.done").unlink(missing_ok=True)
    started = time.monotonic()
    if model is not None:
        # A copy, so that the workflow sees when another model is given, wherever it lies.
        write_if_changed(GIVEN_MODEL, model.read_bytes())
    settings = {
        "dataset": study,
        "surrogate": not arguments.dataset,
        "profile": arguments.profile,
        "model": "trained" if model is None else "given",
    }
    write_if_changed(BUILD / "settings.json", json.dumps(settings, indent=1).encode())
    status, failed = _snakemake(arguments.cores, arguments.files)
    if status:
        _tell(failed)
        return status if status > 0 else 128 - status
    if arguments.files:
        return 0
    print(
        f"built in {time.monotonic() - started:.0f} s: {(SHARED / 'html' / 'index.html').as_uri()}"
    )
    print(_totals())
    return 0


def _locked() -> IO[str] | None:
    """Take the project's lock; None if another build goes on.

    Its processes hold it too, until the last of them has ended, however the driver ended. Those of
    a killed build need a moment for that.
    """
    lock = (BUILD / ".lock").open("w")
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(0.1)
    return None


def _tell(failed: list[str]) -> None:
    """Say why the build stopped: what the failed jobs wrote, or that they could not."""
    for log in failed:
        text = (ROOT / log).read_text("utf-8", "replace").strip()
        print(f"\n{log}:\n{text or child.KILLED}", file=sys.stderr)
    if not failed:
        print(f"\nthe workflow {child.KILLED}", file=sys.stderr)
    if shutil.disk_usage(BUILD).free < NO_ROOM:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(BUILD))
        print(child.cannot_write(full), file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the book from a dataset.")
    parser.add_argument("--dataset", default=os.environ.get("DATASET"))
    parser.add_argument("--model", default=os.environ.get("MODEL"), metavar="FILE")
    parser.add_argument(
        "--profile", choices=("light", "full"), default=os.environ.get("PROFILE") or "light"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cores", type=int, default=available_processors())
    parser.add_argument("files", nargs="*", metavar="FILE")
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


_Kind = TypeVar("_Kind", bound=Options)


def _options(kind: type[_Kind], chosen: dict[str, str]) -> _Kind:
    """Return the choices of one kind, with what was chosen of them."""
    return kind.from_mapping({k: v for k, v in chosen.items() if k in kind.names()})


def _refuse_unknown(chosen: dict[str, str]) -> None:
    names = AnalysisOptions.names() + ImageOptions.names()
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; the options are {', '.join(names)}")


def _source(given: str, expected: str) -> Path:
    """Return a full path; raise a DatasetError for one that cannot be a path."""
    try:
        return Path(given).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such folder or file"
        shown = Path(given).name or given
        raise DatasetError(Problem(shown, reason, expected, "correct the path")) from None


def _snakemake(cores: int, files: list[str]) -> tuple[int, list[str]]:
    command = child.command("snakemake", "--snakefile", "workflow/Snakefile")
    command += ["--cores", str(cores), "--rerun-incomplete", "--nolock"]
    # What does not need the failed job is done all the same, so that all faults are told at once.
    command += ["--keep-going", *files]
    full_log = BUILD / "snakemake.log"
    failed: list[str] = []
    with full_log.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=child.inherited(),
            process_group=0,  # which ends as a whole
        )
        assert process.stdout is not None
        rule, in_error = "", False
        for line in process.stdout:
            log.write(line)
            if match := _RULE.match(line):
                rule, in_error = match[1], False
                if rule in _SAID:
                    print(_SAID[rule], flush=True)
            elif match := _WILDCARD.match(line):
                if rule in _SAID_OF and not in_error:
                    print(_SAID_OF[rule].format(match[1]), flush=True)
            elif line.startswith("Error in rule"):
                in_error = True
            elif in_error and (match := _LOG.match(line)):
                failed.append(match[1])
                in_error = False
        status = process.wait()
    if status > 0 and not failed:
        failed.append(str(full_log.relative_to(ROOT)))
    return status, [path for path in dict.fromkeys(failed) if (ROOT / path).is_file()]


_DATASET = "a BIDS folder, or a table ending in .csv or .xlsx"
_SAID = {
    "dataset": "checking the dataset",
    "values": "collecting the values",
    "graph": "drawing the workflow",
    "html": "building the pages",
}
_SAID_OF = {
    "notebook": "executing notebooks/{}",
    "model": "training the forest (inputs divided by: {})",
    "surrogate_patient": "making the images of {}",
    "patient": "maps and regions of {}",
}


def _totals() -> str:
    """Summarise the ledger that was just built."""
    import pandas as pd

    from cpmlib.paper.ledger import summary

    content = json.loads((SHARED / "values.json").read_text("utf-8"))
    ledger = pd.DataFrame(content["tables"]["08_ledger"]["ledger"])
    return summary(ledger, content["dataset"]["relation"])


if __name__ == "__main__":
    sys.exit(main())
