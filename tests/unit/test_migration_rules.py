"""A migration leaves the release before it working and nobody waiting: squawk reads what it says to PostgreSQL."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from tests.support.next_release import next_release, sql_of
from tools.process import ROOT

SQUAWK = Path(sys.executable).with_name("squawk")
# Up to here nobody had a database that had to go on working.
BEFORE_THE_FIRST_RELEASE = {"auth": "0004", "users": "0001"}
# The job sets the first two for every migration.
NOT_ASKED = ("require-lock-timeout", "require-statement-timeout")
# What a migration may do that says `contract = "why nobody needs it any more"`.
TAKING_AWAY = ("ban-drop-column", "ban-drop-table")


def scripts_in(folder: Path) -> list[Script]:
    settings = Config()
    settings.set_main_option("script_location", str(folder))
    return list(reversed(list(ScriptDirectory.from_config(settings).walk_revisions())))


def in_one_transaction(statements: str) -> str:
    return f"BEGIN; {statements}; COMMIT;"


def complaints(sql: str, *, contract: bool = False) -> set[str]:
    left_out = NOT_ASKED + (TAKING_AWAY if contract else ())
    options = ["--reporter=json", "--pg-version=18", f"--exclude={','.join(left_out)}"]
    said = subprocess.run([SQUAWK, *options], input=sql, capture_output=True, text=True, check=False)
    return {complaint["rule_name"] for complaint in json.loads(said.stdout)}


def complaints_about(script: Script) -> set[str]:
    return complaints(sql_of(script), contract=bool(getattr(script.module, "contract", "")))


@pytest.mark.parametrize("room", ["auth", "users"])
def test_every_migration_can_run_while_the_release_before_it_serves(room: str) -> None:
    scripts = scripts_in(ROOT / "services" / room / "migrations")
    assert BEFORE_THE_FIRST_RELEASE[room] in {script.revision for script in scripts}
    new = [script for script in scripts if script.revision > BEFORE_THE_FIRST_RELEASE[room]]
    assert {script.path: found for script in new if (found := complaints_about(script))} == {}


@pytest.mark.parametrize("room", ["auth", "users"])
def test_what_the_next_release_is_shown_to_do_is_allowed(room: str, tmp_path: Path) -> None:
    head = scripts_in(ROOT / "services" / room / "migrations")[-1].revision
    new = [script for script in scripts_in(next_release(room, head, tmp_path)) if script.revision > head]
    assert new
    assert {script.path: found for script in new if (found := complaints_about(script))} == {}


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE sessions DROP COLUMN device_type", "ban-drop-column"),
        ("DROP TABLE sessions", "ban-drop-table"),
        ("ALTER TABLE sessions RENAME COLUMN device_type TO kind", "renaming-column"),
        ("ALTER TABLE sessions RENAME TO sign_ins", "renaming-table"),
        ("ALTER TABLE sessions ADD COLUMN colour text NOT NULL", "adding-required-field"),
        ("ALTER TABLE sessions ALTER COLUMN colour SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE sessions ALTER COLUMN generation TYPE bigint", "changing-column-type"),
        ("CREATE INDEX colours ON sessions (colour)", "require-concurrent-index-creation"),
        ("ALTER TABLE sessions ADD CONSTRAINT said CHECK (colour <> '')", "constraint-missing-not-valid"),
        ("ALTER TABLE sessions ADD CONSTRAINT one UNIQUE (colour)", "disallowed-unique-constraint"),
    ],
)
def test_what_would_break_or_block_the_release_before_is_noticed(statement: str, rule: str) -> None:
    assert rule in complaints(in_one_transaction(statement))


def test_a_contract_may_take_away_but_not_block() -> None:
    said = "ALTER TABLE sessions DROP COLUMN device_type; ALTER TABLE sessions ALTER COLUMN generation TYPE bigint"
    assert complaints(in_one_transaction(said), contract=True) == {"changing-column-type"}
