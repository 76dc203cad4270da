"""Ends exactly what was started: a pid that was given to someone else is left alone."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane import processes
from controlplane.processes import Process

_HELD = "import os; print(*sorted(os.listdir('/proc/self/fd')), os.getsid(0) == os.getpid(), flush=True)"


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = processes.start("sleeper", ["sleep", "60"], directory=tmp_path)
    yield process
    processes.stop([process], grace_seconds=1)


def test_a_started_process_is_alive_until_it_is_stopped(sleeper: Process) -> None:
    assert sleeper.alive
    processes.stop([sleeper], grace_seconds=2)
    assert not sleeper.alive


def test_the_same_pid_with_another_start_time_is_somebody_else(sleeper: Process) -> None:
    recycled = replace(sleeper, started=sleeper.started - 1)

    assert not recycled.alive
    processes.stop([recycled], grace_seconds=0)
    assert sleeper.alive


def test_a_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    deaf = processes.start(
        "deaf", ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], directory=tmp_path
    )
    while not (tmp_path / "deaf.log").read_text():
        assert deaf.alive
    processes.stop([deaf], grace_seconds=0.1)
    assert not deaf.alive


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.start_time(child.pid) is None


def test_this_process_has_a_start_time() -> None:
    assert isinstance(processes.start_time(os.getpid()), int)


def test_a_started_process_holds_none_of_our_descriptors(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFD, 0)  # inheritable, as a shell's or make's would be
    try:
        process = processes.start("held", [sys.executable, "-c", _HELD], directory=tmp_path)
        while process.alive:
            pass
    finally:
        os.close(reading)
        os.close(writing)
    # 3 is the directory that the program itself is reading.
    assert (tmp_path / "held.log").read_text() == "0 1 2 3 True\n"
