"""The stream of ended sessions misses none, and holds only what is still of use."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from services.auth.parts import build_parts
from services.auth.revocations import Revocations
from services.auth.settings import Settings
from shared.streams import REFILLED, REVOCATIONS
from tests.support.phone import Phone
from tests.support.services import gateway_process
from tests.support.waiting import eventually
from tools.stack import Stack


@pytest.fixture
def valkey(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        yield client


def announced(valkey: redis.Redis) -> list[str]:
    """The ids of ended sessions in the stream, as often as they stand there."""
    entries: Any = valkey.xrange(REVOCATIONS)
    return [fields.get("sid", "") for _, fields in entries]


def test_a_session_whose_end_was_committed_late_is_announced_although_a_later_one_was_before_it(
    stack: Stack, phone: Phone, valkey: redis.Redis
) -> None:
    other = Phone(phone.api).sign_up()
    [later] = [one["id"] for one in other.get("/v1/auth/sessions").data]
    with psycopg.connect(stack.database_url("auth")) as slow:
        slow.execute(
            "UPDATE sessions SET ended_at = now(), end_reason = 'logout' WHERE account_id = %s", (phone.user["id"],)
        )
        assert other.log_out().status == 200
        # Once by the request, and once more by the worker, which has seen it now.
        eventually(lambda: announced(valkey).count(later) == 2)
        assert phone.get("/v1/users/me").status == 200
    eventually(lambda: phone.get("/v1/users/me").status == 401)


@pytest.fixture
def old_stream(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stream of 500 entries that are a thousand seconds old, in place of that of the stack."""
    stream = f"latchkey:test:{uuid.uuid4()}"
    monkeypatch.setattr("services.auth.revocations.REVOCATIONS", stream)
    long_ago = int((time.time() - 1000) * 1000)
    for number in range(500):
        valkey.xadd(stream, {"sid": "x"}, id=f"{long_ago}-{number + 1}")
    yield stream
    valkey.delete(stream)


def test_the_stream_of_ended_sessions_does_not_grow_for_ever(valkey: redis.Redis, old_stream: str) -> None:
    Revocations(valkey, kept=900).write([uuid.uuid4()])
    # Valkey takes away blocks of a hundred.
    assert valkey.xlen(old_stream) < 200


# When auth's clock is ahead of the gateway's, access tokens live longer than ACCESS_TOKEN_LIFETIME, 900 s here.


def test_auth_keeps_an_ended_session_in_the_stream_for_as_long_as_clocks_may_differ(
    stack: Stack, valkey: redis.Redis, old_stream: str
) -> None:
    build_parts(Settings.read(stack.environment("auth"))).revocations.write([uuid.uuid4()])
    assert valkey.xlen(old_stream) == 501


def test_auth_refills_the_stream_with_what_ended_as_long_ago_as_clocks_may_differ(
    stack: Stack, phone: Phone, valkey: redis.Redis, auth_sql: psycopg.Connection
) -> None:
    [session] = [one["id"] for one in phone.get("/v1/auth/sessions").data]
    assert phone.log_out().status == 200
    auth_sql.execute("UPDATE sessions SET ended_at = ended_at - interval '1000 seconds' WHERE id = %s", (session,))
    valkey.delete(REVOCATIONS, REFILLED)
    eventually(lambda: valkey.exists(REFILLED))
    assert session in announced(valkey)


def test_a_gateway_refuses_an_ended_session_for_as_long_as_clocks_may_differ(
    stack: Stack, log_path: Path, phone: Phone, valkey: redis.Redis
) -> None:
    [session] = [one["id"] for one in phone.get("/v1/auth/sessions").data]
    assert phone.log_out().status == 200
    # Once by the request, and once more by the worker.
    eventually(lambda: announced(valkey).count(session) == 2)
    told_at = time.time()
    eventually(lambda: time.time() > told_at + 1.1)
    with gateway_process(stack.environment("gateway"), log_path, ACCESS_TOKEN_LIFETIME="1") as api:
        assert api.get("/v1/users/me", token=phone.access_token).error_code == "AUTH_003"
