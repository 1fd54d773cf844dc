"""Which headers cross the gateway, in both directions."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from shared.networks import CLIENT_ADDRESS_HEADER
from shared.trace import Trace

# PEP 3333.
Environ = dict[str, Any]
HeaderList = list[tuple[str, str]]

# Hop-by-hop (RFC 9110 section 7.6.1), what is about this connection, and what would ask for an answer that the gateway
# can't pass on whole. What the gateway writes itself goes over what came.
_NOT_FORWARDED = frozenset({
    "CONNECTION", "KEEP_ALIVE", "TE", "TRAILER", "TRANSFER_ENCODING", "UPGRADE", "HTTP2_SETTINGS", "HOST", "EXPECT",
    "RANGE", "IF_RANGE", "VIA", "TRACESTATE",
})  # fmt: skip
# Whatever looks as if somebody in front vouched for the caller, or for what the request is: only the gateway speaks to
# services about that. The names are those that proxies and platforms are known to write, and `Proxy` is what CGI takes
# for a setting (CVE-2016-5385).
_IDENTITY_PREFIXES = (
    "X_FORWARD", "X_REAL", "X_CLIENT", "X_USER", "X_ACCOUNT", "X_SESSION", "X_AUTH", "X_REMOTE", "X_ORIGINAL",
    "X_REWRITE", "X_REQUEST", "X_DEADLINE", "X_INTERNAL", "X_SERVICE", "X_LATCHKEY", "X_CLUSTER", "X_HTTP", "X_METHOD",
    "X_WEBAUTH", "X_GOOG", "X_MS_", "X_AMZN", "X_AZURE", "X_APPENGINE", "X_ENVOY", "X_CONSUMER", "X_JWT", "X_EMAIL",
    "X_GROUPS", "X_ROLES", "X_TENANT", "X_IMPERSONATE", "X_SSL", "X_PROXY", "X_HOST", "X_SCHEME", "X_SCRIPT", "X_ACCEL",
    "X_SENDFILE", "REMOTE_", "CLIENT_", "SSL_", "IMPERSONATE", "FORWARDED", "PROXY", "WL_PROXY", "TRUE_CLIENT",
    "FASTLY", "CF_", "SCRIPT_NAME",
)  # fmt: skip
# Words between single hyphens. Whoever reads other signs as a hyphen, or drops them, would find one of the above in it.
_PLAIN_NAME = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)*")
# A header that every recipient is meant to see, or that decides what a request does, is no matter of one connection: a
# `Connection` that names it takes nothing away (RFC 9110 section 7.6.1 forbids senders to do so).
_END_TO_END = frozenset({
    "AUTHORIZATION", "ACCEPT_LANGUAGE", "CACHE_CONTROL", "IDEMPOTENCY_KEY", "IF_MATCH", "IF_MODIFIED_SINCE",
    "IF_NONE_MATCH", "IF_UNMODIFIED_SINCE",
})  # fmt: skip


def onward(environ: Mapping[str, Any], trace: Trace, client_address: str) -> dict[str, str]:
    """The headers for the service: the app's own without hop-by-hop and identity, then what the gateway knows."""
    named = {name.strip().upper().replace("-", "_") for name in environ.get("HTTP_CONNECTION", "").split(",")}
    named -= _END_TO_END
    headers = {
        name: value
        for key, value in environ.items()
        if key.startswith("HTTP_") and key[5:] not in named and (name := _name_onward(key[5:]))
    }
    if content_type := environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = content_type
    if authorization := headers.get("Authorization"):
        # One spelling of the scheme, which is the same in any case (RFC 9110 section 11.1), for services that take one.
        scheme, _, credentials = authorization.partition(" ")
        if scheme.isascii():  # what is none may have no capitals in latin-1
            headers["Authorization"] = f"{scheme.title()} {credentials}"
    headers["Accept-Encoding"] = "identity"
    headers[CLIENT_ADDRESS_HEADER] = client_address
    headers.update(trace.onward_headers())
    return headers


def header(fields: HeaderList, name: str) -> str | None:
    """The value of a header of an answer."""
    return next((value for field, value in fields if field.lower() == name.lower()), None)


def replace_header(fields: HeaderList, name: str, value: str) -> None:
    """Give a header that stands once in an answer another value."""
    fields[:] = [(field, value if field.lower() == name.lower() else old) for field, old in fields]


def add_vary(fields: HeaderList, name: str) -> None:
    """Say that an answer depends on this header of the request, too (RFC 9110 section 12.5.5)."""
    vary = header(fields, "Vary")
    if vary is None:
        fields.append(("Vary", name))
    elif vary != "*" and name.lower() not in vary.lower():
        replace_header(fields, "Vary", f"{vary}, {name}")


def language_headers(language: str) -> HeaderList:
    """What says that an answer depends on the reader's language (RFC 9110 sections 8.5 and 12.5.5)."""
    return [("Content-Language", language), ("Vary", "Accept-Language")]


def client_address(environ: Mapping[str, Any], trusted_hops: int) -> str:
    """Who called: the peer itself, or what the outermost of `trusted_hops` proxies in front saw.

    Every trusted proxy appends its peer to X-Forwarded-For; what stands further left was written by strangers.
    """
    peer = str(environ.get("REMOTE_ADDR", ""))
    if not trusted_hops:
        return peer
    seen = [address.strip() for address in str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",") if address.strip()]
    return seen[-trusted_hops] if len(seen) >= trusted_hops else peer


@lru_cache(maxsize=1024)
def _name_onward(name: str) -> str | None:
    """What a header of the app is called on its way to a service; None for one that stays here."""
    if name in _NOT_FORWARDED or name.startswith(_IDENTITY_PREFIXES) or not _PLAIN_NAME.fullmatch(name):
        return None
    return name.replace("_", "-").title()
