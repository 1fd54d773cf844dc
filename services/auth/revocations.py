"""Tells every gateway worker that a session has ended, through a Redis stream that they follow."""

import time
import uuid
from collections.abc import Sequence

import redis
import structlog

STREAM = "latchkey:revocations"
_REDIS_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Revocations:
    """The stream of ended sessions. An entry is of use for `access_token_lifetime` seconds; older ones are trimmed."""

    def __init__(self, redis_url: str, access_token_lifetime: int) -> None:
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        )
        self._lifetime = access_token_lifetime

    def publish(self, session_ids: Sequence[uuid.UUID]) -> None:
        """Announce ended sessions. Without Redis their access tokens live until they expire, and the log says so."""
        oldest = int((time.time() - self._lifetime) * 1000)
        try:
            for session_id in session_ids:
                self._redis.xadd(STREAM, {"sid": str(session_id)}, minid=oldest, approximate=True)
        except redis.RedisError as error:
            log.error("revocation_not_published", sessions=len(session_ids), reason=repr(error))
