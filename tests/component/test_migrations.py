"""Migrations go up and down with data in the tables, one job at a time, and never make anybody wait for long."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Engine, MetaData, create_engine, func, select, text
from sqlalchemy.pool import NullPool

from services.auth import migrations as auth_migrations
from services.users import migrations as users_migrations
from shared import migrations
from shared.migrations import MigrationError, migrate
from tests.support.databases import empty_database
from tests.support.waiting import eventually
from tools.process import ROOT
from tools.stack import Stack

FOLDERS = {"auth": auth_migrations.FOLDER, "users": users_migrations.FOLDER}
ROOMS = sorted(FOLDERS)
SAMPLE = '''"""A sample."""

from alembic import op

revision = "{revision}"
down_revision = {before!r}


def upgrade() -> None:
    op.execute("{statement}")


def downgrade() -> None:
    pass
'''


@pytest.fixture(params=ROOMS)
def room(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(stack: Stack, room: str) -> Iterator[str]:
    with empty_database(stack, room) as url:
        yield url


@pytest.fixture
def notes(stack: Stack) -> Iterator[str]:
    """A database with one table."""
    with empty_database(stack, "auth") as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE notes (text text)")
        yield url


@pytest.fixture
def samples(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with one migration for each statement."""

    def make(*statements: str) -> Path:
        (tmp_path / "versions").mkdir(exist_ok=True)
        (tmp_path / "env.py").write_text(
            "from sqlalchemy import MetaData\nfrom shared.migrations import run\n\nrun(MetaData())\n"
        )
        for number, statement in enumerate(statements, 1):
            before = f"{number - 1:04}" if number > 1 else None
            text = SAMPLE.format(revision=f"{number:04}", before=before, statement=statement)
            (tmp_path / "versions" / f"{number:04}_sample.py").write_text(text)
        return tmp_path

    return make


def engine_for(url: str) -> Engine:
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)


def shape(engine: Engine) -> list[tuple[object, ...]]:
    """Every column, index, constraint, trigger and function of a database."""
    with engine.connect() as connection:
        return [
            tuple(row)
            for statement in (
                "SELECT table_name, column_name, data_type, is_nullable, column_default"
                " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
                "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'",
                "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
                "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
            )
            for row in sorted(connection.exec_driver_sql(statement), key=str)
        ]


def fill(engine: Engine) -> dict[str, int]:
    """Puts a row into every table; how many rows each has."""
    metadata = MetaData()
    metadata.reflect(engine)
    tables = [table for table in metadata.sorted_tables if table.name != "alembic_version"]
    with engine.begin() as connection:
        for table in tables:
            made = [column for column in table.columns if column.server_default is None and column.identity is None]
            connection.execute(table.insert().values({column: sample(connection, column) for column in made}))
        return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def sample(connection: Connection, column: Column[Any]) -> Any:
    """A value that the column takes; each call makes another one."""
    for key in column.foreign_keys:
        return connection.scalar(select(func.max(key.column)))
    kind = column.type.python_type
    made: dict[type, Any] = {
        str: uuid.uuid4().hex,
        bytes: uuid.uuid4().bytes,
        uuid.UUID: uuid.uuid4(),
        datetime: datetime.now(UTC),
        object: {},
    }
    return made[kind] if kind in made else kind(uuid.uuid4().int % 1_000_000)


def counts(engine: Engine, tables: Iterable[str]) -> dict[str, int]:
    with engine.connect() as connection:
        return {name: connection.scalar(select(func.count()).select_from(text(name))) or 0 for name in tables}


def test_the_models_are_what_the_migrations_make(empty: str, room: str) -> None:
    migrate(FOLDERS[room], empty)
    metadata = import_module(f"services.{room}.models").Base.metadata
    with engine_for(empty).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_every_file_is_named_after_its_revision_and_follows_the_one_before(room: str) -> None:
    settings = migrations.config(FOLDERS[room], engine_for(""))
    scripts = list(reversed(list(ScriptDirectory.from_config(settings).walk_revisions())))
    numbers = [f"{number:04}" for number in range(1, len(scripts) + 1)]
    assert [script.revision for script in scripts] == numbers
    assert [Path(script.path).name[:5] for script in scripts] == [f"{number}_" for number in numbers]


