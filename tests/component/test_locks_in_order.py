"""Whoever needs several sessions takes them in the order of their ids, so that no two wait for each other."""

import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import Connection, connect

from shared.service_client import ClientCredentials, ServiceClient
from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.crowd import at_once, auth_with, new_push_token
from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

CROWD, TOKENS, ROUNDS = 32, 4, 10
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
HOLD_ACCOUNTS = "SELECT FROM accounts WHERE id = ANY(%s) FOR NO KEY UPDATE"
HOLD_SESSION = "SELECT FROM sessions WHERE id = %s FOR UPDATE NOWAIT"


@pytest.fixture(scope="module")
def strict_about_one(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth for people who have one device."""
    with auth_with(stack, tmp_path_factory, SESSIONS_PER_PERSON="1") as api:
        yield api


def put(phone: Phone, push_token: str) -> Answer:
    return phone.send("PUT", "/v1/auth/device", {"notification_device_id": push_token})


def test_sessions_that_take_push_tokens_from_each_other_do_not_deadlock(new_phone: Callable[[], Phone]) -> None:
    phones = [new_phone().sign_up() for _ in range(TOKENS)]
    push_tokens = [new_push_token() for _ in range(TOKENS)]

    def take_any(number: int) -> Answer:
        return [put(phones[number % TOKENS], random.choice(push_tokens)) for _ in range(ROUNDS)][-1]

    # Who is in a deadlock is answered SRV_503.
    assert {answer.status for answer in at_once(CROWD, take_any)} == {200}


def test_two_sessions_that_swap_push_tokens_do_not_deadlock(
    stack: Stack, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    phones = [new_phone().sign_up() for _ in range(2)]
    push_tokens = [new_push_token(), new_push_token()]
    for phone, push_token in zip(phones, push_tokens, strict=True):
        put(phone, push_token)
    with ThreadPoolExecutor(2) as people, connect(stack.database_url("auth")) as blocker:
        # Both have come as far as they can before one of them has a session.
        for phone in phones:
            blocker.execute(HOLD_SESSION, (session_of(phone, auth_sql),))
        swapping = [people.submit(put, *pair) for pair in zip(phones, reversed(push_tokens), strict=True)]
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (2,))
        blocker.rollback()
        assert [one.result().status for one in swapping] == [200, 200]


def test_people_who_sign_in_with_each_others_push_tokens_do_not_deadlock(
    strict_about_one: Api, stack: Stack, auth_sql: Connection
) -> None:
    phones = [Phone(strict_about_one) for _ in range(2)]
    push_tokens = [new_push_token(), new_push_token()]
    for number, phone in enumerate(phones):
        phone.push_token = push_tokens[number]
        phone.sign_up()
    for turn in range(ROUNDS):
        with ThreadPoolExecutor(2) as people, connect(stack.database_url("auth")) as blocker:
            # Both have come as far as they can before one of them opens a session.
            blocker.execute(HOLD_ACCOUNTS, ([phone.user["id"] for phone in phones],))
            for number, phone in enumerate(phones):
                phone.push_token = push_tokens[(number + turn + 1) % 2]
            signing_in = [people.submit(phone.sign_in) for phone in phones]
            eventually(lambda: auth_sql.execute(WAITING).fetchone() == (2,))
            blocker.rollback()
            for one in signing_in:
                one.result()


def test_a_sign_in_waits_for_no_session_that_has_ended_and_the_next_one_tells_of_it(
    stack: Stack, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    phone = new_phone().sign_up()
    phone.log_out()
    with connect(stack.database_url("auth")) as holder:
        holder.execute(HOLD_SESSION, (session_of(phone, auth_sql),))
        assert "previous_session_end" not in phone.api.post("/v1/auth/login", phone.credentials).data
    assert phone.api.post("/v1/auth/login", phone.credentials).data["previous_session_end"]["reason"] == "logout"


def log_out_everywhere(phone: Phone, _push: ServiceClient, _push_tokens: list[str]) -> None:
    assert phone.log_out("all").status == 200


def forget_push_tokens(_phone: Phone, push: ServiceClient, push_tokens: list[str]) -> None:
    gone = {"notification_device_ids": push_tokens}
    assert push.post("/internal/push-targets/invalid", gone) == {"forgotten": 2}


@pytest.mark.parametrize("act", [log_out_everywhere, forget_push_tokens])
def test_what_concerns_several_sessions_takes_them_in_order(
    stack: Stack,
    new_phone: Callable[[], Phone],
    auth_sql: Connection,
    act: Callable[[Phone, ServiceClient, list[str]], None],
) -> None:
    push = ServiceClient(stack.auth_url, ClientCredentials(stack.auth_url, CLIENT_ID, CLIENT_SECRET, "auth"))
    # The older session comes last in every index and, written anew, in the table.
    phone, push_tokens = new_phone().sign_up(), sorted([new_push_token(), new_push_token()], reverse=True)
    put(phone, push_tokens[0])
    first = session_of(phone, auth_sql)
    other = Phone(phone.api, email=phone.email).sign_in()
    put(other, push_tokens[1])
    while places_in_the_table(phone, auth_sql)[-1] != first:
        put(phone, new_push_token())
        put(phone, push_tokens[0])
    last = places_in_the_table(phone, auth_sql)[0]
    with (
        ThreadPoolExecutor(1) as pool,
        connect(stack.database_url("auth")) as holder,
        connect(stack.database_url("auth")) as another,
    ):
        holder.execute(HOLD_SESSION, (first,))
        acting = pool.submit(act, phone, push, push_tokens)
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (1,))
        another.execute(HOLD_SESSION, (last,))
        another.rollback()
        holder.rollback()
        acting.result()


def session_of(phone: Phone, auth_sql: Connection) -> uuid.UUID:
    [first] = places_in_the_table(phone, auth_sql)
    return first


def places_in_the_table(phone: Phone, auth_sql: Connection) -> list[uuid.UUID]:
    rows = auth_sql.execute("SELECT id FROM sessions WHERE account_id = %s ORDER BY ctid", (phone.user["id"],))
    return [session_id for (session_id,) in rows]
