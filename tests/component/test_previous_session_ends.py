"""Which of a person's ended sessions a device is told about: the newest of its own."""

import uuid
from collections.abc import Callable

import pytest
from psycopg import Connection

from shared.service_client import ClientCredentials, ServiceClient
from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.phone import Phone
from tools.stack import Stack


@pytest.fixture
def push(stack: Stack) -> ServiceClient:
    """A service that sends push messages."""
    return ServiceClient(stack.auth_url, ClientCredentials(stack.auth_url, CLIENT_ID, CLIENT_SECRET, "auth"))


def told(phone: Phone) -> str | None:
    """The reason that a sign-in is told."""
    end = phone.api.post("/v1/auth/login", phone.credentials).data.get("previous_session_end")
    return end["reason"] if end else None


def test_a_device_is_known_by_the_push_token_that_it_had_last(new_phone: Callable[[], Phone]) -> None:
    phone = new_phone()
    phone.push_token = old = f"push-{uuid.uuid4()}"
    phone.sign_up()
    phone.push_token = new = f"push-{uuid.uuid4()}"
    assert phone.send("PUT", "/v1/auth/device", {"notification_device_id": new}).status == 200
    phone.log_out()
    phone.push_token = old
    assert told(phone) is None
    phone.push_token = new
    assert told(phone) == "logout"


@pytest.mark.parametrize("way", ["moved", "unregistered", "given up"])
def test_a_device_that_has_lost_its_push_token_is_told_as_one_without(
    new_phone: Callable[[], Phone], push: ServiceClient, way: str
) -> None:
    phone = new_phone()
    phone.push_token = lost = f"push-{uuid.uuid4()}"
    phone.sign_up()
    if way == "moved":
        heir = new_phone()
        heir.push_token = lost
        heir.sign_up()
    elif way == "unregistered":
        push.post("/internal/push-targets/invalid", {"notification_device_ids": [lost]})
    else:
        phone.send("PUT", "/v1/auth/device", {"notification_device_id": None})
    phone.log_out()
    assert told(phone) is None
    phone.push_token = None
    assert told(phone) == "logout"


def test_of_several_ends_the_newest_is_told(phone: Phone, auth_sql: Connection) -> None:
    tablet = Phone(phone.api, email=phone.email).sign_in()
    ids = {one["id"]: one["is_current"] for one in phone.get("/v1/auth/sessions").data}
    other = next(session_id for session_id, is_current in ids.items() if not is_current)
    assert phone.send("DELETE", f"/v1/auth/sessions/{other}").status == 200
    phone.log_out()
    # Whatever order the database finds them in.
    for older in ("logout", "ended_by_owner"):
        auth_sql.execute(
            "UPDATE sessions SET end_told_at = NULL, ended_at = now() - (end_reason = %s)::int * interval '1 hour'"
            " WHERE account_id = %s AND end_reason IN ('logout', 'ended_by_owner')",
            (older, phone.user["id"]),
        )
        assert told(tablet) == ("ended_by_owner" if older == "logout" else "logout")
