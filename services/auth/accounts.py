"""Accounts: signing up once, and proving who one is."""

import hashlib
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import structlog
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.auth import audit, outbox, sessions
from services.auth.devices import Device, is_live
from services.auth.errors import AccountDisabled, EmailTaken, PasswordTooCommon, WrongCredentials
from services.auth.guessable import is_personal
from services.auth.models import Account, OutboxEntry, SessionRow, SignupKey
from services.auth.passwords import Passwords
from services.auth.sessions import STANDING, Opened, Standing
from services.auth.settings import Settings
from shared.database import Database, Driver, Statement
from shared.envelope import dump
from shared.errors import InvalidInput, Unavailable

# The version of what auth tells users about an account; it grows with every change, so that an old one never wins.
FIRST_PROFILE_VERSION = 1

log = structlog.get_logger(__name__)


class Credentials(NamedTuple):
    """What of an account a sign-in is checked against."""

    id: int
    email: str
    password_hash: str
    disabled_at: datetime | None
    password_changed_at: datetime | None


AccountT = TypeVar("AccountT", Account, Credentials)

_CREDENTIALS = Statement(
    select(Account.id, Account.email, Account.password_hash, Account.disabled_at, Account.password_changed_at).where(
        Account.email == bindparam("email")
    )
)
_LOCK = Statement(
    select(Account.disabled_at, Account.password_changed_at)
    .where(Account.id == bindparam("account_id"))
    .with_for_update(key_share=True)
)


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
    """A new account, its first session, and what users has to be told about it."""

    account: Account
    row: Standing
    entry: OutboxEntry


def register(
    session: Session, request: SignUp, password_hash: str, key: uuid.UUID | None, settings: Settings
) -> SignedUp | None:
    """Make an account, its first session and the outbox entry that makes its profile.

    None when the idempotency `key` was used before: see `signed_up_with`. Raises EmailTaken.
    """
    if key and _is_used(session, key, settings):
        return None
    account = _insert_account(session, request.email, password_hash)
    row = sessions.open_session(session, account.id, request.device, settings).row
    entry = OutboxEntry(
        account_id=account.id, profile=_profile(request), next_attempt_at=func.now() + outbox.HEAD_START
    )
    session.add(entry)
    if key:
        session.add(SignupKey(key=key, request_hash=request.digest(), account_id=account.id, session_id=row.id))
    audit.record(session, "sign_up", account_id=account.id, session_id=row.id, device_type=request.device.device_type)
    session.flush()
    return SignedUp(account, row, entry)


def signed_up_with(session: Session, key: uuid.UUID, request: SignUp) -> Account:
    """The account that an earlier request with the same key made; its password is still to be checked.

    Raises InvalidInput (VAL_010) when the key belongs to another request.
    """
    earlier = session.get_one(SignupKey, key)
    if earlier.request_hash != request.digest():
        raise InvalidInput(["VAL_010"])
    return session.get_one(Account, earlier.account_id)


def resume(session: Session, key: uuid.UUID, device: Device, settings: Settings) -> Opened:
    """The session that a sign-up opened, or a new one in its place when it is no longer live."""
    earlier = session.get_one(SignupKey, key, with_for_update=True)
    standing = session.execute(select(*STANDING).where(SessionRow.id == earlier.session_id, is_live())).one_or_none()
    if standing is not None:
        return Opened(Standing._make(standing), (), None)
    opened = sessions.open_session(session, earlier.account_id, device, settings)
    earlier.session_id = opened.row.id
    audit.record(
        session, "sign_in", account_id=earlier.account_id, session_id=opened.row.id, device_type=device.device_type
    )
    return opened


def refuse_personal_password(request: SignUp) -> None:
    """Raise PasswordTooCommon for a password that is the person's own email or name with digits or signs added."""
    if is_personal(request.password, request.email, request.name):
        raise PasswordTooCommon


def find(session: Session, email: str) -> Account | None:
    """The account with this canonical email."""
    return session.scalar(select(Account).where(Account.email == email))


def credentials(connection: Driver, email: str) -> Credentials | None:
    """What a sign-in with this canonical email is checked against."""
    row = _CREDENTIALS.run(connection, {"email": email}).fetchone()
    return Credentials._make(row) if row else None


def authenticate(account: AccountT | None, password: str, passwords: Passwords) -> AccountT:
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


def lock(session: Session, account: Account | Credentials) -> None:
    """Hold an account as it was authenticated until the transaction ends.

    Raises WrongCredentials when it got another password since, and AccountDisabled. Sign-ins of one person take their
    turns here, so that the limit of sessions holds; and whoever changes the password or disables the account meanwhile
    waits, and then ends the session that was opened, too.
    """
    [(disabled_at, password_changed_at)] = _LOCK.run(session, {"account_id": account.id})
    if password_changed_at != account.password_changed_at:
        raise WrongCredentials
    if disabled_at is not None:
        raise AccountDisabled(str(account.id))


def renew_hash(database: Database, account: Account | Credentials, password: str, passwords: Passwords) -> None:
    """Hash a password anew that was just verified, when its hash is of an older scheme or cost.

    Only the hash that was verified is replaced: whoever changed the password meanwhile wins. When it can't be done
    now, the next sign-in does it.
    """
    if not passwords.is_outdated(account.password_hash):
        return
    verified = (Account.id == account.id) & (Account.password_hash == account.password_hash)
    try:
        renewed = passwords.hash(password)
        with database.transaction() as session:
            session.execute(update(Account).where(verified).values(password_hash=renewed))
    except Unavailable as error:
        log.warning("password_hash_not_renewed", account_id=account.id, reason=str(error))


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


def _is_used(session: Session, key: uuid.UUID, settings: Settings) -> bool:
    # The same key at once waits here for the first to finish, and then finds what that made.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(key), 1))))
    too_old = func.now() - timedelta(seconds=settings.idempotency_lifetime)
    session.execute(delete(SignupKey).where(SignupKey.key == key, SignupKey.created_at < too_old))
    return session.get(SignupKey, key) is not None


def _profile(request: SignUp) -> dict[str, Any]:
    return {"email": request.email, "name": request.name, "phone": request.phone, "version": FIRST_PROFILE_VERSION}
