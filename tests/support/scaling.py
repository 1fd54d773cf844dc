"""What the containers of a stack say while they come and go, and when they became ready."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.compose import ComposeProject
from tests.support.waiting import eventually

_PORT = 8000


@dataclass(frozen=True)
class Served:
    """One request for an app as a container's log has it. `at` is in seconds since the epoch."""

    container: str
    at: float
    method: str
    request_id: str


class Logs:
    """What containers of some services have said, also those that are gone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def served(self) -> list[Served]:
        """The requests for apps that were answered, in their order in each container."""
        return list(self._read())

    def shares(self, begin: float, end: float) -> Counter[str]:
        """How many requests each container answered in this time."""
        return Counter(one.container for one in self.served() if begin <= one.at < end)

    def _read(self) -> Iterator[Served]:
        for text in self._path.read_text().splitlines():
            container, _, said = text.partition("|")
            if not said.endswith("}"):
                continue
            line = json.loads(said)
            if line["event"] == "request" and line["path"].startswith("/v1/"):
                at = datetime.fromisoformat(line["timestamp"]).astimezone(UTC).timestamp()
                yield Served(container.strip(), at, line["method"], line["request_id"])


@contextmanager
def followed(project: ComposeProject, path: Path, *services: str) -> Iterator[Logs]:
    """Writes down what the containers of these services say, new ones included."""
    with project.running("logs", "--follow", "--no-color", *services, output=path):
        yield Logs(path)


def addresses(project: ComposeProject, service: str) -> dict[str, str]:
    """The address of each running container by its name in the log, for example `users-2`."""
    return {_log_name(one): _address(one) for one in project.containers(service) if one["State"]["Running"]}


def ready_at(address: str) -> float:
    """Waits until a container says that it is ready; the time of that, in seconds since the epoch."""
    eventually(lambda: _is_ready(address), seconds=60)
    return time.time()


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{_PORT}/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _log_name(container: dict[str, Any]) -> str:
    labels = container["Config"]["Labels"]
    return f"{labels['com.docker.compose.service']}-{labels['com.docker.compose.container-number']}"


def _address(container: dict[str, Any]) -> str:
    [network] = container["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])
