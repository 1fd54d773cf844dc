"""Accounts that come from another system: a batch at a time, each with the outbox entry that makes its profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.auth.accounts import FIRST_PROFILE_VERSION
from services.auth.models import Account, OutboxEntry


@dataclass(frozen=True)
class ImportedAccount:
    """What another system knows of somebody; `email` is canonical and `password_hash` of a kind that we verify."""

    email: str
    password_hash: str
    name: str | None
    phone: str | None
    created_at: datetime
    disabled: bool


def import_accounts(session: Session, accounts: Sequence[ImportedAccount]) -> set[str]:
    """Write accounts with different emails; the emails of those that were written, the others exist already.

    One statement for the accounts and one for the outbox, so that the time is not spent on round trips.
    """
    now = datetime.now(UTC)
    statement = insert(Account).on_conflict_do_nothing(index_elements=[Account.email])
    rows = [
        {
            "email": account.email,
            "password_hash": account.password_hash,
            "created_at": account.created_at,
            "disabled_at": now if account.disabled else None,
        }
        for account in accounts
    ]
    written = {email: number for number, email in session.execute(statement.returning(Account.id, Account.email), rows)}
    entries = [_outbox_row(written, account) for account in accounts if account.email in written]
    if entries:
        session.execute(insert(OutboxEntry), entries)
    return set(written)


def existing_emails(session: Session, accounts: Sequence[ImportedAccount]) -> set[str]:
    """The emails among these that have an account."""
    emails = [account.email for account in accounts]
    return set(session.scalars(select(Account.email).where(Account.email.in_(emails))))


def _outbox_row(written: Mapping[str, int], account: ImportedAccount) -> dict[str, object]:
    profile = {
        "email": account.email,
        "name": account.name,
        "phone": account.phone,
        "version": FIRST_PROFILE_VERSION,
    }
    return {"account_id": written[account.email], "profile": profile}
