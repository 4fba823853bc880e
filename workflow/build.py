"""Build the book from a dataset: `make book`.

    python workflow/build.py [--dataset PATH] [--model FILE] [--profile light|full]
                             [--set NAME=VALUE ...] [--cores N] [FILE ...]

Without a dataset, the images of the synthetic cohort are made first and the book starts from them.
Prints a line for each step, how many values changed since the last build and, last, the totals of
the ledger. A step that fails prints why.
With names of files, such as build/values.json, makes them and what they need, but no pages.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import fcntl
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import child
from cpmlib.cpm.processors import available_processors
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.options import chosen_options
from dependencies import BUILD, GIVEN_MODEL, ROOT, SHARED, notebook_names
from needs import read_needs
from prepare import prepare_study, prepare_surrogate
from private_folder import make_private_folder, write_if_changed

if TYPE_CHECKING:
    from run import Progress

LOCK_TRIES = 50
"""Times, a tenth of a second apart."""
NO_ROOM = 2**20
"""Bytes that are as good as none."""

_DATASET = "a BIDS folder, or a table ending in .csv or .xlsx"


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
        print("stopped; the same command takes the build up again", file=sys.stderr, flush=True)
        os._exit(130)  # and with it all jobs, for which nobody has to wait


def _build() -> int:
    arguments = _arguments()
    try:
        options, image_options = chosen_options(arguments.set)
    except ValueError as error:
        print(f"--set: {error}", file=sys.stderr)
        return 2
    make_private_folder()
    lock = _locked()
    if lock is None:
        print("another build of this project is running; wait for it to end", file=sys.stderr)
        return 2
    child.tie(lock.name)
    try:
        for name in notebook_names():
            read_needs(name)
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
    _write_settings(study, model, arguments, {"options": options, "image_options": image_options})
    if not (SHARED / "html" / "index.html").is_file():
        (BUILD / "pages.done").unlink(missing_ok=True)
    started = time.monotonic()
    # In a thread of its own, since Snakemake would else wait for its jobs when it is told to end.
    from run import run  # loads Snakemake

    found = ThreadPoolExecutor(1).submit(run, arguments.cores, arguments.files).result()
    if found.failed or found.errors:
        _tell(found)
        return 1
    if arguments.files:
        return 0
    page = (SHARED / "html" / "index.html").as_uri()
    print(f"built in {time.monotonic() - started:.0f} s: {page}")
    from changes import since_last_build

    told = (SHARED / "changes.md").relative_to(ROOT)
    if changed := since_last_build():
        print(f"since the last build: {changed} {told} has them")
    print(_totals())
    return 0


def _write_settings(
    study: str, model: Path | None, arguments: argparse.Namespace, options: dict[str, Any]
) -> None:
    """Tell the workflow what to build, in files that stay as they are where nothing differs."""
    for name, values in options.items():
        text = json.dumps(dataclasses.asdict(values), indent=1)
        write_if_changed(BUILD / f"{name}.json", text.encode())
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


def _locked() -> IO[str] | None:
    """Take the project's lock; None if another build goes on.

    Each process of a build has a share of it, until the last of them has ended, however the driver
    ended. Those of a killed build need a moment for that.
    """
    lock = (BUILD / ".lock").open("w")
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody has a share
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(0.1)
    return None


def _tell(found: Progress) -> None:
    """Say why the build stopped: what the failed jobs wrote, or that they could not."""
    for log in dict.fromkeys(found.failed):
        text = log.read_text("utf-8", "replace").strip() if log.is_file() else ""
        print(f"\n{log.relative_to(ROOT)}:\n{text or child.KILLED}", file=sys.stderr)
    if not found.failed:
        print("", *found.errors, sep="\n", file=sys.stderr)
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


def _source(given: str, expected: str) -> Path:
    """Return a full path; raise a DatasetError for one that cannot be a path."""
    try:
        return Path(given).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such folder or file"
        shown = Path(given).name or given
        raise DatasetError(Problem(shown, reason, expected, "correct the path")) from None


def _totals() -> str:
    """Summarise the ledger that was just built."""
    import pandas as pd

    from cpmlib.paper.ledger import summary

    content = json.loads((SHARED / "values.json").read_text("utf-8"))
    rows = next(tables["ledger"] for tables in content["tables"].values() if "ledger" in tables)
    ledger = pd.DataFrame(rows)
    return summary(ledger, content["dataset"]["relation"])


if __name__ == "__main__":
    sys.exit(main())
