"""Knows which sessions have ended, by following auth's stream: a request costs no Redis round trip."""

import time
from typing import Any

import gevent
import redis
import structlog

from shared.redis_client import connect
from shared.streams import REFILLED, REVOCATIONS

_BLOCK_MS = 5_000
_READ_SECONDS = 8.0
_CONNECT_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_LONGEST_WAIT = 20.0
_AT_ONCE = 1000
# A read that has nothing to tell ends after _BLOCK_MS.
_STALE_SECONDS = 7.0

log = structlog.get_logger(__name__)


class RevokedSessions:
    """The ids of sessions that ended within the last `kept` seconds; older access tokens have expired anyway.

    A stream, not pub/sub, so that a reconnect misses nothing; on start it is read back over that time.
    """

    def __init__(self, redis_url: str, kept: int) -> None:
        self._redis = connect(
            redis_url, answer_seconds=_READ_SECONDS, connect_seconds=_CONNECT_SECONDS, decode_responses=True
        )
        self._kept = kept
        self._forget_at: dict[str, float] = {}
        self._position = self._beginning
        self._caught_up = False
        self._redis_is_away = False
        self._wait_until = time.monotonic() + _LONGEST_WAIT
        self._read_at = time.monotonic()

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._forget_at

    def __len__(self) -> int:
        return len(self._forget_at)

    @property
    def followed(self) -> bool:
        """Whether a session that ends now is known here within a second."""
        return self._caught_up and not self._redis_is_away and self.read_age < _STALE_SECONDS

    @property
    def read_age(self) -> float:
        """Seconds since the stream was read, or since the start when it never was."""
        return time.monotonic() - self._read_at

    @property
    def ready(self) -> bool:
        """False from the start until everything that ended is known.

        An absent Redis makes nobody wait, and an absent worker of auth nobody longer than _LONGEST_WAIT seconds: what
        ended meanwhile is known when they are back, and until then an ended session's access tokens live on.
        """
        return self._caught_up or self._redis_is_away or time.monotonic() > self._wait_until

    def start(self) -> None:
        """Follow the stream from a greenlet for as long as the process lives."""
        gevent.spawn(self._follow_for_ever)

    @property
    def _beginning(self) -> str:
        return f"{int((time.time() - self._kept) * 1000)}-0"

    def _follow_for_ever(self) -> None:
        while True:
            try:
                self._follow()
            except redis.RedisError as error:
                if not self._redis_is_away:
                    log.warning("revocations_not_followed", reason=repr(error))
                self._redis_is_away = True
                # Who answers next may be another server, which has not all entries and numbers them by its own clock.
                self._position = self._beginning
                gevent.sleep(_PAUSE_SECONDS)
            self._forget_old()

    def _follow(self) -> None:
        # Auth's worker says when the stream is complete; asked before reading, so that what it wrote is read.
        complete = self._caught_up or bool(self._redis.exists(REFILLED))
        block = _BLOCK_MS if self._caught_up else None
        there_is_more = self._take(self._redis.xread({REVOCATIONS: self._position}, block=block, count=_AT_ONCE))
        self._redis_is_away = False
        self._read_at = time.monotonic()
        if there_is_more:
            return
        if complete:
            self._caught_up = True
        else:
            gevent.sleep(_PAUSE_SECONDS)

    def _take(self, answer: Any) -> bool:
        """Remember what was read; whether there may be more."""
        number = 0
        for _stream, entries in answer or ():
            number += len(entries)
            for position, fields in entries:
                self._position = position
                ended_at = int(position.partition("-")[0]) / 1000
                if session_id := fields.get("sid"):
                    self._forget_at[session_id] = ended_at + self._kept
        return number >= _AT_ONCE

    def _forget_old(self) -> None:
        now = time.time()
        for session_id in [session_id for session_id, until in self._forget_at.items() if until < now]:
            del self._forget_at[session_id]
