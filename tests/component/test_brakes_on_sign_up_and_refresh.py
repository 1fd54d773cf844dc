"""Sign-ups are counted by network, refreshes by session and never by network."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from services.auth import refresh_tokens
from tests.support.crowd import Place, at_once, auth_with, retry_after, somewhere
from tests.support.http import Api
from tests.support.phone import PASSWORD, new_email
from tests.support.waiting import eventually
from tools.stack import Stack

SIGN_UPS, REFRESHES = 10, 20


@pytest.fixture(scope="module")
def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth with small numbers."""
    settings = {"NETWORK_SIGN_UPS_PER_MINUTE": str(SIGN_UPS), "SESSION_REFRESHES_PER_MINUTE": str(REFRESHES)}
    with auth_with(stack, tmp_path_factory, **settings) as api:
        yield api


def refresh_token_of(place: Place) -> str:
    return str(place.sign_in(place.sign_up()).data["refresh_token"])


def refresh(place: Place, refresh_token: str) -> int:
    return place.post("/v1/auth/refresh", {"refresh_token": refresh_token}).status


def test_sign_ups_from_one_network_are_slowed_and_those_from_another_are_not(strict: Api) -> None:
    network = Place(strict)
    form = {"password": PASSWORD, "device_type": "Web"}

    def sign_up(_number: int) -> int:
        return network.post("/v1/auth/signup", {**form, "email": new_email()}).status

    assert [sign_up(number) for number in range(SIGN_UPS)] == [201] * SIGN_UPS
    refused = network.post("/v1/auth/signup", {**form, "email": new_email()})
    wait = retry_after(refused)
    assert 1 <= wait <= 60 / SIGN_UPS
    assert Place(strict).post("/v1/auth/signup", {**form, "email": new_email()}).status == 201
    time.sleep(wait)
    assert sign_up(0) == 201


def test_a_form_that_is_wrong_is_no_sign_up(strict: Api) -> None:
    network = Place(strict)
    for _ in range(SIGN_UPS + 5):
        wrong = {"email": new_email(), "password": "short", "device_type": "Web"}
        assert network.post("/v1/auth/signup", wrong).error_code == "AUTH_008"
    network.sign_up()


def test_an_app_that_hammers_refresh_is_slowed_and_the_others_at_its_address_are_not(strict: Api) -> None:
    carrier = somewhere()
    hammering, others = Place(strict, carrier), [Place(strict, carrier) for _ in range(3)]
    token = refresh_token_of(hammering)
    tokens = [refresh_token_of(other) for other in others]
    answers = at_once(3 * REFRESHES, lambda _: hammering.post("/v1/auth/refresh", {"refresh_token": token}))
    statuses = [answer.status for answer in answers]
    assert REFRESHES <= statuses.count(200) <= REFRESHES + 5
    assert set(statuses) == {200, 429}
    assert [refresh(other, own) for other, own in zip(others, tokens, strict=True)] == [200] * 3
    wait = retry_after(hammering.post("/v1/auth/refresh", {"refresh_token": token}))
    time.sleep(wait)
    # Being slowed has cost the session nothing.
    assert refresh(hammering, token) == 200


def test_refreshes_that_wait_for_each_other_are_counted_one_by_one(
    strict: Api, stack: Stack, auth_sql: psycopg.Connection
) -> None:
    place = Place(strict)
    token = refresh_token_of(place)
    assert {refresh(place, token) for _ in range(REFRESHES - 2)} == {200}
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with ThreadPoolExecutor(10) as pool, psycopg.connect(stack.database_url("auth")) as blocker:
        blocker.execute("SELECT 1 FROM sessions WHERE id = %s FOR UPDATE", (refresh_tokens.read(token).session_id,))
        statuses = [pool.submit(refresh, place, token) for _ in range(10)]
        eventually(lambda: auth_sql.execute(waiting).fetchone() == (10,))
        blocker.rollback()
        answers = [status.result() for status in statuses]
    # Two are left, and those that were forgotten meanwhile.
    assert 1 <= answers.count(200) <= 6
    assert set(answers) == {200, 429}


def test_an_app_that_takes_every_new_token_at_once_is_slowed_too(strict: Api) -> None:
    place = Place(strict)
    token, answers = refresh_token_of(place), []
    for _ in range(REFRESHES + 10):
        answers.append(place.post("/v1/auth/refresh", {"refresh_token": token}))
        if answers[-1].status == 200:
            token = answers[-1].data["refresh_token"]
    statuses = [answer.status for answer in answers]
    assert statuses[:REFRESHES] == [200] * REFRESHES
    assert 429 in statuses[REFRESHES:]
    time.sleep(retry_after(answers[statuses.index(429)]))
    assert refresh(place, token) == 200


def test_fifty_refreshes_of_ten_sessions_behind_one_address_are_not_slowed(strict: Api, auth: Api) -> None:
    carrier = somewhere()
    email = Place(auth).sign_up()
    tokens = [Place(auth).sign_in(email).data["refresh_token"] for _ in range(10)]
    answers = at_once(
        50, lambda number: Place(strict, carrier).post("/v1/auth/refresh", {"refresh_token": tokens[number % 10]})
    )
    assert [answer.status for answer in answers] == [200] * 50


def test_forged_tokens_do_not_use_up_the_share_of_the_session_that_they_name(strict: Api) -> None:
    place = Place(strict)
    token = refresh_token_of(place)
    named = refresh_tokens.read(token)
    forged = refresh_tokens.derive(named.session_id, named.generation, b"a guess", b"another")
    for _ in range(REFRESHES + 5):
        assert place.post("/v1/auth/refresh", {"refresh_token": forged}).error_code == "AUTH_004"
    assert refresh(place, token) == 200
