"""Checks who calls before a request goes on."""

import time

from gateway.confirmations import Confirmations
from gateway.errors import SessionRevoked
from gateway.revocations import RevokedSessions
from shared.access_tokens import AccessTokenVerifier, Person
from shared.bearer import bearer_token
from shared.errors import TokenExpired

_MAX_REMEMBERED = 50_000


class TokenGuard:
    """Checks access tokens; one that was found good is remembered until it expires, its session ends or key goes."""

    def __init__(self, verifier: AccessTokenVerifier, revoked: RevokedSessions, confirmations: Confirmations) -> None:
        self._verifier = verifier
        self._revoked = revoked
        self._confirmations = confirmations
        self._remembered: dict[str, Person] = {}

    def check(self, authorization: str | None) -> Person:
        """The person of an `Authorization` header (RFC 6750 section 2.1).

        Raises TokenMissing, TokenExpired, InvalidToken, SessionRevoked, and Unavailable while there are no keys.
        """
        token = bearer_token(authorization)
        person = self._remembered.get(token)
        if person is None or not self._verifier.still_trusts(person):
            person = self._verify(token)
        if person.expires_at <= time.time():
            self._remembered.pop(token, None)
            raise TokenExpired
        if person.session_id in self._revoked:
            raise SessionRevoked(person.session_id)
        return person

    def _verify(self, token: str) -> Person:
        person = self._verifier.verify(token)
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[token] = person
        self._confirmations.saw(person)
        return person
