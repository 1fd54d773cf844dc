"""A service that hangs holds up nobody else, and every request knows how long it may still take."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.support.crowd import auth_with
from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.services import BrokenService, gateway_process, raw_reply
from tests.support.settings import UNLIMITED
from tests.support.waiting import eventually
from tools.stack import Stack

CONNECTIONS = 8
HUNG_SECONDS = 6
# A request that did not wait for the one that hangs; a busy machine takes a while for it, too.
SOON_SECONDS = 3.0


@pytest.fixture
def users_service() -> Iterator[BrokenService]:
    service = BrokenService()
    service.reply = raw_reply("200 OK", b"{}")
    yield service
    service.close()


@pytest.fixture
def gateway(stack: Stack, users_service: BrokenService, log_path: Path) -> Iterator[Api]:
    """A gateway that asks at most CONNECTIONS things at once of the users service, and gives it HUNG_SECONDS."""
    settings = {"CONNECTIONS_PER_SERVICE": str(CONNECTIONS), "DEADLINE_SECONDS": str(HUNG_SECONDS), **UNLIMITED}
    environment = {**stack.environment("gateway"), "USERS_URL": users_service.url}
    with gateway_process(environment, log_path, **settings) as api:
        yield api


def deadlines(service: BrokenService) -> list[int]:
    """The milliseconds that each request was given."""
    return [int(found) for sent in service.requests for found in re.findall(rb"X-Deadline-Ms: (\d+)", sent)]


def timed(api: Api, path: str, token: str) -> tuple[float, Answer]:
    began = time.monotonic()
    answer = api.get(path, token=token)
    return time.monotonic() - began, answer


def test_a_service_that_hangs_is_refused_more_at_once_and_another_one_goes_on_as_before(
    gateway: Api, users_service: BrokenService, phone: Phone
) -> None:
    users_service.reply = None
    with ThreadPoolExecutor(CONNECTIONS) as crowd:
        hung = [crowd.submit(timed, gateway, "/v1/users/me", phone.access_token) for _ in range(CONNECTIONS)]
        eventually(lambda: len(users_service.requests) == CONNECTIONS)
        refused = [timed(gateway, "/v1/users/me", phone.access_token) for _ in range(20)]
        others = [timed(gateway, "/v1/auth/sessions", phone.access_token) for _ in range(100)]
        assert not any(one.done() for one in hung)
        slow = [one.result() for one in hung]
    assert {answer.error_code for _, answer in refused} == {"GW_503"}
    assert {answer.headers["Retry-After"] for _, answer in refused} == {"1"}
    assert {answer.status for _, answer in others} == {200}
    assert max(seconds for seconds, _ in refused + others) < SOON_SECONDS
    assert {answer.error_code for _, answer in slow} == {"GW_504"}
    assert min(seconds for seconds, _ in slow) >= HUNG_SECONDS
    assert max(seconds for seconds, _ in slow) < HUNG_SECONDS + SOON_SECONDS
    # The places are free again.
    users_service.reply = raw_reply("200 OK", b"{}")
    assert {timed(gateway, "/v1/users/me", phone.access_token)[1].status for _ in range(CONNECTIONS + 1)} == {200}


def test_a_route_may_have_less_time_than_the_others(
    stack: Stack, users_service: BrokenService, phone: Phone, log_path: Path
) -> None:
    environment = {**stack.environment("gateway"), "USERS_URL": users_service.url}
    app = "tests.support.hurried_gateway:create_app()"
    with gateway_process(environment, log_path, wsgi_app=app) as api:
        api.get("/v1/users/me", token=phone.access_token)
        api.send("PATCH", "/v1/users/me", {"name": "Jane"}, token=phone.access_token)
        hurried, usual = deadlines(users_service)
        assert 0 < hurried <= 500
        assert 500 < usual <= 10_000
        users_service.reply = None
        seconds, answer = timed(api, "/v1/users/me", phone.access_token)
    assert answer.error_code == "GW_504"
    assert seconds < SOON_SECONDS


def test_the_time_that_is_left_travels_on_from_service_to_service_and_only_shrinks(
    stack: Stack, users_service: BrokenService, phone: Phone, log_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Signing in goes from the gateway to auth and from there to users."""
    seconds = 3
    with auth_with(stack, tmp_path_factory, USERS_URL=users_service.url) as auth:
        environment = {**stack.environment("gateway"), "AUTH_URL": auth.base_url}
        with gateway_process(environment, log_path, DEADLINE_SECONDS=str(seconds)) as api:
            assert api.post("/v1/auth/login", phone.credentials).status == 200
            auth.post("/v1/auth/login", phone.credentials)
    through_the_gateway, at_once = deadlines(users_service)
    assert 0 < through_the_gateway < seconds * 1000 < at_once


def test_a_sign_in_that_waits_for_the_database_keeps_its_place_and_refreshes_go_on(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, phone: Phone, auth_sql: psycopg.Connection
) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    one_place = {"HASHING_SLOTS": "1", "HASHING_QUEUE": "0"}
    with (
        auth_with(stack, tmp_path_factory, **one_place) as auth,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(stack.database_url("auth")) as holder,
    ):
        holder.execute("SELECT FROM accounts WHERE email = %s FOR UPDATE", [phone.email])
        first = pool.submit(auth.post, "/v1/auth/login", phone.credentials)
        eventually(lambda: auth_sql.execute(waiting).fetchone() != (0,))
        second = auth.post("/v1/auth/login", phone.credentials)
        refreshed = auth.post("/v1/auth/refresh", {"refresh_token": phone.refresh_token})
        # Who waits for the lock is refused as well, but not before the first gives up.
        assert not first.done()
        holder.rollback()
        assert (second.status, second.error_code) == (503, "SRV_503")
        assert refreshed.status == 200
        assert first.result().status == 200
        assert auth.post("/v1/auth/login", phone.credentials).status == 200
