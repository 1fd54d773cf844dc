"""A sign-up that is repeated with its key proves as much as any sign-in, and opens no more than it must."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from tests.support.http import Answer
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

SESSIONS = "SELECT count(*) FROM sessions JOIN accounts ON accounts.id = account_id WHERE email = %s"

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


class Repeater:
    """A phone that lost the reply to its sign-up."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.key = str(uuid.uuid4())
        self.first = self.sign_up().data

    def sign_up(self, **change: Any) -> Answer:
        form = {**self.phone.credentials, "name": "John Doe", **change}
        return self.phone.api.post("/v1/auth/signup", form, headers={"Idempotency-Key": self.key})


@pytest.fixture
def repeater(new_phone: Any) -> Repeater:
    return Repeater(new_phone())


def sessions_of(repeater: Repeater, auth_sql: Connection) -> int:
    row = auth_sql.execute(SESSIONS, (repeater.phone.email,)).fetchone()
    assert row
    return int(row[0])


def test_the_same_sign_up_again_gets_the_same_session(repeater: Repeater, auth_sql: Connection) -> None:
    again = repeater.sign_up().data
    assert again["user"] == repeater.first["user"]
    assert again["refresh_token"] == repeater.first["refresh_token"]
    assert sessions_of(repeater, auth_sql) == 1


def test_a_disabled_account_gets_no_tokens_by_repeating_its_sign_up(repeater: Repeater, auth_sql: Connection) -> None:
    auth_sql.execute("UPDATE accounts SET disabled_at = now() WHERE email = %s", (repeater.phone.email,))
    assert repeater.sign_up().error_code == "AUTH_007"
    assert sessions_of(repeater, auth_sql) == 1


def test_a_wrong_password_opens_no_session_and_ends_none(repeater: Repeater, auth_sql: Connection) -> None:
    repeater.phone.api.post("/v1/auth/logout", {}, token=repeater.first["access_token"])
    for attempt in range(4):
        refused = repeater.sign_up(password=f"not the password {attempt}")
        assert refused.error_code in {"VAL_010", "AUTH_429"}
    assert sessions_of(repeater, auth_sql) == 1
    failed = "SELECT count(*) FROM audit_events WHERE event = 'sign_in_failed' AND account_id = %s"
    assert auth_sql.execute(failed, (repeater.first["user"]["id"],)).fetchone() == (4,)


def test_after_a_day_a_key_is_a_new_one(repeater: Repeater, auth_sql: Connection) -> None:
    older = "UPDATE signup_keys SET created_at = now() - %s * interval '1 hour' WHERE key = %s"
    auth_sql.execute(older, (23, repeater.key))
    assert repeater.sign_up().status == 201
    auth_sql.execute(older, (25, repeater.key))
    assert repeater.sign_up().error_code == "AUTH_002"


def test_a_key_is_no_way_round_the_brakes(repeater: Repeater) -> None:
    codes = [repeater.sign_up(password=f"not the password {attempt}").error_code for attempt in range(30)]
    assert codes[0] == "VAL_010"
    assert codes[-1] == "AUTH_429"


def test_a_key_that_is_sent_twice_at_once_makes_one_account_and_two_answers(
    stack: Stack, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    phone, key = new_phone(), {"Idempotency-Key": str(uuid.uuid4())}
    with ThreadPoolExecutor(2) as taps, psycopg.connect(stack.database_url("auth")) as blocker:
        # Nobody gets further than to the insertion before both have come so far as they can.
        blocker.execute("LOCK TABLE accounts IN SHARE MODE")
        answers = [taps.submit(phone.api.post, "/v1/auth/signup", phone.credentials, headers=key) for _ in range(2)]
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (2,))
        blocker.rollback()
        assert [answer.result().status for answer in answers] == [201, 201]


@pytest.mark.parametrize("end", ["ended_at = now(), end_reason = 'logout'", "idle_expires_at = now()"])
def test_when_the_session_is_over_one_new_session_takes_its_place(
    repeater: Repeater, auth_sql: Connection, end: str
) -> None:
    auth_sql.execute(f"UPDATE sessions SET {end} WHERE account_id = %s".encode(), (repeater.first["user"]["id"],))
    again = [repeater.sign_up().data for _ in range(3)]
    assert len({data["refresh_token"] for data in again}) == 1
    assert sessions_of(repeater, auth_sql) == 2
    assert repeater.phone.api.get("/v1/users/me", token=again[-1]["access_token"]).status == 200
