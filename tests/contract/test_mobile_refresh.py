"""The mobile contract, section 4: refresh tokens and the two-phase refresh."""

import base64
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.waiting import eventually

# The contract: an ended session's access tokens are refused within this time.
REVOKED_SECONDS = 1.0


def refresh(api: Api, token: Any) -> Answer:
    return api.post("/v1/auth/refresh", {"refresh_token": token})


def another_device(phone: Phone) -> Phone:
    """A second device of the same person."""
    return Phone(phone.api, email=phone.email).sign_in()


def steal(phone: Phone) -> str:
    """The refresh token of before the last three refreshes, which no request that is under way has."""
    stolen = phone.refresh_token
    assert [phone.refresh().status for _ in range(3)] == [200] * 3
    return stolen


def refusal(api: Api, access_token: str) -> Answer:
    """The first answer with which an access token of an ended session is refused."""

    def refused() -> Answer | None:
        answer = api.get("/v1/users/me", token=access_token)
        return answer if answer.status == 401 else None

    answer = eventually(refused, seconds=REVOKED_SECONDS)
    assert answer
    return answer


def test_a_refresh_answers_as_a_login_without_the_user(phone: Phone) -> None:
    old = phone.refresh_token

    answer = phone.refresh()

    assert (answer.status, answer.message) == (200, "Token refreshed successfully")
    assert set(answer.data) == {
        "access_token", "access_token_expires_at", "refresh_token", "refresh_token_expires_at"
    }  # fmt: skip
    assert type(answer.data["access_token_expires_at"]) is type(answer.data["refresh_token_expires_at"]) is int
    assert answer.data["refresh_token"] != old
    assert phone.get("/v1/users/me").status == 200
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_refresh_token_tells_nothing(phone: Phone) -> None:
    assert phone.refresh_token.count(".") == 0
    assert phone.email.encode() not in base64.urlsafe_b64decode(phone.refresh_token + "===")


def test_a_refresh_token_that_was_not_made_here_is_refused(phone: Phone) -> None:
    genuine = phone.refresh_token
    raw = bytearray(base64.urlsafe_b64decode(genuine + "="))
    raw[-1] ^= 1
    changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()

    for token in ("x", "ÿ" * 71, genuine[:-1], genuine + "=", genuine + "A", changed, "A" * 71, str(uuid.uuid4())):
        answer = refresh(phone.api, token)
        assert (answer.status, answer.json) == (401, {"message": "Invalid refresh token", "error_code": "AUTH_004"})
    assert phone.refresh().status == 200


@pytest.mark.parametrize("token", ["", None, 5, ["x"], "x" * 513])
def test_what_can_be_no_refresh_token_is_a_wrong_field(api: Api, token: Any) -> None:
    answer = refresh(api, token)

    assert (answer.status, answer.error_code) == (400, "VAL_008")


def test_a_phone_that_lost_the_reply_gets_the_same_new_refresh_token_again(phone: Phone) -> None:
    old = phone.refresh_token

    first, again, once_more = (refresh(phone.api, old) for _ in range(3))

    assert first.data["refresh_token"] == again.data["refresh_token"] == once_more.data["refresh_token"] != old
    assert first.data["refresh_token_expires_at"] == again.data["refresh_token_expires_at"]
    for answer in (first, again, once_more):
        assert phone.api.get("/v1/users/me", token=answer.data["access_token"]).status == 200
    assert refresh(phone.api, again.data["refresh_token"]).status == 200


def test_the_old_token_still_works_shortly_after_the_new_pair_was_first_used(phone: Phone) -> None:
    old = phone.refresh_token
    phone.refresh()
    assert phone.get("/v1/users/me").status == 200

    assert refresh(phone.api, old).data["refresh_token"] == phone.refresh_token


def test_a_request_that_crossed_two_refreshes_gets_its_own_new_token_and_signs_nobody_out(phone: Phone) -> None:
    old = phone.refresh_token
    new = phone.refresh().data["refresh_token"]
    newest = phone.refresh().data["refresh_token"]

    assert refresh(phone.api, old).data["refresh_token"] == new
    assert refresh(phone.api, new).data["refresh_token"] == newest
    assert phone.refresh().status == 200
    assert phone.get("/v1/users/me").status == 200


def test_fifty_refreshes_at_once_are_fifty_successes_with_one_new_token(phone: Phone) -> None:
    old = phone.refresh_token

    with ThreadPoolExecutor(50) as taps:
        answers = list(taps.map(lambda _: refresh(phone.api, old), range(50)))

    assert [answer.status for answer in answers] == [200] * 50
    (new,) = {answer.data["refresh_token"] for answer in answers}
    assert refresh(phone.api, new).status == 200


def test_a_spent_token_ends_its_own_session_only(phone: Phone) -> None:
    other, stolen = another_device(phone), steal(phone)

    theft = refresh(phone.api, stolen)
    ended_at = time.monotonic()

    assert theft.status == 401
    assert theft.json == {"message": "This refresh token was already used", "error_code": "AUTH_006"}
    refused = refusal(phone.api, phone.access_token)
    assert time.monotonic() - ended_at < REVOKED_SECONDS
    assert refused.json == {"message": "This session has ended", "error_code": "AUTH_003"}
    assert other.get("/v1/users/me").status == 200
    assert other.refresh().status == 200


def test_every_access_token_of_an_ended_session_dies(phone: Phone) -> None:
    first = phone.access_token
    stolen = steal(phone)
    refresh(phone.api, stolen)

    for token in (first, phone.access_token):
        assert refusal(phone.api, token).error_code == "AUTH_003"


def test_nothing_is_resurrected(phone: Phone) -> None:
    stolen = steal(phone)
    newest = phone.refresh_token
    assert refresh(phone.api, stolen).error_code == "AUTH_006"

    for token in (newest, stolen, newest):
        answer = refresh(phone.api, token)
        assert (answer.status, answer.error_code) == (401, "AUTH_003")
    assert phone.sign_in().get("/v1/users/me").status == 200
    assert refresh(phone.api, newest).error_code == "AUTH_003"
