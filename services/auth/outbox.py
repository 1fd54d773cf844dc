"""Tells the users service about accounts: at once after a sign-up, and by the worker for as long as it takes.

An entry is delivered at least once and the receiver ignores what it knows, so a kill at any point loses and doubles
nothing. Entries of one account go in their order.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, aliased

from services.auth.models import OutboxEntry
from shared.database import Database
from shared.errors import Unavailable
from shared.service_client import ServiceClient, ServiceError, ServiceUnreachable

# How long the request that wrote an entry has to deliver it itself before the worker takes it up.
HEAD_START = timedelta(seconds=2)
AT_ONCE_SECONDS = 0.8
WORKER_SECONDS = 3.0
_BATCH = 20
_GREATEST_PAUSE = 10
# More would reach the greatest pause anyway, and overflow after a thousand attempts.
_DOUBLINGS = 4

log = structlog.get_logger(__name__)


def deliver(database: Database, users: ServiceClient, entry: OutboxEntry, *, seconds: float) -> dict[str, Any] | None:
    """Deliver one entry within `seconds`; the profile as users has it now, or None when it did not arrive."""
    try:
        profile: dict[str, Any] = users.put(f"/internal/profiles/{entry.account_id}", entry.profile, seconds=seconds)
    except (ServiceError, ServiceUnreachable) as error:
        log.warning("profile_not_delivered", account_id=entry.account_id, attempts=entry.attempts, reason=str(error))
        return None
    try:
        with database.transaction() as session:
            session.execute(update(OutboxEntry).where(OutboxEntry.id == entry.id).values(delivered_at=func.now()))
    except Unavailable as error:
        # It has arrived; the worker will tell it once more and mark it then.
        log.warning("delivery_not_noted", account_id=entry.account_id, reason=str(error))
    return profile


def deliver_due(database: Database, users: ServiceClient) -> int:
    """Deliver a batch of what is due; how many entries were tried."""
    with database.transaction() as session:
        claimed = _claim(session)
    for entry in claimed:
        deliver(database, users, entry, seconds=WORKER_SECONDS)
    return len(claimed)


def _claim(session: Session) -> Sequence[OutboxEntry]:
    # Claiming sets the time of the next try, so that whoever dies with an entry in hand leaves it to the others.
    earlier = aliased(OutboxEntry)
    not_first = select(earlier.id).where(
        earlier.account_id == OutboxEntry.account_id, earlier.id < OutboxEntry.id, earlier.delivered_at.is_(None)
    )
    due = (
        select(OutboxEntry.id)
        .where(OutboxEntry.delivered_at.is_(None), OutboxEntry.next_attempt_at <= func.now(), ~not_first.exists())
        .order_by(OutboxEntry.id)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    pause = func.least(_GREATEST_PAUSE, func.power(2, func.least(OutboxEntry.attempts, _DOUBLINGS)))
    statement = (
        update(OutboxEntry)
        .where(OutboxEntry.id.in_(due.scalar_subquery()))
        .values(attempts=OutboxEntry.attempts + 1, next_attempt_at=func.now() + pause * timedelta(seconds=1))
        .returning(OutboxEntry)
    )
    return session.scalars(statement).all()
