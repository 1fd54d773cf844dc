"""A push token belongs to one session, so that a phone that was handed on gets nobody else's messages."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.support.phone import Phone

Holders = Callable[[str], list[int]]


@pytest.fixture
def holders(auth_sql: psycopg.Connection) -> Holders:
    """Whose sessions have a push token."""

    def holders(push_token: str) -> list[int]:
        query = "SELECT account_id FROM sessions WHERE notification_device_id = %s"
        return [account_id for (account_id,) in auth_sql.execute(query, [push_token])]

    return holders


@pytest.fixture
def push_token() -> str:
    return f"push-{uuid.uuid4()}"


def test_signing_in_with_a_push_token_moves_it(
    phone: Phone, new_phone: Callable[[], Phone], push_token: str, holders: Holders
) -> None:
    heir = new_phone()
    phone.push_token = heir.push_token = push_token
    phone.sign_in()
    assert holders(push_token) == [phone.user["id"]]

    heir.sign_up()

    assert holders(push_token) == [heir.user["id"]]
    phone.sign_in()
    assert holders(push_token) == [phone.user["id"]]


def test_changing_the_push_token_takes_it_from_whoever_had_it(
    phone: Phone, new_phone: Callable[[], Phone], push_token: str, holders: Holders
) -> None:
    other = new_phone()
    other.push_token = push_token
    other.sign_up()

    phone.send("PUT", "/v1/auth/device", {"notification_device_id": push_token})

    assert holders(push_token) == [phone.user["id"]]


def test_null_takes_the_push_token_away(phone: Phone, push_token: str, holders: Holders) -> None:
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": push_token})
    assert holders(push_token) == [phone.user["id"]]

    phone.send("PUT", "/v1/auth/device", {"notification_device_id": None})

    assert holders(push_token) == []


@pytest.mark.parametrize("scope", ["this", "all"])
def test_ending_a_session_drops_its_push_token(phone: Phone, push_token: str, holders: Holders, scope: str) -> None:
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": push_token})

    phone.log_out(scope)

    assert holders(push_token) == []


def test_a_stolen_session_gets_no_messages_any_more(phone: Phone, push_token: str, holders: Holders) -> None:
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": push_token})
    stolen = phone.refresh_token
    for _ in range(3):
        phone.refresh()

    assert phone.refresh(stolen).error_code == "AUTH_006"

    assert holders(push_token) == []


def test_a_refresh_keeps_the_push_token(phone: Phone, push_token: str, holders: Holders) -> None:
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": push_token})

    phone.refresh()

    assert holders(push_token) == [phone.user["id"]]


def test_of_people_who_sign_in_with_one_push_token_at_once_one_has_it(
    new_phone: Callable[[], Phone], push_token: str, holders: Holders
) -> None:
    phones = [new_phone().sign_up() for _ in range(4)]
    for phone in phones:
        phone.push_token = push_token

    with ThreadPoolExecutor(len(phones)) as people:
        list(people.map(Phone.sign_in, phones))

    assert len(holders(push_token)) == 1
    assert [phone.get("/v1/users/me").status for phone in phones] == [200] * 4
