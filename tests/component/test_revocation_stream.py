"""The stream of ended sessions misses none, and holds only what is still of use."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis

from services.auth.revocations import RevocationRepeater, Revocations
from shared.database import Database
from shared.streams import REVOCATIONS
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack


@pytest.fixture
def repeater(stack: Stack, valkey: redis.Redis) -> Iterator[RevocationRepeater]:
    database = Database(stack.database_url("auth"), connections=1)
    yield RevocationRepeater(database, Revocations(valkey, kept=900), kept=900)
    database.engine.dispose()


def session_of(phone: Phone) -> str:
    return next(str(one["id"]) for one in phone.get("/v1/auth/sessions").data if one["is_current"])


def announced(valkey: redis.Redis, stream: str = REVOCATIONS) -> list[str]:
    """The ids of ended sessions in the stream, as often as they stand there."""
    entries: Any = valkey.xrange(stream)
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


def test_what_a_replica_that_took_over_has_not_got_is_announced_again(
    phone: Phone, valkey: redis.Redis, own_stream: str, repeater: RevocationRepeater
) -> None:
    ended = session_of(phone)
    phone.log_out()
    repeater.repeat()
    before = announced(valkey, own_stream)
    assert ended in before
    assert repeater.repeat() == 0
    # It has everything but the newest entry, and has been told that it has everything.
    newest: Any = valkey.xrevrange(own_stream, count=1)
    valkey.xdel(own_stream, newest[0][0])
    repeater.repeat()
    assert set(announced(valkey, own_stream)) >= {ended, *before}


def test_a_stream_is_called_complete_only_when_everything_is_in_it(
    phone: Phone, valkey: redis.Redis, own_stream: str, repeater: RevocationRepeater
) -> None:
    ended = session_of(phone)
    phone.log_out()
    # Nothing can be added to it, because it is none.
    valkey.set(own_stream, "not a stream")
    with pytest.raises(redis.RedisError):
        repeater.repeat()
    assert not valkey.exists(f"{own_stream}:refilled")
    valkey.delete(own_stream)
    repeater.repeat()
    assert valkey.exists(f"{own_stream}:refilled")
    assert ended in announced(valkey, own_stream)


@pytest.mark.usefixtures("own_stream")
def test_the_worker_keeps_in_mind_only_what_has_ended_just_now(
    phone: Phone, auth_sql: psycopg.Connection, repeater: RevocationRepeater
) -> None:
    other = Phone(phone.api).sign_up()
    earlier, later = session_of(phone), session_of(other)
    phone.log_out()
    auth_sql.execute("UPDATE sessions SET ended_at = ended_at - interval '1 minute' WHERE id = %s", (earlier,))
    other.log_out()
    repeater.repeat()
    assert {earlier, later} <= set(map(str, repeater._known))
    repeater.repeat()
    assert earlier not in map(str, repeater._known)
    assert later in map(str, repeater._known)


def test_the_stream_of_ended_sessions_does_not_grow_for_ever(valkey: redis.Redis, own_stream: str) -> None:
    long_ago = int((time.time() - 1000) * 1000)
    for number in range(500):
        valkey.xadd(own_stream, {"sid": "x"}, id=f"{long_ago}-{number + 1}")
    Revocations(valkey, kept=900).write([uuid.uuid4()])
    # Valkey takes away blocks of a hundred.
    assert valkey.xlen(own_stream) < 200
