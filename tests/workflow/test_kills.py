"""Processes of a build that are killed: what they started ends with them, and nothing is lost.

A number of kills other than the usual one: KILLS=50 pytest -m book tests/workflow/test_kills.py
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from studies import COHORT, ROOT, VALUES, Project

SLOW_TO_END = 10.0
"""Seconds in which the last process must be gone; it takes some hundredths on a free machine."""

TREE = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, {workflow!r})
import child
depth = int(sys.argv[1])
if depth == 3:
    lock = open("lock", "w")
    import fcntl
    fcntl.flock(lock, fcntl.LOCK_SH)
    child.tie(lock.name)
if depth:
    import shlex
    # Through a shell, as Snakemake starts its jobs; the first as the leader of a group.
    command = shlex.join(child.command("./tree.py", str(depth - 1))) + "; true"
    group = 0 if depth == 3 else None
    process = subprocess.Popen(command, shell=True, process_group=group)
else:
    Path("ready").touch()
import time
time.sleep(120)
"""


def living(folder: Path) -> list[psutil.Process]:
    """Return the processes at work in a folder, apart from this one."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(folder)
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def wait_for_the_end(folder: Path) -> None:
    deadline = time.monotonic() + SLOW_TO_END
    while left := living(folder):
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.05)


@pytest.mark.parametrize("victim", [0, 1, 2, 3])
def test_what_a_killed_process_started_ends_with_it(tmp_path, victim):
    """Four generations; the lock is free when the last one is gone, and not before."""
    (tmp_path / "tree.py").write_text(TREE.format(workflow=str(ROOT / "workflow")))
    with subprocess.Popen([sys.executable, "tree.py", "3"], cwd=tmp_path) as driver:
        while not (tmp_path / "ready").exists():
            assert driver.poll() is None
            time.sleep(0.05)
        programs = sorted(
            (p for p in living(tmp_path) if p.cmdline()[-2].endswith("tree.py")),
            key=lambda process: process.cmdline()[-1],
            reverse=True,
        )
        assert len(programs) == 4
        killed, *below = programs[victim:]
        killed.kill()
        _, alive = psutil.wait_procs([*below], timeout=SLOW_TO_END)
        assert not alive
        if victim == 0:
            driver.wait()
            wait_for_the_end(tmp_path)
        with (tmp_path / "lock").open() as lock:
            if victim == 0:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        driver.kill()
    wait_for_the_end(tmp_path)


@pytest.fixture
def built(project) -> Project:
    """The study that the tests of books have built; one of its own if they have not run."""
    if not project.study.exists():
        shutil.copytree(COHORT, project.study)
    run = project.build_study()
    assert run.returncode == 0, run.stdout + run.stderr
    return project


def forget(project: Project, chance: random.Random) -> None:
    """Give the next build some work."""
    made = sorted((project.folder / "build" / "private" / "site" / "notebooks").glob("*_files"))
    for path in chance.sample(made, k=min(3, len(made))):
        shutil.rmtree(path)
    for name in ("values.json", "private/pages.done"):  # all else is remade only for a target
        (project.folder / "build" / name).unlink(missing_ok=True)
    if chance.random() < 0.2:
        shutil.rmtree(project.folder / "build" / "private" / "dataset", ignore_errors=True)


@pytest.mark.book
def test_kills_at_any_moment_leave_no_process_and_lose_nothing(built):
    """The driver, Snakemake, jobs, shells, kernels: whatever runs then."""
    build = built.folder / "build"
    expected = {"values.json": (built.folder / VALUES).read_bytes()}
    expected |= {name: page.encode() for name, page in built.pages().items()}
    chance = random.Random(8)
    for _ in range(int(os.environ.get("KILLS", "4"))):
        forget(built, chance)
        with built.start(*built.of_study) as driver:
            # The moment is told by steps and not by seconds, which differ between machines.
            for _ in range(chance.randint(0, 5)):
                driver.stdout.readline()
            time.sleep(chance.uniform(0, 4))
            targets = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(True)]
            chosen = targets[0] if chance.random() < 0.4 else chance.choice(targets)
            try:
                print("killed:", " ".join(chosen.cmdline())[-60:])
                chosen.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                print("none was there any more")
            said = driver.communicate()[1]
        assert "Traceback" not in said, said
        wait_for_the_end(built.folder)
    run = built.build_study()
    assert run.returncode == 0, run.stdout + run.stderr
    assert (build / "values.json").read_bytes() == expected.pop("values.json")
    assert {name: page.encode() for name, page in built.pages().items()} == expected
