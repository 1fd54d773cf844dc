"""The mobile contract, sections 1 to 3: what the forms refuse, and sign-ups that are sent twice."""

import gzip
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.http import Answer, Api
from tests.support.phone import PASSWORD, Phone

NewPhone = Callable[[], Phone]


def sign_up(phone: Phone, key: str = "", /, **changes: Any) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return phone.api.post("/v1/auth/signup", {**phone.credentials, **changes}, headers=headers)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("email", "nobody", "VAL_001"), ("password", 5, "VAL_002"), ("device_type", "Toaster", "VAL_003"),
        ("device_type", None, "VAL_003"), ("notification_device_id", "", "VAL_004"),
        ("notification_device_id", "x" * 2049, "VAL_004"), ("notification_device_id", ["x"], "VAL_004"),
        ("notification_device_id", "hv283b\n", "VAL_004"), ("notification_device_id", "hv\u00e9", "VAL_004"),
        ("name", "", "VAL_005"), ("name", "   ", "VAL_005"), ("name", "x" * 101, "VAL_005"),
        ("name", "John\nDoe", "VAL_005"), ("phone", "call me", "VAL_006"), ("phone", "1" * 33, "VAL_006"),
        ("phone", 9876543210, "VAL_006"), ("first_name", "John", "VAL_007"), ("Email", "x", "VAL_007"),
    ],
)  # fmt: skip
def test_every_field_that_is_wrong_has_its_own_code(new_phone: NewPhone, field: str, value: Any, code: str) -> None:
    answer = sign_up(new_phone(), **{field: value})

    assert (answer.status, answer.error_code) == (400, code)


@pytest.mark.parametrize("field", ["email", "password", "device_type"])
def test_a_field_that_is_missing_is_a_wrong_field(new_phone: NewPhone, field: str) -> None:
    phone = new_phone()
    form = {name: value for name, value in phone.credentials.items() if name != field}
    code = {"email": "VAL_001", "password": "VAL_002", "device_type": "VAL_003"}[field]

    for path in ("/v1/auth/signup", "/v1/auth/login"):
        assert phone.api.post(path, form).error_code == code


def test_of_several_wrong_fields_the_first_of_the_form_gives_the_code_and_all_are_named(new_phone: NewPhone) -> None:
    phone = new_phone()
    messages = {entry["code"]: entry["message"] for entry in phone.api.get("/v1/errors").data}

    # In another order than the form has.
    answer = sign_up(phone, nonsense=1, phone="x", name="", notification_device_id=1, device_type="x", password="short")
    without_password = sign_up(phone, phone="x", device_type="x")

    assert answer.error_code == "AUTH_008"
    for code in ("AUTH_008", "VAL_003", "VAL_004", "VAL_005", "VAL_006", "VAL_007"):
        assert messages[code] in answer.message
    assert messages["VAL_001"] not in answer.message
    assert without_password.error_code == "VAL_003"
    assert messages["VAL_006"] in without_password.message


def test_a_common_password_is_named_beside_other_wrong_fields(new_phone: NewPhone) -> None:
    answer = sign_up(new_phone(), password="password", phone="x")

    assert answer.error_code == "AUTH_009"
    assert answer.message == "Password is too common; Phone number is not valid"


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("POST", "/v1/auth/login", {}),
        ("POST", "/v1/auth/refresh", {"refresh_token": "x"}),
        ("POST", "/v1/auth/logout", {"scope": "this"}),
        ("PUT", "/v1/auth/device", {"notification_device_id": None}),
        ("PATCH", "/v1/users/me", {"name": "Jane Doe"}),
    ],
)
def test_a_field_that_nobody_knows_is_refused_everywhere(
    reader: Phone, method: str, path: str, form: dict[str, Any]
) -> None:
    form = {**(form or reader.credentials), "nonsense": 1}

    answer = reader.send(method, path, form)

    assert answer.json == {"message": "The request has a field that is not known here", "error_code": "VAL_007"}
    assert reader.get("/v1/users/me").data["name"] == "John Doe"


def test_a_body_that_is_not_announced_as_json_is_415(api: Api) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "text/json", "application/json-patch"):
        answer = api.send("POST", "/v1/auth/login", body=b"{}", headers={"Content-Type": content_type})
        assert (answer.status, answer.error_code) == (415, "REQ_415")


