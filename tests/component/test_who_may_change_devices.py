"""Devices and push tokens are changed by live sessions and by services that may."""

import json
import uuid
from collections.abc import Callable

import pytest
from psycopg import Connection

from shared.service_client import ClientCredentials, ServiceClient, ServiceError
from tests.support.crowd import auth_with
from tests.support.http import Api
from tests.support.phone import Phone
from tools.stack import Stack

SECRET = "a secret of the service that only reads"
HOLDERS = "SELECT account_id FROM sessions WHERE notification_device_id = %s"


def expire(auth_sql: Connection, phone: Phone) -> None:
    auth_sql.execute("UPDATE sessions SET idle_expires_at = now() WHERE account_id = %s", (phone.user["id"],))


@pytest.mark.parametrize("end", [lambda _sql, phone: phone.log_out(), expire], ids=["logged out", "expired"])
def test_a_session_that_is_over_takes_no_push_token_from_anybody(
    auth: Api, phone: Phone, new_phone: Callable[[], Phone], auth_sql: Connection, end: Callable[..., object]
) -> None:
    owner = new_phone()
    owner.push_token = f"push-{uuid.uuid4()}"
    owner.sign_up()
    end(auth_sql, phone)
    # The gateway refuses what it knows; auth knows it at once.
    change = {"notification_device_id": owner.push_token}
    assert auth.send("PUT", "/v1/auth/device", change, token=phone.access_token).error_code == "AUTH_003"
    assert auth_sql.execute(HOLDERS, (owner.push_token,)).fetchall() == [(owner.user["id"],)]


def test_a_session_that_has_expired_is_not_among_mine(phone: Phone, auth_sql: Connection) -> None:
    expire(auth_sql, phone)
    tablet = Phone(phone.api, email=phone.email).sign_in()
    expire(auth_sql, phone)
    assert tablet.get("/v1/auth/sessions").data == []


def test_a_service_that_may_only_read_push_tokens_makes_none_be_forgotten(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, phone: Phone, auth_sql: Connection
) -> None:
    phone.push_token = f"push-{uuid.uuid4()}"
    phone.sign_in()
    clients = {"news": {"secrets": [SECRET], "scopes": {"auth": ["push:read"]}}}
    with auth_with(stack, tmp_path_factory, SERVICE_CLIENTS=json.dumps(clients)) as api:
        news = ServiceClient(api.base_url, ClientCredentials(api.base_url, "news", SECRET, "auth"))
        assert len(news.get(f"/internal/accounts/{phone.user['id']}/push-targets")) == 1
        with pytest.raises(ServiceError) as caught:
            news.post("/internal/push-targets/invalid", {"notification_device_ids": [phone.push_token]})
    assert (caught.value.status, caught.value.error_code) == (403, "AUTH_403")
    assert auth_sql.execute(HOLDERS, (phone.push_token,)).fetchall() == [(phone.user["id"],)]
