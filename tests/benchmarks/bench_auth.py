"""`make bench-auth`: what auth makes of the machine, beside what the machine does without it.

Every figure is measured in turns with what it is compared with, so that a busy machine slows both down.
"""

import os
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from argon2 import PasswordHasher

from services.auth import refresh_tokens
from services.auth.settings import Settings
from tests.benchmarks import load
from tests.benchmarks.load import Door, Sample
from tests.support.settings import UNLIMITED as UNLIMITED_GATEWAY
from tools.stack import Ports, Stack

ROUNDS = 5
SECONDS = 3.0
STORM = 200
REFRESHERS = 4
FEW, MANY = 10**4, 10**6
# Brakes are not what is measured here.
UNLIMITED = {
    "auth": {"SESSION_REFRESHES_PER_MINUTE": "100000", "NETWORK_FAILURES_PER_MINUTE": "100000"},
    "gateway": UNLIMITED_GATEWAY,
}
FILL = """
    INSERT INTO accounts (email, password_hash)
        SELECT 'filler' || n || '@example.com', 'none' FROM generate_series(1, %(sessions)s / 10) n;
    INSERT INTO sessions (account_id, secret, device_type, idle_expires_at, absolute_expires_at)
        SELECT id, sha256(n::text::bytea), 'Web', now() + interval '30 days', now() + interval '180 days'
        FROM accounts, generate_series(1, 10) n WHERE email LIKE 'filler%%'
"""
SOME_SESSIONS = "SELECT id, generation, secret FROM sessions WHERE ended_at IS NULL ORDER BY random() LIMIT 2000"


class Row(NamedTuple):
    """A line of the table; `aim` says what was hoped for."""

    what: str
    ours: str
    compared: str
    ratio: float
    aim: str


class House:
    """A stack with some sessions in its table, and people who can sign in."""

    def __init__(self, stack: Stack, sessions: int) -> None:
        self.stack = stack
        stack.start()
        self.password_hash = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(load.PASSWORD)
        self.emails = [f"person{number}@example.com" for number in range(STORM)]
        with self._sql() as sql:
            # The role has seconds for a statement, as behind a pooler; filling the table takes longer.
            sql.execute("SET statement_timeout = 0")
            for statement in FILL.split(";"):
                sql.execute(statement, {"sessions": sessions})
            people = [(email, self.password_hash) for email in self.emails]
            sql.cursor().executemany("INSERT INTO accounts (email, password_hash) VALUES (%s, %s)", people)
            sql.execute("VACUUM ANALYZE sessions, accounts")

    def some_sessions(self) -> list[tuple[uuid.UUID, int, bytes]]:
        with self._sql() as sql:
            return sql.execute(SOME_SESSIONS).fetchall()

    def refresh_tokens(self) -> list[str]:
        key = Settings.read(self.stack.environment("auth")).refresh_token_key
        return [refresh_tokens.derive(*row, key) for row in self.some_sessions()]

    def _sql(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.stack.database_url("auth"), autocommit=True)


