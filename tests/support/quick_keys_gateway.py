"""The real gateway, which asks for new keys every KEYS_SECONDS, and for an unknown key only once and never again."""

import os
from unittest import mock

from gateway.app import create_app as create_real_app
from gateway.proxy import Gateway
from shared import keys


def create_app() -> Gateway:
    """The gateway of the environment."""
    mock.patch.multiple(keys, REFRESH_SECONDS=int(os.environ["KEYS_SECONDS"]), UNKNOWN_KEY_PAUSE=3600).start()
    return create_real_app()
