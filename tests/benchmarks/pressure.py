"""Load over HTTP/1.1: as much as goes by h2load of nghttp2, which needs little of a core, or at random moments."""

import re
import subprocess
import sys
import time
from typing import NamedTuple

_RATE = re.compile(r"finished in [\d.]+\w+, ([\d.]+) req/s")
_STATUSES = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx")


class Result(NamedTuple):
    """Requests per second, and how many there were."""

    rate: float
    requests: int


class Load:
    """GETs of one path with one token, from a core of their own. Whatever is not a success ends the benchmark."""

    def __init__(self, path: str, token: str, core: str) -> None:
        self._path = path
        self._token = token
        self._core = core

    def press(self, url: str, connections: int, seconds: int) -> Result:
        """As much as `connections` connections can, for `seconds`."""
        since = time.monotonic()
        text = self._run(url, f"--clients={connections}", f"--duration={seconds}")
        requests = int(_STATUSES.search(text)[1])  # type: ignore[index]
        return Result(requests / (time.monotonic() - since), requests)

    def arrive(self, url: str, rate: float, seconds: int) -> list[float]:
        """`rate` requests a second at random moments, for `seconds`; the seconds that each took."""
        module = [sys.executable, "-m", "tests.benchmarks.arrivals"]
        command = ["taskset", "--cpu-list", self._core, *module, url.rpartition(":")[2], self._path, self._token]
        text = self._output([*command, str(rate), str(seconds)])
        return [float(line) for line in text.splitlines()]

    def _run(self, url: str, *options: str) -> str:
        header = f"--header=Authorization: Bearer {self._token}"
        command = ["taskset", "--cpu-list", self._core, "h2load", "--h1", *options, header, url + self._path]
        text = self._output(command)
        statuses = _STATUSES.search(text)
        if statuses is None or any(int(count) for count in statuses.groups()[1:]) or not int(statuses[1]):
            raise RuntimeError(f"not every request was answered with success:\n{text}")
        return text

    def _output(self, command: list[str]) -> str:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
