"""Ends what has expired and deletes what is old: from time to time, a little at once, and nobody waits for it.

Every batch is a transaction of its own that takes only rows that nobody else holds, so several workers may do it at
the same time.
"""

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.auth import key_rotation, sessions, worker_figures
from services.auth.models import AuditEvent, BrakeRow, OutboxEntry, SessionRow, SignupKey
from services.auth.settings import DAY, Settings
from services.auth.tokens import SERVICE_TOKEN_LIFETIME
from shared.database import Database

_OUTBOX_RETENTION = 7 * DAY
_BATCH = 500
# How many sessions are looked at in one statement, along the primary key. An index on the expiry would be found sooner,
# and would have to be written at every refresh.
_STRIDE = 5_000
_BEFORE_ALL = uuid.UUID(int=0)

log = structlog.get_logger(__name__)


class CleanUp:
    """A round of the clean-up every `clean_up_interval` seconds."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._next_round = 0.0
        self._position = _BEFORE_ALL

    def run(self) -> int:
        """One batch of everything, unless it is too early; how many rows it found to do. Raises Unavailable."""
        if time.monotonic() < self._next_round:
            return 0
        done = {step.__name__.strip("_"): self._do(step) for step in self._steps()}
        if not any(done.values()):
            self._next_round = time.monotonic() + self._settings.clean_up_interval
            worker_figures.count_sessions(self._database)
        log.debug("cleaned_up", **done)
        return sum(done.values())

    def _steps(self) -> tuple[Callable[[Session], int], ...]:
        return (
            self._expire_sessions,
            self._retire_spent_keys,
            self._delete_ended_sessions,
            self._delete_delivered,
            self._delete_signup_keys,
            self._delete_audit_events,
            self._delete_forgotten_brakes,
        )

    def _do(self, step: Callable[[Session], int]) -> int:
        with self._database.transaction() as session:
            return step(session)

    def _expire_sessions(self, session: Session) -> int:
        """One stride along the sessions; how many it passed, 0 at the end, from where it begins anew."""
        passed = session.scalars(
            select(SessionRow.id).where(SessionRow.id > self._position).order_by(SessionRow.id).limit(_STRIDE)
        ).all()
        if not passed:
            self._position = _BEFORE_ALL
            return 0
        sessions.end_expired(session, SessionRow.id.between(passed[0], passed[-1]))
        self._position = passed[-1]
        return len(passed)

    def _retire_spent_keys(self, session: Session) -> int:
        longest = max(self._settings.access_token_lifetime, SERVICE_TOKEN_LIFETIME)
        return len(key_rotation.retire_spent(session, longest))

    def _delete_ended_sessions(self, session: Session) -> int:
        return _delete_older(session, SessionRow.id, SessionRow.ended_at, self._settings.session_retention)

    def _delete_delivered(self, session: Session) -> int:
        return _delete_older(session, OutboxEntry.id, OutboxEntry.delivered_at, _OUTBOX_RETENTION)

    def _delete_signup_keys(self, session: Session) -> int:
        return _delete_older(session, SignupKey.key, SignupKey.created_at, self._settings.idempotency_lifetime)

    def _delete_audit_events(self, session: Session) -> int:
        return _delete_older(session, AuditEvent.id, AuditEvent.at, self._settings.audit_retention)

    def _delete_forgotten_brakes(self, session: Session) -> int:
        """What was counted while Redis was away, when nothing is counted there any more and so nothing swept."""
        return _delete_older(session, BrakeRow.key, BrakeRow.forgotten_at, 0)


def _delete_older(
    session: Session, key: InstrumentedAttribute[Any], moment: InstrumentedAttribute[Any], seconds: int
) -> int:
    old = moment < func.now() - timedelta(seconds=seconds)
    batch = select(key).where(old).order_by(moment).limit(_BATCH).with_for_update(skip_locked=True)
    statement = delete(key.class_).where(key.in_(batch)).returning(key)
    return len(session.scalars(statement, execution_options={"synchronize_session": False}).all())
