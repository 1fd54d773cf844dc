"""The real gateway with a route table in which reading one's own profile has half a second."""

from dataclasses import replace
from unittest import mock

from gateway import app
from gateway.proxy import Gateway
from gateway.routes import ROUTES

SECONDS = 0.5


def create_app() -> Gateway:
    """The gateway of the environment."""
    routes = [
        replace(route, seconds=SECONDS) if (route.method, route.path) == ("GET", "/v1/users/me") else route
        for route in ROUTES
    ]
    with mock.patch("gateway.app.ROUTES", routes):
        return app.create_app()
