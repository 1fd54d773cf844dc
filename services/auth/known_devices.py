"""Remembers from where somebody has signed in, so that an attack on the account does not keep its owner out."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Interval,
    LargeBinary,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.auth.models import Account, KnownDevice, SessionRow
from services.auth.settings import Settings
from shared.database import Driver, Statement
from shared.networks import UNKNOWN_NETWORK

# By what we know whoever wants to sign in; None for a stranger.
Recognition = Literal["push_token", "network"] | None

# A sign-in within this time of the last one is not written down once more.
_FRESH = timedelta(days=1)


@dataclass(frozen=True)
class Place:
    """Where somebody signs in: the network, and the push token of the device if it has one."""

    network: str
    push_token: str | None


def recognise(connection: Session | Driver, email: str, place: Place, settings: Settings) -> Recognition:
    """How we know whoever wants to sign in: by the push token, else by the network; the same work for every email."""
    push_token = place.push_token or ""
    values = {
        "email": email,
        "push_token": push_token,
        "token_mark": _mark("push_token", push_token, settings),
        "network_mark": _mark("network", place.network, settings),
        "lifetime": _lifetime(settings),
    }
    [(knows_token, knows_network)] = _RECOGNISE.run(connection, values)
    if knows_token:
        return "push_token"
    return "network" if knows_network else None


def remember(session: Session, account_id: int, place: Place, settings: Settings) -> None:
    """Write down that this account signed in here."""
    marks = [_mark("push_token", place.push_token, settings)] if place.push_token else []
    if place.network != UNKNOWN_NETWORK:
        marks.append(_mark("network", place.network, settings))
    if not marks:
        return
    # In one order, so that two sign-ins at once do not wait for each other.
    written = _REMEMBER.run(session, {"person": account_id, "marks": sorted(marks)})
    if written.rowcount:
        # Else this account signed in here within a day, and what was stale then went then.
        _FORGET_STALE.run(session, {"person": account_id, "lifetime": _lifetime(settings)})


def forget(session: Session, account_id: int) -> None:
    """Know no device and no network of an account any more: one of them may be a thief's."""
    session.execute(delete(KnownDevice).where(KnownDevice.account_id == account_id))


def _marked(mark: str) -> ColumnElement[bool]:
    known = select(KnownDevice.mark).join(Account, Account.id == KnownDevice.account_id)
    recently = KnownDevice.seen_at > func.now() - bindparam("lifetime", type_=Interval)
    return known.where(Account.email == bindparam("email"), KnownDevice.mark == bindparam(mark), recently).exists()


def _has_push_token() -> ColumnElement[bool]:
    live = select(SessionRow.id).join(Account, Account.id == SessionRow.account_id)
    with_token = SessionRow.notification_device_id == bindparam("push_token")
    return live.where(Account.email == bindparam("email"), with_token, SessionRow.ended_at.is_(None)).exists()


def _lifetime(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.known_device_lifetime)


def _mark(kind: str, value: str, settings: Settings) -> bytes:
    # Keyed, because there are so few addresses that a plain hash of one is the address.
    return hmac.digest(settings.refresh_token_key, f"known device|{kind}|{value}".encode(), hashlib.sha256)


_RECOGNISE = Statement(select(_marked("token_mark") | _has_push_token(), _marked("network_mark")))
_REMEMBER = Statement(
    insert(KnownDevice)
    .from_select(
        ["account_id", "mark"],
        select(bindparam("person", type_=BigInteger), func.unnest(bindparam("marks", type_=ARRAY(LargeBinary)))),
    )
    .on_conflict_do_update(
        index_elements=[KnownDevice.account_id, KnownDevice.mark],
        set_={"seen_at": func.now()},
        where=KnownDevice.seen_at < func.now() - _FRESH,
    )
)
_FORGET_STALE = Statement(
    delete(KnownDevice).where(
        KnownDevice.account_id == bindparam("person"),
        KnownDevice.seen_at < func.now() - bindparam("lifetime", type_=Interval),
    )
)
