"""How a service is found, and its replicas are looked at, whatever the name and whoever answers there."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import gevent
import pytest

from gateway import discovery
from gateway.discovery import addresses_of
from gateway.exchange import UpstreamRequest
from gateway.replicas import Address, Health
from gateway.upstream import Upstream
from tests.support.keeping import KeepingService
from tests.support.listening import Listener
from tests.support.services import free_port, raw_reply, read_request

Listen = Callable[..., Listener]

REQUEST = UpstreamRequest("POST", "/x", {}, b"")
FIRST, SECOND = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def listen() -> Iterator[Listen]:
    made: list[Listener] = []

    def start(talk: Callable[[socket.socket], None], host: str = "127.0.0.1", port: int = 0) -> Listener:
        made.append(Listener(talk, host, port))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "RESOLVE_SECONDS", 0.02)
    monkeypatch.setattr(discovery, "PROBE_PAUSE", 0.02)


def upstream_at(url: str, **options: Callable[[str, int], set[Address]]) -> Upstream:
    return Upstream("users", url, connections=64, max_answer=1000, **options)


def upstream_of_two(port: int) -> Upstream:
    """What stands before two replicas that nobody looks at."""
    upstream = upstream_at(f"http://users:{port}")
    upstream.replicas.be(addresses_of(FIRST, port) | addresses_of(SECOND, port))
    return upstream


def health(upstream: Upstream, host: str, is_now: Health) -> None:
    [replica] = [one for one in upstream.replicas if one.address.sockaddr[0] == host]
    upstream.replicas.note(replica, is_now)


def wait_until(condition: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.01)


@pytest.mark.usefixtures("quick")
def test_a_name_that_can_be_none_is_looked_up_again(listen: Listen) -> None:
    port = listen(answering(b"200 OK")).port
    answers = [UnicodeError("label too long"), OSError("nobody knows it")]

    def resolve(_host: str, port: int) -> set[Address]:
        if answers:
            raise answers.pop(0)
        return addresses_of("127.0.0.1", port)

    upstream = upstream_at(f"http://users:{port}", resolve=resolve)
    upstream.start()
    wait_until(lambda: upstream.found)
    upstream.replicas.be(set())


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"401 Unauthorized"])
@pytest.mark.usefixtures("quick")
def test_a_service_without_a_page_about_its_health_is_none_the_worse(listen: Listen, status: bytes) -> None:
    upstream = upstream_at(listen(answering(status)).url)
    upstream.start()
    wait_until(lambda: upstream.found)
    upstream.replicas.be(set())


@pytest.mark.usefixtures("quick")
def test_who_hung_up_on_the_question_is_asked_again(listen: Listen) -> None:
    outcomes = [b"reset", b"closed", b"another protocol", b"503 Later"]

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        match outcomes.pop(0) if outcomes else b"200 OK":
            case b"reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case b"closed":
                pass
            case b"another protocol":
                connection.sendall(b"SSH-2.0- 200 OpenSSH\r\n")
            case status:
                connection.sendall(raw_reply(status.decode(), b"{}"))

    upstream = upstream_at(listen(talk).url)
    upstream.start()
    wait_until(lambda: upstream.found)
    assert outcomes == []
    upstream.replicas.be(set())


def test_a_replica_that_takes_no_connection_costs_a_second_and_no_request() -> None:
    port = free_port()
    there = KeepingService(SECOND, port)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((FIRST, port))
        full.listen(0)
        # What is in its queue, and one more that waits for a place there.
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex((FIRST, port))
        upstream = upstream_of_two(port)
        health(upstream, FIRST, Health.READY)
        assert upstream.send(REQUEST, 8).status == 200
    assert upstream.retries == 1
    there.close()
    drop(upstream)


def test_of_two_replicas_the_less_busy_one_is_asked(listen: Listen) -> None:
    port = free_port()
    asked: list[bytes] = []
    release = threading.Event()
    listen(answering_late(asked, release), FIRST, port)
    quick = KeepingService(SECOND, port)
    upstream = upstream_of_two(port)
    health(upstream, FIRST, Health.READY)
    slow = gevent.spawn(upstream.send, REQUEST, 30)
    wait_until(lambda: asked)
    health(upstream, SECOND, Health.READY)
    assert {upstream.send(REQUEST, 10).status for _ in range(30)} == {200}
    assert (len(asked), len(quick.requests)) == (1, 30)
    release.set()
    slow.join(10)
    quick.close()
    drop(upstream)


def test_who_is_not_ready_any_more_loses_the_connection_that_was_under_way(listen: Listen) -> None:
    port = free_port()
    asked: list[bytes] = []
    release = threading.Event()
    listen(answering_late(asked, release), FIRST, port)
    upstream = upstream_of_two(port)
    health(upstream, FIRST, Health.READY)
    under_way = gevent.spawn(upstream.send, REQUEST, 30)
    wait_until(lambda: asked)
    health(upstream, SECOND, Health.READY)
    health(upstream, FIRST, Health.NOT_READY)
    release.set()
    assert under_way.get(timeout=10).status == 200
    assert [replica.idle for replica in upstream.replicas] == [0, 0]
    drop(upstream)


def answering(status: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(raw_reply(status.decode(), b"{}"))

    return talk


def answering_late(asked: list[bytes], release: threading.Event) -> Callable[[socket.socket], None]:
    """Answers when it may, and keeps the connection."""

    def talk(connection: socket.socket) -> None:
        asked.append(read_request(connection))
        release.wait(30)
        connection.sendall(raw_reply("200 OK", b"{}"))
        connection.recv(1)

    return talk


def drop(upstream: Upstream) -> None:
    for replica in upstream.replicas:
        replica.drop_idle()
