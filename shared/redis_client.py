"""Redis by URL: one server, by TLS, or the master that Sentinels name."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import SSLConnection, parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedSSLConnection

from shared import tracing

_SENTINEL = "+sentinel"
SCHEMES = ("redis", "rediss", f"redis{_SENTINEL}", f"rediss{_SENTINEL}")
_SENTINEL_PORT = 26379
# There are three of them as a rule, and one that hangs is asked before the next one.
_SENTINEL_SECONDS = 0.5


class Redis(redis.Redis):
    """redis-py's own, whose commands have spans."""

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Send a command and give its answer. Raises redis.RedisError."""
        with tracing.redis(str(arguments[0])):
            return super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]


def connect(url: str, *, answer_seconds: float, connect_seconds: float | None = None, **more: Any) -> redis.Redis:
    """A client with deadlines; nothing is connected to before it is used.

    With `redis+sentinel://:password@host:port,host:port/name/database` every new connection asks the Sentinels for the
    master called `name`. Raises ValueError for a URL that says too little.
    """
    limits = {"socket_timeout": answer_seconds, "socket_connect_timeout": connect_seconds or answer_seconds, **more}
    if _SENTINEL not in urlsplit(url).scheme:
        return Redis.from_url(url, **limits)
    sentinels, name, options, sentinel_options = _read(url)
    asked = Sentinel(  # type: ignore[no-untyped-call]
        sentinels,
        sentinel_kwargs={
            **sentinel_options,
            "socket_timeout": _SENTINEL_SECONDS,
            "socket_connect_timeout": _SENTINEL_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        },
    )
    pool = SentinelConnectionPool(name, asked, **{**options, **limits})  # type: ignore[no-untyped-call]
    return Redis.from_pool(pool)


def problem_of(url: str) -> str | None:
    """What is wrong with a URL of one of SCHEMES, to be told at the start; None when nothing is."""
    try:
        connect(url, answer_seconds=1.0)
    except ValueError as error:
        return f"is no URL of a Redis: {error}"
    return None


def _read(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
    """The Sentinels, the master's name, and how to speak to it and to them."""
    parts = urlsplit(url)
    credentials, _, places = parts.netloc.rpartition("@")
    sentinels = []
    for place in places.split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname:
            raise ValueError("a Sentinel has no name")
        sentinels.append((one.hostname, one.port or _SENTINEL_PORT))
    name, _, database = parts.path.strip("/").partition("/")
    if not name or not (database or "0").isdecimal():
        raise ValueError("it must end with the master's name, and after it the number of the database: /name/0")
    query = dict(parse_qsl(parts.query))
    sentinel_password = query.pop("sentinel_password", None)
    scheme = parts.scheme.removesuffix(_SENTINEL)
    # In the form that redis-py reads itself, with a host that nobody asks.
    same = f"{scheme}://{credentials}@master/{database or 0}?{urlencode(query)}"
    options = parse_url(same)  # type: ignore[no-untyped-call]
    del options["host"]
    ways = {key: value for key, value in options.items() if key.startswith("ssl_")}
    if options.pop("connection_class", None) is SSLConnection:
        options["connection_class"] = SentinelManagedSSLConnection
        ways["ssl"] = True
    return sentinels, name, options, {**ways, "password": sentinel_password}
