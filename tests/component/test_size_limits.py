"""Every limit on sizes is a setting, and holds to the byte: what is as large passes, one more is refused."""

import json
from collections.abc import Iterator

import pytest

from tests.support import raw
from tests.support.crowd import auth_with
from tests.support.http import Answer, Api
from tests.support.services import BrokenService, gateway_process, raw_reply
from tools.stack import Stack

LINE, HEADER, HEADERS, BODY, ANSWER, DEPTH = 300, 400, 12, 500, 5_000, 80
LIMITS = {
    "MAX_REQUEST_LINE_BYTES": LINE, "MAX_HEADER_BYTES": HEADER, "MAX_HEADERS": HEADERS, "MAX_BODY_BYTES": BODY,
    "MAX_ANSWER_BYTES": ANSWER, "MAX_JSON_DEPTH": DEPTH,
}  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[BrokenService]:
    service = BrokenService()
    service.reply = raw_reply("200 OK", b'{"message":"x","data":{}}')
    yield service
    service.close()


@pytest.fixture(scope="module")
def gateway(stack: Stack, service: BrokenService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    log_path = tmp_path_factory.mktemp("limits") / "gateway.log"
    settings = {name: str(value) for name, value in LIMITS.items()}
    settings |= {"AUTH_URL": service.url, "ENVELOPE_CHECK_EVERY": "1"}
    with gateway_process(stack.environment("gateway"), log_path, page="/health/live", **settings) as api:
        yield api


def outcome(gateway: Api, request: bytes, method: str = "GET") -> tuple[int, str | None]:
    return told(raw.read(raw.talk(gateway, request), method))


def told(answer: Answer) -> tuple[int, str | None]:
    answer.check_envelope()
    return answer.status, answer.json.get("error_code")


def get(target: bytes = b"/v1/errors", *headers: bytes) -> bytes:
    lines = [b"GET %s HTTP/1.1" % target, b"Host: x", b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"", b""])


@pytest.mark.parametrize(("more", "expected"), [(0, (200, None)), (1, (414, "REQ_414"))])
def test_the_first_line_of_a_request(gateway: Api, more: int, expected: tuple[int, str | None]) -> None:
    frame = len(b"GET /v1/errors? HTTP/1.1")
    assert outcome(gateway, get(b"/v1/errors?" + b"x" * (LINE - frame + more))) == expected


@pytest.mark.parametrize(("more", "expected"), [(0, (200, None)), (1, (431, "REQ_431"))])
def test_one_header(gateway: Api, more: int, expected: tuple[int, str | None]) -> None:
    assert outcome(gateway, get(b"/v1/errors", b"X-Long: " + b"x" * (HEADER - len(b"X-Long: \r\n") + more))) == expected


@pytest.mark.parametrize(("more", "expected"), [(0, (200, None)), (1, (431, "REQ_431"))])
def test_the_number_of_headers(gateway: Api, more: int, expected: tuple[int, str | None]) -> None:
    assert outcome(gateway, get(b"/v1/errors", *[b"X-%d: x" % n for n in range(HEADERS - 2 + more)])) == expected


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("more", "expected"), [(0, (200, None)), (1, (413, "REQ_413"))])
def test_the_body(gateway: Api, chunked: bool, more: int, expected: tuple[int, str | None]) -> None:
    body = b"{%s}" % (b" " * (BODY - 2 + more))
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    lines = [b"POST /v1/auth/logout HTTP/1.1", b"Host: x", b"Content-Type: application/json", framing]
    request = b"\r\n".join([*lines, b"Connection: close", b"", sent])
    assert outcome(gateway, request, "POST") == expected


@pytest.mark.parametrize(("more", "expected"), [(0, (200, None)), (1, (502, "GW_502"))])
def test_the_answer_of_a_service(
    gateway: Api, service: BrokenService, more: int, expected: tuple[int, str | None]
) -> None:
    frame = b'{"message":"x","data":{"x":"%s"}}'
    service.reply = raw_reply("200 OK", frame % (b"x" * (ANSWER - len(frame) + 2 + more)))
    assert told(gateway.post("/v1/auth/logout", {})) == expected


def test_the_depth_of_a_body(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    with auth_with(stack, tmp_path_factory, MAX_JSON_DEPTH=str(DEPTH)) as auth:
        # The form itself is one level; as deep as is allowed, it is only the field that is wrong.
        assert told(auth.post("/v1/auth/login", {"email": nested(DEPTH - 1)})) == (400, "VAL_001")
        assert told(auth.post("/v1/auth/login", {"email": nested(DEPTH)})) == (400, "REQ_400")


@pytest.mark.parametrize(("more", "expected"), [(0, (200, None)), (1, (502, "GW_502"))])
def test_the_depth_of_an_answer(
    gateway: Api, service: BrokenService, more: int, expected: tuple[int, str | None]
) -> None:
    for whole in (nested(DEPTH + more), {"message": "x", "data": nested(DEPTH - 1 + more)}):
        service.reply = raw_reply("200 OK", json.dumps(whole).encode())
        assert told(gateway.post("/v1/auth/logout", {})) == expected
    # A failure that can't be read is told in our own words.
    failure = {"message": "x", "error_code": nested(DEPTH - 1 + more)}
    service.reply = raw_reply("404 Not Found", json.dumps(failure).encode())
    assert told(gateway.post("/v1/auth/logout", {})) == (404, "REQ_404")


def nested(depth: int) -> list[object]:
    found: list[object] = []
    for _ in range(depth - 1):
        found = [found]
    return found
