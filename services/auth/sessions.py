"""The life of a session: opened by a sign-in, ended once and for all."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Integer, Interval, bindparam, func, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from services.auth import audit
from services.auth.devices import Device, SessionEnd, among_ids, in_order, is_live, take_push_token, tell_previous_end
from services.auth.errors import SessionEnded, SessionNotFound
from services.auth.models import SessionRow
from services.auth.settings import Settings
from shared.database import Statement

SECRET_BYTES = 32

Scope = Literal["this", "others", "all"]


class Standing(NamedTuple):
    """Where a session stands: what its pair of tokens is made of."""

    id: uuid.UUID
    account_id: int
    generation: int
    secret: bytes
    idle_expires_at: datetime


# The columns of a Standing, in its order.
STANDING = (
    SessionRow.id,
    SessionRow.account_id,
    SessionRow.generation,
    SessionRow.secret,
    SessionRow.idle_expires_at,
)


@dataclass(frozen=True)
class Opened:
    """A new session, the ids of those that had to go for it, and how this device's last one ended."""

    row: Standing
    ended: Sequence[uuid.UUID]
    previous_end: SessionEnd | None


def open_session(session: Session, account_id: int, device: Device, settings: Settings) -> Opened:
    """Sign a device in.

    The account is new, or locked by `accounts.lock`. The push token leaves the session that had it. A person has at
    most `sessions_per_person` sessions: the one that was idle longest goes.
    """
    kept = settings.sessions_per_person - 1
    surplus = [session_id for (session_id,) in _SURPLUS.run(session, {"person": account_id, "kept": kept})]
    take_push_token(session, device.notification_device_id, surplus)
    ended = _end(session, _END_SURPLUS, "limit", surplus=surplus) if surplus else ()
    # What expired a moment ago is told now, and not when the clean-up has come by. From here on sessions are taken in
    # no order, which is right because nobody is waited for.
    _expire(session, _EXPIRE, person=account_id)
    previous_end = tell_previous_end(session, account_id, device)
    values = {
        "person": account_id,
        "new_secret": secrets.token_bytes(SECRET_BYTES),
        "type": device.device_type,
        "push_token": device.notification_device_id,
        "push_token_digest": device.push_token_hash,
        "absolute": timedelta(seconds=settings.refresh_absolute_lifetime),
        "idle": idle_lifetime(settings),
    }
    [row] = _OPEN.run(session, values)
    return Opened(Standing._make(row), ended, previous_end)


def end(session: Session, row_id: uuid.UUID, account_id: int, scope: Scope, reason: str) -> Sequence[uuid.UUID]:
    """End this session, the person's others, or all; the ids of those that were live until now.

    An ended session has no say over others any more (SessionEnded), but what is so already may be asked for again.
    """
    own = session.scalar(select(SessionRow).where(SessionRow.id == row_id, SessionRow.account_id == account_id))
    if own is None:
        raise SessionEnded("the session is gone")
    live = (SessionRow.account_id == account_id) & SessionRow.ended_at.is_(None)
    if scope != "this" and own.ended_at is not None and session.scalar(select(func.count()).where(live)):
        raise SessionEnded("an ended session can't end others")
    chosen = {"this": SessionRow.id == row_id, "others": SessionRow.id != row_id, "all": SessionRow.id.is_not(None)}
    ended = end_where(session, live & chosen[scope], reason)
    if ended:
        audit.record(session, "logout", account_id=account_id, session_id=row_id, scope=scope)
    return ended


def end_one(session: Session, row_id: uuid.UUID, account_id: int) -> Sequence[uuid.UUID]:
    """End one of a person's own sessions. Raises SessionNotFound, also for somebody else's."""
    own = (SessionRow.id == row_id) & (SessionRow.account_id == account_id)
    ended = end_where(session, own, "ended_by_owner")
    if not ended:
        raise SessionNotFound(str(row_id))
    return ended


def end_where(session: Session, condition: ColumnElement[bool], reason: str) -> Sequence[uuid.UUID]:
    """End all sessions that meet a condition and had not ended; their ids."""
    return _end(session, Statement(_ending(condition)), reason)


def end_expired(session: Session, among: ColumnElement[bool]) -> None:
    """End those of some sessions that have expired, except for what somebody holds just now."""
    _expire(session, Statement(_expiring(among)))


def live_sessions(session: Session, account_id: int) -> Sequence[SessionRow]:
    """A person's live sessions, the most recently used first."""
    live = (SessionRow.account_id == account_id) & is_live()
    return session.scalars(select(SessionRow).where(live).order_by(SessionRow.last_used_at.desc())).all()


def idle_lifetime(settings: Settings) -> timedelta:
    """How long after its last use a session expires."""
    return timedelta(seconds=min(settings.refresh_idle_lifetime, settings.refresh_absolute_lifetime))


def whole_second() -> ColumnElement[Any]:
    """The database's clock without fractions, so that the expiry that is announced is the one that is enforced."""
    return func.date_trunc("second", func.now())


def _ending(condition: ColumnElement[bool]) -> ReturningUpdate[uuid.UUID, int]:
    return (
        update(SessionRow)
        .where(SessionRow.id.in_(in_order(condition)))
        .values(ended_at=func.now(), end_reason=bindparam("reason"), notification_device_id=None)
        .returning(SessionRow.id, SessionRow.account_id)
    )


def _end(session: Session, ending: Statement, reason: str, **values: Any) -> Sequence[uuid.UUID]:
    ended = ending.run(session, {"reason": reason, **values}).fetchall()
    for session_id, account_id in ended:
        audit.record(session, "session_ended", account_id=account_id, session_id=session_id, reason=reason)
    return [session_id for session_id, _ in ended]


def _expiring(among: ColumnElement[bool]) -> ReturningUpdate[uuid.UUID, int]:
    expired = among & SessionRow.ended_at.is_(None) & (SessionRow.idle_expires_at <= func.now())
    free = select(SessionRow.id).where(expired).with_for_update(skip_locked=True)
    return (
        update(SessionRow)
        .where(SessionRow.id.in_(free))
        # It ended when it expired, whenever that is noticed. Its access tokens have expired too, so nobody is told.
        .values(ended_at=SessionRow.idle_expires_at, end_reason="expired", notification_device_id=None)
        .returning(SessionRow.id, SessionRow.account_id)
    )


def _expire(session: Session, expiring: Statement, **values: int) -> None:
    for session_id, account_id in expiring.run(session, values):
        audit.record(session, "session_ended", account_id=account_id, session_id=session_id, reason="expired")


_OPEN = Statement(
    insert(SessionRow)
    .values(
        account_id=bindparam("person"),
        secret=bindparam("new_secret"),
        device_type=bindparam("type"),
        notification_device_id=bindparam("push_token"),
        push_token_hash=bindparam("push_token_digest"),
        absolute_expires_at=whole_second() + bindparam("absolute", type_=Interval),
        idle_expires_at=whole_second() + bindparam("idle", type_=Interval),
    )
    .returning(*STANDING)
)
_EXPIRE = Statement(_expiring(SessionRow.account_id == bindparam("person")))
_SURPLUS = Statement(
    select(SessionRow.id)
    .where(SessionRow.account_id == bindparam("person"), is_live())
    .order_by(SessionRow.last_used_at.desc())
    .offset(bindparam("kept", type_=Integer))
)
_END_SURPLUS = Statement(_ending(among_ids("surplus")))
