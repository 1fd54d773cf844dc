"""A bug of the gateway that would break the envelope is caught on its way out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.envelope_check import flaw_of
from tests.support.figures import Scraper
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import free_port, gateway_process
from tools.stack import Stack

CHECKS, VIOLATIONS = "latchkey_envelope_checks_total", "latchkey_envelope_violations_total"


@contextmanager
def bent_gateway(stack: Stack, log_path: Path, every: int) -> Iterator[tuple[Api, Scraper]]:
    address = f"127.0.0.1:{free_port()}"
    settings = {"METRICS_BIND": address, "ENVELOPE_CHECK_EVERY": str(every)}
    bent = "tests.support.bent_gateway:create_app()"
    with gateway_process(stack.environment("gateway"), log_path, wsgi_app=bent, **settings) as api:
        yield api, Scraper(address)


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/errors", "/docs/nowhere"])
def test_an_answer_that_breaks_the_envelope_is_replaced_counted_and_logged(
    stack: Stack, log_path: Path, phone: Phone, path: str
) -> None:
    with bent_gateway(stack, log_path, every=1) as (api, figures):
        assert figures.value_of(VIOLATIONS) == 0
        sent = {"X-Request-Id": "a-request-of-mine", "Accept-Language": "de"}
        answer = api.get(path, token=phone.access_token, headers=sent)
        assert (answer.status, answer.error_code) == (500, "SRV_500")
        assert answer.headers["Content-Language"] == "de"
        assert "ETag" not in answer.headers
        assert figures.value_of(VIOLATIONS) == 1
        assert figures.sum_of("latchkey_failures_total", failed="gateway", error_code="SRV_500") == 1
    lines = [json.loads(line) for line in log_path.read_text().splitlines() if line.startswith("{")]
    [told] = [line for line in lines if line["event"] == "envelope_violation"]
    assert told["request_id"] == "a-request-of-mine"
    [access] = [line for line in lines if line["event"] == "request" and line["request_id"] == "a-request-of-mine"]
    assert (access["status"], access["failed"]) == (500, "gateway")
    assert "SESAME" not in log_path.read_text()


def test_one_of_so_many_answers_is_looked_at(stack: Stack, log_path: Path, phone: Phone) -> None:
    with bent_gateway(stack, log_path, every=5) as (api, figures):
        before = figures.value_of(CHECKS) or 0
        statuses = [api.get("/v1/users/me", token=phone.access_token).status for _ in range(20)]
        assert statuses.count(500) == figures.value_of(VIOLATIONS) == 4
        assert statuses.count(200) == 16
        assert figures.value_of(CHECKS) == before + 4


def test_every_form_of_the_contract_passes() -> None:
    for status, body in (
        (200, b'{"message":"m","data":{}}'),
        (201, b'{"data":[1.10, 1e400],"message":"m"}'),
        (404, b'{"message":"m","error_code":"USER_404"}'),
        # A service may have codes of its own.
        (409, b'{"message":"m","error_code":"SHOP_007"}'),
        *((304, b""), (204, b"")),
    ):
        assert flaw_of(status, body) is None, (status, body)


def test_every_other_form_is_a_flaw() -> None:
    for status, body in (
        *((200, b""), (200, b"{"), (200, b"[]"), (200, b"null"), (200, b"<html>"), (200, b'{"message":"m"}')),
        (200, b'{"message":"m","data":5}'),
        (200, b'{"message":"m","data":null}'),
        (200, b'{"message":5,"data":{}}'),
        (200, b'{"message":"m","data":{},"more":1}'),
        (200, b'{"message":"m","data":{},"data":{}}'),
        (200, b'{"message":"m","data":{}} '[:-2]),
        (202, b'{"message":"m","data":{}}'),
        (200, b'{"message":"m","error_code":"SRV_500"}'),
        (200, b'{"message":"m","error_code":"SHOP_007"}'),
        (500, b'{"message":"m","data":{}}'),
        (500, b'{"message":"m","error_code":"SRV_500","detail":""}'),
        (500, b'{"message":"m","error_code":"oops"}'),
        # It would sign people out.
        (503, b'{"message":"m","error_code":"AUTH_003"}'),
        *((304, b"{}"), (204, b"{}")),
    ):
        assert flaw_of(status, body) is not None, (status, body)
