"""What stands in a backup never runs with more rights than the service that it belongs to."""

import os
import subprocess
import tarfile
from pathlib import Path

import psycopg
import pytest

from tests.support.backups import data_dir_of, new_data_dir, run, with_part
from tools.process import ROOT
from tools.stack import Ports, Stack

# A superuser's COPY would run it, in the folder of the server.
RUN = "RESET ROLE; COPY (SELECT 1) TO PROGRAM 'touch ran';"
TRY_TO_RUN = f"""
    CREATE FUNCTION try_to_run() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN {RUN} RETURN true; EXCEPTION WHEN insufficient_privilege THEN RETURN true; END $$;
    CREATE FUNCTION try_to_run_when_triggered() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.try_to_run(); RETURN NULL; END $$;
"""
KEY = b"ALTER TABLE ONLY public.profiles\n    ADD CONSTRAINT profiles_pkey PRIMARY KEY (id);"


@pytest.fixture(scope="module")
def file(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the running stack."""
    made = tmp_path_factory.mktemp("backup") / "today.latchkey"
    finished = run("backup", made, data_dir=data_dir_of(stack))
    assert finished.returncode == 0, finished.stderr
    return made


def test_a_file_that_somebody_without_the_keys_changed_is_refused_and_nothing_of_it_runs(
    stack: Stack, file: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.latchkey"
    with_part(file, changed, "latchkey_users.dump", KEY, RUN.ljust(len(KEY) - 2).encode() + b"--")
    seal_with(changed, KEY_ENCRYPTION_KEY="guessed", REFRESH_TOKEN_KEY="guessed")
    data_dir = new_data_dir(tmp_path / "data", stack)
    refused = run("restore", changed, data_dir=data_dir)
    assert refused.returncode == 1
    assert refused.stderr == f"{changed} is damaged or was changed: its seal is wrong.\n"
    assert not (data_dir / "postgres" / "ran").exists()


def test_a_services_database_that_was_taken_over_gets_no_further_by_backup_and_restore(
    stack: Stack, file: Path, tmp_path: Path
) -> None:
    data_dir = new_data_dir(tmp_path / "data", stack)
    assert run("restore", file, data_dir=data_dir).returncode == 0
    with Stack(data_dir, Ports.free()) as server:
        server.start(only=["postgres"])
        with psycopg.connect(server.database_url("users")) as users:
            users.execute(TRY_TO_RUN)
            users.execute("CREATE TABLE trap (value int CHECK (public.try_to_run()))")
            users.execute("INSERT INTO trap VALUES (1)")
        with psycopg.connect(server.database_url("auth")) as auth:
            auth.execute(TRY_TO_RUN)
            auth.execute("CREATE TRIGGER trap BEFORE UPDATE ON outbox EXECUTE FUNCTION try_to_run_when_triggered()")
            auth.execute("CREATE TRIGGER trap BEFORE UPDATE ON sessions EXECUTE FUNCTION try_to_run_when_triggered()")

    hostile = tmp_path / "hostile.latchkey"
    assert run("backup", hostile, data_dir=data_dir).returncode == 0
    restored = run("restore", "--overwrite", "--end-sessions", hostile, data_dir=data_dir)
    assert restored.returncode == 0, restored.stderr
    assert not (data_dir / "postgres" / "ran").exists()


def seal_with(file: Path, **keys: str) -> None:
    """Writes the seal anew, as deploy/backup makes it, with these keys."""
    parts = file.with_name("parts")
    with tarfile.open(file) as archive:
        names = archive.getnames()
        archive.extractall(parts, filter="data")
    script = f'. "{ROOT}/deploy/backup-parts" && seal >seal'
    subprocess.run(["sh", "-c", script], cwd=parts, env={**os.environ, **keys}, check=True)
    with tarfile.open(file, "w") as archive:
        for name in names:
            archive.add(parts / name, name)
