"""Without Redis the limit of one worker lets a burst through and then the agreed rate, and forgets who was here."""

import pytest

from gateway import buckets, limits
from gateway.buckets import LocalBuckets, Rule, SharedBuckets
from gateway.limits import Limit
from shared.errors import TooManyRequests

NOWHERE = "redis://127.0.0.1:1/0"


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
    monkeypatch.setattr(buckets, "time", stopped)
    return stopped


def limit(per_second: int, burst: int) -> Limit:
    return Limit(Rule("network", per_second, burst), SharedBuckets(NOWHERE))


def refused(counting: Limit, network: str) -> TooManyRequests | None:
    try:
        counting.spend(network, [])
    except TooManyRequests as error:
        return error
    return None


def test_a_burst_passes_and_then_one_request_per_interval(clock: Clock) -> None:
    counting = limit(10, 5)
    assert [refused(counting, "192.0.2.1") for _ in range(5)] == [None] * 5
    assert refused(counting, "192.0.2.1")
    clock.now += 0.11
    assert refused(counting, "192.0.2.1") is None
    assert refused(counting, "192.0.2.1")


@pytest.mark.parametrize(("per_second", "burst"), [(3, 7), (7, 3), (300, 1000), (999_983, 1)])
def test_no_fraction_is_lost_or_won_in_a_long_time(clock: Clock, per_second: int, burst: int) -> None:
    counting = limit(per_second, burst)
    count = 0
    for _ in range(1000):
        clock.now += 1 / per_second
        while refused(counting, "192.0.2.1") is None:
            count += 1
    assert burst + 998 <= count <= burst + 1000


def test_networks_do_not_share_a_limit(clock: Clock) -> None:
    counting = limit(1, 1)
    assert [refused(counting, f"192.0.2.{number}") for number in range(3)] == [None] * 3


def test_who_waits_as_long_as_retry_after_says_gets_through(clock: Clock) -> None:
    counting = limit(1, 2)
    assert [refused(counting, "192.0.2.1") for _ in range(2)] == [None] * 2
    error = refused(counting, "192.0.2.1")
    assert error
    clock.now += int(error.headers["Retry-After"])
    assert refused(counting, "192.0.2.1") is None


def test_who_has_waited_for_a_part_of_the_time_waits_for_the_rest(clock: Clock) -> None:
    local, rule = LocalBuckets(), Rule("network", 1, 1)
    assert local.take(rule, "somebody").given == 1
    clock.now += 0.75
    assert local.take(rule, "somebody") == (0, 0, 0.25)


def test_who_was_away_for_long_has_one_burst_and_no_more(clock: Clock) -> None:
    local, rule = LocalBuckets(), Rule("network", 1, 3)
    local.take(rule, "somebody")
    clock.now += 3600
    assert [local.take(rule, "somebody").given for _ in range(4)] == [1, 1, 1, 0]


def test_who_is_busy_is_not_forgotten_for_those_who_have_left(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_LEASES", 10)
    counting = limit(1, 100)
    for number in range(9):
        counting.spend(f"192.0.2.{number}", [])
    clock.now += 2
    for name in ("busy", "newcomer"):
        counting.spend(name, [])
    assert set(counting._leases) == {"busy", "newcomer"}


@pytest.mark.parametrize("pause", [1.0, 0.0])
def test_what_is_remembered_has_a_bound(clock: Clock, monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
    monkeypatch.setattr(limits, "_MAX_LEASES", 10)
    monkeypatch.setattr(buckets, "_MAX_LOCAL", 10)
    counting = limit(1, 100)
    for number in range(1000):
        counting.spend(f"192.0.2.{number}", [])
        clock.now += pause
    assert len(counting._leases) <= 10
    assert len(counting._local._kept) <= 10


def test_who_is_over_the_limit_is_not_forgotten_for_newcomers_that_left(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_MAX_LOCAL", 10)
    local, rule = LocalBuckets(), Rule("network", 1, 50)
    for _ in range(50):
        local.take(rule, "busy")
    for number in range(30):
        local.take(rule, f"newcomer {number}")
        clock.now += 1
    assert local.take(rule, "busy").left < 40
