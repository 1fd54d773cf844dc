"""A service that calls another meets replicas that come, go and die, and waits for no name."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3.util import connection

from shared.service_client import ServiceClient, ServiceUnreachable
from tests.support.certificates import secured_server, write_certificate
from tests.support.keeping import KeepingService
from tests.support.services import free_port
from tests.support.waiting import eventually

HERE, THERE, NOWHERE = "127.0.0.2", "127.0.0.3", "127.0.0.4"
CALLS: dict[str, Callable[[ServiceClient], str]] = {
    "GET": lambda client: str(client.get("/x")["served_by"]),
    "PUT": lambda client: str(client.put("/x", {})["served_by"]),
    "POST": lambda client: str(client.post("/x", {})["served_by"]),
}
every_method = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
NewReplica = Callable[..., KeepingService]


@pytest.fixture
def replica() -> Iterator[NewReplica]:
    """Starts replicas that all listen at one port, each at an address of its own."""
    made: list[KeepingService] = []
    port = free_port()

    def make(host: str, **options: int) -> KeepingService:
        made.append(KeepingService(host, port, **options))
        made[-1].body = b'{"message": "x", "data": {"served_by": "%s"}}' % host.encode()
        return made[-1]

    yield make
    for one in made:
        one.close()


def client_of(one: KeepingService, *addresses: str) -> ServiceClient:
    """Calls `users`, a name with these addresses."""
    return ServiceClient(f"http://users:{one.port}", resolve=lambda _host, _port: set(addresses))


@pytest.fixture
def silent_address() -> Iterator[str]:
    """Takes no connection and refuses none, as the address of a container that was killed."""
    with socket.socket() as listener:
        listener.bind((NOWHERE, 0))
        listener.listen(0)
        full = [socket.socket() for _ in range(8)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"{NOWHERE}:{listener.getsockname()[1]}"
        for one in full:
            one.close()


@every_method
def test_a_replica_that_refuses_costs_a_call_nothing(replica: NewReplica, call: Callable[[ServiceClient], str]) -> None:
    there = replica(THERE)
    for _ in range(20):
        assert call(client_of(there, NOWHERE, THERE)) == THERE
    assert len(there.requests) == 20


@every_method
def test_all_replicas_have_their_share(replica: NewReplica, call: Callable[[ServiceClient], str]) -> None:
    client = client_of(replica(HERE), HERE, THERE)
    replica(THERE)
    assert {call(client) for _ in range(40)} == {HERE, THERE}


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_may_be_done_twice_goes_to_another_replica_when_no_answer_comes(replica: NewReplica, method: str) -> None:
    dying, there = replica(HERE, answers_per_connection=0), replica(THERE)
    for number in range(1, 21):
        assert CALLS[method](client_of(there, HERE, THERE)) == THERE
        assert len(there.requests) == number
    assert dying.requests


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_kept_connection_that_has_died_costs_such_a_call_nothing(replica: NewReplica, method: str) -> None:
    hanging_up = replica(HERE, answers_per_connection=1)
    client = client_of(hanging_up, HERE)
    assert [CALLS[method](client) for _ in range(2)] == [HERE] * 2
    assert len(hanging_up.requests) == 3


def test_what_may_be_done_twice_is_not_done_three_times(replica: NewReplica) -> None:
    dying = [replica(host, answers_per_connection=0) for host in (HERE, THERE)]
    with pytest.raises(ServiceUnreachable):
        client_of(dying[0], HERE, THERE).get("/x")
    assert sum(len(one.requests) for one in dying) == 2


def test_a_post_is_sent_once_when_no_answer_comes(replica: NewReplica) -> None:
    dying = [replica(host, answers_per_connection=0) for host in (HERE, THERE)]
    with pytest.raises(ServiceUnreachable):
        client_of(dying[0], HERE, THERE).post("/x", {})
    assert sum(len(one.requests) for one in dying) == 1


def test_a_connection_that_was_closed_while_nobody_used_it_costs_a_post_nothing(replica: NewReplica) -> None:
    closing = replica(HERE)
    client = client_of(closing, HERE)
    client.post("/x", {})
    closing.hang_up()
    eventually(lambda: closing.kept == 0)
    client.post("/x", {})
    assert len(closing.requests) == 2


def test_an_address_that_is_silent_takes_only_its_share_of_the_time_and_is_tried_last_from_then_on(
    silent_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, tried = connection.create_connection, Counter[str]()

    def count_and_connect(address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        tried[address[0]] += 1
        return connect(address, *arguments, **options)

    monkeypatch.setattr(connection, "create_connection", count_and_connect)
    # Nothing but the share bounds it.
    monkeypatch.setattr("shared.service_client.CONNECT_SECONDS", 60.0)
    host, _, port = silent_address.partition(":")
    there = KeepingService(THERE, int(port))
    there.body = b'{"message": "x", "data": {"served_by": "there"}}'
    client = client_of(there, host, THERE)
    # At random half of the calls meet the silent one, until one has met it.
    for _ in range(30):
        assert client.get("/x", seconds=6)["served_by"] == "there"
    there.close()
    assert tried[host] == 1


def test_many_silent_addresses_do_not_hold_a_call_past_its_deadline(
    silent_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.service_client.CONNECT_SECONDS", 60.0)
    host, _, port = silent_address.partition(":")
    assert host == NOWHERE
    # One listener, and it stands for as many replicas as the test says.
    client = ServiceClient(f"http://users:{port}", resolve=lambda _host, _port: {NOWHERE, "::ffff:" + NOWHERE})
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable):
        client.put("/x", {}, seconds=0.6)
    assert time.monotonic() - began < 10


def test_a_name_that_nobody_finds_does_not_hold_a_call_past_its_deadline() -> None:
    found = threading.Event()

    def hang(_host: str, _port: int) -> set[str]:
        found.wait(20)
        raise OSError("no such name")

    client = ServiceClient("http://users:8000", resolve=hang)
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(ServiceUnreachable, match="no address"):
            client.get("/x", seconds=0.3)
    assert time.monotonic() - began < 5
    found.set()


def test_while_a_name_is_not_found_its_last_addresses_count(
    replica: NewReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.addresses.RESOLVE_SECONDS", 0.0)
    here, hanging, answers = replica(HERE), threading.Event(), iter([{HERE}])

    def resolve(_host: str, _port: int) -> set[str]:
        for known in answers:
            return known
        hanging.wait(20)
        raise OSError("no such name")

    client = ServiceClient(f"http://users:{here.port}", resolve=resolve)
    began = time.monotonic()
    assert [CALLS["GET"](client) for _ in range(4)] == [HERE] * 4
    assert time.monotonic() - began < 5
    hanging.set()
    assert CALLS["GET"](client) == HERE


def test_a_replica_is_called_as_soon_as_its_name_has_it(replica: NewReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.addresses.RESOLVE_SECONDS", 0.0)
    old, addresses = replica(HERE), {HERE}
    client = ServiceClient(f"http://users:{old.port}", resolve=lambda _host, _port: set(addresses))
    assert CALLS["POST"](client) == HERE
    replica(THERE)
    addresses.clear()
    addresses.add(THERE)
    assert CALLS["POST"](client) == THERE


def test_a_name_is_looked_up_once_a_second_and_not_by_every_call(replica: NewReplica) -> None:
    here, looked_up = replica(HERE), []

    def resolve(host: str, _port: int) -> set[str]:
        looked_up.append(host)
        return {HERE}

    client = ServiceClient(f"http://users:{here.port}", resolve=resolve)
    began = time.monotonic()
    for _ in range(50):
        client.get("/x")
    assert 1 <= len(looked_up) <= 1 + time.monotonic() - began


def test_a_service_is_called_by_its_name_and_not_by_an_address(replica: NewReplica) -> None:
    here = replica(HERE)
    client_of(here, HERE).get("/x")
    assert f"\r\nHost: users:{here.port}\r\n".encode() in here.requests[0]


@pytest.mark.parametrize(("name", "is_trusted"), [("users", True), ("somebody-else", False)])
def test_a_certificate_is_checked_for_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_trusted: bool
) -> None:
    certificate = write_certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with secured_server(certificate) as (address, port):
        client = ServiceClient(f"https://users:{port}", resolve=lambda _host, _port: {address})
        if is_trusted:
            assert client.get("/x") == {}
        else:
            with pytest.raises(ServiceUnreachable, match="Hostname mismatch"):
                client.get("/x")
