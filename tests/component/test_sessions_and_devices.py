"""A session is one device's sign-in, and a push token belongs to one session."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg import Connection, connect

from shared.service_client import ClientCredentials, ServiceClient, ServiceError
from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.crowd import auth_with
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

LIVE = "SELECT count(*) FROM sessions WHERE account_id = %s AND ended_at IS NULL"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
REASONS = "SELECT end_reason FROM sessions WHERE account_id = %s AND ended_at IS NOT NULL ORDER BY ended_at, id"


@pytest.fixture
def push(stack: Stack) -> ServiceClient:
    """A service that sends push messages."""
    return ServiceClient(stack.auth_url, ClientCredentials(stack.auth_url, CLIENT_ID, CLIENT_SECRET, "auth"))


@pytest.fixture
def token_of_phone(phone: Phone) -> str:
    phone.push_token = f"push-{uuid.uuid4()}"
    phone.sign_in()
    return phone.push_token


@pytest.fixture(scope="module")
def strict_about_two(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth for people who have two devices."""
    with auth_with(stack, tmp_path_factory, SESSIONS_PER_PERSON="2") as api:
        yield api


def targets_of(push: ServiceClient, phone: Phone) -> list[str]:
    targets = push.get(f"/internal/accounts/{phone.user['id']}/push-targets")
    return [target["notification_device_id"] for target in targets]


def test_of_twenty_one_sign_ins_the_one_idle_longest_is_ended_and_keeps_the_reason(
    phone: Phone, auth_sql: Connection
) -> None:
    others = [Phone(phone.api, email=phone.email).sign_in() for _ in range(19)]
    assert phone.refresh().status == 200
    idle_longest = others[0]
    Phone(phone.api, email=phone.email).sign_in()
    assert len(phone.get("/v1/auth/sessions").data) == 20
    assert idle_longest.refresh().error_code == "AUTH_003"
    assert auth_sql.execute(REASONS, (phone.user["id"],)).fetchall() == [("limit",)]
    eventually(lambda: idle_longest.get("/v1/users/me").status == 401, seconds=1)
    assert phone.refresh().status == 200


def test_sign_ins_at_once_do_not_slip_past_the_limit(strict_about_two: Api, stack: Stack, auth_sql: Connection) -> None:
    first = Phone(strict_about_two).sign_up()
    with ThreadPoolExecutor(2) as pool, connect(stack.database_url("auth")) as blocker:
        # Both have come as far as they can before one of them opens a session.
        blocker.execute("SELECT 1 FROM accounts WHERE id = %s FOR NO KEY UPDATE", (first.user["id"],))
        others = [pool.submit(Phone(strict_about_two, email=first.email).sign_in) for _ in range(2)]
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (2,))
        blocker.rollback()
        for other in others:
            other.result()
    assert auth_sql.execute(LIVE, (first.user["id"],)).fetchone() == (2,)


def log_out(phone: Phone, _other: Phone, _sql: Connection) -> None:
    phone.log_out()


def log_out_from_elsewhere(phone: Phone, other: Phone, _sql: Connection) -> None:
    [mine] = [one["id"] for one in phone.get("/v1/auth/sessions").data if one["is_current"]]
    other.send("DELETE", f"/v1/auth/sessions/{mine}")


def be_robbed(phone: Phone, _other: Phone, _sql: Connection) -> None:
    stolen = phone.refresh_token
    for _ in range(3):
        phone.refresh()
    phone.api.post("/v1/auth/refresh", {"refresh_token": stolen})


def stay_away(phone: Phone, _other: Phone, sql: Connection) -> None:
    sql.execute("UPDATE sessions SET idle_expires_at = now() - interval '1 s' WHERE device_type = 'Android'"
                " AND account_id = %s", (phone.user["id"],))  # fmt: skip


