"""A gateway worker knows every session that ended before it serves, and waits for nobody for ever."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gateway.revocations import RevokedSessions
from services.auth.revocations import Revocations
from shared.streams import REFILLED, REVOCATIONS
from tests.support.command import Operator
from tests.support.phone import Phone
from tests.support.services import free_port, gateway_process
from tests.support.waiting import eventually
from tools.stack import Stack

LIFETIME = 900


@pytest.fixture
def without_worker(stack: Stack) -> Iterator[None]:
    stack.processes["worker"].stop()
    yield
    stack.processes["worker"].start()
    stack.processes["worker"].wait_ready(30)


@pytest.mark.usefixtures("own_stream")
def test_a_worker_is_not_ready_before_it_has_read_to_the_end_however_many_ended(
    stack: Stack, valkey: redis.Redis
) -> None:
    auth, ended = Revocations(valkey, LIFETIME), [uuid.uuid4() for _ in range(2500)]
    auth.write(ended)
    auth.mark_refilled()
    revoked = RevokedSessions(stack.redis_url, LIFETIME)
    known = []
    while not revoked.ready:
        revoked._follow()
        known.append(len(revoked))
    assert known == [1000, 2000, 2500]
    assert all(str(session_id) in revoked for session_id in ended)


def test_a_worker_that_is_never_told_that_the_stream_is_complete_is_ready_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}"
    assert not RevokedSessions(nobody, LIFETIME).ready
    monkeypatch.setattr("gateway.revocations._LONGEST_WAIT", 0.01)
    revoked = RevokedSessions(nobody, LIFETIME)
    eventually(lambda: revoked.ready)
    assert not revoked.followed


def test_a_gateway_that_finds_no_redis_serves_at_once(stack: Stack, log_path: Path, phone: Phone) -> None:
    started = time.monotonic()
    nobody = f"redis://127.0.0.1:{free_port()}"
    with gateway_process(stack.environment("gateway"), log_path, REDIS_URL=nobody) as api:
        # An absent worker of auth is waited for longer than this.
        assert time.monotonic() - started < 15
        assert api.get("/v1/users/me", token=phone.access_token).status == 200
        assert api.get("/health/ready").data == {"degraded": ["revocations"]}


def test_what_another_server_tells_by_a_clock_that_is_behind_is_heard(
    stack: Stack, log_path: Path, phone: Phone, valkey: redis.Redis
) -> None:
    [session_id] = [one["id"] for one in phone.get("/v1/auth/sessions").data]
    now = int(time.time() * 1000)
    # A database of its own in the same server, of which nobody else knows.
    url = f"{stack.redis_url.rpartition('/')[0]}/7"
    with redis.Redis.from_url(url) as other:
        other.xadd(REVOCATIONS, {"sid": str(uuid.uuid4())}, id=f"{now}-0")
        other.set(REFILLED, now)
        with gateway_process(stack.environment("gateway"), log_path, REDIS_URL=url) as api:
            eventually(lambda: api.get("/health/ready").data == {})
            assert api.get("/v1/users/me", token=phone.access_token).status == 200
            other.delete(REVOCATIONS)
            other.xadd(REVOCATIONS, {"sid": session_id}, id=f"{now - 60_000}-0")
            for client in valkey.client_list():
                if client["db"] == "7" and client["cmd"].startswith("xread"):
                    valkey.client_kill_filter(_id=client["id"])
            eventually(lambda: api.get("/v1/users/me", token=phone.access_token).failed_with("AUTH_003"))
        other.flushdb()


@pytest.mark.usefixtures("without_worker")
def test_what_an_operator_ends_is_announced_at_once_and_not_only_by_the_worker(stack: Stack, phone: Phone) -> None:
    assert phone.get("/v1/users/me").status == 200
    Operator(stack).do("accounts", "end-sessions", phone.email)
    eventually(lambda: phone.get("/v1/users/me").failed_with("AUTH_003"), seconds=1)


@pytest.mark.usefixtures("without_worker")
def test_what_a_repeated_sign_up_ends_is_announced_at_once_and_not_only_by_the_worker(phone: Phone) -> None:
    signing_up, key = Phone(phone.api), {"Idempotency-Key": str(uuid.uuid4())}
    first = signing_up.api.post("/v1/auth/signup", signing_up.credentials, headers=key).data
    oldest, *_ = [Phone(phone.api, email=signing_up.email).sign_in() for _ in range(20)]
    assert signing_up.api.get("/v1/auth/sessions", token=first["access_token"]).status == 401
    assert oldest.get("/v1/users/me").status == 200
    assert signing_up.api.post("/v1/auth/signup", signing_up.credentials, headers=key).status == 201
    eventually(lambda: oldest.get("/v1/users/me").failed_with("AUTH_003"), seconds=1)
