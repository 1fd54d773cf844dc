"""The mobile contract, section 3: signing up and in."""

import string
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.support.http import Answer, Api
from tests.support.phone import PASSWORD, Phone, new_email

DAY = 24 * 60 * 60
TOKEN_KEYS = {"access_token", "access_token_expires_at", "refresh_token", "refresh_token_expires_at"}
NewPhone = Callable[[], Phone]


def said_at(answer: Answer) -> float:
    """When the backend answered, by its own clock."""
    return parsedate_to_datetime(answer.headers["Date"]).timestamp()


def sign_up(phone: Phone, /, **changes: Any) -> Answer:
    return phone.api.post("/v1/auth/signup", {**phone.credentials, **changes})


def sign_in(phone: Phone, /, **changes: Any) -> Answer:
    return phone.api.post("/v1/auth/login", {**phone.credentials, **changes})


def check_sign_in(answer: Answer, email: str) -> None:
    """The data of the contract's example, to the last key and type."""
    data = answer.data
    assert set(data) == TOKEN_KEYS | {"user"}
    assert set(data["user"]) == {"id", "name", "email", "profile_image"}
    assert type(data["user"]["id"]) is int
    assert (data["user"]["name"], data["user"]["email"], data["user"]["profile_image"]) == ("John Doe", email, None)
    assert type(data["access_token_expires_at"]) is int
    assert type(data["refresh_token_expires_at"]) is int
    assert data["access_token_expires_at"] == pytest.approx(said_at(answer) + 15 * 60, abs=10)
    assert data["refresh_token_expires_at"] == pytest.approx(said_at(answer) + 30 * DAY, abs=10)


def test_signing_up_answers_201_and_signs_the_device_in(api: Api) -> None:
    email = new_email()
    form = {
        "email": email, "password": "userPassword123", "device_type": "Android", "notification_device_id": "hv283b",
        "name": "John Doe", "phone": "9876543210",
    }  # fmt: skip

    answer = api.post("/v1/auth/signup", form)

    assert (answer.status, answer.message) == (201, "Signup successful")
    check_sign_in(answer, email)
    me = api.get("/v1/users/me", token=answer.data["access_token"]).data
    assert (me["id"], me["phone"]) == (answer.data["user"]["id"], "9876543210")


def test_signing_in_answers_200_and_the_same_shape(reader: Phone) -> None:
    answer = sign_in(reader)

    assert (answer.status, answer.message) == (200, "Login successful")
    check_sign_in(answer, reader.email)
    assert answer.data["user"]["id"] == reader.user["id"]


def test_tokens_stay_out_of_caches(reader: Phone) -> None:
    assert sign_in(reader).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("missing", [("name",), ("phone",), ("notification_device_id",), ("name", "phone")])
def test_name_phone_and_push_token_may_be_missing_or_null(new_phone: NewPhone, missing: tuple[str, ...]) -> None:
    with_null, without = new_phone(), new_phone()
    form = {**without.credentials, "name": "John Doe", "phone": "9876543210"}

    answers = [
        sign_up(with_null, **dict.fromkeys(missing)),
        without.api.post("/v1/auth/signup", {name: value for name, value in form.items() if name not in missing}),
    ]

    assert [answer.status for answer in answers] == [201, 201]
    if "name" in missing:
        assert [answer.data["user"]["name"] for answer in answers] == [None, None]


@pytest.mark.parametrize(
    ("given", "stored"), [("Android", "Android"), ("ANDROID", "Android"), ("ios", "iOS"), ("web", "Web")]
)
def test_the_case_of_a_device_type_does_not_matter(reader: Phone, given: str, stored: str) -> None:
    token = sign_in(reader, device_type=given).data["access_token"]

    sessions = reader.api.get("/v1/auth/sessions", token=token).data

    assert [session["device_type"] for session in sessions if session["is_current"]] == [stored]


@pytest.mark.parametrize("form", ["  {}  ", "{}\n", "\t{}"])
def test_an_email_is_trimmed(new_phone: NewPhone, form: str) -> None:
    phone = new_phone()

    answer = sign_up(phone, email=form.format(phone.email), name="John Doe")

    check_sign_in(answer, phone.email)
    assert sign_in(phone, email=form.format(phone.email)).status == 200


def test_one_email_in_any_case_is_one_account(reader: Phone) -> None:
    shouted = reader.email.upper()

    assert sign_up(reader, email=shouted).error_code == "AUTH_002"
    assert sign_in(reader, email=shouted).data["user"]["id"] == reader.user["id"]
    assert sign_in(reader, email=shouted).data["user"]["email"] == reader.email


