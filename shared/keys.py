"""The public keys that access tokens are checked with, kept fresh in the background (RFC 7517, RFC 8725)."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import structlog
import urllib3
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from shared.errors import InvalidToken, Unavailable
from shared.metrics import gauge, sample

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # RFC 9068 section 2.1
REFRESH_SECONDS = 60
UNKNOWN_KEY_PAUSE = 10
_FIRST_LOAD_PAUSE = 0.2
# A token that brings or points to its own key (jwk, jku, x5c, x5u) is an attack (RFC 8725 section 3.10), and whatever
# else stands there was not written by us.
_HEADERS = frozenset({"alg", "typ", "kid"})

_age = gauge("latchkey_keys_age_seconds", "How long ago the public keys were fetched", over_workers="max")

log = structlog.get_logger(__name__)

JwkSet = dict[str, list[dict[str, Any]]]


class KeySet:
    """Public keys by `kid`.

    `load` fetches the JWK set; when it fails, the keys that are known go on serving, so that a stopped auth service
    signs nobody out. An unknown `kid` fetches at most once in UNKNOWN_KEY_PAUSE seconds and process. `document` is the
    JWK set as it was loaded last.
    """

    def __init__(self, load: Callable[[], JwkSet]) -> None:
        self._load = load
        self._keys: dict[str, EllipticCurvePublicKey] = {}
        self.document: JwkSet = {"keys": []}
        self._lock = threading.Lock()
        self._next_unknown = 0.0
        self._fetched_at = time.monotonic()

    def start(self) -> None:
        """Keep the keys fresh from a background thread (a greenlet under gevent)."""
        sample(_age, lambda: time.monotonic() - self._fetched_at)
        threading.Thread(target=self._refresh_for_ever, name="keys", daemon=True).start()

    @property
    def loaded(self) -> bool:
        """Whether there is any key to check a token with."""
        return bool(self._keys)

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    def key_for(self, header: Mapping[str, Any]) -> EllipticCurvePublicKey:
        """The key for a token with this JOSE header.

        Raises InvalidToken for a header that is not ours and for an unknown `kid`; Unavailable while there are no keys
        at all, because a 401 would make apps throw their session away.
        """
        if header.keys() != _HEADERS or header["alg"] != ALGORITHM or header["typ"] != TOKEN_TYPE:
            raise InvalidToken("the token's header is not ours")
        kid = header["kid"]
        if not isinstance(kid, str):
            raise InvalidToken("the token names no key")
        if kid not in self._keys:
            self._look_for_unknown_key()
        if not self._keys:
            raise Unavailable("no signing keys are known yet")
        if kid not in self._keys:
            raise InvalidToken("the token's key is unknown")
        return self._keys[kid]

    def refresh(self) -> bool:
        """Load the keys now; what is known stays when that fails, which is False."""
        try:
            document = self._load()
            keys = {key["kid"]: _public_key(key) for key in document["keys"] if _is_ours(key)}
            if not keys:
                raise ValueError("a key set without a key")
            self._keys, self.document = keys, document
            self._fetched_at = time.monotonic()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, old keys are better than none
            log.warning("keys_not_refreshed", reason=repr(error))
            return False
        return True

    def _look_for_unknown_key(self) -> None:
        with self._lock:
            if time.monotonic() < self._next_unknown:
                return
            self._next_unknown = time.monotonic() + UNKNOWN_KEY_PAUSE
            self.refresh()

    def _refresh_for_ever(self) -> None:
        while True:
            refreshed = self.refresh()
            # Soon again after a failure, so that a new key is known before it signs.
            pause = REFRESH_SECONDS if refreshed else UNKNOWN_KEY_PAUSE
            time.sleep(pause if self._keys else _FIRST_LOAD_PAUSE)


def fetch_jwks(url: str) -> Callable[[], JwkSet]:
    """A loader that gets the JWK set from `url`, within two seconds."""
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=1, read=2), retries=False)

    def load() -> JwkSet:
        answer = pool.request("GET", url)
        if answer.status != 200:
            raise ValueError(f"{url} answered {answer.status}")
        keys: JwkSet = answer.json()
        return keys

    return load


def _is_ours(key: Mapping[str, Any]) -> bool:
    return key.get("alg") == ALGORITHM and key.get("use") == "sig"


def _public_key(key: dict[str, Any]) -> EllipticCurvePublicKey:
    public = jwt.PyJWK.from_dict(key).key
    if not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
        raise TypeError("the key set holds a key that is not public, or of another curve")
    return public
