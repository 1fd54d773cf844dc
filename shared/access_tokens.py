"""Checks access tokens (RFC 9068): what the gateway and every service do before they believe a word."""

import sys
from dataclasses import dataclass
from typing import Any

import jwt

from shared.bearer import refuse_other_spellings
from shared.errors import InvalidToken, TokenExpired
from shared.keys import ALGORITHM, KeySet

# The audience of people's tokens. A service token names the called service instead.
APPS_AUDIENCE = "latchkey-apps"
REQUIRED_CLAIMS = ["iss", "aud", "sub", "iat", "exp", "jti"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who a person's access token speaks for: account id, session id and the session's generation.

    `kid` names the key that says so.
    """

    account_id: int
    session_id: str
    generation: int
    expires_at: int
    kid: str


def person_from(claims: dict[str, Any], kid: str) -> Person:
    """The person of claims that the key `kid` has verified; InvalidToken when they are not a person's."""
    try:
        if claims["aud"] != APPS_AUDIENCE:
            raise InvalidToken("not a person's token")
        return Person(int(claims["sub"]), str(claims["sid"]), int(claims["gen"]), int(claims["exp"]), kid)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidToken("claims are missing") from error


class AccessTokenVerifier:
    """Checks people's access tokens against a key set and an issuer."""

    def __init__(self, keys: KeySet, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    def verify(self, token: str) -> Person:
        """The person of a good token. Raises TokenExpired, InvalidToken, or Unavailable while there are no keys."""
        refuse_other_spellings(token)
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.key_for(header)
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=APPS_AUDIENCE,
                # Clocks of two machines differ; a token "from the future" is no danger, one refused by mistake is.
                options={"require": REQUIRED_CLAIMS, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired from error
        except jwt.PyJWTError as error:
            raise InvalidToken(str(error)) from error
        # One string for all: the gateway remembers thousands of persons.
        return person_from(claims, sys.intern(header["kid"]))

    def still_trusts(self, person: Person) -> bool:
        """Whether the key that spoke for `person` is in use; a key can be retired before its tokens expire."""
        return person.kid in self._keys
