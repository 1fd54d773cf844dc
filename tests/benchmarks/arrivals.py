"""Requests that arrive at random moments, as those of many phones do, at a rate that waits for nobody.

    python -m tests.benchmarks.arrivals PORT PATH TOKEN RATE SECONDS

Prints how many seconds each request took, one a line, from the moment when it was due: a server that is late for one is
late for those that wait behind it, too. (Generators that send in step with a clock send in bursts.)
"""

import asyncio
import random
import sys
import time

_WARM_UP = 0.5


class Phone(asyncio.Protocol):
    """A kept connection with at most one request under way."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            assert self.answered is not None
            if not head.startswith(b"HTTP/1.1 200"):
                self.answered.set_exception(RuntimeError(head.decode()))
            else:
                self.answered.set_result(None)
            self._received = b""


class Crowd:
    """Phones at one door; a request takes one that is idle, or a further one."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._idle: list[Phone] = []
        self.took: list[float] = []

    async def send(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        phone = self._idle.pop() if self._idle else (await loop.create_connection(Phone, "127.0.0.1", self._port))[1]
        phone.answered = loop.create_future()
        phone.transport.write(self._request)
        await phone.answered
        self.took.append(time.perf_counter() - due)
        self._idle.append(phone)


async def arrive(port: int, request: bytes, rate: float, seconds: float) -> list[float]:
    """What each request of a Poisson process of `rate` a second took; the first half second does not count."""
    crowd = Crowd(port, request)
    begin = due = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        while due < begin + _WARM_UP + seconds:
            due += random.expovariate(rate)
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(crowd.send(due))
            if due < begin + _WARM_UP:
                crowd.took.clear()
    return crowd.took


if __name__ == "__main__":
    port, path, token, rate, seconds = sys.argv[1:]
    line = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    for took in asyncio.run(arrive(int(port), line, float(rate), float(seconds))):
        print(took)
