"""What may break of a stack: each fault strikes it, lasts, and ends; and how soon all must be well again."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
import redis

from tests.support.databases import superuser
from tools.stack import Stack

Strike = Callable[[Any], AbstractContextManager[object]]


@dataclass(frozen=True)
class Fault:
    """Something that breaks while `strike` is entered, for `lasts` seconds.

    All is well again `well_within` seconds after its end. `hangs_up` when the gateway itself goes, so that phones may
    get no answer; `expires` when access tokens may seem expired; `serves` when everything works while it lasts.
    """

    strike: Strike
    well_within: int
    lasts: float = 0.0
    hangs_up: bool = False
    expires: bool = False
    serves: bool = False


def killed(name: str) -> Strike:
    """The process itself; what it had started is left to whoever notices."""
    return lambda stack: _at_once(lambda: os.kill(stack.processes[name].pid, signal.SIGKILL))


def worker_killed(name: str) -> Strike:
    """One of gunicorn's workers."""

    def kill(stack: Stack) -> None:
        psutil.Process(stack.processes[name].pid).children()[0].kill()

    return lambda stack: _at_once(lambda: kill(stack))


@contextmanager
def backend_killed(stack: Stack) -> Iterator[None]:
    """The server process of one connection, after which PostgreSQL ends all of them and recovers."""
    with psycopg.connect(stack.database_url("auth"), autocommit=True) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1"
        ).fetchone()
    assert found
    os.kill(found[0], signal.SIGKILL)
    yield


@contextmanager
def stopped_at_once(stack: Stack) -> Iterator[None]:
    """PostgreSQL's immediate shutdown: nothing is written down any more, the next start recovers."""
    os.kill(stack.processes["postgres"].pid, signal.SIGQUIT)
    yield


def down(name: str) -> Strike:
    """Stopped in order, and started again at the end."""

    @contextmanager
    def strike(stack: Stack) -> Iterator[None]:
        stack.processes[name].stop()
        yield
        stack.processes[name].start()
        stack.processes[name].wait_ready()

    return strike


def frozen(name: str) -> Strike:
    """All its processes get SIGSTOP: connections stay, nobody answers."""

    @contextmanager
    def strike(stack: Stack) -> Iterator[None]:
        stack.processes[name].pause()
        try:
            yield
        finally:
            stack.processes[name].resume()

    return strike


@contextmanager
def flushed(stack: Stack) -> Iterator[None]:
    with redis.Redis.from_url(stack.redis_url) as valkey:
        valkey.flushall()
    yield


@contextmanager
def full(stack: Stack) -> Iterator[None]:
    """Valkey has no memory left and takes no write."""
    with redis.Redis.from_url(stack.redis_url) as valkey:
        valkey.config_set("maxmemory", 1)
        try:
            yield
        finally:
            valkey.config_set("maxmemory", 0)


@contextmanager
def connections_exhausted(stack: Stack) -> Iterator[None]:
    """Somebody else has all of PostgreSQL's connections."""
    with ExitStack() as taken, superuser(stack) as owner:

        def take_one() -> bool:
            with suppress(psycopg.OperationalError):
                taken.enter_context(psycopg.connect(stack.database_url("users"), connect_timeout=2))
                return True
            return False

        # The services' own go last, one by one, and are taken before anybody gets them back.
        while take_one() or _ends_a_connection(owner):
            pass
        yield


def locked(statement: str, database: str = "auth") -> Strike:
    """A transaction holds a lock."""

    @contextmanager
    def strike(stack: Stack) -> Iterator[None]:
        with psycopg.connect(stack.database_url(database)) as blocker:
            blocker.execute(statement.encode())
            yield

    return strike


@contextmanager
def _at_once(act: Callable[[], None]) -> Iterator[None]:
    act()
    yield


def _ends_a_connection(owner: psycopg.Connection) -> bool:
    ended = owner.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND pid <> pg_backend_pid() AND state = 'idle' AND client_port IS NOT NULL"
        " AND usename LIKE 'latchkey%' AND application_name = '' AND query <> '' LIMIT 1"
    ).fetchone()
    return ended is not None


FAULTS = {
    "the gateway is killed": Fault(killed("gateway"), 10, hangs_up=True),
    "the gateway's worker is killed": Fault(worker_killed("gateway"), 5, hangs_up=True),
    "auth is killed": Fault(killed("auth"), 10),
    "auth's gunicorn worker is killed": Fault(worker_killed("auth"), 10),
    "users is killed": Fault(killed("users"), 10),
    "users' gunicorn worker is killed": Fault(worker_killed("users"), 10),
    "auth's outbox worker is killed": Fault(killed("worker"), 1),
    "a backend of PostgreSQL is killed": Fault(backend_killed, 5),
    "PostgreSQL is killed": Fault(killed("postgres"), 10),
    "PostgreSQL is stopped at once": Fault(stopped_at_once, 10),
    "PostgreSQL is restarted": Fault(down("postgres"), 2),
    "PostgreSQL is frozen": Fault(frozen("postgres"), 5, lasts=5),
    "PostgreSQL is down for a minute": Fault(down("postgres"), 5, lasts=60),
    "PostgreSQL has no connections left": Fault(connections_exhausted, 5, lasts=5),
    "somebody locks the accounts": Fault(locked("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"), 5, lasts=8),
    "somebody locks the sessions": Fault(locked("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"), 5, lasts=8),
    "somebody locks every account's row": Fault(locked("SELECT FROM accounts FOR UPDATE"), 5, lasts=8),
    "somebody locks every session's row": Fault(locked("SELECT FROM sessions FOR UPDATE"), 5, lasts=8),
    "somebody locks the profiles": Fault(locked("LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE", "users"), 5, lasts=8),
    "Valkey is killed": Fault(killed("valkey"), 2, serves=True),
    "Valkey is frozen": Fault(frozen("valkey"), 2, lasts=5, serves=True),
    "Valkey is emptied": Fault(flushed, 1, serves=True),
    "Valkey is full": Fault(full, 2, lasts=5, serves=True),
}
