"""What a hanging service costs the others, and how soon one hears that it has no place left: `make bench-hanging`."""

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.load import Door
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import BrokenService, gateway_process
from tests.support.settings import UNLIMITED
from tests.support.waiting import eventually
from tools.stack import Ports, Stack

ROUNDS = 4
CONNECTIONS = 64
DEADLINE_SECONDS = 8
MEASURED_SECONDS = 4.0
REFUSALS = 300
# Half of a hundred requests a second, which leaves the machine something to do besides.
PAUSE_SECONDS = 0.02


def main() -> None:
    """Measure in turns, and print a table."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "data", Ports.free()) as stack:
        stack.start()
        hanging = BrokenService()
        hanging.reply = None
        settings = {"DEADLINE_SECONDS": str(DEADLINE_SECONDS), "CONNECTIONS_PER_SERVICE": str(CONNECTIONS), **UNLIMITED}
        environment = {**stack.environment("gateway"), "USERS_URL": hanging.url}
        with gateway_process(environment, Path(folder) / "gateway.log", **settings) as api:
            _measure(api, hanging)
        hanging.close()


def _measure(api: Api, hanging: BrokenService) -> None:
    token = Phone(api).sign_up().access_token
    quiet: list[float] = []
    beside: list[float] = []
    refused: list[float] = []
    door = Door(api.base_url)
    for _ in range(ROUNDS):
        quiet += _steadily(lambda: door.send("GET", "/v1/auth/sessions", token=token).seconds)
        hanging.requests.clear()
        with ThreadPoolExecutor(CONNECTIONS) as crowd:
            for _ in range(CONNECTIONS):
                crowd.submit(lambda: Door(api.base_url).send("GET", "/v1/users/me", token=token))
            eventually(lambda: len(hanging.requests) == CONNECTIONS)
            beside += _steadily(lambda: door.send("GET", "/v1/auth/sessions", token=token).seconds)
            refused += [_refusal(door, token) for _ in range(REFUSALS)]
    print("| what | p50 | p90 | p99 |\n|---|---|---|---|")
    for what, seconds in (("GET at auth, quiet", quiet), (f"GET at auth, {CONNECTIONS} hanging at users", beside)):
        print(_row(what, seconds))
    print(_row("refusal at users (GW_503)", refused))


def _steadily(ask: Callable[[], float]) -> list[float]:
    taken = []
    end = time.monotonic() + MEASURED_SECONDS
    while time.monotonic() < end:
        taken.append(ask())
        time.sleep(PAUSE_SECONDS)
    return taken


def _refusal(door: Door, token: str) -> float:
    sample = door.send("GET", "/v1/users/me", token=token)
    assert sample.code == "GW_503", sample
    return sample.seconds


def _row(what: str, seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"| {what} | " + " | ".join(f"{cuts[at - 1] * 1000:.1f} ms" for at in (50, 90, 99)) + " |"


if __name__ == "__main__":
    main()
