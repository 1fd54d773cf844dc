"""The line that every request leaves in the log: one each, always with the same fields, and never a secret."""

import json
import socket
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.raw import talk
from tests.support.waiting import eventually
from tools.stack import Stack

FIELDS = {
    *("room", "event", "level", "timestamp", "method", "path", "route", "status", "error_code", "failed"),
    *("request_id", "trace_id", "milliseconds"),
}


class Log:
    """What a process has written since now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size

    @property
    def text(self) -> str:
        with open(self._path, "rb") as file:
            file.seek(self._start)
            return file.read().decode()

    def requests(self, **fields: Any) -> list[dict[str, Any]]:
        """The access lines with these fields."""
        lines = [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "request" and fields.items() <= line.items()]

    def line(self, **fields: Any) -> dict[str, Any]:
        """The one access line with these fields, waited for."""
        [line] = eventually(lambda: self.requests(**fields))
        return line


@pytest.fixture
def log_of(stack: Stack) -> Callable[[str], Log]:
    return lambda name: Log(stack.processes[name].log_path)


def marked() -> dict[str, str]:
    return {"X-Request-Id": uuid.uuid4().hex}


def test_every_room_writes_the_same_fields_about_a_request(
    phone: Phone, users: Api, auth: Api, log_of: Callable[[str], Log]
) -> None:
    logs = {name: log_of(name) for name in ("gateway", "users", "auth")}
    sent = marked()
    assert phone.get("/v1/users/me", **sent).status == 200
    assert phone.get("/v1/auth/sessions", **sent).status == 200
    assert phone.get("/v1/errors", **sent).status == 200
    for name, route in (
        *(("gateway", "/v1/users/me"), ("gateway", "/v1/auth/sessions"), ("gateway", "/v1/errors")),
        *(("users", "/v1/users/me"), ("auth", "/v1/auth/sessions")),
    ):
        line = logs[name].line(request_id=sent["X-Request-Id"], route=route)
        assert line.keys() - {"service"} == FIELDS, line
        expected = {"room": name, "method": "GET", "path": route, "status": 200, "error_code": None, "failed": None}
        assert expected.items() <= line.items()
        assert line["milliseconds"] >= 0
    trace_ids = {line["trace_id"] for log in logs.values() for line in log.requests(route="/v1/users/me")}
    assert len(trace_ids) == 1


def test_a_route_is_told_by_its_template_and_an_unknown_one_as_such(phone: Phone, log_of: Callable[[str], Log]) -> None:
    log, sent = log_of("gateway"), marked()
    assert phone.get("/v1/users/987654", **sent).status == 404
    line = log.line(request_id=sent["X-Request-Id"])
    assert (line["route"], line["path"], line["error_code"]) == ("/v1/users/{user_id}", "/v1/users/987654", "USER_404")
    sent = marked()
    assert phone.get("/nowhere", **sent).status == 404
    assert log.line(request_id=sent["X-Request-Id"])["route"] == "unknown"


def test_it_says_who_failed(stack: Stack, phone: Phone, log_of: Callable[[str], Log]) -> None:
    log, sent = log_of("gateway"), marked()
    stack.processes["users"].stop()
    try:
        assert phone.get("/v1/users/me", **sent).status == 503
    finally:
        stack.processes["users"].start()
        stack.processes["users"].wait_ready(30)
    line = log.line(request_id=sent["X-Request-Id"])
    assert (line["failed"], line["error_code"], line["status"]) == ("users", "GW_503", 503)


@pytest.mark.parametrize("name", ["gateway", "users", "auth"])
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /v1/users/me?secret=SESAME HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer SESAME\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\x00SESAME\r\n\r\n", 400),
        (b"GET /SESAME" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: SESAME" + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"SESAME\r\n\r\n", 400),
    ],
)
def test_a_broken_request_leaves_one_line_too_and_nothing_of_what_it_said(
    stack: Stack, log_of: Callable[[str], Log], name: str, request_bytes: bytes, status: int
) -> None:
    log = log_of(name)
    talk(Api(f"http://127.0.0.1:{getattr(stack.ports, name)}"), request_bytes)
    line = log.line(route="broken")
    assert line.keys() - {"reason"} == FIELDS, line
    assert (line["room"], line["status"], line["failed"]) == (name, status, None)
    assert "SESAME" not in log.text


def test_tokens_in_a_path_stay_out_of_the_log(phone: Phone, log_of: Callable[[str], Log]) -> None:
    gateway, auth = log_of("gateway"), log_of("auth")
    for token in (phone.refresh_token, phone.access_token):
        asked = marked()
        phone.api.send("DELETE", f"/v1/auth/sessions/{token}", token=phone.access_token, headers=asked)
        for log in (gateway, auth):
            line = log.line(request_id=asked["X-Request-Id"])
            assert line["path"] == f"/v1/auth/sessions/{token[:8]}…"
            assert token[:20] not in log.text


def test_secrets_in_a_query_string_stay_out_of_the_log(phone: Phone, log_of: Callable[[str], Log]) -> None:
    logs, sent = [log_of("gateway"), log_of("users")], marked()
    assert phone.get("/v1/users/me?access_token=SESAME", **sent).status == 200
    for log in logs:
        log.line(request_id=sent["X-Request-Id"])
        assert "SESAME" not in log.text


@pytest.mark.parametrize(
    ("sent_body", "reset", "outcomes"),
    [
        (b'{"name":', False, {(400, "REQ_400")}),
        (b'{"name":', True, {(400, "REQ_400")}),
        (b'{"name": "Jane"}', False, {(200, None)}),
        # Whether a reset is seen before the whole request was read is a matter of luck.
        (b'{"name": "Jane"}', True, {(200, None), (400, "REQ_400")}),
    ],
    ids=["closes in its body", "resets in its body", "closes before the answer", "resets before the answer"],
)
def test_a_phone_that_goes_away_leaves_one_line(
    stack: Stack,
    phone: Phone,
    log_of: Callable[[str], Log],
    sent_body: bytes,
    outcomes: set[tuple[int, str | None]],
    *,
    reset: bool,
) -> None:
    log, request_id = log_of("gateway"), uuid.uuid4().hex
    head = (
        f"PATCH /v1/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {phone.access_token}\r\n"
        f"X-Request-Id: {request_id}\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", stack.ports.gateway), timeout=10)
    connection.sendall(head.encode() + sent_body)
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    line = log.line(request_id=request_id)
    assert (line["status"], line["error_code"]) in outcomes
    assert line["failed"] is None
    # A request after it, whose line is there when all lines of the first are.
    marker = marked()
    assert phone.get("/v1/errors", **marker).status == 200
    log.line(request_id=marker["X-Request-Id"])
    assert len(log.requests(request_id=request_id)) == 1
