"""What may go wrong around a stack: the lines between its rooms, their clocks, and PostgreSQL's disk."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.clock import Clock
from tests.support.databases import superuser
from tests.support.disasters import Fault, Strike
from tests.support.link import Link
from tests.support.small_disk import SmallDisk
from tools.stack import Stack

# Of the log that PostgreSQL keeps ready, of 16 MB each, on a disk of 160 MB.
_MORE_THAN_ALL_PIECES = 10


def bad_link(**how: Any) -> Strike:
    """The ways to auth and to users are so."""

    @contextmanager
    def strike(links: Sequence[Link]) -> Iterator[None]:
        for link in links:
            vars(link).update(how)
        try:
            yield
        finally:
            for link in links:
                link.heal()

    return strike


def clock_of(name: str, seconds: int) -> Strike:
    """The clock of one process jumps, and jumps back at the end."""

    @contextmanager
    def strike(clocks: Mapping[str, Clock]) -> Iterator[None]:
        clocks[name].differ(seconds)
        try:
            yield
        finally:
            clocks[name].differ(0)

    return strike


@contextmanager
def disk_full(place: tuple[Stack, SmallDisk]) -> Iterator[None]:
    """PostgreSQL finds no place for the next piece of its log, crashes, and can't even start."""
    stack, disk = place
    disk.fill()
    try:
        with superuser(stack) as owner:
            assert any(_crashes_at_the_next_piece(owner) for _ in range(_MORE_THAN_ALL_PIECES))
        yield
    finally:
        disk.free()


def _crashes_at_the_next_piece(owner: psycopg.Connection) -> bool:
    try:
        owner.execute("SELECT pg_logical_emit_message(true, 'fault', 'x'), pg_switch_wal()")
    except psycopg.OperationalError:
        return True
    return False


LINK_FAULTS = {
    "the services are half a second away": Fault(bad_link(latency=0.25), 5, serves=True),
    "the line carries 2 kB a second": Fault(bad_link(bytes_per_second=2000), 5, serves=True),
    "the line breaks when answers begin": Fault(bad_link(resets=True), 5, lasts=4),
    "the line is a black hole": Fault(bad_link(swallows=True), 5, lasts=12),
}
CLOCK_FAULTS = {
    f"the clock of {name} is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}": Fault(
        clock_of(process, seconds), 2, expires=True, serves=True
    )
    for process, name in (("auth", "auth"), ("users", "users"), ("gateway", "the gateway"))
    for seconds in (30, -30, 600, -600)
}
DISK_FAULTS = {"the disk of PostgreSQL is full": Fault(disk_full, 15, lasts=4)}
