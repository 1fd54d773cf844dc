"""What the users service is made of, built once for a process."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from services.users.settings import Settings
from shared.database import Database

ROOM = "users"


@dataclass(frozen=True)
class Parts:
    """The parts that views hand to the use cases."""

    settings: Settings
    database: Database


def build_parts(settings: Settings) -> Parts:
    """All parts; nothing is connected to before it is used."""
    return Parts(settings=settings, database=Database(settings.database_url, connections=settings.threads + 2))


def parts() -> Parts:
    """The parts of the application that serves the current request."""
    return cast(Parts, current_app.extensions["parts"])
