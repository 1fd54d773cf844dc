"""The mobile contract, section 6: my profile, and what others see of it."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.http import Api
from tests.support.phone import Phone

MY_KEYS = {"id", "name", "email", "phone", "profile_image", "created_at", "updated_at"}


def change(phone: Phone, /, **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = phone.send("PATCH", "/v1/users/me", changes).data
    return data


def test_my_profile_has_exactly_these_keys(phone: Phone) -> None:
    answer = phone.get("/v1/users/me")

    assert (answer.status, answer.message) == (200, "User profile fetched successfully")
    assert set(answer.data) == MY_KEYS
    assert (answer.data["id"], answer.data["name"], answer.data["email"]) == (phone.user["id"], "John Doe", phone.email)
    assert (answer.data["phone"], answer.data["profile_image"]) == ("9876543210", None)
    assert [type(answer.data[name]) for name in ("id", "created_at", "updated_at")] == [int] * 3
    assert abs(answer.data["created_at"] - time.time()) < 24 * 60 * 60


def test_name_and_phone_can_be_changed_one_by_one_and_together(phone: Phone) -> None:
    before = phone.get("/v1/users/me").data

    answer = phone.send("PATCH", "/v1/users/me", {"name": "Jane Doe"})

    assert (answer.status, answer.message) == (200, "User profile updated successfully")
    assert set(answer.data) == MY_KEYS
    assert answer.data == before | {"name": "Jane Doe", "updated_at": answer.data["updated_at"]}
    assert answer.data["updated_at"] >= before["updated_at"]
    assert change(phone, phone="+49 30 1234")["name"] == "Jane Doe"
    both = change(phone, name="Jim", phone="0123")
    assert (both["name"], both["phone"]) == ("Jim", "0123")
    assert phone.get("/v1/users/me").data == both


@pytest.mark.parametrize("field", ["name", "phone"])
def test_null_clears_a_field_and_a_missing_one_stays(phone: Phone, field: str) -> None:
    other = {"name": "phone", "phone": "name"}[field]
    kept = phone.get("/v1/users/me").data[other]

    changed = change(phone, **{field: None})

    assert (changed[field], changed[other]) == (None, kept)


def test_changing_nothing_changes_nothing(reader: Phone) -> None:
    before = reader.get("/v1/users/me")

    answer = reader.send("PATCH", "/v1/users/me", {})

    assert (answer.status, answer.data) == (200, before.data)
    assert answer.headers["ETag"] == before.headers["ETag"]


@pytest.mark.parametrize(
    "name",
    ["Zoë", "山田　太郎", "O'Brien-Smith", "علی‌رضا", "क्‍षितिज", "José\u00a0María", "x" * 100, "👩‍🚀", "\u3164김", "?"],
)
def test_people_write_their_names_as_they_do(reader: Phone, name: str) -> None:
    assert change(reader, name=name)["name"] == name


@pytest.mark.parametrize(
    "name",
    [
        *("\u200b", "\u00ad", "\u2060", "\ufeff", "\u034f", "\ufe0f", "\u3000", "\u2065", "\ufff0", "\U000e0001"),
        *("\u3164", "\u2800", "\u115f", "\u1160", "\uffa0", "\U0001d159", "\u200b \u2800\u0301"),
    ],
    ids=ascii,
)
def test_a_name_of_which_nothing_can_be_seen_is_no_name(
    reader: Phone, new_phone: Callable[[], Phone], name: str
) -> None:
    form = {**new_phone().credentials, "name": name}
    answers = [reader.send("PATCH", "/v1/users/me", {"name": name}), reader.api.post("/v1/auth/signup", form)]

    assert [(answer.status, answer.error_code) for answer in answers] == [(400, "VAL_005")] * 2


def test_names_and_phones_are_trimmed(reader: Phone) -> None:
    changed = change(reader, name="  Jane Doe ", phone=" 0123456 ")

    assert (changed["name"], changed["phone"]) == ("Jane Doe", "0123456")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": ""}, "VAL_005"), ({"name": "x" * 101}, "VAL_005"), ({"name": "a\tb"}, "VAL_005"),
        ({"name": "a\u202eb"}, "VAL_005"), ({"name": 5}, "VAL_005"), ({"phone": "12"}, "VAL_006"),
        ({"phone": "phone"}, "VAL_006"), ({"phone": True}, "VAL_006"), ({"email": "x@example.com"}, "VAL_007"),
        ({"id": 5}, "VAL_007"), ({"created_at": 0}, "VAL_007"), ({"profile_image": None}, "VAL_007"),
    ],
)  # fmt: skip
def test_what_may_not_be_changed_is_refused_and_nothing_is_stored(
    reader: Phone, changes: dict[str, Any], code: str
) -> None:
    before = reader.get("/v1/users/me").data

    answer = reader.send("PATCH", "/v1/users/me", {"name": "Jane Doe", **changes})

    assert (answer.status, answer.error_code) == (400, code)
    assert reader.get("/v1/users/me").data == before


def test_the_entity_tag_changes_with_the_profile_only(phone: Phone) -> None:
    first, second = (phone.get("/v1/users/me").headers["ETag"] for _ in range(2))
    changed = phone.send("PATCH", "/v1/users/me", {"name": "Jane Doe"}).headers["ETag"]

    assert first == second != changed
    assert phone.get("/v1/users/me").headers["ETag"] == changed
    assert phone.get("/v1/users/me", **{"If-None-Match": changed}).status == 304
    assert phone.get("/v1/users/me", **{"If-None-Match": first}).status == 200


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/auth/sessions"])
def test_an_empty_tag_is_the_tag_of_nothing(reader: Phone, path: str) -> None:
    assert reader.get(path, **{"If-None-Match": '""'}).status == 200


def test_a_change_that_was_made_for_an_older_profile_is_refused(phone: Phone) -> None:
    tag = phone.get("/v1/users/me").headers["ETag"]
    assert phone.send("PATCH", "/v1/users/me", {"name": "Jane Doe"}, **{"If-Match": tag}).status == 200

    answer = phone.send("PATCH", "/v1/users/me", {"name": "Jim Doe"}, **{"If-Match": tag})

    assert (answer.status, answer.json) == (
        409,
        {"message": "The profile was changed meanwhile", "error_code": "USER_409"},
    )
    assert phone.get("/v1/users/me").data["name"] == "Jane Doe"


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        *(("*", 200), ("TAG", 200), ('"x", TAG', 200), ('"", TAG', 200)),
        *(('"x"', 409), ("W/TAG", 409), ('"999999"', 409), ('""', 409)),
    ],
)
def test_if_match_is_read_as_http_means_it(reader: Phone, if_match: str, status: int) -> None:
    if_match = if_match.replace("TAG", reader.get("/v1/users/me").headers["ETag"])

    answer = reader.send("PATCH", "/v1/users/me", {"name": "Jane Doe"}, **{"If-Match": if_match})

    assert answer.status == status


def test_others_see_the_name_and_the_picture_only(phone: Phone, new_phone: Callable[[], Phone]) -> None:
    stranger = new_phone().sign_up(name="Somebody Else")

    answer = phone.get(f"/v1/users/{stranger.user['id']}")

    assert (answer.status, answer.message) == (200, "User profile fetched successfully")
    assert answer.data == {"id": stranger.user["id"], "name": "Somebody Else", "profile_image": None}


def test_i_am_among_the_others(reader: Phone) -> None:
    assert set(reader.get(f"/v1/users/{reader.user['id']}").data) == {"id", "name", "profile_image"}


@pytest.mark.parametrize("user_id", ["0", "999999999999", "9" * 19, "9" * 400])
def test_an_unknown_person_is_404(reader: Phone, user_id: str) -> None:
    answer = reader.get(f"/v1/users/{user_id}")

    assert (answer.status, answer.json) == (404, {"message": "User not found", "error_code": "USER_404"})


@pytest.mark.parametrize("user_id", ["abc", "-1", "1.0", "me2", "%D9%A1", "1%20"])
def test_what_can_be_nobody_s_id_is_404_too(reader: Phone, user_id: str) -> None:
    assert reader.get(f"/v1/users/{user_id}").status == 404


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/users/1"])
def test_profiles_are_for_those_who_are_signed_in(api: Api, path: str) -> None:
    answer = api.get(path)

    assert (answer.status, answer.error_code) == (401, "AUTH_401")
    assert api.send("PATCH", "/v1/users/me", {"name": "x"}).error_code == "AUTH_401"
