"""What dies is started again, more slowly each time; what was stopped on purpose stays so."""

import os
import sys
from pathlib import Path

from tests.support.waiting import eventually
from tools.process import Process
from tools.supervisor import Supervisor


def program(text: str, folder: Path) -> Process:
    command = [sys.executable, "-c", text]
    return Process("program", command, environment=dict(os.environ), log_path=folder / "program.log")


def test_a_process_that_dies_again_and_again_is_given_longer_pauses(tmp_path: Path) -> None:
    said: list[str] = []
    process = program("raise SystemExit(3)", tmp_path)
    process.start()
    supervisor = Supervisor([process], said.append)

    def deaths() -> list[str]:
        supervisor.look()
        return [line for line in said if "starting it again" in line]

    first, second, third = eventually(lambda: deaths() if len(deaths()) == 3 else [])
    process.stop()

    assert first.startswith("program ended with exit code 3; starting it again in 0.2 s")
    assert "in 0.5 s" in second
    assert "in 1.0 s" in third


def test_a_process_that_cannot_be_started_does_not_end_the_supervisor(tmp_path: Path) -> None:
    said: list[str] = []
    process = program("pass", tmp_path)
    process.start()
    supervisor = Supervisor([process], said.append)
    # The log cannot be opened any more.
    process.log_path = tmp_path

    def look() -> bool:
        supervisor.look()
        return any("could not be started" in line for line in said)

    eventually(look)


def test_a_process_that_was_stopped_on_purpose_is_left_alone(tmp_path: Path) -> None:
    said: list[str] = []
    process = program("import time; time.sleep(99)", tmp_path)
    process.start()
    process.stop()
    Supervisor([process], said.append).look()
    assert said == []
    assert not process.is_running()
