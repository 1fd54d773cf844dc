"""What phones, proxies and attackers send to the gateway's socket, and what comes back."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import Settings
from shared.settings import SettingsError
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.raw import read, talk
from tests.support.services import BrokenService, gateway_process, raw_reply
from tools.stack import Stack


@pytest.fixture
def users_behind() -> Iterator[BrokenService]:
    service = BrokenService()
    service.reply = raw_reply("200 OK", b'{"seen": true}')
    yield service
    service.close()


@pytest.fixture
def impatient(stack: Stack, users_behind: BrokenService, log_path: Path) -> Iterator[Api]:
    """A gateway that gives everybody one second."""
    environment = {**stack.environment("gateway"), "USERS_URL": users_behind.url}
    with gateway_process(environment, log_path, DEADLINE_SECONDS="1") as api:
        yield api


def test_a_body_that_does_not_arrive_in_time_is_a_400_and_reaches_no_service(
    impatient: Api, users_behind: BrokenService, phone: Phone
) -> None:
    head = (
        f"PATCH /v1/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {phone.access_token}\r\n"
        'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name":'
    )
    answer = read(talk(impatient, head.encode()))
    assert (answer.status, answer.error_code) == (400, "REQ_400")
    assert users_behind.requests == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_a_body_that_does_not_say_that_it_is_json_reaches_no_service(
    impatient: Api, users_behind: BrokenService, phone: Phone, content_type: str
) -> None:
    said = {"Content-Type": content_type}
    answer = impatient.send("PATCH", "/v1/users/me", body=b"{}", token=phone.access_token, headers=said)
    assert answer.error_code == "REQ_415"
    assert users_behind.requests == []


def test_a_deadline_from_outside_is_not_believed(api: Api, phone: Phone) -> None:
    answer = api.get("/v1/users/me", token=phone.access_token, headers={"X-Deadline-Ms": "0"})
    assert answer.status == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer", "bEaReR"])
def test_the_scheme_of_a_token_may_be_written_in_any_case(api: Api, phone: Phone, scheme: str) -> None:
    sent = {"Authorization": f"{scheme} {phone.access_token}"}
    assert api.get("/v1/users/me", headers=sent).status == 200
    assert api.send("POST", "/v1/auth/logout", {}, headers=sent).status == 200


@pytest.mark.parametrize("scheme", ["\xff\xfe", "\xb5"])
def test_a_scheme_with_letters_that_have_no_latin_capital_breaks_nothing(api: Api, scheme: str) -> None:
    sent = {"Authorization": f"{scheme} x"}
    assert api.send("POST", "/v1/auth/refresh", {"refresh_token": "x"}, headers=sent).error_code == "AUTH_004"
    assert api.send("POST", "/v1/auth/logout", {}, headers=sent).error_code == "AUTH_401"


def test_no_connection_option_takes_away_what_a_request_means(api: Api, phone: Phone) -> None:
    named = {"Connection": "Authorization, If-Match, Idempotency-Key, accept-language"}
    assert api.get("/v1/users/me", token=phone.access_token, headers=named).status == 200
    stale = phone.send("PATCH", "/v1/users/me", {"name": "Jane"}, **named, **{"If-Match": '"0"'})
    assert stale.error_code == "USER_409"


def test_if_match_has_no_meaning_for_reading(api: Api, phone: Phone) -> None:
    for path in ("/v1/errors", "/v1/users/me", "/openapi.json", "/docs", "/docs/start.js", "/docs/swagger-ui.css"):
        assert phone.get(path, **{"If-Match": '"zz"'}).status == 200


@pytest.mark.parametrize("tag", ['"1', '"', "x", '"99"', ""])
def test_a_change_for_a_state_that_can_not_be_read_is_refused(phone: Phone, tag: str) -> None:
    answer = phone.send("PATCH", "/v1/users/me", {"name": "Jane"}, **{"If-Match": tag})
    assert answer.error_code == "USER_409"
    assert phone.get("/v1/users/me").data["name"] == "John Doe"


@pytest.mark.parametrize("target", ["/v1/auth/login", "/nope", "/v1/errors", "/v1/users/me", "/v1//x"])
def test_who_sends_five_megabytes_and_then_reads_gets_the_answer(api: Api, target: str) -> None:
    body = b"x" * 5_000_000
    head = (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(5):
        answer = read(talk(api, head.encode() + body))
        assert answer.status in (400, 413)
        answer.check_envelope()


@pytest.mark.parametrize("target", ["/v1/errors", "/v1/users/me", "/nope", "/v1/auth/login"])
def test_one_request_gets_one_answer_however_broken_its_body_is(api: Api, target: str) -> None:
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
    received = talk(api, head.encode() + b"zz\r\nGET /v1/errors HTTP/1.1\r\nHost: x\r\n\r\n", hang_up=True)
    assert received.count(b"HTTP/1.1 ") == 1
    assert read(received).error_code == "REQ_400"


def test_a_service_url_that_would_be_spoken_to_in_clear_is_refused(stack: Stack) -> None:
    with pytest.raises(SettingsError, match="USERS_URL must be a URL with http"):
        Settings.read({**stack.environment("gateway"), "USERS_URL": "https://users:8000"})


def test_a_push_token_ends_where_its_line_ends(phone: Phone) -> None:
    answer = phone.send("PUT", "/v1/auth/device", {"notification_device_id": "abc\n"})
    assert answer.error_code == "VAL_004"


def test_a_keepalive_connection_serves_several_requests(api: Api) -> None:
    port = int(api.base_url.rpartition(":")[2])
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(request)
            received = b""
            while not received.endswith(b'"data":{}}'):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 OK")
