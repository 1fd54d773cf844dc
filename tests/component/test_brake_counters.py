"""Redis, PostgreSQL and memory count alike."""

import itertools
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.auth.brake_counters import REDIS_SECONDS, Counters, LocalCounters, RedisCounters
from services.auth.brake_rules import Brake, Rule, State, judge
from services.auth.sql_counters import SqlCounters
from shared.database import Database
from tests.support.services import BrokenService, free_port
from tests.support.waiting import eventually
from tools.stack import Stack

# Long enough that the time which a test takes makes no difference.
RULES = [Rule.delays(2, 100, 400), Rule.delays(1, 1000, 1000), Rule.per_minute(1), Rule(3, 500, 500, 500)]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)),
        st.tuples(st.sampled_from(["give_back", "clear"]), st.integers(0, 5)),
    ),
    min_size=1,
    max_size=25,
)


@pytest.fixture(scope="module")
def stores(stack: Stack) -> Iterator[list[Any]]:
    database = Database(stack.database_url("auth"), connections=2)
    counted_in_redis = RedisCounters(stack.redis_url)
    yield [counted_in_redis, SqlCounters(database), LocalCounters()]
    database.engine.dispose()
    counted_in_redis._redis.close()


def brakes_of(run: str) -> list[Brake]:
    """Six brakes, the last two with tickets."""
    names = [f"latchkey:brake:test:{run}:{number}" for number in range(6)]
    plain = [Brake(name, RULES[number]) for number, name in enumerate(names[:4])]
    return [*plain, *(Brake(name, RULES[0], f"{name}:ticket") for name in names[4:])]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_all_three_stores_answer_alike(stores: list[Any], sequence: list[tuple[str, Any]]) -> None:
    brakes = brakes_of(uuid.uuid4().hex)
    for kind, what in sequence:
        for store in stores:
            if isinstance(store, SqlCounters):
                # Redis and memory are asked again at once; who was refused here is told what was so then.
                store._refused.clear()
        if kind == "take":
            waits = [store.take([brakes[number] for number in what]) for store in stores]
            assert max(waits) - min(waits) < 5, waits
            assert len({wait > 0 for wait in waits}) == 1
            continue
        for store in stores:
            store.clear(brakes[what].key) if kind == "clear" else store.give_back([brakes[what].key])


def lets_through(store: Any, brake: Brake) -> bool:
    return bool(store.take([brake]) == 0)


def test_a_count_stops_where_the_wait_does(stores: list[Any]) -> None:
    key = f"latchkey:brake:test:{uuid.uuid4().hex}"
    brake = Brake(key, Rule(1, 0.05, 0.1, 1000), f"{key}:ticket")
    for store in stores:
        for _ in range(6):
            eventually(partial(lets_through, store, brake))
        # Two is where the wait is longest, so two less is none.
        store.give_back([key])
        store.give_back([key])
        assert store.take([brake]) == 0


def test_whatever_redis_keeps_of_an_attempt_goes_by_itself(stack: Stack, stores: list[Any]) -> None:
    counted_in_redis = stores[0]
    run = uuid.uuid4().hex
    *_, brake, _ = brakes_of(run)
    waits = [counted_in_redis.take([brake]) for _ in range(4)]
    assert waits[-1] > 0
    # Also to one that nobody counted.
    counted_in_redis.give_back([brake.key, f"{brake.key}:nobody"])
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        left = {key: client.ttl(key) for key in client.scan_iter(f"latchkey:brake:test:{run}:*")}
    assert set(left) == set(brake.keys)
    assert [key for key, seconds in left.items() if seconds < 0] == []


def test_a_process_forgets_what_no_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.auth.brake_counters._MAX_LOCAL", 10)
    counters, soon_forgotten = LocalCounters(), Rule(1, 0.001, 0.001, 0.001)

    def few_are_left() -> bool:
        counters.take([Brake(uuid.uuid4().hex, soon_forgotten)])
        return len(counters._states) < 10

    for _ in range(20):
        few_are_left()
    eventually(few_are_left)


