"""The real gateway, which asks for new keys every second instead of every minute."""

from unittest import mock

from gateway.app import create_app as create_real_app
from gateway.proxy import Gateway
from shared import keys


def create_app() -> Gateway:
    """The gateway of the environment."""
    mock.patch.object(keys, "REFRESH_SECONDS", 1).start()
    return create_real_app()
