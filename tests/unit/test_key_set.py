"""What a process that checks tokens makes of the key sets that it is given."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from shared import keys as shared_keys
from shared.keys import KeySet, fetch_jwks
from tests.support.services import BrokenService, raw_reply
from tests.support.waiting import eventually


def jwk(kid: str, curve: ec.EllipticCurve | None = None) -> dict[str, Any]:
    return jwk_of(ec.generate_private_key(curve or ec.SECP256R1()).public_key(), kid)


def jwk_of(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey, kid: str) -> dict[str, Any]:
    return ECAlgorithm.to_jwk(key, as_dict=True) | {"kid": kid, "alg": "ES256", "use": "sig"}


@pytest.mark.parametrize(
    "document",
    [
        {"keys": []},
        {},
        {"keys": [{"kid": "x"}]},
        {"keys": [{"kid": "x", "alg": "ES256", "use": "sig", "kty": "oct"}]},
        {"keys": [jwk("x", ec.SECP384R1())]},
        {"keys": [jwk_of(ec.generate_private_key(ec.SECP256R1()), "x")]},
    ],
    ids=["none", "no set", "no key", "no curve", "another curve", "a private half"],
)
def test_a_key_set_without_a_usable_key_takes_nobody_his_keys(document: Any) -> None:
    documents = iter([{"keys": [jwk("a")]}, document, {"keys": [jwk("b")]}])
    keys = KeySet(lambda: next(documents))

    assert [keys.refresh(), keys.refresh()] == [True, False]
    assert "a" in keys
    assert keys.document["keys"][0]["kid"] == "a"
    assert keys.refresh()
    assert "a" not in keys
    assert "b" in keys


def test_the_keys_of_a_server_that_fails_are_not_taken() -> None:
    server = BrokenService()
    body = json.dumps({"keys": [jwk("a")]}).encode()
    keys = KeySet(fetch_jwks(server.url))
    # It does close, and says so.
    closes = "Connection: close\r\n"
    server.reply = raw_reply("500 Internal Server Error", body, extra=closes)
    assert not keys.refresh()
    assert not keys.loaded
    server.reply = raw_reply("200 OK", body, extra=closes)
    assert keys.refresh()
    server.close()


def test_keys_that_could_not_be_fetched_are_asked_for_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_keys, "REFRESH_SECONDS", 3600)
    monkeypatch.setattr(shared_keys, "UNKNOWN_KEY_PAUSE", 0.05)
    documents = iter([{"keys": [jwk("a")]}, {}, {"keys": [jwk("b")]}])
    keys = KeySet(lambda: next(documents))
    assert keys.refresh()
    # The first attempt from here on fails.
    keys.start()
    eventually(lambda: "b" in keys)
