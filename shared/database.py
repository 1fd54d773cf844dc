"""PostgreSQL through SQLAlchemy: one engine for a process, one visible transaction for a use case."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from sqlalchemy import ClauseElement, create_engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from shared import tracing
from shared.connection_check import check_at_checkout
from shared.errors import Unavailable
from shared.metrics import gauge, sample

# The server gives up first. The client gives up on a server that is frozen and can't, or that is no longer reached.
STATEMENT_TIMEOUT_MS = 4_000
LOCK_TIMEOUT_MS = 3_000
ANSWER_SECONDS = 5.0
UNACKNOWLEDGED_MS = 5_000
CONNECT_SECONDS = 2
POOL_WAIT_SECONDS = 2
# How often a waiting connection looks at the time.
_WAKE_SECONDS = 0.1

_in_use = gauge("latchkey_sql_connections_in_use", "Connections to PostgreSQL at work", over_workers="sum")
_limit = gauge("latchkey_sql_connections_limit", "Connections to PostgreSQL that there may be", over_workers="sum")

# What the server holds every transaction to. Migrations give them to the role, too, for poolers that ignore options.
LIMITS = {
    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
    "lock_timeout": f"{LOCK_TIMEOUT_MS}ms",
    "timezone": "UTC",
}

_DRIVER_FAULTS = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]

T = TypeVar("T")
Driver = psycopg.Connection[Any]


def startup_options(url: str, settings: Mapping[str, str]) -> str:
    """`settings` for the start of a connection; the URL's own `options` instead, where a pooler refuses any."""
    given = conninfo_to_dict(url).get("options")
    return " ".join(f"-c {name}={value}" for name, value in settings.items()) if given is None else str(given)


class _BoundedConnection(psycopg.Connection[Any]):
    """A connection on which no wait for the server takes longer than ANSWER_SECONDS.

    TCP's own limits do not help against a server process that is stopped: its kernel goes on acknowledging.
    """

    def wait(self, gen: PQGen[T], interval: float = _WAKE_SECONDS, timeout: float | None = ANSWER_SECONDS) -> T:
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from error


class Database:
    """A room's database. `connections` is how many it may hold open, at least one for every thread."""

    def __init__(self, url: str, *, connections: int) -> None:
        options = startup_options(url, LIMITS)
        self.engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: _BoundedConnection.connect(
                url,
                connect_timeout=CONNECT_SECONDS,
                tcp_user_timeout=UNACKNOWLEDGED_MS,
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=2,
                options=options,
            ),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            # An error names the statement; what was in it stays out of the logs.
            hide_parameters=True,
        )
        check_at_checkout(self.engine)
        tracing.watch_sql(self.engine)
        event.listen(self.engine, "handle_error", _leave_a_standby)
        _limit.set(connections)
        sample(_in_use, cast(QueuePool, self.engine.pool).checkedout)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def statements(self) -> Iterator[Driver]:
        """The driver's own connection, on which each Statement is a transaction of its own.

        Raises Unavailable as `transaction` does.
        """
        with _faults_as_unavailable():
            pooled = self.engine.raw_connection()
            driver = cast(Driver, pooled.driver_connection)
            driver.autocommit = True
            try:
                yield driver
            finally:
                if driver.info.transaction_status == TransactionStatus.IDLE:
                    driver.autocommit = False
                else:
                    # It is broken, or in the middle of something.
                    pooled.invalidate()
                pooled.close()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that is committed at the end and rolled back by an exception.

        Raises Unavailable when the database is away, too slow, read-only because it became a standby, or all
        connections are taken.
        """
        with _faults_as_unavailable(), self._sessions.begin() as session:
            yield session

    def answers(self) -> bool:
        """Whether the database does what it is asked."""
        with self.transaction() as session:
            return bool(session.scalar(text("SELECT 1")) == 1)


class Statement:
    """A statement that is written down once, in the driver's words, for what is hot.

    Whenever SQLAlchemy runs a statement, it takes longer than the driver and everything around it (measured: a refresh
    has two, and takes 0.7 ms of processor time for them instead of 1.5 ms). `made` has a `bindparam` for every value.
    """

    def __init__(self, made: ClauseElement) -> None:
        compiled = made.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        self._text = str(compiled)
        self._constants = compiled.params

    def run(self, on: Session | Driver, values: Mapping[str, Any]) -> psycopg.Cursor[Any]:
        """Run it in the transaction of a session, or on what `Database.statements` gives."""
        driver = cast(Driver, on.connection().connection.driver_connection) if isinstance(on, Session) else on
        try:
            with tracing.sql(self._text):
                return driver.execute(self._text.encode(), {**self._constants, **values})
        except psycopg.errors.ReadOnlySqlTransaction:
            # As `_leave_a_standby` does for what SQLAlchemy runs.
            driver.close()
            raise


def _leave_a_standby(context: ExceptionContext) -> None:
    """Let the pool connect anew when its server is read-only, so that `target_session_attrs` finds one that writes."""
    if isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True


@contextmanager
def _faults_as_unavailable() -> Iterator[None]:
    try:
        yield
    except (*_DRIVER_FAULTS, OperationalError, InterfaceError, InternalError, PoolTimeout) as error:
        raise Unavailable("the database did not answer") from error