def test_a_body_that_is_packed_is_415(api: Api) -> None:
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = api.send("POST", "/v1/auth/login", body=gzip.compress(b"{}"), headers=packed)
    assert (answer.status, answer.error_code) == (415, "REQ_415")


def test_json_with_a_charset_is_json(reader: Phone) -> None:
    announced = {"Content-Type": "Application/JSON; charset=utf-8"}

    assert reader.api.post("/v1/auth/login", reader.credentials, headers=announced).status == 200


def test_a_body_that_is_too_large_is_413(api: Api) -> None:
    answer = api.post("/v1/auth/login", {"email": "x" * 2_000_000})

    assert (answer.status, answer.error_code) == (413, "REQ_413")


def test_an_address_that_is_too_long_is_414(api: Api) -> None:
    answer = api.get(f"/v1/users/{'1' * 10_000}")

    assert (answer.status, answer.error_code) == (414, "REQ_414")


def test_headers_that_are_too_large_are_431(api: Api) -> None:
    for headers in ({"X-Large": "x" * 20_000}, {f"X-Header-{number}": "x" for number in range(200)}):
        answer = api.get("/v1/errors", headers=headers)
        assert (answer.status, answer.error_code) == (431, "REQ_431")


def test_the_same_key_and_body_again_get_the_same_account_and_working_tokens(new_phone: NewPhone) -> None:
    phone, key = new_phone(), str(uuid.uuid4())

    first, again = (sign_up(phone, key, name="John Doe") for _ in range(2))

    assert (again.status, again.message) == (first.status, first.message) == (201, "Signup successful")
    assert again.data["user"] == first.data["user"]
    for answer in (first, again):
        assert phone.api.get("/v1/users/me", token=answer.data["access_token"]).data["id"] == first.data["user"]["id"]
    assert phone.refresh(again.data["refresh_token"]).status == 200
    assert len(phone.get("/v1/auth/sessions").data) == 1


def test_a_reply_that_was_lost_can_be_had_again_after_the_person_signed_out(new_phone: NewPhone) -> None:
    phone, key = new_phone(), str(uuid.uuid4())
    token = sign_up(phone, key).data["access_token"]
    assert phone.api.post("/v1/auth/logout", {}, token=token).status == 200

    again = sign_up(phone, key)

    assert phone.api.get("/v1/users/me", token=again.data["access_token"]).status == 200


def test_a_key_in_other_letters_is_the_same_key(new_phone: NewPhone) -> None:
    phone, key = new_phone(), str(uuid.uuid4())

    assert sign_up(phone, key).data["user"] == sign_up(phone, key.upper()).data["user"]


def test_a_key_that_was_used_for_another_request_is_refused(new_phone: NewPhone) -> None:
    phone, key = new_phone(), str(uuid.uuid4())
    assert sign_up(phone, key).status == 201

    others = [
        sign_up(phone, key, name="Somebody Else"),
        sign_up(phone, key, email=new_phone().email),
        sign_up(phone, key, password=f"{PASSWORD}!"),
    ]

    for answer in others:
        assert (answer.status, answer.error_code) == (400, "VAL_010")


def test_another_key_or_none_does_not_get_somebody_else_s_account(new_phone: NewPhone) -> None:
    phone = new_phone()
    assert sign_up(phone, str(uuid.uuid4())).status == 201

    assert sign_up(phone, str(uuid.uuid4())).error_code == "AUTH_002"
    assert sign_up(phone).error_code == "AUTH_002"


def test_one_key_sent_many_times_at_once_makes_one_account(new_phone: NewPhone) -> None:
    phone, key = new_phone(), str(uuid.uuid4())

    with ThreadPoolExecutor(5) as taps:
        answers = list(taps.map(lambda _: sign_up(phone, key), range(5)))

    assert [answer.status for answer in answers] == [201] * 5
    assert len({answer.data["user"]["id"] for answer in answers}) == 1
    for answer in answers:
        assert phone.api.get("/v1/users/me", token=answer.data["access_token"]).status == 200


@pytest.mark.parametrize("key", ["tap-1", "12345678-1234-1234-1234", "{}", "0" * 5000])
def test_a_key_that_is_no_uuid_is_refused(new_phone: NewPhone, key: str) -> None:
    answer = sign_up(new_phone(), key)

    assert (answer.status, answer.error_code) == (400, "VAL_010")
