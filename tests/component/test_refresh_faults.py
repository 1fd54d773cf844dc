"""No fault between a refresh and its reply signs anybody out."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest
from psycopg import Connection
from urllib3.exceptions import HTTPError

from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

GENERATION = "SELECT generation FROM sessions WHERE account_id = %s"


def test_fifty_refreshes_at_once_are_one_rotation_and_one_successor(phone: Phone, auth_sql: Connection) -> None:
    spent = phone.refresh_token
    phones = [Phone(phone.api, email=phone.email) for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda one: one.refresh(spent), phones))
    assert [answer.status for answer in answers] == [200] * 50
    assert len({answer.data["refresh_token"] for answer in answers}) == 1
    assert auth_sql.execute(GENERATION, (phone.user["id"],)).fetchone() == (1,)


def test_a_database_that_gives_no_answer_costs_a_503_and_the_old_token_still_works(stack: Stack, phone: Phone) -> None:
    with psycopg.connect(stack.database_url("auth")) as blocker:
        blocker.execute("SELECT 1 FROM sessions WHERE account_id = %s FOR UPDATE", (phone.user["id"],))
        answer = phone.refresh()
        assert (answer.status, answer.error_code) == (503, "SRV_503")
        assert int(answer.headers["Retry-After"]) >= 1
    assert phone.refresh().status == 200


def test_auth_killed_between_commit_and_reply_is_a_lost_reply(stack: Stack, phone: Phone, auth_sql: Connection) -> None:
    spent = phone.refresh_token

    def refresh_and_lose_the_reply() -> None:
        with suppress(HTTPError):
            phone.api.post("/v1/auth/refresh", {"refresh_token": spent})

    request = threading.Thread(target=refresh_and_lose_the_reply)
    with psycopg.connect(stack.database_url("auth")) as blocker:
        # Held back in the transaction, so that the kill comes as close to the commit as can be.
        blocker.execute("SELECT 1 FROM sessions WHERE account_id = %s FOR UPDATE", (phone.user["id"],))
        request.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE sessions%'"
        )
        eventually(lambda: auth_sql.execute(waiting).fetchone() != (0,))
    eventually(lambda: auth_sql.execute(GENERATION, (phone.user["id"],)).fetchone() == (1,))
    stack.processes["auth"].kill()
    request.join()
    stack.processes["auth"].start()
    stack.processes["auth"].wait_ready(30)
    answer = phone.refresh(spent)
    assert answer.status == 200
    assert auth_sql.execute(GENERATION, (phone.user["id"],)).fetchone() == (1,)


def test_a_session_expires_at_the_very_second_that_was_announced(phone: Phone, auth_sql: Connection) -> None:
    announced = phone.refresh().data["refresh_token_expires_at"]
    stored = auth_sql.execute(
        "SELECT extract(epoch FROM idle_expires_at) FROM sessions WHERE account_id = %s", (phone.user["id"],)
    )
    assert stored.fetchone() == (announced,)


def test_a_session_is_refused_from_its_expiry_on_and_taken_until_then(phone: Phone, auth_sql: Connection) -> None:
    set_expiry = "UPDATE sessions SET idle_expires_at = now() + %s * interval '1 second' WHERE account_id = %s"
    auth_sql.execute(set_expiry, (30, phone.user["id"]))
    assert phone.refresh().status == 200
    auth_sql.execute(set_expiry, (0, phone.user["id"]))
    assert phone.refresh().error_code == "AUTH_005"


def test_a_session_does_not_outlive_its_greatest_age_however_often_it_is_used(
    phone: Phone, auth_sql: Connection
) -> None:
    auth_sql.execute(
        "UPDATE sessions SET absolute_expires_at = date_trunc('second', now()) + interval '10 s' WHERE account_id = %s",
        (phone.user["id"],),
    )
    data = phone.refresh().data
    absolute = auth_sql.execute(
        "SELECT extract(epoch FROM absolute_expires_at) FROM sessions WHERE account_id = %s", (phone.user["id"],)
    ).fetchone()
    assert absolute == (data["refresh_token_expires_at"],)
    assert data["access_token_expires_at"] == data["refresh_token_expires_at"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE sessions SET ended_at = now(), end_reason = 'logout' WHERE account_id = %s", "AUTH_003"),
        ("UPDATE accounts SET disabled_at = now() WHERE id = %s", "AUTH_007"),
    ],
)
def test_a_replay_after_the_end_resurrects_nothing(
    phone: Phone, auth_sql: Connection, statement: str, code: str
) -> None:
    first = phone.refresh_token
    phone.refresh()
    auth_sql.execute(statement.encode(), (phone.user["id"],))
    assert phone.refresh(first).error_code == code
    assert phone.refresh().error_code == code
    assert auth_sql.execute(GENERATION, (phone.user["id"],)).fetchone() == (1,)


def test_a_disabled_account_that_is_enabled_again_finds_its_session(
    phone: Phone, auth_sql: Connection, new_phone: Callable[[], Phone]
) -> None:
    auth_sql.execute("UPDATE accounts SET disabled_at = now() WHERE id = %s", (phone.user["id"],))
    assert phone.refresh().error_code == "AUTH_007"
    auth_sql.execute("UPDATE accounts SET disabled_at = NULL WHERE id = %s", (phone.user["id"],))
    assert phone.refresh().status == 200
