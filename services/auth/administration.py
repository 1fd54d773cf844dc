"""What an operator does to an account: look at it, lock it, sign it out, give it another password."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.auth import accounts, audit, known_devices, sessions
from services.auth.emails import canonical
from services.auth.guessable import is_common, is_personal
from services.auth.models import Account, SessionRow
from services.auth.passwords import MAX_PASSWORD, MIN_PASSWORD
from services.auth.refusal import Refusal


@dataclass(frozen=True)
class Shown:
    """An account with its live sessions, and how many have ended and are still remembered."""

    account: Account
    live: Sequence[SessionRow]
    ended_sessions: int


def find(session: Session, email: str) -> Account:
    """The account of an email as an operator types it. Raises Refusal."""
    try:
        account = accounts.find(session, canonical(email))
    except ValueError as error:
        raise Refusal(f"{email} is not an email address.") from error
    if account is None:
        raise Refusal(f"There is no account with the email {email}.")
    return account


def show(session: Session, email: str) -> Shown:
    """An account and its sessions. Raises Refusal."""
    account = find(session, email)
    ended = (SessionRow.account_id == account.id) & SessionRow.ended_at.is_not(None)
    count = session.scalar(select(func.count()).select_from(SessionRow).where(ended))
    return Shown(account, sessions.live_sessions(session, account.id), count or 0)


def disable(session: Session, email: str) -> Sequence[uuid.UUID]:
    """Lock an account; the ids of the sessions that ended. Raises Refusal."""
    account = _locked(session, email)
    if account.disabled_at is None:
        account.disabled_at = func.now()
        audit.record(session, "account_disabled", account_id=account.id)
        session.flush()
    return _end_all(session, account, "disabled")


def enable(session: Session, email: str) -> None:
    """Let a disabled account sign in again; its sessions stay ended. Raises Refusal."""
    account = _locked(session, email)
    if account.disabled_at is not None:
        account.disabled_at = None
        audit.record(session, "account_enabled", account_id=account.id)


def end_sessions(session: Session, email: str) -> Sequence[uuid.UUID]:
    """Sign somebody out everywhere, and know none of the devices any more; the ids of the sessions that ended.

    Raises Refusal.
    """
    account = _locked(session, email)
    known_devices.forget(session, account.id)
    return _end_all(session, account, "ended_by_operator")


def refuse_bad_password(password: str, email: str) -> None:
    """Raise Refusal for a password that nobody could have signed up with."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Refusal(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
    if is_common(password) or is_personal(password, email, None):
        raise Refusal("This password is too common or too close to the email.")


def set_password(session: Session, email: str, password_hash: str) -> Sequence[uuid.UUID]:
    """Replace the password, and sign out whoever came in with the old one; the ids of the sessions that ended.

    A sign-in that is under way with the old password fails (`accounts.lock`). Raises Refusal.
    """
    account = _locked(session, email)
    account.password_hash = password_hash
    account.password_changed_at = func.now()
    audit.record(session, "password_changed", account_id=account.id)
    known_devices.forget(session, account.id)
    session.flush()
    return _end_all(session, account, "password_changed")


def _locked(session: Session, email: str) -> Account:
    # Sign-ins of the person wait until it is done, and then see what is true.
    account = find(session, email)
    session.refresh(account, with_for_update={"key_share": True})
    return account


def _end_all(session: Session, account: Account, reason: str) -> Sequence[uuid.UUID]:
    return sessions.end_where(session, SessionRow.account_id == account.id, reason)
