"""`make bench-gateway`: what a request costs at our gateway, beside gunicorn's limit and gateways as people write them.

Every candidate has one worker on one core; the service behind it and the load generator (h2load) share another one.
The candidates take turns, so that a busy machine slows all of them down.
"""

import http.client
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import jwt
import psutil
import redis
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from shared.access_tokens import APPS_AUDIENCE
from shared.streams import REFILLED
from tests.benchmarks.plot import draw
from tests.benchmarks.pressure import Load
from tests.support.services import free_port
from tests.support.settings import UNLIMITED
from tools.process import Process
from tools.stack import Ports, Stack

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = 3
CONNECTIONS = 32
TESTED_CORE, OTHER_CORE = "0", "1"
KID = "benchmark"
PATH = "/v1/users/me"
PICTURE = Path("docs/images/gateway.svg")
MODULES = "tests.benchmarks.gateways"


class Candidate(NamedTuple):
    """A server under test."""

    name: str
    process: Process
    url: str


class Figures(NamedTuple):
    """What the rounds have shown of one candidate: requests/s of each, milliseconds of a core per request of each."""

    rates: list[float]
    costs: list[float]


class Street:
    """Everything that runs: the service behind, Valkey, and the candidates, all with the same token."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": KID, "alg": "ES256", "use": "sig"}
        now = int(time.time())
        claims = {
            "iss": "latchkey", "aud": APPS_AUDIENCE, "sub": "1", "sid": str(uuid.uuid4()), "gen": 0, "iat": now,
            "exp": now + 3600, "jti": "1",
        }  # fmt: skip
        self.token = jwt.encode(claims, key, "ES256", headers={"kid": KID, "typ": "at+jwt"})
        self._folder = folder
        self._port = free_port()
        self._redis_url = stack.redis_url
        jwks = json.dumps({"keys": [public]})
        self.behind = self._process(
            "behind", OTHER_CORE, ["-m", f"{MODULES}.behind", str(self._port), jwks], self._port, {}
        )

    @property
    def behind_url(self) -> str:
        """The service, without any gateway."""
        return f"http://127.0.0.1:{self._port}"

    def candidates(self) -> list[Candidate]:
        """Every server under test, not started."""
        gunicorn = ["-m", "gunicorn"]
        gevent = [*gunicorn, "-c", "gateway/gunicorn_conf.py"]
        flask = [*gunicorn, "--threads", "16", "--no-control-socket", f"{MODULES}.flask_requests:app"]
        uvicorn = ["-m", "uvicorn", "--no-access-log", f"{MODULES}.fastapi_httpx:app", "--port"]
        return [
            self._candidate("ours", gevent, "--bind"),
            self._candidate("gunicorn's hello", [*gevent, f"{MODULES}.hello:app"], "--bind"),
            self._candidate("Flask + requests", flask, "--bind"),
            self._candidate("the same, session kept", flask, "--bind", SESSION="1"),
            self._candidate("FastAPI + httpx", uvicorn, ""),
        ]

    def _candidate(self, name: str, command: list[str], option: str, **more: str) -> Candidate:
        port = free_port()
        bind = [option, f"127.0.0.1:{port}"] if option else [str(port)]
        environment = {
            "AUTH_URL": self.behind_url, "USERS_URL": self.behind_url, "REDIS_URL": self._redis_url,
            "SERVICE_URL": self.behind_url, "CONNECTIONS_PER_NETWORK": "1000", "CONNECTIONS_PER_SERVICE": "1000",
            **UNLIMITED, **more,
        }  # fmt: skip
        process = self._process(name, TESTED_CORE, [*command, *bind], port, environment)
        return Candidate(name, process, f"http://127.0.0.1:{port}")

    def _process(self, name: str, core: str, command: list[str], port: int, environment: dict[str, str]) -> Process:
        return Process(
            name,
            ["taskset", "--cpu-list", core, sys.executable, *command],
            environment={**os.environ, **environment},
            log_path=self._folder / f"{name.replace(' ', '-')}.log",
            is_ready=self._answers(port),
        )

    def _answers(self, port: int) -> Callable[[], bool]:
        def is_ready() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            try:
                connection.request("GET", PATH, headers={"Authorization": f"Bearer {self.token}"})
                return connection.getresponse().status == http.client.OK
            except OSError:
                return False
            finally:
                connection.close()

        return is_ready


def main() -> None:
    """Measure, print the tables, draw the picture."""
    if not shutil.which("h2load") or not shutil.which("taskset") or (os.cpu_count() or 1) < 2:
        sys.exit("The benchmark needs two cores, taskset (util-linux) and h2load (nghttp2-client).")
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        stack = exits.enter_context(Stack(folder / "data", Ports.free()))
        stack.start(only=["valkey"])
        # As auth's worker says it, so that nobody goes on asking.
        redis.Redis.from_url(stack.redis_url).set(REFILLED, "1")
        street = Street(folder, stack)
        exits.enter_context(running(street.behind))
        candidates = street.candidates()
        for candidate in candidates:
            exits.enter_context(running(candidate.process))
        load = Load(PATH, street.token, OTHER_CORE)
        figures = throughput(candidates, load)
        direct = load.press(street.behind_url, CONNECTIONS, SECONDS).rate
        show_throughput(figures, direct)
        show_latency(candidates[0], figures, street, load)
        show_memory(candidates)
        draw({name: statistics.median(each.rates) for name, each in figures.items()}, PICTURE)


@contextmanager
def running(process: Process) -> Iterator[None]:
    """The process, started and answering, until the block ends."""
    process.start()
    try:
        process.wait_ready()
        yield
    finally:
        process.stop()


def throughput(candidates: Sequence[Candidate], load: Load) -> dict[str, Figures]:
    """The figures of every candidate, in turns."""
    figures = {candidate.name: Figures([], []) for candidate in candidates}
    for _ in range(ROUNDS):
        for candidate in candidates:
            before = processor_seconds(candidate.process)
            result = load.press(candidate.url, CONNECTIONS, SECONDS)
            cost = (processor_seconds(candidate.process) - before) / result.requests * 1000
            figures[candidate.name].rates.append(result.rate)
            figures[candidate.name].costs.append(cost)
    return figures


def processor_seconds(process: Process) -> float:
    """What a process and its children have used of a core so far."""
    parent = psutil.Process(process.pid)
    return sum(sum(each.cpu_times()[:2]) for each in [parent, *parent.children(recursive=True)])


def show_throughput(figures: dict[str, Figures], direct: float) -> None:
    """Print requests a second and what one costs; the ratios are of the medians of turns side by side."""
    ours = figures["ours"]
    print(f"{'one worker on one core':24}{'requests/s':>12}{'ms of a core':>14}{'ours / theirs':>15}{'by cost':>10}")
    for name, each in figures.items():
        ratios = [mine / theirs for mine, theirs in zip(ours.rates, each.rates, strict=True)]
        by_cost = statistics.median(each.costs) / statistics.median(ours.costs)
        print(
            f"{name:24}{statistics.median(each.rates):12.0f}{statistics.median(each.costs):14.3f}"
            f"{statistics.median(ratios):15.2f}{by_cost:10.2f}"
        )
    print(f"{'the service directly':24}{direct:12.0f}")


def show_latency(ours: Candidate, figures: dict[str, Figures], street: Street, load: Load) -> None:
    """Print what the gateway adds when it has half of what it can do, in turns with the service itself."""
    rate = statistics.median(figures["ours"].rates) / 2
    through: list[list[float]] = [[], []]
    direct: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for found, url in ((direct, street.behind_url), (through, ours.url)):
            times = load.arrive(url, rate, SECONDS)
            for percentile, values in zip((50, 99), found, strict=True):
                values.append(statistics.quantiles(times, n=100)[percentile - 1] * 1000)
    print(f"\n{'ms at half load':24}{'direct':>12}{'ours':>14}{'added':>15}   ({rate:.0f} requests/s)")
    for name, without, mine in zip(("p50", "p99"), direct, through, strict=True):
        added = statistics.median([more - less for more, less in zip(mine, without, strict=True)])
        print(f"{name:24}{statistics.median(without):12.2f}{statistics.median(mine):14.2f}{added:15.2f}")


def show_memory(candidates: Sequence[Candidate]) -> None:
    """Print the memory of each candidate's worker: what is its own, and its part of what it shares."""
    print(f"\n{'MB after the load':24}{'worker (PSS)':>12}{'with parent':>14}")
    for candidate in candidates:
        parent = psutil.Process(candidate.process.pid)
        worker, everybody = 0.0, 0.0
        for each in [parent, *parent.children(recursive=True)]:
            worker = each.memory_full_info().pss / 2**20
            everybody += worker
        print(f"{candidate.name:24}{worker:12.0f}{everybody:14.0f}")


if __name__ == "__main__":
    main()
