"""Run the dependency graph of `workflow/Snakefile`, and say how it goes."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.logging import logger
from snakemake.scheduling.greedy import SchedulerSettings
from snakemake.settings.types import (
    DAGSettings,
    ExecutionSettings,
    ResourceSettings,
    SchedulingSettings,
)
from snakemake_interface_logger_plugins.common import LogEvent

import child
from dependencies import BUILD, ROOT

STEPS = {
    "model": "training the forest (inputs divided by: {})",
    "surrogate_patient": "making the images of {}",
    "patient": "maps and regions of {}",
    "dataset": "checking the dataset",
    "cohorts": "analysing the kept cohorts",
    "notebook": "executing notebooks/{}",
    "values": "collecting the values",
    "graph": "drawing the workflow",
    "html": "building the pages",
}
"""What is said when a job of a rule starts, with its wildcard."""


class Progress(logging.Handler):
    """Print a line for each job that starts, and keep what went wrong.

    Attributes
    ----------
    failed : list of pathlib.Path
        The logs of the jobs that failed.
    errors : list of str
        What Snakemake itself found wrong.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.failed: list[Path] = []
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message of Snakemake; its fields are those of `LogEvent`."""
        fields = vars(record)
        event = fields.get("event")
        if event == LogEvent.JOB_INFO and fields["rule_name"] in STEPS:
            print(STEPS[fields["rule_name"]].format(*fields["wildcards"].values()), flush=True)
        elif event == LogEvent.JOB_ERROR:
            self.failed += [ROOT / path for path in fields["log"]]
        elif record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())


def run(cores: int, files: Collection[str] = ()) -> Progress:
    """Make whatever is missing or older than what it depends on; return what went wrong.

    Of the book, or of the files that are named, by their paths from the project's folder.
    """
    if sys.platform != "darwin":
        _start_fork_server()
    progress = Progress()
    with SnakemakeApi() as api:
        logger.handlers[:] = [progress]  # instead of its own account; that is kept in a file
        try:
            graph = api.workflow(
                resource_settings=ResourceSettings(cores=cores),
                snakefile=ROOT / "workflow" / "Snakefile",
                workdir=ROOT,
            ).dag(DAGSettings(targets=set(files), force_incomplete=True))
            graph.execute_workflow(
                # What does not need a failed job is done all the same: all faults are told at once.
                execution_settings=ExecutionSettings(lock=False, keep_going=True),
                scheduling_settings=SchedulingSettings(scheduler="greedy"),
                scheduler_settings=SchedulerSettings(),
            )
        except OSError:
            raise
        except Exception as error:
            api.print_exception(error)
    return progress


def _start_fork_server() -> None:
    """Start what spares each job of one thread to load the libraries; it ends with this process."""
    folder = tempfile.mkdtemp(prefix="cpmlib-")  # others may not enter it, and its path is short
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[child.SERVER] = f"{folder}/forks"
    log = BUILD / "logs" / "fork_server.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as said:
        subprocess.Popen(
            child.command("workflow/fork_server.py", os.environ[child.SERVER]),
            cwd=ROOT,
            env={**os.environ, **child.ONE_THREAD},
            stdout=said,
            stderr=said,
        )
