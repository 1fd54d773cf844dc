"""Remembers what happened to accounts, sessions and keys, in the transaction that makes it happen.

No secrets, tokens or passwords, and no email: of somebody unknown it would be personal data that nobody gave us.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import insert, select
from sqlalchemy.event import listens_for
from sqlalchemy.orm import Session

from services.auth import metrics
from services.auth.errors import AccountDisabled, WrongCredentials
from services.auth.models import AuditEvent
from shared.database import Database
from shared.trace import current_trace

Event = Literal[
    "sign_up",
    "sign_in",
    "sign_in_failed",
    "sign_in_refused_disabled",
    "refresh_reuse_detected",
    "logout",
    "session_ended",
    "push_token_changed",
    "account_disabled",
    "account_enabled",
    "password_changed",
    "key_rotated",
    "key_retired",
    "service_token_refused",
]


@dataclass(frozen=True)
class Origin:
    """Who makes something happen: a request from a network, or an operator by a command."""

    network: str | None = None
    operator: str | None = None


_EVENTS = "latchkey.events"
_INSERT = insert(AuditEvent).inline()
_NOBODY = Origin()
origin: ContextVar[Origin] = ContextVar("origin", default=_NOBODY)


def record(
    session: Session,
    event: Event,
    *,
    account_id: int | None = None,
    session_id: uuid.UUID | None = None,
    **details: str | int,
) -> None:
    """Remember one event: all of a transaction are written in one statement, just before it is committed."""
    trace, who = current_trace.get(), origin.get()
    if who.operator:
        details["operator"] = who.operator
    session.info.setdefault(_EVENTS, []).append(
        {
            "event": event,
            "account_id": account_id,
            "session_id": session_id,
            "network": who.network,
            "request_id": trace.request_id if trace else None,
            "details": details,
        }
    )


@contextmanager
def failed_sign_ins(database: Database, account_id: int | None) -> Iterator[None]:
    """Remember that the sign-in inside fails, in a transaction of its own; the same work for an unknown email."""
    try:
        yield
    except WrongCredentials:
        _record_alone(database, "sign_in_failed", account_id)
        raise
    except AccountDisabled:
        _record_alone(database, "sign_in_refused_disabled", account_id)
        raise


def record_wrong_secret(database: Database, client_id: str) -> None:
    """Remember a wrong secret, in a transaction of its own. An id that we don't know may be anything, a secret too."""
    with database.transaction() as session:
        record(session, "service_token_refused", client=client_id or "unknown")


def events_of(session: Session, account_id: int, limit: int) -> Sequence[AuditEvent]:
    """The last events of an account, the newest first."""
    wanted = select(AuditEvent).where(AuditEvent.account_id == account_id)
    return session.scalars(wanted.order_by(AuditEvent.id.desc()).limit(limit)).all()


@listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if events := session.info.get(_EVENTS):
        session.connection().execute(_INSERT, events)


@listens_for(Session, "after_commit")
def _count(session: Session) -> None:
    """Count the events once they are true."""
    for event in session.info.pop(_EVENTS, ()):
        metrics.events.labels(event["event"], str(event["details"].get("reason", ""))).inc()


def _record_alone(database: Database, event: Event, account_id: int | None) -> None:
    with database.transaction() as session:
        record(session, event, account_id=account_id)
