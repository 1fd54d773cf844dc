"""Checks who calls before a request goes on."""

import time
from hashlib import sha256

from gateway.confirmations import Confirmations
from gateway.errors import SessionRevoked
from gateway.revocations import RevokedSessions
from shared.access_tokens import AccessTokenVerifier, Person
from shared.bearer import bearer_token
from shared.errors import TokenExpired

# A worker remembers at most twice as many tokens, by their hashes: 350 bytes for each, 10 MB in all.
_PORTION = 15_000


class TokenGuard:
    """Checks access tokens; one that was found good is remembered until it expires, its session ends or key goes.

    What was not asked for while a portion of others came is forgotten, so that expired tokens don't pile up.
    """

    def __init__(self, verifier: AccessTokenVerifier, revoked: RevokedSessions, confirmations: Confirmations) -> None:
        self._verifier = verifier
        self._revoked = revoked
        self._confirmations = confirmations
        self._newer: dict[bytes, Person] = {}
        self._older: dict[bytes, Person] = {}

    def check(self, authorization: str | None) -> Person:
        """The person of an `Authorization` header (RFC 6750 section 2.1).

        Raises TokenMissing, TokenExpired, InvalidToken, SessionRevoked, and Unavailable while there are no keys.
        """
        token = bearer_token(authorization)
        key = sha256(token.encode()).digest()
        person = self._newer.get(key) or self._recall(key)
        if person is None or not self._verifier.still_trusts(person):
            person = self._verifier.verify(token)
            self._remember(key, person)
            self._confirmations.saw(person)
        if person.expires_at <= time.time():
            self._newer.pop(key, None)
            raise TokenExpired
        if person.session_id in self._revoked:
            raise SessionRevoked(person.session_id)
        return person

    def _recall(self, key: bytes) -> Person | None:
        person = self._older.pop(key, None)
        if person:
            self._remember(key, person)
        return person

    def _remember(self, key: bytes, person: Person) -> None:
        if len(self._newer) >= _PORTION:
            self._newer, self._older = {}, self._newer
        self._newer[key] = person
