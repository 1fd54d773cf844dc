"""The refresh token: opaque to its owner, derived and never stored, so that a lost one can be given again.

Its bytes are version (1), session id (16), generation (4, big-endian) and an HMAC-SHA256 (32) over them, keyed by the
session's own secret and the service's pepper; in base64url without padding, 71 characters.
"""

import base64
import binascii
import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass

from services.auth.errors import InvalidRefreshToken

_VERSION = 1
_HEAD = struct.Struct(">B16sI")
_MAC_BYTES = 32
_LENGTH = 71


@dataclass(frozen=True)
class PresentedToken:
    """What a refresh token claims; nothing is proven until `prove` was called with the session's secret."""

    session_id: uuid.UUID
    generation: int
    mac: bytes

    def prove(self, secret: bytes, pepper: bytes) -> None:
        """Raise InvalidRefreshToken when the token was not derived from this secret."""
        if not hmac.compare_digest(self.mac, _mac(_head(self.session_id, self.generation), secret, pepper)):
            raise InvalidRefreshToken("forged")


def derive(session_id: uuid.UUID, generation: int, secret: bytes, pepper: bytes) -> str:
    """The refresh token of one generation of a session; the same for the same arguments."""
    head = _head(session_id, generation)
    return base64.urlsafe_b64encode(head + _mac(head, secret, pepper)).rstrip(b"=").decode()


def read(token: str) -> PresentedToken:
    """Take a token apart. Raises InvalidRefreshToken for what can't be one, also for another spelling of its bytes."""
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=", altchars=b"-_", validate=True)
        version, session_id, generation = _HEAD.unpack_from(raw)
    except (binascii.Error, UnicodeEncodeError, struct.error) as error:
        raise InvalidRefreshToken("malformed") from error
    canonical = len(token) == _LENGTH and base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == token
    if not canonical or version != _VERSION or len(raw) != _HEAD.size + _MAC_BYTES:
        raise InvalidRefreshToken("malformed")
    return PresentedToken(uuid.UUID(bytes=session_id), generation, raw[_HEAD.size :])


def _head(session_id: uuid.UUID, generation: int) -> bytes:
    return _HEAD.pack(_VERSION, session_id.bytes, generation)


def _mac(head: bytes, secret: bytes, pepper: bytes) -> bytes:
    key = hmac.digest(pepper, b"latchkey refresh token" + secret, hashlib.sha256)
    return hmac.digest(key, head, hashlib.sha256)
