"""Every method and path that an application serves, and who may call it."""

import re
from unittest import mock

from flask import Flask

import gateway.app
import gateway.settings
import services.auth.app
import services.auth.settings
import services.users.app
import services.users.settings
from shared.guards import guard_of
from shared.keys import KeySet
from tools.stack import Stack

Doors = dict[tuple[str, str], str | None]


def doors_of_rooms(stack: Stack) -> dict[str, Doors]:
    """The guard of every method and path, by room, of the applications as they are served."""
    with mock.patch.object(KeySet, "start"):
        auth = services.auth.settings.Settings.read(stack.environment("auth"))
        users = services.users.settings.Settings.read(stack.environment("users"))
        pages = gateway.settings.Settings.read(stack.environment("gateway"))
        return {
            "auth": _doors_of(services.auth.app.create_app(auth)),
            "users": _doors_of(services.users.app.create_app(users)),
            "gateway": _doors_of(gateway.app.create_pages(mock.Mock(), mock.Mock(), {}, pages)),
        }


def _doors_of(app: Flask) -> Doors:
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): guard_of(app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