def main() -> None:
    """Measure everything and print the table."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))

        def house(sessions: int) -> House:
            stack = Stack(folder / str(sessions), Ports.free(), settings=UNLIMITED, say=lambda _: None)
            return House(running.enter_context(stack), sessions)

        say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; {ROUNDS} rounds of {SECONDS:.0f} s each")
        small = house(FEW)
        rows = [*sign_in_rows(small), *refresh_rows(small), *storm_rows(small)]
        rows.append(table_size_row(small, house(MANY)))
    say(f"load {os.getloadavg()[0]:.1f} after")
    for row in rows:
        say(f"| {row.what:<48} | {row.ours:>16} | {row.compared:>28} | {row.ratio:>5.2f} | {row.aim:<7} |")


def sign_in_rows(house: House) -> list[Row]:
    """Sign-ins a second, as many at once as auth has places, as a share of what argon2 does on the cores."""
    people = house.emails[:6]
    doors = {"at auth's door": house.stack.auth_url, "through the gateway": house.stack.gateway_url}
    done = dict.fromkeys(doors, 0)
    bare = 0
    for _ in range(ROUNDS):
        bare += load.elsewhere(load.bare_argon2, os.cpu_count(), house.password_hash, SECONDS)()
        for name, url in doors.items():
            done[name] += succeeded(load.elsewhere(load.sign_ins, url, people, SECONDS)())
    return [rate_row(f"sign-ins/s {name}", count, bare, "argon2 alone", "≥ 0.90") for name, count in done.items()]


def refresh_rows(house: House) -> list[Row]:
    """Refreshes a second beside a loop of the UPDATE and a signature."""
    doors = {"at auth's door": house.stack.auth_url, "through the gateway": house.stack.gateway_url}
    done = dict.fromkeys(doors, 0)
    bare = 0
    for _ in range(ROUNDS):
        sessions = [row[:2] for row in house.some_sessions()]
        bare += load.elsewhere(load.bare_refreshes, house.stack.database_url("auth"), sessions, SECONDS)()
        for name, url in doors.items():
            samples = load.elsewhere(load.refreshes, url, house.refresh_tokens(), REFRESHERS, SECONDS)()
            done[name] += succeeded(samples)
    return [rate_row(f"refreshes/s {name}", count, bare, "bare loop", "≥ 0.40") for name, count in done.items()]


def storm_rows(house: House) -> list[Row]:
    """How long reads take while 200 people sign in at once, and how soon a refused one hears of it."""
    url = house.stack.gateway_url
    door = Door(url)
    door.sign_in(house.emails[0])
    token = door.answer["data"]["access_token"]
    quiet: list[Sample] = []
    during: list[Sample] = []
    stormy: list[Sample] = []
    for _ in range(ROUNDS):
        quiet += load.elsewhere(load.reads, url, token, SECONDS)()
        storm = load.elsewhere(load.storm, url, house.emails, SECONDS)
        during += load.elsewhere(load.reads, url, token, SECONDS)()
        stormy += storm()
    refused = [sample for sample in stormy if sample.status == 503]
    say(f"storm: {succeeded(stormy)} signed in, {len(refused)} told to come back, {outcomes(stormy)}")
    return [
        latency_row("GET p99 in a storm of 200 sign-ins", during, quiet, "quiet"),
        latency_row("GET p50 in a storm of 200 sign-ins", during, quiet, "quiet", 0.5),
        Row("refused sign-in p50", shown_ms(refused, 0.5), "aim 100 ms", centile(refused, 0.5) / 0.1, "≤ 1"),
        Row("refused sign-in p99", shown_ms(refused, 0.99), "aim 100 ms", centile(refused, 0.99) / 0.1, "≤ 1"),
    ]


def table_size_row(small: House, large: House) -> Row:
    """How long refreshes take with 10^6 sessions in the table, beside 10^4."""
    taken: dict[House, list[Sample]] = {small: [], large: []}
    for _ in range(ROUNDS * 2):
        for house in taken:
            tokens = house.refresh_tokens()
            taken[house] += load.elsewhere(load.refreshes, house.stack.auth_url, tokens, 1, SECONDS)()
    return latency_row("refresh p99 with 10^6 sessions", taken[large], taken[small], "10^4")._replace(aim="≤ 1.30")


def rate_row(what: str, ours: int, bare: int, compared: str, aim: str) -> Row:
    each = ROUNDS * SECONDS
    return Row(what, f"{ours / each:.1f}", f"{bare / each:.1f} ({compared})", ours / bare, aim)


def latency_row(what: str, ours: list[Sample], other: list[Sample], compared: str, part: float = 0.99) -> Row:
    ratio = centile(ours, part) / centile(other, part)
    return Row(what, shown_ms(ours, part), f"{shown_ms(other, part)} ({compared})", ratio, "")


def succeeded(samples: Sequence[Sample]) -> int:
    return sum(sample.status == 200 for sample in samples)


def outcomes(samples: Sequence[Sample]) -> dict[str, int]:
    codes = [sample.code or "200" for sample in samples]
    return {code: codes.count(code) for code in sorted(set(codes))}


def centile(samples: Sequence[Sample], part: float) -> float:
    ordered = sorted(sample.seconds for sample in samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def shown_ms(samples: Sequence[Sample], part: float) -> str:
    return f"{centile(samples, part) * 1000:.1f} ms"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
