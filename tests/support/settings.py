"""Settings of tests, and which ones a room reads, found out by letting it read them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import gateway.settings
import services.auth.settings
import services.users.settings
from gateway.listening import Listening
from shared import tracing
from shared.serving import Serving
from shared.settings import SettingsError

Read = Callable[[Mapping[str, str]], object]

_READ_BY_ALL: tuple[Read, ...] = (Serving.read, tracing.Destination.read)
# Everything that reads settings when a room starts.
READERS: dict[str, tuple[Read, ...]] = {
    "auth": (services.auth.settings.Settings.read, *_READ_BY_ALL),
    "users": (services.users.settings.Settings.read, *_READ_BY_ALL),
    "gateway": (gateway.settings.Settings.read, Listening.read, *_READ_BY_ALL),
}

# All tests together are one network, and some phones are busier than any person.
UNLIMITED = dict.fromkeys(("REQUESTS_PER_SECOND", "BURST", "PERSON_REQUESTS_PER_SECOND", "PERSON_BURST"), "1000000")

_KEY = "A" * 43 + "="
# What has no default, for all rooms.
REQUIRED = {
    "DATABASE_URL": "postgresql://role:password@postgres/database",
    "REDIS_URL": "redis://valkey",
    "AUTH_URL": "http://auth:8000",
    "USERS_URL": "http://users:8000",
    "KEY_ENCRYPTION_KEY": _KEY,
    "REFRESH_TOKEN_KEY": _KEY,
}


class _Curious(dict[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def settings_of(room: str) -> set[str]:
    """The names of the variables that a room looks at."""
    return {name for read in READERS[room] for name in settings_read_by(read)}


def settings_read_by(read: Read) -> set[str]:
    """The names of the variables that `read` looks at."""
    environment = _Curious()
    with suppress(SettingsError):
        read(environment)
    return environment.names
