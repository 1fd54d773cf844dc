"""Logging out, and a person's sessions and devices."""

import uuid
from typing import Any

from services.auth import devices, refresh_tokens, rotation, sessions
from services.auth.errors import InvalidRefreshToken, SessionEnded, SessionNotFound
from services.auth.parts import parts
from services.auth.schemas import LogoutForm, PushTokenForm, SessionData
from shared.blueprint import Blueprint, NoData
from shared.errors import TokenMissing
from shared.guards import current_person, person_if_any, public, signed_in

blueprint = Blueprint("sessions", __name__, description="The devices that a person is signed in on")

SESSION_EXAMPLE = {
    "id": "019391a4-b987-7aa3-9c0d-295478ba0001",
    "device_type": "Android",
    "created_at": 1732233600,
    "last_used_at": 1732234400,
    "expires_at": 1734826500,
    "is_current": True,
}


@blueprint.route("/v1/auth/logout", methods=["POST"])
@public
@blueprint.arguments(LogoutForm, required=False)
@blueprint.answers(
    200, NoData, "Logged out successfully", example={}, errors=[TokenMissing, InvalidRefreshToken, SessionEnded]
)
def log_out(form: dict[str, Any]) -> dict[str, Any]:
    """Log out on this device, on the others, or on all.

    Send the access token, or the refresh token in the body when the access token has expired. Doing it again is fine.
    """
    session_id, account_id = _who_logs_out(form["refresh_token"], form["scope"])
    with parts().database.transaction() as session:
        ended = sessions.end(session, session_id, account_id, form["scope"], "logout")
    parts().revocations.publish(ended)
    return {}


@blueprint.route("/v1/auth/sessions")
@signed_in
@blueprint.answers(200, SessionData, "Sessions fetched successfully", example=[SESSION_EXAMPLE], many=True)
def list_my_sessions() -> list[dict[str, Any]]:
    """List the devices that I am signed in on, the most recently used first."""
    person = current_person()
    with parts().database.transaction() as session:
        rows = sessions.live_sessions(session, person.account_id)
    return [{**vars(row), "is_current": str(row.id) == person.session_id} for row in rows]


@blueprint.route("/v1/auth/sessions/<session_id>", methods=["DELETE"])
@signed_in
@blueprint.answers(200, NoData, "Session ended successfully", example={}, errors=[SessionNotFound])
def end_my_session(session_id: str) -> dict[str, Any]:
    """Sign one of my devices out."""
    try:
        wanted = uuid.UUID(session_id)
    except ValueError as error:
        raise SessionNotFound(session_id) from error
    with parts().database.transaction() as session:
        ended = sessions.end_one(session, wanted, current_person().account_id)
    parts().revocations.publish(ended)
    return {}


@blueprint.route("/v1/auth/device", methods=["PUT"])
@signed_in
@blueprint.arguments(PushTokenForm)
@blueprint.answers(200, NoData, "Device updated successfully", example={}, errors=[SessionEnded])
def change_my_push_token(form: dict[str, Any]) -> dict[str, Any]:
    """Tell this device's new push token, or null when the person no longer wants push."""
    with parts().database.transaction() as session:
        devices.change_push_token(session, uuid.UUID(current_person().session_id), form["notification_device_id"])
    return {}


def _who_logs_out(refresh_token: str | None, scope: sessions.Scope) -> tuple[uuid.UUID, int]:
    if person := person_if_any(or_else=refresh_token is not None):
        return uuid.UUID(person.session_id), person.account_id
    presented = refresh_tokens.read(refresh_token or "")
    with parts().database.transaction() as session:
        row = rotation.session_to_end(session, presented, scope, parts().settings)
    return row.id, row.account_id
