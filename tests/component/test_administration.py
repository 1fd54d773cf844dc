"""What an operator does with `python -m services.auth accounts …`."""

import os
import pty
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest
from psycopg import Connection

from tests.support.command import Operator
from tests.support.phone import Phone, new_email
from tests.support.waiting import eventually
from tools.process import ROOT
from tools.stack import Stack

NEW_PASSWORD = "quite another winding road 7"
ENDED = "SELECT end_reason FROM sessions WHERE account_id = %s AND ended_at IS NOT NULL"


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Operator:
    return Operator(stack)


def dies_within_a_second(phone: Phone) -> None:
    eventually(lambda: phone.get("/v1/users/me").status == 401, seconds=1)
    assert phone.get("/v1/users/me").error_code == "AUTH_003"


def reasons(auth_sql: Connection, phone: Phone) -> list[str]:
    return [reason for (reason,) in auth_sql.execute(ENDED, (phone.user["id"],))]


def test_an_operator_sees_an_account_and_where_it_is_signed_in(operator: Operator, phone: Phone) -> None:
    Phone(phone.api, email=phone.email).sign_in().log_out()
    shown = operator.ask("accounts", "show", f"  {phone.email.upper()} ")
    assert (shown["id"], shown["email"], shown["disabled_at"]) == (phone.user["id"], phone.email, None)
    assert (shown["live_sessions"], shown["ended_sessions"]) == (1, 1)
    assert [session["device_type"] for session in shown["sessions"]] == ["Android"]
    table = operator.do("accounts", "show", phone.email)
    assert phone.email in table
    assert shown["sessions"][0]["id"] in table
    assert "argon2" not in table
    assert "secret" not in table


def test_a_disabled_account_is_out_within_a_second_and_stays_out_until_it_is_enabled(
    operator: Operator, phone: Phone, auth_sql: Connection
) -> None:
    assert phone.get("/v1/users/me").status == 200
    assert operator.ask("accounts", "disable", phone.email) == {"ended_sessions": 1}
    dies_within_a_second(phone)
    assert phone.refresh().error_code == "AUTH_007"
    assert phone.api.post("/v1/auth/login", phone.credentials).error_code == "AUTH_007"
    assert reasons(auth_sql, phone) == ["disabled"]
    assert operator.ask("accounts", "disable", phone.email) == {"ended_sessions": 0}

    operator.do("accounts", "enable", phone.email)
    assert phone.refresh().error_code == "AUTH_003"
    assert phone.sign_in().get("/v1/users/me").status == 200


def test_ending_sessions_signs_out_everywhere_and_lets_sign_in_again(
    operator: Operator, phone: Phone, auth_sql: Connection
) -> None:
    tablet = Phone(phone.api, email=phone.email).sign_in()
    bystander = Phone(phone.api).sign_up()
    for device in (phone, tablet):
        assert device.get("/v1/users/me").status == 200
    assert "sessions ended: 2." in operator.do("accounts", "end-sessions", phone.email)
    dies_within_a_second(phone)
    dies_within_a_second(tablet)
    assert reasons(auth_sql, phone) == ["ended_by_operator"] * 2
    assert bystander.get("/v1/users/me").status == 200
    assert phone.sign_in().get("/v1/users/me").status == 200


def test_a_new_password_from_standard_input_signs_out_everywhere(
    operator: Operator, phone: Phone, auth_sql: Connection
) -> None:
    answer = operator.ask("accounts", "set-password", phone.email, typed=f"{NEW_PASSWORD}\n")
    assert answer == {"ended_sessions": 1}
    dies_within_a_second(phone)
    assert reasons(auth_sql, phone) == ["password_changed"]
    assert phone.api.post("/v1/auth/login", phone.credentials).error_code == "AUTH_001"
    phone.password = NEW_PASSWORD
    assert phone.sign_in().get("/v1/users/me").status == 200


@pytest.mark.parametrize(("command", "typed"), [("set-password", f"{NEW_PASSWORD}\n"), ("end-sessions", "")])
def test_a_thiefs_device_is_no_known_one_after_the_operator_has_thrown_it_out(
    operator: Operator, phone: Phone, auth_sql: Connection, command: str, typed: str
) -> None:
    known = "SELECT count(*) FROM known_devices WHERE account_id = %s"
    bystander = Phone(phone.api).sign_up()
    phone.push_token = "a push token of the thief's"
    phone.sign_in()
    assert auth_sql.execute(known, (phone.user["id"],)).fetchone() == (2,)
    operator.do("accounts", command, phone.email, typed=typed)
    assert auth_sql.execute(known, (phone.user["id"],)).fetchone() == (0,)
    assert auth_sql.execute(known, (bystander.user["id"],)).fetchone() != (0,)


