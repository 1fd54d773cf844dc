"""Runs a room's Alembic migrations while the room serves. What they may do is in docs/decisions/0012."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, create_engine, event, pool, text
from sqlalchemy.exc import OperationalError

from shared.database import CONNECT_SECONDS, LIMITS, startup_options

# Whoever wants a table that a migration waits for waits behind it. So it gives up soon, lets them pass and tries again.
LOCK_TIMEOUT = "1s"
ATTEMPTS = 30
PAUSE_SECONDS = 2.0
# For how long a job waits for another one that migrates the same database.
ANOTHER_JOB_SECONDS = 600
_ONE_JOB = 0x6C6B6D67

log = structlog.get_logger(__name__)


class MigrationError(Exception):
    """The database could not be brought to the newest revision; what was done until then is whole and stays."""


def migrate(
    folder: Path, url: str, *, attempts: int = ATTEMPTS, another_job_seconds: float = ANOTHER_JOB_SECONDS
) -> None:
    """Bring the database at `url` to the newest revision in `folder`; nothing happens when it is there already.

    Jobs that run at the same time wait for each other. A database that a later release has migrated is left alone,
    because every release runs with its successor's tables. Raises MigrationError when no lock was to be had in
    `attempts`, about three seconds each.
    """
    engine = _engine(url)
    with _alone(engine, another_job_seconds):
        _limit_role(engine)
        for attempt in range(1, attempts + 1):
            try:
                return _upgrade(engine, folder)
            except OperationalError as error:
                if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                    raise
            log.warning("migration_got_no_lock", attempt=attempt, attempts=attempts)
            if attempt < attempts:
                time.sleep(PAUSE_SECONDS)
    raise MigrationError(
        f"A migration got no lock in {attempts} attempts, because a long transaction holds what it changes. "
        "Nothing of it was done: end that transaction (pg_stat_activity shows it) and run the job again."
    )


def config(folder: Path, engine: Engine) -> Config:
    """What Alembic's own commands take."""
    made = Config(attributes={"engine": engine})
    made.set_main_option("script_location", str(folder).replace("%", "%%"))
    return made


def run(metadata: MetaData) -> None:
    """What a room's `migrations/env.py` calls."""
    with context.config.attributes["engine"].connect() as connection:
        # One transaction for each step, so that none holds its locks while the next one works.
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


def _engine(url: str) -> Engine:
    # An index that is made CONCURRENTLY, outside any transaction, takes as long as it takes.
    options = startup_options(url, {"statement_timeout": "0"})
    # By psycopg and not by SQLAlchemy's URL, which has no place for several hosts.
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, connect_timeout=CONNECT_SECONDS, prepare_threshold=None, options=options),
        poolclass=pool.NullPool,
    )

    @event.listens_for(engine, "begin")
    def _give_up_soon(connection: Connection) -> None:
        # For the transaction only: a pooler may give the connection to somebody else after it.
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))

    return engine


@contextmanager
def _alone(engine: Engine, seconds: float) -> Iterator[None]:
    """Holds a lock by a transaction of its own, which a pooler does not take apart. Raises MigrationError.

    Asked without a parameter, because PostgreSQL would keep a snapshot for such a question until the transaction ends,
    and CREATE INDEX CONCURRENTLY waits for whoever has an older one.
    """
    deadline = time.monotonic() + seconds
    while True:
        with engine.begin() as connection:
            if connection.scalar(text(f"SELECT pg_try_advisory_xact_lock({_ONE_JOB})")):
                yield
                return
        if time.monotonic() > deadline:
            raise MigrationError(f"Another job has been migrating this database for {seconds:.0f} s.")
        log.info("migration_waits_for_another_job")
        time.sleep(PAUSE_SECONDS / 4)


def _limit_role(engine: Engine) -> None:
    """Gives the role the limits that connections ask for as they start, because a pooler does not pass these on."""
    with engine.begin() as connection:
        for name, value in LIMITS.items():
            connection.execute(
                text(
                    "DO $$ BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET "
                    f"{name} = %L', current_database(), '{value}'); END $$"
                )
            )


def _upgrade(engine: Engine, folder: Path) -> None:
    settings = config(folder, engine)
    scripts = ScriptDirectory.from_config(settings)
    head = scripts.get_current_head() or ""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision() or ""
    # Revisions are numbers of four digits, so they compare as text.
    if current > head:
        log.info("database_is_newer", database=current, release=head)
        return
    command.upgrade(settings, "head")
