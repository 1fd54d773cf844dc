"""Knows which sessions have ended, by following auth's stream: a request costs no Redis round trip."""

import time
from typing import Any

import gevent
import redis
import structlog

STREAM = "latchkey:revocations"
_BLOCK_MS = 5_000
_READ_SECONDS = 8.0
_CONNECT_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5

log = structlog.get_logger(__name__)


class RevokedSessions:
    """The ids of sessions that ended within the last `lifetime` seconds; older access tokens have expired anyway.

    A stream, not pub/sub, so that a reconnect misses nothing; on start it is read back over one lifetime.
    """

    def __init__(self, redis_url: str, lifetime: int) -> None:
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=_READ_SECONDS, socket_connect_timeout=_CONNECT_SECONDS, decode_responses=True
        )
        self._lifetime = lifetime
        self._forget_at: dict[str, float] = {}
        self._position = f"{int((time.time() - lifetime) * 1000)}-0"

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._forget_at

    def start(self) -> None:
        """Follow the stream from a greenlet for as long as the process lives."""
        gevent.spawn(self._follow_for_ever)

    def _follow_for_ever(self) -> None:
        while True:
            try:
                self._take(self._redis.xread({STREAM: self._position}, block=_BLOCK_MS, count=1000))
            except redis.RedisError as error:
                log.warning("revocations_not_followed", reason=repr(error))
                gevent.sleep(_RECONNECT_SECONDS)
            self._forget_old()

    def _take(self, answer: Any) -> None:
        for _stream, entries in answer or ():
            for position, fields in entries:
                self._position = position
                ended_at = int(position.partition("-")[0]) / 1000
                self._forget_at[fields["sid"]] = ended_at + self._lifetime

    def _forget_old(self) -> None:
        now = time.time()
        for session_id in [session_id for session_id, until in self._forget_at.items() if until < now]:
            del self._forget_at[session_id]
