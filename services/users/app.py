"""Builds the users service."""

from flask import Flask

from services.users import internal_routes, routes
from services.users.parts import ROOM, build_parts
from services.users.settings import Settings
from shared import tracing
from shared.blueprint import document
from shared.guards import refuse_unguarded_views, use_tokens
from shared.health import health_pages
from shared.keys import KeySet, fetch_jwks
from shared.serving import settings_or_exit
from shared.web import create_app as create_web_app

# Less than the gateway's ten seconds, so that the service that is slow is the one that says so.
BUDGET_SECONDS = 9.0


def create_app(settings: Settings | None = None) -> Flask:
    """The users service as a WSGI application, with settings from the environment unless they are given."""
    tracing.start(ROOM)
    parts = build_parts(settings or settings_or_exit(Settings.read))
    keys = KeySet(fetch_jwks(f"{parts.settings.auth_url}/.well-known/jwks.json"))
    app = create_web_app(ROOM, budget=BUDGET_SECONDS, max_json_depth=parts.settings.max_json_depth)
    app.extensions["parts"] = parts
    use_tokens(app, keys, parts.settings.token_issuer)
    health = health_pages({"database": parts.database.answers, "keys": lambda: keys.loaded})
    document(app, health, routes.blueprint, internal_routes.blueprint)
    refuse_unguarded_views(app)
    keys.start()
    return app
