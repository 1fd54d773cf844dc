"""Tokens that are not exactly as auth writes them are refused at every door, also when the signature is genuine."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support import raw
from tests.support.forger import Forger, encoded, misspelled, spelled
from tests.support.http import Api
from tests.support.phone import Phone
from tools.stack import Stack

JWK = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}
Forge = Callable[[Forger], str]


@pytest.fixture
def forger(stack: Stack, phone: Phone) -> Forger:
    return Forger(stack, phone)


def doors(stack: Stack) -> list[tuple[Api, str]]:
    """The gateway, and both services behind it, which believe nobody either."""
    return [
        (Api(stack.gateway_url), "/v1/users/me"),
        (Api(stack.users_url), "/v1/users/me"),
        (Api(stack.auth_url), "/v1/auth/sessions"),
    ]


def assert_refused(stack: Stack, token: str) -> None:
    for door, path in doors(stack):
        answer = door.get(path, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.error_code) == (401, "AUTH_401"), door.base_url


def hmac_signed(forger: Forger, secret: bytes) -> str:
    message = f"{encoded({**forger.header, 'alg': 'HS256'})}.{encoded(forger.claims)}"
    return f"{message}.{spelled(hmac.digest(secret, message.encode(), hashlib.sha256))}"


def public_pem(forger: Forger) -> bytes:
    return forger.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_der(forger: Forger) -> bytes:
    return forger.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def unsigned(forger: Forger, algorithm: str) -> str:
    return f"{encoded({**forger.header, 'alg': algorithm})}.{encoded(forger.claims)}."


def test_a_token_as_auth_writes_it_is_good_at_every_door(stack: Stack, forger: Forger) -> None:
    for door, path in doors(stack):
        assert door.get(path, token=forger.token()).status == 200


HEADERS: dict[str, dict[str, object]] = {
    "no type": {"typ": None},
    "the usual type": {"typ": "JWT"},
    "a type in other letters": {"typ": "AT+JWT"},
    "the long name of the type": {"typ": "application/at+jwt"},
    "a type that is no text": {"typ": ["at+jwt"]},
    "no algorithm": {"alg": None},
    "alg none over a signature": {"alg": "none"},
    "another algorithm": {"alg": "ES384"},
    "an algorithm in other letters": {"alg": "es256"},
    "no key": {"kid": None},
    "a number for a key": {"kid": 1},
    "a list for a key": {"kid": ["x"]},
    "a path for a key": {"kid": "../../dev/null"},
    "jku": {"jku": "http://127.0.0.1:1/jwks.json"},
    "x5u": {"x5u": "http://127.0.0.1:1/x.pem"},
    "jwk": {"jwk": JWK},
    "x5c": {"x5c": ["MIIB"]},
    "crit": {"crit": ["exp"], "exp": 1},
    "a critical b64": {"crit": ["b64"], "b64": True},
    "zip": {"zip": "DEF"},
    "anything more": {"x": 1},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_that_is_not_ours_is_refused_in_spite_of_its_genuine_signature(
    stack: Stack, forger: Forger, header: dict[str, object]
) -> None:
    assert_refused(stack, forger.token(**header))


SIGNATURES: dict[str, Forge] = {
    "alg none": lambda forger: unsigned(forger, "none"),
    "alg None": lambda forger: unsigned(forger, "None"),
    "alg ES256 and no signature": lambda forger: unsigned(forger, "ES256"),
    "the public key in PEM as a shared secret": lambda forger: hmac_signed(forger, public_pem(forger)),
    "the same without its line end": lambda forger: hmac_signed(forger, public_pem(forger).strip()),
    "the public key in DER as a shared secret": lambda forger: hmac_signed(forger, public_der(forger)),
    "zeros for a signature": lambda forger: forger.token().rpartition(".")[0] + "." + spelled(bytes(64)),
    "a signature in DER": lambda forger: (
        forger.token().rpartition(".")[0] + "." + spelled(b"\x30\x06\x02\x01\x01\x02\x01\x01")
    ),
}


@pytest.mark.parametrize("forge", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_what_the_signing_key_has_not_signed_is_refused(stack: Stack, forger: Forger, forge: Forge) -> None:
    assert_refused(stack, forge(forger))


def _other_last_bit(forger: Forger, part: int) -> str:
    segments = [encoded(forger.header), encoded(forger.claims)]
    if part < 2:
        segments[part] = misspelled(segments[part])
    token = forger.sign(*segments)
    return misspelled(token) if part == 2 else token


def _padded(forger: Forger, part: int) -> str:
    segments = [encoded(forger.header), encoded(forger.claims)]
    if part < 2:
        segments[part] += "=="
    return forger.sign(*segments) + ("==" if part == 2 else "")


def _in_the_other_alphabet(forger: Forger) -> str:
    payload = json.dumps({**forger.claims, "note": "þþþ???>>>"}, ensure_ascii=False).encode()
    spelling = base64.b64encode(payload).decode().rstrip("=")
    assert "+" in spelling or "/" in spelling
    return forger.sign(encoded(forger.header), spelling)


def _as_json(token: str) -> str:
    header, payload, signature = token.split(".")
    return json.dumps({"protected": header, "payload": payload, "signature": signature})


SPELLINGS: dict[str, Forge] = {
    "an unused bit of the header": lambda forger: _other_last_bit(forger, 0),
    "an unused bit of the payload": lambda forger: _other_last_bit(forger, 1),
    "an unused bit of the signature": lambda forger: _other_last_bit(forger, 2),
    "padding of the header": lambda forger: _padded(forger, 0),
    "padding of the payload": lambda forger: _padded(forger, 1),
    "padding of the signature": lambda forger: _padded(forger, 2),
    "a space in front": lambda forger: " " + forger.token(),
    "a space in the signature": lambda forger: forger.token()[:-4] + " " + forger.token()[-4:],
    "a tab in the payload": lambda forger: forger.sign(encoded(forger.header), encoded(forger.claims) + "\t"),
    "a character outside the alphabet": lambda forger: forger.token() + "!",
    "a cut signature": lambda forger: forger.token()[:-1],
    "a dot at the end": lambda forger: forger.token() + ".",
    "four segments": lambda forger: forger.token() + ".AAAA",
    "five segments, as an encrypted token has": lambda forger: forger.token() + ".AAAA.AAAA",
    "the other alphabet": _in_the_other_alphabet,
    "the form in JSON": lambda forger: _as_json(forger.token()),
}


@pytest.mark.parametrize("forge", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_another_spelling_of_a_genuine_token_is_refused(stack: Stack, forger: Forger, forge: Forge) -> None:
    assert_refused(stack, forge(forger))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Bearer {}", "Bearer {}"),
        ("Bearer {}", "Basic eDp5"),
        ("Basic eDp5", "Bearer {}"),
        ("Bearer {}", ""),
        ("", "Bearer {}"),
    ],
)
def test_two_authorization_headers_are_refused_also_when_one_of_them_is_good(
    stack: Stack, phone: Phone, first: str, second: str
) -> None:
    lines = [f"Authorization: {line.replace('{}', phone.access_token)}" for line in (first, second)]
    for door, path in doors(stack):
        answer = raw.ask(door, "GET", path, *lines)
        assert (answer.status, answer.error_code) == (401, "AUTH_401"), door.base_url


def test_a_token_that_was_remembered_is_not_good_in_another_spelling(stack: Stack, phone: Phone) -> None:
    assert phone.get("/v1/users/me").status == 200
    assert_refused(stack, misspelled(phone.access_token))
    assert phone.get("/v1/users/me").status == 200
