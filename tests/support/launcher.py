"""Somebody who runs `make up`, looks at what it prints and at the processes below it."""

import http.client
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil

from tests.support.waiting import eventually
from tools.ports import HOST
from tools.process import ROOT
from tools.stack import Ports

START_SECONDS = 60
RECOVERY_SECONDS = 30


class Launcher:
    """Somebody at a terminal who runs `python -m tools.up` and looks at what it prints."""

    def __init__(self, data_dir: Path, ports: Ports, **environment: str) -> None:
        self.ports = ports
        self.output_path = data_dir.with_name(f"{data_dir.name}.output")
        self.data_dir = data_dir
        self._environment = {"PORT": str(ports.gateway), "DATA_DIR": str(data_dir), **environment}
        self._seen = 0

    def up(self) -> None:
        """Starts it and waits for the address."""
        self.start()
        self.wait_for_line("ready  http://")

    def start(self) -> None:
        with open(self.output_path, "wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tools.up"],
                cwd=ROOT,
                env=os.environ | self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._seen = 0

    def refuse(self) -> str:
        """Starts it where it cannot run; what it says before it ends with exit code 1."""
        self.start()
        assert self.popen.wait(START_SECONDS) == 1
        return self.output

    def stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            self.popen.wait(15)

    @property
    def output(self) -> str:
        return self.output_path.read_text()

    @property
    def ready_line(self) -> str:
        [line] = [line for line in self.output.splitlines() if line.startswith("ready")]
        return line

    def wait_for_line(self, text: str, timeout: float = START_SECONDS) -> None:
        """Waits for a line below those that were waited for before."""

        def shown() -> bool:
            position = self.output.find(text, self._seen)
            if position >= 0:
                self._seen = position + len(text)
                return True
            assert self.popen.poll() is None, self.output
            return False

        eventually(shown, seconds=timeout)

    def children(self) -> dict[int, str]:
        """The processes that it started itself, by number, with their command lines."""
        return {child.pid: " ".join(child.cmdline()) for child in psutil.Process(self.popen.pid).children()}

    def child(self, mark: str) -> int:
        """The number of the one process whose command line contains `mark`."""
        [pid] = [pid for pid, command in self.children().items() if mark in command]
        return pid

    def family(self) -> list[psutil.Process]:
        head = psutil.Process(self.popen.pid)
        return [head, *head.children(recursive=True)]

    def post(self, path: str, body: dict[str, str]) -> int:
        """The status that the gateway answers to this JSON."""
        connection = http.client.HTTPConnection(HOST, self.ports.gateway, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()

    def health(self, port: int) -> int | None:
        """The status of this service's readiness, None while nobody answers."""
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def wait_until_healthy(self) -> None:
        for port in (self.ports.gateway, self.ports.auth, self.ports.users):
            eventually(partial(self._is_healthy, port), seconds=RECOVERY_SECONDS)

    def _is_healthy(self, port: int) -> bool:
        return self.health(port) == http.client.OK


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
