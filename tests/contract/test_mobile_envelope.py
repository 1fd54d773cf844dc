"""The mobile contract, section 1: the envelope, whoever answers, and HTTP around it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.raw import ask, read, request_bytes, talk

SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NOTHING_HERE = {"message": "There is nothing at this address", "error_code": "REQ_404"}


def names_in(value: Any) -> Iterator[str]:
    """All names of all objects in a JSON value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from names_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)


def journey(phone: Phone) -> list[Answer]:
    """One success of every kind."""
    api, mine = phone.api, phone.credentials
    return [
        api.post("/v1/auth/signup", {**mine, "email": f"x.{phone.email}"}),
        api.post("/v1/auth/login", mine),
        phone.refresh(),
        phone.get("/v1/users/me"),
        phone.send("PATCH", "/v1/users/me", {"name": "Jane Doe"}),
        phone.get(f"/v1/users/{phone.user['id']}"),
        phone.get("/v1/auth/sessions"),
        phone.send("PUT", "/v1/auth/device", {"notification_device_id": None}),
        api.get("/v1/errors"),
        api.get("/health/live"),
        api.get("/health/ready"),
        phone.log_out(),
    ]


def test_every_success_is_a_message_and_data_and_nothing_else(phone: Phone) -> None:
    for answer in journey(phone):
        assert answer.status in (200, 201)
        assert set(answer.json) == {"message", "data"}
        assert answer.headers["Content-Type"] == "application/json"
        answer.check_envelope()


def test_names_are_snake_case(phone: Phone) -> None:
    for answer in journey(phone):
        assert [name for name in names_in(answer.json) if not SNAKE_CASE.fullmatch(name)] == []


def test_where_there_is_nothing_to_say_data_is_an_empty_object(phone: Phone) -> None:
    for answer in (
        phone.send("PUT", "/v1/auth/device", {"notification_device_id": "hv283b"}),
        phone.log_out(),
        phone.api.get("/health/live"),
    ):
        assert answer.status == 200
        assert answer.data == {}


def test_every_failure_is_a_message_and_an_error_code_and_nothing_else(reader: Phone) -> None:
    api = reader.api
    for answer in (
        api.post("/v1/auth/login", {**reader.credentials, "password": "wrong password"}),
        api.post("/v1/auth/login", {}),
        api.get("/v1/users/me"),
        api.get("/nowhere"),
        api.send("DELETE", "/v1/users/me"),
        api.send("POST", "/v1/auth/login", body=b"{"),
        reader.get("/v1/users/999999999999"),
        read(talk(api, b"nonsense\r\n\r\n")),
    ):
        assert answer.status >= 400
        assert set(answer.json) == {"message", "error_code"}
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nope", "/favicon.ico", "/metrics", "/static/x.js", "/v1/users/me/", "/docs/nope"]
)
def test_an_unknown_address_is_404(reader: Phone, path: str) -> None:
    answer = reader.get(path)

    assert (answer.status, answer.json) == (404, NOTHING_HERE)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/internal", "/internal/token", "/internal/profiles?ids=1", "/internal/profiles/1"])
def test_internal_pages_do_not_exist_from_outside(reader: Phone, method: str, path: str) -> None:
    answer = reader.send(method, path, {} if method in ("POST", "PUT") else None)

    assert (answer.status, answer.json) == (404, NOTHING_HERE)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/auth/login", {"POST"}),
        ("HEAD", "/v1/auth/signup", {"POST"}),
        ("DELETE", "/v1/users/me", {"GET", "HEAD", "PATCH"}),
        ("POST", "/v1/users/1", {"GET", "HEAD"}),
        ("GET", "/v1/auth/sessions/x", {"DELETE"}),
        ("BREW", "/v1/auth/device", {"PUT"}),
        ("POST", "/v1/errors", {"GET", "HEAD"}),
        ("PUT", "/health/live", {"GET", "HEAD"}),
        ("DELETE", "/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_told_which_are_allowed(reader: Phone, method: str, path: str, allowed: set[str]) -> None:
    answer = reader.send(method, path)

    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) - {"OPTIONS"} == allowed
    if method != "HEAD":
        assert answer.json == {"message": "This method is not allowed here", "error_code": "REQ_405"}