def test_every_migration_goes_down_and_up_again_with_data_in_the_tables(empty: str, room: str) -> None:
    engine = engine_for(empty)
    settings = migrations.config(FOLDERS[room], engine)
    before: dict[str, int] = {}
    for script in reversed(list(ScriptDirectory.from_config(settings).walk_revisions())):
        older = shape(engine)
        command.upgrade(settings, script.revision)
        assert counts(engine, before) == before, f"{script.revision} loses rows"
        newer = shape(engine)
        filled = fill(engine)
        command.downgrade(settings, script.down_revision or "base")  # type: ignore[arg-type]
        assert shape(engine) == older, f"{script.revision} leaves something behind"
        kept = {name: rows for name, rows in filled.items() if name in before}
        assert counts(engine, kept) == kept, f"{script.revision} loses rows on its way down"
        command.upgrade(settings, script.revision)
        assert shape(engine) == newer
        before = fill(engine)
    assert before


def test_nobody_waits_long_behind_a_migration_which_tries_until_it_has_its_lock(
    notes: str, samples: Callable[..., Path]
) -> None:
    folder = samples("ALTER TABLE notes ADD COLUMN author text")
    with psycopg.connect(notes) as long, psycopg.connect(notes, autocommit=True) as reader:
        long.execute("SELECT * FROM notes")
        job = threading.Thread(target=migrate, args=(folder, notes))
        job.start()
        try:
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER%'"
            eventually(lambda: reader.execute(waiting).fetchone())
            reader.execute("SET statement_timeout = '2s'")
            reader.execute("SELECT * FROM notes")
        finally:
            long.rollback()
            job.join()
        assert reader.execute("SELECT author FROM notes").fetchall() == []


def test_a_migration_that_gets_no_lock_says_so_and_what_was_done_stays(
    notes: str, samples: Callable[..., Path]
) -> None:
    folder = samples("CREATE TABLE first ()", "ALTER TABLE notes ADD COLUMN author text")
    with psycopg.connect(notes) as long:
        long.execute("SELECT * FROM notes")
        with pytest.raises(MigrationError, match=r"no lock in 1 attempts.*long transaction"):
            migrate(folder, notes, attempts=1)
        assert long.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    migrate(folder, notes)


def test_jobs_that_run_at_once_do_each_step_once(notes: str, samples: Callable[..., Path]) -> None:
    # Slow enough that the others come while the first one works.
    migrate(samples("CREATE TABLE first ()"), notes)
    folder = samples("CREATE TABLE first ()", "INSERT INTO notes SELECT 'once' FROM pg_sleep(2)")
    program = (
        "import pathlib, sys; from shared.migrations import migrate; migrate(pathlib.Path(sys.argv[1]), sys.argv[2])"
    )
    jobs = [
        subprocess.Popen([sys.executable, "-c", program, folder, notes], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [(job.communicate(timeout=60)[1], job.returncode) for job in jobs] == [("", 0)] * 3
    with psycopg.connect(notes) as connection:
        assert connection.execute("SELECT * FROM notes").fetchall() == [("once",)]


def test_a_job_does_not_wait_for_ever_for_another_one(notes: str, samples: Callable[..., Path]) -> None:
    with psycopg.connect(notes) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (migrations._ONE_JOB,))
        with pytest.raises(MigrationError, match="Another job has been migrating this database for 1 s"):
            migrate(samples("CREATE TABLE first ()"), notes, another_job_seconds=1)


def test_the_job_of_an_older_release_leaves_a_newer_database_alone(notes: str, samples: Callable[..., Path]) -> None:
    migrate(samples("CREATE TABLE first ()", "CREATE TABLE second ()"), notes)
    (samples() / "versions" / "0002_sample.py").unlink()
    migrate(samples(), notes)
    with psycopg.connect(notes) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0002",)
