"""What the log keeps of a service's unusable answer: enough to see what it was, and nothing that is secret."""

import json
import re
from collections.abc import Iterator
from typing import Any

from gateway.exchange import UpstreamRequest

MAX_CHARACTERS = 400
_MASK = "[…]"
# More than is kept, so that no secret is cut before it is recognised.
_LOOKED_AT_BYTES = 4 * MAX_CHARACTERS
# Shorter values of a request stand in texts by chance.
_SHORTEST_SECRET = 4
_SECRET = re.compile(
    # The value of whatever calls itself a secret.
    r"((?:password|passwd|secret|token|cookie|authorization)\w*[\"']?\s*[:=]\s*[\"']?(?:bearer )?|bearer )[^\s\"',;&<]+"
    # What tokens, keys and hashes look like: a long run without a space, dot or slash.
    r"|[\w+=-]{32,}|\$(?:argon2\w*|2[aby]|scrypt|pbkdf2)\$\S+",
    re.IGNORECASE,
)


def excerpt(said: bytes, request: UpstreamRequest) -> str:
    """The beginning of what a service said, at most MAX_CHARACTERS, with everything masked that may be a secret.

    That is what the request carried (passwords, tokens, email addresses come back in error pages), what calls itself a
    secret, and what looks like one.
    """
    text = said[:_LOOKED_AT_BYTES].decode("utf-8", "replace")
    for value in _carried(request):
        text = text.replace(value, _MASK)
    return _SECRET.sub(lambda found: (found[1] or "") + _MASK, text)[:MAX_CHARACTERS]


def _carried(request: UpstreamRequest) -> Iterator[str]:
    """Every string that the request brought, as it is and as JSON spells it."""
    try:
        values = list(_strings(json.loads(request.body or b"null")))
    except (ValueError, RecursionError):
        values = []
    values += request.headers.get("Authorization", "").split()[1:]
    for value in values:
        if len(value) >= _SHORTEST_SECRET:
            yield value
            yield json.dumps(value)[1:-1]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
