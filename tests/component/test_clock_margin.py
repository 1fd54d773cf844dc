"""An ended session stays ended while clocks differ.

When auth's clock is ahead of the gateway's, access tokens live longer than ACCESS_TOKEN_LIFETIME, which is 900 s here.
"""

import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import redis

from services.auth.parts import build_parts
from services.auth.settings import Settings
from shared.streams import REFILLED, REVOCATIONS
from tests.support.phone import Phone
from tests.support.services import gateway_process
from tests.support.waiting import eventually
from tools.stack import Stack


def told(valkey: redis.Redis, session_id: str) -> int:
    """How often the stream says that a session has ended."""
    entries: Any = valkey.xrange(REVOCATIONS)
    return [fields.get("sid") for _, fields in entries].count(session_id)


def told_ago(valkey: redis.Redis, session_id: str) -> float:
    """For how many seconds the stream has said nothing new of a session that has ended."""
    entries: Any = valkey.xrange(REVOCATIONS)
    milliseconds = max(int(entry.partition("-")[0]) for entry, fields in entries if fields.get("sid") == session_id)
    now: Any = valkey.time()
    return float(now[0] + now[1] / 1_000_000 - milliseconds / 1000)


def test_auth_keeps_an_ended_session_in_the_stream(stack: Stack, valkey: redis.Redis, own_stream: str) -> None:
    long_ago = int((time.time() - 1000) * 1000)
    # Valkey takes away blocks of a hundred.
    for number in range(500):
        valkey.xadd(own_stream, {"sid": "x"}, id=f"{long_ago}-{number + 1}")
    build_parts(Settings.read(stack.environment("auth"))).revocations.write([uuid.uuid4()])
    assert valkey.xlen(own_stream) == 501


def test_auth_refills_the_stream_with_it(
    stack: Stack, phone: Phone, valkey: redis.Redis, auth_sql: psycopg.Connection
) -> None:
    [session] = [one["id"] for one in phone.get("/v1/auth/sessions").data]
    assert phone.log_out().status == 200
    auth_sql.execute("UPDATE sessions SET ended_at = ended_at - interval '1000 seconds' WHERE id = %s", (session,))
    valkey.delete(REVOCATIONS, REFILLED)
    eventually(lambda: valkey.exists(REFILLED))
    assert told(valkey, session)


def test_a_gateway_refuses_it(stack: Stack, log_path: Path, phone: Phone, valkey: redis.Redis) -> None:
    [session] = [one["id"] for one in phone.get("/v1/auth/sessions").data]
    assert phone.log_out().status == 200
    # Once by the request, and once more by the worker.
    eventually(lambda: told(valkey, session) == 2)
    eventually(lambda: told_ago(valkey, session) > 1)
    with gateway_process(stack.environment("gateway"), log_path, ACCESS_TOKEN_LIFETIME="1") as api:
        assert api.get("/v1/users/me", token=phone.access_token).error_code == "AUTH_003"
