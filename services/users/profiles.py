"""Profiles: kept for an account, read and changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.users.errors import ProfileChanged, ProfileOnItsWay, UserNotFound
from services.users.models import Profile
from shared.database import Driver, Statement

GREATEST_ID = 2**63 - 1


@dataclass(frozen=True)
class AccountNews:
    """What auth tells about an account; `version` orders it."""

    email: str
    name: str | None
    phone: str | None
    version: int


class Shown(NamedTuple):
    """What other services may know of a profile."""

    id: int
    email: str
    name: str | None
    phone: str | None
    profile_image: str | None
    created_at: datetime
    updated_at: datetime


_FIND_MANY = Statement(
    select(
        Profile.id,
        Profile.email,
        Profile.name,
        Profile.phone,
        Profile.profile_image,
        Profile.created_at,
        Profile.updated_at,
    )
    .where(Profile.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
    .order_by(Profile.id)
)


def keep(session: Session, account_id: int, news: AccountNews) -> Profile:
    """Make the profile of an account, or bring its copy of the email up to date.

    The same news again, or older news, changes nothing; name and phone are taken once, afterwards they are the owner's.
    Raises UserNotFound for an id that no account can have.
    """
    if account_id > GREATEST_ID:
        raise UserNotFound(str(account_id))
    statement = insert(Profile).values(
        id=account_id, email=news.email, name=news.name, phone=news.phone, account_version=news.version
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Profile.id],
            set_={
                "email": news.email,
                "account_version": news.version,
                "revision": Profile.revision + 1,
                "updated_at": func.now(),
            },
            where=Profile.account_version < news.version,
        )
    )
    return session.get_one(Profile, account_id)


def find(session: Session, account_id: int) -> Profile:
    """Somebody's profile. Raises UserNotFound."""
    profile = session.get(Profile, account_id) if account_id <= GREATEST_ID else None
    if profile is None:
        raise UserNotFound(str(account_id))
    return profile


def find_many(connection: Driver, account_ids: Collection[int]) -> Sequence[Shown]:
    """The profiles that exist of these, by id. Every sign-in asks for one."""
    wanted = [account_id for account_id in account_ids if account_id <= GREATEST_ID]
    return [Shown._make(row) for row in _FIND_MANY.run(connection, {"ids": wanted})]


def find_own(session: Session, account_id: int) -> Profile:
    """The profile of who is signed in, who surely has one: ProfileOnItsWay while it has not arrived."""
    profile = session.get(Profile, account_id)
    if profile is None:
        raise ProfileOnItsWay(str(account_id))
    return profile


def change(session: Session, account_id: int, changes: Mapping[str, Any], if_match: Collection[int] | None) -> Profile:
    """Change name or phone; None clears.

    With `if_match`, only while the profile's revision is one of these (ProfileChanged otherwise). ProfileOnItsWay while
    it has not arrived.
    """
    unchanged = Profile.revision.in_(if_match) if if_match is not None else Profile.id.is_not(None)
    statement = (
        update(Profile)
        .where(Profile.id == account_id, unchanged)
        .values(**changes, revision=Profile.revision + 1, updated_at=func.now())
        .returning(Profile)
    )
    changed = session.scalar(statement) if changes else None
    if changed is not None:
        return changed
    present = find_own(session, account_id)
    if changes or (if_match is not None and present.revision not in if_match):
        raise ProfileChanged(str(account_id))
    return present
