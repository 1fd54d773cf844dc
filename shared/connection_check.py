"""Notices at checkout that a pooled connection's server has gone, without asking it every time."""

import select
import time

from psycopg import Connection, Error
from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

# Asking takes a round trip, as long as a small statement. Whoever answered this short a time ago is asked again only
# when there is a sign of its end.
FRESH_SECONDS = 1.0
_USED_AT = "used_at"


def check_at_checkout(engine: Engine) -> None:
    """Let the pool of `engine` replace all its connections when the one that is taken turns out to be dead.

    A server that stops or crashes closes its end of every connection, which its kernel tells ours: the socket becomes
    readable although nothing was asked. So a restart costs no request, and no question in between.
    """

    @event.listens_for(engine, "checkin")
    def note_use(_connection: Connection | None, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: Connection, record: ConnectionPoolEntry, _proxy: object) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None or (time.monotonic() - used_at < FRESH_SECONDS and not _has_word(connection)):
            return
        try:
            engine.dialect.do_ping(connection)  # type: ignore[arg-type]
        except Error as error:
            raise InvalidatePoolError from error


def _has_word(connection: Connection) -> bool:
    """Whether the server has said something unasked: its last word, or a notice."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
