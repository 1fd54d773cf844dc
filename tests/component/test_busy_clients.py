"""Clients that send as fast as they can have their turn like all others, and no more."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import raw
from tests.support.http import Api
from tests.support.services import gateway_process
from tests.support.waiting import eventually
from tools.stack import Stack

MANY = 5_000
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNCOUNTED = b"POST /v1/auth/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
CHUNKED = b"POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
# One byte of a body, in as many bytes as gunicorn takes for it.
CHUNK = b"1" + b";a" * 3_900 + b"\r\n \r\n"


@pytest.fixture
def api(stack: Stack, tmp_path: Path) -> Iterator[Api]:
    """A gateway with one worker, where a request has a second."""
    with gateway_process(stack.environment("gateway"), tmp_path / "gateway.log", DEADLINE_SECONDS="1") as api:
        yield api


class Flood(threading.Thread):
    """Sends one piece of bytes again and again, and counts how often it could."""

    def __init__(self, connection: socket.socket, piece: bytes, times: int) -> None:
        super().__init__()
        self.sent = 0
        self._connection, self._piece, self._times = connection, piece, times

    def run(self) -> None:
        with suppress(OSError):
            for _ in range(self._times):
                self._connection.sendall(self._piece)
                self.sent += 1


class Answers(threading.Thread):
    """Reads a connection to its end and counts the answers."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self.count = 0
        self._connection = connection

    def run(self) -> None:
        rest = b""
        while self.count < MANY and (piece := self._connection.recv(65536)):
            self.count += (rest + piece).count(b"HTTP/1.1 ") - rest.count(b"HTTP/1.1 ")
            rest = piece[-8:]


def connect(api: Api) -> socket.socket:
    return raw.connect_from(1, urlsplit(api.base_url).port or 0)


@pytest.mark.parametrize("request_", [LIVE, UNCOUNTED], ids=["pages", "refreshes"])
def test_others_are_served_between_the_many_requests_of_one_connection(api: Api, request_: bytes) -> None:
    with closing(connect(api)) as busy:
        flood, answers = Flood(busy, request_, MANY), Answers(busy)
        flood.start()
        answers.start()
        eventually(lambda: answers.count)
        assert api.get("/health/live").status == 200
        answered = answers.count
        flood.join()
        answers.join()
    assert 0 < answered < answers.count == MANY


def test_a_body_in_the_smallest_chunks_has_no_more_time_than_any_other(api: Api) -> None:
    with closing(connect(api)) as busy:
        busy.sendall(CHUNKED)
        flood = Flood(busy, CHUNK, 20_000)
        flood.start()
        assert api.get("/health/live").status == 200
        assert flood.is_alive()
        answer = busy.recv(65536)
        flood.join()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert flood.sent < 20_000
