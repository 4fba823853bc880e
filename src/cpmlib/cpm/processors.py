"""How many processors there are for a process."""

from __future__ import annotations

import os


def available_processors() -> int:
    """Return how many processors the system lets this process use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def usable_processors() -> int:
    """Return how many processors to use: no more than ``OMP_NUM_THREADS``, where that is set."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    found = available_processors()
    return min(found, max(int(limit), 1)) if limit.isdecimal() else found
