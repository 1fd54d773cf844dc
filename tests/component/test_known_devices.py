"""By what the brakes know people again: for how long, and that nobody can read it where it is kept."""

import base64
import os
import re
from collections.abc import Iterator

import pytest
import redis
from psycopg import Connection

from tests.support.crowd import Place, auth_with, new_push_token, retry_after, somewhere
from tests.support.http import Api
from tools.stack import Stack

ACCOUNT_FREE = 4
STRICT = {
    "ACCOUNT_FREE_FAILURES": str(ACCOUNT_FREE),
    "SIGN_IN_FIRST_DELAY": "300",
    "NETWORK_FAILURES_PER_MINUTE": "10",
    "NETWORK_SIGN_UPS_PER_MINUTE": "10",
}
MARKS = """
    SELECT count(*) FROM known_devices JOIN accounts ON id = account_id
    WHERE email = %s AND seen_at > now() - %s * interval '1 day'
"""
GROW_OLDER = """
    UPDATE known_devices SET seen_at = seen_at - %s * interval '1 day'
    FROM accounts WHERE id = account_id AND email = %s
"""


@pytest.fixture(scope="module")
def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth with small numbers and waits longer than any test."""
    with auth_with(stack, tmp_path_factory, **STRICT) as api:
        yield api


def marks_of(auth_sql: Connection, email: str, *, days: int = 1000) -> int:
    """How many places are known that somebody was at within so many days."""
    [(count,)] = auth_sql.execute(MARKS, (email, days)).fetchall()
    return int(count)


def attack(auth: Api, email: str) -> None:
    """Guess from many networks until strangers have to wait."""
    for _ in range(ACCOUNT_FREE):
        assert Place(auth).guess(email).error_code == "AUTH_001"


def test_a_network_that_was_not_used_for_longer_than_90_days_is_a_stranger(strict: Api, auth_sql: Connection) -> None:
    home = Place(strict)
    email = home.sign_up()
    attack(strict, email)
    auth_sql.execute(GROW_OLDER, (89, email))
    assert home.guess(email).error_code == "AUTH_001"
    auth_sql.execute(GROW_OLDER, (2, email))
    assert retry_after(home.guess(email)) > 1


def test_signing_in_again_keeps_a_network_known(strict: Api, auth_sql: Connection) -> None:
    home = Place(strict)
    email = home.sign_up()
    auth_sql.execute(GROW_OLDER, (60, email))
    assert home.sign_in(email).status == 200
    assert marks_of(auth_sql, email, days=1) == 1


def test_what_is_stale_is_forgotten_when_somebody_signs_in_elsewhere(strict: Api, auth_sql: Connection) -> None:
    email = Place(strict, push_token=new_push_token()).sign_up()
    assert marks_of(auth_sql, email) == 2
    auth_sql.execute(GROW_OLDER, (91, email))
    assert Place(strict).sign_in(email).status == 200
    assert marks_of(auth_sql, email) == 1


def test_what_is_no_address_is_no_network_that_is_known_again(strict: Api, auth_sql: Connection) -> None:
    email = Place(strict, "no address").sign_up()
    assert marks_of(auth_sql, email) == 0
    attack(strict, email)
    retry_after(Place(strict, "none either").sign_in(email))


def test_without_the_key_nobody_can_tell_from_a_mark_where_somebody_was(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, strict: Api, auth_sql: Connection
) -> None:
    # There are so few IPv4 addresses that a hash without a key is soon tried out.
    address, push_token = somewhere(), new_push_token()
    email = Place(strict, address, push_token).sign_up()
    assert marks_of(auth_sql, email) == 2
    other_key = base64.b64encode(os.urandom(32)).decode()
    with auth_with(stack, tmp_path_factory, REFRESH_TOKEN_KEY=other_key) as elsewhere:
        assert Place(elsewhere, address, push_token).sign_in(email).status == 200
    assert marks_of(auth_sql, email) == 4


def test_neither_emails_nor_addresses_are_kept_in_redis(stack: Stack, strict: Api) -> None:
    place = Place(strict, push_token=new_push_token())
    email = place.sign_up()
    attack(strict, email)
    place.guess(email)
    Place(strict).guess(email)
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        # Other tests count under names of their own.
        keys = [key for key in client.scan_iter("latchkey:brake:*") if ":test:" not in key]
    assert {key.split(":")[2] for key in keys} >= {"device", "place", "account", "network", "ticket", "sign-up"}
    assert [key for key in keys if not re.fullmatch(r"latchkey:brake:[a-z-]+:[0-9a-f]{32}", key)] == []
