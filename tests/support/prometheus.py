"""A real Prometheus over a stack, its checker of rules, and the mark of tests that need them."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
from urllib3.exceptions import HTTPError

from tests.support.services import free_port
from tests.support.waiting import eventually
from tools.prometheus import command, configuration

PROMTOOL = shutil.which("promtool")
_READY_SECONDS = 30
_STOP_SECONDS = 10

needs_prometheus = pytest.mark.skipif(
    not (PROMTOOL and shutil.which("prometheus")) and os.environ.get("REQUIRE_PROMETHEUS") != "1",
    reason="needs Prometheus and promtool: apt-get install prometheus (REQUIRE_PROMETHEUS=1 insists)",
)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What promtool says, and its exit code."""
    assert PROMTOOL, "REQUIRE_PROMETHEUS=1 is set, and no promtool is installed"
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, check=False)


class Prometheus:
    """Asks one Prometheus by its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=10)

    def ask(self, path: str, **parameters: str | list[str]) -> Any:
        """The `data` of an answer. Raises ValueError with what Prometheus says against the question."""
        answer = self._pool.request("GET", f"{self.url}/api/v1/{path}?{urlencode(parameters, doseq=True)}").json()
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def series(self, selector: str) -> list[Mapping[str, str]]:
        """The labels of every series that a selector finds."""
        return list(self.ask("series", **{"match[]": [selector]}))

    def value(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """What a query comes to now, with its labels."""
        result = self.ask("query", query=query)["result"]
        return [(entry["metric"], float(entry["value"][1])) for entry in result]

    def is_ready(self) -> bool:
        with suppress(HTTPError, OSError):
            return self._pool.request("GET", f"{self.url}/-/ready").status == 200
        return False


@contextmanager
def prometheus_over(targets: Mapping[str, int], folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that asks these ports of the loopback every second, with the project's alerts."""
    settings = folder / "prometheus.yml"
    settings.write_text(configuration(targets, seconds=1))
    port = free_port()
    with open(folder / "prometheus.log", "wb") as log:
        process = subprocess.Popen(command(settings, folder / "data", port), stdout=log, stderr=log)
    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    try:
        eventually(prometheus.is_ready, seconds=_READY_SECONDS)
        yield prometheus
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
