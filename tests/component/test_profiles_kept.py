"""The users service keeps what auth tells it, in whatever order and however often it is told."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from services.auth.parts import USERS_SCOPES, build_parts
from services.auth.settings import Settings
from tests.support.http import Api
from tests.support.phone import Phone
from tools.stack import Stack

Tell = Callable[..., Any]


@pytest.fixture
def tell(stack: Stack, users: Api) -> Tell:
    """Tells users about an account as auth does, with a token that auth made for itself."""
    parts = build_parts(Settings.read(stack.environment("auth")))
    token = parts.tokens.for_service("auth", "users", USERS_SCOPES).access_token
    parts.database.engine.dispose()

    def send(account_id: int, **news: Any) -> Any:
        return users.send("PUT", f"/internal/profiles/{account_id}", news, token=token)

    return send


@pytest.fixture
def account_id() -> int:
    """An id that no account has."""
    return uuid.uuid4().int % 2**40 + 2**41


def news(**change: Any) -> dict[str, Any]:
    return {"email": "john@example.com", "name": "John Doe", "phone": "9876543210", "version": 1, **change}


def test_telling_the_same_twice_changes_nothing(tell: Tell, account_id: int) -> None:
    first = tell(account_id, **news()).data
    assert first["id"] == account_id
    assert tell(account_id, **news()).data == first


def test_newer_news_change_the_email_and_leave_what_is_the_owners(tell: Tell, account_id: int) -> None:
    tell(account_id, **news())
    changed = tell(account_id, **news(email="new@example.com", name="Somebody Else", version=2)).data
    assert (changed["email"], changed["name"]) == ("new@example.com", "John Doe")


def test_older_news_that_come_late_change_nothing(tell: Tell, account_id: int) -> None:
    tell(account_id, **news(email="new@example.com", version=2))
    assert tell(account_id, **news(email="old@example.com", version=1)).data["email"] == "new@example.com"


@pytest.mark.parametrize(
    "change",
    [{"version": 0}, {"version": "1"}, {"version": 2**63}, {"version": None}, {"email": None}, {"email": 5}, {"x": 1}],
)
def test_news_that_make_no_sense_are_refused_and_nothing_is_kept(
    tell: Tell, account_id: int, users_sql: Any, change: dict[str, Any]
) -> None:
    assert tell(account_id, **news(**change)).status == 400
    assert users_sql.execute("SELECT count(*) FROM profiles WHERE id = %s", (account_id,)).fetchone() == (0,)


def test_an_account_id_beyond_the_database_is_refused(tell: Tell) -> None:
    assert tell(2**63, **news()).status in (400, 404)


def test_a_change_does_not_undo_another_one_that_came_meanwhile(phone: Phone) -> None:
    seen = phone.get("/v1/users/me").headers["ETag"]
    assert phone.send("PATCH", "/v1/users/me", {"name": "From the tablet"}).status == 200
    late = phone.send("PATCH", "/v1/users/me", {"name": "From the phone"}, **{"If-Match": seen})
    assert late.error_code == "USER_409"
    assert phone.get("/v1/users/me").data["name"] == "From the tablet"
