"""Gateways come, go, are killed and replaced behind the edge, and phones that never try anything twice go on.

One crowd is busy all the time; every test looks at what came of the requests since it began.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.test_scaling import failures_of, scale
from tests.support.compose import docker
from tests.support.edge import EdgeProject
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.replicas import Crowd
from tests.support.waiting import eventually

pytestmark = pytest.mark.compose

USERS_SQL = ("exec", "-T", "postgres", "psql", "--username=postgres", "--dbname=latchkey_users", "--tuples-only")
# Shorter than a service waits for a lock.
HOLD_PROFILES = "--command=BEGIN; LOCK TABLE profiles; SELECT pg_sleep(2.5); COMMIT"
HELD_LOCKS = "--command=SELECT mode FROM pg_locks WHERE relation = 'profiles'::regclass AND granted"
HOW_MANY_WAIT = "--command=SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def crowd(edge: EdgeProject) -> Iterator[Crowd]:
    with Crowd(edge.url, refreshes=True) as crowd:
        yield crowd
        scale(edge, "gateway", 2)


def settle(edge: EdgeProject, gateways: int) -> None:
    """So many gateways, all healthy."""
    edge.up("--no-deps", "--no-recreate", "--scale", f"gateway={gateways}", "gateway")


def test_what_a_killed_gateway_was_asked_is_asked_of_another_unless_it_may_have_changed_something(
    edge: EdgeProject, tmp_path: Path
) -> None:
    phones = [Phone(Api(edge.url)).sign_up() for _ in range(12)]
    for phone in phones:
        eventually(lambda: phone.get("/v1/users/me").status == 200)  # noqa: B023 - it is called at once
    readers, writers = phones[:6], phones[6:]
    hold = edge.running(*USERS_SQL, HOLD_PROFILES, output=tmp_path / "hold")
    with ThreadPoolExecutor(len(phones)) as crowd, hold:
        eventually(lambda: "AccessExclusiveLock" in edge.do(*USERS_SQL, HELD_LOCKS))
        written = [crowd.submit(phone.send, "PATCH", "/v1/users/me", {"name": "Jane"}) for phone in writers]
        read = [crowd.submit(phone.get, "/v1/users/me") for phone in readers]
        eventually(lambda: int(edge.do(*USERS_SQL, HOW_MANY_WAIT)) == len(phones))
        docker("kill", "--signal", "KILL", edge.containers("gateway")[0]["Id"])
    assert {answer.result().status for answer in written} == {200, 502}
    assert {answer.result().status for answer in read} == {200}
    settle(edge, 2)


def test_gateways_come_and_go_and_nobody_notices(edge: EdgeProject, crowd: Crowd) -> None:
    settle(edge, 1)
    for gateways in (3, 1):
        assert failures_of(crowd, lambda: settle(edge, gateways)) == []  # noqa: B023 - it is called at once
        assert len(edge.containers("gateway")) == gateways


def test_a_killed_gateway_takes_only_what_it_was_writing_with_it(edge: EdgeProject, crowd: Crowd) -> None:
    settle(edge, 2)
    victim = edge.containers("gateway")[1]["Id"]
    failures = failures_of(crowd, lambda: docker("kill", "--signal", "KILL", victim))
    assert set(failures) <= {("PATCH", "502 GW_502"), ("POST", "502 GW_502")}
    assert len(failures) <= crowd.size
    settle(edge, 2)


@pytest.mark.parametrize("service", ["auth", "users", "gateway"])
def test_everything_is_replaced_container_by_container_and_nobody_notices(
    edge: EdgeProject, crowd: Crowd, service: str
) -> None:
    settle(edge, 2)
    old = {container["Id"] for container in edge.containers(service)}
    assert failures_of(crowd, lambda: edge.rolling_restart(service)) == []
    new = {container["Id"] for container in edge.containers(service)}
    assert len(new) == len(old)
    assert new.isdisjoint(old)


def test_a_new_configuration_of_the_edge_costs_nothing_but_a_moment_to_come_back_after(
    edge: EdgeProject, crowd: Crowd
) -> None:
    failures = failures_of(crowd, lambda: edge.do("kill", "--signal", "USR2", "edge"))
    assert {outcome for _, outcome in failures} <= {"503 GW_503"}


def test_nothing_that_writes_ran_twice(crowd: Crowd) -> None:
    crowd.wait_for(1)
    unknown = crowd.written() - crowd.written("200")
    assert crowd.written("200") <= crowd.executed() <= crowd.written("200") + unknown
