"""A room's gunicorn as a process that a test starts, signals and outlives."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from urllib3.exceptions import HTTPError

from tests.support.http import Api
from tests.support.services import free_port
from tests.support.waiting import eventually
from tools.process import ROOT

READY_SECONDS = 30
_FOLDERS = {"auth": "services/auth", "users": "services/users", "gateway": "gateway"}


class RoomProcess:
    """One room under gunicorn, with all its workers, at `host` and `port` (a free one unless it is given)."""

    def __init__(
        self, room: str, environment: Mapping[str, str], log_path: Path, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.host = host
        self.port = port or free_port()
        self.log_path = log_path
        self.api = Api(f"http://{host}:{self.port}")
        self._command = [sys.executable, "-m", "gunicorn", "-c", f"{_FOLDERS[room]}/gunicorn_conf.py"]
        # The port for figures that stands in a stack's environment is taken.
        self._environment = {**environment, "METRICS_BIND": "", "BIND": f"{host}:{self.port}"}

    def start(self) -> None:
        """Starts it; it is not ready yet."""
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait_ready(self) -> None:
        eventually(lambda: self.readiness() == 200, seconds=READY_SECONDS)

    def readiness(self) -> int | None:
        """What a new connection hears of its health, None while nobody takes one."""
        try:
            return self.api.get("/health/ready", headers={"Connection": "close"}).status
        except HTTPError:
            return None

    def signal(self, number: int) -> None:
        """Signals the process that Docker would signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """Asks it to end, as Docker does."""
        self.signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Its exit code; fails when it does not end in time."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Ends it and its workers in the middle of whatever they do."""
        self.api.hang_up()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
