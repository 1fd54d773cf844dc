"""The brake on refreshing: a session has so many refreshes a minute, and what it used stands in its own row.

A refresh writes that row anyway, so counting costs no round trip, holds over all processes and needs no Redis. It is
counted by session and never by address, because carriers put thousands behind one; and only once the token is proven
genuine, because else anybody could use up another's share.
"""

import math
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Interval, bindparam, func

from services.auth.errors import TooManyAttempts
from services.auth.models import SessionRow
from services.auth.settings import Settings


def counted() -> ColumnElement[Any]:
    """The column `refreshes_forgotten_at` with one refresh more: each is forgotten one `pace` after the one before."""
    return func.greatest(func.now(), SessionRow.refreshes_forgotten_at) + bindparam("pace", type_=Interval)


def seconds_counted() -> ColumnElement[float | None]:
    """How long it takes until all refreshes of a session are forgotten; null or less than 0 when they are."""
    return func.date_part("epoch", SessionRow.refreshes_forgotten_at - func.now())


def pace(settings: Settings) -> timedelta:
    """After what time one more refresh is forgotten."""
    return timedelta(minutes=1) / settings.session_refreshes_per_minute


def refuse_hammering(seconds: float | None, settings: Settings) -> None:
    """Raise TooManyAttempts for a session whose `seconds_counted` leave no refresh.

    Nothing comes between this and the counting: two refreshes with the newest token can't both succeed, and others are
    counted while the row is locked.
    """
    at_once = pace(settings) * (settings.session_refreshes_per_minute - 1)
    wait = (seconds or 0.0) - at_once.total_seconds()
    if wait > 0:
        raise TooManyAttempts(math.ceil(wait))
