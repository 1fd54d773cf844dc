"""Refreshes: the next pair of tokens, or the same one again for whoever lost the reply."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from services.auth import audit, sessions
from services.auth.devices import is_live
from services.auth.errors import (
    AccountDisabled,
    InvalidRefreshToken,
    RefreshTokenExpired,
    RefreshTokenReused,
    SessionEnded,
)
from services.auth.models import Account, SessionRow
from services.auth.refresh_tokens import PresentedToken
from services.auth.sessions import idle_expiry
from services.auth.settings import Settings
from shared.errors import ApiError


@dataclass(frozen=True)
class Rotation:
    """What came of a refresh: the session to issue tokens for, or the error to raise once the change is committed."""

    row: SessionRow
    error: ApiError | None = None
    ended: Sequence[uuid.UUID] = ()


def rotate(session: Session, token: PresentedToken, settings: Settings) -> Rotation:
    """Answer a refresh.

    A token of the generation before is answered with the present pair until that was confirmed and `refresh_grace`
    seconds after, at most for `refresh_unconfirmed`. Later, and for anything older, the token was stolen: the session
    ends. Raises InvalidRefreshToken, SessionEnded, RefreshTokenExpired and AccountDisabled.
    """
    known = session_of(session, token, settings)
    if session.get_one(Account, known.account_id).disabled_at is not None:
        raise AccountDisabled(str(known.account_id))
    if rotated := _next_generation(session, token, settings):
        return Rotation(rotated)
    return _answer_again(session, token, settings)


def confirm(session: Session, session_id: uuid.UUID, generation: int) -> None:
    """Remember that the newest pair of a session is in use; for an older generation, or again, nothing changes."""
    session.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.generation == generation, SessionRow.confirmed_at.is_(None))
        .values(confirmed_at=func.now())
    )


def session_of(session: Session, token: PresentedToken, settings: Settings) -> SessionRow:
    """The session of a genuine refresh token, live or not. Raises InvalidRefreshToken."""
    row = session.get(SessionRow, token.session_id)
    if row is None:
        raise InvalidRefreshToken("unknown session")
    token.prove(row.secret, settings.refresh_token_key)
    return row


def _next_generation(session: Session, token: PresentedToken, settings: Settings) -> SessionRow | None:
    # One atomic statement: of several refreshes at once exactly one finds the generation that it asks for.
    statement = (
        update(SessionRow)
        .where(SessionRow.id == token.session_id, SessionRow.generation == token.generation, is_live())
        .values(
            generation=SessionRow.generation + 1,
            rotated_at=func.now(),
            last_used_at=func.now(),
            confirmed_at=None,
            idle_expires_at=func.least(idle_expiry(settings), SessionRow.absolute_expires_at),
        )
        .returning(SessionRow)
    )
    return session.scalar(statement, execution_options={"populate_existing": True})


def _answer_again(session: Session, token: PresentedToken, settings: Settings) -> Rotation:
    row = session.get_one(SessionRow, token.session_id, with_for_update=True, populate_existing=True)
    if row.ended_at is not None:
        raise SessionEnded(row.end_reason or "")
    if not session.scalar(select(is_live()).where(SessionRow.id == row.id)):
        raise RefreshTokenExpired
    if row.generation == token.generation + 1 and session.scalar(_still_repeatable(row, settings)):
        return Rotation(row)
    audit.record(
        session,
        "refresh_reuse_detected",
        account_id=row.account_id,
        session_id=row.id,
        presented=token.generation,
        newest=row.generation,
    )
    ended = sessions.end_where(session, SessionRow.id == row.id, "reuse_detected")
    return Rotation(row, RefreshTokenReused(str(row.id)), ended)


def _still_repeatable(row: SessionRow, settings: Settings) -> Any:
    unconfirmed = SessionRow.rotated_at > func.now() - timedelta(seconds=settings.refresh_unconfirmed)
    used_long_ago = SessionRow.confirmed_at <= func.now() - timedelta(seconds=settings.refresh_grace)
    in_grace = SessionRow.confirmed_at.is_(None) | ~used_long_ago
    return select(unconfirmed & in_grace).where(SessionRow.id == row.id)
