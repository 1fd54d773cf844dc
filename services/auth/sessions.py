"""The life of a session: opened by a sign-in, carried on by refreshes, ended once and for all."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from services.auth.errors import (
    AccountDisabled,
    InvalidRefreshToken,
    RefreshTokenExpired,
    RefreshTokenReused,
    SessionEnded,
    SessionNotFound,
)
from services.auth.models import Account, SessionRow
from services.auth.refresh_tokens import PresentedToken
from services.auth.settings import Settings
from shared.errors import ApiError

SECRET_BYTES = 32

Scope = Literal["this", "others", "all"]


@dataclass(frozen=True)
class Device:
    """Where somebody signs in: Android, iOS or Web, and the push token if the person allows push."""

    device_type: str
    notification_device_id: str | None


@dataclass(frozen=True)
class Rotation:
    """What came of a refresh: the session to issue tokens for, or the error to raise once the change is committed."""

    row: SessionRow
    error: ApiError | None = None
    ended: Sequence[uuid.UUID] = ()


def open_session(session: Session, account_id: int, device: Device, settings: Settings) -> SessionRow:
    """Sign a device in; its push token leaves the session that had it."""
    _release_push_token(session, device.notification_device_id)
    row = SessionRow(
        account_id=account_id,
        secret=secrets.token_bytes(SECRET_BYTES),
        device_type=device.device_type,
        notification_device_id=device.notification_device_id,
        absolute_expires_at=_seconds_from_now(settings.refresh_absolute_lifetime),
        idle_expires_at=_idle_expiry(settings),
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return row


def rotate(session: Session, token: PresentedToken, settings: Settings) -> Rotation:
    """Answer a refresh: the next generation, or the same one again for whoever lost the reply.

    A token of the generation before is answered with the present pair until that was confirmed and `refresh_grace`
    seconds after, at most for `refresh_unconfirmed`. Later, and for anything older, the token was stolen: the session
    ends. Raises InvalidRefreshToken, SessionEnded, RefreshTokenExpired and AccountDisabled.
    """
    known = session.get(SessionRow, token.session_id)
    if known is None:
        raise InvalidRefreshToken("unknown session")
    token.prove(known.secret, settings.refresh_token_key)
    _refuse_disabled(session, known.account_id)
    if rotated := _next_generation(session, token, settings):
        return Rotation(rotated)
    return _answer_again(session, token, settings)


def session_of(session: Session, token: PresentedToken, settings: Settings) -> SessionRow:
    """The session of a genuine refresh token, live or not. Raises InvalidRefreshToken."""
    row = session.get(SessionRow, token.session_id)
    if row is None:
        raise InvalidRefreshToken("unknown session")
    token.prove(row.secret, settings.refresh_token_key)
    return row


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
    return _end_where(session, live & chosen[scope], reason)


def end_one(session: Session, row_id: uuid.UUID, account_id: int) -> Sequence[uuid.UUID]:
    """End one of a person's own sessions. Raises SessionNotFound, also for somebody else's."""
    ended = _end_where(
        session,
        (SessionRow.id == row_id) & (SessionRow.account_id == account_id) & SessionRow.ended_at.is_(None),
        "ended_by_owner",
    )
    if not ended:
        raise SessionNotFound(str(row_id))
    return ended


def live_sessions(session: Session, account_id: int) -> Sequence[SessionRow]:
    """A person's live sessions, the most recently used first."""
    live = (SessionRow.account_id == account_id) & _is_live()
    return session.scalars(select(SessionRow).where(live).order_by(SessionRow.last_used_at.desc())).all()


def change_push_token(session: Session, row_id: uuid.UUID, push_token: str | None) -> None:
    """Give a live session another push token, taking it from whichever session had it. Raises SessionEnded."""
    _release_push_token(session, push_token)
    changed = session.execute(
        update(SessionRow)
        .where(SessionRow.id == row_id, _is_live())
        .values(notification_device_id=push_token)
        .returning(SessionRow.id)
    )
    if changed.first() is None:
        raise SessionEnded(str(row_id))


def _next_generation(session: Session, token: PresentedToken, settings: Settings) -> SessionRow | None:
    # One atomic statement: of several refreshes at once exactly one finds the generation that it asks for.
    statement = (
        update(SessionRow)
        .where(SessionRow.id == token.session_id, SessionRow.generation == token.generation, _is_live())
        .values(
            generation=SessionRow.generation + 1,
            rotated_at=func.now(),
            last_used_at=func.now(),
            confirmed_at=None,
            idle_expires_at=func.least(_idle_expiry(settings), SessionRow.absolute_expires_at),
        )
        .returning(SessionRow)
    )
    return session.scalar(statement, execution_options={"populate_existing": True})


def _answer_again(session: Session, token: PresentedToken, settings: Settings) -> Rotation:
    row = session.get_one(SessionRow, token.session_id, with_for_update=True, populate_existing=True)
    if row.ended_at is not None:
        raise SessionEnded(row.end_reason or "")
    if not session.scalar(select(_is_live()).where(SessionRow.id == row.id)):
        raise RefreshTokenExpired
    if row.generation == token.generation + 1 and session.scalar(_still_repeatable(row, settings)):
        return Rotation(row)
    ended = _end_where(session, SessionRow.id == row.id, "reuse_detected")
    return Rotation(row, RefreshTokenReused(str(row.id)), ended)


def _still_repeatable(row: SessionRow, settings: Settings) -> Any:
    unconfirmed = SessionRow.rotated_at > _seconds_from_now(-settings.refresh_unconfirmed)
    in_grace = SessionRow.confirmed_at.is_(None) | (
        SessionRow.confirmed_at > _seconds_from_now(-settings.refresh_grace)
    )
    return select(unconfirmed & in_grace).where(SessionRow.id == row.id)


def _end_where(session: Session, condition: ColumnElement[bool], reason: str) -> Sequence[uuid.UUID]:
    statement = (
        update(SessionRow)
        .where(condition)
        .values(ended_at=func.now(), end_reason=reason, notification_device_id=None)
        .returning(SessionRow.id)
    )
    return session.scalars(statement).all()


def _release_push_token(session: Session, push_token: str | None) -> None:
    if push_token is None:
        return
    # Two sign-ins with one push token at once take their turns, so that the unique index never refuses one.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(push_token, 0))))
    holders = (SessionRow.notification_device_id == push_token) & SessionRow.ended_at.is_(None)
    session.execute(update(SessionRow).where(holders).values(notification_device_id=None))


def _refuse_disabled(session: Session, account_id: int) -> None:
    if session.get_one(Account, account_id).disabled_at is not None:
        raise AccountDisabled(str(account_id))


def _is_live() -> ColumnElement[bool]:
    now = func.now()
    return SessionRow.ended_at.is_(None) & (SessionRow.idle_expires_at > now) & (SessionRow.absolute_expires_at > now)


def _idle_expiry(settings: Settings) -> ColumnElement[Any]:
    return _seconds_from_now(min(settings.refresh_idle_lifetime, settings.refresh_absolute_lifetime))


def _seconds_from_now(seconds: int) -> ColumnElement[Any]:
    # Whole seconds, so that the expiry that is announced is the one that is enforced.
    return func.date_trunc("second", func.now()) + timedelta(seconds=seconds)
