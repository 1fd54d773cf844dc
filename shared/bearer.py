"""The outer form of a token on its way in: one scheme, one token, and exactly one way to spell it."""

import re

from shared.errors import InvalidToken, TokenMissing

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def bearer_token(authorization: str | None) -> str:
    """The token of an `Authorization` header (RFC 6750 section 2.1). Raises TokenMissing and InvalidToken.

    Of two headers servers make one with a comma in it, which is in no token: `refuse_other_spellings` refuses that.
    """
    if not authorization:
        raise TokenMissing
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("not a bearer token")
    return token


def refuse_other_spellings(token: str) -> None:
    """Raise InvalidToken unless this is the one spelling of a compact JWS (RFC 7515 section 7.1).

    Decoders overlook padding and white space, so that one token would have many spellings, and whoever compares tokens
    would take them for different ones. PyJWT itself refuses unused bits in a last character (RFC 4648 section 3.5).
    """
    if not _COMPACT.fullmatch(token):
        raise InvalidToken("not a compact JWS")
