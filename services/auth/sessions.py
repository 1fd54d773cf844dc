"""The life of a session: opened by a sign-in, ended once and for all."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from services.auth import audit
from services.auth.devices import Device, SessionEnd, is_live, take_push_token, tell_previous_end
from services.auth.errors import AccountDisabled, SessionEnded, SessionNotFound
from services.auth.models import Account, SessionRow
from services.auth.settings import Settings

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

    row: SessionRow
    ended: Sequence[uuid.UUID]
    previous_end: SessionEnd | None


def open_session(session: Session, account_id: int, device: Device, settings: Settings) -> Opened:
    """Sign a device in.

    Its push token leaves the session that had it. A person has at most `sessions_per_person` sessions: the one that was
    idle longest goes. Raises AccountDisabled.
    """
    # Sign-ins of one person take their turns, so that the limit holds, and none slips in while the account is disabled.
    account = session.get_one(Account, account_id, with_for_update={"key_share": True})
    if account.disabled_at is not None:
        raise AccountDisabled(str(account_id))
    # What expired a moment ago is told now, and not when the clean-up has come by.
    end_expired(session, SessionRow.account_id == account_id)
    take_push_token(session, device.notification_device_id)
    ended = _make_room(session, account_id, settings.sessions_per_person)
    previous_end = tell_previous_end(session, account_id, device)
    row = SessionRow(
        account_id=account_id,
        secret=secrets.token_bytes(SECRET_BYTES),
        device_type=device.device_type,
        notification_device_id=device.notification_device_id,
        push_token_hash=device.push_token_hash,
        absolute_expires_at=whole_second() + timedelta(seconds=settings.refresh_absolute_lifetime),
        idle_expires_at=whole_second() + idle_lifetime(settings),
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return Opened(row, ended, previous_end)


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
    statement = (
        update(SessionRow)
        .where(condition & SessionRow.ended_at.is_(None))
        .values(ended_at=func.now(), end_reason=reason, notification_device_id=None)
        .returning(SessionRow.id, SessionRow.account_id)
    )
    ended = session.execute(statement).all()
    for session_id, account_id in ended:
        audit.record(session, "session_ended", account_id=account_id, session_id=session_id, reason=reason)
    return [session_id for session_id, _ in ended]


def end_expired(session: Session, among: ColumnElement[bool]) -> None:
    """End those of some sessions that have expired, except for what somebody holds just now."""
    expired = among & SessionRow.ended_at.is_(None) & (SessionRow.idle_expires_at <= func.now())
    free = select(SessionRow.id).where(expired).with_for_update(skip_locked=True)
    statement = (
        update(SessionRow)
        .where(SessionRow.id.in_(free))
        # It ended when it expired, whenever that is noticed. Its access tokens have expired too, so nobody is told.
        .values(ended_at=SessionRow.idle_expires_at, end_reason="expired", notification_device_id=None)
        .returning(SessionRow.id, SessionRow.account_id)
    )
    for session_id, account_id in session.execute(statement, execution_options={"synchronize_session": False}):
        audit.record(session, "session_ended", account_id=account_id, session_id=session_id, reason="expired")


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


def _make_room(session: Session, account_id: int, most: int) -> Sequence[uuid.UUID]:
    live = (SessionRow.account_id == account_id) & is_live()
    surplus = select(SessionRow.id).where(live).order_by(SessionRow.last_used_at.desc()).offset(most - 1)
    return end_where(session, SessionRow.id.in_(surplus), "limit")
