"""A process of a stack ends together with everything that it started."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import eventually
from tools.errors import StackError
from tools.process import Process

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"
)
# Its child leaves the process group, as PostgreSQL's processes do.
HAS_A_CHILD_ELSEWHERE = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"], start_new_session=True)
print("parent", flush=True)
time.sleep(99)
"""
# Its child stays in the process group, as gunicorn's workers do, and does not mind that its parent is gone.
HAS_A_CHILD_THAT_STAYS = HAS_A_CHILD_ELSEWHERE.replace("start_new_session=True", "start_new_session=False")


class Programs:
    """Starts small Python programs and waits until they say something."""

    def __init__(self, folder: Path) -> None:
        self.started: list[Process] = []
        self._folder = folder

    def start(self, program: str, *, wait: bool = True) -> Process:
        log = self._folder / f"{len(self.started)}.log"
        process = Process(
            "program",
            [sys.executable, "-c", program],
            environment=dict(os.environ),
            log_path=log,
            is_ready=lambda: log.stat().st_size > 0,
        )
        self.started.append(process)
        process.start()
        if wait:
            process.wait_ready(10)
        return process


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(tmp_path)
    yield programs
    for process in programs.started:
        process.kill()


def child_of(process: Process) -> psutil.Process:
    [child] = psutil.Process(process.pid).children()
    return child


def assert_gone(process: psutil.Process) -> None:
    eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def test_a_process_that_ignores_sigterm_is_killed_when_its_time_is_over(programs: Programs) -> None:
    process = programs.start(IGNORES_SIGTERM)
    since = time.monotonic()
    process.stop(timeout=0.3)
    assert not process.is_running()
    assert 0.3 <= time.monotonic() - since < 3
    assert process.how_it_ended() == "was ended by SIGKILL"


def test_a_paused_process_ends_when_it_is_asked_to(programs: Programs) -> None:
    process = programs.start("import time; print('up', flush=True); time.sleep(99)")
    process.pause()
    process.stop(timeout=5)
    assert process.how_it_ended() == "was ended by SIGTERM"


def test_pausing_stops_the_children_and_resuming_wakes_them(programs: Programs) -> None:
    process = programs.start(HAS_A_CHILD_ELSEWHERE)
    child = child_of(process)
    process.pause()
    assert child.status() == psutil.STATUS_STOPPED
    process.resume()
    eventually(lambda: child.status() != psutil.STATUS_STOPPED)


def test_kill_reaches_a_child_that_left_the_process_group(programs: Programs) -> None:
    process = programs.start(HAS_A_CHILD_ELSEWHERE)
    child = child_of(process)
    process.kill()
    assert_gone(child)


def test_a_child_does_not_outlive_a_parent_that_somebody_else_killed(programs: Programs) -> None:
    process = programs.start(HAS_A_CHILD_THAT_STAYS)
    child = child_of(process)
    psutil.Process(process.pid).kill()
    eventually(lambda: not process.is_running())
    assert process.how_it_ended() == "was ended by SIGKILL"
    assert_gone(child)


def test_a_process_that_ends_while_starting_shows_the_end_of_its_log(programs: Programs) -> None:
    process = programs.start("import sys; sys.exit('no such database')", wait=False)
    process.is_ready = lambda: False
    with pytest.raises(StackError, match=r"program ended with exit code 1 while starting.\n--- the end of .*\n"):
        process.wait_ready(10)
    assert process.log_tail().splitlines()[2:-1] == ["no such database"]


def test_a_process_that_never_answers_shows_the_end_of_its_log(programs: Programs) -> None:
    process = programs.start("import time; print('waiting for a friend', flush=True); time.sleep(99)")
    process.is_ready = lambda: False
    with pytest.raises(StackError, match=r"(?s)was not ready after 0 s.*waiting for a friend"):
        process.wait_ready(0.1)


def test_starting_what_runs_changes_nothing_and_a_stopped_process_starts_again(programs: Programs) -> None:
    process = programs.start("import time; print('up', flush=True); time.sleep(99)")
    first = process.pid
    process.start()
    assert process.pid == first
    process.stop()
    process.start()
    assert process.pid != first
    assert process.is_running()
