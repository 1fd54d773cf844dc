"""Tells auth, through a Redis stream, that a session's new access token has arrived on the phone and is in use."""

import gevent
import redis
import structlog

from shared.access_tokens import Person
from shared.redis_client import connect
from shared.streams import CONFIRMATIONS

_PAUSE_SECONDS = 0.2
_REDIS_SECONDS = 1.0
_MAX_WAITING = 10_000
_MAX_STREAM = 100_000

log = structlog.get_logger(__name__)


class Confirmations:
    """Sessions whose newest generation was seen for the first time, written to the stream a few times a second.

    What can't be written is kept until it can, up to 10,000 sessions; a confirmation that is lost only means that a
    spent refresh token is taken for a lost reply for longer.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url, answer_seconds=_REDIS_SECONDS)
        self._waiting: dict[str, int] = {}
        self._delayed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def saw(self, person: Person) -> None:
        """Remember a token that was seen for the first time; the tokens of a sign-in replace none and tell nothing."""
        if person.generation > 0 and len(self._waiting) < _MAX_WAITING:
            self._waiting[person.session_id] = max(person.generation, self._waiting.get(person.session_id, 0))

    def start(self) -> None:
        """Write from a greenlet for as long as the process lives."""
        gevent.spawn(self._write_for_ever)

    def _write_for_ever(self) -> None:
        while True:
            gevent.sleep(_PAUSE_SECONDS)
            try:
                self._write()
                self._delayed = False
            except redis.RedisError as error:
                if not self._delayed:
                    log.warning("confirmations_delayed", waiting=len(self._waiting), reason=repr(error))
                self._delayed = True

    def _write(self) -> None:
        while self._waiting:
            session_id, generation = next(iter(self._waiting.items()))
            entry: dict[str | bytes, str] = {"sid": session_id, "gen": str(generation)}
            self._redis.xadd(CONFIRMATIONS, entry, maxlen=_MAX_STREAM, approximate=True)  # type: ignore[arg-type]
            if self._waiting.get(session_id) == generation:
                del self._waiting[session_id]
