"""How things stand in the database, looked up by auth's worker for the figures."""

from sqlalchemy import extract, func, select

from services.auth import metrics
from services.auth.models import OutboxEntry, SessionRow, SigningKey
from shared.database import Database

_LAG = func.coalesce(extract("epoch", func.now() - func.min(OutboxEntry.created_at)), 0)
_WAITING = select(func.count(), _LAG).where(OutboxEntry.delivered_at.is_(None))
_KEY_AGE = select(func.coalesce(extract("epoch", func.now() - func.max(SigningKey.signs_from)), 0)).where(
    SigningKey.retired_at.is_(None), SigningKey.signs_from <= func.now()
)
_OPEN = select(func.count()).select_from(SessionRow).where(SessionRow.ended_at.is_(None))


def look(database: Database) -> None:
    """What costs next to nothing to look up. Raises Unavailable."""
    with database.transaction() as session:
        waiting, lag = session.execute(_WAITING).one()
        key_age = session.scalars(_KEY_AGE).one()
    metrics.outbox_waiting.set(waiting)
    metrics.outbox_lag.set(float(lag))
    metrics.signing_key_age.set(float(key_age))


def count_sessions(database: Database) -> None:
    """What takes a walk along an index. Raises Unavailable."""
    with database.transaction() as session:
        metrics.sessions_open.set(session.scalars(_OPEN).one())