@pytest.mark.parametrize("path", ["/v1/errors", "/v1/users/me", "/health/live", "/docs", "/openapi.json"])
def test_options_that_is_no_cors_preflight_is_a_method_that_is_not_allowed(reader: Phone, path: str) -> None:
    answer = reader.send("OPTIONS", path)

    assert (answer.status, answer.error_code) == (405, "REQ_405")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/v1/users/me", "/v1/auth/sessions", "/v1/errors", "/health/ready", "/openapi.json", "/nowhere", "/docs"]
)
def test_head_says_what_get_says_without_the_body(reader: Phone, path: str) -> None:
    got = reader.send("GET", path)

    head = reader.send("HEAD", path)

    assert (head.status, head.body) == (got.status, b"")
    assert int(head.headers["Content-Length"]) == len(got.body)
    for name in ("Content-Type", "ETag", "Cache-Control", "Content-Language"):
        assert head.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/errors", "/v1/auth/login", "/nowhere"])
def test_head_sends_not_one_byte_of_a_body(reader: Phone, path: str) -> None:
    head = request_bytes(reader.api, "HEAD", path, f"Authorization: Bearer {reader.access_token}")

    received = talk(reader.api, head)

    assert received.startswith(b"HTTP/1.1 ")
    assert received.index(b"\r\n\r\n") + 4 == len(received)


def test_304_has_no_body(reader: Phone) -> None:
    tag = reader.get("/v1/users/me").headers["ETag"]

    answer = reader.get("/v1/users/me", **{"If-None-Match": tag})

    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize(
    "target",
    [
        "/v1//users/me", "//v1/users/me", "/v1/users/../users/me", "/v1/./users/me", "/v1/users/%2e%2e/users/me",
        "/v1/users%2Fme", "/v1/users/%5cme", "/v1/users\\me", "/v1/users/me%00", "/v1/users/%25me",
        "/v1/auth/..;/users/me/..", "/docs/../v1/errors", "/docs/%2e%2e/v1/errors", "/internal/../v1/errors",
    ],
)  # fmt: skip
def test_a_path_that_two_programs_may_read_differently_is_refused(reader: Phone, target: str) -> None:
    answer = ask(reader.api, "GET", target, f"Authorization: Bearer {reader.access_token}")

    assert (answer.status, answer.error_code) == (400, "REQ_400")


def test_a_request_id_is_taken_over_by_services_and_gateway(reader: Phone) -> None:
    mine = "app-4711.retry_2"
    for path in ("/v1/users/me", "/v1/errors", "/nowhere", "/v1/users/999999999999"):
        assert reader.get(path, **{"X-Request-Id": mine}).headers["X-Request-Id"] == mine


@pytest.mark.parametrize("given", [None, "short", "x" * 129, "with space 123", "a/b/c/d/e/f/g"])
def test_a_request_without_a_good_id_gets_one_of_its_own(reader: Phone, given: str | None) -> None:
    sent = {"X-Request-Id": given} if given else {}

    made = {reader.get(path, **sent).headers["X-Request-Id"] for path in ("/v1/users/me", "/v1/errors", "/nowhere")}

    assert len(made) == 3
    assert given not in made
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{8,128}", request_id) for request_id in made)


def test_a_broken_request_has_a_request_id_too(api: Api) -> None:
    assert read(talk(api, b"nonsense\r\n\r\n")).headers["X-Request-Id"]


def test_a_list_is_an_array(reader: Phone) -> None:
    assert isinstance(reader.get("/v1/auth/sessions").data, list)
    assert isinstance(reader.api.get("/v1/errors").data, list)


def test_the_body_is_utf_8_and_no_escapes_are_needed_to_read_a_name(phone: Phone) -> None:
    answer = phone.send("PATCH", "/v1/users/me", {"name": "Zoë 山田 Ñandú"})

    assert "Zoë 山田 Ñandú" in answer.body.decode()
    assert json.loads(answer.body)["data"]["name"] == "Zoë 山田 Ñandú"
