"""Which web pages may read answers (CORS, as https://fetch.spec.whatwg.org defines it).

Tokens travel in `Authorization`, never in cookies, so nothing here is about credentials.
"""

import re
from collections.abc import Iterable
from typing import Any

from gateway.routes import ROUTES

ANY_ORIGIN = "*"
# As browsers write it: without a path, and without the port that the scheme has anyway.
ORIGIN = re.compile(r"(?:https://(?!.*:443$)|http://(?!.*:80$))(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_METHODS = ", ".join(sorted({"HEAD", *(route.method for route in ROUTES)}))
_REQUEST_HEADERS = (
    "Accept-Language, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Traceparent, X-Request-Id"
)
_EXPOSED = (
    "Allow, Content-Language, ETag, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
)
# As long as any browser remembers it.
_MAX_AGE_SECONDS = 86_400


class Cors:
    """Knows the origins that may read answers; `*` among them stands for all."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def preflight(self, environ: dict[str, Any]) -> list[tuple[str, str]] | None:
        """The headers that answer a browser's question before the request itself; None when it is no such question."""
        if environ["REQUEST_METHOD"] != "OPTIONS" or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ:
            return None
        # No browser sends a body here, and nobody would read it.
        if (
            environ.get("CONTENT_LENGTH", "0") != "0"
            or "HTTP_TRANSFER_ENCODING" in environ
            or not self._allows(environ)
        ):
            return None
        return [
            ("Access-Control-Allow-Methods", _METHODS),
            ("Access-Control-Allow-Headers", _REQUEST_HEADERS),
            ("Access-Control-Max-Age", str(_MAX_AGE_SECONDS)),
        ]

    def headers(self, environ: dict[str, Any]) -> list[tuple[str, str]]:
        """What stands on an answer so that a page of an allowed origin may read it."""
        if not self._allows(environ):
            return []
        allowed = ANY_ORIGIN if ANY_ORIGIN in self._origins else environ["HTTP_ORIGIN"]
        return [("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", _EXPOSED)]

    @property
    def vary(self) -> bool:
        """Whether answers depend on the origin, also those to requests that name none."""
        return bool(self._origins) and ANY_ORIGIN not in self._origins

    def _allows(self, environ: dict[str, Any]) -> bool:
        return bool(self._origins) and (
            environ.get("HTTP_ORIGIN") in self._origins or (ANY_ORIGIN in self._origins and "HTTP_ORIGIN" in environ)
        )
