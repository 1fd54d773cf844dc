"""Clients that are slow, or many from one place, end by themselves and cost the others nothing."""

import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support import raw
from tests.support.http import Api
from tests.support.services import BrokenService, gateway_process, raw_reply
from tests.support.waiting import eventually
from tools.stack import Stack

EACH = 170
HEAD_SECONDS = 15
LARGE = 8_000_000
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


@contextmanager
def gateway(stack: Stack, log_path: Path, **settings: str) -> Iterator[Api]:
    with gateway_process(stack.environment("gateway"), log_path, **settings) as api:
        yield api


def connect(api: Api, number: int = 1) -> socket.socket:
    """A connection from an address of the loopback that nobody else has."""
    return raw.connect_from(number, urlsplit(api.base_url).port or 0)


def is_readable(connection: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


def is_closed(connection: socket.socket) -> bool:
    if not is_readable(connection):
        return False
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True


def is_held(connection: socket.socket) -> bool:
    """Whether a process still has the other end; the kernel alone may go on with what was sent before it let go."""
    ours = connection.getsockname()
    return any(other.pid and other.raddr == ours for other in psutil.net_connections("tcp4"))


def answers_until_the_end(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def has_to_wait_for(connection: socket.socket) -> bool:
    """Whether the other side has more to send than there is room for, since nobody reads."""
    host, port = connection.getsockname()
    ours = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    # What is shown of its timer: it asks now and then whether there is room again.
    return any(other[2] == ours and other[5].startswith("04:") for other in sockets)


@contextmanager
def large_answer(stack: Stack, log_path: Path, **settings: str) -> Iterator[tuple[Api, BrokenService]]:
    """A gateway whose service `auth` has a large answer to a log-out."""
    service = BrokenService()
    service.reply = raw_reply("200 OK", json.dumps({"message": "x", "data": {"x": "x" * LARGE}}).encode())
    environment = {"AUTH_URL": service.url, **settings}
    with gateway_process(stack.environment("gateway"), log_path, page="/health/live", **environment) as api:
        yield api, service
    service.close()


@pytest.fixture
def large(stack: Stack, log_path: Path) -> Iterator[tuple[Api, BrokenService]]:
    """One where nobody may be slow for more than two seconds."""
    with large_answer(stack, log_path, SEND_SECONDS="2", DEADLINE_SECONDS="4") as both:
        yield both


def test_500_slow_clients_cost_the_others_no_request(large: tuple[Api, BrokenService], log_path: Path) -> None:
    api, _ = large
    with ExitStack() as exits:
        slow = [exits.enter_context(connect(api, number)) for number in range(3 * EACH)]
        for connection in slow[:EACH]:
            connection.sendall(b"GET /v1/errors HTTP/1.1\r\nHost: local")
        for connection in slow[EACH : 2 * EACH]:
            connection.sendall(b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        for connection in slow[2 * EACH :]:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        statuses = [api.get("/v1/errors").status for _ in range(60)]
        assert set(statuses) == {200}

        until = time.monotonic() + HEAD_SECONDS + 10
        left = slow[: 2 * EACH]
        while left and time.monotonic() < until:
            assert api.get("/v1/errors").status == 200
            left = [connection for connection in left if not is_closed(connection)]
    assert left == []
    assert "Traceback" not in log_path.read_text()


def test_a_client_that_does_not_read_is_let_go(large: tuple[Api, BrokenService]) -> None:
    api, _ = large
    with connect(api) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        eventually(lambda: is_held(connection))
        eventually(lambda: not is_held(connection), seconds=HEAD_SECONDS - 3)
        received = answers_until_the_end(connection)
    assert received.startswith(b"HTTP/1.1 200")
    assert len(received) < LARGE


def test_a_client_that_reads_slowly_and_in_time_gets_everything(stack: Stack, log_path: Path) -> None:
    with large_answer(stack, log_path, SEND_SECONDS="30") as (api, _), connect(api) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(
            b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        received = b""
        for _ in range(3):
            eventually(lambda: has_to_wait_for(connection))
            received += connection.recv(200_000)
        received += answers_until_the_end(connection)
    assert raw.read(received, "POST").json["data"] == {"x": "x" * LARGE}


def test_a_slow_head_is_let_go_and_a_slow_body_is_told_why(large: tuple[Api, BrokenService]) -> None:
    api, service = large
    with connect(api, 1) as head, connect(api, 2) as body:
        body.sendall(b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        head.sendall(b"GET /v1/errors HTTP/1.1\r\nHost: local")
        answer = raw.read(answers_until_the_end(body), "POST")
        assert (answer.status, answer.error_code) == (400, "REQ_400")
        since = time.monotonic()
        assert answers_until_the_end(head) == b""
        assert time.monotonic() - since < HEAD_SECONDS
    assert not any(b"logout" in request for request in service.requests)


@pytest.mark.parametrize(
    ("settings", "drips"),
    [({"SEND_SECONDS": "1", "DEADLINE_SECONDS": "60"}, False), ({"SEND_SECONDS": "60", "DEADLINE_SECONDS": "1"}, True)],
    ids=["comes to a halt", "never stops"],
)
def test_a_body_that_comes_to_a_halt_or_takes_for_ever_is_told_so(
    stack: Stack, log_path: Path, settings: dict[str, str], *, drips: bool
) -> None:
    with gateway(stack, log_path, **settings) as api, connect(api) as body:
        body.sendall(b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{")
        until = time.monotonic() + 20
        while not is_readable(body) and time.monotonic() < until:
            if drips:
                body.sendall(b" ")
            time.sleep(0.05)
        assert is_readable(body)
        answer = raw.read(answers_until_the_end(body), "POST")
    assert (answer.status, answer.error_code) == (400, "REQ_400")


def test_a_network_has_so_many_connections_and_one_more_is_told_so(stack: Stack, log_path: Path) -> None:
    with gateway(stack, log_path, CONNECTIONS_PER_NETWORK="3") as api, ExitStack() as exits:
        eventually(lambda: raw.read(raw.talk(api, GET % (b"/health/live", b"Connection: close\r\n"))).status == 200)
        kept = [exits.enter_context(connect(api)) for _ in range(3)]
        for connection in kept:
            connection.sendall(GET % (b"/health/live", b""))
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        with connect(api) as further:
            answer = raw.read(answers_until_the_end(further))
        assert (answer.status, answer.error_code, answer.headers["Retry-After"]) == (429, "REQ_429", "1")
        with connect(api, 2) as stranger:
            stranger.sendall(GET % (b"/health/live", b"Connection: close\r\n"))
            assert answers_until_the_end(stranger).startswith(b"HTTP/1.1 200")
        kept[0].close()
        assert eventually(lambda: _is_served(api))


def test_a_worker_has_so_many_connections_and_one_more_waits_until_one_ends(stack: Stack, log_path: Path) -> None:
    with gateway(stack, log_path, WORKER_CONNECTIONS="2") as api, ExitStack() as exits:
        api.hang_up()
        kept = [exits.enter_context(connect(api)) for _ in range(2)]
        for connection in kept:
            _ask_live(connection)
        further = exits.enter_context(connect(api))
        # Whoever would take it has time to.
        for _ in range(5):
            _ask_live(kept[1])
        assert not is_held(further)
        kept[0].close()
        _ask_live(further)


def test_behind_proxies_nobody_is_counted_by_the_proxys_address(stack: Stack, log_path: Path) -> None:
    with (
        gateway(stack, log_path, CONNECTIONS_PER_NETWORK="1", TRUSTED_HOPS="1") as api,
        connect(api) as first,
        connect(api) as second,
    ):
        for connection in (first, second):
            connection.sendall(GET % (b"/health/live", b""))
            assert connection.recv(100).startswith(b"HTTP/1.1 200")


def _ask_live(connection: socket.socket) -> None:
    connection.sendall(GET % (b"/health/live", b""))
    received = b""
    while not received.endswith(b'"data":{}}'):
        received += connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 200")


def _is_served(api: Api) -> bool:
    with connect(api) as connection:
        connection.sendall(GET % (b"/health/live", b"Connection: close\r\n"))
        return answers_until_the_end(connection).startswith(b"HTTP/1.1 200")
