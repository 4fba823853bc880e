"""Let Snakemake run no more jobs at once than it was given cores. Imported by the Snakefile.

Some versions (9.10 and later) start a job that is alone in being ready without taking its cores
from the free ones, and yet add them when it ends: a chain of single jobs makes cores out of
nothing. Here the cores are taken where that was not done; a version without the fault is left as
it is.

The jobs also inherit what `child` needs to end them with Snakemake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.shell import shell

from child import inherited


def accounted(select: Callable[[Any, Any], Sequence[Any]]) -> Callable[[Any, Any], Sequence[Any]]:
    """Wrap the choice of jobs so that what they use is always taken from what is free."""

    def job_selector(self: Any, jobs: Any) -> Sequence[Any]:
        before = self.resources["_cores"]
        chosen = select(self, jobs)
        if chosen and self.resources["_cores"] == before:
            self.update_available_resources(chosen)
        return chosen

    return job_selector


JobScheduler.job_selector = accounted(JobScheduler.job_selector)
shell._process_args["pass_fds"] = inherited()
