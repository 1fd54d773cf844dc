"""The stream of ended sessions misses none, and holds only what is still of use."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis

from services.auth.revocations import Revocations
from shared.streams import REVOCATIONS
from tests.support.phone import Phone
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


def test_the_stream_of_ended_sessions_does_not_grow_for_ever(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = f"latchkey:test:{uuid.uuid4()}"
    monkeypatch.setattr("services.auth.revocations.REVOCATIONS", stream)
    long_ago = int((time.time() - 1000) * 1000)
    for number in range(500):
        valkey.xadd(stream, {"sid": "x"}, id=f"{long_ago}-{number + 1}")
    Revocations(valkey, lifetime=900).write([uuid.uuid4()])
    # Valkey takes away blocks of a hundred.
    assert valkey.xlen(stream) < 200
    valkey.delete(stream)
