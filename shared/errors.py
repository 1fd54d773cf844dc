"""Errors that travel to the client: each names its code in the catalogue."""

from collections.abc import Mapping
from typing import ClassVar

from shared.catalogue import CATALOGUE, N_, CatalogueEntry


class ApiError(Exception):
    """A failure with a code of the catalogue.

    `message` replaces the catalogue's sentence, and is translated like it. `headers` go out with the answer. What is
    given as `detail` is for the log only.
    """

    code: ClassVar[str] = "SRV_500"
    message: str | None = None

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail or CATALOGUE[self.code].message)
        self.headers = dict(headers or {})

    @property
    def entry(self) -> CatalogueEntry:
        """What the catalogue says of this error."""
        return CATALOGUE[self.code]

    @property
    def messages(self) -> tuple[str, ...]:
        """The English sentences to say; each is translated on its own."""
        return (self.message or self.entry.message,)


class InvalidToken(ApiError):
    """The access token is forged, damaged or not for us (RFC 6750 section 3.1)."""

    code = "AUTH_401"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class TokenExpired(InvalidToken):
    """The access token was good once."""

    message = N_("Access token expired")


class TokenMissing(ApiError):
    """No access token came with the request (RFC 6750 section 3: then the challenge names no error)."""

    code = "AUTH_401"
    message = N_("Access token missing")

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """The caller is known and may not do this."""

    code = "AUTH_403"


class BadRequest(ApiError):
    """The request can't be read."""

    code = "REQ_400"


class MethodNotAllowed(ApiError):
    """The page exists, but not for this method. `allowed` become the `Allow` header (RFC 9110 section 15.5.6)."""

    code = "REQ_405"

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(headers={"Allow": ", ".join(allowed)})


class TooLarge(ApiError):
    """The body is larger than the limit."""

    code = "REQ_413"


class NotJson(ApiError):
    """The body is not announced as JSON."""

    code = "REQ_415"


class TooManyRequests(ApiError):
    """The caller is over its share. `seconds` until it may try again."""

    code = "REQ_429"

    def __init__(self, seconds: int) -> None:
        super().__init__(headers={"Retry-After": str(max(1, seconds))})


class Unavailable(ApiError):
    """Something that we need is away for a moment. `seconds` until a retry makes sense."""

    code = "SRV_503"

    def __init__(self, detail: str = "", *, seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(seconds)})


class InvalidInput(ApiError):
    """One or more fields are wrong: the code of the first in the order of the form, the sentences of all."""

    def __init__(self, codes: list[str]) -> None:
        self.codes = list(dict.fromkeys(codes))
        super().__init__(", ".join(self.codes))

    @property
    def entry(self) -> CatalogueEntry:
        """The entry of the first wrong field."""
        return CATALOGUE[self.codes[0]]

    @property
    def messages(self) -> tuple[str, ...]:
        """The sentences of all wrong fields."""
        return tuple(CATALOGUE[code].message for code in self.codes)
