"""`make bench-slow`: what 500 clients that are slow in three ways cost everybody else, in turns with quiet times."""

import socket
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.bench_gateway import OTHER_CORE, PATH, Street, running
from tests.benchmarks.pressure import Load
from tests.support.raw import connect_from
from tools.stack import Ports, Stack

ROUNDS = 5
SECONDS = 5
REQUESTS_PER_SECOND = 200
SLOW = 500
HEAD = b"GET /v1/errors HTTP/1.1\r\nX-Slow: "
BODY = b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"


def main() -> None:
    """Measure and print the table."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        stack = exits.enter_context(Stack(folder / "data", Ports.free()))
        stack.start(only=["valkey"])
        street = Street(folder, stack)
        exits.enter_context(running(street.behind))
        ours = street.candidates()[0]
        exits.enter_context(running(ours.process))
        load = Load(PATH, street.token, OTHER_CORE)
        quiet: list[float] = []
        beside: list[float] = []
        for _ in range(ROUNDS):
            quiet += load.arrive(ours.url, REQUESTS_PER_SECOND, SECONDS)
            with slow_clients(ours.url):
                beside += load.arrive(ours.url, REQUESTS_PER_SECOND, SECONDS)
    print(f"{'ms':6}{'quiet':>10}{f'beside {SLOW} slow':>20}{'ratio':>8}")
    for percentile in (50, 99):
        less, more = (statistics.quantiles(times, n=100)[percentile - 1] * 1000 for times in (quiet, beside))
        print(f"p{percentile:<5}{less:10.2f}{more:20.2f}{more / less:8.2f}")


@contextmanager
def slow_clients(url: str) -> Iterator[None]:
    """Clients of many addresses: a third sends a head byte by byte, a third a body, a third reads an answer so."""
    port, ended = urlsplit(url).port or 0, threading.Event()
    with ExitStack() as exits:
        crowd = [exits.enter_context(connect_from(number, port)) for number in range(SLOW)]
        for number, client in enumerate(crowd):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall((HEAD, BODY, LARGE)[number % 3])
        drip = threading.Thread(target=_drip, args=(crowd, ended))
        drip.start()
        try:
            yield
        finally:
            ended.set()
            drip.join()


def _drip(crowd: list[socket.socket], ended: threading.Event) -> None:
    while not ended.wait(1):
        for number, client in enumerate(crowd):
            with suppress(OSError):
                if number % 3 == 2:
                    client.recv(1)
                else:
                    client.sendall(b"x")


if __name__ == "__main__":
    main()
