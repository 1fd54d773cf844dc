"""Builds the auth service."""

from flask import Flask, Response, g, request

from services.auth import audit, internal_routes, metrics, routes, session_routes
from services.auth.parts import ROOM, build_parts
from services.auth.settings import Settings
from services.auth.views import client_network
from shared import tracing
from shared.blueprint import document
from shared.guards import refuse_unguarded_views, use_tokens
from shared.health import health_pages
from shared.keys import KeySet
from shared.serving import settings_or_exit
from shared.web import create_app as create_web_app

# Less than the gateway's ten seconds, so that the service that is slow is the one that says so.
BUDGET_SECONDS = 9.0
# The views whose outcomes are counted.
_ACTIONS = {"sign_in.sign_up": "sign_up", "sign_in.sign_in": "sign_in", "sign_in.refresh": "refresh"}


def create_app(settings: Settings | None = None) -> Flask:
    """The auth service as a WSGI application, with settings from the environment unless they are given."""
    tracing.start(ROOM)
    parts = build_parts(settings or settings_or_exit(Settings.read))
    keys = KeySet(parts.signing_keys.jwks)
    app = create_web_app(ROOM, budget=BUDGET_SECONDS, max_json_depth=parts.settings.max_json_depth)
    app.extensions["parts"] = parts
    use_tokens(app, keys, parts.settings.token_issuer)
    health = health_pages(
        {"database": parts.database.answers, "signing key": lambda: bool(parts.signing_keys.signer())}
    )
    document(app, health, routes.blueprint, session_routes.blueprint, internal_routes.blueprint)
    app.register_blueprint(internal_routes.well_known)
    app.before_request(_say_who_asks)
    app.after_request(_keep_out_of_caches)
    app.after_request(_count_outcome)
    refuse_unguarded_views(app)
    keys.start()
    return app


def _say_who_asks() -> None:
    """Events are remembered with the network that they come from."""
    audit.origin.set(audit.Origin(network=client_network()))


def _keep_out_of_caches(response: Response) -> Response:
    """Tokens have no business in a cache (RFC 6749 section 5.1)."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _count_outcome(response: Response) -> Response:
    if action := _ACTIONS.get(request.endpoint or ""):
        metrics.outcomes.labels(action, g.get("error_code") or g.get("outcome", "done")).inc()
    return response