def test_a_frozen_redis_is_asked_now_and_then_and_not_by_every_request() -> None:
    frozen = BrokenService()
    frozen.reply = None
    counters = Counters(RedisCounters(frozen.url.replace("http", "redis")), LocalCounters())
    started = time.monotonic()
    waits = [counters.take([Brake("key", RULES[2])]) for _ in range(30)]
    assert waits[0] == 0
    assert min(waits[1:]) > 0
    # Thirty times its deadline would be nine seconds.
    assert time.monotonic() - started < 3
    frozen.close()


def test_when_a_frozen_redis_is_tried_again_one_request_waits_for_it_and_not_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen = BrokenService()
    frozen.reply = None
    counters = Counters(RedisCounters(frozen.url.replace("http", "redis")), LocalCounters())
    # It is tried again at once, and then not for longer than this test takes.
    monkeypatch.setattr("services.auth.brake_counters.PAUSE_SECONDS", 0.0)
    counters.take([Brake("key", RULES[2])])
    monkeypatch.setattr("services.auth.brake_counters.PAUSE_SECONDS", 60.0)
    with ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(_seconds_of, counters) for _ in range(8)]
        waited = sum(one.result() > REDIS_SECONDS / 2 for one in tries)
    assert counters.without_redis
    assert waited <= 2
    frozen.close()


def test_when_redis_is_back_it_is_asked_again_by_everybody(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.auth.brake_counters.PAUSE_SECONDS", 0.0)
    counters = Counters(RedisCounters(stack.redis_url), LocalCounters())

    def is_without_redis() -> bool:
        counters.take([Brake(f"latchkey:brake:test:{uuid.uuid4().hex}", RULES[2])])
        return counters.without_redis

    stack.processes["valkey"].pause()
    try:
        assert is_without_redis()
    finally:
        stack.processes["valkey"].resume()
    eventually(lambda: not is_without_redis())


def _seconds_of(counters: Counters) -> float:
    started = time.monotonic()
    counters.take([Brake("key", RULES[2])])
    return time.monotonic() - started


def test_without_redis_and_postgresql_a_process_counts_for_itself() -> None:
    away = f"127.0.0.1:{free_port()}"
    database = Database(f"postgresql://x:y@{away}/x", connections=1)
    counters = Counters(RedisCounters(f"redis://{away}"), SqlCounters(database))
    brake = Brake("key", RULES[0])
    waits = [counters.take([brake]) for _ in range(4)]
    assert waits[:2] == [0, 0]
    assert min(waits[2:]) > 0
    counters.clear(brake.key)
    assert counters.take([brake]) == 0
    database.engine.dispose()


def attempts_within(rule: Rule, seconds: int) -> int:
    """How many attempts somebody makes who always comes back at the first moment."""
    brake, now, wait = Brake("key", rule), 0.0, 0.0
    states: dict[str, State] = {}
    for attempts in itertools.count():
        verdict = judge([brake], states, now)
        if wait := verdict.wait:
            now += wait
            assert judge([brake], states, now + 1e-6).wait == 0, "whoever waits gets through"
            verdict = judge([brake], states, now + 1e-6)
        if now > seconds:
            return attempts
        states = {key: change[0] for key, change in verdict.changes.items() if change}
    raise AssertionError


def test_what_an_attacker_gets_in_a_day_is_as_documented() -> None:
    day = 24 * 60 * 60
    assert attempts_within(Rule.delays(10, 2, 900), day) <= 10 + 10 + day / 900
    assert attempts_within(Rule.per_minute(300), 60) <= 300 + 301


def test_after_an_attack_of_any_length_the_wait_is_soon_half_as_long() -> None:
    rule = Rule.delays(10, 2, 900)
    account = Brake("account", rule, "ticket")
    states = {"account": State(float(rule.most), 0.0)}
    assert judge([account], states, 0.0).wait == 900
    assert judge([account], states, 901.0).wait == 512
    assert judge([account], states, 10 * 901.0).wait == 0
