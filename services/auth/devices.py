"""Devices and their push tokens: one token belongs to one session, and goes when the session does."""

import hashlib
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, any_, bindparam, func, select, update
from sqlalchemy.orm import Session

from services.auth import audit
from services.auth.errors import SessionEnded
from services.auth.models import SessionRow
from shared.database import Statement


@dataclass(frozen=True)
class Device:
    """Where somebody signs in: Android, iOS or Web, and the push token if the person allows push."""

    device_type: str
    notification_device_id: str | None

    @property
    def push_token_hash(self) -> bytes | None:
        """What remains of a push token in an ended session: enough to know the device again, not to write to it."""
        return _hash(self.notification_device_id)


@dataclass(frozen=True)
class SessionEnd:
    """Why and when a session ended."""

    reason: str
    ended_at: datetime


def is_live() -> ColumnElement[bool]:
    """The condition that a session can still be used, by the database's clock."""
    now = func.now()
    return SessionRow.ended_at.is_(None) & (SessionRow.idle_expires_at > now) & (SessionRow.absolute_expires_at > now)


def in_order(among: ColumnElement[bool]) -> Select[uuid.UUID]:
    """Hold those of some sessions that have not ended; their ids.

    Whoever needs several sessions takes them in this one order, so that no two wait for each other.
    """
    held = select(SessionRow.id).where(among, SessionRow.ended_at.is_(None))
    return held.order_by(SessionRow.id).with_for_update(key_share=True)


def among_ids(name: str) -> ColumnElement[bool]:
    """The condition that a session is one of those whose ids are the parameter `name`."""
    return SessionRow.id == any_(bindparam(name, type_=ARRAY(Uuid)))


_LOCK_PUSH_TOKEN = Statement(select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("push_token"), 0))))
_HOLD = Statement(in_order(among_ids("those") | (SessionRow.notification_device_id == bindparam("push_token"))))
_FREE_PUSH_TOKEN = Statement(
    update(SessionRow)
    .where(SessionRow.notification_device_id == bindparam("push_token"), SessionRow.ended_at.is_(None))
    .values(notification_device_id=None, push_token_hash=None)
)
_UNTOLD = (
    select(SessionRow.id)
    .where(
        SessionRow.account_id == bindparam("person"),
        SessionRow.ended_at.is_not(None),
        SessionRow.end_told_at.is_(None),
        SessionRow.push_token_hash.is_not_distinct_from(bindparam("known_hash")),
        SessionRow.push_token_hash.is_not(None) | (SessionRow.device_type == bindparam("type")),
    )
    # Whoever came too late to end one may hold it, and wait for a session that this sign-in holds.
    .with_for_update(key_share=True, skip_locked=True)
)
_TELL_PREVIOUS_END = Statement(
    update(SessionRow)
    .where(SessionRow.id.in_(_UNTOLD))
    .values(end_told_at=func.now())
    .returning(SessionRow.ended_at, SessionRow.end_reason)
)


def take_push_token(session: Session, push_token: str | None, besides: Sequence[uuid.UUID]) -> None:
    """Free a push token for the session that is about to have it, whosesoever it was.

    `besides` are the sessions that will be changed, too, and are held from here on.
    """
    if push_token is None:
        return
    # Two sign-ins with one push token at once take their turns, so that the unique index never refuses one.
    _LOCK_PUSH_TOKEN.run(session, {"push_token": push_token})
    if besides:
        _HOLD.run(session, {"push_token": push_token, "those": besides})
    _FREE_PUSH_TOKEN.run(session, {"push_token": push_token})


def change_push_token(session: Session, row_id: uuid.UUID, push_token: str | None) -> None:
    """Give a live session another push token, taking it from whichever session had it. Raises SessionEnded."""
    own = (SessionRow.id == row_id) & is_live()
    # Apps tell it at every start, and somebody could for ever: what changes nothing is no event.
    if session.execute(select(SessionRow.notification_device_id).where(own)).first() == (push_token,):
        return
    take_push_token(session, push_token, [row_id])
    changed = session.execute(
        update(SessionRow)
        .where(own)
        .values(notification_device_id=push_token, push_token_hash=_hash(push_token))
        .returning(SessionRow.account_id)
    ).scalar()
    if changed is None:
        raise SessionEnded(str(row_id))
    audit.record(session, "push_token_changed", account_id=changed, session_id=row_id)


def push_targets(session: Session, account_id: int) -> Sequence[SessionRow]:
    """The live sessions of a person that have a push token."""
    wanted = (SessionRow.account_id == account_id) & is_live() & SessionRow.notification_device_id.is_not(None)
    return session.scalars(select(SessionRow).where(wanted).order_by(SessionRow.id)).all()


def forget_push_tokens(session: Session, push_tokens: Collection[str]) -> int:
    """Drop push tokens that the push provider no longer knows; how many sessions had one. The sessions live on."""
    statement = (
        update(SessionRow)
        .where(SessionRow.id.in_(in_order(SessionRow.notification_device_id.in_(push_tokens))))
        .values(notification_device_id=None, push_token_hash=None)
        .returning(SessionRow.id)
    )
    return len(session.scalars(statement).all())


def tell_previous_end(session: Session, account_id: int, device: Device) -> SessionEnd | None:
    """Why the last session of this person on this device ended, told once; None when there is nothing to tell.

    The device is known by its push token. Without one, it is any device of the same type without one.
    """
    values = {"person": account_id, "known_hash": device.push_token_hash, "type": device.device_type}
    told = _TELL_PREVIOUS_END.run(session, values)
    ends = [SessionEnd(reason, ended_at) for ended_at, reason in told if ended_at and reason]
    return max(ends, key=lambda end: end.ended_at, default=None)


def _hash(push_token: str | None) -> bytes | None:
    return hashlib.sha256(push_token.encode()).digest() if push_token is not None else None
