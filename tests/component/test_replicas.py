"""Replicas come and go behind the gateway, and phones that never try twice notice nothing.

Real processes of users at several addresses of the loopback, and a real gateway that finds them by a name.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.http import Api
from tests.support.keeping import KeepingService
from tests.support.phone import Phone
from tests.support.replicas import Crowd, Name, UsersReplica
from tests.support.services import free_port, gateway_process
from tests.support.settings import UNLIMITED
from tests.support.waiting import eventually
from tools.stack import Stack

FIRST, SECOND, THIRD = HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
# What stands in gateway/replicas.py, plus the pause between two probes and what a busy machine needs.
IDLE_SECONDS = 5.0
LATE_SECONDS = 5.0

NewGateway = Callable[..., Api]
NewReplica = Callable[..., UsersReplica]
NewService = Callable[[str], KeepingService]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def name(tmp_path: Path) -> Name:
    return Name(tmp_path / "addresses")


@pytest.fixture
def gateway(stack: Stack, name: Name, port: int, log_path: Path) -> Iterator[NewGateway]:
    """Starts the gateway, which is ready when the first replica is."""
    made = []
    environment = stack.environment("gateway")
    app = "tests.support.named_gateway:create_app()"
    settings = {"USERS_URL": f"http://users:{port}", "ADDRESSES": str(name.path), **UNLIMITED}

    def start(page: str = "/health/ready") -> Api:
        made.append(gateway_process(environment, log_path, wsgi_app=app, page=page, **settings))
        return made[-1].__enter__()

    yield start
    for one in made:
        one.__exit__(None, None, None)


@pytest.fixture
def new_replica(stack: Stack, port: int, tmp_path: Path) -> Iterator[NewReplica]:
    """Starts replicas of users, and waits until they are ready."""
    made: list[UsersReplica] = []

    def start(host: str, **settings: str) -> UsersReplica:
        made.append(UsersReplica(stack, host, port, tmp_path / f"{host}.log", **settings))
        made[-1].start()
        return made[-1]

    yield start
    for replica in made:
        replica.kill()


@pytest.fixture
def new_service(port: int) -> Iterator[NewService]:
    """Makes services that keep connections and say what the test wants."""
    made: list[KeepingService] = []

    def make(host: str) -> KeepingService:
        made.append(KeepingService(host, port))
        return made[-1]

    yield make
    for service in made:
        service.close()


def served_by(api: Api, phone: Phone, method: str = "GET") -> Counter[str]:
    """Which services answer twenty requests."""
    answers = [api.send(method, "/v1/users/me", token=phone.access_token) for _ in range(20)]
    return Counter(answer.data["served_by"] for answer in answers)


def test_new_replicas_get_their_share_and_old_ones_leave_without_a_failed_request(
    gateway: NewGateway, name: Name, new_replica: NewReplica
) -> None:
    first = new_replica(FIRST, DRAIN_SECONDS="2")
    name.be(FIRST)
    crowd = Crowd(gateway().base_url)
    known = first.served()
    with crowd:
        # Listed before they listen, as Docker does it.
        name.be(*HOSTS)
        crowd.wait_for(50)
        others = [new_replica(host, DRAIN_SECONDS="2") for host in (SECOND, THIRD)]
        replicas = [first, *others]
        for replica in others:
            replica.wait_ready()
        eventually(lambda: all(replica.served() for replica in others), seconds=LATE_SECONDS)
        already = [replica.served().total() for replica in replicas]
        crowd.wait_for(300)
        shares = [replica.served().total() - before for replica, before in zip(replicas, already, strict=True)]
        assert min(shares) >= 0.2 * sum(shares), shares
        for replica in others:
            replica.stop()
        # Docker lists a container until it has ended.
        for replica in others:
            replica.wait(30)
        name.be(FIRST)
        crowd.wait_for(50)
    assert crowd.failures() == []
    served = sum((replica.served() for replica in replicas), Counter()) - known
    assert (set(served.values()), len(served)) == ({1}, len(crowd.done))
    assert crowd.executed() == crowd.written()


def test_a_replica_that_is_killed_takes_only_what_it_was_writing_with_it(
    gateway: NewGateway, name: Name, new_replica: NewReplica
) -> None:
    replicas = [new_replica(host) for host in HOSTS]
    for replica in replicas:
        replica.wait_ready()
    name.be(*HOSTS)
    crowd = Crowd(gateway().base_url)
    with crowd:
        eventually(lambda: all(replica.served() for replica in replicas))
        replicas[1].kill()
        crowd.wait_for(300)
    assert set(crowd.failures()) <= {("PATCH", "502 GW_502")}
    assert len(crowd.failures()) <= crowd.size
    assert crowd.written("200") <= crowd.executed() <= crowd.written()


def test_a_replica_that_is_not_ready_gets_nothing_and_loses_its_connections(
    gateway: NewGateway, name: Name, new_service: NewService, phone: Phone
) -> None:
    draining, other = new_service(FIRST), new_service(SECOND)
    name.be(FIRST, SECOND)
    api = gateway()
    eventually(lambda: len(served_by(api, phone)) == 2)
    draining.ready = False
    eventually(lambda: draining.kept == 0, seconds=IDLE_SECONDS - 1)
    before = len(draining.requests)
    assert served_by(api, phone) == {other.host: 20}
    assert len(draining.requests) == before
    draining.ready = True
    eventually(lambda: len(served_by(api, phone)) == 2)


def test_a_replica_that_takes_connections_and_says_nothing_is_left_alone(
    gateway: NewGateway, name: Name, new_service: NewService, phone: Phone
) -> None:
    silent, other = new_service(FIRST), new_service(SECOND)
    name.be(FIRST, SECOND)
    api = gateway()
    eventually(lambda: len(served_by(api, phone)) == 2)
    silent.ready = None
    eventually(lambda: served_by(api, phone) == {other.host: 20})


def test_a_replica_that_is_only_busy_for_a_moment_is_not_left_out(
    gateway: NewGateway, name: Name, new_service: NewService, phone: Phone, log_path: Path
) -> None:
    busy, _ = new_service(FIRST), new_service(SECOND)
    name.be(FIRST, SECOND)
    api = gateway()
    eventually(lambda: len(served_by(api, phone)) == 2)
    before = busy.probes
    busy.ready = None
    # The second is sent when the first has got no answer, and a third would be one too many.
    eventually(lambda: busy.probes == before + 2)
    busy.ready = True
    eventually(lambda: busy.probes > before + 4)
    assert "NOT_READY" not in log_path.read_text()
    assert len(served_by(api, phone)) == 2


def test_replicas_of_which_none_is_ready_get_requests_all_the_same(
    gateway: NewGateway, name: Name, new_service: NewService, phone: Phone, log_path: Path
) -> None:
    services = [new_service(FIRST), new_service(SECOND)]
    name.be(FIRST, SECOND)
    api = gateway()
    for service in services:
        service.ready = False
    eventually(lambda: log_path.read_text().count("NOT_READY") == 2)
    assert eventually(lambda: len(served_by(api, phone, method="PATCH")) == 2)


def test_a_name_that_can_not_be_looked_up_has_the_addresses_that_it_had(
    gateway: NewGateway, name: Name, new_service: NewService, phone: Phone, log_path: Path
) -> None:
    first = new_service(FIRST)
    name.be(FIRST)
    api = gateway()
    name.be()
    eventually(lambda: "service_not_resolved" in log_path.read_text())
    assert served_by(api, phone) == {FIRST: 20}
    second = new_service(SECOND)
    name.be(SECOND)
    eventually(lambda: served_by(api, phone) == {SECOND: 20})
    # Nobody looks any more at who has left; one look may have been under way.
    first_probes, second_probes = first.probes, second.probes
    eventually(lambda: second.probes > second_probes + 4)
    assert first.probes <= first_probes + 1


def test_connections_that_nobody_needs_are_closed_long_before_a_service_would(
    gateway: NewGateway, name: Name, new_service: NewService, phone: Phone
) -> None:
    service = new_service(FIRST)
    name.be(FIRST)
    served_by(gateway(), phone)
    assert service.kept == 1
    eventually(lambda: service.kept == 0, seconds=IDLE_SECONDS + LATE_SECONDS)


def test_a_gateway_is_ready_when_every_service_had_a_ready_replica_and_stays_so(
    gateway: NewGateway, name: Name, new_service: NewService, log_path: Path
) -> None:
    service = new_service(FIRST)
    service.ready = False
    name.be(FIRST)
    api = gateway("/health/live")
    eventually(lambda: api.get("/health/ready").status == 503 and 'not ready: replicas"' in log_path.read_text())
    service.ready = True
    eventually(lambda: api.get("/health/ready").status == 200)
    service.close()
    eventually(lambda: '"AWAY"' in log_path.read_text())
    assert api.get("/health/ready").status == 200
