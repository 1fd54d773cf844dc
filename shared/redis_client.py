"""A client of Redis whose commands have spans."""

from typing import Any

import redis

from shared import tracing


class Redis(redis.Redis):
    """redis-py's own; for everything that is asked while a request waits."""

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Send a command and give its answer. Raises redis.RedisError."""
        with tracing.redis(str(arguments[0])):
            return super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]


def connect(url: str, seconds: float) -> Redis:
    """A client that waits so long for a connection and for an answer; nothing is connected to before it is used."""
    client: Redis = Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds)  # type: ignore[assignment]
    return client
