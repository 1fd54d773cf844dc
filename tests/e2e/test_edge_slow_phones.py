"""Slow phones, and crowds from one network, at the front door: they cost nobody else anything."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.edge import EdgeProject
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.raw import first_answer
from tests.support.raw_requests import LIVE, LOGIN
from tests.support.waiting import eventually
from tools import ports

pytestmark = pytest.mark.compose

SLOW = 500
FEW = 10


@pytest.fixture
def api(edge: EdgeProject) -> Api:
    return Api(edge.url)


@contextmanager
def slow_connections(edge: EdgeProject, count: int, begun: bytes = LIVE) -> Iterator[None]:
    """So many phones that have sent a part of a request, which is half a head unless it is given."""
    context = ssl.create_default_context()
    with ExitStack() as stack:
        for _ in range(count):
            plain = stack.enter_context(socket.create_connection((ports.HOST, edge.https_port), timeout=20))
            connection = stack.enter_context(context.wrap_socket(plain, server_hostname=ports.HOST))
            connection.sendall(begun)
        yield


def test_slow_phones_keep_nobody_waiting_and_one_network_has_so_many_connections(edge: EdgeProject, api: Api) -> None:
    with slow_connections(edge, SLOW):
        phone = Phone(api).sign_up()
        assert phone.refresh().status == 200
        with slow_connections(edge, 100):
            answer = Api(edge.url).get("/v1/errors")
    assert (answer.error_code, answer.headers["Retry-After"]) == ("REQ_429", "1")


def test_one_network_that_asks_nothing_does_not_take_all_connections(few: EdgeProject) -> None:
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection((ports.HOST, few.https_port), timeout=20)) for _ in range(25)
        ]
        # Sooner than a handshake is given up.
        eventually(lambda: sum(map(_is_closed, crowd)) == 25 - 2 * FEW, seconds=8)


@pytest.fixture
def few(edge: EdgeProject) -> Iterator[EdgeProject]:
    """An edge that gives FEW connections to one network."""
    edge.change(CONNECTIONS_PER_NETWORK=str(FEW))
    edge.up("--no-deps", "edge")
    yield edge
    edge.change(CONNECTIONS_PER_NETWORK="600")
    edge.up("--no-deps", "edge")


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_half_a_body_costs_no_gateway_anything(edge: EdgeProject) -> None:
    with slow_connections(edge, 5, LOGIN + b"Content-Length: 100\r\n\r\n{"):
        eventually(lambda: _sessions(edge, "backend") == 5)
        assert _sessions(edge, "server") == 0


def _sessions(edge: EdgeProject, side: str) -> int:
    """How many requests there are for the gateways just now, or at them (`server`)."""
    figures = edge.inside("edge", "wget", "-q", "-O", "-", "http://127.0.0.1:9100/metrics").splitlines()
    wanted = f'haproxy_{side}_current_sessions{{proxy="gateways"'
    return sum(int(figure.rpartition(" ")[2]) for figure in figures if figure.startswith(wanted))


@pytest.mark.parametrize(
    "begun",
    [LIVE, LOGIN + b"Content-Length: 100\r\n\r\n{", LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{"],
    ids=["half a head", "half a body", "half a chunk"],
)
def test_who_never_finishes_a_request_is_told_so(api: Api, begun: bytes) -> None:
    assert first_answer(api, begun, "POST").error_code == "REQ_400"
