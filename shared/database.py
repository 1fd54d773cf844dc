"""PostgreSQL through SQLAlchemy: one engine for a process, one visible transaction for a use case."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from shared.errors import Unavailable

# The server gives up first, then the client, which also survives a server that is frozen and can't give up.
STATEMENT_TIMEOUT_MS = 4_000
LOCK_TIMEOUT_MS = 3_000
UNACKNOWLEDGED_MS = 5_000
CONNECT_SECONDS = 2
POOL_WAIT_SECONDS = 2


class Database:
    """A room's database. `connections` is how many it may hold open, at least one for every thread."""

    def __init__(self, url: str, *, connections: int) -> None:
        options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} -c timezone=UTC"
        self.engine = create_engine(
            sqlalchemy_url(url),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            # Checked at checkout: a server that was restarted costs no request.
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "tcp_user_timeout": UNACKNOWLEDGED_MS,
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 2,
                "options": options,
            },
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that is committed at the end and rolled back by an exception.

        Raises Unavailable when the database is away, too slow, or all connections are taken.
        """
        try:
            with self._sessions.begin() as session:
                yield session
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise Unavailable("the database did not answer") from error

    def answers(self) -> bool:
        """Whether the database does what it is asked."""
        with self.transaction() as session:
            return bool(session.scalar(text("SELECT 1")) == 1)


def sqlalchemy_url(url: str) -> str:
    """A `postgresql://` URL for SQLAlchemy with psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
