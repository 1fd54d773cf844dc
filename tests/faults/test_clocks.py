"""docs/reliability.md: a clock that differs or jumps makes apps refresh, and never signs anybody out."""

import os
from collections.abc import Iterator, Mapping

import pytest

from tests.support.clock import Clock, faketime
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.site import SETTINGS, supervised
from tests.support.surroundings import CLOCK_FAULTS
from tests.support.survival import Report, survive
from tests.support.waiting import eventually
from tools.stack import Ports, Stack

pytestmark = pytest.mark.faults

PROCESSES = ("auth", "users", "worker", "gateway")


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Clock]:
    """One for each process."""
    folder = tmp_path_factory.mktemp("clocks")
    return {name: Clock(folder / name) for name in PROCESSES}


@pytest.fixture(scope="module")
def ticking(clocks: Mapping[str, Clock], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that goes by these clocks."""
    library = faketime()
    if library is None:
        assert not os.environ.get("REQUIRE_FAULTS"), "libfaketime is not installed"
        pytest.skip("libfaketime is not installed (Debian: apt-get install libfaketime)")
    settings = {name: {**SETTINGS.get(name, {}), **clock.settings(library)} for name, clock in clocks.items()}
    with supervised(Stack(tmp_path_factory.mktemp("ticking") / "data", Ports.free(), settings=settings)) as stack:
        yield stack


@pytest.mark.parametrize("fault", CLOCK_FAULTS)
def test_what_was_acknowledged_is_kept_and_nobody_is_signed_out_when(
    ticking: Stack, clocks: Mapping[str, Clock], reports: list[Report], fault: str
) -> None:
    report = survive(fault, CLOCK_FAULTS[fault], ticking, struck=clocks)
    reports.append(report)
    assert report.broken == []


@pytest.mark.parametrize("seconds", [600, -600])
def test_a_profile_arrives_although_the_clock_of_auths_worker_differs(
    ticking: Stack, clocks: Mapping[str, Clock], seconds: int
) -> None:
    clocks["worker"].differ(seconds)
    try:
        ticking.processes["users"].stop()
        phone = Phone(Api(ticking.gateway_url)).sign_up()
        ticking.processes["users"].start()
        ticking.processes["users"].wait_ready()
        eventually(lambda: phone.get("/v1/users/me").status == 200)
    finally:
        clocks["worker"].differ(0)