def test_an_international_domain_is_one_account_in_both_spellings(new_phone: NewPhone) -> None:
    phone = new_phone()
    name = phone.email.partition("@")[0]

    assert sign_up(phone, email=f"{name}@bücher.example").status == 201
    assert sign_up(phone, email=f"{name}@xn--bcher-kva.example").error_code == "AUTH_002"
    assert sign_in(phone, email=f"{name}@BÜCHER.example").status == 200


@pytest.mark.parametrize(
    "email", ["", " ", "john", "john@", "@example.com", "a@b@example.com", "john@localhost", "jöhn@example.com",
              "ADMİN@example.com", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.com", "john@example.com,x@example.com"]
)  # fmt: skip
def test_what_is_no_email_is_refused(new_phone: NewPhone, email: str) -> None:
    for answer in (sign_up(new_phone(), email=email), sign_in(new_phone(), email=email)):
        assert (answer.status, answer.error_code) == (400, "VAL_001")


def test_an_email_of_254_characters_is_taken(new_phone: NewPhone) -> None:
    name, domain = uuid.uuid4().hex * 2, f"{'b' * 63}.{'c' * 63}.{'d' * 57}.com"
    assert len(f"{name}@{domain}") == 254

    assert sign_up(new_phone(), email=f"{name}@{domain}").status == 201
    assert sign_up(new_phone(), email=f"{name}@x{domain}").error_code == "VAL_001"


def test_a_second_sign_up_with_an_email_is_refused(reader: Phone) -> None:
    answer = sign_up(reader, password="another good password")

    assert (answer.status, answer.error_code) == (409, "AUTH_002")
    assert answer.message == "An account with this email already exists"
    assert sign_in(reader).status == 200


def test_of_sign_ups_with_one_email_at_once_exactly_one_wins(new_phone: NewPhone) -> None:
    phone = new_phone()
    passwords = [f"the password of person {number}" for number in range(5)]

    with ThreadPoolExecutor(5) as people:
        answers = list(people.map(lambda password: sign_up(phone, password=password), passwords))

    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    assert {answer.error_code for answer in answers if answer.status == 409} == {"AUTH_002"}
    winner = next(number for number, answer in enumerate(answers) if answer.status == 201)
    assert [sign_in(phone, password=password).status for password in passwords] == [
        200 if number == winner else 401 for number in range(5)
    ]


def test_unknown_email_and_wrong_password_are_one_answer(phone: Phone) -> None:
    wrong = sign_in(phone, password="wrong password")

    unknown = sign_in(phone, email=new_email())

    assert wrong.json == {"message": "Email or password is incorrect", "error_code": "AUTH_001"}
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body) == (401, wrong.body)
    volatile = {"date", "x-request-id", "connection", "ratelimit"}
    names = {name.lower() for name in wrong.headers} | {name.lower() for name in unknown.headers}
    assert [name for name in names - volatile if wrong.headers.get(name) != unknown.headers.get(name)] == []


def test_unknown_email_and_wrong_password_take_the_same_time(phone: Phone) -> None:
    def seconds(email: str) -> float:
        started = time.perf_counter()
        assert sign_in(phone, email=email, password="wrong password").status == 401
        return time.perf_counter() - started

    wrong, unknown = zip(*((seconds(phone.email), seconds(new_email())) for _ in range(8)), strict=True)

    # A slow hash in one of them only would be a factor of five or more.
    assert 0.5 < min(unknown) / min(wrong) < 2


@pytest.mark.parametrize("length", [8, 128])
def test_passwords_of_8_to_128_characters_are_taken_whole(new_phone: NewPhone, length: int) -> None:
    phone = new_phone()
    phone.password = ("ünïcödé 密码 " * 20)[: length - 1] + "!"

    assert sign_up(phone).status == 201
    assert sign_in(phone).status == 200
    assert sign_in(phone, password=phone.password[:-1] + "?").error_code == "AUTH_001"
    assert sign_in(phone, password=phone.password[:-1]).error_code == "AUTH_001"


def test_spaces_around_a_password_belong_to_it(new_phone: NewPhone) -> None:
    phone = new_phone()

    assert sign_up(phone, password=f" {PASSWORD} ").status == 201
    assert sign_in(phone).error_code == "AUTH_001"


@pytest.mark.parametrize(
    ("password", "code"),
    [("", "AUTH_008"), ("1234567", "AUTH_008"), (f"{PASSWORD}{string.printable}123456", "VAL_002"),
     ("password", "AUTH_009"), ("PassWord", "AUTH_009"), ("1234567890", "AUTH_009"), (None, "VAL_002"),
     (12345678, "VAL_002")],
)  # fmt: skip
def test_a_bad_password_has_a_code_that_says_why(new_phone: NewPhone, password: Any, code: str) -> None:
    answer = sign_up(new_phone(), password=password)

    assert (answer.status, answer.error_code) == (400, code)
