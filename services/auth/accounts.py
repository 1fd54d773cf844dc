"""Accounts: signing up once, and proving who one is."""

import hashlib
import uuid
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.auth import outbox, sessions
from services.auth.devices import Device
from services.auth.errors import AccountDisabled, EmailTaken, WrongCredentials
from services.auth.models import Account, OutboxEntry, SessionRow, SignupKey
from services.auth.passwords import Passwords
from services.auth.settings import Settings
from shared.envelope import dump
from shared.errors import InvalidInput

# The version of what auth tells users about an account; it grows with every change, so that an old one never wins.
FIRST_PROFILE_VERSION = 1


@dataclass(frozen=True)
class SignUp:
    """What somebody gives to sign up; `email` is canonical."""

    email: str
    password: str
    device: Device
    name: str | None
    phone: str | None

    def digest(self) -> bytes:
        """A hash of everything but the password, to know the same request again."""
        fields = asdict(self)
        del fields["password"]
        return hashlib.sha256(dump(fields)).digest()


@dataclass(frozen=True)
class SignedUp:
    """A new account with its first session, or the ones that an earlier request with the same key made."""

    account: Account
    row: SessionRow
    entry: OutboxEntry | None


def register(
    session: Session, request: SignUp, password_hash: str, key: uuid.UUID | None, settings: Settings
) -> SignedUp:
    """Make an account, its first session and the outbox entry that makes its profile.

    With an idempotency `key` that was used before, what it made then is returned; the caller still has to check the
    password. Raises EmailTaken, and InvalidInput (VAL_010) when the key belongs to another request.
    """
    if key and (earlier := _signed_up_before(session, key, request, settings)):
        return earlier
    account = _insert_account(session, request.email, password_hash)
    row = sessions.open_session(session, account.id, request.device, settings).row
    entry = OutboxEntry(
        account_id=account.id, profile=_profile(request), next_attempt_at=func.now() + outbox.HEAD_START
    )
    session.add(entry)
    if key:
        session.add(SignupKey(key=key, request_hash=request.digest(), account_id=account.id, session_id=row.id))
    session.flush()
    return SignedUp(account, row, entry)


def find(session: Session, email: str) -> Account | None:
    """The account with this canonical email."""
    return session.scalar(select(Account).where(Account.email == email))


def authenticate(account: Account | None, password: str, passwords: Passwords) -> Account:
    """The account, when the password is right.

    Raises WrongCredentials for no account as for a wrong password, after equal work, and AccountDisabled only to who
    knows the password. Call it outside a transaction: it takes tens of milliseconds.
    """
    matches = passwords.matches(account.password_hash if account else None, password)
    if account is None or not matches:
        raise WrongCredentials
    if account.disabled_at is not None:
        raise AccountDisabled(str(account.id))
    return account


def _insert_account(session: Session, email: str, password_hash: str) -> Account:
    statement = (
        insert(Account)
        .values(email=email, password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=[Account.email])
        .returning(Account)
    )
    account = session.scalar(statement)
    if account is None:
        raise EmailTaken
    return account


def _signed_up_before(session: Session, key: uuid.UUID, request: SignUp, settings: Settings) -> SignedUp | None:
    # The same key at once waits here for the first to finish, and then finds what that made.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(key), 1))))
    too_old = func.now() - timedelta(seconds=settings.idempotency_lifetime)
    session.execute(delete(SignupKey).where(SignupKey.key == key, SignupKey.created_at < too_old))
    earlier = session.get(SignupKey, key)
    if earlier is None:
        return None
    if earlier.request_hash != request.digest():
        raise InvalidInput(["VAL_010"])
    row = session.get_one(SessionRow, earlier.session_id)
    if row.ended_at is not None:
        row = sessions.open_session(session, earlier.account_id, request.device, settings).row
    return SignedUp(session.get_one(Account, earlier.account_id), row, None)


def _profile(request: SignUp) -> dict[str, Any]:
    return {"email": request.email, "name": request.name, "phone": request.phone, "version": FIRST_PROFILE_VERSION}
