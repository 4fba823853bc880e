"""Run a program as a part of a build: it ends when the process that started it has ended.

    python workflow/child.py PROGRAM [ARGUMENT ...]

PROGRAM is the path of a Python script or the name of a module. It inherits two descriptors: the
build's lock, and an end of a pipe to which nobody writes. The other end of the pipe is held by the
process that started it alone, so that reading stops waiting as soon as that process is gone,
however it went. The lock stays taken until the last process of the build has ended. Both work on
every Unix.
"""

from __future__ import annotations

import errno
import os
import runpy
import signal
import sys
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "CPMLIB_PARENT"
"""Environment variable with the two descriptors that the next process is to inherit."""
WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM)
"""Why a file could not be written although the program is right."""
KILLED = (
    "was killed before it could say anything, mostly for lack of memory. Remedy: close other "
    "programs, then run the same command again"
)


def command(*program: str) -> list[str]:
    """Return the command that runs a program, with its arguments, as a child of this process."""
    return [sys.executable, str(ROOT / "workflow" / "child.py"), *program]


def tie(lock: int) -> None:
    """Let the children of this process end with it; they hold the lock too."""
    # The second end is never closed and never inherited: the system closes it with the process.
    waiting, _ = os.pipe()
    os.environ[VARIABLE] = f"{waiting},{lock}"


def inherited() -> tuple[int, ...]:
    """Return the descriptors that a child has to inherit (``pass_fds``); none without a driver."""
    return tuple(int(number) for number in os.environ.get(VARIABLE, "").split(",") if number)


def cannot_write(error: OSError) -> str | None:
    """Return what to tell of an error of writing a file; None if it is another error."""
    place = (Path(str(error.filename)) if error.filename else ROOT / "build").resolve()
    if error.errno not in WRITING or not place.is_relative_to(ROOT):
        return None
    return (
        f"{place.relative_to(ROOT)}: {error.strerror}; expected room and leave to write "
        "in the project's folder. Remedy: free some space or make the folder writable, then run "
        "the same command again"
    )


def _end_with(pipe: int) -> None:
    os.read(pipe, 1)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main(program: str) -> None:
    """Run the program; nothing is returned to."""
    if found := inherited():
        pipe, lock = found
        Thread(target=_end_with, args=(pipe,), daemon=True).start()
        tie(lock)
    sys.argv = sys.argv[1:]
    try:
        if os.sep in program:
            runpy.run_path(program, run_name="__main__")
        else:
            del sys.path[0]  # this folder
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except OSError as error:
        if told := cannot_write(error):
            sys.exit(told)
        raise


if __name__ == "__main__":
    main(sys.argv[1])
