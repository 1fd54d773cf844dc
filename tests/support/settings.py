"""Settings of tests, and which ones a room reads, found out by letting it read them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from shared.settings import SettingsError

# All tests together are one network, and some phones are busier than any person.
UNLIMITED = dict.fromkeys(("REQUESTS_PER_SECOND", "BURST", "PERSON_REQUESTS_PER_SECOND", "PERSON_BURST"), "1000000")


class _Curious(dict[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def settings_read_by(read: Callable[[Mapping[str, str]], object]) -> set[str]:
    """The names of the variables that `read` looks at."""
    environment = _Curious()
    with suppress(SettingsError):
        read(environment)
    return environment.names
