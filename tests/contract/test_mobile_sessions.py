"""The mobile contract, section 5: logging out, my sessions and my devices."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually

REVOKED_SECONDS = 1.0
Family = tuple[Phone, Phone, Phone]


@pytest.fixture
def devices(phone: Phone) -> Family:
    """Three devices of one person."""
    return (phone, Phone(phone.api, email=phone.email).sign_in(), Phone(phone.api, email=phone.email).sign_in())


def is_out(phone: Phone) -> bool:
    """Whether neither token of the device works any more, as an ended session."""
    refused = phone.get("/v1/users/me")
    return refused.status == 401 and refused.error_code == "AUTH_003" and phone.refresh().error_code == "AUTH_003"


def becomes_out(phone: Phone) -> None:
    eventually(lambda: phone.get("/v1/users/me").status == 401, seconds=REVOKED_SECONDS)
    assert is_out(phone)


def is_in(phone: Phone) -> bool:
    return phone.get("/v1/users/me").status == 200 and phone.refresh().status == 200


def sessions_of(phone: Phone) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = phone.get("/v1/auth/sessions").data
    return sessions


def id_of(phone: Phone) -> str:
    """The id of the session that the device itself is signed in with."""
    return next(str(session["id"]) for session in sessions_of(phone) if session["is_current"])


@pytest.mark.parametrize("form", [{"scope": "this"}, {}, None])
def test_logging_out_ends_this_session_and_no_other(devices: Family, form: dict[str, str] | None) -> None:
    mine, second, third = devices

    answer = mine.send("POST", "/v1/auth/logout", form)

    assert (answer.status, answer.json) == (200, {"message": "Logged out successfully", "data": {}})
    becomes_out(mine)
    assert is_in(second)
    assert is_in(third)


def test_logging_out_the_others_leaves_this_one(devices: Family) -> None:
    mine, second, third = devices

    assert mine.log_out("others").status == 200

    becomes_out(second)
    becomes_out(third)
    assert is_in(mine)


def test_logging_out_everywhere_ends_all(devices: Family) -> None:
    assert devices[0].log_out("all").status == 200

    for device in devices:
        becomes_out(device)


@pytest.mark.parametrize("scope", ["this", "others", "all"])
def test_logging_out_does_not_reach_other_people(phone: Phone, new_phone: Callable[[], Phone], scope: str) -> None:
    stranger = new_phone().sign_up()

    assert phone.log_out(scope).status == 200

    assert is_in(stranger)


@pytest.mark.parametrize("scope", ["this", "all"])
def test_logging_out_again_is_fine(phone: Phone, scope: str) -> None:
    for _ in range(3):
        assert phone.log_out(scope).status == 200
    becomes_out(phone)
    assert phone.log_out(scope).status == 200


def test_the_refresh_token_alone_logs_out_too(devices: Family) -> None:
    mine, second, _ = devices
    form = {"refresh_token": mine.refresh_token}

    first, again = (mine.api.post("/v1/auth/logout", form) for _ in range(2))

    assert first.json == again.json == {"message": "Logged out successfully", "data": {}}
    becomes_out(mine)
    assert is_in(second)


def test_the_refresh_token_alone_logs_out_everywhere(devices: Family) -> None:
    form = {"refresh_token": devices[0].refresh_token, "scope": "all"}

    assert devices[0].api.post("/v1/auth/logout", form).status == 200

    for device in devices:
        becomes_out(device)


def test_a_refresh_token_that_was_spent_long_ago_logs_nobody_else_out(devices: Family) -> None:
    mine, second, _ = devices
    before = stolen = mine.refresh_token
    for _ in range(2):
        before = mine.refresh_token
        mine.refresh()

    for scope in ("others", "all"):
        answer = mine.api.post("/v1/auth/logout", {"refresh_token": stolen, "scope": scope})
        assert (answer.status, answer.error_code) == (401, "AUTH_004")
    assert is_in(second)
    # The phone that lost the reply to its last refresh may.
    assert mine.api.post("/v1/auth/logout", {"refresh_token": before, "scope": "others"}).status == 200
    becomes_out(second)


def test_logging_out_needs_some_proof(api: Api) -> None:
    answer = api.post("/v1/auth/logout", {"scope": "this"})

    assert (answer.status, answer.json) == (401, {"message": "Access token missing", "error_code": "AUTH_401"})


def test_a_forged_refresh_token_logs_nobody_out(phone: Phone) -> None:
    answer = phone.api.post("/v1/auth/logout", {"refresh_token": "A" * 71})

    assert (answer.status, answer.error_code) == (401, "AUTH_004")
    assert is_in(phone)


@pytest.mark.parametrize("scope", ["", "mine", None, 1, ["this"], "THIS"])
def test_an_unknown_scope_is_refused(reader: Phone, scope: Any) -> None:
    answer = reader.send("POST", "/v1/auth/logout", {"scope": scope})

    assert (answer.status, answer.error_code) == (400, "VAL_009")
    assert is_in(reader)


def test_an_ended_session_has_no_say_over_others(devices: Family) -> None:
    mine, second, _ = devices
    mine.log_out()

    answer = mine.log_out("all")

    assert (answer.status, answer.error_code) == (401, "AUTH_003")
    assert is_in(second)


def test_my_sessions_are_listed_the_newest_first(devices: Family) -> None:
    answer = devices[0].get("/v1/auth/sessions")

    assert (answer.status, answer.message) == (200, "Sessions fetched successfully")
    assert len(answer.data) == 3
    for session in answer.data:
        assert {"id", "device_type", "created_at", "last_used_at", "is_current"} <= set(session)
        assert str(uuid.UUID(session["id"])) == session["id"]
        assert session["device_type"] == "Android"
        assert [type(value) for name, value in session.items() if name.endswith("_at")] == [int] * 3
        assert session["created_at"] <= session["last_used_at"] < session["expires_at"]
    assert [session["is_current"] for session in answer.data] == [False, False, True]


def test_a_refresh_is_a_use(devices: Family) -> None:
    mine = devices[0]
    assert not sessions_of(mine)[0]["is_current"]

    mine.refresh()

    assert sessions_of(mine)[0]["is_current"]


def test_the_list_shows_neither_secrets_nor_other_people(phone: Phone, new_phone: Callable[[], Phone]) -> None:
    stranger = new_phone().sign_up()

    listed = phone.get("/v1/auth/sessions")

    assert [session["id"] for session in listed.data] == [id_of(phone)]
    assert id_of(stranger) not in listed.body.decode()
    assert phone.refresh_token not in listed.body.decode()


def test_one_of_my_sessions_can_be_ended_from_another(devices: Family) -> None:
    mine, second, third = devices

    answer = mine.send("DELETE", f"/v1/auth/sessions/{id_of(second)}")

    assert (answer.status, answer.json) == (200, {"message": "Session ended successfully", "data": {}})
    becomes_out(second)
    assert is_in(third)
    assert len(sessions_of(mine)) == 2


def test_the_session_in_hand_can_be_ended_too(phone: Phone) -> None:
    assert phone.send("DELETE", f"/v1/auth/sessions/{id_of(phone)}").status == 200

    becomes_out(phone)


def test_an_unknown_session_and_somebody_else_s_are_one_answer(phone: Phone, new_phone: Callable[[], Phone]) -> None:
    stranger = new_phone().sign_up()
    for session_id in (id_of(stranger), str(uuid.uuid4()), "x", "1", "019391a4"):
        answer = phone.send("DELETE", f"/v1/auth/sessions/{session_id}")
        assert (answer.status, answer.json) == (404, {"message": "Session not found", "error_code": "AUTH_010"})
    assert is_in(stranger)


def test_a_session_that_has_ended_is_not_found_any_more(devices: Family) -> None:
    mine, second, _ = devices
    ended = id_of(second)
    assert mine.send("DELETE", f"/v1/auth/sessions/{ended}").status == 200

    assert mine.send("DELETE", f"/v1/auth/sessions/{ended}").error_code == "AUTH_010"


@pytest.mark.parametrize("push_token", ["hv283b", "x" * 2048, None])
def test_the_push_token_of_a_device_can_change(reader: Phone, push_token: str | None) -> None:
    answer = reader.send("PUT", "/v1/auth/device", {"notification_device_id": push_token})

    assert (answer.status, answer.json) == (200, {"message": "Device updated successfully", "data": {}})


@pytest.mark.parametrize("form", [{}, {"notification_device_id": ""}, {"notification_device_id": 5}])
def test_a_bad_push_token_is_refused(reader: Phone, form: dict[str, Any]) -> None:
    answer = reader.send("PUT", "/v1/auth/device", form)

    assert (answer.status, answer.error_code) == (400, "VAL_004")


def test_a_push_token_can_go_from_hand_to_hand(phone: Phone, new_phone: Callable[[], Phone]) -> None:
    heir = new_phone()
    phone.push_token = heir.push_token = f"push-{uuid.uuid4()}"

    phone.sign_in()
    heir.sign_up()
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": phone.push_token})

    assert heir.sign_in().get("/v1/users/me").status == 200
    assert phone.get("/v1/users/me").status == 200
