"""What PostgreSQL counts while Redis is away is counted one by one, asked for no oftener than it must, and bounded."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from services.auth.brake_rules import Brake, Rule
from services.auth.sql_counters import SqlCounters
from shared.database import Database
from tests.support.waiting import eventually
from tools.stack import Stack

# Long enough that the time which a test takes makes no difference.
ONE_AN_HOUR = Rule(1, 3600, 3600, 3600)
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
# As `_take_turns` does.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))"


@pytest.fixture
def new_process(stack: Stack) -> Iterator[Callable[[], SqlCounters]]:
    """Makes what each process of auth has."""
    database = Database(stack.database_url("auth"), connections=10)
    yield lambda: SqlCounters(database)
    database.engine.dispose()


@pytest.fixture
def counters(new_process: Callable[[], SqlCounters]) -> SqlCounters:
    return new_process()


def new_brake() -> Brake:
    return Brake(f"latchkey:brake:test:{uuid.uuid4().hex}", ONE_AN_HOUR)


def test_of_attempts_at_once_no_more_count_as_the_first_than_are_free(
    stack: Stack, counters: SqlCounters, auth_sql: psycopg.Connection
) -> None:
    brake = new_brake()
    with ThreadPoolExecutor(8) as pool, psycopg.connect(stack.database_url("auth")) as blocker:
        # Nobody can write before all have come so far as they can.
        blocker.execute("LOCK TABLE brakes IN SHARE MODE")
        waits = [pool.submit(counters.take, [brake]) for _ in range(8)]
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (8,))
        blocker.rollback()
        assert [wait.result() for wait in waits].count(0) == 1


def test_attempts_that_share_brakes_in_another_order_do_not_wait_in_a_circle(
    stack: Stack, counters: SqlCounters, auth_sql: psycopg.Connection
) -> None:
    run = uuid.uuid4().hex
    first, middle, last = (Brake(f"latchkey:brake:test:{run}:{number}", ONE_AN_HOUR) for number in range(3))
    with ThreadPoolExecutor(2) as pool, psycopg.connect(stack.database_url("auth")) as blocker:
        # Each would hold the brake that the other wants last.
        blocker.execute(LOCK, (middle.key,))
        there = pool.submit(counters.take, [first, middle, last])
        back = pool.submit(counters.take, [last, middle, first])
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (2,))
        blocker.rollback()
        assert sorted([there.result() > 0, back.result() > 0]) == [False, True]


def test_whom_a_process_has_refused_it_refuses_again_without_asking_the_database(
    new_process: Callable[[], SqlCounters], auth_sql: psycopg.Connection
) -> None:
    brake, counters = new_brake(), new_process()
    assert counters.take([brake]) == 0
    wait = counters.take([brake])
    auth_sql.execute("DELETE FROM brakes WHERE key = %s", (brake.key,))
    assert 0 < counters.take([brake]) <= wait
    assert new_process().take([brake]) == 0


def test_whom_a_process_has_refused_it_does_not_remember_without_end(
    counters: SqlCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.auth.sql_counters._MAX_REFUSED", 3)
    for _ in range(10):
        brake = new_brake()
        assert counters.take([brake]) == 0
        assert counters.take([brake]) > 0
    assert len(counters._refused) <= 4
