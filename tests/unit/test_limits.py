"""The request limit lets a burst through and then the agreed rate."""

import pytest

from gateway import limits
from gateway.limits import RequestLimit
from shared.errors import TooManyRequests


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(limits, "time", stopped)
    return stopped


def test_a_burst_passes_and_then_one_request_per_interval(clock: Clock) -> None:
    limit = RequestLimit(per_second=10, burst=5)
    for _ in range(5):
        limit.spend("192.0.2.1")
    with pytest.raises(TooManyRequests):
        limit.spend("192.0.2.1")
    clock.now += 0.11
    limit.spend("192.0.2.1")
    with pytest.raises(TooManyRequests):
        limit.spend("192.0.2.1")


def test_networks_do_not_share_a_limit(clock: Clock) -> None:
    limit = RequestLimit(per_second=1, burst=1)
    limit.spend("192.0.2.1")
    limit.spend("192.0.2.2")


def test_who_waits_as_long_as_retry_after_says_gets_through(clock: Clock) -> None:
    limit = RequestLimit(per_second=1, burst=2)
    limit.spend("192.0.2.1")
    limit.spend("192.0.2.1")
    with pytest.raises(TooManyRequests) as caught:
        limit.spend("192.0.2.1")
    clock.now += int(caught.value.headers["Retry-After"])
    limit.spend("192.0.2.1")


def test_old_networks_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_NETWORKS", 10)
    limit = RequestLimit(per_second=100, burst=100)
    for number in range(1000):
        limit.spend(f"192.0.2.{number}")
        clock.now += 1
    assert len(limit._theoretical) <= 10
