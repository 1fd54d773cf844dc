"""Somebody who has auth's own signing key, and writes tokens that auth would never write."""

import base64
import json
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from services.auth.settings import Settings
from services.auth.signing_keys import SigningKeys
from shared.database import Database
from tests.support.phone import Phone
from tools.stack import Stack

_COORDINATE_BYTES = 32


class Forger:
    """Signs with the key of `stack` in the name of `phone`; every method gives the whole token."""

    def __init__(self, stack: Stack, phone: Phone) -> None:
        settings = Settings.read(stack.environment("auth"))
        database = Database(settings.database_url, connections=1)
        signer = SigningKeys(database, settings.key_encryption_key).signer()
        database.engine.dispose()
        self.private_key = signer.private_key
        self.header: dict[str, Any] = {"alg": "ES256", "typ": "at+jwt", "kid": signer.kid}
        self.claims: dict[str, Any] = jwt.decode(phone.access_token, options={"verify_signature": False})

    def token(self, **header: Any) -> str:
        """A token with these parts of its header changed; None leaves one out."""
        changed = {name: value for name, value in {**self.header, **header}.items() if value is not None}
        return self.sign(encoded(changed), encoded(self.claims | {"jti": uuid.uuid4().hex, "iat": int(time.time())}))

    def sign(self, header: str, payload: str) -> str:
        """A token of segments that are spelled already."""
        message = f"{header}.{payload}"
        r, s = decode_dss_signature(self.private_key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
        return f"{message}.{spelled(raw)}"


def encoded(value: dict[str, Any], *, length: int = 1) -> str:
    """The segment of a JSON object, with as many spaces behind it as make its length modulo 3 be `length`."""
    raw = json.dumps(value).encode()
    return spelled(raw + b" " * ((length - len(raw)) % 3))


def spelled(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def misspelled(text: str) -> str:
    """A segment, or a token for its last one, with an unused bit of the last character set: the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(text.rpartition(".")[2]) % 4 in (2, 3), "every bit is used"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]
