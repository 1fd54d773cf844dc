"""The clean-up of auth's worker: what expired has ended, what is old is gone, everything else stays."""

import uuid
from collections.abc import Iterator

import pytest
from psycopg import Connection

from services.auth.cleanup import CleanUp
from services.auth.parts import build_parts
from services.auth.settings import Settings
from tests.support.phone import Phone
from tools.stack import Stack

EXPIRE = "UPDATE sessions SET idle_expires_at = now() - interval '1 minute' WHERE account_id = %s"
SESSION = "SELECT end_reason, notification_device_id, ended_at = idle_expires_at FROM sessions WHERE account_id = %s"


class Cleaner:
    """Does a whole round, as the worker does from time to time, or a part of one."""

    def __init__(self, stack: Stack) -> None:
        parts = build_parts(Settings.read(stack.environment("worker")))
        self._database, self._settings = parts.database, parts.settings

    def round(self) -> None:
        clean_up = CleanUp(self._database, self._settings)
        while clean_up.run():
            pass
        assert clean_up.run() == 0, "it rests between two rounds"

    def batch(self) -> None:
        CleanUp(self._database, self._settings).run()

    def close(self) -> None:
        self._database.engine.dispose()


@pytest.fixture
def cleaner(stack: Stack) -> Iterator[Cleaner]:
    cleaner = Cleaner(stack)
    yield cleaner
    cleaner.close()


def test_an_expired_session_has_ended_and_frees_its_push_token(
    cleaner: Cleaner, phone: Phone, auth_sql: Connection
) -> None:
    phone.push_token = f"push-{uuid.uuid4().hex}"
    phone.sign_in()
    bystander = Phone(phone.api).sign_up()
    auth_sql.execute(EXPIRE, (phone.user["id"],))
    cleaner.round()
    assert auth_sql.execute(SESSION, (phone.user["id"],)).fetchall() == [("expired", None, True)] * 2
    assert auth_sql.execute(SESSION, (bystander.user["id"],)).fetchall() == [(None, None, None)]
    told = auth_sql.execute(
        "SELECT details FROM audit_events WHERE account_id = %s AND event = 'session_ended'", (phone.user["id"],)
    ).fetchall()
    assert told == [({"reason": "expired"},)] * 2
    assert bystander.refresh().status == 200
    assert phone.refresh().error_code in ("AUTH_003", "AUTH_005")


def test_a_session_that_ended_long_ago_is_forgotten_and_a_recent_one_is_not(
    cleaner: Cleaner, phone: Phone, auth_sql: Connection
) -> None:
    for days in (91, 89):
        device = Phone(phone.api, email=phone.email).sign_in()
        device.log_out()
        auth_sql.execute(
            "UPDATE sessions SET ended_at = ended_at - %s * interval '1 day'"
            " WHERE account_id = %s AND ended_at > now() - interval '1 day'",
            (days, phone.user["id"]),
        )
    cleaner.round()
    left = auth_sql.execute(
        "SELECT now() - ended_at > interval '88 days' FROM sessions WHERE account_id = %s ORDER BY 1",
        (phone.user["id"],),
    ).fetchall()
    assert left == [(True,), (None,)]
    assert phone.refresh().status == 200


def test_delivered_outbox_rows_go_after_a_week_and_undelivered_ones_never(
    cleaner: Cleaner, phone: Phone, auth_sql: Connection
) -> None:
    rows = "SELECT id FROM outbox WHERE account_id = %s"
    first = auth_sql.execute(rows, (phone.user["id"],)).fetchall()
    assert len(first) == 1
    cleaner.round()
    assert auth_sql.execute(rows, (phone.user["id"],)).fetchall() == first
    auth_sql.execute(
        "UPDATE outbox SET delivered_at = now() - interval '8 days', created_at = now() - interval '9 days'"
        " WHERE account_id = %s",
        (phone.user["id"],),
    )
    waiting = auth_sql.execute(
        "INSERT INTO outbox (account_id, profile, created_at, next_attempt_at)"
        " VALUES (%s, '{}', now() - interval '9 days', now() + interval '1 day') RETURNING id",
        (phone.user["id"],),
    ).fetchall()
    try:
        cleaner.round()
        assert auth_sql.execute(rows, (phone.user["id"],)).fetchall() == waiting
    finally:
        auth_sql.execute("DELETE FROM outbox WHERE account_id = %s", (phone.user["id"],))


