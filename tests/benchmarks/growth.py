"""What a stack takes of the machine over time, and whether that grows."""

import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

import psutil
import psycopg
import redis

from tools.stack import STORES, Stack

_PAUSE_SECONDS = 5.0
_MEGABYTE = 1024 * 1024
_TABLES = {"auth": ("accounts", "sessions", "outbox", "audit_events", "brakes"), "users": ("profiles",)}
# Until here caches fill, and Python asks for memory that it keeps.
_WARM_UP = 0.3
# A leak shows as more than a seventh over the rest of a run; what is small may waver by more, and one process's pool of
# connections (THREADS + 2) may be filled only then.
_SHARE = 0.15
_FLOORS = {"MB": 4.0, "files": 26.0, "connections": 18.0, "bytes a row": 150.0}

Figures = Mapping[tuple[str, str], float]


class Trend(NamedTuple):
    """How one figure went: where a line through it began and ended, per hour, and how much it may have grown."""

    name: str
    unit: str
    first: float
    last: float
    hourly: float
    bound: float

    @property
    def is_flat(self) -> bool:
        return self.last - self.first <= self.bound


class Observer:
    """Looks at a stack every five seconds, from a thread, while it is entered; `samples` are times and figures."""

    def __init__(self, stack: Stack) -> None:
        self.samples: list[tuple[float, Figures]] = []
        self._stack = stack
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_often)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def trends(self) -> list[Trend]:
        """How each figure went after the warm-up, by the medians of its minutes: a fault is over within one."""
        by_minute: dict[tuple[str, str], dict[int, list[float]]] = {}
        for at, figures in self.samples:
            for key, value in figures.items():
                by_minute.setdefault(key, {}).setdefault(int(at // 60), []).append(value)
        return [_trend(key, minutes) for key, minutes in by_minute.items()]

    def _look_often(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            at = time.monotonic() - self._began
            # What is broken just now has no figures.
            with suppress(psycopg.Error, redis.RedisError, psutil.Error):
                self.samples.append((at, dict(_figures(self._stack))))


def _figures(stack: Stack) -> Iterator[tuple[tuple[str, str], float]]:
    for name, process in stack.processes.items():
        head = psutil.Process(process.pid)
        family = [head, *head.children(recursive=True)]
        # PostgreSQL's and Valkey's are their own memory only: what PostgreSQL shares is a cache that fills on purpose.
        memory = [one.memory_full_info() for one in family]
        used = sum(one.uss if name in STORES else one.pss for one in memory)
        yield (f"memory of {name}", "MB"), used / _MEGABYTE
        yield (f"open files of {name}", "files"), sum(one.num_fds() for one in family)
    with redis.Redis.from_url(stack.redis_url, socket_timeout=2) as valkey:
        yield ("data in valkey", "MB"), valkey.info("memory")["used_memory"] / _MEGABYTE
    for database, tables in _TABLES.items():
        with psycopg.connect(stack.database_url(database), connect_timeout=2) as connection:
            connection.execute("SET statement_timeout = 2000")
            yield from _tables(connection, database, tables)


def _tables(
    connection: psycopg.Connection, database: str, tables: Sequence[str]
) -> Iterator[tuple[tuple[str, str], float]]:
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    yield (f"connections to {database}", "connections"), _number(connection, count)
    for table in tables:
        rows = _number(connection, f"SELECT count(*) FROM {table}")
        size = _number(connection, f"SELECT pg_total_relation_size('{table}')")
        if rows:
            yield (f"table {table}", "bytes a row"), size / rows


def _number(connection: psycopg.Connection, statement: str) -> float:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return float(row[0])


def _trend(key: tuple[str, str], minutes: Mapping[int, Sequence[float]]) -> Trend:
    name, unit = key
    warm = sorted(minutes)[int(len(minutes) * _WARM_UP) :]
    values = [statistics.median(minutes[minute]) for minute in warm]
    slope, intercept = statistics.linear_regression(warm, values) if len(warm) > 1 else (0.0, values[0])
    first, last = intercept + slope * warm[0], intercept + slope * warm[-1]
    return Trend(name, unit, first, last, slope * 60, max(first * _SHARE, _FLOORS[unit]))
