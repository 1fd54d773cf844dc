"""What the gateway does when a service can't be reached or hangs up; nothing is sent twice that must not be."""

import socket
from collections.abc import Callable, Iterator

import gevent
import pytest

from gateway.discovery import addresses_of
from gateway.errors import BadAnswer, ServiceAway
from gateway.exchange import UpstreamRequest
from gateway.replicas import Health
from gateway.upstream import RetryBudget, Upstream
from tests.support.keeping import KeepingService
from tests.support.listening import Listener
from tests.support.services import BrokenService, free_port, raw_reply, read_request
from tests.support.waiting import eventually

NewService = Callable[..., KeepingService]
Before = Callable[[str], Upstream]

REPEATABLE = [
    ("GET", {}),
    ("HEAD", {}),
    ("PUT", {}),
    ("DELETE", {}),
    ("POST", {"Idempotency-Key": "0b6f0f1c-0d7e-4d1f-a8f5-0c8d3b1f2a3e"}),
]


@pytest.fixture
def service() -> Iterator[NewService]:
    made: list[KeepingService] = []

    def make(*args: object, **options: int) -> KeepingService:
        made.append(KeepingService(*args, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def ask(upstream: Upstream, method: str = "GET", **headers: str) -> int:
    """The status of one request."""
    return upstream.send(
        UpstreamRequest(method, "/x", {k.replace("_", "-"): v for k, v in headers.items()}, b""), 10
    ).status


@pytest.fixture
def before() -> Iterator[Callable[[str], Upstream]]:
    """Makes what stands before a service. Nobody looks for replicas here: they are as the test says."""
    made: list[Upstream] = []

    def make(url: str) -> Upstream:
        made.append(Upstream("users", url, connections=64, max_answer=1000))
        return made[-1]

    yield make
    for upstream in made:
        for replica in upstream.replicas:
            replica.drop_idle()


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_must_not_happen_twice_is_sent_once_when_its_connection_dies(
    before: Before, service: NewService, method: str
) -> None:
    hanging_up = service(answers_per_connection=1)
    upstream = before(hanging_up.url)
    assert ask(upstream, method) == 200
    with pytest.raises(BadAnswer):
        ask(upstream, method)
    assert len(hanging_up.requests) == 2


@pytest.mark.parametrize(("method", "headers"), REPEATABLE)
def test_what_may_happen_twice_is_sent_again_when_its_connection_dies(
    before: Before, service: NewService, method: str, headers: dict[str, str]
) -> None:
    hanging_up = service(answers_per_connection=1)
    upstream = before(hanging_up.url)
    assert ask(upstream, method, **headers) == 200
    assert ask(upstream, method, **headers) == 200
    assert len(hanging_up.requests) == 3
    assert upstream.retries == 1


def test_the_second_attempt_takes_a_new_connection_and_not_one_that_is_as_old(
    before: Before, service: NewService
) -> None:
    hanging_up = service(answers_per_connection=1)
    upstream = before(hanging_up.url)
    gevent.joinall([gevent.spawn(ask, upstream) for _ in range(2)])
    assert hanging_up.kept == 2
    assert ask(upstream) == 200
    assert len(hanging_up.requests) == 4


def test_nothing_is_sent_three_times(before: Before, service: NewService) -> None:
    hanging_up = service(answers_per_connection=0)
    with pytest.raises(BadAnswer):
        ask(before(hanging_up.url))
    assert len(hanging_up.requests) == 2


def test_a_connection_that_was_closed_while_nobody_used_it_costs_no_request(
    before: Before,
    service: NewService,
) -> None:
    closing = service()
    upstream = before(closing.url)
    assert ask(upstream, "POST") == 200
    closing.hang_up()
    eventually(lambda: closing.kept == 0)
    assert ask(upstream, "POST") == 200
    assert len(closing.requests) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_goes_to_another_replica(before: Before, service: NewService, method: str) -> None:
    there = service("127.0.0.2")
    for _ in range(20):
        upstream = before(f"http://users:{there.port}")
        upstream.replicas.be(addresses_of("127.0.0.2", there.port) | addresses_of("127.0.0.3", there.port))
        assert ask(upstream, method) == 200
    assert len(there.requests) == 20


def test_a_replica_that_refused_gets_nothing_more_when_another_one_is_ready(
    before: Before, service: NewService
) -> None:
    there = service("127.0.0.2")
    upstream = before(f"http://users:{there.port}")
    upstream.replicas.be(addresses_of("127.0.0.2", there.port) | addresses_of("127.0.0.3", there.port))
    for replica in upstream.replicas:
        upstream.replicas.note(replica, Health.READY)
    assert {ask(upstream) for _ in range(60)} == {200}
    assert upstream.replicas.ejections == upstream.retries == 1


def test_a_connection_that_the_service_says_it_will_close_is_not_used_again(before: Before) -> None:
    def answer_and_wait(connection: socket.socket) -> None:
        # It says that it closes, and takes its time.
        while read_request(connection, 30):
            connection.sendall(raw_reply("200 OK", b"{}", extra="Connection: close\r\n"))

    listener = Listener(answer_and_wait)
    upstream = before(listener.url)
    assert ask(upstream) == 200
    [replica] = upstream.replicas
    assert replica.idle == 0
    listener.close()


def test_a_service_of_which_every_replica_refuses_is_away(before: Before) -> None:
    port = free_port()
    upstream = before(f"http://users:{port}")
    with pytest.raises(ServiceAway, match="no address"):
        ask(upstream)
    upstream.replicas.be(addresses_of("127.0.0.2", port) | addresses_of("127.0.0.3", port))
    with pytest.raises(ServiceAway, match="can't be reached"):
        ask(upstream)
    assert upstream.retries == 1


def test_the_last_replica_is_asked_although_it_was_away(before: Before, service: NewService) -> None:
    port = free_port()
    upstream = before(f"http://127.0.0.1:{port}")
    with pytest.raises(ServiceAway):
        ask(upstream)
    service("127.0.0.1", port)
    assert ask(upstream, "POST") == 200


def test_retries_are_a_fifth_of_the_requests_and_the_few_that_a_quiet_service_may_have(
    before: Before,
    service: NewService,
) -> None:
    hanging_up = service(answers_per_connection=0)
    upstream = before(hanging_up.url)
    for _ in range(200):
        with pytest.raises(BadAnswer):
            ask(upstream)
    assert 200 * 1.2 - 1 <= len(hanging_up.requests) <= 200 * 1.2 + 10


def test_a_second_attempt_has_less_time_than_the_first(before: Before, service: NewService) -> None:
    hanging_up = service(answers_per_connection=0)
    with pytest.raises(BadAnswer):
        ask(before(hanging_up.url), X_Deadline_Ms="10000")
    first, second = (int(sent.partition(b"X-Deadline-Ms: ")[2].partition(b"\r\n")[0]) for sent in hanging_up.requests)
    assert 0 < second < first


def test_an_interim_answer_is_none_and_a_second_answer_is_a_fault(before: Before) -> None:
    talkative = BrokenService()
    upstream = before(talkative.url)
    answer = raw_reply("200 OK", b"{}")
    talkative.reply = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer
    assert ask(upstream) == 200
    talkative.reply = answer + raw_reply("500 Internal Server Error", b"{}")
    with pytest.raises(BadAnswer):
        ask(upstream)
    for beginning in (b"HTTP/1.1 103 Early Hints\r\n\r\n", b"\r\n"):
        talkative.reply = beginning
        with pytest.raises(BadAnswer):
            ask(upstream)
    talkative.close()


def test_a_service_may_have_a_path_of_its_own_and_hears_no_password_of_its_address(before: Before) -> None:
    heard: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        heard.append(read_request(connection))
        connection.sendall(raw_reply("200 OK", b"{}"))

    listener = Listener(answer)
    upstream = before(f"http://me:secret@127.0.0.1:{listener.port}/api/")
    upstream.start()
    with gevent.Timeout(20):
        while not upstream.found:
            gevent.sleep(0.01)
    assert ask(upstream) == 200
    assert {request.partition(b" HTTP")[0] for request in heard} == {b"GET /api/health/ready", b"GET /api/x"}
    assert not any(b"secret" in request for request in heard)
    upstream.replicas.be(set())
    listener.close()


def test_retries_that_are_saved_up_have_a_bound_and_a_floor() -> None:
    for connections, most in ((64, 64), (1, 10)):
        budget = RetryBudget(connections)
        for _ in range(1000):
            budget.earn()
        assert [budget.spend() for _ in range(most + 1)] == [True] * most + [False]


def test_a_service_at_an_ipv6_address_is_reached(before: Before, service: NewService) -> None:
    there = service("::1")
    assert ask(before(there.url)) == 200
    assert f"Host: [::1]:{there.port}\r\n".encode() in there.requests[0]
