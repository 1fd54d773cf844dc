"""Whatever crashes in the gateway itself: the app gets the envelope, and only the log hears what happened."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.crashing_gateway import PAGE_PLACES, PLACES
from tests.support.faults import CANARIES
from tests.support.raw import read, read_all, request_bytes, talk
from tests.support.waiting import eventually
from tests.support.world import World

SIGN_UP = "/v1/auth/signup"
# Nor what would tell a stranger which programs run here.
SECRETS = (*CANARIES, b"a bug in", b"ZeroDivisionError", b"Traceback", b".py", b"gateway/", b"<", b"tests.")
# A page and a service's door for every place; a page asks no service, and Flask writes the lines of pages.
CRASHES = [
    ("GET", "/v1/users/me", "the guard"),
    ("GET", "/v1/errors", "a page"),
    *(("POST", f"{SIGN_UP}?{place}", place) for place in PLACES),
    *(("GET", f"/nowhere?{place}", place) for place in ("preflight", "accept", "address", "language", "limit", "body")),
    *(("GET", f"/nowhere?{place}", place) for place in PAGE_PLACES),
]


def lines_of(log: Path, request_id: str) -> list[dict[str, Any]]:
    """What the gateway logged about a request."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if request_id in line]
    return [line for line in lines if line.get("request_id") == request_id]


@pytest.mark.parametrize(("method", "target", "place"), CRASHES)
def test_a_crash_of_the_gateway_tells_the_log_everything_and_the_app_nothing(
    world: World, method: str, target: str, place: str
) -> None:
    gateway = world.crashing
    request_id = f"crash-{uuid.uuid4().hex}"
    sent = request_bytes(gateway, method, target, f"X-Request-Id: {request_id}", "Content-Type: application/json",
                         "Authorization: Bearer any", "Content-Length: 2") + b"{}"  # fmt: skip

    received = talk(gateway, sent)

    answer = read(received)
    assert (answer.status, answer.error_code) == (500, "SRV_500")
    assert answer.message == "Something went wrong on our side"
    assert answer.headers["X-Request-Id"] == request_id
    assert received.count(b"HTTP/1.1 ") == 1
    assert [secret for secret in SECRETS if secret in received] == []
    log = world.folder / "crashing.log"
    eventually(lambda: len(lines_of(log, request_id)) >= 2)
    lines = lines_of(log, request_id)
    [crash] = [line for line in lines if line["event"] == "request_failed"]
    assert f"a bug in {place}: {b' '.join(CANARIES).decode()}" in crash["reason"]
    assert "Traceback" in crash["exception"]
    assert "ZeroDivisionError" in crash["exception"]
    [request] = [line for line in lines if line["event"] == "request"]
    assert (request["status"], request["error_code"], request["failed"]) == (500, "SRV_500", "gateway")


@pytest.mark.parametrize("place", ["preflight", "accept", "address", "language"])
def test_after_a_crash_the_rest_of_a_request_is_taken_for_no_other_one(world: World, place: str) -> None:
    head = f"POST {SIGN_UP}?{place} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = talk(world.crashing, head.encode() + b"zz\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", hang_up=True)
    [answer] = read_all(received, "POST", "GET")
    assert (answer.status, answer.error_code, answer.headers["Connection"]) == (500, "SRV_500", "close")
