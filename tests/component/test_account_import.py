"""Accounts of another system: imported once, with a word about each line, and their owners sign in as before."""

import json
import os
import pty
import subprocess
import sys
import uuid
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from psycopg import Connection
from sqlalchemy import event

from services.auth import import_command
from services.auth.parts import Parts, build_parts
from services.auth.settings import Settings
from shared.strict_json import MAX_DEPTH
from tests.support.http import Api
from tests.support.phone import PASSWORD, Phone
from tests.support.waiting import eventually
from tools.process import ROOT
from tools.stack import Stack

HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
# As the command line does, but ten accounts at a time.
IN_SMALL_BATCHES = """
import sys
from services.auth import __main__, import_command
import_command.BATCH = 10
sys.exit(__main__.main())
"""


class Importer:
    """An operator with a file of accounts."""

    def __init__(self, stack: Stack, folder: Path, auth_sql: Connection) -> None:
        self.file = folder / "accounts.ndjson"
        self.report_file = folder / "report.ndjson"
        self.host = f"{uuid.uuid4().hex}.example"
        self.environment = stack.environment("auth")
        self._sql = auth_sql

    def line(self, local: str, /, **changes: Any) -> dict[str, Any]:
        return {"email": f"{local}@{self.host}", "password_hash": HASH, **changes}

    def write(self, *lines: dict[str, Any] | bytes) -> None:
        self.file.write_bytes(b"".join(line if isinstance(line, bytes) else as_line(line) for line in lines))

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "services.auth", "accounts", "import", str(self.file), *options]
        return subprocess.run(
            [*command, "--report", str(self.report_file)],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def start_in_small_batches(self, source: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", IN_SMALL_BATCHES, "accounts", "import", str(source)]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    @property
    def report(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.report_file.read_text().splitlines()]

    def stored(self) -> tuple[int, int]:
        """How many accounts there are, and how many outbox entries for them."""
        [[accounts, entries]] = self._sql.execute(
            "SELECT count(DISTINCT accounts.id), count(outbox.id) FROM accounts"
            " LEFT JOIN outbox ON account_id = accounts.id WHERE email LIKE %s",
            [f"%@{self.host}"],
        ).fetchall()
        return int(accounts), int(entries)


def as_line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


@pytest.fixture
def importer(stack: Stack, tmp_path: Path, auth_sql: Connection) -> Importer:
    return Importer(stack, tmp_path, auth_sql)


@pytest.fixture
def parts(stack: Stack) -> Iterator[Parts]:
    parts = build_parts(Settings.read(stack.environment("auth")))
    yield parts
    parts.database.engine.dispose()


def test_who_was_imported_signs_in_with_the_old_password_and_finds_the_profile(
    importer: Importer, api: Api, auth_sql: Connection
) -> None:
    jane = importer.line("Jane", name="Jane Doe", phone="9876543210", created_at=1_500_000_000)
    importer.write(jane, importer.line("john", disabled=True), importer.line("jim", name=None))
    done = importer.run()
    assert (done.returncode, done.stdout) == (0, "3 imported\n")
    assert [line["outcome"] for line in importer.report] == ["imported"] * 3
    phone = Phone(api, email=f"jane@{importer.host}").sign_in()
    eventually(lambda: phone.get("/v1/users/me").status == 200)
    profile = phone.get("/v1/users/me").data
    assert (profile["name"], profile["phone"], profile["email"]) == ("Jane Doe", "9876543210", phone.email)
    created = auth_sql.execute(
        "SELECT extract(epoch FROM created_at)::int FROM accounts WHERE email = %s", [phone.email]
    )
    assert created.fetchone() == (1_500_000_000,)
    disabled = Phone(api, email=f"john@{importer.host}")
    assert api.post("/v1/auth/login", disabled.credentials).error_code == "AUTH_007"


def test_a_bad_line_is_told_with_its_number_and_reason_and_does_not_stop_the_rest(importer: Importer) -> None:
    bad: list[tuple[dict[str, Any] | bytes, str]] = [
        (b"{\n", "not readable as JSON"),
        (b"[]\n", "not a JSON object"),
        (b'{"email": "a@b.example", "email": "c@d.example"}\n', "twice"),
        (b"\xff\xfe\n", "not readable as JSON"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"\n", "nested"),
        (b" " * 70_000 + b"{}\n", "longer than"),
        (importer.line("a", email="nobody"), "email: "),
        (importer.line("b", password_hash="plain text"), "password_hash: the hash is not bcrypt"),
        (importer.line("c", password_hash="scrypt:1073741:8:1$salt$" + "0" * 128), "power of two"),
        (importer.line("d", password_hash="$2b$20$" + "." * 53), "bcrypt cost"),
        (importer.line("e", name=""), "name: "),
        (importer.line("f", phone="call me"), "phone: "),
        (importer.line("g", created_at="yesterday"), "created_at: "),
        (importer.line("h", created_at=-1), "created_at: "),
        (importer.line("i", created_at=9_999_999_999), "created_at: in the future"),
        (importer.line("j", created_at=10**30), "created_at: in the future"),
        (importer.line("k", disabled="perhaps"), "disabled: "),
        (importer.line("l", role="admin"), "role: "),
        ({"email": f"m@{importer.host}"}, "password_hash: "),
    ]
    importer.write(importer.line("first"), *(line for line, _ in bad), b"\n", importer.line("last"))
    done = importer.run()
    assert (done.returncode, done.stdout) == (1, f"2 imported, {len(bad)} refused\n")
    assert importer.stored() == (2, 2)
    first, *refused, last = importer.report
    assert (first["line"], first["email"], first["outcome"]) == (1, f"first@{importer.host}", "imported")
    # The empty line is no account and no mistake.
    assert (last["line"], last["outcome"]) == (len(bad) + 3, "imported")
    for number, (told, (_, reason)) in enumerate(zip(refused, bad, strict=True), start=2):
        assert (told["line"], told["outcome"]) == (number, "refused")
        assert reason in told["reason"]


def test_no_hash_gets_into_the_report_or_onto_the_terminal(importer: Importer) -> None:
    importer.write(importer.line("a"), importer.line("b", password_hash=HASH[:-1]), importer.line("c", name=""))
    done = importer.run()
    told = importer.report_file.read_text() + done.stdout + done.stderr
    assert HASH[:-1] not in told
    assert HASH[7:20] not in told


def test_running_it_again_skips_what_is_there_and_changes_nothing(importer: Importer, api: Api) -> None:
    owner = Phone(api, email=f"owner@{importer.host}").sign_up(name="The Owner")
    importer.write(importer.line("Owner", name="Somebody Else"), importer.line("new"), importer.line("NEW"))
    assert importer.run().stdout == "1 imported, 2 skipped\n"
    assert [line["outcome"] for line in importer.report] == ["skipped", "imported", "skipped"]
    assert importer.report[2]["reason"] == "line 2 has the same email"
    again = importer.run()
    assert (again.returncode, again.stdout) == (0, "3 skipped\n")
    assert importer.stored() == (2, 2)
    owner.sign_in()
    assert owner.get("/v1/users/me").data["name"] == "The Owner"


def test_a_dry_run_says_the_same_and_writes_nothing(importer: Importer, api: Api) -> None:
    Phone(api, email=f"owner@{importer.host}").sign_up()
    importer.write(importer.line("owner"), importer.line("new"), b"{\n")
    done = importer.run("--dry-run")
    assert (done.returncode, done.stdout) == (1, "1 refused, 1 skipped, 1 would be imported\n")
    assert [line["outcome"] for line in importer.report] == ["skipped", "would_be_imported", "refused"]
    assert importer.stored() == (1, 1)


def test_after_a_kill_in_the_middle_the_next_run_imports_the_rest_and_doubles_nothing(importer: Importer) -> None:
    lines = [as_line(importer.line(f"person{number}")) for number in range(45)]
    pipe = importer.file.with_name("pipe")
    os.mkfifo(pipe)
    process = importer.start_in_small_batches(pipe)
    # The third batch is begun and never full.
    with open(pipe, "wb", buffering=0) as source:
        source.write(b"".join(lines[:25]))
        eventually(lambda: importer.stored() == (20, 20))
        process.kill()
        process.communicate()
    importer.write(*lines)
    done = importer.run()
    assert (done.returncode, done.stdout) == (0, "25 imported, 20 skipped\n")
    assert importer.stored() == (45, 45)


def test_an_account_and_its_outbox_entry_are_written_together_or_not_at_all(
    importer: Importer, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    importer.write(importer.line("somebody"))
    arguments = Namespace(file=importer.file, dry_run=False, report=None)
    monkeypatch.setattr("services.auth.account_import._outbox_row", die)
    with pytest.raises(Killed):
        import_command.run(parts, arguments)
    assert importer.stored() == (0, 0)


def test_a_batch_takes_a_few_statements_however_many_lines_it_has(importer: Importer, parts: Parts) -> None:
    importer.write(*(importer.line(f"person{number}") for number in range(100)))
    statements: list[str] = []
    event.listen(parts.database.engine, "before_cursor_execute", lambda *seen: statements.append(seen[2]))
    assert import_command.run(parts, Namespace(file=importer.file, dry_run=False, report=None)) == 0
    assert importer.stored() == (100, 100)
    assert len([statement for statement in statements if statement.startswith("INSERT")]) == 2


def test_a_terminal_shows_how_far_it_is_and_a_file_does_not(importer: Importer) -> None:
    importer.write(*(importer.line(f"person{number}") for number in range(3)))
    assert "Importing" not in importer.run("--dry-run").stderr
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "services.auth", "accounts", "import", str(importer.file)]
    with subprocess.Popen(command, cwd=ROOT, env=importer.environment, stdout=subprocess.DEVNULL, stderr=follower):
        os.close(follower)
        seen = b""
        # Linux answers with an error when nobody is at the other end any more.
        with suppress(OSError):
            while True:
                seen += os.read(leader, 1024)
    os.close(leader)
    assert b"Importing" in seen
    assert b"100%" in seen


def test_a_file_that_is_not_there_is_named(importer: Importer) -> None:
    done = importer.run()
    assert done.returncode == 1
    assert done.stderr == f"{importer.file} can't be opened: No such file or directory\n"