@pytest.mark.parametrize("with_push", [True, False])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (log_out, "logout"),
        (log_out_from_elsewhere, "ended_by_owner"),
        (be_robbed, "reuse_detected"),
        (stay_away, "expired"),
    ],
)
def test_the_next_sign_in_on_a_device_tells_why_it_was_signed_out(
    new_phone: Callable[[], Phone], auth_sql: Connection, end: Any, reason: str, with_push: bool
) -> None:
    phone = new_phone()
    phone.push_token = f"push-{uuid.uuid4()}" if with_push else None
    phone.sign_up()
    other = Phone(phone.api, email=phone.email)
    other.device_type = "iOS"
    other.sign_in()
    end(phone, other, auth_sql)
    # On the other device nobody is told, nor by the phone when it has been told.
    for credentials, told in ((other.credentials, None), (phone.credentials, reason), (phone.credentials, None)):
        previous = phone.api.post("/v1/auth/login", credentials).data.get("previous_session_end")
        assert (previous["reason"] if previous else None) == told


def test_a_device_is_told_once_why_it_was_signed_out(phone: Phone, token_of_phone: str) -> None:
    other = Phone(phone.api, email=phone.email).sign_in()
    sessions = other.get("/v1/auth/sessions").data
    mine = next(session["id"] for session in sessions if not session["is_current"])
    other.send("DELETE", f"/v1/auth/sessions/{mine}")
    signed_in = phone.api.post("/v1/auth/login", phone.credentials).data
    told = signed_in["previous_session_end"]
    assert set(told) == {"reason", "ended_at"}
    assert told["reason"] == "ended_by_owner"
    assert isinstance(told["ended_at"], int)
    assert "previous_session_end" not in phone.api.post("/v1/auth/login", phone.credentials).data


def test_nobody_else_is_told_why_a_session_on_their_phone_ended(phone: Phone, token_of_phone: str) -> None:
    phone.log_out()
    next_owner = Phone(phone.api).sign_up()
    next_owner.push_token = token_of_phone
    signed_in = next_owner.api.post("/v1/auth/login", next_owner.credentials).data
    assert "previous_session_end" not in signed_in


def test_push_targets_are_the_live_sessions_with_a_push_token(
    phone: Phone, token_of_phone: str, push: ServiceClient
) -> None:
    assert targets_of(push, phone) == [token_of_phone]
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": token_of_phone + "-new"})
    assert targets_of(push, phone) == [token_of_phone + "-new"]
    phone.log_out()
    assert targets_of(push, phone) == []


def test_an_expired_session_is_no_push_target(
    phone: Phone, token_of_phone: str, push: ServiceClient, auth_sql: Connection
) -> None:
    auth_sql.execute("UPDATE sessions SET idle_expires_at = now() WHERE account_id = %s", (phone.user["id"],))
    assert targets_of(push, phone) == []


def test_signing_in_elsewhere_with_a_push_token_moves_it(
    phone: Phone, token_of_phone: str, push: ServiceClient, new_phone: Callable[[], Phone]
) -> None:
    next_owner = new_phone()
    next_owner.push_token = token_of_phone
    next_owner.sign_up()
    assert targets_of(push, phone) == []
    assert targets_of(push, next_owner) == [token_of_phone]
    assert phone.get("/v1/users/me").status == 200


def test_a_push_token_that_the_provider_calls_unregistered_is_forgotten_and_the_session_lives(
    phone: Phone, token_of_phone: str, push: ServiceClient
) -> None:
    gone = {"notification_device_ids": [token_of_phone, "never heard of"]}
    assert push.post("/internal/push-targets/invalid", gone) == {"forgotten": 1}
    assert push.post("/internal/push-targets/invalid", gone) == {"forgotten": 0}
    assert targets_of(push, phone) == []
    assert phone.refresh().status == 200


@pytest.mark.parametrize("tokens", [[], ["x"] * 501, "x", [None], [""], ["\u00fc"]])
def test_a_list_of_push_tokens_that_makes_no_sense_is_refused(push: ServiceClient, tokens: object) -> None:
    with pytest.raises(ServiceError) as caught:
        push.post("/internal/push-targets/invalid", {"notification_device_ids": tokens})
    assert caught.value.status == 400


def test_nobody_has_no_push_targets(push: ServiceClient) -> None:
    assert push.get("/internal/accounts/999999999/push-targets") == []
    assert push.get(f"/internal/accounts/{2**70}/push-targets") == []


def test_push_pages_are_for_services_only(auth: Api, phone: Phone) -> None:
    path = f"/internal/accounts/{phone.user['id']}/push-targets"
    assert auth.get(path).error_code == "AUTH_401"
    assert auth.get(path, token=phone.access_token).error_code == "AUTH_401"
