"""What an operator does twice, badly, or while somebody signs in does no harm."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import Connection

from tests.support.command import Operator
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

# Only one command reads it.
NEW_PASSWORD = "quite another winding road 7\n"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
# As a sign-in does, of which the rest is still to come.
LOCK_ACCOUNT = "SELECT 1 FROM accounts WHERE id = %s FOR NO KEY UPDATE"
OPEN_SESSION = """
    INSERT INTO sessions (account_id, secret, device_type, idle_expires_at, absolute_expires_at)
    VALUES (%s, '', 'iOS', now() + interval '1 day', now() + interval '1 day')
"""


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Operator:
    return Operator(stack)


@pytest.mark.parametrize("command", ["end-sessions", "disable", "set-password"])
def test_a_session_that_is_being_opened_is_ended_too(
    stack: Stack, operator: Operator, phone: Phone, auth_sql: Connection, command: str
) -> None:
    account = phone.user["id"]
    with ThreadPoolExecutor(1) as pool, psycopg.connect(stack.database_url("auth")) as sign_in:
        sign_in.execute(LOCK_ACCOUNT, (account,))
        sign_in.execute(OPEN_SESSION, (account,))
        answer = pool.submit(operator.ask, "accounts", command, phone.email, typed=NEW_PASSWORD)
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (1,))
        sign_in.commit()
        assert answer.result() == {"ended_sessions": 2}


def test_disabling_or_enabling_again_changes_nothing(operator: Operator, phone: Phone, auth_sql: Connection) -> None:
    def disabled_at() -> object:
        [row] = auth_sql.execute("SELECT disabled_at FROM accounts WHERE id = %s", (phone.user["id"],)).fetchall()
        return row[0]

    operator.do("accounts", "disable", phone.email)
    since = disabled_at()
    operator.do("accounts", "disable", phone.email)
    assert since
    assert disabled_at() == since
    for _ in range(2):
        operator.do("accounts", "enable", phone.email)
    assert disabled_at() is None
    told = [event["event"] for event in operator.ask("audit", phone.email)]
    assert told.count("account_disabled") == told.count("account_enabled") == 1


def test_a_password_that_is_the_persons_own_email_is_refused(operator: Operator, phone: Phone) -> None:
    own = phone.email.partition("@")[0]
    refused = operator.try_to("accounts", "set-password", phone.email, typed=f"{own}1\n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "This password is too common or too close to the email.\n"
    assert phone.refresh().status == 200


def test_of_an_account_all_events_are_told_however_many_are_asked_for(operator: Operator, phone: Phone) -> None:
    [event] = operator.ask("audit", phone.email, "--limit=99999999999999999999")
    assert event["event"] == "sign_up"


@pytest.mark.parametrize("limit", ["0", "-3"])
def test_of_an_account_at_least_the_last_event_is_told(operator: Operator, phone: Phone, limit: str) -> None:
    assert [event["event"] for event in operator.ask("audit", phone.email, f"--limit={limit}")] == ["sign_up"]
