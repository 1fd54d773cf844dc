"""Which headers of a service's answer go on to the app, and how they read there: none names an inner address."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import urlsplit

from gateway.answers import Answer
from gateway.exchange import UpstreamAnswer
from gateway.headers import language_headers

# What a service says in these is passed on when it reads like this, and left out otherwise: free text could hold the
# address of a machine, and a sign that HTTP does not allow would be our own fault on the wire.
_ALLOW = re.compile(r"[A-Z]{1,20}(, ?[A-Z]{1,20}){0,20}")
_CACHE_CONTROL = re.compile(r"[a-z0-9=, -]{1,200}")
_LANGUAGES = re.compile(r"[A-Za-z0-9-]{1,35}(, ?[A-Za-z0-9-]{1,35}){0,9}")
_ENTITY_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e]{0,200}"')
_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
_FIELD_NAMES = re.compile(r"([A-Za-z-]{1,40}|\*)(, ?([A-Za-z-]{1,40}|\*)){0,20}")
_CHALLENGE = re.compile(r'Bearer( error="[a-z_]{1,40}")?')
_PATH = re.compile(r"/(?!/)[\x21\x23-\x5b\x5d-\x7e]{0,2000}")
_SECONDS = re.compile(r"[0-9]{1,6}")
# A failure of a service that said nothing, or nonsense, about when to come back.
_DEFAULT_RETRY = {429: "1", 503: "1"}


def returned(reply: UpstreamAnswer, answer: Answer, language: str, service_url: str) -> list[tuple[str, str]]:
    """The headers that go out with `answer`, which was made of `reply`.

    `language` is that of our own words, `service_url` what the service knows as its own address. A failure that the
    gateway put into its own words keeps only what is about the failure, not about the foreign body.
    """
    kept: dict[str, str | None] = {"Vary": _vary(reply.header("Vary"))}
    kept["Content-Language"] = _if(_LANGUAGES, reply, "Content-Language") if answer.own else None
    if answer.error_code is None:
        kept["ETag"] = _if(_ENTITY_TAG, reply, "ETag")
        kept["Last-Modified"] = _if(_DATE, reply, "Last-Modified")
    if answer.error_code is None or answer.own:
        kept["Cache-Control"] = _if(_CACHE_CONTROL, reply, "Cache-Control")
    if answer.status == 201:
        kept["Location"] = _path_of(reply.header("Location"), service_url)
    if answer.status == 401:
        kept["WWW-Authenticate"] = _if(_CHALLENGE, reply, "WWW-Authenticate") or "Bearer"
    if answer.status == 405:
        kept["Allow"] = _if(_ALLOW, reply, "Allow")
    if answer.status >= 400:
        kept["Retry-After"] = retry_after(reply.header("Retry-After")) or _DEFAULT_RETRY.get(answer.status)
    own = dict(language_headers(language))
    return list((own | {name: value for name, value in kept.items() if value}).items())


def retry_after(value: str) -> str | None:
    """The whole seconds of a Retry-After (RFC 9110 section 10.2.3), also of one that is a date; None for nonsense."""
    if _SECONDS.fullmatch(value):
        return value
    if not _DATE.fullmatch(value):
        return None
    try:
        seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return None
    return str(max(0, round(seconds)))


def _if(pattern: re.Pattern[str], reply: UpstreamAnswer, name: str) -> str | None:
    value = reply.header(name)
    return value if value and pattern.fullmatch(value) else None


@lru_cache(maxsize=256)
def _vary(theirs: str) -> str:
    """What the service says, and always the language: the envelope has a sentence in it."""
    theirs = theirs if _FIELD_NAMES.fullmatch(theirs) else ""
    names = {name.strip().lower(): name.strip() for name in theirs.split(",") if name.strip()}
    if "*" in names:
        return "*"
    return ", ".join({"accept-language": "Accept-Language", **names}.values())


def _path_of(location: str, service_url: str) -> str | None:
    """Where a service says that its new thing is: a path, also of a URL with its own host; None for anywhere else."""
    if _PATH.fullmatch(location):
        return location
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    path = parts._replace(scheme="", netloc="").geturl()
    return path if parts[:2] == urlsplit(service_url)[:2] and _PATH.fullmatch(path) else None
