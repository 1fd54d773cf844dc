"""Refreshes: the next pair of tokens, or the same one again for whoever lost the reply."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Interval, bindparam, false, func, select, update
from sqlalchemy.orm import Session

from services.auth import audit, refresh_brake, sessions
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
from services.auth.sessions import STANDING, Standing, whole_second
from services.auth.settings import Settings
from shared.database import Driver, Statement
from shared.errors import ApiError

_KNOWN = Statement(
    select(
        SessionRow.id,
        SessionRow.account_id,
        SessionRow.secret,
        SessionRow.ended_at,
        Account.disabled_at,
        refresh_brake.seconds_counted(),
    )
    .join(Account, Account.id == SessionRow.account_id)
    .where(SessionRow.id == bindparam("session_id"))
)
# One atomic statement: of several refreshes at once exactly one finds the generation that it asks for.
_ROTATE = Statement(
    update(SessionRow)
    .where(SessionRow.id == bindparam("session_id"), SessionRow.generation == bindparam("presented"), is_live())
    .values(
        refreshes_forgotten_at=refresh_brake.counted(),
        generation=SessionRow.generation + 1,
        rotated_at=func.now(),
        last_used_at=func.now(),
        confirmed_at=None,
        idle_expires_at=func.least(whole_second() + bindparam("idle", type_=Interval), SessionRow.absolute_expires_at),
    )
    .returning(*STANDING)
)
_COUNT_AGAIN = Statement(
    update(SessionRow)
    .where(SessionRow.id == bindparam("session_id"))
    .values(refreshes_forgotten_at=refresh_brake.counted())
)


@dataclass(frozen=True)
class Rotation:
    """What came of a refresh: the session to issue tokens for, or the error to raise once the change is committed."""

    row: Standing
    error: ApiError | None = None
    ended: Sequence[uuid.UUID] = ()


class Known(NamedTuple):
    """The session of a genuine refresh token: live or not, and whether it may be refreshed now."""

    id: uuid.UUID
    account_id: int
    secret: bytes
    ended_at: datetime | None
    disabled_at: datetime | None
    seconds_counted: float | None


def refresh_at_once(connection: Driver, token: PresentedToken, settings: Settings) -> Standing | None:
    """Answer the usual refresh, that with the newest token: two statements, which need no transaction around them.

    None for any other token, of which nothing was changed: it is `rotate` that answers those. Raises as `rotate` does.
    """
    _refuse_unusable(session_of(connection, token, settings), settings)
    return _next_generation(connection, token, settings)


def rotate(session: Session, token: PresentedToken, settings: Settings) -> Rotation:
    """Answer any refresh, in one transaction.

    A spent token is answered with its successor until that was used and `refresh_grace` seconds after, at most for
    `refresh_unconfirmed`; it is used when its access token was confirmed, or when it was presented itself. Later, and
    when three newer ones were made, the token was stolen: the session ends. Raises InvalidRefreshToken,
    AccountDisabled, SessionEnded, RefreshTokenExpired and TooManyAttempts.
    """
    session_of(session, token, settings)
    # Whoever rotates it at the same moment has finished now, and nobody begins before this transaction ends.
    row = session.get_one(SessionRow, token.session_id, with_for_update=True)
    _refuse_unusable(session_of(session, token, settings), settings)
    if not session.scalar(select(is_live()).where(SessionRow.id == row.id)):
        raise RefreshTokenExpired
    if token.generation > row.generation:
        # It is genuine, so the database has lost the newest refreshes: by a backup, or a standby that lagged behind.
        row.generation = token.generation
        session.flush()
    if rotated := _next_generation(session, token, settings):
        return Rotation(rotated)
    standing = Standing(row.id, row.account_id, row.generation, row.secret, row.idle_expires_at)
    if session.scalar(_still_repeatable(row, token, settings)):
        _COUNT_AGAIN.run(session, {"session_id": row.id, "pace": refresh_brake.pace(settings)})
        return Rotation(standing._replace(generation=token.generation + 1))
    audit.record(
        session,
        "refresh_reuse_detected",
        account_id=row.account_id,
        session_id=row.id,
        presented=token.generation,
        newest=row.generation,
    )
    ended = sessions.end_where(session, SessionRow.id == row.id, "reuse_detected")
    return Rotation(standing, RefreshTokenReused(str(row.id)), ended)


def session_of(session: Session | Driver, token: PresentedToken, settings: Settings) -> Known:
    """The session of a genuine refresh token. Raises InvalidRefreshToken."""
    row = _KNOWN.run(session, {"session_id": token.session_id}).fetchone()
    if row is None:
        raise InvalidRefreshToken("unknown session")
    known = Known._make(row)
    token.prove(known.secret, settings.refresh_token_key)
    return known


def session_to_end(session: Session, token: PresentedToken, scope: sessions.Scope, settings: Settings) -> Known:
    """The session whose refresh token asks for an end. Raises InvalidRefreshToken.

    A phone has the newest token, or the one before when it lost the reply. Any older one was copied long ago, and has
    no say over the person's other devices.
    """
    known = session_of(session, token, settings)
    newest = session.scalars(select(SessionRow.generation).where(SessionRow.id == known.id)).one()
    if scope != "this" and token.generation < newest - 1:
        raise InvalidRefreshToken("spent long ago")
    return known


def confirm(session: Session, session_id: uuid.UUID, generation: int) -> None:
    """Remember that the newest pair of a session is in use; for an older generation, or again, nothing changes."""
    session.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.generation == generation, SessionRow.confirmed_at.is_(None))
        .values(confirmed_at=func.now())
    )


def _refuse_unusable(known: Known, settings: Settings) -> None:
    if known.disabled_at is not None:
        raise AccountDisabled(str(known.account_id))
    if known.ended_at is not None:
        raise SessionEnded(str(known.id))
    refresh_brake.refuse_hammering(known.seconds_counted, settings)


def _next_generation(session: Session | Driver, token: PresentedToken, settings: Settings) -> Standing | None:
    values = {
        "session_id": token.session_id,
        "presented": token.generation,
        "idle": sessions.idle_lifetime(settings),
        "pace": refresh_brake.pace(settings),
    }
    rotated = _ROTATE.run(session, values).fetchone()
    return Standing._make(rotated) if rotated else None


def _still_repeatable(row: SessionRow, token: PresentedToken, settings: Settings) -> Any:
    grace_began = func.now() - timedelta(seconds=settings.refresh_grace)
    repeatable: ColumnElement[bool] = false()
    if row.generation == token.generation + 1:
        unconfirmed = SessionRow.rotated_at > func.now() - timedelta(seconds=settings.refresh_unconfirmed)
        repeatable = unconfirmed & (SessionRow.confirmed_at.is_(None) | (SessionRow.confirmed_at > grace_began))
    elif row.generation == token.generation + 2:
        # Its successor was presented when the newest pair was made. A request that crossed is no theft.
        repeatable = SessionRow.rotated_at > grace_began
    return select(repeatable).where(SessionRow.id == row.id)