def set_password_in_a_terminal(stack: Stack, phone: Phone, *typed: str) -> tuple[int, bytes]:
    """Types a new password at each prompt; the exit code and what was to be seen."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "services.auth", "accounts", "set-password", phone.email]
    # Without a terminal of its own, or it would ask at that of whoever runs the tests.
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=stack.environment("auth"),
        start_new_session=True,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        seen = b""
        for prompt, password in zip((b"New password: ", b"Again: "), typed, strict=True):
            while not seen.endswith(prompt):
                seen += os.read(leader, 1024)
            os.write(leader, f"{password}\n".encode())
        # Linux answers with an error when nobody is at the other end any more.
        with suppress(OSError):
            while True:
                seen += os.read(leader, 1024)
        code = process.wait(20)
    os.close(leader)
    return code, seen


def test_a_password_typed_in_a_terminal_is_asked_twice_and_not_shown(stack: Stack, phone: Phone) -> None:
    code, seen = set_password_in_a_terminal(stack, phone, NEW_PASSWORD, NEW_PASSWORD)
    assert code == 0
    assert b"sessions ended: 1." in seen
    assert NEW_PASSWORD.encode() not in seen
    phone.password = NEW_PASSWORD
    phone.sign_in()


def test_a_password_that_was_mistyped_in_a_terminal_is_refused_and_nobody_signed_out(
    stack: Stack, phone: Phone
) -> None:
    code, seen = set_password_in_a_terminal(stack, phone, NEW_PASSWORD, NEW_PASSWORD + "8")
    assert code == 1
    assert b"The two passwords differ." in seen
    assert phone.refresh().status == 200
    phone.sign_in()


@pytest.mark.parametrize("password", ["short", "password1234", "x" * 129, ""])
def test_a_password_that_nobody_could_sign_up_with_is_refused_and_nobody_signed_out(
    operator: Operator, phone: Phone, password: str
) -> None:
    refused = operator.try_to("accounts", "set-password", phone.email, typed=f"{password}\n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
    assert phone.refresh().status == 200


@pytest.mark.parametrize(
    "words",
    [("accounts", "show"), ("accounts", "disable"), ("accounts", "enable"), ("accounts", "end-sessions"), ("audit",)],
)
def test_an_unknown_email_is_one_sentence_and_exit_code_1(operator: Operator, words: tuple[str, ...]) -> None:
    email = new_email()
    refused = operator.try_to(*words, email)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"There is no account with the email {email}.\n"


def test_what_is_no_email_is_one_sentence_and_exit_code_1(operator: Operator) -> None:
    refused = operator.try_to("accounts", "show", "john")
    assert (refused.returncode, refused.stderr) == (1, "john is not an email address.\n")


def test_a_database_that_is_away_is_one_sentence_and_exit_code_1(stack: Stack) -> None:
    away = Operator(stack, DATABASE_URL="postgresql://x:y@127.0.0.1:1/x")
    refused = away.try_to("accounts", "show", "john@example.com")
    assert (refused.returncode, refused.stderr) == (1, "Nothing was done: the database did not answer\n")


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/signup"], ids=["signing in", "signing up again"])
@pytest.mark.parametrize("column", ["disabled_at", "password_changed_at"])
def test_a_sign_in_under_way_does_not_slip_past_a_lock_or_a_new_password(
    stack: Stack, new_phone: Callable[[], Phone], auth_sql: Connection, path: str, column: str
) -> None:
    """The operator's transaction is open while somebody signs in; what it changes is true when the session opens."""
    phone, key = new_phone(), {"Idempotency-Key": str(uuid.uuid4())} if path.endswith("signup") else {}
    account = phone.api.post("/v1/auth/signup", phone.credentials, headers=key).data["user"]["id"]
    answers: list[str] = []
    with psycopg.connect(stack.database_url("auth")) as operators:
        operators.execute(f"UPDATE accounts SET {column} = now() WHERE id = %s".encode(), (account,))
        operators.execute("UPDATE sessions SET ended_at = now(), end_reason = 'x' WHERE account_id = %s", (account,))
        sign_in = threading.Thread(
            target=lambda: answers.append(phone.api.post(path, phone.credentials, headers=key).error_code)
        )
        sign_in.start()
        eventually(lambda: _waits_for_a_lock(auth_sql))
        operators.commit()
        sign_in.join()
    assert answers == ["AUTH_007" if column == "disabled_at" else "AUTH_001"]


def _waits_for_a_lock(auth_sql: Connection) -> bool:
    waiting = auth_sql.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return waiting is not None and waiting[0] > 0
