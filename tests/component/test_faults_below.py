"""What a room does when something below it fails in an odd way: it says so, keeps its secrets, and goes on."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import Connection

from shared.service_client import ServiceClient, ServiceUnreachable
from shared.streams import CONFIRMATIONS, REVOCATIONS
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import BrokenService, auth_process
from tests.support.waiting import eventually
from tools.stack import Stack


@pytest.fixture
def read_only_auth(stack: Stack) -> Iterator[None]:
    """Auth's database as after a failover to a standby: it answers, and takes nothing."""
    with psycopg.connect(stack.database_url("auth"), autocommit=True) as owner:
        owner.execute("ALTER DATABASE latchkey_auth SET default_transaction_read_only = on")
        stack.processes["auth"].stop()
        stack.processes["auth"].start()
        stack.processes["auth"].wait_ready(30)
        yield
        owner.execute("SET default_transaction_read_only = off")
        owner.execute("ALTER DATABASE latchkey_auth RESET default_transaction_read_only")
    stack.processes["auth"].stop()
    stack.processes["auth"].start()
    stack.processes["auth"].wait_ready(30)


def test_a_frozen_postgresql_is_a_503_and_auth_is_well_when_it_thaws(stack: Stack, phone: Phone) -> None:
    stack.processes["postgres"].pause()
    try:
        answer = phone.refresh()
    finally:
        stack.processes["postgres"].resume()
    assert (answer.status, answer.error_code) == (503, "SRV_503")
    assert int(answer.headers["Retry-After"]) >= 1
    eventually(lambda: phone.refresh().status == 200)


def test_a_read_only_database_is_a_503_and_nothing_of_the_request_is_logged(
    read_only_auth: None, stack: Stack, new_phone: Callable[[], Phone]
) -> None:
    phone = new_phone()
    phone.push_token = f"push-{uuid.uuid4()}"
    answer = phone.api.post("/v1/auth/signup", phone.credentials)
    assert (answer.status, answer.error_code) == (503, "SRV_503")
    logged = Path(stack.processes["auth"].log_path).read_text()
    assert "request_failed" in logged
    for secret in (phone.email, phone.push_token, "$argon2id$"):
        assert secret not in logged


@pytest.fixture
def auth_without_a_key(stack: Stack, log_path: Path, auth_sql: Connection) -> Iterator[Api]:
    """An auth process that has just started, is not ready and finds no key; the others go on with the one they know."""
    put_off = "UPDATE signing_keys SET signs_from = signs_from + %s * interval '1 hour'"
    auth_sql.execute(put_off, (1000,))
    try:
        with auth_process(stack.environment("auth"), log_path, page="/health/live") as api:
            yield api
    finally:
        auth_sql.execute(put_off, (-1000,))


def test_without_a_key_to_sign_with_nothing_is_promised_and_no_token_spent(
    auth_without_a_key: Api, phone: Phone, auth_sql: Connection
) -> None:
    stranded, newcomer = Phone(auth_without_a_key, email=phone.email), Phone(auth_without_a_key)
    answers = [
        stranded.refresh(phone.refresh_token),
        auth_without_a_key.post("/v1/auth/login", phone.credentials),
        auth_without_a_key.post("/v1/auth/signup", newcomer.credentials),
    ]
    assert [(answer.status, answer.error_code) for answer in answers] == [(503, "SRV_503")] * 3
    sessions = "SELECT generation FROM sessions WHERE account_id = %s"
    assert auth_sql.execute(sessions, (phone.user["id"],)).fetchall() == [(0,)]
    accounts = "SELECT count(*) FROM accounts WHERE email = %s"
    assert auth_sql.execute(accounts, (newcomer.email,)).fetchone() == (0,)


def test_an_entry_that_was_tried_a_thousand_times_is_still_delivered(
    stack: Stack, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    stack.processes["users"].stop()
    try:
        phone = new_phone().sign_up()
        tried = "UPDATE outbox SET attempts = 5000, next_attempt_at = now() WHERE account_id = %s"
        auth_sql.execute(tried, (phone.user["id"],))
    finally:
        stack.processes["users"].start()
        stack.processes["users"].wait_ready(30)
    eventually(lambda: phone.get("/v1/users/me").status == 200)


def test_a_sign_up_that_was_committed_is_a_success_although_its_delivery_can_not_be_noted(
    stack: Stack, new_phone: Callable[[], Phone]
) -> None:
    with psycopg.connect(stack.database_url("auth")) as blocker:
        blocker.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION USING ERRCODE = '53300'; END $$"
        )
        blocker.execute("CREATE TRIGGER refuse BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()")
        blocker.commit()
        try:
            phone = new_phone().sign_up()
        finally:
            blocker.execute("DROP TRIGGER refuse ON outbox")
            blocker.execute("DROP FUNCTION refuse")
            blocker.commit()
    assert phone.get("/v1/users/me").status == 200


def test_a_stream_entry_that_can_not_be_read_stops_nobody(
    phone: Phone, valkey: redis.Redis, auth_sql: Connection
) -> None:
    valkey.xadd(REVOCATIONS, {"foo": "bar"})
    valkey.xadd(CONFIRMATIONS, {"sid": "no uuid", "gen": "x"})
    other = Phone(phone.api, email=phone.email).sign_in()
    assert phone.log_out().status == 200
    eventually(lambda: phone.get("/v1/users/me").status == 401)
    other.refresh()
    assert other.get("/v1/users/me").status == 200
    confirmed = "SELECT confirmed_at IS NOT NULL FROM sessions WHERE account_id = %s AND ended_at IS NULL"
    eventually(lambda: auth_sql.execute(confirmed, (phone.user["id"],)).fetchone() == (True,))


@pytest.mark.parametrize("method", ["get", "put", "post"])
def test_a_service_that_drips_its_answer_does_not_hold_its_caller_past_the_deadline(method: str) -> None:
    dripping = BrokenService()
    dripping.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    dripping.drip = b"x" * 1000
    client = ServiceClient(dripping.url)
    call: Any = {
        "get": lambda: client.get("/x", seconds=0.5),
        "put": lambda: client.put("/x", {}, seconds=0.5),
        "post": lambda: client.post("/x", {}, seconds=0.5),
    }[method]
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable):
        call()
    # Dripping to the end takes more than a minute; this tells a deadline from none, not a fast one from a slow one.
    assert time.monotonic() - began < 20
    dripping.close()
