"""Takes the gateway's word that a session's new access token is in use, which ends the time of lost replies for it."""

import uuid
from typing import Any

import redis
from sqlalchemy import text

from services.auth import rotation
from shared.database import Database
from shared.streams import CONFIRMATIONS

_GROUP = "auth"
_CONSUMER = "worker"
_BATCH = 500
# A batch holds hundreds of rows while it waits for one, and requests wait for those; so it soon gives way.
_GIVE_WAY = text("SET LOCAL lock_timeout = '500ms'")


class Confirmations:
    """The stream of sessions whose newest generation was seen at a gateway.

    Read by a consumer group, so that a batch that was not finished is read again after a crash. Confirming twice
    changes nothing.
    """

    def __init__(self, database: Database, client: redis.Redis) -> None:
        self._database = database
        self._redis = client
        # First what was taken and not finished before a restart ("0"), then what is new (">").
        self._position = "0"

    def take(self) -> int:
        """Confirm a batch; how many there were. Raises redis.RedisError and Unavailable."""
        entries = self._read()
        # Until a batch is acknowledged it is what is read next, so that a failure in between loses nothing.
        self._position = "0" if entries else ">"
        seen = sorted({one for _, fields in entries if (one := _readable(fields))})
        if seen:
            self._confirm(seen)
        if identities := [identity for identity, _ in entries]:
            self._redis.xack(CONFIRMATIONS, _GROUP, *identities)
            self._redis.xdel(CONFIRMATIONS, *identities)
        return len(entries)

    def _confirm(self, seen: list[tuple[uuid.UUID, int]]) -> None:
        with self._database.transaction() as session:
            session.execute(_GIVE_WAY)
            for session_id, generation in seen:
                rotation.confirm(session, session_id, generation)

    def _read(self) -> Any:
        try:
            answer: Any = self._redis.xreadgroup(_GROUP, _CONSUMER, {CONFIRMATIONS: self._position}, count=_BATCH)
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self._redis.xgroup_create(CONFIRMATIONS, _GROUP, id="0", mkstream=True)
            return []
        return answer[0][1] if answer else []


def _readable(fields: dict[bytes, bytes] | None) -> tuple[uuid.UUID, int] | None:
    """A session id and its generation; None for an entry that was trimmed meanwhile, or that is not ours."""
    try:
        return (uuid.UUID(fields[b"sid"].decode()), int(fields[b"gen"])) if fields else None
    except (KeyError, ValueError):
        return None
