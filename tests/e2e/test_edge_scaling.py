"""Gateways come, go, are killed and replaced behind the edge, and phones that never try anything twice go on.

One crowd is busy all the time; every test looks at what came of the requests since it began.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.test_scaling import failures_of, scale
from tests.support.compose import docker
from tests.support.edge import EdgeProject
from tests.support.replicas import Crowd

pytestmark = pytest.mark.compose


@pytest.fixture(scope="module")
def crowd(edge: EdgeProject) -> Iterator[Crowd]:
    with Crowd(edge.url, refreshes=True) as crowd:
        yield crowd
        scale(edge, "gateway", 2)


def settle(edge: EdgeProject, gateways: int) -> None:
    """So many gateways, all healthy."""
    edge.up("--no-deps", "--no-recreate", "--scale", f"gateway={gateways}", "gateway")


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
