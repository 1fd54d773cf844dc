"""Tells every gateway worker that a session has ended, through a Redis stream that they follow."""

import time
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import redis
import structlog
from sqlalchemy import func, select

from services.auth.models import SessionRow
from shared.database import Database
from shared.streams import REFILLED, REVOCATIONS

REDIS_SECONDS = 0.5
# How long a transaction that ends a session may stay uncommitted and still be seen by the worker.
_OVERLAP = timedelta(seconds=10)

log = structlog.get_logger(__name__)


class Revocations:
    """The stream of ended sessions. An entry is of use for `kept` seconds; older ones go."""

    def __init__(self, client: redis.Redis, kept: int) -> None:
        self._redis = client
        self._kept = kept

    def publish(self, session_ids: Iterable[uuid.UUID]) -> None:
        """Announce ended sessions at once; when Redis is away, the worker does it when it is back."""
        try:
            self.write(session_ids)
        except redis.RedisError as error:
            log.warning("revocation_delayed", reason=repr(error))

    def write(self, session_ids: Iterable[uuid.UUID]) -> Any:
        """Announce ended sessions; the place of the last one in the stream. Raises redis.RedisError."""
        oldest = int((time.time() - self._kept) * 1000)
        place = None
        for session_id in session_ids:
            place = self._redis.xadd(REVOCATIONS, {"sid": str(session_id)}, minid=oldest, approximate=True)
        return place

    def holds(self, place: Any) -> bool:
        """Whether what was written at a place is still there. Raises redis.RedisError."""
        return bool(self._redis.xrange(REVOCATIONS, place, place))

    @property
    def refilled(self) -> bool:
        """Whether the stream holds everything. Raises redis.RedisError."""
        return bool(self._redis.exists(REFILLED))

    def mark_refilled(self) -> None:
        """Say that the stream holds everything. Raises redis.RedisError."""
        self._redis.set(REFILLED, int(time.time()))


class RevocationRepeater:
    """Writes every ended session to the stream once more, as SQL knows them, and all of them when Redis lost some.

    So nothing is lost when Redis was away, or auth died, between the commit and the announcement; nor when Redis was
    emptied, or a replica took over that had not got the newest entries: the last one from here is missing then.
    """

    def __init__(self, database: Database, revocations: Revocations, kept: int) -> None:
        self._database = database
        self._revocations = revocations
        self._kept = timedelta(seconds=kept)
        self._known: dict[uuid.UUID, datetime] = {}
        self._newest: Any = None

    def repeat(self) -> int:
        """Announce what has ended and is not known to be in the stream. Raises redis.RedisError and Unavailable."""
        refilled = self._revocations.refilled
        if not refilled or (self._newest and not self._revocations.holds(self._newest)):
            self._known.clear()
            self._newest = None
        since = max(self._known.values()) - _OVERLAP if self._known else None
        with self._database.transaction() as session:
            oldest = func.now() - self._kept
            statement = select(SessionRow.id, SessionRow.ended_at).where(SessionRow.ended_at > (since or oldest))
            ended = {row_id: ended_at for row_id, ended_at in session.execute(statement) if ended_at is not None}
        new = ended.keys() - self._known.keys()
        self._newest = self._revocations.write(new) or self._newest
        if not refilled:
            self._revocations.mark_refilled()
        # What is older than the overlap is not read again.
        self._known = ended or self._known
        return len(new)
