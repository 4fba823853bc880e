"""A process that forks for each program of a build, with what the program imports loaded before.

    python workflow/fork_server.py SOCKET

Loading the libraries takes most of the time of a page. `child.py` starts programs through this
process where there is one, and as processes of their own where there is none: on macOS, whose
libraries do not bear a fork, or where no socket can be made.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import socketserver
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import Any

import ipykernel.ipkernel  # noqa: F401 -- of each notebook

import child
from dependencies import ROOT, imported_names

LATE = {"jinja2", "matplotlib.backends.backend_pdf"}
"""What libraries import when a page writes its first table or figure."""


@cache
def _load(path: Path) -> None:
    """Import what a script or notebook imports, and its library modules, wherever in them."""
    compiling = "numba" in sys.modules
    for name in sorted(imported_names(str(path)) | (LATE if path.suffix == ".md" else set())):
        package, _, member = name.rpartition(".")
        if not hasattr(sys.modules.get(package), member):
            # Whatever is wrong with a module is told by the program that imports it.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    if not compiling and "numba" in sys.modules:
        # The first function that a process compiles, or reads from the cache, takes 0.6 s longer.
        sys.modules["numba"].njit(lambda: None)()
    gc.freeze()  # nothing loaded is ever thrown away: looking for it would copy its pages


class _Program(socketserver.BaseRequestHandler):
    """In the process that has been forked: become the program, and tell its exit status."""

    server: Server

    def handle(self) -> None:
        self.server.socket.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(self.server.files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(self.server.started["environment"])
        os.chdir(self.server.started["folder"])
        child.end_with(self.request.fileno())
        status = _status(self.server.started["program"])
        self.request.sendall(bytes([status]))


def _status(program: list[str]) -> int:
    """Run a program as Python itself would; return its exit status."""
    status = 0
    try:
        child.run(*program)
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            status = (ended.code or 0) & 0xFF
        else:
            print(ended.code, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return status


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Answers `child.main`."""

    request_queue_size = 64
    started: dict[str, Any]
    files: list[int]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Load what the program imports, then fork."""
        _, self.files, _, _ = socket.recv_fds(request, 1, 3)
        with request.makefile() as lines:
            self.started = json.loads(lines.readline())
        program, *arguments = self.started["program"]
        for path in (ROOT / program, *(ROOT / "notebooks" / f"{name}.md" for name in arguments)):
            if path.is_file():
                _load(path)
        super().process_request(request, client_address)
        for file in self.files:
            os.close(file)


def main(address: str) -> None:
    """Serve until the driver of the build ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Server(address, _Program) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
