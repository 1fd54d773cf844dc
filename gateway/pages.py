"""The gateway's own pages: the error catalogue and the public keys."""

import hashlib
from functools import cache
from typing import Any

from flask import Response, current_app
from marshmallow import Schema, fields
from werkzeug.http import quote_etag

from shared.blueprint import Blueprint, FailureEnvelope
from shared.catalogue import CATALOGUE
from shared.envelope import CONTENT_TYPE, dump
from shared.errors import Unavailable
from shared.guards import public
from shared.keys import REFRESH_SECONDS, KeySet
from shared.languages import translate
from shared.web import language

blueprint = Blueprint("gateway", __name__, description="What apps need to know about the API itself")


class ErrorCodeData(Schema):
    """One code of the catalogue."""

    code = fields.String(required=True)
    status = fields.Integer(required=True)
    message = fields.String(required=True)
    action = fields.String(required=True, metadata={"description": "What the app should do"})
    ends_session = fields.Boolean(required=True, metadata={"description": "The app must drop its tokens"})
    retryable = fields.Boolean(required=True, metadata={"description": "The same request may succeed later"})
    field = fields.String(required=True, allow_none=True, metadata={"description": "The input that it is about"})


class JwkSetData(Schema):
    """A JWK set."""

    keys = fields.List(fields.Dict(), required=True)


ERRORS_EXAMPLE = [
    {
        "code": "AUTH_001",
        "status": 401,
        "message": "Email or password is incorrect",
        "action": "fix_input",
        "ends_session": False,
        "retryable": False,
        "field": None,
    }
]


@blueprint.route("/v1/errors")
@public
@blueprint.alt_response(304, description="The list is still the one that `If-None-Match` names")
@blueprint.answers(200, ErrorCodeData, "Error codes fetched successfully", example=ERRORS_EXAMPLE, many=True)
def list_error_codes() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """List every error code, with what it means and what the app should do.

    Messages are in the language of `Accept-Language`. Keep the list and ask again with `If-None-Match`.
    """
    chosen = language()
    codes = _codes(chosen)
    tag = hashlib.sha256(dump(codes)).hexdigest()[:16]
    return codes, {"ETag": quote_etag(f"{chosen}-{tag}"), "Cache-Control": "public, max-age=300"}


@blueprint.route("/.well-known/jwks.json")
@public
@blueprint.response(200, JwkSetData)
@blueprint.alt_response(503, schema=FailureEnvelope, examples={"SRV_503": {"value": {}}})
@blueprint.doc(operationId="show_public_keys")
def show_public_keys() -> Response:
    """Show the public keys that access tokens are signed with.

    A JWK set (RFC 7517) in the standard's own form, without the envelope.
    """
    keys: KeySet = current_app.extensions["keys"]
    if not keys.loaded:
        raise Unavailable("no signing keys are known yet")
    caching = {"Cache-Control": f"public, max-age={REFRESH_SECONDS}"}
    return Response(dump(keys.document), content_type=CONTENT_TYPE, headers=caching)


@cache
def _codes(chosen: str) -> list[dict[str, Any]]:
    return [
        {
            "code": entry.code,
            "status": entry.status,
            "message": translate(entry.message, chosen),
            "action": entry.action.value,
            "ends_session": entry.ends_session,
            "retryable": entry.retryable,
            "field": entry.field,
        }
        for entry in CATALOGUE.values()
    ]
