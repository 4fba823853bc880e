"""Run a program as a part of a build: it ends when the process that started it has ended.

    python workflow/child.py PROGRAM [ARGUMENT ...]

PROGRAM is the path of a Python script or the name of a module. Its standard input is a pipe to
which nobody writes: the process that started it alone holds the other end, so that reading stops
waiting as soon as that process is gone, however it went. The build's lock stays taken until its
last process has ended, since each takes a share of it. Both work on every Unix, through a shell
too.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parents[1]
# Nothing here checks such addresses, and wherever notebooks are read, jsonschema would import it if
# the development tools are there: 1.5 s of each process.
sys.modules["rfc3987_syntax"] = None
VARIABLE = "CPMLIB_LOCK"
"""Environment variable with the path of the build's lock; the processes of a build have it."""
WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM)
"""Why a file could not be written although the program is right."""
SERVER = "CPMLIB_FORKS"
"""Environment variable with the socket of the process that forks for each program."""
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "PYTHONHASHSEED": "0",
}
"""Environment of what runs beside others: one thread each, so that sums keep their order too."""
KILLED = (
    "was killed before it could say anything, mostly for lack of memory. Remedy: close other "
    "programs, then run the same command again"
)


def command(*program: str) -> list[str]:
    """Return the command that runs a program, with its arguments, as a child of this process."""
    return [sys.executable, str(ROOT / "workflow" / "child.py"), *program]


def tie(lock: str) -> None:
    """Let the children of this process end with it, and take a share of the lock."""
    # The second end is never closed and never inherited: the system closes it with the process.
    waiting, _ = os.pipe()
    if waiting:
        os.dup2(waiting, 0)
        os.close(waiting)
    else:  # there was no standard input
        os.set_inheritable(waiting, True)
    os.environ[VARIABLE] = lock


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


def end_with(pipe: int) -> None:
    """Let this process be killed when the other end of a pipe or socket is closed."""
    Thread(target=_wait_and_end, args=(pipe,), daemon=True).start()


def _wait_and_end(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def main(*program: str) -> int:
    """Run a program with its arguments, forked by the server of the build if there is one."""
    if path := os.environ.get(VARIABLE):
        lock = os.open(path, os.O_RDONLY)  # open as long as this process lives
        fcntl.flock(lock, fcntl.LOCK_SH)
        # Whoever started this has a share too, unless it is gone, and another build may go on.
        if select.select([0], [], [], 0)[0]:
            sys.exit("the build has ended")
        end_with(os.dup(0))
        if (server := os.environ.get(SERVER)) and (status := _forked(server, program)) is not None:
            return status
    run(*program)
    return 0


def _forked(server: str, program: Sequence[str]) -> int | None:
    """Return the exit status of a program that the server ran; None if no server took it."""
    if os.environ.get("OMP_NUM_THREADS") != "1":  # the server has been loaded for one
        return None
    started = {"program": program, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(server)
            socket.send_fds(connection, [b"\n"], [0, 1, 2])
            connection.sendall(json.dumps(started).encode() + b"\n")
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server tells how the program ends
            told = connection.recv(1)
        except OSError:  # there is none, or it was killed before it had read all of this
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return None
    if not told:
        os.kill(os.getpid(), signal.SIGKILL)  # as the program was
    return told[0]


def run(program: str, *arguments: str) -> None:
    """Run a program in this process."""
    if path := os.environ.get(VARIABLE):
        tie(path)
    sys.argv = [program, *arguments]
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
    sys.exit(main(*sys.argv[1:]))
