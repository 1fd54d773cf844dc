"""What other services ask auth for, and the public keys that everybody checks tokens with."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint as FlaskBlueprint
from flask import Response

from services.auth import audit, devices
from services.auth.errors import TooManyAttempts
from services.auth.models import SessionRow
from services.auth.parts import parts
from services.auth.schemas import (
    ForgottenData,
    InvalidPushTokensForm,
    PushTargetData,
    ServiceTokenData,
    ServiceTokenForm,
)
from services.auth.tokens import ServiceToken
from services.auth.views import client_network
from shared.blueprint import Blueprint
from shared.envelope import CONTENT_TYPE, dump
from shared.errors import Forbidden, InvalidToken
from shared.guards import public, service
from shared.keys import REFRESH_SECONDS

blueprint = Blueprint("internal", __name__, description="For services only; not reachable through the gateway")
well_known = FlaskBlueprint("well_known", __name__)

GREATEST_ID = 2**63 - 1
PUSH_TARGET_EXAMPLE = {
    "session_id": "019391a4-b987-7aa3-9c0d-295478ba0001",
    "device_type": "Android",
    "notification_device_id": "hv283b",
}


@blueprint.route("/internal/token", methods=["POST"])
@public
@blueprint.arguments(ServiceTokenForm)
@blueprint.answers(
    200,
    ServiceTokenData,
    "Service token issued successfully",
    example={"access_token": "eyJ…", "access_token_expires_at": 1732234500},
    errors=[InvalidToken, Forbidden, TooManyAttempts],
)
def issue_service_token(form: dict[str, str]) -> ServiceToken:
    """Give a service a token for calling another (RFC 6749 section 4.4); it proves itself by its secret."""
    try:
        return parts().tokens.for_client(form["client_id"], form["client_secret"], form["audience"])
    except InvalidToken:
        known = form["client_id"] if form["client_id"] in parts().settings.service_clients else ""
        # What is braked is not recorded, so that nobody can fill the audit.
        parts().brakes.wrong_secret(known, client_network())
        audit.record_wrong_secret(parts().database, known)
        raise


@blueprint.route("/internal/accounts/<int:account_id>/push-targets")
@service("push:read")
@blueprint.answers(200, PushTargetData, "Push targets fetched successfully", example=[PUSH_TARGET_EXAMPLE], many=True)
def list_push_targets(account_id: int) -> Sequence[SessionRow]:
    """List the devices that a message for a person can be pushed to; none for somebody who does not exist."""
    with parts().database.transaction() as session:
        return devices.push_targets(session, min(account_id, GREATEST_ID))


@blueprint.route("/internal/push-targets/invalid", methods=["POST"])
@service("push:write")
@blueprint.arguments(InvalidPushTokensForm)
@blueprint.answers(200, ForgottenData, "Push targets forgotten successfully", example={"forgotten": 1})
def forget_push_targets(form: dict[str, list[str]]) -> dict[str, int]:
    """Forget push tokens that the push provider no longer knows; their sessions live on."""
    with parts().database.transaction() as session:
        return {"forgotten": devices.forget_push_tokens(session, form["notification_device_ids"])}


@well_known.get("/.well-known/jwks.json")
@public
def show_public_keys() -> Response:
    """The JWK set (RFC 7517); its shape is the standard's, not the envelope."""
    keys: dict[str, Any] = dict(parts().signing_keys.jwks())
    return Response(
        dump(keys), content_type=CONTENT_TYPE, headers={"Cache-Control": f"public, max-age={REFRESH_SECONDS}"}
    )
