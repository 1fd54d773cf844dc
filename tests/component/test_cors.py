"""Pages of allowed origins may read every answer, failures too; others get nothing of it."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import Settings
from shared.settings import SettingsError
from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.raw import ask, read, request_bytes, talk
from tests.support.services import gateway_process
from tools.stack import Stack

ORIGIN, OTHER = "https://app.example.com", "https://evil.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}
NAMES = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers")


@pytest.fixture(scope="module")
def log_of_gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cors") / "gateway.log"


@pytest.fixture(scope="module")
def gateway(stack: Stack, log_of_gateway: Path) -> Iterator[Api]:
    environment = stack.environment("gateway")
    origins = f"{ORIGIN}, http://localhost:3000"
    with gateway_process(
        environment, log_of_gateway, ALLOWED_ORIGINS=origins, REQUESTS_PER_SECOND="50", BURST="50"
    ) as api:
        yield api


@pytest.fixture(scope="module")
def everywhere(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A gateway that lets every page read."""
    log_path = tmp_path_factory.mktemp("cors") / "everywhere.log"
    with gateway_process(stack.environment("gateway"), log_path, ALLOWED_ORIGINS="*") as api:
        yield api


def names_of(answer: Answer, header: str) -> set[str]:
    return {name.strip() for name in answer.headers.get(header, "").split(",") if name.strip()}


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/auth/login", "/v1/errors", "/nope"])
def test_a_preflight_is_answered_without_a_token_and_without_a_body(gateway: Api, path: str) -> None:
    answer = gateway.send("OPTIONS", path, headers={"Origin": ORIGIN, **PREFLIGHT})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert names_of(answer, "Access-Control-Allow-Methods") >= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
    asked = {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Accept-Language"}
    assert names_of(answer, "Access-Control-Allow-Headers") >= {*asked, "Traceparent", "X-Request-Id"}
    # Without it a browser asks again before every request.
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Origin" in names_of(answer, "Vary")
    assert "Content-Type" not in answer.headers
    assert "RateLimit" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [{"Origin": OTHER, **PREFLIGHT}, {"Origin": ORIGIN}, {"Origin": "null", **PREFLIGHT}, PREFLIGHT],
    ids=["another origin", "no question", "null", "no origin"],
)
def test_options_from_elsewhere_or_for_something_else_is_no_method(gateway: Api, headers: dict[str, str]) -> None:
    answer = gateway.send("OPTIONS", "/v1/users/me", headers=headers)
    assert answer.error_code == "REQ_405"
    assert "Access-Control-Allow-Methods" not in answer.headers


def test_a_preflight_with_a_body_is_none(gateway: Api) -> None:
    answer = gateway.send("OPTIONS", "/v1/users/me", {}, headers={"Origin": ORIGIN, **PREFLIGHT})
    assert answer.error_code == "REQ_405"
    lines = [f"{name}: {value}" for name, value in {"Origin": ORIGIN, **PREFLIGHT}.items()]
    chunked = ask(
        gateway, "OPTIONS", "/v1/users/me", *lines, "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
    )
    assert chunked.error_code == "REQ_405"


def test_a_preflight_leaves_a_line_in_the_log(gateway: Api, log_of_gateway: Path) -> None:
    sent = {"Origin": ORIGIN, **PREFLIGHT, "X-Request-Id": uuid.uuid4().hex}
    assert gateway.send("OPTIONS", "/v1/users/me", headers=sent).status == 204
    lines = [json.loads(line) for line in log_of_gateway.read_text().splitlines() if sent["X-Request-Id"] in line]
    assert [(line["event"], line["method"], line["path"], line["status"]) for line in lines] == [
        ("request", "OPTIONS", "/v1/users/me", 204)
    ]


def failures(gateway: Api) -> list[Answer]:
    """A failure of each kind, as a page of the allowed origin gets it."""
    page = {"Origin": ORIGIN}
    line = f"Origin: {ORIGIN}"
    chunked = request_bytes(gateway, "POST", "/v1/auth/login", line, "Transfer-Encoding: chunked") + b"zz\r\n"
    return [
        gateway.get("/v1/users/me", headers=page),
        gateway.post("/v1/auth/login", {"email": 5}, headers=page),
        gateway.send("PUT", "/v1/errors", headers=page),
        gateway.get("/nope", headers=page),
        gateway.get("/a//b", headers=page),
        gateway.send("POST", "/v1/auth/login", body=b"x" * 100_000, headers=page),
        ask(gateway, "POST", "/v1/auth/login", line, "Content-Length: 5", "Content-Type: text/plain", body=b"hello"),
        read(talk(gateway, chunked, hang_up=True)),
    ]


def test_a_page_can_read_every_failure(gateway: Api) -> None:
    codes = set()
    for answer in failures(gateway):
        codes.add(answer.error_code)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN, answer.error_code
        assert "Origin" in names_of(answer, "Vary"), answer.error_code
    assert codes == {"AUTH_401", "VAL_001", "REQ_405", "REQ_404", "REQ_400", "REQ_413", "REQ_415"}


def test_a_page_can_read_that_it_asks_too_often_and_its_preflights_still_pass(gateway: Api) -> None:
    page = {"Origin": ORIGIN}
    refused = next(a for a in (gateway.get("/v1/errors", headers=page) for _ in range(500)) if a.status == 429)
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert gateway.send("OPTIONS", "/v1/errors", headers={**page, **PREFLIGHT}).status == 204


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/errors", "/health/live", "/.well-known/jwks.json"])
def test_only_allowed_origins_are_told_that_they_may_read(
    everywhere: Api, gateway: Api, phone: Phone, path: str
) -> None:
    def get(api: Api, **headers: str) -> Answer:
        return api.get(path, token=phone.access_token, headers=headers)

    allowed = get(gateway, Origin=ORIGIN)
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = {"X-Request-Id", "Retry-After", "ETag", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"}
    exposed |= {"Allow", "Content-Language", "Location"}
    assert names_of(allowed, "Access-Control-Expose-Headers") >= exposed
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    for answer in (get(gateway), get(gateway, Origin=OTHER), get(gateway, Origin=f"{ORIGIN}.evil.com")):
        assert [name for name in NAMES if name in answer.headers] == []
        assert "Origin" in names_of(answer, "Vary")
    assert get(everywhere, Origin=OTHER).headers["Access-Control-Allow-Origin"] == "*"
    assert get(everywhere, Origin="null").headers["Access-Control-Allow-Origin"] == "*"
    assert "Origin" not in names_of(get(everywhere, Origin=OTHER), "Vary")


def test_without_the_setting_no_page_may_read(api: Api) -> None:
    assert api.send("OPTIONS", "/v1/errors", headers={"Origin": ORIGIN, **PREFLIGHT}).error_code == "REQ_405"
    answer = api.get("/v1/errors", headers={"Origin": ORIGIN})
    assert [name for name in NAMES if name in answer.headers] == []
    assert "Origin" not in names_of(answer, "Vary")


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.com",
        f"{ORIGIN}/",
        f"{ORIGIN}:443",
        "http://a.example:80",
        "https://App.example.com",
        "null",
        "ftp://a",
    ],
)
def test_what_no_browser_would_send_as_an_origin_is_refused_by_name(stack: Stack, origin: str) -> None:
    with pytest.raises(SettingsError, match="ALLOWED_ORIGINS has"):
        Settings.read({**stack.environment("gateway"), "ALLOWED_ORIGINS": f"{ORIGIN},{origin}"})
    Settings.read({**stack.environment("gateway"), "ALLOWED_ORIGINS": f"{ORIGIN}:8443 http://[::1]:3000"})
