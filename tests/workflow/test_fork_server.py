"""Programs that the build's server forks: they end, and fail, as processes of their own do."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import child
from dependencies import imported_names
from studies import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not bear forks")
LONG = 10.0
"""Seconds; what is waited for takes some hundredths on a free machine."""
SLEEPS = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(120)
"""


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Build:
    """What a driver gives its processes: a lock, standard input, an environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "lock").touch()
        self.environment = {
            **os.environ,
            **child.ONE_THREAD,
            child.VARIABLE: str(folder / "lock"),
            child.SERVER: str(folder / "forks"),
        }

    def start(self, *program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            child.command(*program),
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def said(self, *program: str) -> tuple[int, str, str]:
        """Run a program; return its exit status and what it wrote."""
        with self.start(*program) as process:
            # Its input stays open until it has ended: closing it ends a build.
            assert process.stdout is not None
            assert process.stderr is not None
            written = process.stdout.read(), process.stderr.read()
            return process.wait(LONG), *written


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


@pytest.fixture
def server(build: Build) -> Iterator[subprocess.Popen[str]]:
    address = build.folder / "forks"
    with build.start(str(ROOT / "workflow" / "fork_server.py"), str(address)) as process:
        wait_until(address.exists)
        yield process
        process.kill()


def sleeping(build: Build) -> tuple[subprocess.Popen[str], int]:
    """Start a program that sleeps; return its starter and the number of its own process."""
    (build.folder / "sleeps.py").write_text(SLEEPS)
    told = build.folder / "number"
    told.write_text("")
    starter = build.start("./sleeps.py", str(told))
    wait_until(lambda: told.read_text() != "")
    return starter, int(told.read_text())


PROGRAMS = {
    "prints": "print(sys.argv, os.getcwd(), __name__, __file__)",
    "knows its environment": "print({k: v for k, v in os.environ.items() if k != '_'})",
    "says the status": "print('before'); sys.exit(3)",
    "says why it stops": "print('before'); sys.exit('a reason')",
    "stops for nothing": "sys.exit()",
    "raises": "print('before'); raise RuntimeError('no')",
    "has a fault": "1 +",
    "writes to both": "print('out'); print('err', file=sys.stderr)",
    "starts others": "import subprocess; subprocess.run(['echo', 'other'], check=True)",
    "is killed": "os.kill(os.getpid(), 9)",
    "does something last": "import atexit; atexit.register(print, 'last')",
    "draws": "import random; random.seed(1); print(random.random(), hash('a'))",
}


def test_forked_programs_say_what_those_of_their_own_process_say(build, request):
    for name, text in PROGRAMS.items():
        (build.folder / f"{name}.py").write_text(f"import os, sys\n{text}\n")
    alone = [build.said(f"./{name}.py", "one", "two words") for name in PROGRAMS]
    request.getfixturevalue("server")
    for name, (status, written, errors) in zip(PROGRAMS, alone, strict=True):
        forked = build.said(f"./{name}.py", "one", "two words")
        assert forked[:2] == (status, written), name
        # Above it, a traceback tells where the program was started from.
        assert forked[2].splitlines()[-1:] == errors.splitlines()[-1:], name


def test_it_is_forked_with_what_it_imports_but_not_with_what_other_programs_left(build, server):
    program = build.folder / "program.py"
    program.write_text(
        "import os, sys\nprint(os.getppid(), 'statsmodels.api' in sys.modules)\n"
        "sys.modules['left'] = sys\nimport statsmodels.api\n"
    )
    assert build.said(str(program))[1] == f"{server.pid} True\n"
    program.write_text("import os, sys\nprint(os.getppid(), 'left' in sys.modules)")
    assert build.said("./program.py")[1] == f"{server.pid} False\n"


def test_what_cannot_be_imported_is_told_by_the_program_alone(build, server):
    (build.folder / "program.py").write_text("print('here')\nimport no_such_module\n")
    status, printed, error = build.said(str(build.folder / "program.py"))
    assert (status, printed) == (1, "here\n")
    assert error.endswith("No module named 'no_such_module'\n")


def test_what_may_use_more_threads_is_not_forked(build, server):
    (build.folder / "program.py").write_text("import os\nprint(os.getppid())")
    build.environment["OMP_NUM_THREADS"] = "2"
    assert build.said("./program.py")[1] != f"{server.pid}\n"


def test_a_program_whose_starter_is_killed_ends(build, server):
    starter, number = sleeping(build)
    with starter:
        starter.kill()
    wait_until(lambda: ended(number))
    assert server.poll() is None


def test_a_starter_whose_program_is_killed_is_killed_too(build, server):
    starter, number = sleeping(build)
    with starter:
        os.kill(number, signal.SIGKILL)
        assert starter.wait(LONG) == -signal.SIGKILL


def test_a_program_ends_with_the_driver_that_its_starter_waits_for(build, server):
    starter, number = sleeping(build)
    with starter:
        starter.stdin.close()
        assert starter.wait(LONG) == -signal.SIGKILL
    wait_until(lambda: ended(number))


def test_without_the_server_programs_go_on_and_are_started_alone(build, server):
    starter, number = sleeping(build)
    with starter:
        server.kill()
        server.wait()
        (build.folder / "program.py").write_text("print('alone')")
        assert build.said("./program.py")[:2] == (0, "alone\n")
        assert not ended(number)
        starter.kill()
    wait_until(lambda: ended(number))


def test_a_program_that_a_killed_server_had_not_taken_is_started_alone(build):
    """Whoever waits for an answer is told of the kill by an error, not by an end."""
    (build.folder / "program.py").write_text("print('alone')")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(build.folder / "forks"))
        listener.listen()
        with build.start("./program.py") as starter:
            taken, _ = listener.accept()
            wait_until(lambda: select.select([taken], [], [], 0)[0] != [])
            taken.close()  # with what was sent unread, as the system does for a killed process
            assert starter.stdout.read() == "alone\n"
            assert starter.stderr.read() == ""
            assert starter.wait(LONG) == 0


def test_the_server_ends_with_its_driver(build, server):
    server.stdin.close()
    assert server.wait(LONG) == -signal.SIGKILL


def test_the_names_that_a_notebook_imports_are_found_in_it_and_in_its_modules():
    names = imported_names("notebooks/01_cohort.md")
    assert {"cpmlib.book.page", "pandas", "cpmlib.study.dataset.Dataset"} <= names
    assert not {name for name in names if name.startswith("SimpleITK")}
