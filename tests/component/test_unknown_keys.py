"""Whoever invents keys makes nobody look for them more than once in ten seconds, and puts nobody else out."""

import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.keys import REFRESH_SECONDS, UNKNOWN_KEY_PAUSE, JwkSet, KeySet
from tests.support.forger import Forger, encoded
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import BrokenService, gateway_process, raw_reply
from tools.stack import Stack

TOKENS = 10_000
AT_ONCE = 100


@pytest.fixture
def key_server(stack: Stack) -> Iterator[BrokenService]:
    """Stands where the gateway gets its keys from, has the real ones, and counts."""
    server = BrokenService()
    server.reply = raw_reply("200 OK", Api(stack.auth_url).get("/.well-known/jwks.json").body)
    yield server
    server.close()


@pytest.fixture
def gateway(stack: Stack, key_server: BrokenService, log_path: Path) -> Iterator[Api]:
    with gateway_process(stack.environment("gateway"), log_path, AUTH_URL=key_server.url) as api:
        yield api
        api.hang_up()


def test_ten_thousand_tokens_of_unknown_keys_fetch_the_keys_once_in_ten_seconds(
    gateway: Api, key_server: BrokenService, stack: Stack, phone: Phone
) -> None:
    forger = Forger(stack, phone)
    payload, signature = forger.token().split(".")[1:]
    before, started = len(key_server.requests), time.monotonic()
    refused = 0
    for _ in range(TOKENS // AT_ONCE):
        tokens = [
            f"{encoded({**forger.header, 'kid': uuid.uuid4().hex})}.{payload}.{signature}" for _ in range(AT_ONCE)
        ]
        refused += _refused(gateway, tokens)
    seconds = time.monotonic() - started
    assert refused == TOKENS
    # Those that the gateway fetches by itself are no answer to anybody.
    allowed = 1 + seconds // UNKNOWN_KEY_PAUSE + 1 + seconds // REFRESH_SECONDS
    assert 1 <= len(key_server.requests) - before <= allowed
    assert all(request.startswith(b"GET /.well-known/jwks.json ") for request in key_server.requests)
    assert gateway.get("/v1/users/me", token=phone.access_token).status == 200


def _refused(gateway: Api, tokens: list[str]) -> int:
    """How many of these tokens are refused, sent one behind the other without waiting for answers."""
    address = urlsplit(gateway.base_url)
    head = f"GET /v1/users/me HTTP/1.1\r\nHost: {address.netloc}\r\n"
    requests = [f"{head}Authorization: Bearer {token}\r\n" for token in tokens]
    requests[-1] += "Connection: close\r\n"
    with closing(socket.create_connection((address.hostname, address.port or 80), timeout=30)) as connection:
        connection.sendall("".join(f"{request}\r\n" for request in requests).encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    return received.count(b'"error_code":"AUTH_401"')


def _jwk(forger: Forger, stack: Stack) -> dict[str, str]:
    keys = Api(stack.auth_url).get("/.well-known/jwks.json").json["keys"]
    return next(key for key in keys if key["kid"] == forger.header["kid"])


@pytest.mark.parametrize(
    "change",
    [{"use": "enc"}, {"use": None}, {"alg": "ES384"}, {"alg": None}, {"kty": "oct", "k": "AAAA", "alg": "HS256"}],
)
def test_a_published_key_that_is_not_for_our_signatures_is_no_key(
    stack: Stack, phone: Phone, change: dict[str, str | None]
) -> None:
    forger = Forger(stack, phone)
    genuine = _jwk(forger, stack)
    changed = {name: value for name, value in {**genuine, **change}.items() if value is not None}
    served: JwkSet = {"keys": [changed, {**genuine, "kid": "good"}]}
    keys = KeySet(lambda: json.loads(json.dumps(served)))
    assert keys.refresh()
    assert genuine["kid"] not in keys
    assert "good" in keys