def test_an_idempotency_key_is_forgotten_after_its_lifetime(
    cleaner: Cleaner, phone: Phone, auth_sql: Connection
) -> None:
    old, young = uuid.uuid4(), uuid.uuid4()
    for key, hours in ((old, 25), (young, 23)):
        auth_sql.execute(
            "INSERT INTO signup_keys (key, request_hash, account_id, session_id, created_at)"
            " VALUES (%s, '', %s, %s, now() - %s * interval '1 hour')",
            (key, phone.user["id"], uuid.uuid4(), hours),
        )
    cleaner.round()
    left = auth_sql.execute("SELECT key FROM signup_keys WHERE account_id = %s", (phone.user["id"],)).fetchall()
    assert left == [(young,)]


def test_audit_events_go_after_a_year(cleaner: Cleaner, phone: Phone, auth_sql: Connection) -> None:
    for days in (366, 364):
        auth_sql.execute(
            "INSERT INTO audit_events (event, account_id, at) VALUES ('sign_in', %s, now() - %s * interval '1 day')",
            (phone.user["id"], days),
        )
    cleaner.round()
    ages = auth_sql.execute(
        "SELECT extract(day FROM now() - at)::int FROM audit_events WHERE account_id = %s ORDER BY 1",
        (phone.user["id"],),
    ).fetchall()
    assert ages == [(0,), (364,)]


def test_a_row_that_somebody_holds_makes_the_clean_up_wait_for_nobody(
    cleaner: Cleaner, phone: Phone, auth_sql: Connection
) -> None:
    auth_sql.execute(EXPIRE, (phone.user["id"],))
    with auth_sql.transaction():
        auth_sql.execute("SELECT 1 FROM sessions WHERE account_id = %s FOR UPDATE", (phone.user["id"],))
        cleaner.round()
    assert auth_sql.execute(SESSION, (phone.user["id"],)).fetchall() == [(None, None, None)]
    cleaner.round()
    assert auth_sql.execute(SESSION, (phone.user["id"],)).fetchall() == [("expired", None, True)]


def test_an_old_row_that_somebody_holds_is_deleted_another_time(
    cleaner: Cleaner, phone: Phone, auth_sql: Connection
) -> None:
    phone.log_out()
    auth_sql.execute(
        "UPDATE sessions SET ended_at = now() - interval '91 days' WHERE account_id = %s", (phone.user["id"],)
    )
    with auth_sql.transaction():
        auth_sql.execute("SELECT 1 FROM sessions WHERE account_id = %s FOR UPDATE", (phone.user["id"],))
        cleaner.round()
    assert len(auth_sql.execute(SESSION, (phone.user["id"],)).fetchall()) == 1
    cleaner.round()
    assert auth_sql.execute(SESSION, (phone.user["id"],)).fetchall() == []


def test_old_rows_go_a_few_at_a_time(
    cleaner: Cleaner, phone: Phone, auth_sql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.auth.cleanup._BATCH", 2)
    for _ in range(5):
        auth_sql.execute(
            "INSERT INTO signup_keys (key, request_hash, account_id, session_id, created_at)"
            " VALUES (%s, '', %s, %s, now() - interval '1 year')",
            (uuid.uuid4(), phone.user["id"], uuid.uuid4()),
        )
    left = "SELECT count(*) FROM signup_keys WHERE account_id = %s"
    cleaner.batch()
    assert auth_sql.execute(left, (phone.user["id"],)).fetchone() == (3,)
    cleaner.round()
    assert auth_sql.execute(left, (phone.user["id"],)).fetchone() == (0,)


def test_what_was_counted_without_redis_goes_when_it_is_forgotten_and_not_before(
    cleaner: Cleaner, auth_sql: Connection
) -> None:
    count = "INSERT INTO brakes (key, attempts, moment, forgotten_at) VALUES (%s, 1, 0, now() + %s * interval '1 hour')"
    forgotten, counting = uuid.uuid4().hex, uuid.uuid4().hex
    auth_sql.execute(count, (forgotten, -1))
    auth_sql.execute(count, (counting, 1))
    cleaner.round()
    left = auth_sql.execute("SELECT key FROM brakes WHERE key = ANY(%s)", ([forgotten, counting],)).fetchall()
    auth_sql.execute("DELETE FROM brakes WHERE key = %s", (counting,))
    assert left == [(counting,)]
