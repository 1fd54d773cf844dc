"""The keys that access tokens are signed with: ES256, the private half encrypted at rest in auth's database."""

import os
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.auth.models import SigningKey
from shared.database import Database
from shared.envelope import dump
from shared.errors import Unavailable
from shared.keys import ALGORITHM, JwkSet

_NONCE_BYTES = 12
# How long a process may go on signing with a key that was replaced or retired.
RELOAD_SECONDS = 5
# Whoever changes the set of keys holds this lock of PostgreSQL.
KEYS_LOCK = 7_001


@dataclass(frozen=True)
class Signer:
    """A private key and the `kid` that tokens name it by."""

    kid: str
    private_key: ec.EllipticCurvePrivateKey


class SigningKeys:
    """The signing keys of this installation. `encryption_key` is the 32 bytes of KEY_ENCRYPTION_KEY."""

    def __init__(self, database: Database, encryption_key: bytes) -> None:
        self._database = database
        self._cipher = AESGCM(encryption_key)
        self._lock = threading.Lock()
        self._signer: Signer | None = None
        self._reload_at = 0.0

    def signer(self) -> Signer:
        """The key that signs now. A known one serves while the database is away; without any, Unavailable."""
        with self._lock:
            if self._signer is None or time.monotonic() >= self._reload_at:
                try:
                    self._signer = self._load()
                except Unavailable:
                    if self._signer is None:
                        raise
                self._reload_at = time.monotonic() + RELOAD_SECONDS
            return self._signer

    def jwks(self) -> JwkSet:
        """The public halves of all keys that are not retired (RFC 7517 section 5). Raises Unavailable."""
        with self._database.transaction() as session:
            keys = session.scalars(select(SigningKey).where(SigningKey.retired_at.is_(None)).order_by(SigningKey.kid))
            return {"keys": [key.public_jwk for key in keys]}

    def ensure_first(self) -> None:
        """Make a key if there is none; of several callers at once, one makes it."""
        with self._database.transaction() as session:
            session.execute(select(func.pg_advisory_xact_lock(KEYS_LOCK)))
            if session.scalar(select(func.count()).select_from(SigningKey)) == 0:
                session.add(self.generate())

    def generate(self) -> SigningKey:
        """A new key; whoever adds it to a session decides when it signs."""
        private = ec.generate_private_key(ec.SECP256R1())
        public: dict[str, Any] = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        kid = _thumbprint(public)
        if kid.startswith("-"):
            # An operator names a key on a command line, where this would be an option.
            return self.generate()
        plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        nonce = os.urandom(_NONCE_BYTES)
        jwk = {**public, "kid": kid, "use": "sig", "alg": ALGORITHM}
        return SigningKey(kid=kid, private_key=nonce + self._cipher.encrypt(nonce, plain, kid.encode()), public_jwk=jwk)

    def _load(self) -> Signer:
        with self._database.transaction() as session:
            key = _newest(session)
        if key is None:
            raise Unavailable("there is no signing key yet; run the migrations")
        nonce, sealed = key.private_key[:_NONCE_BYTES], key.private_key[_NONCE_BYTES:]
        private = load_der_private_key(self._cipher.decrypt(nonce, sealed, key.kid.encode()), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError("a signing key must be an elliptic curve key")
        return Signer(key.kid, private)


def _newest(session: Session) -> SigningKey | None:
    usable = SigningKey.retired_at.is_(None) & (SigningKey.signs_from <= func.now())
    return session.scalar(select(SigningKey).where(usable).order_by(SigningKey.signs_from.desc()).limit(1))


def _thumbprint(jwk: dict[str, Any]) -> str:
    """The JWK thumbprint (RFC 7638 section 3.1): members in lexical order, hashed."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return base64url_encode(sha256(dump(members)).digest()).decode()
