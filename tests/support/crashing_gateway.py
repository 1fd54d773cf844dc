"""The real gateway with a bug in it: its guard raises what nobody expects, and so does one of its pages."""

from unittest import mock

from gateway import pages
from gateway.app import create_app as create_real_app
from gateway.guard import TokenGuard
from gateway.proxy import Gateway


def create_app() -> Gateway:
    """The gateway of the environment; whatever needs a signed-in person crashes, and so does `/v1/errors`."""
    mock.patch.object(TokenGuard, "check", side_effect=ZeroDivisionError("a bug in the guard")).start()
    mock.patch.object(pages, "_codes", side_effect=ZeroDivisionError("a bug in a page")).start()
    return create_real_app()
