"""What the views of auth share: who is asking, from where, and the answer to a sign-in."""

from typing import Any

import structlog
from flask import request

from services.auth.accounts import Credentials
from services.auth.devices import SessionEnd
from services.auth.models import Account
from services.auth.parts import parts
from services.auth.sessions import Standing
from shared.networks import CLIENT_ADDRESS_HEADER, network_of
from shared.service_client import ServiceError, ServiceUnreachable

PROFILE_SECONDS = 0.8

log = structlog.get_logger(__name__)


def client_network() -> str:
    """The network of whoever asks, as the gateway saw it.

    The gateway sets the header to the one address that it believes. Whoever is inside and calls auth directly can say
    anything; nothing but brakes depends on it.
    """
    return network_of(request.headers.get(CLIENT_ADDRESS_HEADER, request.remote_addr or ""))


def signed_in_answer(
    account: Account | Credentials,
    row: Standing,
    profile: dict[str, Any] | None,
    previous_end: SessionEnd | None = None,
) -> dict[str, Any]:
    """The data of a sign-in; without a profile the name and the picture are null."""
    known = profile or {}
    user = {
        "id": account.id,
        "name": known.get("name"),
        "email": account.email,
        "profile_image": known.get("profile_image"),
    }
    told = {"previous_session_end": previous_end} if previous_end else {}
    return {**vars(parts().tokens.pair_for(row)), "user": user, **told}


def profile_of(account_id: int) -> dict[str, Any] | None:
    """The profile as users has it, or None when users does not say so in time: signing in works without."""
    try:
        profiles = parts().users.get("/internal/profiles", {"ids": str(account_id)}, seconds=PROFILE_SECONDS)
    except (ServiceError, ServiceUnreachable) as error:
        log.warning("profile_unknown", account_id=account_id, reason=repr(error))
        return None
    return next(iter(profiles), None)
