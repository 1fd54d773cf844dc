"""Load over HTTP/1.1 by h2load of nghttp2, which needs little of the core that it shares with the service."""

import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

_RATE = re.compile(r"finished in [\d.]+\w+, ([\d.]+) req/s")
_STATUSES = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx")
_REQUESTS = re.compile(r"requests: (\d+) total, .* (\d+) failed, (\d+) errored, (\d+) timeout")
_STEADY_CONNECTIONS = 16


class Result(NamedTuple):
    """Requests per second, and how many there were."""

    rate: float
    requests: int


class Load:
    """GETs of one path with one token, from a core of their own. Whatever is not a success ends the benchmark."""

    def __init__(self, path: str, token: str, core: str, folder: Path) -> None:
        self._path = path
        self._headers = [f"--header=Authorization: Bearer {token}", "--header=User-Agent: benchmark"]
        self._core = core
        self._log = folder / "h2load.log"

    def press(self, url: str, connections: int, seconds: int) -> Result:
        """As much as `connections` connections can, for `seconds`."""
        since = time.monotonic()
        text = self._run(url, f"--clients={connections}", f"--duration={seconds}")
        requests = int(_STATUSES.search(text)[1])  # type: ignore[index]
        return Result(requests / (time.monotonic() - since), requests)

    def steady(self, url: str, rate: float, seconds: int) -> list[float]:
        """`rate` requests a second for `seconds`; the seconds that each took."""
        self._log.unlink(missing_ok=True)
        each = max(1, round(rate / _STEADY_CONNECTIONS))
        total = each * _STEADY_CONNECTIONS * seconds
        clients = f"--clients={_STEADY_CONNECTIONS}"
        self._run(url, clients, f"--requests={total}", f"--rps={each}", f"--log-file={self._log}")
        return [int(line.split("\t")[2]) / 1e6 for line in self._log.read_text().splitlines()]

    def _run(self, url: str, *options: str) -> str:
        command = ["taskset", "--cpu-list", self._core, "h2load", "--h1", *options, *self._headers, url + self._path]
        text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
        statuses = _STATUSES.search(text)
        if statuses is None or any(int(count) for count in statuses.groups()[1:]) or not int(statuses[1]):
            raise RuntimeError(f"not every request was answered with success:\n{text}")
        return text
