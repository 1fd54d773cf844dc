"""Builds the gateway."""

from collections.abc import Mapping

from flask import Flask

from gateway import docs, metrics, pages
from gateway.confirmations import Confirmations
from gateway.cors import Cors
from gateway.discovery import Resolve, addresses_of
from gateway.edge import Edge
from gateway.envelope_check import EnvelopeCheck
from gateway.guard import TokenGuard
from gateway.limits import Limits
from gateway.matching import RouteTable
from gateway.proxy import Gateway
from gateway.revocations import RevokedSessions
from gateway.routes import ROUTES
from gateway.settings import Settings
from gateway.upstream import Upstream
from shared import tracing
from shared.access_tokens import AccessTokenVerifier
from shared.blueprint import document
from shared.guards import refuse_unguarded_views
from shared.health import health_pages
from shared.keys import KeySet, fetch_jwks
from shared.serving import settings_or_exit
from shared.web import create_app as create_web_app

PAGE_SECONDS = 10.0


def create_app(settings: Settings | None = None, resolve: Resolve = addresses_of) -> Gateway:
    """The gateway as a WSGI application, with settings from the environment unless they are given."""
    tracing.start("gateway")
    settings = settings or settings_or_exit(Settings.read)
    keys = KeySet(fetch_jwks(f"{settings.service_urls['auth']}/.well-known/jwks.json"))
    revoked = RevokedSessions(settings.redis_url, settings.ended_sessions_kept)
    upstreams = {
        name: Upstream(
            name, url, connections=settings.connections_per_service, max_answer=settings.max_answer, resolve=resolve
        )
        for name, url in settings.service_urls.items()
    }
    confirmations = Confirmations(settings.redis_url)
    guard = TokenGuard(AccessTokenVerifier(keys, settings.token_issuer), revoked, confirmations)
    limits = Limits(settings.network_limit, settings.person_limit, settings.redis_url)
    edge = Edge(limits, Cors(settings.allowed_origins))
    app = create_pages(keys, revoked, upstreams, settings)
    check = EnvelopeCheck(settings.envelope_check_every, settings.max_json_depth)
    app.after_request(edge.finish_page)
    app.after_request(check.finish_page)
    for upstream in upstreams.values():
        upstream.start()
    keys.start()
    revoked.start()
    confirmations.start()
    limits.start()
    metrics.watch(upstreams, revoked, confirmations)
    return Gateway(app.wsgi_app, RouteTable(ROUTES), guard, upstreams, edge=edge, check=check, settings=settings)


def create_pages(
    keys: KeySet, revoked: RevokedSessions, upstreams: Mapping[str, Upstream], settings: Settings
) -> Flask:
    """The Flask application with the gateway's own pages."""
    app = create_web_app(
        "gateway", budget=PAGE_SECONDS, max_json_depth=settings.max_json_depth, max_body=settings.max_body
    )
    app.extensions["keys"] = keys
    health = health_pages(
        {
            "keys": lambda: keys.loaded,
            "revocations": lambda: revoked.ready,
            "replicas": lambda: all(upstream.found for upstream in upstreams.values()),
        },
        wishes={"revocations": lambda: revoked.followed},
    )
    document(app, health, pages.blueprint)
    app.register_blueprint(docs.documents)
    refuse_unguarded_views(app)
    return app
