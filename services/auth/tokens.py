"""Issues tokens: pairs for a person's session, and tokens for services that call each other."""

import hashlib
import hmac
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from services.auth import refresh_tokens
from services.auth.sessions import Standing
from services.auth.settings import Settings
from services.auth.signing_keys import SigningKeys
from shared.access_tokens import APPS_AUDIENCE
from shared.errors import Forbidden, InvalidToken
from shared.fields import epoch_seconds
from shared.keys import ALGORITHM, TOKEN_TYPE

SERVICE_TOKEN_LIFETIME = 10 * 60
# For how long auth calls a service with the same token.
OWN_TOKEN_SECONDS = 60


@dataclass(frozen=True)
class TokenPair:
    """What an app keeps after signing in or refreshing; times are epoch seconds."""

    access_token: str
    access_token_expires_at: int
    refresh_token: str
    refresh_token_expires_at: int


@dataclass(frozen=True)
class ServiceToken:
    """A token for one service to call another; `access_token_expires_at` is in epoch seconds."""

    access_token: str
    access_token_expires_at: int


class Tokens:
    """Issues tokens with the settings' lifetimes and the signing keys of this installation."""

    def __init__(self, settings: Settings, keys: SigningKeys) -> None:
        self._settings = settings
        self._keys = keys

    def pair_for(self, row: Standing) -> TokenPair:
        """An access token and the refresh token of the session's present generation.

        The access token never outlives the session. Raises Unavailable while there is no signing key.
        """
        session_end = epoch_seconds(row.idle_expires_at)
        expires_at = min(int(time.time()) + self._settings.access_token_lifetime, session_end)
        claims = {"aud": APPS_AUDIENCE, "sub": str(row.account_id), "sid": str(row.id), "gen": row.generation}
        refresh_token = refresh_tokens.derive(row.id, row.generation, row.secret, self._settings.refresh_token_key)
        return TokenPair(self._sign(claims, expires_at), expires_at, refresh_token, session_end)

    def for_service(self, name: str, audience: str, scopes: tuple[str, ...]) -> ServiceToken:
        """A token for the service `name` to call `audience` with `scopes`. Raises Unavailable."""
        expires_at = int(time.time()) + SERVICE_TOKEN_LIFETIME
        claims = {"aud": audience, "sub": name, "scope": " ".join(scopes)}
        return ServiceToken(self._sign(claims, expires_at), expires_at)

    def for_client(self, client_id: str, secret: str, audience: str) -> ServiceToken:
        """A token for a service that proves itself by its secret (RFC 6749 section 4.4).

        Raises InvalidToken for an unknown id or a wrong secret, and Forbidden when the service may not call `audience`.
        """
        client = self._settings.service_clients.get(client_id)
        presented = hashlib.sha256(secret.encode()).digest()
        known = client.secret_hashes if client else (bytes(len(presented)),)
        # Every secret is compared, and an unknown id too, so that the time tells nothing.
        matches = [hmac.compare_digest(presented, stored) for stored in known]
        if client is None or not any(matches):
            raise InvalidToken("unknown client or wrong secret")
        if audience not in client.scopes:
            raise Forbidden(f"{client_id} may not call {audience}")
        return self.for_service(client_id, audience, client.scopes[audience])

    def _sign(self, claims: dict[str, Any], expires_at: int) -> str:
        signer = self._keys.signer()
        issued = {"iss": self._settings.token_issuer, "iat": int(time.time()), "exp": expires_at}
        return jwt.encode(
            {**issued, **claims, "jti": uuid.uuid4().hex},
            signer.private_key,
            algorithm=ALGORITHM,
            headers={"typ": TOKEN_TYPE, "kid": signer.kid},
        )


class OwnToken:
    """The token that auth itself calls another service with. Call it for one.

    It is kept for OWN_TOKEN_SECONDS, because every sign-in asks users, but never longer than its key signs: who
    retires a key wants none of its tokens to be taken.
    """

    def __init__(self, tokens: Tokens, keys: SigningKeys, name: str, audience: str, scopes: tuple[str, ...]) -> None:
        self._keys = keys
        self._make: Callable[[], str] = lambda: tokens.for_service(name, audience, scopes).access_token
        self._kept = ("", 0.0, "")

    def __call__(self, _seconds: float) -> str:
        """A token, at once. Raises Unavailable while there is no signing key."""
        kid = self._keys.signer().kid
        kept_kid, until, token = self._kept
        if kid != kept_kid or time.monotonic() >= until:
            token = self._make()
            self._kept = (kid, time.monotonic() + OWN_TOKEN_SECONDS, token)
        return token
