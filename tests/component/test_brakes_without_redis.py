"""While Redis is down or frozen the brakes hold, people get in, and afterwards all is as before."""

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import redis

from tests.support.crowd import Place, at_once, auth_with, retry_after
from tests.support.http import Api
from tests.support.phone import new_email
from tests.support.waiting import eventually
from tools.stack import Stack

FREE, ACCOUNT_FREE, REFRESHES = 3, 6, 20


@pytest.fixture(scope="module")
def pair(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    """Two auth processes with small numbers and waits longer than any test."""
    settings = {
        "SIGN_IN_FREE_FAILURES": str(FREE),
        "ACCOUNT_FREE_FAILURES": str(ACCOUNT_FREE),
        "SIGN_IN_FIRST_DELAY": "300",
        "SESSION_REFRESHES_PER_MINUTE": str(REFRESHES),
    }
    with auth_with(stack, tmp_path_factory, **settings) as one, auth_with(stack, tmp_path_factory, **settings) as other:
        yield [one, other]


@pytest.fixture(params=["frozen", "down"])
def trouble(request: pytest.FixtureRequest, stack: Stack) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """What begins the trouble and what ends it."""
    valkey = stack.processes["valkey"]

    def restart() -> None:
        valkey.start()
        valkey.wait_ready(30)

    begin, end = (valkey.pause, valkey.resume) if request.param == "frozen" else (valkey.kill, restart)
    yield begin, end
    end()


def counted_in_redis(stack: Stack) -> int:
    with redis.Redis.from_url(stack.redis_url) as client:
        return sum(1 for _ in client.scan_iter("latchkey:brake:*"))


def test_without_redis_the_brakes_hold_across_processes_and_people_get_in(
    stack: Stack, pair: list[Api], trouble: tuple[Callable[[], None], Callable[[], None]], auth_sql: psycopg.Connection
) -> None:
    begin, end = trouble
    homes = [Place(api) for api in pair]
    emails = [home.sign_up() for home in homes]
    victim = Place(pair[0]).sign_up()
    begin()

    started = time.monotonic()
    for home, email in zip(homes, emails, strict=True):
        assert home.sign_in(email).status == 200
    attacker = [Place(api, "198.51.100.7") for api in pair]
    guesses = [attacker[number % 2].guess(victim) for number in range(FREE + 3)]
    assert [answer.error_code for answer in guesses] == ["AUTH_001"] * FREE + ["AUTH_429"] * 3
    assert time.monotonic() - started < 10
    crowd = at_once(30, lambda number: Place(pair[number % 2]).guess(emails[0]))
    codes = [answer.error_code for answer in crowd]
    assert codes.count("AUTH_001") <= ACCOUNT_FREE
    assert set(codes) <= {"AUTH_001", "AUTH_429", "SRV_503"}
    assert homes[0].sign_in(emails[0]).status == 200
    [(rows,)] = auth_sql.execute("SELECT count(*) FROM brakes").fetchall()
    assert rows > 0

    end()
    before = counted_in_redis(stack)

    def counted_again() -> bool:
        Place(pair[0]).guess(Place(pair[0]).sign_up())
        return counted_in_redis(stack) > before

    eventually(counted_again, seconds=10)
    email = homes[0].sign_up()
    stranger = Place(pair[0])
    eventually(lambda: stranger.guess(email).status == 429)
    assert homes[0].sign_in(email).status == 200


def test_without_redis_refreshes_go_on_and_hammering_is_slowed(
    pair: list[Api], trouble: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    begin, _ = trouble
    place, other = Place(pair[0]), Place(pair[0])
    token, others = (somebody.sign_in(somebody.sign_up()).data["refresh_token"] for somebody in (place, other))
    begin()
    answers = at_once(3 * REFRESHES, lambda _: place.post("/v1/auth/refresh", {"refresh_token": token}))
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= REFRESHES + 8
    assert retry_after(place.post("/v1/auth/refresh", {"refresh_token": token})) <= 60 / REFRESHES
    assert other.post("/v1/auth/refresh", {"refresh_token": others}).status == 200


def test_what_was_counted_in_postgresql_goes_when_it_is_forgotten(
    stack: Stack, pair: list[Api], auth_sql: psycopg.Connection
) -> None:
    stack.processes["valkey"].pause()
    try:
        Place(pair[0]).guess(new_email())
        auth_sql.execute("UPDATE brakes SET forgotten_at = now() - interval '1 h'")

        def all_gone() -> bool:
            Place(pair[0]).guess(new_email())
            return (
                auth_sql.execute("SELECT 1 FROM brakes WHERE forgotten_at < now() - interval '1 h'").fetchone() is None
            )

        eventually(all_gone)
    finally:
        stack.processes["valkey"].resume()
