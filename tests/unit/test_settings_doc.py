"""What docs/operations.md says of settings is so: which there are, what they are by default, how compose sets them."""

import re
from collections.abc import Mapping
from dataclasses import astuple, is_dataclass
from typing import Any

import pytest
import yaml

from shared.serving import GRACEFUL_SECONDS, KEEPALIVE_SECONDS
from shared.settings import SettingsError
from tests.support.settings import READERS, REQUIRED, Read, settings_of, settings_read_by
from tools.process import ROOT

OPERATIONS = (ROOT / "docs/operations.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SECONDS = {"s": 1, "day": 24 * 60 * 60, "days": 24 * 60 * 60, "year": 365 * 24 * 60 * 60}
# gunicorn itself reads it.
NOT_OURS = {"WEB_CONCURRENCY"}
# Good for every setting that is none by default, and different from any default.
ANOTHER = "https://example.com:9200"


def documented() -> dict[str, str]:
    """The default of every setting in the table, as it stands there."""
    defaults: dict[str, str] = {}
    for row in OPERATIONS.partition("## Settings")[2].partition("\n## ")[0].splitlines():
        if row.startswith("| `"):
            names, _, values = (cell.strip() for cell in row.split("|")[1:4])
            found = re.findall(r"`([A-Z0-9_]+)`", names)
            texts = re.sub(r" \(.*?\)", "", values).split(", ")
            texts = texts * len(found) if len(texts) == 1 else texts
            # "30, 180 days" are days, both of them.
            unit = texts[-1].partition(" ")[2]
            texts = [f"{text} {unit}" if unit and text.isdecimal() else text for text in texts]
            defaults |= dict(zip(found, texts, strict=True))
    return defaults


def value_of(text: str) -> str:
    """A default of the table as it would stand in the environment."""
    number, _, unit = text.strip("`").partition(" ")
    return str(int(number) * SECONDS[unit]) if unit else number


def outcome(read: Read, environment: Mapping[str, str]) -> object:
    """What `read` makes of it, or the problems that it names."""
    try:
        return read(environment)
    except SettingsError as error:
        return str(error).splitlines()


def fields(settings: object) -> tuple[Any, ...]:
    if is_dataclass(settings) and not isinstance(settings, type):
        return astuple(settings)
    assert isinstance(settings, tuple)
    return settings


DOCUMENTED = documented()
READ = [(name, room) for name in DOCUMENTED for room in READERS if name in settings_of(room) - NOT_OURS]


def test_every_setting_is_explained_to_ops_and_every_setting_that_is_explained_exists() -> None:
    assert len(DOCUMENTED) > 50
    assert set(DOCUMENTED) == {name for room in READERS for name in settings_of(room)}


@pytest.mark.parametrize(("name", "room"), READ)
def test_a_setting_that_is_not_set_is_what_the_table_says(name: str, room: str) -> None:
    default = DOCUMENTED[name]
    for read in READERS[room]:
        if name not in settings_read_by(read):
            continue
        unset = outcome(read, {key: value for key, value in REQUIRED.items() if key != name})
        if default == "required":
            assert unset == [f"{name} is required"]
        elif default == "none":
            another = outcome(read, {**REQUIRED, name: ANOTHER})
            differing = [
                before for before, after in zip(fields(unset), fields(another), strict=True) if before != after
            ]
            assert differing in ([""], [()])
        else:
            value = value_of(default)
            other = "DEBUG" if name == "LOG_LEVEL" else f"1{value}"
            assert outcome(read, {**REQUIRED, name: value}) == unset
            assert outcome(read, {**REQUIRED, name: other}) != unset


@pytest.mark.parametrize("name", [name for name, service in COMPOSE.items() if "latchkey-" in service["image"]])
def test_every_setting_of_a_room_can_be_set_in_compose_or_stands_there(name: str) -> None:
    room, environment = name.partition("-")[0], COMPOSE[name]["environment"]
    # Ports and health checks are those of BIND's default.
    assert environment.keys() == settings_of(room) - {"BIND"}
    fixed = {key for key, value in environment.items() if value is not None and "${" not in value}
    assert fixed <= {"AUTH_URL", "USERS_URL", "METRICS_BIND", "HEARTBEAT_FILE"}


@pytest.mark.parametrize("name", [name for name, service in COMPOSE.items() if "latchkey-" in service["image"]])
def test_a_container_has_longer_to_stop_than_its_server_and_that_longer_than_its_connections(name: str) -> None:
    seconds = int(COMPOSE[name]["stop_grace_period"].removesuffix("s"))
    assert seconds > GRACEFUL_SECONDS > KEEPALIVE_SECONDS
