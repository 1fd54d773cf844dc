"""Tells every gateway worker that a session has ended, through a Redis stream that they follow."""

import time
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

import redis
import structlog
from sqlalchemy import func, select

from services.auth.models import SessionRow
from shared import redis_client
from shared.database import Database
from shared.streams import REFILLED, REVOCATIONS

REDIS_SECONDS = 0.5
# How long a transaction that ends a session may stay uncommitted and still be seen by the worker.
_OVERLAP = timedelta(seconds=10)

log = structlog.get_logger(__name__)


def connect(redis_url: str) -> redis.Redis:
    """A client with short deadlines; nothing is connected to before it is used."""
    return redis_client.connect(redis_url, REDIS_SECONDS)


class Revocations:
    """The stream of ended sessions. An entry is of use for `lifetime` seconds, an access token's; older ones go."""

    def __init__(self, client: redis.Redis, lifetime: int) -> None:
        self._redis = client
        self._lifetime = lifetime

    def publish(self, session_ids: Iterable[uuid.UUID]) -> None:
        """Announce ended sessions at once; when Redis is away, the worker does it when it is back."""
        try:
            self.write(session_ids)
        except redis.RedisError as error:
            log.warning("revocation_delayed", reason=repr(error))

    def write(self, session_ids: Iterable[uuid.UUID]) -> None:
        """Announce ended sessions. Raises redis.RedisError."""
        oldest = int((time.time() - self._lifetime) * 1000)
        for session_id in session_ids:
            self._redis.xadd(REVOCATIONS, {"sid": str(session_id)}, minid=oldest, approximate=True)

    @property
    def refilled(self) -> bool:
        """Whether the stream holds everything. Raises redis.RedisError."""
        return bool(self._redis.exists(REFILLED))

    def mark_refilled(self) -> None:
        """Say that the stream holds everything. Raises redis.RedisError."""
        self._redis.set(REFILLED, int(time.time()))


class RevocationRepeater:
    """Writes every ended session to the stream once more, as SQL knows them, and all of them when Redis was emptied.

    So nothing is lost when Redis was away, or auth died, between the commit and the announcement.
    """

    def __init__(self, database: Database, revocations: Revocations, lifetime: int) -> None:
        self._database = database
        self._revocations = revocations
        self._lifetime = timedelta(seconds=lifetime)
        self._known: dict[uuid.UUID, datetime] = {}

    def repeat(self) -> int:
        """Announce what has ended and is not known to be in the stream. Raises redis.RedisError and Unavailable."""
        refilled = self._revocations.refilled
        if not refilled:
            self._known.clear()
        since = max(self._known.values()) - _OVERLAP if self._known else None
        with self._database.transaction() as session:
            oldest = func.now() - self._lifetime
            statement = select(SessionRow.id, SessionRow.ended_at).where(SessionRow.ended_at > (since or oldest))
            ended = {row_id: ended_at for row_id, ended_at in session.execute(statement) if ended_at is not None}
        new = ended.keys() - self._known.keys()
        self._revocations.write(new)
        if not refilled:
            self._revocations.mark_refilled()
        # What is older than the overlap is not read again.
        self._known = ended or self._known
        return len(new)
