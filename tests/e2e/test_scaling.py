"""Containers come, go, are killed and replaced, and phones that never try anything twice go on without a failure.

One crowd is busy all the time; every test looks at what came of the requests since it began.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.support.compose import ComposeProject, docker
from tests.support.replicas import Crowd
from tests.support.scaling import Logs, addresses, followed, ready_at
from tests.support.waiting import eventually

pytestmark = pytest.mark.compose

SERVICES = ("auth", "users")
# What a new container has to get its share in.
SHARE_SECONDS = 2.0
MEASURED_SECONDS = 3.0


@pytest.fixture(scope="module")
def logs(project: ComposeProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    with followed(project, tmp_path_factory.mktemp("logs") / "services.log", *SERVICES) as logs:
        yield logs


@pytest.fixture(scope="module")
def crowd(project: ComposeProject, logs: Logs) -> Iterator[Crowd]:
    with Crowd(project.gateway_url, refreshes=True) as crowd:
        yield crowd
        for service in SERVICES:
            scale(project, service, 1)


def scale(project: ComposeProject, service: str, count: int) -> None:
    project.do("up", "--detach", "--no-deps", "--no-recreate", "--scale", f"{service}={count}", service)


def failures_of(crowd: Crowd, do: Callable[[], object]) -> list[tuple[str, str]]:
    """What goes wrong while something is done, and a while after it."""
    before = len(crowd.done)
    do()
    crowd.wait_for(100)
    return crowd.failures(since=before)


@pytest.mark.parametrize("service", SERVICES)
def test_new_containers_get_their_share_and_nobody_notices(
    project: ComposeProject, logs: Logs, crowd: Crowd, service: str
) -> None:
    def grow() -> None:
        scale(project, service, 3)
        at = max(ready_at(address) for address in addresses(project, service).values())
        measured = at + SHARE_SECONDS, at + SHARE_SECONDS + MEASURED_SECONDS
        names = set(addresses(project, service))
        # Each has said what it answered until then, and something since.
        eventually(lambda: names <= set(logs.shares(measured[1], math.inf)))
        shares = {name: logs.shares(*measured)[name] for name in names}
        assert len(shares) == 3
        assert min(shares.values()) >= 0.2 * sum(shares.values()) > 1, shares

    assert failures_of(crowd, grow) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_container_takes_only_what_it_was_writing_with_it(
    project: ComposeProject, crowd: Crowd, service: str
) -> None:
    scale(project, service, 3)
    victim = project.containers(service)[1]["Id"]
    failures = failures_of(crowd, lambda: docker("kill", "--signal", "KILL", victim))
    assert set(failures) <= {("PATCH", "502 GW_502"), ("POST", "502 GW_502")}
    assert len(failures) <= crowd.size


@pytest.mark.parametrize("service", SERVICES)
def test_containers_leave_and_nobody_notices(project: ComposeProject, crowd: Crowd, service: str) -> None:
    scale(project, service, 3)
    for address in addresses(project, service).values():
        ready_at(address)
    assert failures_of(crowd, lambda: scale(project, service, 1)) == []
    assert len(addresses(project, service)) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_replaced_container_by_container_and_nobody_notices(
    project: ComposeProject, crowd: Crowd, service: str
) -> None:
    old = {container["Id"] for container in project.containers(service)}
    assert failures_of(crowd, lambda: project.rolling_restart(service)) == []
    new = {container["Id"] for container in project.containers(service)}
    assert len(new) == len(old)
    assert new.isdisjoint(old)


def test_a_replacement_that_does_not_start_is_removed_and_the_old_one_serves_on(
    project: ComposeProject, crowd: Crowd
) -> None:
    old = {container["Id"] for container in project.containers("users")}
    before = len(crowd.done)
    project.set(MAX_JSON_DEPTH="deep")
    try:
        refused = project.script("rolling-restart", "users")
    finally:
        project.set(MAX_JSON_DEPTH="")
    assert refused.returncode == 1
    assert "MAX_JSON_DEPTH must be a whole number" in refused.stderr
    assert {container["Id"] for container in project.containers("users")} == old
    crowd.wait_for(100)
    assert crowd.failures(since=before) == []
    project.rolling_restart("users")
    assert len(project.containers("users")) == len(old)


def test_a_replacement_for_which_there_is_no_port_is_removed_and_the_old_one_serves_on(
    project: ComposeProject, crowd: Crowd
) -> None:
    [old] = project.containers("gateway")
    before = len(crowd.done)
    refused = project.script("rolling-restart", "gateway")
    assert refused.returncode == 1
    assert "It was removed; the others serve on." in refused.stderr
    assert [container["Id"] for container in project.containers("gateway")] == [old["Id"]]
    crowd.wait_for(100)
    assert crowd.failures(since=before) == []


def test_a_stopped_container_that_comes_back_is_not_taken_for_a_replacement(project: ComposeProject) -> None:
    scale(project, "users", 2)
    old = {container["Id"] for container in project.containers("users")}
    docker("stop", min(old))
    refused = project.script("rolling-restart", "users")
    assert refused.returncode == 1
    assert "There is no new container of users" in refused.stderr
    assert {container["Id"] for container in project.containers("users")} == old
    scale(project, "users", 1)


def test_a_container_that_is_broken_is_replaced_like_any_other(project: ComposeProject, crowd: Crowd) -> None:
    (old,) = project.containers("users")
    docker("network", "disconnect", f"{project.name}_inside", old["Id"])
    eventually(lambda: project.containers("users")[0]["State"]["Health"]["Status"] == "unhealthy", seconds=60)
    project.rolling_restart("users")
    (new,) = project.containers("users")
    assert new["Id"] != old["Id"]
    eventually(lambda: crowd.done[-1][1] == "200")


def test_nothing_that_writes_ran_twice(crowd: Crowd, logs: Logs) -> None:
    crowd.wait_for(1)
    writes = Counter(one.request_id for one in logs.served() if one.method != "GET")
    assert len(writes) > 100
    assert max(writes.values()) == 1
