"""Say what machine measured, and how fast it was just then."""

from __future__ import annotations

import os
import platform
import statistics
import time
from importlib.metadata import version

ADDITIONS = 20_000_000

LOOP_TODAY_S = 0.6
"""Seconds that they take on a machine of today, for which the limits are meant."""


def machine(*packages: str) -> dict[str, object]:
    """Describe this machine and the packages that are compared.

    `loop_s` is what `ADDITIONS` in a loop of Python take: times of two visits to a shared machine
    can be compared by it.
    """
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "loop_s": round(statistics.median(_loop() for _ in range(3)), 2),
        **{name: version(name) for name in packages},
    }


def _loop() -> float:
    started, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return time.perf_counter() - started
