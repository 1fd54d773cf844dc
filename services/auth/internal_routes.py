"""What other services ask auth for, and the public keys that everybody checks tokens with."""

from typing import Any

from flask import Blueprint as FlaskBlueprint
from flask import Response

from services.auth.parts import parts
from services.auth.schemas import ServiceTokenData, ServiceTokenForm
from services.auth.tokens import ServiceToken
from shared.blueprint import Blueprint
from shared.envelope import CONTENT_TYPE, dump
from shared.errors import Forbidden, InvalidToken
from shared.guards import public
from shared.keys import REFRESH_SECONDS

blueprint = Blueprint("internal", __name__, description="For services only; not reachable through the gateway")
well_known = FlaskBlueprint("well_known", __name__)


@blueprint.route("/internal/token", methods=["POST"])
@public
@blueprint.arguments(ServiceTokenForm)
@blueprint.answers(
    200,
    ServiceTokenData,
    "Service token issued successfully",
    example={"access_token": "eyJ…", "access_token_expires_at": 1732234500},
    errors=[InvalidToken, Forbidden],
)
def issue_service_token(form: dict[str, str]) -> ServiceToken:
    """Give a service a token for calling another (RFC 6749 section 4.4); it proves itself by its secret."""
    return parts().tokens.for_client(form["client_id"], form["client_secret"], form["audience"])


@well_known.get("/.well-known/jwks.json")
@public
def show_public_keys() -> Response:
    """The JWK set (RFC 7517); its shape is the standard's, not the envelope."""
    keys: dict[str, Any] = dict(parts().signing_keys.jwks())
    return Response(
        dump(keys), content_type=CONTENT_TYPE, headers={"Cache-Control": f"public, max-age={REFRESH_SECONDS}"}
    )
